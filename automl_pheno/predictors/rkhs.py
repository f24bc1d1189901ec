"""RKHS regression with a Gaussian kernel."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.encoding import Encoding, learn
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Report
from automl_pheno.predictors.shrinkage import decompose, reml_penalty
from automl_pheno.predictors.state import check_examples, fitted, read_state, write_state

BANDWIDTHS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
SEQUENCE_FEATURES = ("one_hot", "kmers_5")
MOST_FOR_CHOICE = 1000
MOST_DENSE = 10_000
LANDMARKS = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelState:
    """``prediction = intercept + k(x, landmarks) weights``.

    Attributes
    ----------
    encoding
        Makes the columns.
    landmarks
        Columns of the training samples the kernel is taken to, float32, shape (m, p).
    scale
        The kernel is ``exp(-scale d^2)``.
    intercept
        Phenotype units.
    weights
        Shape (m,).
    """

    encoding: Encoding
    landmarks: FloatArray
    scale: float
    intercept: float
    weights: FloatArray


@PREDICTORS.add("rkhs")
class RKHS:
    """RKHS regression (Gianola et al. 2006; de los Campos et al. 2010) with K = exp(-h d^2 / median d^2).

    d is the Euclidean distance of dosages, or of one-hot bases or 5-mer counts of sequences. The columns, h and the
    ratio of noise to genetic variance maximise one restricted likelihood, on at most 1,000 training samples drawn at
    random. The weights are then solved for all training samples; above 10,000, for 2,000 random landmarks
    (Nyström; Williams & Seeger 2001). With weights, the noise variance of a sample is divided by its weight
    in this last step only, and copies of a sample count as its weight; see `GBLUP`.
    """

    kind = "rkhs"
    copies_are_weights = True

    def __init__(self) -> None:
        self._state: KernelState | None = None

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,  # noqa: ARG002  # part of the protocol; only `train` is learnt from
        *,
        rng: np.random.Generator,
        report: Report | None = None,  # noqa: ARG002
    ) -> FitSummary:
        """Learn from `train`; see the class. Raises PredictorError."""
        start = time.perf_counter()
        check_examples(train, self.kind)
        candidates = SEQUENCE_FEATURES if train.inputs.kind == "sequence" else ("dosage",)
        drawn = np.sort(rng.permutation(len(train))[:MOST_FOR_CHOICE])
        tried = [_choose(train, features, drawn) for features in candidates]
        likelihood, h, ratio, scale, encoding, design = max(tried, key=lambda item: item[0])
        rows = np.arange(len(train)) if len(train) <= MOST_DENSE else np.sort(rng.permutation(len(train))[:LANDMARKS])
        landmarks = design.take(rows)
        intercept, weights = (
            (float(np.average(train.y, weights=train.weights)), np.zeros(len(rows)))
            if not np.isfinite(ratio)
            else _solve(design, landmarks, train, scale, ratio)
        )
        self._state = KernelState(
            encoding=encoding, landmarks=landmarks.columns, scale=scale, intercept=intercept, weights=weights
        )
        chosen: dict[str, float | int | str] = {
            "features": encoding.features,
            "bandwidth": h,
            "chosen_on": len(drawn),
            "landmarks": len(rows) if len(rows) < len(train) else "all",
        }
        if np.isfinite(ratio):
            chosen |= {"variance_ratio": ratio, "log_restricted_likelihood": likelihood}
        return FitSummary(weights=len(weights) + 1, seconds=time.perf_counter() - start, chosen=chosen)

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        state: KernelState = fitted(self._state, self.kind)
        columns = state.encoding.columns(inputs)
        landmarks = Design(columns=state.landmarks, mean=state.encoding.mean)
        out = np.empty(len(columns))
        step = max(1, 20_000_000 // max(len(state.weights), 1))
        for start in range(0, len(columns), step):
            design = Design(columns=columns[start : start + step], mean=state.encoding.mean)
            out[start : start + step] = _kernel(design.squared_distances(landmarks), state.scale) @ state.weights
        return state.intercept + out

    def save(self, folder: Path) -> None:
        """Write the state, the training columns among it, into the existing `folder`."""
        state: KernelState = fitted(self._state, self.kind)
        arrays, values = state.encoding.state()
        arrays |= {
            "landmarks": state.landmarks,
            "weights": state.weights,
            "scalars": np.array([state.scale, state.intercept]),
        }
        write_state(folder, self.kind, arrays, values)

    @classmethod
    def load(cls, folder: Path) -> RKHS:
        """Return what `save` wrote."""
        arrays, values = read_state(folder, cls.kind)
        predictor = cls()
        predictor._state = _restore(arrays, values)
        return predictor


def _restore(arrays: dict[str, npt.NDArray[Any]], values: dict[str, Any]) -> KernelState:
    scale, intercept = map(float, arrays["scalars"])
    return KernelState(
        encoding=Encoding.restore(arrays, values),
        landmarks=arrays["landmarks"],
        scale=scale,
        intercept=intercept,
        weights=arrays["weights"],
    )


def _kernel(squared: FloatArray, scale: float) -> FloatArray:
    """Turn squared distances into the kernel, in place."""
    squared *= -scale
    return np.exp(squared, out=squared)


def _choose(
    train: Examples, features: str, drawn: npt.NDArray[np.int64]
) -> tuple[float, float, float, float, Encoding, Design]:
    """Return likelihood, bandwidth, variance ratio, kernel scale, encoding and design of the likeliest bandwidth."""
    encoding, columns = learn(train.inputs, features)
    design = Design(columns=columns, mean=encoding.mean)
    sample, y = design.take(drawn), train.y[drawn]
    squared = sample.squared_distances(sample)
    above = squared[np.triu_indices(len(squared), 1)]
    median = float(np.median(above[above > 0])) if (above > 0).any() else 1.0
    best: tuple[float, float, float, float, Encoding, Design] | None = None
    for h in BANDWIDTHS:
        ratio, likelihood = reml_penalty(decompose(_kernel(squared.copy(), h / median)), y)
        comparable = likelihood if np.isfinite(ratio) else -np.inf
        if best is None or comparable > best[0]:
            best = (comparable, h, ratio, h / median, encoding, design)
    if best is None:  # pragma: no cover  # BANDWIDTHS is not empty
        raise AssertionError
    return best


def _solve(design: Design, landmarks: Design, train: Examples, scale: float, ratio: float) -> tuple[float, FloatArray]:
    """Return intercept and kernel weights of the penalised fit with an unpenalised intercept."""
    from scipy.linalg import cho_factor, cho_solve

    m, y, by = len(landmarks), train.y, train.weights
    inner = _kernel(landmarks.squared_distances(landmarks), scale)
    if m == len(design):
        inner[np.diag_indices(m)] += ratio if by is None else ratio / by
        factor = cho_factor(inner, lower=True, overwrite_a=True)
        solved = cho_solve(factor, np.column_stack([y, np.ones(m)]))
        intercept = float(solved[:, 0].sum() / solved[:, 1].sum())
        return intercept, solved[:, 0] - intercept * solved[:, 1]
    gram, moment, total = np.zeros((m, m)), np.zeros(m), np.zeros(m)
    centre = np.average(y, weights=by)
    residual = y - centre
    for start in range(0, len(design), 4096):
        part = np.arange(start, min(start + 4096, len(design)))
        block = _kernel(design.take(part).squared_distances(landmarks), scale)
        scaled = block if by is None else by[part, None] * block
        gram += scaled.T @ block
        moment += scaled.T @ residual[part]
        total += scaled.sum(axis=0)
    n = len(design) if by is None else float(by.sum())
    mean = total / n
    gram -= n * np.outer(mean, mean)
    gram += ratio * inner
    gram[np.diag_indices(m)] += 1e-9 * float(np.trace(gram)) / m
    weights = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), moment)
    return float(centre - mean @ weights), weights
