"""Gradient-boosted trees."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray, IntArray
from automl_pheno.predictors.inner_folds import inner_folds
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Report
from automl_pheno.predictors.state import check_examples
from automl_pheno.predictors.trees import TreePredictor, TreeState, standardise, tree_columns

MAX_COLUMNS = 1000
MAX_TREES = 300
CHUNK = 50
N_FOLDS = 5


@PREDICTORS.add("boosting")
class Boosting(TreePredictor):
    """Gradient boosting on histograms by scikit-learn; the number of trees on an inner fifth of whole groups.

    Up to 300 trees are grown on the other four fifths, 50 at a time, until the held-out error stops falling; all
    training samples are then boosted for the best number. Above 1,000 columns those most correlated with y in
    training are used, the inner fifth left out while it judges.
    """

    kind = "boosting"

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,  # noqa: ARG002  # part of the protocol; only `train` is learnt from
        *,
        rng: np.random.Generator,
        report: Report | None = None,  # noqa: ARG002
    ) -> FitSummary:
        """Learn from `train`. Raises PredictorError, also where it has fewer than 2 groups."""
        start = time.perf_counter()
        check_examples(train, self.kind)
        held_out = inner_folds(train.groups, N_FOLDS, rng)[0]
        seed = int(rng.integers(2**31))
        n_trees = _choose_trees(train, held_out, seed)
        encoding, columns, used = tree_columns(train, MAX_COLUMNS)
        scaled, centre, spread = standardise(train.y)
        estimator = _booster(n_trees, seed)
        estimator.fit(columns, scaled, sample_weight=train.weights)
        self._state = TreeState(encoding=encoding, used=used, estimator=estimator, centre=centre, spread=spread)
        leaves = sum(int(tree.get_n_leaf_nodes()) for stage in estimator._predictors for tree in stage)
        return FitSummary(
            weights=leaves,
            seconds=time.perf_counter() - start,
            chosen={"features": encoding.features, "columns": len(used), "trees": n_trees},
        )


def _booster(n_trees: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        learning_rate=0.1,
        max_iter=n_trees,
        max_leaf_nodes=15,
        min_samples_leaf=10,
        l2_regularization=1.0,
        max_bins=63,
        early_stopping=False,
        random_state=seed,
    )


def _choose_trees(train: Examples, held_out: IntArray, seed: int) -> int:
    """Return the number of trees with the smallest error on the held-out rows."""
    inside = np.ones(len(train), dtype=bool)
    inside[held_out] = False
    part = train.take(np.flatnonzero(inside))
    if len(part) < 2:
        return CHUNK
    encoding, columns, used = tree_columns(part, MAX_COLUMNS)
    scaled, centre, spread = standardise(part.y)
    rival = encoding.columns(train.inputs.take(held_out))[:, used]
    y = (train.y[held_out] - centre) / spread
    estimator = _booster(CHUNK, seed).set_params(warm_start=True)
    weights = None if train.weights is None else train.weights[held_out]
    errors: FloatArray = np.zeros(0)
    while len(errors) < MAX_TREES:
        estimator.set_params(max_iter=len(errors) + CHUNK).fit(columns, scaled, sample_weight=part.weights)
        errors = np.array([float(np.average((y - p) ** 2, weights=weights)) for p in estimator.staged_predict(rival)])
        if int(np.argmin(errors)) < len(errors) - CHUNK // 2:
            break
    return int(np.argmin(errors)) + 1
