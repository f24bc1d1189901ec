"""Random forest."""

from __future__ import annotations

import time

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.predictors.calibration import out_of_fold
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Report
from automl_pheno.predictors.state import check_examples
from automl_pheno.predictors.trees import TreePredictor, TreeState, standardise, tree_columns

N_TREES = 100
MAX_COLUMNS = 10_000
COLUMNS_A_SPLIT = 120
N_FOLDS = 3


@PREDICTORS.add("forest")
class Forest(TreePredictor):
    """Random forest (Breiman 2001) by scikit-learn: 100 trees, leaves of 3 samples or more.

    A split looks at a third of the columns, at most 120. Above 10,000 columns those most correlated with y in
    training are used. A mean of trees is drawn towards the middle, so its scale and level are corrected by what
    forests of two thirds of the training groups predict of the last third.
    """

    kind = "forest"

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,  # noqa: ARG002  # part of the protocol; only `train` is learnt from
        *,
        rng: np.random.Generator,
        report: Report | None = None,  # noqa: ARG002
    ) -> FitSummary:
        """Learn from `train`. Raises PredictorError."""
        start = time.perf_counter()
        check_examples(train, self.kind)
        seed = int(rng.integers(2**31))
        state = _grow(train, seed)

        def predict(part: Examples, inputs: Inputs) -> FloatArray:
            return _grow(part, seed).predict(inputs)

        self._state = state.corrected(out_of_fold(train, N_FOLDS, rng, predict))
        leaves = sum(int(tree.get_n_leaves()) for tree in state.estimator.estimators_)
        return FitSummary(
            weights=leaves,
            seconds=time.perf_counter() - start,
            chosen={"features": state.encoding.features, "columns": len(state.used), "trees": N_TREES},
        )


def _grow(train: Examples, seed: int) -> TreeState:
    from sklearn.ensemble import RandomForestRegressor

    encoding, columns, used = tree_columns(train, MAX_COLUMNS)
    scaled, centre, spread = standardise(train.y)
    forest = RandomForestRegressor(
        n_estimators=N_TREES,
        max_features=max(1, min(len(used) // 3, COLUMNS_A_SPLIT)),
        min_samples_leaf=3,
        random_state=seed,
        n_jobs=1,
    )
    forest.fit(columns, scaled, sample_weight=train.weights)
    return TreeState(encoding=encoding, used=used, estimator=forest, centre=centre, spread=spread)
