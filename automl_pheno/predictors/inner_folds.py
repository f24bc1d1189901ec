"""Inner cross-validation that keeps groups whole."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import IntArray
from automl_pheno.errors import PredictorError


def inner_folds(groups: IntArray, n_folds: int, rng: np.random.Generator) -> list[IntArray]:
    """Return the held-out row positions of each inner fold; no group lies in two.

    Groups are shuffled, then the largest goes first to the smallest fold.

    Parameters
    ----------
    groups
        Label of each sample, shape (n,).
    n_folds
        At most; fewer where there are fewer groups.
    rng
        Shuffles.

    Raises
    ------
    PredictorError
        There are fewer than 2 groups.
    """
    _, labels = np.unique(groups, return_inverse=True)
    sizes = np.bincount(labels)
    if len(sizes) < 2:
        msg = f"choosing a penalty by inner cross-validation needs at least 2 groups in training, got {len(sizes)}"
        raise PredictorError(msg)
    n_folds = min(n_folds, len(sizes))
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    filled = np.zeros(n_folds, dtype=np.int64)
    for group in order:
        smallest = int(np.argmin(filled))
        fold_of_group[group] = smallest
        filled[smallest] += sizes[group]
    fold = fold_of_group[labels]
    return [np.flatnonzero(fold == number).astype(np.int64) for number in range(n_folds)]
