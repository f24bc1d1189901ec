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

BATCH, FEW = 512, 32
"""Inputs of a call; so that each is compiled once, a call has one size or the other and is filled up."""
BLOCK_CELLS = 16_000_000
"""Codes or dosages that are given to ``predict`` of another predictor at once."""


def score_function(predictor: Predictor) -> Score:
    """Return what predicts many inputs quickly.

    Of a `CuratedPredictor` the inner one is asked, on curated inputs, as `explain` does: with ``trait: rank_normal``
    the values are normal scores.

    Raises
    ------
    ExplainError
        A network on a backend of Keras that is neither TensorFlow nor JAX.
    """
    curation = predictor.curation if isinstance(predictor, CuratedPredictor) else None
    inner = inner_predictor(predictor)
    ask = _network(inner) if isinstance(inner, NetworkLike) else _in_blocks(inner)

    def score(inputs: Inputs) -> FloatArray:
        return np.asarray(ask(inputs if curation is None else curation.inputs(inputs)), dtype=np.float64)

    return score


def inner_predictor(predictor: Predictor) -> Predictor:
    """Return what a curation stands in front of, or the predictor itself."""
    return predictor.inner if isinstance(predictor, CuratedPredictor) else predictor


def inner_inputs(predictor: Predictor, inputs: Inputs) -> Inputs:
    """Return inputs as the inner predictor reads them."""
    return predictor.curation.inputs(inputs) if isinstance(predictor, CuratedPredictor) else inputs


def _in_blocks(predictor: Predictor) -> Score:
    def ask(inputs: Inputs) -> FloatArray:
        size = max(1, BLOCK_CELLS // max(inputs.width, 1))
        parts = [
            predictor.predict(inputs.take(np.arange(start, min(start + size, len(inputs)))))
            for start in range(0, len(inputs), size)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    return ask


def _network(network: NetworkLike) -> Score:
    from automl_pheno.explain.methods.compiled import compile_outputs

    outputs = compile_outputs(network.model)

    def ask(inputs: Inputs) -> FloatArray:
        parts = []
        start = 0
        while start < len(inputs):
            size = BATCH if len(inputs) - start > FEW else FEW
            chunk = inputs.take(np.arange(start, min(start + size, len(inputs))))
            encoded = network.encode(chunk)
            missing = size - len(encoded)
            if missing:
                encoded = np.concatenate([encoded, np.repeat(encoded[-1:], missing, axis=0)])
            parts.append(outputs(encoded)[: len(chunk)])
            start += size
        scaled = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
        return scaled * float(network.y_sd) + float(network.y_mean)

    return ask
