"""Expected gradients and DeepLIFT-SHAP of a network predictor, in phenotype units."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.methods.compiled import compile_gradient, in_batches
from automl_pheno.explain.methods.deeplift import deeplift_multipliers
from automl_pheno.explain.references import References, make_references
from automl_pheno.explain.registry import EXPLAINERS, ExplainError, ExplainRequest, NetworkLike

STRATA = 16
BATCH = 256
UNSHUFFLED = 0.9


def expected_gradient_multipliers(
    model: Any,
    x: FloatArray,
    references: FloatArray,
    *,
    rng: np.random.Generator,
    strata: int = STRATA,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean gradient between each sample and each of its references.

    The line from reference to sample is cut into `strata` equal parts and a point drawn in each, which takes most
    of the sampling error out of the mean (Erion et al. 2021, expected gradients; stratified here).

    Parameters
    ----------
    model
        ``keras.Model`` with one output.
    x
        Encoded samples, float32, shape (n, width, channels).
    references
        Encoded references, float32, shape (n, n_references, width, channels).

    Returns
    -------
    multipliers
        Shape (n, n_references, width, channels).
    outputs, reference_outputs
        Model outputs, shapes (n,) and (n, n_references).
    """
    from keras import ops

    def outputs(_: Any, points: Any) -> Any:
        return ops.reshape(model(points, training=False), (-1,))

    gradient = compile_gradient(model, outputs, ops.sum)
    n, count = references.shape[:2]
    of_references = _model_outputs(gradient, references.reshape(n * count, *x.shape[1:])).reshape(n, count)
    of_samples = _model_outputs(gradient, x)
    multipliers = np.zeros(references.shape, dtype=np.float32)
    for row in range(n):  # one row at a time keeps memory at n_references x strata inputs
        alphas = (np.arange(strata) + rng.random((count, strata))) / strata
        shape = (count, strata, *([1] * (x.ndim - 1)))
        points = (
            references[row][:, None] + alphas.reshape(shape).astype(np.float32) * (x[row] - references[row])[:, None]
        )
        flat = points.reshape(count * strata, *x.shape[1:])
        gradients, _ = in_batches(gradient, flat[:, :0], flat, BATCH)
        multipliers[row] = gradients.reshape(count, strata, *x.shape[1:]).mean(axis=1)
    return multipliers, of_samples, of_references


def _model_outputs(gradient: Any, encoded: FloatArray) -> FloatArray:
    return in_batches(gradient, encoded[:, :0], encoded, BATCH)[1]


@EXPLAINERS.add("expected_gradients")
def explain_by_expected_gradients(request: ExplainRequest) -> Contributions:
    """Explain a network by gradients averaged between each sample and its references."""
    network, references, x, r = _encoded(request)
    multipliers, fx, fr = expected_gradient_multipliers(network.model, x, r, rng=request.rng)
    return _contributions(network, request.inputs, references, x, r, multipliers, fx, fr, {"strata": STRATA})


@EXPLAINERS.add("deeplift")
def explain_by_deeplift(request: ExplainRequest) -> Contributions:
    """Explain a network by DeepLIFT-SHAP with the rescale rule (Shrikumar et al. 2017, Lundberg & Lee 2017).

    Raises
    ------
    UnsupportedLayerError
        The network has a layer without a rule.
    """
    network, references, x, r = _encoded(request)
    multipliers, fx, fr = deeplift_multipliers(network.model, x, r)
    return _contributions(network, request.inputs, references, x, r, multipliers, fx, fr, {"rule": "rescale"})


def _encoded(request: ExplainRequest) -> tuple[NetworkLike, References, FloatArray, FloatArray]:
    predictor = request.predictor
    if not isinstance(predictor, NetworkLike):
        msg = f"gradient methods explain networks only; got predictor {request.predictor.kind!r}"
        raise ExplainError(msg)
    references = make_references(
        request.inputs,
        request.background,
        rng=request.rng,
        count=request.n_references,
        kind=request.references,
    )
    x = np.asarray(predictor.encode(request.inputs), dtype=np.float32)
    n, count, width = references.values.shape
    shared = references.kind == "training"  # the same for every sample: encode them once
    flat = references.values[0] if shared else references.values.reshape(n * count, width)
    encoded = np.asarray(
        predictor.encode(Inputs(kind=request.inputs.kind, values=flat, variants=request.inputs.variants)),
        dtype=np.float32,
    )
    shape = (n, count, *x.shape[1:])
    r = np.broadcast_to(encoded[None], shape) if shared else encoded.reshape(shape)
    return predictor, references, x, r


def _contributions(
    network: NetworkLike,
    inputs: Inputs,
    references: References,
    x: FloatArray,
    r: FloatArray,
    multipliers: FloatArray,
    fx: FloatArray,
    fr: FloatArray,
    notes: dict[str, Any],
) -> Contributions:
    """Turn multipliers into phenotype units; the hypothetical contribution of base b is ``m_b - sum_c m_c r_c``."""
    n, width = inputs.values.shape
    values = np.zeros((n, width))
    deltas = np.zeros(fr.shape)
    hypothetical = np.zeros(x.shape) if inputs.kind == "sequence" else None
    for row in range(n):
        m = multipliers[row].astype(np.float64)
        pairs = (m * (x[row].astype(np.float64) - r[row])).sum(axis=-1)
        deltas[row] = pairs.sum(axis=1) - (float(fx[row]) - fr[row].astype(np.float64))
        values[row] = pairs.mean(axis=0)
        if hypothetical is not None:
            hypothetical[row] = (m - (m * r[row]).sum(axis=-1, keepdims=True)).mean(axis=0)
    sd = float(network.y_sd)
    unshuffled = int((references.similarity > UNSHUFFLED).sum()) if references.kind == "shuffles" else 0
    spread = float(fx.max() - fx.min()) * sd
    notes |= {
        "references": references.kind,
        "references_per_sample": references.count,
        "output_spread": spread,
        "max_abs_delta": float(np.abs(deltas).max()) * sd,
        "samples_that_shuffling_left_alike": unshuffled,
    }
    return Contributions(
        values=values * sd,
        base_value=fr.astype(np.float64).mean(axis=1) * sd + float(network.y_mean),
        rows=np.arange(n, dtype=np.int64),
        hypothetical=None if hypothetical is None else hypothetical * sd,
        deltas=deltas * sd,
        notes=notes,
    )
