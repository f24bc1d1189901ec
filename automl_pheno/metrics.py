"""Scores of a prediction, and their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.registry import Registry

Floats = npt.NDArray[np.floating[Any]]
Rowwise = Callable[[Floats, Floats], Floats]

_CELLS_AT_ONCE = 4_000_000
"""Resampled values held at a time, so that a bootstrap of any size needs about 100 MB."""


FEWEST_ON_A_LINE = 3
"""With fewer samples a line through them says nothing of how predictions are scaled."""


CALIBRATION = ("slope", "slope_low", "slope_high", "intercept", "intercept_low", "intercept_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One way to score a prediction.

    Attributes
    ----------
    name, label
        Registry name (``pearson_r``) and the text of a table or an axis (``Pearson r``).
    rowwise
        ``(y, prediction) -> scores`` over the last axis of two finite arrays of shape (m, n).
    higher_is_better
        False for errors.
    """

    name: str
    label: str
    rowwise: Rowwise
    higher_is_better: bool

    def function(self, y: Floats, prediction: Floats) -> float:
        """Return the score of `prediction` against `y`, both shape (n,).

        A prediction (or y) that is not finite, or of no samples, scores nan. A constant prediction or a constant
        y has correlation 0.0 by definition here: it orders nothing. R² is nan where y is constant.
        """
        observed = np.asarray(y, dtype=np.float64)
        predicted = np.asarray(prediction, dtype=np.float64)
        if observed.shape != predicted.shape or observed.ndim != 1:
            msg = f"y and prediction must be vectors of one length, got shapes {observed.shape} and {predicted.shape}"
            raise ValueError(msg)
        if observed.size == 0 or not (np.isfinite(observed).all() and np.isfinite(predicted).all()):
            return float("nan")
        return float(self.rowwise(observed[None], predicted[None])[0])


METRICS: Registry[Metric] = Registry("metric")
"""Every metric by name."""


def _add(name: str, label: str, *, higher_is_better: bool) -> Callable[[Rowwise], Rowwise]:
    def register(rowwise: Rowwise) -> Rowwise:
        METRICS.add(name)(Metric(name=name, label=label, rowwise=rowwise, higher_is_better=higher_is_better))
        return rowwise

    return register


def _is_constant(values: Floats) -> npt.NDArray[np.bool_]:
    """Whether the last axis varies by no more than rounding."""
    largest = np.abs(values).max(axis=-1)
    spread = values.max(axis=-1) - values.min(axis=-1)
    return np.asarray(spread <= 1e-12 * largest)


@_add("pearson_r", "Pearson r", higher_is_better=True)
def pearson_rows(y: Floats, prediction: Floats) -> Floats:
    """Return Pearson's correlation (predictive ability) along the last axis; 0.0 where either is constant."""
    undefined = _is_constant(y) | _is_constant(prediction)
    a = y - y.mean(axis=-1, keepdims=True)
    b = prediction - prediction.mean(axis=-1, keepdims=True)
    # scaled first, so that tiny or huge values neither under- nor overflow when squared
    a = a / np.maximum(np.abs(a).max(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    b = b / np.maximum(np.abs(b).max(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    norm = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    r = (a * b).sum(axis=-1) / np.where(undefined, 1.0, norm)
    return np.where(undefined, 0.0, np.clip(r, -1.0, 1.0))


@_add("spearman", "Spearman rho", higher_is_better=True)
def spearman_rows(y: Floats, prediction: Floats) -> Floats:
    """Return Spearman's rank correlation along the last axis, ties by their mean rank; 0.0 where either is constant."""
    from scipy.stats import rankdata

    return pearson_rows(rankdata(y, axis=-1), rankdata(prediction, axis=-1))


@_add("r2", "R²", higher_is_better=True)
def r2_rows(y: Floats, prediction: Floats) -> Floats:
    """Return 1 - SSE/SST along the last axis; nan where y is constant."""
    undefined = _is_constant(y)
    total = ((y - y.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    error = ((y - prediction) ** 2).sum(axis=-1)
    return np.where(undefined, np.nan, 1.0 - error / np.where(undefined, 1.0, total))


@_add("rmse", "RMSE", higher_is_better=False)
def rmse_rows(y: Floats, prediction: Floats) -> Floats:
    """Return the root mean squared error along the last axis, in phenotype units."""
    return np.asarray(np.sqrt(((y - prediction) ** 2).mean(axis=-1)))


@_add("mae", "MAE", higher_is_better=False)
def mae_rows(y: Floats, prediction: Floats) -> Floats:
    """Return the mean absolute error along the last axis, in phenotype units."""
    return np.asarray(np.abs(y - prediction).mean(axis=-1))


def score(y: Floats, prediction: Floats) -> dict[str, float]:
    """Return every metric of `prediction` against `y`, both shape (n,), by name; see `Metric.function`."""
    return {name: metric.function(y, prediction) for name, metric in METRICS.items()}


def bootstrap_interval(
    y: Floats,
    prediction: Floats,
    metric: str,
    rng: np.random.Generator,
    n: int = 2000,
    level: float = 0.95,
    groups: npt.NDArray[Any] | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a metric (Efron & Tibshirani 1993, chapter 13).

    Parameters
    ----------
    y, prediction
        Shape (n_samples,).
    metric
        Name in `METRICS`.
    rng
        Draws the resamples.
    n
        Resamples.
    level
        Coverage asked for, in (0, 1).
    groups
        Labels, shape (n_samples,): whole groups are resampled (cluster bootstrap), which is right where
        samples of one group are related. None resamples single samples.

    Returns
    -------
    low, high
        nan where the metric is nan.
    """
    chosen = METRICS[metric]
    if not np.isfinite(chosen.function(y, prediction)):
        return float("nan"), float("nan")
    observed, predicted = np.asarray(y, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    values = [chosen.rowwise(observed[rows], predicted[rows]) for rows in resamples(len(observed), n, groups, rng)]
    return _percentiles(np.concatenate(values), level)


def bootstrap_difference(
    y: Floats,
    a: Floats,
    b: Floats,
    metric: str,
    rng: np.random.Generator,
    groups: npt.NDArray[Any] | None = None,
    n: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Return ``metric(a) - metric(b)`` with its paired percentile interval: both are scored on each resample.

    Parameters are those of `bootstrap_interval`. The sign is not turned for errors: with ``rmse`` a negative
    difference means that `a` is better.
    """
    chosen = METRICS[metric]
    difference = chosen.function(y, a) - chosen.function(y, b)
    if not np.isfinite(difference):
        return float("nan"), float("nan"), float("nan")
    observed, first, second = (np.asarray(v, dtype=np.float64) for v in (y, a, b))
    values = []
    for rows in resamples(len(observed), n, groups, rng):
        sampled = observed[rows]
        values.append(chosen.rowwise(sampled, first[rows]) - chosen.rowwise(sampled, second[rows]))
    return difference, *_percentiles(np.concatenate(values), level)


def calibration_rows(y: Floats, prediction: Floats) -> tuple[Floats, Floats]:
    """Return slope and intercept of the least-squares line of `y` on `prediction`, along the last axis.

    A prediction that is right but for chance has slope 1 and intercept 0; a slope above 1 says that it spreads too
    little, below 1 too much. Both are nan where the prediction is constant.
    """
    undefined = _is_constant(prediction)
    mean = prediction.mean(axis=-1)
    b = prediction - mean[..., None]
    largest = np.where(undefined, 1.0, np.abs(b).max(axis=-1))
    scaled = b / largest[..., None]  # so that tiny or huge predictions neither under- nor overflow when squared
    spread = np.where(undefined, 1.0, (scaled * scaled).sum(axis=-1))
    centre = y.mean(axis=-1)
    slope = (scaled * (y - centre[..., None])).sum(axis=-1) / spread / largest
    return np.where(undefined, np.nan, slope), np.where(undefined, np.nan, centre - slope * mean)


def calibration(y: Floats, prediction: Floats) -> tuple[float, float]:
    """Return slope and intercept of `y` on `prediction`, both shape (n,); nan where there is no such line.

    There is none for fewer than `FEWEST_ON_A_LINE` samples, values that are not finite, or a constant prediction.
    """
    observed, predicted = np.asarray(y, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    finite = np.isfinite(observed).all() and np.isfinite(predicted).all()
    if observed.shape != predicted.shape or observed.size < FEWEST_ON_A_LINE or not finite:
        return float("nan"), float("nan")
    slope, intercept = calibration_rows(observed[None], predicted[None])
    return float(slope[0]), float(intercept[0])


def bootstrap_calibration(
    y: Floats,
    prediction: Floats,
    rng: np.random.Generator,
    n: int = 2000,
    level: float = 0.95,
    groups: npt.NDArray[Any] | None = None,
) -> dict[str, float]:
    """Return slope and intercept of `y` on `prediction` with their percentile intervals.

    Parameters are those of `bootstrap_interval`; resamples in which the prediction is constant do not count.

    Returns
    -------
    dict
        By the names of `CALIBRATION`; nan as in `calibration`.
    """
    slope, intercept = calibration(y, prediction)
    if not np.isfinite(slope):
        return dict.fromkeys(CALIBRATION, float("nan"))
    observed, predicted = np.asarray(y, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    drawn = resamples(len(observed), n, groups, rng)
    slopes, intercepts = zip(*(calibration_rows(observed[rows], predicted[rows]) for rows in drawn), strict=True)
    of_slope, of_intercept = (_percentiles(np.concatenate(values), level) for values in (slopes, intercepts))
    return dict(zip(CALIBRATION, (slope, *of_slope, intercept, *of_intercept), strict=True))


def resamples(
    size: int, n: int, groups: npt.NDArray[Any] | None, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield arrays of row positions, one resample a row; `n` in all, see `bootstrap_interval`."""
    if n < 1:
        msg = f"a bootstrap needs at least 1 resample, got {n}"
        raise ValueError(msg)
    if groups is None:
        at_once = max(1, _CELLS_AT_ONCE // size)
        for start in range(0, n, at_once):
            yield rng.integers(0, size, size=(min(at_once, n - start), size))
        return
    if len(groups) != size:
        msg = f"groups must have one label for each of {size} samples, got {len(groups)}"
        raise ValueError(msg)
    _, labels = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    for _ in range(n):
        drawn = rng.integers(0, len(members), size=len(members))
        yield np.concatenate([members[group] for group in drawn])[None, :]


def _percentiles(values: Floats, level: float) -> tuple[float, float]:
    if not 0.0 < level < 1.0:
        msg = f"level must lie between 0 and 1, got {level}"
        raise ValueError(msg)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
