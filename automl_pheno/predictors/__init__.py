"""Predictors under one protocol: the baselines, and the network.

A new baseline is one file that registers itself in ``PREDICTORS`` and a line here. ``network.py`` is imported only
where a network is used, since it loads Keras: go through `make_predictor` and `load_predictor`.
"""

from automl_pheno.predictors import boosting, elastic_net, forest, gblup, mean, ridge, rkhs  # noqa: F401 - they register
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Predictor, Report
from automl_pheno.predictors.storage import load_predictor, make_predictor, read_header, read_variants, save_predictor

__all__ = [
    "PREDICTORS",
    "CuratedPredictor",
    "FitSummary",
    "Predictor",
    "Report",
    "load_predictor",
    "make_predictor",
    "read_header",
    "read_variants",
    "save_predictor",
]
