"""DeepLIFT-SHAP and gradient methods of a network predictor, in phenotype units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.methods.compiled import Compiled, compile_gradient, in_batches
from automl_pheno.explain.methods.deeplift import deeplift_batches
from automl_pheno.explain.references import References, draw_rows, make_references
from automl_pheno.explain.registry import EXPLAINERS, ExplainError, ExplainRequest, NetworkLike

STRATA = 16
STEPS = 64
NOISY = 50
NOISE = 0.15
BATCH = 256
BASELINE_ROWS = 500
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
    gradient = compile_gradient(model)
    found = [_between(gradient, x[row], references[row], strata, rng) for row in range(len(x))]
    m, fx, fr = (np.stack([part[place] for part in found]) for place in range(3))
    return m, fx[:, 0], fr


def _between(
    gradient: Compiled, x: FloatArray, references: FloatArray, parts: int, rng: np.random.Generator | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean gradient on the lines from `references` to one sample, its output, theirs.

    Points are drawn within `parts` equal parts of a line, or taken at their middles without `rng`.
    """
    count = len(references)
    inside = rng.random((count, parts)) if rng is not None else 0.5
    alphas = np.broadcast_to((np.arange(parts) + inside) / parts, (count, parts))
    alphas = alphas.reshape(count, parts, *([1] * x.ndim)).astype(np.float32)
    points = references[:, None] + alphas * (x - references)[:, None]
    rows = np.concatenate([x[None], references, points.reshape(count * parts, *x.shape)])
    gradients, y = in_batches(gradient, rows, -(-len(rows) // -(-len(rows) // BATCH)))
    mean = gradients[1 + count :].reshape(count, parts, *x.shape).mean(axis=1)
    return mean, y[:1], y[1 : 1 + count]


@EXPLAINERS.add("expected_gradients")
def explain_by_expected_gradients(request: ExplainRequest) -> Contributions:
    """Explain a network by gradients averaged between each sample and its references."""
    network, x = _network(request)
    references, encode, _ = _references(request, network)
    gradient = compile_gradient(network.model)
    sums = _Sums.of(request, references.count)
    for row in range(len(x)):
        r = encode(row, row + 1)[0]
        m, fx, fr = _between(gradient, x[row], r, STRATA, request.rng)
        sums.add(slice(row, row + 1), x[row : row + 1], r[None], m[None], fx, fr[None])
    return sums.contributions(network, {"strata": STRATA, **_about(references)})


@EXPLAINERS.add("deeplift")
def explain_by_deeplift(request: ExplainRequest) -> Contributions:
    """Explain a network by DeepLIFT-SHAP with the rescale rule (Shrikumar et al. 2017, Lundberg & Lee 2017).

    Raises
    ------
    UnsupportedLayerError
        The network has a layer without a rule.
    """
    network, x = _network(request)
    references, encode, shared = _references(request, network)
    sums = _Sums.of(request, references.count)
    given = encode if shared is None else shared
    for rows, r, m, fx, fr in deeplift_batches(network.model, x, given, references.count):
        sums.add(rows, x[rows], r if shared is None else r[None], m, fx, fr)
    return sums.contributions(network, {"rule": "rescale", **_about(references)})


@EXPLAINERS.add("integrated_gradients")
def explain_by_integrated_gradients(request: ExplainRequest) -> Contributions:
    """Explain a network by gradients averaged from a baseline to the sample (Sundararajan et al. 2017).

    The baseline has equal probabilities of the four bases, or the mean of training individuals.
    """
    network, x = _network(request)
    gradient = compile_gradient(network.model)
    baselines, about = _baselines(request, network, x)
    sums = _Sums.of(request, 1)
    for row in range(len(x)):
        m, fx, fr = _between(gradient, x[row], baselines[row][None], STEPS, None)
        sums.add(slice(row, row + 1), x[row : row + 1], baselines[row][None, None], m[None], fx, fr[None])
    return sums.contributions(network, {"steps": STEPS, **about})


@EXPLAINERS.add("gradient_x_input")
def explain_by_gradient_x_input(request: ExplainRequest) -> Contributions:
    """Explain a network by the gradient at the sample times its difference from the baseline; not complete."""
    network, x = _network(request)
    gradient = compile_gradient(network.model)
    m, fx = in_batches(gradient, x, BATCH)
    return _at_sample(request, network, x, m, fx, gradient, {})


@EXPLAINERS.add("smoothgrad")
def explain_by_smoothgrad(request: ExplainRequest) -> Contributions:
    """Explain a network by the gradient averaged over noisy copies of the sample (Smilkov et al. 2017); not complete.

    The noise has a standard deviation of 15 % of the range of the encoded samples; copies come in pairs of opposite
    noise.
    """
    network, x = _network(request)
    gradient = compile_gradient(network.model)
    sd = NOISE * float(np.ptp(x))
    m = np.zeros_like(x)
    for row in range(len(x)):
        noise = request.rng.normal(0.0, sd, (NOISY // 2, *x.shape[1:])).astype(np.float32)
        m[row] = in_batches(gradient, np.concatenate([x[row] + noise, x[row] - noise]), NOISY)[0].mean(axis=0)
    fx = in_batches(gradient, x, BATCH)[1]
    return _at_sample(request, network, x, m, fx, gradient, {"noisy_copies": NOISY, "noise_sd": sd})


def _at_sample(
    request: ExplainRequest,
    network: NetworkLike,
    x: FloatArray,
    m: FloatArray,
    fx: FloatArray,
    gradient: Compiled,
    notes: dict[str, Any],
) -> Contributions:
    baselines, about = _baselines(request, network, x)
    fr = in_batches(gradient, baselines, BATCH)[1]
    sums = _Sums.of(request, 1)
    sums.add(slice(0, len(x)), x, baselines[:, None], m[:, None], fx, fr[:, None])
    return sums.contributions(network, {**notes, **about, "complete": False})


def _baselines(request: ExplainRequest, network: NetworkLike, x: FloatArray) -> tuple[FloatArray, dict[str, Any]]:
    """Return the encoded baseline of each sample, and what the manifest says of it.

    ``sum_c g_c (x_c - 1/4)`` is the gradient at the base minus its mean over the four: the part of the gradient that
    points off the simplex of probabilities drops out (Majdandzic et al. 2023). Padding has no difference.
    """
    if request.inputs.kind == "sequence":
        return np.broadcast_to(0.25 * x.sum(axis=-1, keepdims=True), x.shape).astype(np.float32), {
            "baseline": "equal probabilities of the four bases",
            "correction": "off-simplex: gradient minus its mean over the four bases",
        }
    background = request.background
    drawn = background.take(draw_rows(len(background), BASELINE_ROWS, request.rng))
    mean = np.asarray(network.encode(drawn), dtype=np.float64).mean(axis=0).astype(np.float32)
    return np.broadcast_to(mean, x.shape), {
        "baseline": f"mean of {len(drawn)} training individuals",
        "correction": "none: dosages do not lie on a simplex",
    }


def _network(request: ExplainRequest) -> tuple[NetworkLike, FloatArray]:
    predictor = request.predictor
    if not isinstance(predictor, NetworkLike):
        msg = f"gradient methods explain networks only; got predictor {request.predictor.kind!r}"
        raise ExplainError(msg)
    return predictor, np.asarray(predictor.encode(request.inputs), dtype=np.float32)


def _references(
    request: ExplainRequest, network: NetworkLike
) -> tuple[References, Callable[[int, int], FloatArray], FloatArray | None]:
    """Return the references, a function that encodes those of some samples, and those that all share if they do."""
    inputs = request.inputs
    references = make_references(
        inputs, request.background, rng=request.rng, count=request.n_references, kind=request.references
    )

    def encoded(values: Any) -> FloatArray:
        flat = values.reshape(-1, values.shape[-1])
        rows = network.encode(Inputs(kind=inputs.kind, values=flat, variants=inputs.variants))
        return np.asarray(rows, dtype=np.float32)

    if references.kind == "training":  # the same for every sample: encode them once
        shared = encoded(references.values[0])
        return references, lambda start, stop: np.broadcast_to(shared[None], (stop - start, *shared.shape)), shared

    def own(start: int, stop: int) -> FloatArray:
        rows = encoded(references.values[start:stop])
        return rows.reshape(stop - start, references.count, *rows.shape[1:])

    return references, own, None


def _about(references: References) -> dict[str, Any]:
    unshuffled = int((references.similarity > UNSHUFFLED).sum()) if references.kind == "shuffles" else 0
    return {
        "references": references.kind,
        "references_per_sample": references.count,
        "samples_that_shuffling_left_alike": unshuffled,
    }


@dataclass(slots=True, kw_only=True)
class _Sums:
    """Contributions in units of the network's output, filled a few samples at a time."""

    values: FloatArray
    deltas: FloatArray
    outputs: FloatArray
    of_references: FloatArray
    hypothetical: FloatArray | None = None

    @classmethod
    def of(cls, request: ExplainRequest, count: int) -> _Sums:
        n, width = request.inputs.values.shape
        return cls(
            values=np.zeros((n, width)),
            deltas=np.zeros((n, count)),
            outputs=np.zeros(n),
            of_references=np.zeros((n, count)),
            hypothetical=np.zeros((n, width, 4)) if request.inputs.kind == "sequence" else None,
        )

    def add(self, rows: slice, x: FloatArray, r: FloatArray, m: FloatArray, fx: FloatArray, fr: FloatArray) -> None:
        """Add samples `rows` from multipliers (n, count, width, channels).

        The hypothetical contribution of base b is ``m_b - sum_c m_c r_c``.
        """
        m = m.astype(np.float64)
        of_reference = np.einsum("nkwc,nkwc->nkw", m, np.broadcast_to(r, m.shape))
        pairs = np.einsum("nkwc,nwc->nkw", m, x) - of_reference
        self.values[rows] = pairs.mean(axis=1)
        self.outputs[rows], self.of_references[rows] = fx, fr
        self.deltas[rows] = pairs.sum(axis=2) - (self.outputs[rows, None] - self.of_references[rows])
        if self.hypothetical is not None:
            self.hypothetical[rows] = m.mean(axis=1) - of_reference.mean(axis=1)[:, :, None]

    def contributions(self, network: NetworkLike, notes: dict[str, Any]) -> Contributions:
        """Return phenotype units."""
        sd = float(network.y_sd)
        return Contributions(
            values=self.values * sd,
            base_value=self.of_references.mean(axis=1) * sd + float(network.y_mean),
            rows=np.arange(len(self.values), dtype=np.int64),
            hypothetical=None if self.hypothetical is None else self.hypothetical * sd,
            deltas=self.deltas * sd,
            notes={
                **notes,
                "output_spread": float(np.ptp(self.outputs)) * sd,
                "max_abs_delta": float(np.abs(self.deltas).max()) * sd,
            },
        )
