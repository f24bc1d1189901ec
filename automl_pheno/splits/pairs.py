"""Pairs of samples that are alike: what groupings by similarity find, what is cut, purged and audited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs at or above a threshold.

    Attributes
    ----------
    first, second
        Rows, int64, shape (m,); ``first < second``, and no pair stands twice.
    similarity
        float64, shape (m,), each at least `threshold`.
    measure
        What is measured, in the words of the card: ``identity``, ``kinship (KING-robust)``, ``IBS`` ...
    threshold
        From which on two samples must not lie on two sides.
    ladder
        Higher thresholds, rising, that may be taken instead where this one would leave too little to train on.
        Empty where the user has stated the threshold.
    """

    first: IntArray
    second: IntArray
    similarity: FloatArray
    measure: str
    threshold: float
    ladder: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.first)

    def at_least(self, threshold: float) -> Pairs:
        """Return the pairs at or above a higher threshold, which becomes theirs."""
        kept = self.among(self.similarity >= threshold)
        return replace(kept, threshold=threshold, ladder=tuple(step for step in self.ladder if step > threshold))

    def among(self, kept: npt.NDArray[np.bool_]) -> Pairs:
        """Return the pairs at which `kept`, shape (m,), is True."""
        return replace(self, first=self.first[kept], second=self.second[kept], similarity=self.similarity[kept])

    def components(self, n: int) -> IntArray:
        """Return the label of the connected component of each of `n` samples, int64, shape (n,)."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        graph = coo_matrix((np.ones(len(self), dtype=np.int8), (self.first, self.second)), shape=(n, n))
        return connected_components(graph, directed=False)[1].astype(np.int64)

    def crossing(self, sides: IntArray) -> Pairs:
        """Return the pairs whose samples have different labels in `sides`, shape (n,); -1 is on no side."""
        a, b = sides[self.first], sides[self.second]
        return self.among((a != b) & (a >= 0) & (b >= 0))


def no_pairs(measure: str, threshold: float) -> Pairs:
    """Return pairs without any member."""
    empty = np.empty(0, dtype=np.int64)
    return Pairs(first=empty, second=empty, similarity=np.empty(0), measure=measure, threshold=threshold)


def join_pairs(found: Sequence[Pairs]) -> Pairs:
    """Return the pairs that are in any of `found`, which share measure and threshold; each stands once."""
    first, second, similarity = (
        np.concatenate([getattr(pairs, name) for pairs in found]) for name in ("first", "second", "similarity")
    )
    _, kept = np.unique(np.stack([first, second]), axis=1, return_index=True)
    return replace(found[0], first=first[kept], second=second[kept], similarity=similarity[kept])
