"""Ridge regression and its mixed-model twin: penalties by REML or by inner cross-validation.

A model ``y = mu + X b + e`` with ``b ~ N(0, s2b I)`` is ridge regression with the penalty ``s2e / s2b``
(Henderson 1975). Weights W of the samples make ``e ~ N(0, s2e W^-1)``: the model times W^1/2 has one noise variance
again, and W^1/2 1 takes the place of the intercept's column of ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.predictors.design import Design

RATIOS = np.logspace(-4.0, 3.0, 15)
"""Penalties tried by cross-validation, in units of the mean eigenvalue: noise over genetic variance."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Eigen-decomposition of a centred Gram matrix.

    Attributes
    ----------
    values
        Eigenvalues that are not 0, shape (r,).
    vectors
        Of the n x n matrix, shape (n, r).
    n
        Samples.
    root
        Square roots of their weights, shape (n,); None is 1 for all.
    """

    values: FloatArray
    vectors: FloatArray
    n: int
    root: FloatArray | None = None

    @property
    def unit(self) -> float:
        """Mean of the n - 1 eigenvalues: the variance of a genetic value when the effects' variance is 1."""
        return float(self.values.sum()) / max(self.n - 1, 1)


def residuals(y: FloatArray, root: FloatArray | None) -> FloatArray:
    """Return y less its mean; with weights, less its weighted mean and times their roots."""
    if root is None:
        return np.asarray(y - y.mean())
    return root * (y - weighted_mean(y, root))


def weighted_mean(y: FloatArray, root: FloatArray | None) -> float:
    """Return the mean of y, by the weights whose square roots are given."""
    return float(y.mean() if root is None else np.average(y, weights=root**2))


def decompose(gram: FloatArray) -> Spectrum:
    """Return the spectrum of a Gram matrix or kernel, shape (n, n), after removing its mean (the fixed intercept)."""
    row = gram.mean(axis=0)
    centred = gram - row[None, :] - row[:, None] + row.mean()
    values, vectors = np.linalg.eigh(centred)
    real = values > max(float(values[-1]), 0.0) * 1e-10
    return Spectrum(values=values[real], vectors=vectors[:, real], n=len(gram))


def decompose_design(design: Design) -> Spectrum:
    """Return the spectrum of X X', by way of X' X where that is smaller."""
    if len(design) <= design.p:
        gram = design.gram_of_rows()
        if design.root is None:
            return decompose(gram)
        values, vectors = np.linalg.eigh(gram)  # what weighs was centred before it was scaled
        real = values > max(float(values[-1]), 0.0) * 1e-10
        return Spectrum(values=values[real], vectors=vectors[:, real], n=len(design), root=design.root)
    values, right = np.linalg.eigh(design.gram_of_columns())
    real = values > max(float(values[-1]), 0.0) * 1e-10 if design.p else np.zeros(0, dtype=bool)
    values, right = values[real], right[:, real]
    vectors = np.zeros((len(design), len(values)))
    for rows, block in design.row_blocks():
        vectors[rows] = block @ right
    return Spectrum(values=values, vectors=vectors / np.sqrt(values), n=len(design), root=design.root)


def dual_weights(spectrum: Spectrum, y: FloatArray, penalty: float) -> FloatArray:
    """Return (K + penalty I)^-1 (y - mean), restricted to the span of the centred K, shape (n,)."""
    rotated = spectrum.vectors.T @ residuals(y, spectrum.root)
    return np.asarray(spectrum.vectors @ (rotated / (spectrum.values + penalty)))


def restricted_likelihood(spectrum: Spectrum, y: FloatArray, penalty: float) -> float:
    """Return the log restricted likelihood at a variance ratio, the genetic variance profiled out.

    Kang et al. 2008 (EMMA), eq. 7, for an intercept as the only fixed effect. Weights add a constant, left out.
    """
    dof = spectrum.n - 1
    residual = residuals(y, spectrum.root)
    rotated = spectrum.vectors.T @ residual
    outside = max(float(residual @ residual - rotated @ rotated), 0.0)
    quadratic = float((rotated**2 / (spectrum.values + penalty)).sum()) + outside / penalty
    logdet = float(np.log(spectrum.values + penalty).sum()) + (dof - len(spectrum.values)) * np.log(penalty)
    return 0.5 * float(dof * np.log(dof / (2.0 * np.pi)) - dof - dof * np.log(quadratic) - logdet)


def reml_penalty(spectrum: Spectrum, y: FloatArray) -> tuple[float, float]:
    """Return the penalty (noise over effect variance) that maximises the restricted likelihood, and its value.

    A grid over ten decades brackets the maximum, which bounded Brent search then refines. Where y is constant or
    nothing varies, the penalty is infinite and the likelihood nan: there is nothing to estimate.
    """
    from scipy.optimize import minimize_scalar

    if not len(spectrum.values) or np.ptp(y) <= 1e-12 * np.abs(y).max():
        return float("inf"), float("nan")
    unit = spectrum.unit
    grid = np.linspace(-5.0, 5.0, 41)
    heights = [restricted_likelihood(spectrum, y, unit * 10.0**exponent) for exponent in grid]
    best = int(np.argmax(heights))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]

    def depth(exponent: float) -> float:
        return -restricted_likelihood(spectrum, y, unit * 10.0**exponent)

    found = minimize_scalar(depth, bounds=(low, high), method="bounded")
    exponent, height = (found.x, -found.fun) if -found.fun >= heights[best] else (grid[best], heights[best])
    return float(unit * 10.0**exponent), float(height)


def held_out_errors(spectrum: Spectrum, y: FloatArray, folds: list[IntArray], penalties: FloatArray) -> FloatArray:
    """Return the (weighted) mean squared error of held-out rows for each penalty, shape (len(penalties),).

    Exact for penalised least squares with an intercept, without refitting: the errors of a left-out fold are
    ``(I - H_ff)^-1 (y - fit)_f`` (Cook & Weisberg 1982, for groups of rows).
    """
    errors = [held_out_residuals(spectrum, y, folds, penalty) for penalty in penalties]
    return np.array([float(each @ each) for each in errors]) / spectrum.n


def held_out_residuals(spectrum: Spectrum, y: FloatArray, folds: list[IntArray], penalty: float) -> FloatArray:
    """Return the residual of each row, times the root of its weight, in a fit without its fold; shape (n,)."""
    residual = residuals(y, spectrum.root)
    rotated = spectrum.vectors.T @ residual
    unit = None if spectrum.root is None else spectrum.root / np.linalg.norm(spectrum.root)
    shrunk = spectrum.values / (spectrum.values + penalty)
    misfit = residual - spectrum.vectors @ (shrunk * rotated)
    left_out = np.zeros(spectrum.n)
    for fold in folds:
        part = spectrum.vectors[fold]
        mean = 1.0 / spectrum.n if unit is None else np.outer(unit[fold], unit[fold])
        hat = (part * shrunk) @ part.T + mean
        left_out[fold] = np.linalg.solve(np.eye(len(fold)) - hat, misfit[fold])
    return left_out


def held_out_errors_of_columns(
    design: Design, y: FloatArray, folds: list[IntArray], penalties: FloatArray
) -> FloatArray:
    """Return what `held_out_errors` does, from X' X less that of each fold: for many more rows than columns."""
    from scipy.linalg import cho_factor, cho_solve

    residual = residuals(y, design.root)
    gram, moment = design.gram_of_columns(), design.transposed_times(residual)
    errors = np.zeros(len(penalties))
    for fold in folds:
        inside = design.columns[fold].astype(np.float64) - design.mean
        y_inside = residual[fold]
        if design.root is None:
            n_rest: float = len(y) - len(fold)
            x_mean, y_mean = -inside.sum(axis=0) / n_rest, -y_inside.sum() / n_rest
            ones: FloatArray | None = None
        else:
            ones = design.root[fold]
            inside *= ones[:, None]
            n_rest = float((design.root**2).sum() - ones @ ones)
            x_mean, y_mean = -(ones @ inside) / n_rest, -(ones @ y_inside) / n_rest
        rest = gram - inside.T @ inside - n_rest * np.outer(x_mean, x_mean)
        target = moment - inside.T @ y_inside - n_rest * x_mean * y_mean
        for number, penalty in enumerate(penalties):
            factor = cho_factor(rest + penalty * np.eye(design.p), lower=True, check_finite=False)
            effects = cho_solve(factor, target, check_finite=False)
            if ones is None:
                left_out = y_inside - y_mean - (inside - x_mean) @ effects
            else:
                left_out = y_inside - ones * y_mean - (inside - ones[:, None] * x_mean) @ effects
            errors[number] += float(left_out @ left_out)
    return errors / len(y)


def cross_validated_penalty(design: Design, y: FloatArray, folds: list[IntArray]) -> tuple[float, float]:
    """Return the penalty with the smallest inner held-out mean squared error, and that error."""
    if not design.p:
        return float("inf"), float(np.mean(residuals(y, design.root) ** 2))
    if len(design) > design.p:
        unit = design.total_variance()
        errors = held_out_errors_of_columns(design, y, folds, unit * RATIOS)
    else:
        spectrum = decompose_design(design)
        unit = spectrum.unit
        errors = held_out_errors(spectrum, y, folds, unit * RATIOS)
    best = int(np.argmin(errors))
    return float(unit * RATIOS[best]), float(errors[best])


def ridge_effects(design: Design, y: FloatArray, penalty: float) -> FloatArray:
    """Return the ridge estimate of the effect of each column, phenotype units, shape (p,)."""
    if not design.p or not np.isfinite(penalty):
        return np.zeros(design.p)
    from scipy.linalg import cho_factor, cho_solve

    residual = residuals(y, design.root)
    if len(design) > design.p:
        gram = design.gram_of_columns()
        gram[np.diag_indices_from(gram)] += penalty
        return np.asarray(cho_solve(cho_factor(gram, lower=True), design.transposed_times(residual)))
    gram = design.gram_of_rows()
    gram[np.diag_indices_from(gram)] += penalty
    return design.transposed_times(cho_solve(cho_factor(gram, lower=True), residual))
