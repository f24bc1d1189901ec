"""Missing calls filled in from training samples: their mean, their most frequent genotype, or the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, IntArray

MOST_DONORS = 2000
"""Training samples that donate calls; of more, so many are drawn. Bounds memory and time."""
_BLOCK_CELLS = 8_000_000
_MISSING = 255
_EXTRA = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Imputation:
    """What fills missing calls, learnt by `learn_imputation`.

    Attributes
    ----------
    fill
        Dosage for each variant, float32, shape (n_variants,): the training mean, or for ``mode`` the most frequent
        training genotype; 0 where training has no call. ``knn`` falls back on it where no donor has a call.
    donors
        ``knn``: dosages of training samples, shape (m, n_variants); uint8 with 255 as missing where all are whole
        numbers, else float32 with NaN. None for the others.
    neighbours
        ``knn``: how many donors' mean is taken.
    """

    fill: FloatArray
    donors: npt.NDArray[Any] | None = None
    neighbours: int = 0

    def apply(self, values: FloatArray) -> FloatArray:
        """Return dosages, float32, shape (n, n_variants), without a missing call."""
        filled = np.array(values, dtype=np.float32)
        if self.donors is not None:
            _fill_from_donors(filled, self.donors, self.neighbours)
        step = max(1, _BLOCK_CELLS // max(filled.shape[1], 1))
        for start in range(0, len(filled), step):
            block = filled[start : start + step]
            rows, columns = np.nonzero(np.isnan(block))
            block[rows, columns] = self.fill[columns]
        return filled

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays from which `restore` makes the same imputation."""
        arrays: dict[str, npt.NDArray[Any]] = {"impute_fill": self.fill, "impute_neighbours": np.array(self.neighbours)}
        return arrays if self.donors is None else arrays | {"impute_donors": self.donors}

    @classmethod
    def restore(cls, arrays: dict[str, npt.NDArray[Any]]) -> Imputation | None:
        """Return the imputation of `state`; None where the arrays have none."""
        if "impute_fill" not in arrays:
            return None
        return cls(
            fill=arrays["impute_fill"],
            donors=arrays.get("impute_donors"),
            neighbours=int(arrays["impute_neighbours"]),
        )


def learn_imputation(
    method: Literal["mean", "mode", "knn"], values: FloatArray, neighbours: int, rng: np.random.Generator
) -> Imputation:
    """Return the imputation learnt from training dosages, shape (n, n_variants), NaN where missing.

    ``knn`` is that of scikit-learn's ``KNNImputer`` with uniform weights: the distance of two samples is Euclidean over
    the variants that both have, scaled up to all; a missing call is the mean of the nearest `neighbours` donors that
    have a call of that variant. Ties go to the donor that comes first. Above 2,000 training samples, so many donors
    are drawn.

    Parameters
    ----------
    rng
        Draws donors; asked only where there are too many.
    """
    if method == "mode":
        return Imputation(fill=_modes(values))
    fill = _means(values)
    if method == "mean":
        return Imputation(fill=fill)
    rows: IntArray = np.arange(len(values), dtype=np.int64)
    if len(rows) > MOST_DONORS:
        rows = np.sort(rng.permutation(len(rows))[:MOST_DONORS])
    return Imputation(fill=fill, donors=_compact(values[rows]), neighbours=neighbours)


def _means(values: FloatArray) -> FloatArray:
    fill = np.zeros(values.shape[1], dtype=np.float32)
    for part in _column_blocks(values):
        called = ~np.isnan(values[:, part])
        total = np.where(called, values[:, part], 0.0).sum(axis=0, dtype=np.float64)
        fill[part] = total / np.maximum(called.sum(axis=0), 1)
    return fill


def _modes(values: FloatArray) -> FloatArray:
    """Return the most frequent genotype of each variant, 0, 1 or 2, the smallest of several; dosages are rounded."""
    fill = np.zeros(values.shape[1], dtype=np.float32)
    for part in _column_blocks(values):
        rounded = np.rint(values[:, part])
        fill[part] = np.argmax([(rounded == genotype).sum(axis=0) for genotype in range(3)], axis=0)
    return fill


def _compact(values: FloatArray) -> npt.NDArray[Any]:
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    if not (np.rint(known) == known).all():
        return values.astype(np.float32)
    return np.where(missing, _MISSING, known).astype(np.uint8)


def _expanded(donors: npt.NDArray[Any], part: slice) -> FloatArray:
    """Return columns of the donors as float32 with NaN where missing."""
    block: FloatArray = donors[:, part].astype(np.float32)
    if donors.dtype == np.uint8:
        block[block == _MISSING] = np.nan
    return block


def _fill_from_donors(values: FloatArray, donors: npt.NDArray[Any], neighbours: int) -> None:
    """Fill missing calls in place where a donor at a known distance has one."""
    incomplete = np.flatnonzero(np.isnan(values).any(axis=1))
    called = donors != _MISSING if donors.dtype == np.uint8 else ~np.isnan(donors)
    step = max(1, _BLOCK_CELLS // max(len(donors), values.shape[1], 1))
    for start in range(0, len(incomplete), step):
        rows = incomplete[start : start + step]
        distances = _distances(values[rows], donors)
        order = np.argsort(distances, axis=1, kind="stable")
        reachable = np.isfinite(distances).sum(axis=1)
        for row, nearest, usable in zip(rows, order, reachable, strict=True):
            columns = np.flatnonzero(np.isnan(values[row]))
            some = nearest[: min(usable, neighbours + _EXTRA)]
            left = _mean_of_nearest(values[row], columns, some, donors, called, neighbours, partly=usable > len(some))
            if len(left):  # few of the nearest have a call of these
                _mean_of_nearest(values[row], left, nearest[:usable], donors, called, neighbours, partly=False)


def _mean_of_nearest(
    row: FloatArray,
    columns: IntArray,
    nearest: IntArray,
    donors: npt.NDArray[Any],
    called: npt.NDArray[np.bool_],
    neighbours: int,
    *,
    partly: bool,
) -> IntArray:
    """Set `columns` of the row to the mean of the first `neighbours` calls among the `nearest` donors.

    Returns the columns that `nearest`, which holds only a part of the donors, has too few calls of; these are not set.
    """
    known = called[np.ix_(nearest, columns)]
    count = known.cumsum(axis=0)
    used = known & (count <= neighbours)
    n_used = used.sum(axis=0)
    ready = n_used == neighbours if partly else n_used > 0
    calls = donors[np.ix_(nearest, columns[ready])].astype(np.float64)
    row[columns[ready]] = np.where(used[:, ready], calls, 0.0).sum(axis=0) / n_used[ready]
    return columns[~ready] if partly else columns[:0]


def _distances(values: FloatArray, donors: npt.NDArray[Any]) -> FloatArray:
    """Return squared distances over the variants that both have, scaled to all; infinite where they share none."""
    n, m, width = len(values), len(donors), values.shape[1]
    known = values[~np.isnan(values)]
    # sums of whole numbers are exact in single precision; differences of others would drown
    exact = donors.dtype == np.uint8 and bool((np.rint(known) == known).all())
    precision = np.float32 if exact else np.float64
    squared, shared = np.zeros((n, m)), np.zeros((n, m))
    for start in range(0, width, max(1, _BLOCK_CELLS // max(n, m, 1))):
        part = slice(start, start + max(1, _BLOCK_CELLS // max(n, m, 1)))
        mine, theirs = values[:, part], _expanded(donors, part)
        my_calls, their_calls = (~np.isnan(mine)).astype(precision), (~np.isnan(theirs)).astype(precision)
        x, y = np.nan_to_num(mine, nan=0.0).astype(precision), np.nan_to_num(theirs, nan=0.0).astype(precision)
        squared += (x * x) @ their_calls.T + my_calls @ (y * y).T - 2.0 * (x @ y.T)
        shared += my_calls @ their_calls.T
    scaled = np.maximum(squared, 0.0) * (width / np.maximum(shared, 1.0))
    return np.where(shared > 0, scaled, np.inf)


def _column_blocks(values: FloatArray) -> list[slice]:
    n, width = values.shape
    step = max(1, _BLOCK_CELLS // max(n, 1))
    return [slice(start, min(start + step, width)) for start in range(0, width, step)]
