"""Explainers: each gives the contribution of every position or variant. Importing this registers them all."""

from automl_pheno.explain.methods import additive as _additive  # noqa: F401  registers linear, mean
from automl_pheno.explain.methods import gradients as _gradients  # noqa: F401  registers deeplift, expected_gradients
from automl_pheno.explain.methods import ism as _ism  # noqa: F401  registers ism
from automl_pheno.explain.methods import permutation as _permutation  # noqa: F401  registers permutation
