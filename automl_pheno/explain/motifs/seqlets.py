"""Motifs in contributions: the windows that matter most (seqlets), gathered by what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.data.encode import PADDING
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.motifs.clusters import Cluster, gather
from automl_pheno.explain.motifs.meme import MemeMotif, meme_text
from automl_pheno.explain.motifs.places import Places, Whereabouts, whereabouts
from automl_pheno.explain.motifs.pwm import consensus, covered, frequencies_of
from automl_pheno.explain.motifs.windows import seqlets
from automl_pheno.explain.registry import ExplainError
from automl_pheno.rng import generator

SHOWN = 0.2
"""A motif reaches from the first to the last position with this share of its largest contribution."""
FEWEST_POSITIONS = 4
MOST_BY_CHANCE = 0.6
SAME_MOTIF = 0.8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundMotif:
    """A pattern that contributes in several sequences.

    Attributes
    ----------
    consensus
        IUPAC letters.
    contributions
        Mean contribution of each base over the seqlets, phenotype units, shape (width, 4): what the logo shows.
    frequencies
        Base frequencies over the seqlets (a PWM), shape (width, 4), rows sum to 1.
    places, whereabouts
        Where it lies, and whether the places gather.
    chance_share
        See `Cluster`; NaN where it was not measured.
    source
        ``seqlets`` or ``modisco``.
    """

    consensus: str
    contributions: FloatArray
    frequencies: FloatArray
    places: Places
    whereabouts: Whereabouts
    chance_share: float = field(default=float("nan"))
    source: str = "seqlets"

    @property
    def n_seqlets(self) -> int:
        """Number of places."""
        return len(self.places)

    @property
    def n_sequences(self) -> int:
        """Number of sequences they are in."""
        return len(np.unique(self.places.sample))

    @property
    def forward_share(self) -> float:
        """Share of the places that show the motif as written, not its reverse complement."""
        return float(self.places.forward.mean())

    @property
    def mean_contribution(self) -> float:
        """Of a place, phenotype units; its sign is the motif's effect."""
        return float(self.places.contribution.mean())


def motif_summary(
    attribution: Attribution,
    *,
    width: int = 10,
    most: int = 10,
    fewest_seqlets: int = 10,
    rng: np.random.Generator | None = None,
) -> list[FoundMotif]:
    """Return the patterns that recur among the windows that matter most, the most contribution in all first.

    See `seqlets` for the windows and `gather` for how they are gathered. A pattern is left out when it shows fewer
    than four positions, contributes against the sign of its seqlets, is hardly larger than what gathers when the
    positions of each seqlet are in random order (`MOST_BY_CHANCE`), or repeats one before it. A quick summary;
    TF-MoDISco does this with more care.

    Parameters
    ----------
    width
        Of the windows in which contributions are summed, bp.
    most
        Motifs at most.
    fewest_seqlets
        Of a motif.
    rng
        For the random orders; None takes one with a fixed seed.

    Raises
    ------
    ExplainError
        The attribution is of genotypes.
    """
    check_sequences(attribution)
    draws = generator(0, "motifs") if rng is None else rng
    found: list[FoundMotif] = []
    for sign, step in ((1, "gathering motifs that raise"), (-1, "gathering motifs that lower")):
        windows = seqlets(attribution, sign=sign, width=width, rng=draws)
        for cluster in gather(windows, most=2 * most, fewest=fewest_seqlets, rng=draws, step=step):
            motif = _describe(attribution, cluster, sign, draws)
            if motif is not None and motif.n_seqlets >= fewest_seqlets:
                found.append(motif)
    found.sort(key=lambda motif: -motif.n_seqlets * abs(motif.mean_contribution))
    return _distinct(found)[:most]


def check_sequences(attribution: Attribution) -> None:
    """Raise ExplainError where the attribution is of genotypes."""
    if attribution.kind != "sequence":
        msg = "motifs are found in sequences; got genotypes"
        raise ExplainError(msg)


def _describe(attribution: Attribution, cluster: Cluster, sign: int, rng: np.random.Generator) -> FoundMotif | None:
    contributions, bases, forward = cluster.contributions, cluster.bases, ~cluster.flipped
    mean = contributions.mean(axis=0)
    height = np.abs(mean.sum(axis=1))
    shown = np.flatnonzero(height >= SHOWN * height.max())
    if len(shown) < FEWEST_POSITIONS or cluster.chance_share > MOST_BY_CHANCE or mean.sum() * sign <= 0:
        return None
    inside = slice(int(shown[0]), int(shown[-1]) + 1)
    before = np.where(forward, inside.start, len(mean) - inside.stop)  # a turned pattern begins at its other end
    places = motif_places(
        attribution,
        sample=cluster.sample,
        first=cluster.start + before,
        width=inside.stop - inside.start,
        forward=forward,
    )
    frequencies = frequencies_of(bases.sum(axis=0)[inside])
    return motif_of(mean[inside], frequencies, places, rng=rng, chance_share=cluster.chance_share)


def motif_places(
    attribution: Attribution,
    *,
    sample: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    width: int,
    forward: npt.NDArray[np.bool_],
) -> Places:
    """Return places of one width; of two in one sequence that share more than half of it, the larger contribution.

    Parameters
    ----------
    sample, forward
        See `Places`.
    first
        0-based first base; a place that reaches beyond the sequence is cut short.
    width
        bp.
    """
    lengths = (attribution.inputs.values != PADDING).sum(axis=1)[sample]
    start = np.clip(first, 0, np.maximum(lengths - 1, 0))
    stop = np.clip(first + width, start + 1, np.maximum(lengths, 1))
    total = np.cumsum(np.pad(attribution.contributions, ((0, 0), (1, 0))), axis=1)
    contribution = total[sample, stop] - total[sample, start]
    kept: list[int] = []
    taken: dict[int, list[int]] = {}
    for row in np.argsort(-np.abs(contribution), kind="stable"):
        others = taken.setdefault(int(sample[row]), [])
        if all(abs(int(start[row]) - other) * 2 >= width for other in others):
            others.append(int(start[row]))
            kept.append(int(row))
    rows = np.array(kept, dtype=np.int64)
    return Places(
        sample=sample[rows],
        start=start[rows] + 1,
        end=stop[rows],
        forward=forward[rows],
        contribution=contribution[rows],
        length=lengths[rows],
    )


def motif_of(
    contributions: FloatArray,
    frequencies: FloatArray,
    places: Places,
    *,
    rng: np.random.Generator,
    chance_share: float = float("nan"),
    source: str = "seqlets",
) -> FoundMotif:
    """Return the motif, written the way most places have it."""
    if places.forward.mean() < 0.5:
        contributions, frequencies = contributions[::-1, ::-1], frequencies[::-1, ::-1]
        places = Places(
            sample=places.sample,
            start=places.start,
            end=places.end,
            forward=~places.forward,
            contribution=places.contribution,
            length=places.length,
        )
    return FoundMotif(
        consensus=consensus(frequencies),
        contributions=contributions,
        frequencies=frequencies,
        places=places,
        whereabouts=whereabouts(places, rng),
        chance_share=chance_share,
        source=source,
    )


def _distinct(found: list[FoundMotif]) -> list[FoundMotif]:
    """Leave out a motif that is a shifted or reversed copy, or a piece, of one before it."""
    kept: list[FoundMotif] = []
    for motif in found:
        if not any(covered(motif.contributions, other.contributions) >= SAME_MOTIF for other in kept):
            kept.append(motif)
    return kept


def motif_table(found: Sequence[FoundMotif]) -> pd.DataFrame:
    """Return one row a motif: its number from 1 and what `FoundMotif`, `Whereabouts` say of it."""
    table: pd.DataFrame = pd.DataFrame(
        {
            "motif": np.arange(1, len(found) + 1),
            "consensus": [motif.consensus for motif in found],
            "effect": ["raises" if motif.mean_contribution > 0 else "lowers" for motif in found],
            "n_seqlets": np.array([motif.n_seqlets for motif in found], dtype=np.int64),
            "n_sequences": np.array([motif.n_sequences for motif in found], dtype=np.int64),
            "source": [motif.source for motif in found],
            "positional": np.array([motif.whereabouts.positional for motif in found], dtype=bool),
            "anchor": [motif.whereabouts.anchor for motif in found],
        }
    )
    for name in ("forward_share", "mean_contribution", "chance_share"):
        table[name] = np.array([getattr(motif, name) for motif in found], dtype=np.float64)
    for name in (
        "median_place", "median_from_end", "place_iqr", "mode_place", "mode_from_end", "share_near_mode",
        "share_by_chance",
    ):  # fmt: skip
        table[name] = np.array([getattr(motif.whereabouts, name) for motif in found], dtype=np.float64)
    table["position_p"] = np.array([motif.whereabouts.p for motif in found], dtype=np.float64)
    order = ["motif", "consensus", "effect", "n_seqlets", "n_sequences", "forward_share", "mean_contribution", "source"]
    ordered: pd.DataFrame = table[[*order, *(name for name in table.columns if name not in order)]]
    return ordered


def places_table(found: Sequence[FoundMotif], attribution: Attribution) -> pd.DataFrame:
    """Return one row a place: ``motif, id, start, end, strand, contribution, from_end``.

    ``start`` and ``end`` are 1-based, both inside; ``from_end`` as in `Places`.
    """
    parts = [
        pd.DataFrame(
            {
                "motif": number,
                "id": attribution.ids[motif.places.sample],
                "start": motif.places.start,
                "end": motif.places.end,
                "strand": np.where(motif.places.forward, "+", "-"),
                "contribution": motif.places.contribution,
                "from_end": motif.places.from_end,
            }
        )
        for number, motif in enumerate(found, start=1)
    ]
    columns = ["motif", "id", "start", "end", "strand", "contribution", "from_end"]
    table: pd.DataFrame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return table


def motif_arrays(found: Sequence[FoundMotif]) -> dict[str, FloatArray]:
    """Return ``contributions_1``, ``frequencies_1`` ..., shape (width, 4)."""
    arrays: dict[str, FloatArray] = {}
    for number, motif in enumerate(found, start=1):
        arrays[f"contributions_{number}"] = motif.contributions
        arrays[f"frequencies_{number}"] = motif.frequencies
    return arrays


def motif_meme(found: Sequence[FoundMotif]) -> str:
    """Return the motifs as a MEME file, named ``motif_1`` and by consensus."""
    return meme_text(
        MemeMotif(
            name=f"motif_{number}", alternate=motif.consensus, frequencies=motif.frequencies, sites=motif.n_seqlets
        )
        for number, motif in enumerate(found, start=1)
    )
