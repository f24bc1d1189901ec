"""Figures of contributions. They use Matplotlib's objects, never its global state."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.logo import draw_logo

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from automl_pheno.explain.attribution import Attribution

CHROMOSOME_COLOURS = ("#0072B2", "#8C8C8C")
CHARACTERS_AN_INCH = 14.0


def contribution_logos(
    values: FloatArray, *, titles: Sequence[str], unit: str = "phenotype units", first: int = 1
) -> Figure:
    """Return one logo a sequence, on a common scale.

    Parameters
    ----------
    values
        Contributions at the bases, shape (n, length, 4).
    titles
        One a sequence.
    """
    from matplotlib.figure import Figure

    n, length = values.shape[:2]
    sums = values.sum(axis=2)
    low, high = min(float(sums.min()), 0.0), max(float(sums.max()), 0.0)
    margin = 0.06 * max(high - low, 1e-12)
    figure = Figure(figsize=(min(max(length * 0.09, 6.5), 16.0), 1.25 * n + 0.9), layout="constrained")
    all_axes: Any = figure.subplots(n, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, row, title in zip(all_axes, values, titles, strict=True):
        draw_logo(axes, row.T, first=first)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_ylim(low - margin, high + margin)
        axes.set_title(title, fontsize=9, loc="left", pad=2)
    all_axes[-1].set_xlabel("position (bp)")
    figure.supylabel(f"contribution ({unit})", fontsize=9)
    return figure


def warn_above(figure: Figure, warnings: Sequence[str]) -> Figure:
    """Write warnings above a figure, wrapped to its width, and return it."""
    if warnings:
        width = int(figure.get_size_inches()[0] * CHARACTERS_AN_INCH)
        lines = [line for warning in warnings for line in textwrap.wrap(warning, width)]
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=9, color="#A63A00")
    return figure


def importance_by_variant(attribution: Attribution) -> Figure:
    """Return a Manhattan-like figure: mean absolute contribution of each variant in genome order."""
    from matplotlib.figure import Figure

    from automl_pheno.explain.importance import importance

    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    draw_variants(figure.subplots(), importance(attribution))
    return figure


def draw_variants(axes: Axes, table: pd.DataFrame, *, labelled: int = 5) -> None:
    """Draw the importance of variants along the genome, chromosomes in alternating colours.

    Parameters
    ----------
    table
        What `importance` returns for genotypes; without a map the order of the file is used.
    labelled
        At most this many variants, none below 30 % of the highest, get their name.
    """
    height = table["mean_abs"].to_numpy(dtype=np.float64)
    mapped = bool((table["position"] >= 0).all()) and bool((table["chromosome"].astype(str) != "").all())
    places: FloatArray = np.arange(1, len(table) + 1, dtype=np.float64)
    colours = [CHROMOSOME_COLOURS[0]] * len(table)
    if not mapped:
        axes.set_xlabel("variant, in the order of the file (no map)")
    else:
        places, colours = _along_the_genome(axes, table)
    axes.scatter(places, height, s=9, c=colours, linewidths=0)
    axes.set_ylim(0.0, max(float(height.max()) * 1.15, 1e-12))
    axes.set_ylabel("mean |contribution|")
    for row in np.argsort(-height)[:labelled]:
        if height[row] < 0.3 * height.max():
            break
        name, place = str(table["id"].iloc[row]), (places[row], height[row])
        axes.annotate(name, place, xytext=(3, 3), textcoords="offset points", fontsize=7)


def _along_the_genome(axes: Axes, table: pd.DataFrame) -> tuple[FloatArray, list[str]]:
    names = table["chromosome"].astype(str)
    position = table["position"].to_numpy(dtype=np.float64)
    gap = 0.02 * float(sum(position[(names == name).to_numpy()].max() for name in names.unique()))
    places = np.zeros(len(table))
    colours = np.empty(len(table), dtype=object)
    start, ticks = 0.0, []
    for number, name in enumerate(names.unique()):
        inside = (names == name).to_numpy()
        places[inside] = start + position[inside]
        colours[inside] = CHROMOSOME_COLOURS[number % 2]
        ticks.append((places[inside].min() + places[inside].max()) / 2)
        start = float(places[inside].max()) + gap
    axes.set_xticks(ticks, list(names.unique()), fontsize=8)
    axes.set_xlabel("chromosome")
    return places, colours.tolist()
