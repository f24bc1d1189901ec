"""Scale and level of a predictor's output, learnt on rows that were held out from its fit.

What ranks well may be off in scale: dropout, early stopping and penalties stretch or shrink an output, and no loss on
training rows can tell. The remedy is the oldest one, observed regressed on predicted (Mosteller and Tukey 1968; the
calibration slope of Cox 1958), here by least squares whatever the loss was, so that what is predicted is the
conditional mean. Its error decides how far it is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from typing_extensions import Self

from automl_pheno.data.dataset import Examples, FloatArray, Inputs, IntArray
from automl_pheno.predictors.inner_folds import inner_folds

Output = TypeVar("Output", float, FloatArray)
FEWEST = 8
"""With fewer held-out rows a regression says nothing, and no correction is made."""
SMALLEST_SLOPE = 0.1
"""A correction may shrink an output to a tenth, but never turn its order round."""
SLOPES, LEVELS = 0.4, 0.2
"""Standard deviations of slopes about 1, and of levels about 0 in sd of the trait, over predictors and data sets: what
is expected before a row is held out (measured: slopes of 0.4 to 2.0). A slope with a standard error of 0.4 is believed
by half. Against the positive-part estimate of James and Stein, which needs no such number, the mean squared error was
lower wherever a slope was 0.1 or more from 1."""
_BLOCKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """``scale * output + offset``, scale > 0."""

    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, output: Output) -> Output:
        """Return the corrected output."""
        return output * self.scale + self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The regression of observed on predicted, with standard errors.

    Attributes
    ----------
    slope, slope_error
        1 is calibrated; below it predictions are spread too far, above it too little.
    level, level_error
        Mean of observed less mean of predicted.
    pivot
        Mean of predicted, about which the slope turns.
    spread
        Standard deviation of observed.
    """

    slope: float
    slope_error: float
    level: float
    level_error: float
    pivot: float
    spread: float

    @classmethod
    def measure(
        cls, observed: FloatArray, predicted: FloatArray, groups: IntArray, weights: FloatArray | None = None
    ) -> Self | None:
        """Return the regression over n held-out rows; None where nothing can be told.

        Standard errors are the larger of those of independent rows and of a jackknife over whole groups.

        Parameters
        ----------
        observed, predicted
            Shape (n,), in one unit.
        groups
            Label of each row, shape (n,).
        weights
            Of the rows in the regression, mean 1; None is 1 for all.
        """
        _, labels = np.unique(groups, return_inverse=True)
        n_groups = int(labels.max(initial=-1)) + 1
        if len(observed) < FEWEST or n_groups < 2 or _constant(predicted) or _constant(observed):
            return None
        by = np.ones_like(predicted) if weights is None else weights
        pivot = float(np.average(predicted, weights=by))
        x, y = predicted - pivot, observed - pivot
        columns = (by, by * x, by * y, by * x * x, by * x * y)
        sums = np.stack([np.bincount(labels, column, n_groups) for column in columns])
        slope, level = _line(sums.sum(axis=1))
        slopes, levels = _line(sums.sum(axis=1, keepdims=True) - sums)
        noise = float((by * (y - level - slope * x) ** 2).sum()) / (len(x) - 2)
        return cls(
            slope=float(slope),
            slope_error=max(float(np.sqrt(noise / (by * x @ x))), _jackknife(slopes)),
            level=float(level),
            level_error=max(float(np.sqrt(noise / len(x))), _jackknife(levels)),
            pivot=pivot,
            spread=float(y.std()),
        )

    @classmethod
    def pooled(cls, folds: Sequence[Calibration]) -> Calibration | None:
        """Return what several folds say together, each by its precision; None of none."""
        if len(folds) < 2:
            return folds[0] if folds else None
        slope, slope_error = _pool([fold.slope for fold in folds], [fold.slope_error for fold in folds])
        level, level_error = _pool([fold.level for fold in folds], [fold.level_error for fold in folds])
        return cls(
            slope=slope,
            slope_error=slope_error,
            level=level,
            level_error=level_error,
            pivot=float(np.mean([fold.pivot for fold in folds])),
            spread=float(np.mean([fold.spread for fold in folds])),
        )

    def correction(self) -> Correction:
        """Return the correction, drawn towards none by as much as its error leaves open."""
        slope = max(_drawn(self.slope, 1.0, self.slope_error, SLOPES), SMALLEST_SLOPE)
        level = _drawn(self.level, 0.0, self.level_error, LEVELS * self.spread)
        return Correction(scale=slope, offset=(1.0 - slope) * self.pivot + level)


def scorable(observed: FloatArray, output: FloatArray, groups: IntArray) -> FloatArray:
    """Return the output of held-out rows as it may be scored on these very rows, shape (n,).

    Corrected by what all of them say, R², RMSE and MAE would be flattered; corrected in blocks, each by what the other
    groups say, correlations would fall (of 100 rows at r = 0.3 by 0.04), since a block that lies high is corrected
    by those that lie low. So the blocks tell the honest squared error, and the returned values are those between output
    and corrected output that have it: one line through the output, correlations as they are.
    """
    found = Calibration.measure(observed, output, groups)
    if found is None or (correction := found.correction()) == Correction():
        return output
    apart = output.copy()
    for block in inner_folds(groups, _BLOCKS, np.random.default_rng(0)):
        others = np.ones(len(observed), dtype=bool)
        others[block] = False
        part = Calibration.measure(observed[others], output[others], groups[others])
        if part is not None:
            apart[block] = part.correction()(output[block])
    honest = float(((observed - apart) ** 2).mean())
    error, step = observed - output, correction(output) - output
    gain, size = float((error * step).mean()), float((step * step).mean())
    root = max(gain * gain - size * (float((error * error).mean()) - honest), 0.0)
    share = min(max(float(gain - np.sqrt(root)) / size, 0.0), 1.0)
    return np.asarray(output + share * step)


def out_of_fold(
    train: Examples, n_folds: int, rng: np.random.Generator, predict: Callable[[Examples, Inputs], FloatArray]
) -> Correction:
    """Return the correction of a predictor whose fit has no scale of its own, from inner folds of whole groups.

    Parameters
    ----------
    train
        All that may be learnt from.
    n_folds
        Of the inner cross-validation.
    rng
        Shuffles groups.
    predict
        ``(part of train, inputs) -> predictions`` of a predictor fitted on the part.
    """
    if len(np.unique(train.groups)) < 2:
        return Correction()
    predicted = np.zeros(len(train))
    for fold in inner_folds(train.groups, n_folds, rng):
        others = np.ones(len(train), dtype=bool)
        others[fold] = False
        predicted[fold] = predict(train.take(np.flatnonzero(others)), train.inputs.take(fold))
    found = Calibration.measure(train.y, predicted, train.groups, train.weights)
    return Correction() if found is None else found.correction()


def _constant(values: FloatArray) -> bool:
    return bool(np.ptp(values) <= 1e-6 * max(float(np.abs(values).max()), 1e-6))


def _line(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return slope and level from the sums of 1, x, y, x², xy, along the first axis; inf where x is constant."""
    n, x, y, xx, xy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = xx - x * x / n
        slope = np.where(spread > 1e-9 * xx, (xy - x * y / n) / spread, np.inf)
        return slope, (y - x) / n


def _jackknife(left_out: FloatArray) -> float:
    if not np.isfinite(left_out).all():
        return float("inf")
    n = len(left_out)
    return float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))


def _pool(estimates: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the mean weighted by precision, and the larger of its two standard errors: by theory, between folds."""
    precision = 1.0 / np.maximum(np.square(errors), 1e-12)
    if not precision.sum() > 0:
        return float(np.mean(estimates)), float("inf")
    share = precision / precision.sum()
    mean = float(share @ np.asarray(estimates))
    between = float(share @ (np.asarray(estimates) - mean) ** 2) / (len(estimates) - 1)
    return mean, float(np.sqrt(max(1.0 / precision.sum(), between)))


def _drawn(estimate: float, neutral: float, error: float, spread: float) -> float:
    """Return the posterior mean of an estimate whose gap from `neutral` has the standard deviation `spread`."""
    return neutral + (estimate - neutral) * spread**2 / (spread**2 + error**2)
