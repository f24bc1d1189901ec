"""The columns most correlated with the trait, for predictors whose cost grows with their number."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import FloatArray, IntArray


def strongest(columns: FloatArray, y: FloatArray, most: int, weights: FloatArray | None = None) -> IntArray:
    """Return the sorted numbers of the `most` columns with the largest absolute correlation with y.

    Parameters
    ----------
    columns
        Training rows only, shape (n, p).
    y
        Shape (n,).
    most
        At most so many; all are returned where there are no more.
    weights
        Of the rows; None is 1 for all.
    """
    p = columns.shape[1]
    if p <= most:
        return np.arange(p, dtype=np.int64)
    share = None if weights is None else weights / weights.sum()
    residual = (y - np.average(y, weights=weights)).astype(np.float64)
    if weights is not None:
        residual *= weights
    score = np.zeros(p)
    step = max(1, 8_000_000 // len(columns))
    for start in range(0, p, step):
        block = columns[:, start : start + step].astype(np.float64)
        if share is None:
            block -= block.mean(axis=0)
            norm = np.sqrt((block * block).sum(axis=0))
        else:
            block -= share @ block
            norm = np.sqrt(share @ (block * block))
        score[start : start + step] = np.abs(residual @ block) / np.where(norm > 0, norm, np.inf)
    return np.sort(np.argsort(-score, kind="stable")[:most]).astype(np.int64)
