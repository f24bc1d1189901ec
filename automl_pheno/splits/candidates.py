"""How similar sequences are looked for: which k-mers they must share, and what is found for certain by that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_pheno.curation.sequences import Flanks
from automl_pheno.data import FloatArray, IntArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.align import Bases
from automl_pheno.splits.kmers import LONGEST_K, Join, KmerIndex, index_kmers
from automl_pheno.splits.thresholds import COVERAGE, IDENTITY, SHORTEST_PART

CERTAIN = 0.05
"""Edits as a share of the shorter sequence that k is chosen to find for certain."""

MOST_CANDIDATES = 30_000_000
"""Pairs to align above which the data are taken for a library of mutants of one sequence."""

_PRODUCTS = 3e8  # k is the shortest of which unrelated sequences would share no more k-mers in all
_MOST_PRODUCTS = 4e9  # the commonest k-mers are left out until there are no more
_BY_CHANCE = 5.0  # nor more than so many a pair
_SAMPLE = 256
_USUAL = 200.0  # bp; an alignment takes time by the square of the length
_CHANCE_PAIRS, _CHANCE_PAIRS_EACH = 10_000, 5  # unrelated pairs that may be aligned: so many, and so many a sequence
_NEARLY = 0.9
_RARE = 0.01  # share of the sequences that the stated certainty may leave out; they are counted


class AllAlikeError(SplitError):
    """Nearly all sequences are alike, so similarity makes no groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityRules:
    """What counts as similar.

    Attributes
    ----------
    identity
        1 - edits / bases of the aligned part.
    coverage
        Share of the shorter sequence that the aligned part has at least; it never has fewer than
        ``thresholds.SHORTEST_PART`` bases unless it is the whole.
    """

    identity: float = IDENTITY
    coverage: float = COVERAGE

    def part(self, lengths: IntArray) -> IntArray:
        """Return the bases that the aligned part of sequences of these lengths has at least."""
        part = np.maximum(np.ceil(self.coverage * lengths - 1e-9), SHORTEST_PART).astype(np.int64)
        out: IntArray = np.minimum(part, lengths)
        return out

    def edits(self, lengths: IntArray) -> IntArray:
        """Return the edits that a part of these lengths may have at most."""
        out: IntArray = np.floor((1.0 - self.identity) * lengths + 1e-9).astype(np.int64)
        return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Search:
    """How candidates are found.

    Attributes
    ----------
    index, join
        Of the k-mers.
    fewest
        Shared k-mers that a pair needs in general.
    needed
        Those of each sequence; fewer for one that has few different k-mers; int64, shape (n,).
    """

    index: KmerIndex
    join: Join
    fewest: int
    needed: IntArray


def plan_search(bases: Bases, rules: SimilarityRules) -> Search:
    """Choose k and the number of shared k-mers from lengths and numbers, and from what a sample shares.

    A pair with d edits in the whole of a sequence with K different k-mers still shares at least ``K - k d`` of them
    (the q-gram lemma, Ukkonen 1992). The shorter k, the larger d may be, but the more unrelated pairs share some. How
    many do is told by sequences read backwards: they have the same bases and repeats, and no ancestor in common.

    Raises
    ------
    SplitError
        Nearly all pairs would have to be aligned.
    """
    n = len(bases.lengths)
    index = index_kmers(bases.forward, _choose_k(bases, rules), most_products=_MOST_PRODUCTS)
    join = Join(index)
    wanted = np.ceil(min(CERTAIN, 1.0 - rules.identity) * bases.lengths).astype(np.int64)
    spare = index.distinct - index.k * wanted
    most = max(1, int(np.quantile(spare, 0.05)) if n else 1, int(np.median(spare)) // 3 if n else 1)
    sample = bases.forward[np.unique(np.linspace(0, max(n - 1, 0), min(_SAMPLE, n)).astype(np.int64))]
    by_chance, shared = (
        np.cumsum(join.shared_counts(some)[::-1])[::-1] * (n / max(len(sample), 1) / 2.0)
        for some in (sample[:, ::-1], sample)
    )
    length = float(bases.lengths.mean()) if n else 0.0
    affordable = (_CHANCE_PAIRS + _CHANCE_PAIRS_EACH * n) * (_USUAL / max(length, _USUAL)) ** 2
    fewest = max(1, min(most, int(np.argmax(np.append(by_chance, 0.0) <= affordable))))
    expected = float(shared[fewest:][:1].sum())
    if expected > MOST_CANDIDATES:
        msg = (
            f"groups: similarity: about {expected:,.0f} pairs of {n:,} different sequences share {fewest} or more of "
            f"their {index.k}-mers: they are alike as mutants of one sequence are, and there are no groups to keep; "
            "--extrapolation asks what a library can be asked, and without --group-by one is recognised"
        )
        raise AllAlikeError(msg)
    return Search(index=index, join=join, fewest=fewest, needed=np.clip(spare, 1, fewest).astype(np.int64))


def _choose_k(bases: Bases, rules: SimilarityRules) -> int:
    length = float(np.quantile(bases.lengths, 0.05)) if len(bases.lengths) else 1.0
    mean = float(bases.lengths.mean()) if len(bases.lengths) else 1.0
    k = 3 if length < 12 else 5
    while k + 2 <= LONGEST_K:
        by_chance = max(mean - k + 1, 0.0) ** 2 * 2.0 / 4.0**k
        if by_chance <= _BY_CHANCE and by_chance * len(bases.lengths) ** 2 <= _PRODUCTS:
            break
        edits = np.ceil(min(CERTAIN, 1.0 - rules.identity) * length)
        if (k + 2) * (edits + 1) > length:  # no k-mer would be sure to be left
            break
        k += 2
    return k


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """What is found for certain.

    Attributes
    ----------
    whole, half
        Edits, as a share of the whole shorter sequence, or of the part that two shifted windows have in common (at
        least half of the shorter), up to which a pair is found for certain; negative where nothing is.
    length
        Of the sequences where all have one, else None.
    exceptions
        Sequences for which it is less, because they have few different k-mers.
    lowest
        The least share, of these.
    """

    whole: float
    half: float
    length: int | None
    exceptions: int
    lowest: float

    def edits(self, share: float) -> str:
        """Return ``16 edits (9.4 % of its bases)``."""
        if self.length is None:
            return f"{_percent(share)} edits"
        return f"{int(np.floor(share * self.length + 1e-6))} edits ({_percent(share)} of its bases)"

    def facts(self) -> dict[str, Any]:
        """Return plain values for the card."""
        return {
            "certain_edits": self.whole,
            "certain_edits_shifted": self.half,
            "less_certain_sequences": self.exceptions,
            "least_certain_edits": self.lowest,
        }


def certainty(search: Search, bases: Bases, rules: SimilarityRules) -> Certainty:
    """Compute what the q-gram lemma gives with the k-mers that were really compared."""
    index, lengths = search.index, np.maximum(bases.lengths, 1)
    part = rules.part(bases.lengths)
    edits = np.floor_divide(index.distinct - search.needed, index.k) / lengths
    # what is left out at an end takes at most as many k-mers with it as it has bases
    kept = index.distinct - (bases.lengths - part) - search.needed
    shifted = np.floor_divide(kept, index.k) / np.maximum(part, 1)
    whole, half = _usual(edits), _usual(shifted)
    allowed = 1.0 - rules.identity
    return Certainty(
        whole=min(whole, allowed),
        half=min(half, allowed * rules.coverage),  # all edits may lie in the half that is aligned
        length=int(lengths[0]) if (lengths == lengths[0]).all() else None,
        exceptions=int(((edits < whole) | (shifted < half)).sum()),
        lowest=min(float(edits.min()), allowed),
    )


def _usual(share: FloatArray) -> float:
    """Return what nearly all sequences reach; the least, where exceptions would hardly be worth a sentence."""
    usual, least = float(np.quantile(share, _RARE, method="lower")), float(share.min())
    return least if least >= _NEARLY * usual >= 0.0 else usual


def state_guarantee(search: Search, certain: Certainty, rules: SimilarityRules, flanks: Flanks) -> str:
    """Return what is certain, in sentences with their numbers, for the card."""
    k_mers = f"{search.index.k}-mers"
    if certain.whole < 0.0:
        return f"No near copy was found for certain: the sequences have too few different {k_mers}."
    without = " (without the constant flanks)" if flanks else ""
    parts = [
        f"Two sequences{without} of which the shorter lies in the other, on either strand, with at most "
        f"{certain.edits(certain.whole)} were found for certain: they share {search.fewest} or more of their {k_mers}, "
        "and all pairs that do were aligned"
    ]
    if certain.half >= 0.0:
        parts.append(
            "So were windows shifted against each other by up to half of the shorter, with edits in at most "
            f"{_percent(certain.half)} of their common bases"
        )
    if certain.exceptions:
        least = f"only up to {_percent(certain.lowest)}" if certain.lowest >= 0.0 else "for some not even equal parts"
        less = f" ({least})" if certain.lowest < certain.whole else ""
        parts.append(f"Of {certain.exceptions:,} sequences with few different {k_mers} less is certain{less}")
    if search.index.dropped:
        parts.append(
            f"{search.index.dropped:,} {k_mers} that {search.index.dropped_from:,} or more sequences have were not "
            "compared; the numbers allow for it"
        )
    if certain.whole < 1.0 - rules.identity - 1e-9:
        parts.append(f"Of pairs with more edits, up to {_percent(1.0 - rules.identity)}, most were found, not all")
    return ". ".join(parts) + "."


def _percent(share: float) -> str:
    return f"{np.floor(1000.0 * share + 1e-6) / 10.0:g} %"
