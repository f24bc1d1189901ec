"""Exact explanations: of predictors that are linear, and of the mean."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.registry import EXPLAINERS, ExplainError, ExplainRequest, LinearLike


@EXPLAINERS.add("linear")
def explain_linear(request: ExplainRequest) -> Contributions:
    """Explain by ``effect * (x - mean of the background)``: exact SHAP values of a linear predictor.

    A missing dosage counts as the background's mean, so its contribution is 0.
    """
    predictor = request.predictor
    if not isinstance(predictor, LinearLike):
        msg = f"method 'linear' needs a predictor with linear effects; got predictor {predictor.kind!r}"
        raise ExplainError(msg)
    found = predictor.linear_effects()
    if found is None:
        msg = f"predictor {predictor.kind!r} is linear, but not in positions or variants"
        raise ExplainError(msg)
    effects = np.asarray(found, dtype=np.float64)
    mean = _encode(request.background).mean(axis=0)
    x = _encode(request.inputs)
    if request.inputs.kind == "genotype":
        dosage = request.background.values.astype(np.float64)
        called = np.isfinite(dosage)
        mean = np.where(called, dosage, 0.0).sum(axis=0) / np.maximum(called.sum(axis=0), 1)
        x = np.where(np.isfinite(x), x, mean)
    if effects.shape != mean.shape:
        msg = f"linear effects must have shape {mean.shape}, got {effects.shape}"
        raise ExplainError(msg)
    values = effects * (x - mean)
    if values.ndim == 3:
        values = values.sum(axis=2)
    return Contributions(
        values=values,
        base_value=np.full(len(values), float(np.mean(predictor.predict(request.background)))),
        rows=np.arange(len(values), dtype=np.int64),
        notes={"references": "training", "background_samples": len(request.background)},
    )


def _encode(inputs: Inputs) -> FloatArray:
    if inputs.kind == "genotype":
        return inputs.values.astype(np.float64)
    return one_hot(inputs.values).astype(np.float64)


@EXPLAINERS.add("mean")
def explain_mean(request: ExplainRequest) -> Contributions:
    """Explain the mean predictor: nothing contributes. Refuses a predictor whose predictions differ."""
    predicted = request.predictor.predict(request.inputs)
    if len(predicted) and float(np.ptp(predicted)) != 0.0:
        msg = f"method 'mean' needs a constant predictor; got predictor {request.predictor.kind!r}"
        raise ExplainError(msg)
    return Contributions(
        values=np.zeros(request.inputs.values.shape),
        base_value=np.asarray(predicted, dtype=np.float64),
        rows=np.arange(len(predicted), dtype=np.int64),
        notes={"references": "none", "constant": True},
    )
