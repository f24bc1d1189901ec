"""How well a predictor does on the folds of a split; the test set is never read here."""

from automl_pheno.evaluation.compare import (
    RANDOM,
    THIS,
    compare_splits,
    development_of,
    explain_comparison,
    random_like,
)
from automl_pheno.evaluation.cross_validation import CrossValidation, cross_validate, examples
from automl_pheno.evaluation.detectors import DETECTORS, detectors_for

__all__ = [
    "DETECTORS",
    "RANDOM",
    "THIS",
    "CrossValidation",
    "compare_splits",
    "cross_validate",
    "detectors_for",
    "development_of",
    "examples",
    "explain_comparison",
    "random_like",
]
