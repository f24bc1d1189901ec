"""A centred design matrix that is never held in full precision: its products are made block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from automl_pheno.data.dataset import FloatArray, IntArray

_BLOCK_CELLS = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Columns minus their training means; of weighted training samples, each row times the root of its weight.

    Attributes
    ----------
    columns
        float32, shape (n, p), finite.
    mean
        float64, shape (p,); of weighted samples the weighted mean.
    root
        Square roots of the weights of the rows, shape (n,); None is 1 for all. What is said of X below is then true of
        W^1/2 (X - mean), on which least squares is weighted least squares.
    """

    columns: FloatArray
    mean: FloatArray
    root: FloatArray | None = None

    @classmethod
    def of_training(cls, columns: FloatArray, mean: FloatArray, weights: FloatArray | None) -> Design:
        """Return the design of training columns, whose mean is `mean`, with their weights."""
        if weights is None:
            return cls(columns=columns, mean=mean)
        total = np.zeros(columns.shape[1])
        step = max(1, _BLOCK_CELLS // max(columns.shape[1], 1))
        for start in range(0, len(columns), step):
            total += weights[start : start + step] @ columns[start : start + step].astype(np.float64)
        return cls(columns=columns, mean=total / weights.sum(), root=np.sqrt(weights))

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def p(self) -> int:
        """Number of columns."""
        return int(self.columns.shape[1])

    def row_blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield slices of rows and their centred values, float64."""
        step = max(1, _BLOCK_CELLS // max(self.p, 1))
        for start in range(0, len(self), step):
            rows = slice(start, start + step)
            block = self.columns[rows].astype(np.float64) - self.mean
            yield rows, block if self.root is None else self.root[rows, None] * block

    def column_blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield slices of columns and their centred values, float64."""
        step = max(1, _BLOCK_CELLS // max(len(self), 1))
        for start in range(0, self.p, step):
            part = slice(start, start + step)
            block = self.columns[:, part].astype(np.float64) - self.mean[part]
            yield part, block if self.root is None else self.root[:, None] * block

    def gram_of_rows(self) -> FloatArray:
        """Return X X', shape (n, n)."""
        gram = np.zeros((len(self), len(self)))
        for _, block in self.column_blocks():
            gram += block @ block.T
        return gram

    def gram_of_columns(self) -> FloatArray:
        """Return X' X, shape (p, p)."""
        gram = np.zeros((self.p, self.p))
        for _, block in self.row_blocks():
            gram += block.T @ block
        return gram

    def total_variance(self) -> float:
        """Return the sum of the columns' variances: the mean of the n - 1 eigenvalues of X X'."""
        return sum(float((block * block).sum()) for _, block in self.row_blocks()) / max(len(self) - 1, 1)

    def times(self, effects: FloatArray) -> FloatArray:
        """Return X effects, shape (n,)."""
        out = np.zeros(len(self))
        for rows, block in self.row_blocks():
            out[rows] = block @ effects
        return out

    def transposed_times(self, values: FloatArray) -> FloatArray:
        """Return X' values, shape (p,)."""
        out = np.zeros(self.p)
        for rows, block in self.row_blocks():
            out += block.T @ values[rows]
        return out

    def squared_distances(self, other: Design) -> FloatArray:
        """Return squared Euclidean distances between the rows of both, unweighted, shape (n, len(other))."""
        cross = np.zeros((len(self), len(other)))
        mine, theirs = np.zeros(len(self)), np.zeros(len(other))
        for part, block in self.column_blocks():
            rival = other.columns[:, part].astype(np.float64) - other.mean[part]
            cross += block @ rival.T
            mine += (block * block).sum(axis=1)
            theirs += (rival * rival).sum(axis=1)
        cross *= -2.0
        cross += mine[:, None]
        cross += theirs[None, :]
        return np.maximum(cross, 0.0, out=cross)

    def take(self, rows: IntArray) -> Design:
        """Return the given rows, centred as before."""
        root = None if self.root is None else self.root[rows]
        return Design(columns=self.columns[rows], mean=self.mean, root=root)
