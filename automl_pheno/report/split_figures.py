"""Pictures of a split: data in, a `Picture` out. They read no files and keep no state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.metrics import METRICS
from automl_pheno.report.picture import Picture, new_picture
from automl_pheno.report.style import (
    BASELINE,
    INK,
    LINES,
    MANY_POINTS,
    NARROW,
    QUIET,
    SETS,
    SMALL,
    TEST,
    TEXT,
    WIDE,
    legend_above,
    tidy,
)

_STYLES = ("-", "--", "-.", ":")
_MOST_PANELS = 12


def similarity_figure(
    similarity: Mapping[str, FloatArray],
    measure: str,
    threshold: float | None,
    at_random: Mapping[str, FloatArray] | None = None,
    *,
    caption: str = "",
) -> Picture:
    """Return how similar each evaluated sample is to its nearest training sample.

    Parameters
    ----------
    similarity
        Side -> similarity of each of its samples; nan where no sample is near enough to be told.
    measure
        What is measured, for the axis.
    threshold
        From which on a pair is a leak; None where none is stated.
    at_random
        The same for a random split.
    """
    picture = new_picture("How similar is the nearest training sample?", caption, height=3.0)
    axes = tidy(picture.figure.subplots(), x=f"{measure} with the nearest training sample", y="share of samples")
    every = np.concatenate([*similarity.values(), *(at_random or {}).values()])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    if threshold is not None:
        low, high = min(low, threshold), max(high, threshold)
    margin = 0.03 * max(high - low, 1e-6)
    edges = np.linspace(low - margin, high + margin, 31)
    if threshold is not None:
        # no bar lies on both sides of the threshold
        width = edges[1] - edges[0]
        edges = threshold + width * np.arange(
            math.floor((edges[0] - threshold) / width), math.ceil((edges[-1] - threshold) / width) + 1
        )
    for (name, values), style in zip((at_random or {}).items(), _STYLES, strict=False):
        axes.hist(values, bins=edges, weights=np.full(len(values), 1 / len(values)), color="0.86", ls=style,
                  label=f"{name}, random split")  # fmt: skip
    for (name, values), style in zip(similarity.items(), _STYLES, strict=False):
        known = values[np.isfinite(values)]
        height, _ = np.histogram(known, bins=edges)
        counted = f"{len(values):,}" if len(known) == len(values) else f"{len(known):,} of {len(values):,}"
        label = f"{name} ({counted})"
        axes.stairs(height / len(values), edges, color=_colour(name), lw=1.8, ls=style, label=label)
    if threshold is not None:
        axes.set_ylim(0, 1.12 * axes.get_ylim()[1])  # room for the word
        axes.axvline(threshold, color=INK, lw=1.4)
        place = "left" if threshold > (low + high) / 2 else "right"
        offset = -4 if place == "left" else 4
        axes.annotate(f"threshold {threshold:g}", (threshold, 1), xycoords=("data", "axes fraction"),
                      xytext=(offset, -2), textcoords="offset points", ha="right" if place == "left" else "left",
                      va="top", fontsize=SMALL, color=INK)  # fmt: skip
    legend_above(axes)
    return picture


def phenotype_figure(values: Mapping[str, FloatArray], trait: str, *, caption: str = "") -> Picture:
    """Return the distribution of the trait on each side; folds are thin lines, sets thick ones.

    Parameters
    ----------
    values
        Side -> trait values.
    """
    picture = new_picture("The trait on each side", caption, height=3.0)
    axes = tidy(picture.figure.subplots(), x=trait, y="density")
    pooled = np.concatenate(list(values.values()))
    fewest = min(map(len, values.values()))
    edges = np.histogram_bin_edges(pooled, bins=min(30, max(8, int(1.2 * math.sqrt(fewest)))))
    folds = [name for name in values if name.startswith("fold ")]
    number = 0
    for name, sample in values.items():
        density, _ = np.histogram(sample, bins=edges, density=True)
        if name in folds:
            label = f"{len(folds)} folds" if name == folds[0] else None
            axes.stairs(density, edges, color=SETS["train"], lw=0.9, alpha=0.55, label=label)
        else:
            style = _STYLES[number % len(_STYLES)]
            axes.stairs(density, edges, color=_colour(name), lw=2.0, ls=style, label=f"{name} ({len(sample):,})")
            number += 1
    legend_above(axes)
    return picture


def components_figure(samples: pd.DataFrame, sides: Sequence[str], *, caption: str = "") -> Picture:
    """Return the first two principal components, one panel a side: its samples before all others in grey.

    Parameters
    ----------
    samples
        Columns ``side, pc1, pc2``.
    sides
        Which to show, in order.
    """
    shown = list(sides)[:_MOST_PANELS]
    n_columns = min(len(shown), {4: 2}.get(len(shown), 3 if len(shown) <= 6 else 4))
    n_rows = math.ceil(len(shown) / n_columns)
    width = NARROW if len(shown) <= 4 else WIDE
    height = 0.4 + n_rows * (width / n_columns) * 0.85
    picture = new_picture("Where the samples of each side lie", caption, width=width, height=height)
    panels = np.atleast_1d(picture.figure.subplots(n_rows, n_columns, sharex=True, sharey=True)).ravel()
    x, y = samples["pc1"].to_numpy(dtype=np.float64), samples["pc2"].to_numpy(dtype=np.float64)
    side = samples["side"].to_numpy()
    pixels = len(samples) > MANY_POINTS
    small, large = (2.0, 4.0) if pixels else (6.0, 11.0)
    for index, name in enumerate(shown):
        lowest, leftmost = index >= len(shown) - n_columns, index % n_columns == 0
        axes = tidy(panels[index], x="PC 1" if lowest else "", y="PC 2" if leftmost else "")
        inside = side == name
        axes.scatter(x[~inside], y[~inside], s=small, color="0.8", linewidths=0, rasterized=pixels)
        axes.scatter(x[inside], y[inside], s=large, color=_colour(name), linewidths=0, rasterized=pixels)
        axes.set_title(f"{name} ({int(inside.sum()):,})", fontsize=TEXT, color=INK)
        axes.tick_params(labelbottom=lowest)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return picture


def comparison_figure(table: pd.DataFrame, *, caption: str = "") -> Picture:
    """Return the score of each predictor and detector at random and on this split.

    Parameters
    ----------
    table
        Of ``evaluation.compare_splits`` with the splits ``random`` and ``this_split``.
    """
    known = table[table["random"].notna() & table["this_split"].notna()].reset_index(drop=True)
    metric = METRICS[str(known["metric"].iloc[0])]
    picture = new_picture("What a random split would promise", caption, height=1.0 + 0.3 * len(known))
    axes = tidy(picture.figure.subplots(), x=metric.label)
    places = np.arange(len(known), dtype=np.float64)
    for key, marker, colour, offset, label in (
        ("random", "o", BASELINE, -0.12, "random split"),
        ("this_split", "D", TEST, 0.12, "this split"),
    ):
        sd = known[f"{key}_sd"].fillna(0.0)
        face = "white" if key == "random" else colour
        look = {"ms": 5.5, "mfc": face, "color": colour, "lw": 1.2, "label": label}
        axes.errorbar(known[key], places + offset, xerr=sd, fmt=marker, **look)
    first_detector = int((known["kind"] == "baseline").sum())
    if 0 < first_detector < len(known):
        axes.axhline(first_detector - 0.5, color="0.75", lw=0.8)
    axes.axvline(0.0, color="0.75", lw=0.8, zorder=0)
    axes.set_yticks(places, [str(name).replace("_", " ") for name in known["name"]])
    for text, kind in zip(axes.get_yticklabels(), known["kind"], strict=True):
        text.set_style("italic" if kind == "detector" else "normal")
    axes.set_ylim(len(known) - 0.5, -0.6)
    legend_above(axes)
    return picture


def _colour(name: str) -> str:
    if name.startswith("fold "):
        return LINES[int(name.split()[1]) % 5]
    return SETS.get(name, SETS["train"] if name.startswith("fold") else QUIET)
