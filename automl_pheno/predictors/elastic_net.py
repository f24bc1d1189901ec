"""Elastic net on bases, k-mer counts or dosages."""

from __future__ import annotations

import warnings

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray, IntArray
from automl_pheno.predictors.calibration import Calibration, Correction
from automl_pheno.predictors.encoding import learn
from automl_pheno.predictors.inner_folds import inner_folds
from automl_pheno.predictors.linear import Chosen, LinearPredictor, LinearState
from automl_pheno.predictors.protocol import PREDICTORS
from automl_pheno.predictors.screening import strongest

N_FOLDS = 3
L1_RATIOS = (0.1, 0.5, 1.0)
ALPHAS = np.logspace(0.0, -2.5, 11)
"""Penalties tried, as a share of the smallest one that makes all effects 0."""
MAX_COLUMNS = 2000
SEQUENCE_FEATURES = ("one_hot", "kmers_5")


@PREDICTORS.add("elastic_net")
class ElasticNet(LinearPredictor):
    """Elastic net (Zou & Hastie 2005) by scikit-learn; penalties and columns by inner cross-validation.

    Where there are more than 2,000 columns, those with the largest correlation with y are kept, anew in each inner
    fold (sure independence screening, Fan & Lv 2008). Of sequences the penalty shrinks predictions too far; they are
    spread by the slope of observed on predicted in the inner folds, as far as its error allows (``dispersion``).
    """

    kind = "elastic_net"

    def _learn(self, train: Examples, rng: np.random.Generator) -> tuple[LinearState, Chosen]:
        folds = inner_folds(train.groups, N_FOLDS, rng)
        candidates = SEQUENCE_FEATURES if train.inputs.kind == "sequence" else ("dosage",)
        weights = train.weights
        middle, spread = float(np.average(train.y, weights=weights)), float(train.y.std())
        intercept = middle
        if spread <= 1e-12 * float(np.abs(train.y).max()):
            encoding, _ = learn(train.inputs, candidates[0])
            state = LinearState(encoding=encoding, intercept=intercept, effects=np.zeros(len(encoding.keep)))
            return state, {"features": candidates[0]}
        y = (train.y - middle) / spread
        tried: list[tuple[float, str, float, int]] = []
        for features in candidates:
            _, columns = learn(train.inputs, features)
            errors = np.zeros((len(L1_RATIOS), len(ALPHAS)))
            for fold in folds:
                errors += _fold_errors(columns, y, fold, weights)
            row, column = divmod(int(np.argmin(errors)), len(ALPHAS))
            tried.append((float(errors[row, column]) / len(y), features, L1_RATIOS[row], column))
        error, features, l1_ratio, depth = min(tried)
        encoding, columns = learn(train.inputs, features)
        keep = strongest(columns, y, MAX_COLUMNS, weights)
        effects = np.zeros(columns.shape[1])
        path, alphas = _path(columns[:, keep], y, l1_ratio, depth + 1, weights)
        effects[keep] = path[:, -1] * spread
        if weights is not None:
            centre = _column_mean(columns[:, keep], weights)
            intercept += float((encoding.mean[keep] - centre) @ effects[keep])
        chosen: Chosen = {
            "features": features,
            "l1_ratio": l1_ratio,
            "alpha": float(alphas[-1]) * spread if len(alphas) else 0.0,
            "inner_mse": error * spread**2,
            "columns": len(effects),
            "screened": len(keep),
        }
        state = LinearState(encoding=encoding, intercept=intercept, effects=effects)
        if train.inputs.kind == "genotype":
            return state, chosen
        predicted = np.zeros(len(y))
        for fold in folds:
            predicted[fold] = _held_out(columns, y, fold, l1_ratio, depth + 1, weights)[:, -1]
        found = Calibration.measure(train.y, middle + spread * predicted, train.groups, weights)
        correction = Correction() if found is None else found.correction()
        return state.corrected(correction), {**chosen, "dispersion": correction.scale}


def _fold_errors(columns: FloatArray, y: FloatArray, held_out: IntArray, weights: FloatArray | None) -> FloatArray:
    """Return summed (weighted) squared errors of the held-out rows, shape (len(L1_RATIOS), len(ALPHAS))."""
    errors = np.zeros((len(L1_RATIOS), len(ALPHAS)))
    for number, l1_ratio in enumerate(L1_RATIOS):
        predicted = _held_out(columns, y, held_out, l1_ratio, len(ALPHAS), weights)
        squared = (y[held_out][:, None] - predicted) ** 2
        errors[number] = squared.sum(axis=0) if weights is None else weights[held_out] @ squared
    return errors


def _held_out(
    columns: FloatArray, y: FloatArray, held_out: IntArray, l1_ratio: float, depth: int, weights: FloatArray | None
) -> FloatArray:
    """Return predictions of held-out rows along the path of the others, shape (n, depth)."""
    inside = np.ones(len(y), dtype=bool)
    inside[held_out] = False
    x, target = columns[inside], y[inside]
    within = None if weights is None else weights[inside]
    keep = strongest(x, target, MAX_COLUMNS, within)
    x = x[:, keep]
    path, _ = _path(x, target, l1_ratio, depth, within)
    rival = columns[held_out][:, keep].astype(np.float64) - _column_mean(x, within)
    return np.asarray(np.average(target, weights=within) + rival @ path)


def _column_mean(columns: FloatArray, weights: FloatArray | None) -> FloatArray:
    if weights is None:
        return np.asarray(columns.mean(axis=0, dtype=np.float64))
    return np.asarray(np.average(columns.astype(np.float64), axis=0, weights=weights))


def _path(
    columns: FloatArray, y: FloatArray, l1_ratio: float, depth: int, weights: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return effects, shape (p, depth), from the largest penalty down, and the penalties, shape (depth,).

    Weights, of mean 1 over their samples, are rows times their roots: least squares is then weighted.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import enet_path

    x = columns.astype(np.float64)
    x -= x.mean(axis=0) if weights is None else _column_mean(columns, weights)
    target = y - np.average(y, weights=weights)
    if weights is not None:
        root = np.sqrt(weights / weights.mean())
        x *= root[:, None]
        target = target * root
    moment = x.T @ target
    largest = float(np.abs(moment).max(initial=0.0)) / (len(y) * l1_ratio)
    if largest == 0.0:
        return np.zeros((x.shape[1], depth)), np.full(depth, np.inf)
    gram = x.T @ x if len(x) > x.shape[1] else False
    with warnings.catch_warnings():
        # near-collinear columns converge slowly at the smallest penalties, which inner cross-validation then judges
        warnings.simplefilter("ignore", ConvergenceWarning)
        alphas, path, _ = enet_path(
            np.asfortranarray(x),
            target,
            l1_ratio=l1_ratio,
            alphas=largest * ALPHAS[:depth],
            precompute=gram,
            Xy=moment if gram is not False else None,
            tol=1e-3,
            max_iter=300,
        )
    return path, alphas
