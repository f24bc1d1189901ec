"""Rare phenotypes: how dense each training phenotype is, and weights or repeats of samples that make up for it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from automl_pheno.data.dataset import FloatArray, IntArray

_CELLS = 512


def label_density(y: FloatArray) -> FloatArray:
    """Return the smoothed density of the trait at each training sample, relative to the highest, in (0, 1].

    Label distribution smoothing (Yang et al. 2021, Delving into deep imbalanced regression): the histogram of the
    labels convolved with a Gaussian kernel. Here the histogram has 512 cells, a value being shared by the two nearest,
    and the kernel's sd is Silverman's rule, ``0.9 min(sd, IQR / 1.34) n^-1/5``. 1 for all where the trait is constant.

    Parameters
    ----------
    y
        Shape (n,), finite.
    """
    from scipy.ndimage import gaussian_filter1d

    spread = float(y.std())
    if spread <= 1e-12 * float(np.abs(y).max(initial=0.0)):
        return np.ones(len(y))
    quartiles = float(np.subtract(*np.percentile(y, [75, 25]))) / 1.34
    bandwidth = 0.9 * (min(spread, quartiles) if quartiles > 0 else spread) * len(y) ** -0.2
    low, high = y.min() - 3.0 * bandwidth, y.max() + 3.0 * bandwidth
    place = (y - low) / (high - low) * (_CELLS - 1)
    cell = np.floor(place).astype(np.int64)
    share = place - cell
    counts = np.bincount(cell, weights=1.0 - share, minlength=_CELLS + 1)
    counts += np.bincount(cell + 1, weights=share, minlength=_CELLS + 1)
    sd = max(bandwidth / (high - low) * (_CELLS - 1), 0.5)
    smooth = gaussian_filter1d(counts[:_CELLS], sd, mode="constant", truncate=4.0)
    density = np.interp(place, np.arange(_CELLS), smooth)
    return np.asarray(density / density.max())


def density_weights(y: FloatArray, largest: float) -> FloatArray:
    """Return weights inverse to `label_density`, mean 1, shape (n,).

    No sample weighs more than `largest` times the one with the commonest phenotype: an outlier would else be all.
    """
    weights = np.minimum(1.0 / label_density(y), largest)
    return np.asarray(weights / weights.mean())


def resampled_rows(
    y: FloatArray, how: Literal["over", "under", "both"], largest: float, rng: np.random.Generator
) -> IntArray:
    """Return row positions, sorted, in which rare phenotypes stand more often, or common ones less often.

    With d the `label_density` and ``r = min(1 / d, largest)``, a sample stands r times in the mean (``over``: at least
    once), r / largest times (``under``: at most once), or r over the mean of r (``both``). Systematic sampling
    along the sorted trait gives each sample one of the two whole numbers beside its mean, and each stretch of the trait
    its share.

    Parameters
    ----------
    largest
        How often the rarest phenotype stands there for each time that the commonest does.
    rng
        Draws the start of the systematic sample.
    """
    ratio = np.minimum(1.0 / label_density(y), largest)
    expected = {"over": ratio, "under": ratio / largest, "both": ratio / ratio.mean()}[how]
    order = np.argsort(y, kind="stable")
    edges = np.floor(np.concatenate([[0.0], np.cumsum(expected[order])]) + rng.random())
    copies = np.empty(len(y), dtype=np.int64)
    copies[order] = np.diff(edges).astype(np.int64)
    return np.repeat(np.arange(len(y), dtype=np.int64), copies)
