"""How far an interaction stands out from those of other pairs: p by a pooled null, q among all pairs."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import FloatArray

FEWEST = 30
"""Null values that are needed to fit a distribution; with fewer, p is the share of the null that is as large."""
NINETIETH = 1.2815515655446004
"""The 0.9 quantile of a standard normal."""
LEAST_SPREAD = 0.3
OUTLYING = 2.5


def null_p(
    observed: FloatArray,
    null: FloatArray,
    *,
    floor: float = 0.0,
    observed_size: FloatArray | None = None,
    null_size: FloatArray | None = None,
) -> FloatArray:
    """Return the probability of a null value as large as each observed one, shape (n,).

    The logarithms of the null values are taken to be normal above their median: centre and spread are read from their
    median and their 0.9 quantile (an empirical null, Efron 2004), so that up to a tenth of the null may be true
    interactions and do no more than make p too large. Several hundred null values could by their ranks alone never show
    what stands out among 100,000 pairs. Null values up to `floor` are set apart: with them p is the share above the
    floor times the probability there. Where fewer than 30 are above it, p is ``(1 + larger) / (1 + null values)``.

    With sizes given, a second p is made of what is left of the logarithms when their regression on the logarithm of the
    size is taken out: how strong an interaction is for two places with effects as large as these. The smaller of the
    two is doubled. Where most places do next to nothing, the first says little; where interactions have little to do
    with effects, the second does.

    Parameters
    ----------
    observed
        Strengths, 0 or larger, shape (n,).
    null
        Strengths of pairs that stand for chance, shape (m,). Without any, p is NaN.
    floor
        What counts as 0.
    observed_size, null_size
        Product of the effects of the two places of each pair, positive, shapes (n,) and (m,).
    """
    if not len(null):
        return np.full(len(observed), np.nan)
    ordered = np.sort(null)
    ranks = (1.0 + len(null) - np.searchsorted(ordered, observed, side="left")) / (1.0 + len(null))
    above = np.flatnonzero(null > floor)
    if len(above) < FEWEST:
        return np.asarray(ranks)
    y, z = np.log(null[above]), np.log(np.maximum(observed, np.finfo(np.float64).tiny))
    p = _upper_tail(z, y)
    if null_size is not None and observed_size is not None:
        x = np.log(null_size[above])
        slope = _slope(x, y)
        p = np.minimum(1.0, 2.0 * np.minimum(p, _upper_tail(z - slope * np.log(observed_size), y - slope * x)))
    share = (1.0 + len(above)) / (1.0 + len(null))
    return np.where(observed > floor, np.maximum(share * p, np.finfo(np.float64).tiny), 1.0)


def _upper_tail(z: FloatArray, y: FloatArray) -> FloatArray:
    """Return the probability of z or more under a normal with the median and the 0.9 quantile of y."""
    from scipy.special import ndtr

    centre, high = np.quantile(y, [0.5, 0.9])
    spread = max(float(high - centre) / NINETIETH, LEAST_SPREAD)
    return np.asarray(ndtr((centre - z) / spread))


def _slope(x: FloatArray, y: FloatArray) -> float:
    """Return the slope of y on x, 0 to 2, outliers left out."""
    kept = np.ones(len(x), dtype=bool)
    slope = 0.0
    for _ in range(3):
        centred = x[kept] - x[kept].mean()
        power = float((centred**2).sum())
        slope = float((centred * y[kept]).sum()) / power if power > 0 else 0.0
        residual = y - slope * x
        residual = residual - np.median(residual)
        kept = np.abs(residual) <= OUTLYING * max(1.4826 * float(np.median(np.abs(residual))), LEAST_SPREAD)
    return float(np.clip(slope, 0.0, 2.0))


def benjamini_hochberg(p: FloatArray, tests: int | None = None) -> FloatArray:
    """Return q-values: the false discovery rate when all that are as small are called (Benjamini & Hochberg 1995).

    Parameters
    ----------
    p
        Shape (n,); NaN stays NaN.
    tests
        How many were tested in all; those not in `p` count as p = 1, as pairs do that a screen passed over.
        By default as many as there are.
    """
    known = np.flatnonzero(np.isfinite(p))
    q = np.full(len(p), np.nan)
    if not len(known):
        return q
    order = known[np.argsort(p[known], kind="stable")]
    total = max(len(known), tests or 0)
    raw = p[order] * total / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q
