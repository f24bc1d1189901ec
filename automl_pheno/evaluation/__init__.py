"""How well a predictor does on the folds of a split; the test set is never read here."""

from automl_pheno.evaluation.cross_validation import CrossValidation, cross_validate, examples

__all__ = ["CrossValidation", "cross_validate", "examples"]
