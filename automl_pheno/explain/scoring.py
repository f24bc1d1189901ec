"""Predictions for many changed inputs: one compiled call a batch for networks, plain ``predict`` for all others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.explain.registry import NetworkLike
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import Predictor

Score = Callable[[Inputs], FloatArray]
"""Inputs of the width of the data -> predictions in the units of an `Attribution`, float64, shape (n,)."""

BATCH = 512


def score_function(predictor: Predictor) -> Score:
    """Return what predicts many inputs quickly.

    Of a `CuratedPredictor` the inner one is asked, on curated inputs, as `explain` does: with ``trait: rank_normal``
    the values are normal scores.
    """
    curation = predictor.curation if isinstance(predictor, CuratedPredictor) else None
    inner = predictor.inner if isinstance(predictor, CuratedPredictor) else predictor
    ask = _network(inner) if isinstance(inner, NetworkLike) else inner.predict

    def score(inputs: Inputs) -> FloatArray:
        return np.asarray(ask(inputs if curation is None else curation.inputs(inputs)), dtype=np.float64)

    return score


def _network(network: NetworkLike) -> Score:
    from automl_pheno.explain.methods.compiled import compile_outputs

    outputs = compile_outputs(network.model)

    def ask(inputs: Inputs) -> FloatArray:
        parts = []
        for start in range(0, len(inputs), BATCH):
            chunk = inputs.take(np.arange(start, min(start + BATCH, len(inputs))))
            encoded = network.encode(chunk)
            missing = BATCH - len(encoded)
            if missing:  # one batch size, one compilation
                encoded = np.concatenate([encoded, np.repeat(encoded[-1:], missing, axis=0)])
            parts.append(outputs(encoded)[: len(chunk)])
        scaled = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
        return scaled * float(network.y_sd) + float(network.y_mean)

    return ask
