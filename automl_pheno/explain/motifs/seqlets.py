"""Motifs in contributions: the windows that matter most (seqlets), gathered by what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.registry import ExplainError

BoolArray = npt.NDArray[np.bool_]

PATTERN = 12
FLANK = 5
CANDIDATES = 40
ALIKE = 0.7
"""Cosine from which a seqlet belongs to a pattern; to a single seqlet, which is noisier, `ALIKE_ONE`."""
ALIKE_ONE = 0.55
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
    n_seqlets, n_sequences
        Seqlets, and sequences they come from.
    forward_share
        Share of the seqlets that show the motif as written, not its reverse complement.
    mean_contribution
        Of a seqlet, summed over the motif, phenotype units; its sign is the motif's effect.
    """

    consensus: str
    contributions: FloatArray
    frequencies: FloatArray
    n_seqlets: int
    n_sequences: int
    forward_share: float
    mean_contribution: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seqlets:
    """Windows with the largest summed contributions.

    Attributes
    ----------
    sample, start
        Row of the attribution and first position (0-based), shape (n,).
    contributions
        With `FLANK` more positions on both sides (zeros beyond the sequence), shape (n, width + 2 * FLANK, 4).
    bases
        Base probabilities there, same shape.
    """

    sample: IntArray
    start: IntArray
    contributions: FloatArray
    bases: FloatArray

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, rows: IntArray) -> Seqlets:
        """Return the seqlets at `rows`."""
        return Seqlets(
            sample=self.sample[rows],
            start=self.start[rows],
            contributions=self.contributions[rows],
            bases=self.bases[rows],
        )


def seqlets(
    attribution: Attribution, *, sign: int, width: int = 10, most: int = 2000, most_per_sequence: int = 4
) -> Seqlets:
    """Return the windows of `width` with the largest summed contributions of one sign, none overlapping another.

    Windows count when their sum is larger than 95 % of all windows' sums of either sign in absolute value.

    Parameters
    ----------
    sign
        1 for windows that raise the prediction, -1 for those that lower it.
    """
    contributions = attribution.contributions
    n, length = contributions.shape
    if length < width:
        return _cut(attribution, np.empty((0, 2), dtype=np.int64), width)
    sums = np.cumsum(np.pad(contributions, ((0, 0), (1, 0))), axis=1)
    sums = sums[:, width:] - sums[:, :-width]
    threshold = max(float(np.quantile(np.abs(sums), 0.95)), np.finfo(np.float64).tiny)
    score = sums * sign
    found: list[tuple[float, int, int]] = []
    for sample in range(n):
        row = score[sample].copy()
        for _ in range(most_per_sequence):
            start = int(row.argmax())
            if row[start] < threshold:
                break
            found.append((float(row[start]), sample, start))
            row[max(0, start - width + 1) : start + width] = -np.inf
    found.sort(key=lambda item: -item[0])
    places = np.array([(sample, start) for _, sample, start in found[:most]], dtype=np.int64).reshape(-1, 2)
    return _cut(attribution, places, width)


def _cut(attribution: Attribution, places: IntArray, width: int) -> Seqlets:
    pad = ((0, 0), (FLANK, FLANK), (0, 0))
    values = np.pad(attribution.values, pad)
    bases = np.pad(one_hot(attribution.inputs.values).astype(np.float64), pad)
    rows = places[:, 0][:, None]
    columns = places[:, 1][:, None] + np.arange(width + 2 * FLANK)
    return Seqlets(
        sample=places[:, 0], start=places[:, 1], contributions=values[rows, columns], bases=bases[rows, columns]
    )


def motif_summary(
    attribution: Attribution, *, width: int = 10, most: int = 10, fewest_seqlets: int = 10
) -> list[FoundMotif]:
    """Return the patterns that recur among the most important windows, most seqlets first.

    Of the strongest seqlets of each sign, the one that most others resemble (cosine of contributions, best shift,
    either strand) is the seed; the mean pattern of these is slid along all, those that resemble it (cosine >= 0.7)
    are taken in, and so on until a pattern has fewer than `fewest_seqlets`.
    A quick summary; TF-MoDISco does this with more care.

    Parameters
    ----------
    width
        Of the windows in which contributions are summed, bp.
    most
        Motifs at most.

    Raises
    ------
    ExplainError
        The attribution is of genotypes.
    """
    if attribution.kind != "sequence":
        msg = "motifs are found in sequences; got genotypes"
        raise ExplainError(msg)
    found: list[FoundMotif] = []
    for sign in (1, -1):
        windows = seqlets(attribution, sign=sign, width=width)
        found += _gather(windows, most=2 * most, fewest=fewest_seqlets)
    found.sort(key=lambda motif: -motif.n_seqlets * abs(motif.mean_contribution))
    return _distinct(found)[:most]


def _gather(windows: Seqlets, *, most: int, fewest: int) -> list[FoundMotif]:
    found: list[FoundMotif] = []
    left = windows
    while len(left) >= fewest and len(found) < most:
        pattern = _seed(left)
        similarity, offset, flipped = _slide(pattern, left)
        for _ in range(4):
            inside = np.flatnonzero(similarity >= ALIKE)
            if len(inside) < fewest:
                break
            pattern = _aligned(left.contributions, offset, flipped, inside, len(pattern)).mean(axis=0)
            similarity, offset, flipped = _slide(pattern, left)
        inside = np.flatnonzero(similarity >= ALIKE)
        if len(inside) < fewest:  # a seed that nothing resembles: set its carriers aside
            left = left.take(np.argsort(-similarity)[max(fewest, 1) :])
            continue
        found.append(_describe(left, offset, flipped, inside, len(pattern)))
        left = left.take(np.flatnonzero(similarity < ALIKE))
    return found


def _seed(windows: Seqlets) -> FloatArray:
    """Return the mean pattern around the seqlet, among the strongest, that most others resemble, shape (PATTERN, 4)."""
    middle = (windows.contributions.shape[1] - PATTERN) // 2
    best, score = windows.contributions[0, middle : middle + PATTERN], -1.0
    for candidate in windows.contributions[:CANDIDATES, middle : middle + PATTERN]:
        similarity, offset, flipped = _slide(candidate, windows)
        inside = np.flatnonzero(similarity >= ALIKE_ONE)
        if similarity[inside].sum() > score:
            score = float(similarity[inside].sum())
            best = _aligned(windows.contributions, offset, flipped, inside, PATTERN).mean(axis=0)
    return best


def _slide(pattern: FloatArray, windows: Seqlets) -> tuple[FloatArray, IntArray, BoolArray]:
    """Return the best cosine of `pattern` along each seqlet, where, and whether on the reverse strand."""
    width = len(pattern)
    padded = np.pad(windows.contributions, ((0, 0), (3, 3), (0, 0)))
    offsets = np.arange(padded.shape[1] - width + 1)
    cuts = padded[:, offsets[:, None] + np.arange(width)]
    whole = np.sqrt((windows.contributions**2).sum(axis=(1, 2)))
    norm = np.maximum(np.sqrt((pattern**2).sum()) * whole, 1e-300)
    forward = np.einsum("nowc,wc->no", cuts, pattern) / norm[:, None]
    backward = np.einsum("nowc,wc->no", cuts, pattern[::-1, ::-1]) / norm[:, None]
    best = np.maximum(forward, backward)
    offset = best.argmax(axis=1)
    every = np.arange(len(best))
    return best[every, offset], offset, backward[every, offset] > forward[every, offset]


def _aligned(
    values: FloatArray, offset: IntArray, flipped: npt.NDArray[np.bool_], rows: IntArray, width: int
) -> FloatArray:
    padded = np.pad(values, ((0, 0), (3, 3), (0, 0)))
    cut = padded[rows[:, None], offset[rows][:, None] + np.arange(width)]
    return np.asarray(np.where(flipped[rows][:, None, None], cut[:, ::-1, ::-1], cut))


def _describe(
    windows: Seqlets, offset: IntArray, flipped: npt.NDArray[np.bool_], rows: IntArray, width: int
) -> FoundMotif:
    contributions = _aligned(windows.contributions, offset, flipped, rows, width)
    counts = _aligned(windows.bases, offset, flipped, rows, width).sum(axis=0) + 0.25
    forward = float(1.0 - flipped[rows].mean())
    if forward < 0.5:  # write it the way most sequences have it
        contributions, counts, forward = contributions[:, ::-1, ::-1], counts[::-1, ::-1], 1.0 - forward
    mean = contributions.mean(axis=0)
    height = np.abs(mean.sum(axis=1))
    kept = np.flatnonzero(height >= 0.2 * height.max())
    inside = slice(int(kept[0]), int(kept[-1]) + 1)
    frequencies = counts[inside] / counts[inside].sum(axis=1, keepdims=True)
    return FoundMotif(
        consensus=consensus(frequencies),
        contributions=mean[inside],
        frequencies=frequencies,
        n_seqlets=len(rows),
        n_sequences=len(np.unique(windows.sample[rows])),
        forward_share=forward,
        mean_contribution=float(contributions[:, inside].sum(axis=(1, 2)).mean()),
    )


def consensus(frequencies: FloatArray) -> str:
    """Return one IUPAC letter a row: a base above 1/2, else two bases above 3/4 together, else N (Cavener 1987)."""
    pairs = {3: "M", 5: "R", 9: "W", 6: "S", 10: "Y", 12: "K"}
    letters = []
    for row in frequencies:
        order = np.argsort(-row)
        if row[order[0]] > 0.5:
            letters.append("ACGT"[order[0]])
        elif row[order[:2]].sum() > 0.75:
            letters.append(pairs[int((1 << order[0]) + (1 << order[1]))])
        else:
            letters.append("N")
    return "".join(letters)


def _distinct(found: list[FoundMotif]) -> list[FoundMotif]:
    """Leave out a motif that is a shifted or reversed copy of one before it."""
    kept: list[FoundMotif] = []
    for motif in found:
        if not any(_resemblance(motif.contributions, other.contributions) >= SAME_MOTIF for other in kept):
            kept.append(motif)
    return kept


def _resemblance(a: FloatArray, b: FloatArray) -> float:
    norm = max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-300)
    wide = np.pad(b, ((len(a), len(a)), (0, 0)))
    cuts = [wide[start : start + len(a)] for start in range(len(wide) - len(a) + 1)]
    return max(float((turned * cut).sum()) / norm for cut in cuts for turned in (a, a[::-1, ::-1]))


def motif_table(found: list[FoundMotif]) -> pd.DataFrame:
    """Return one row a motif: its number from 1, consensus, effect in a word, and the numbers of `FoundMotif`."""
    rows = [
        {
            "motif": number,
            "consensus": motif.consensus,
            "effect": "raises" if motif.mean_contribution > 0 else "lowers",
            "n_seqlets": motif.n_seqlets,
            "n_sequences": motif.n_sequences,
            "forward_share": motif.forward_share,
            "mean_contribution": motif.mean_contribution,
        }
        for number, motif in enumerate(found, start=1)
    ]
    columns = ["motif", "consensus", "effect", "n_seqlets", "n_sequences", "forward_share", "mean_contribution"]
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table
