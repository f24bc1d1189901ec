"""Seqlets: windows whose summed contributions are larger than chance would make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.encode import PADDING, one_hot
from automl_pheno.explain.attribution import Attribution

BoolArray = npt.NDArray[np.bool_]

FLANK = 5
FALSE_SHARE = 0.1
"""Of the windows above the threshold, as many as this may be chance."""
MOST_SHARE = 0.1
"""No more windows than this count, however many are above chance."""
PERMUTATIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seqlets:
    """Windows with the largest summed contributions, the largest first.

    Attributes
    ----------
    sample, start
        Row of the attribution and first position (0-based), shape (n,).
    contributions
        With `FLANK` more positions on both sides (zeros beyond the sequence), shape (n, width + 2 * FLANK, 4).
    bases
        Base probabilities there, same shape.
    """

    sample: IntArray
    start: IntArray
    contributions: FloatArray
    bases: FloatArray

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, rows: IntArray) -> Seqlets:
        """Return the seqlets at `rows`."""
        return Seqlets(
            sample=self.sample[rows],
            start=self.start[rows],
            contributions=self.contributions[rows],
            bases=self.bases[rows],
        )

    def shuffled(self, rng: np.random.Generator) -> Seqlets:
        """Return the same seqlets, the positions of each window in random order: same bases, contributions, no motif.

        The flanks stay, so that what is only a run of like contributions stays one.
        """
        width = self.contributions.shape[1] - 2 * FLANK
        inner = rng.random((len(self), width)).argsort(axis=1) + FLANK
        ends = np.arange(width + 2 * FLANK)
        order = np.concatenate(
            [np.tile(ends[:FLANK], (len(self), 1)), inner, np.tile(ends[-FLANK:], (len(self), 1))], 1
        )
        return Seqlets(
            sample=self.sample,
            start=self.start,
            contributions=np.take_along_axis(self.contributions, order[:, :, None], axis=1),
            bases=np.take_along_axis(self.bases, order[:, :, None], axis=1),
        )


def seqlets(
    attribution: Attribution, *, sign: int, rng: np.random.Generator, width: int = 10, most: int = 3000
) -> Seqlets:
    """Return the windows of `width` with the largest summed contributions of one sign, none overlapping another.

    A window counts when its sum is so large that at most a tenth of the windows with such a sum are chance. Chance is
    the same sequences with their positions in random order; this is done twice, the second time without the positions
    of the windows found first, since a few strong motifs would hide the weaker ones. At most a tenth of all windows
    counts.

    Parameters
    ----------
    sign
        1 for windows that raise the prediction, -1 for those that lower it.
    rng
        For the random orders.
    most
        Seqlets at most, the largest.
    """
    contributions = attribution.contributions * sign
    length = contributions.shape[1]
    inside = attribution.inputs.values != PADDING
    if length < width:
        return cut(attribution, np.empty((0, 2), dtype=np.int64), width)
    sums = np.where(_sums(inside, width) > width - 0.5, _sums(contributions, width), -np.inf)
    free = inside.copy()
    threshold = _threshold(sums, contributions, free, width, rng)
    strong = sums >= threshold
    for shift in range(width):
        free[:, shift : shift + strong.shape[1]] &= ~strong
    threshold = min(threshold, _threshold(sums, contributions, free, width, rng))
    real = sums[np.isfinite(sums)]
    if len(real):
        threshold = max(threshold, float(np.quantile(real, 1.0 - MOST_SHARE)), np.finfo(np.float64).tiny)
    found: list[tuple[float, int, int]] = []
    for sample in np.flatnonzero((sums >= threshold).any(axis=1)):
        row = sums[sample].copy()
        while True:
            start = int(row.argmax())
            if row[start] < threshold:
                break
            found.append((float(row[start]), int(sample), start))
            row[max(0, start - width + 1) : start + width] = -np.inf
    found.sort(key=lambda item: -item[0])
    places = np.array([(sample, start) for _, sample, start in found[:most]], dtype=np.int64).reshape(-1, 2)
    return cut(attribution, places, width)


def _sums(values: npt.NDArray[Any], width: int) -> FloatArray:
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    return np.asarray(total[:, width:] - total[:, :-width])


def _threshold(
    sums: FloatArray, contributions: FloatArray, free: BoolArray, width: int, rng: np.random.Generator
) -> float:
    """Return the smallest sum above which at most `FALSE_SHARE` of the windows are expected by chance, or infinity."""
    chance = []
    usable = free.sum(axis=1)[:, None] >= np.arange(width, free.shape[1] + 1)[None]
    for _ in range(PERMUTATIONS):
        order = (rng.random(free.shape) + ~free).argsort(axis=1)  # what is not free goes to the end
        chance.append(_sums(np.take_along_axis(contributions, order, axis=1), width)[usable])
    null = np.sort(np.concatenate(chance))
    real = np.sort(sums[np.isfinite(sums)])[::-1]
    if not len(null) or not len(real):
        return float("inf")
    expected = (len(null) - np.searchsorted(null, real)) * (len(real) / len(null))
    enough = np.flatnonzero(expected <= FALSE_SHARE * np.arange(1, len(real) + 1))
    return float(real[enough[-1]]) if len(enough) else float("inf")


def cut(attribution: Attribution, places: IntArray, width: int) -> Seqlets:
    """Return the windows that start at `places`, rows of (sample, start)."""
    pad = ((0, 0), (FLANK, FLANK), (0, 0))
    values = np.pad(attribution.values, pad)
    bases = np.pad(one_hot(attribution.inputs.values).astype(np.float64), pad)
    rows = places[:, 0][:, None]
    columns = places[:, 1][:, None] + np.arange(width + 2 * FLANK)
    return Seqlets(
        sample=places[:, 0], start=places[:, 1], contributions=values[rows, columns], bases=bases[rows, columns]
    )
