"""Ridge regression on bases, k-mer counts or dosages."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import Examples
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.encoding import learn
from automl_pheno.predictors.inner_folds import inner_folds
from automl_pheno.predictors.linear import SEQUENCE_FEATURES, Chosen, LinearPredictor, LinearState, intercept
from automl_pheno.predictors.protocol import PREDICTORS
from automl_pheno.predictors.shrinkage import cross_validated_penalty, ridge_effects

N_FOLDS = 5


@PREDICTORS.add("ridge")
class Ridge(LinearPredictor):
    """Ridge regression (Hoerl & Kennard 1970); the penalty, and for sequences the columns, by inner cross-validation.

    Sequences: one-hot bases of aligned positions, counts of 5-mers, or counts of 5-mers on both strands.
    Genotypes: dosages. Columns are centred, not scaled. Solved in the smaller of samples and columns.
    """

    kind = "ridge"

    def _learn(self, train: Examples, rng: np.random.Generator) -> tuple[LinearState, Chosen]:
        folds = inner_folds(train.groups, N_FOLDS, rng)
        candidates = SEQUENCE_FEATURES if train.inputs.kind == "sequence" else ("dosage",)
        tried = []
        for features in candidates:
            encoding, columns = learn(train.inputs, features)
            penalty, error = cross_validated_penalty(
                Design.of_training(columns, encoding.mean, train.weights), train.y, folds
            )
            tried.append((error, features, penalty))
        error, features, penalty = min(tried)
        encoding, columns = learn(train.inputs, features)
        design = Design.of_training(columns, encoding.mean, train.weights)
        effects = ridge_effects(design, train.y, penalty)
        chosen: Chosen = {"features": features, "penalty": penalty, "inner_mse": error, "columns": len(effects)}
        centre = intercept(encoding, design, train.y, effects)
        return LinearState(encoding=encoding, intercept=centre, effects=effects), chosen
