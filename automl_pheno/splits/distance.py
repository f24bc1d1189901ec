"""How far two distributions lie apart."""

from __future__ import annotations

import math

import numpy as np

from automl_pheno.data import FloatArray


def ks_distance(a: FloatArray, b: FloatArray) -> float:
    """Return the two-sample Kolmogorov-Smirnov D: the largest distance of the cumulative distributions."""
    points = np.concatenate([a, b])
    return float(np.abs(_cumulative(a, points) - _cumulative(b, points)).max())


def wasserstein_distance(a: FloatArray, b: FloatArray) -> float:
    """Return the area between the cumulative distributions, in units of the values."""
    points = np.sort(np.concatenate([a, b]))
    gaps = np.abs(_cumulative(a, points[:-1]) - _cumulative(b, points[:-1]))
    return float((gaps * np.diff(points)).sum())


def ks_by_chance(n: int, m: int, comparisons: int = 1) -> float:
    """Return the D below which two samples of one distribution stay in 95 % of cases.

    Parameters
    ----------
    n, m
        Independent values in each sample.
    comparisons
        So many are looked at, and the largest matters (Bonferroni).

    Notes
    -----
    Smirnov's asymptotic quantile, sqrt(-log(alpha / 2) / 2) sqrt((n + m) / (n m)).
    """
    return math.sqrt(-math.log(0.05 / comparisons / 2.0) / 2.0 * (n + m) / (n * m))


def _cumulative(values: FloatArray, points: FloatArray) -> FloatArray:
    return np.searchsorted(np.sort(values), points, side="right") / len(values)
