"""The public functions: search, load, read; a run and its winner as Python objects."""

from automl_pheno.api.best import Best
from automl_pheno.api.data import Data, read
from automl_pheno.api.plan import search
from automl_pheno.api.predict import Predicted, predict_file
from automl_pheno.api.run import Run, load
from automl_pheno.api.simulated import simulate

__all__ = ["Best", "Data", "Predicted", "Run", "load", "predict_file", "read", "search", "simulate"]
