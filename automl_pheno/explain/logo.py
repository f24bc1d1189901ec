"""Logos as one path a base: the letters of a long sequence are drawn in milliseconds."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray
from automl_pheno.data.encode import BASES

COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
"""Okabe & Ito 2008: told apart by colour-blind readers and, by their shape, in print."""
_LEAST = 0.01
_WIDTH = 0.96


def draw_logo(axes: Any, heights: FloatArray, *, first: int = 1) -> None:
    """Draw letters of these heights, the smallest nearest to the line; negative ones hang below it, upside down.

    Letters lower than 1 % of the highest are left out: they cannot be read.

    Parameters
    ----------
    heights
        Shape (4, width), channels A, C, G, T.
    first
        Number of the first position.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    bottoms, kept = _stack(np.asarray(heights, dtype=np.float64))
    for channel, base in enumerate(BASES):
        letter, codes = _letter(base)
        columns = np.flatnonzero(kept[channel])
        if not len(columns):
            continue
        tall = heights[channel, columns]
        x = first + columns - _WIDTH / 2 + _WIDTH * letter[:, :1]
        y = bottoms[channel, columns] + np.abs(tall) * np.where(tall < 0, 1.0 - letter[:, 1:], letter[:, 1:])
        outline = np.stack([x.T.ravel(), y.T.ravel()], axis=1)
        path = Path(outline, np.tile(codes, len(columns)))
        axes.add_patch(PathPatch(path, facecolor=COLOURS[base], linewidth=0, label=base))
    axes.axhline(0.0, color="0.3", linewidth=0.6)
    axes.set_xlim(first - 0.5, first + heights.shape[1] - 0.5)
    axes.autoscale_view(scalex=False)


def _stack(heights: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return where each letter begins, and which are high enough to be read."""
    kept = np.abs(heights) > _LEAST * np.abs(heights).max(initial=0.0)
    shown = np.where(kept, heights, 0.0)
    order = np.argsort(np.abs(shown), axis=0)
    sorted_heights = np.take_along_axis(shown, order, axis=0)
    up, down = np.maximum(sorted_heights, 0.0), np.minimum(sorted_heights, 0.0)
    floors = np.where(sorted_heights >= 0, np.cumsum(up, axis=0) - up, np.cumsum(down, axis=0))
    bottoms = np.empty_like(shown)
    np.put_along_axis(bottoms, order, floors, axis=0)
    return bottoms, kept


@cache
def _letter(base: str) -> tuple[FloatArray, npt.NDArray[Any]]:
    """Return the outline of a letter in the unit square."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), base, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    drawn = path.vertices[path.codes != path.CLOSEPOLY]  # the vertex of a closing has no meaning
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    return np.asarray((path.vertices - low) / (high - low), dtype=np.float64), np.asarray(path.codes)
