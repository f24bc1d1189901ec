"""Pictures of contributions: which positions or variants the winner uses, in which samples, and how surely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.logo import draw_logo
from automl_pheno.report.driver_sentences import refits
from automl_pheno.report.picture import FIGURES, Picture, new_picture
from automl_pheno.report.read import RunFiles
from automl_pheno.report.style import (
    BASELINE,
    DIVERGING,
    INK,
    MANY_POINTS,
    NETWORK,
    SMALL,
    TEXT,
    WIDE,
    colour_bar,
    tidy,
)

ROW = 90
"""Positions in a row of letters: more of them cannot be read."""
MOST_ROWS = 4
LOGOS = 6
MOST_VARIANTS = 60
MOST_LISTED = 25
_TIED = 1e-12
_NEAR = 0.05


def window(weights: FloatArray, width: int) -> slice:
    """Return the `width` neighbouring positions that carry most weight, all where there are no more.

    Parameters
    ----------
    weights
        Not negative, shape (length,).
    """
    if len(weights) <= width:
        return slice(0, len(weights))
    sums = np.convolve(weights, np.ones(width), mode="valid")
    start = int(sums.argmax())
    return slice(start, start + width)


def limit(values: FloatArray) -> float:
    """Return the end of a signed colour scale: nearly all values lie within, a few extremes do not fade the others."""
    size = np.abs(values[np.isfinite(values)])
    return max(float(np.quantile(size, 0.995)), float(size.max()) * 0.25, _TIED) if len(size) else 1.0


@FIGURES.add("importance_position")
def _position(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    if explanation is None or not explanation.is_sequence:
        return None
    aligned = bool(explanation.manifest.get("aligned"))
    logo = explanation.arrays["attributions"]["values"].mean(axis=0) if aligned else None
    return position_picture(explanation.importance, logo, explanation.unit)


def position_picture(table: pd.DataFrame, mean_logo: FloatArray | None, unit: str) -> Picture:
    """Return the importance of each position, with a logo of signed contributions where positions are comparable.

    Parameters
    ----------
    table
        Columns ``position, mean_abs``.
    mean_logo
        Mean contribution of each base over the samples, shape (4, length); None when sequences are not variants of
        one reference, so that a mean letter has no meaning.
    unit
        Of contributions.
    """
    how = f"Bars: mean absolute contribution of the base at a position to the prediction, in {unit}. "
    length = len(table)
    if mean_logo is None:
        how += "The sequences are not variants of one sequence: what matters may lie elsewhere in each, so look at "
        how += "the motifs too."
        picture = new_picture("Importance of each position", how, width=WIDE, height=2.6)
        axes = tidy(picture.figure.subplots(), x="position (bp)", y="mean |contribution|")
        _steps(axes, table["position"].to_numpy(dtype=np.float64), table["mean_abs"].to_numpy(dtype=np.float64))
        axes.set_xlim(0.5, length + 0.5)
        axes.set_ylim(bottom=0)
        return picture
    how += "Letters: mean signed contribution; above the line the base raises the prediction, below it lowers it."
    starts = list(range(0, length, ROW))
    if len(starts) > MOST_ROWS:
        inside = window(table["mean_abs"].to_numpy(dtype=np.float64), MOST_ROWS * ROW)
        starts = list(range(inside.start, inside.stop, ROW))
        how += f" Only the {MOST_ROWS * ROW} neighbouring positions that matter most are drawn."
    picture = new_picture("Importance of each position", how, width=WIDE, height=0.4 + 2.3 * len(starts))
    panels = picture.figure.subplots(2 * len(starts), 1, squeeze=False)[:, 0]
    top = float(table["mean_abs"].max()) * 1.05
    low, high = _reach(mean_logo[None])
    for row, start in enumerate(starts):
        inside = slice(start, min(start + ROW, length))
        bars, logo = panels[2 * row], panels[2 * row + 1]
        part = table.iloc[inside]
        tidy(bars, y="mean |contribution|").bar(part["position"], part["mean_abs"], width=0.9, color=NETWORK)
        bars.set_ylim(0, max(top, _TIED))
        bars.tick_params(labelbottom=False)
        draw_logo(logo, mean_logo[:, inside], first=start + 1)
        tidy(logo, x="position (bp)" if row == len(starts) - 1 else "", y="mean contribution")
        for panel in (bars, logo):
            panel.yaxis.label.set_fontsize(SMALL - 1)
            panel.set_xlim(start + 0.5, start + min(ROW, length) + 0.5)
        logo.set_ylim(low, high)
    return picture


def _steps(axes: Any, x: FloatArray, height: FloatArray) -> None:
    """Draw bars as one area: a thousand of them are one path."""
    edges = np.concatenate([x - 0.5, x[-1:] + 0.5])
    axes.stairs(height, edges, fill=True, color=NETWORK, lw=0)


def _reach(values: FloatArray) -> tuple[float, float]:
    """Return the ends of the axis for logos, shape (n, 4, length)."""
    low = float(np.minimum(values, 0).sum(axis=1).min(initial=0.0))
    high = float(np.maximum(values, 0).sum(axis=1).max(initial=0.0))
    margin = 0.06 * max(high - low, _TIED)
    return low - margin, high + margin


@FIGURES.add("sequence_logos")
def _sequence_logos(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    if explanation is None or not explanation.is_sequence:
        return None
    arrays = explanation.arrays["attributions"]
    return sequence_logos_picture(arrays["values"], arrays["ids"], arrays["predictions"], explanation.unit)


def sequence_logos_picture(
    values: FloatArray, ids: Any, predictions: FloatArray, unit: str, *, samples: int = LOGOS
) -> Picture:
    """Return logos of explained sequences: half with the highest predictions, half with the lowest.

    Parameters
    ----------
    values
        Contributions, shape (n, 4, length).
    """
    order = np.argsort(-predictions, kind="stable")
    lowest = min(samples // 2, max(len(order) - 1, 0))
    chosen = np.concatenate([order[: samples - samples // 2], order[len(order) - lowest :]])
    chosen = chosen[np.sort(np.unique(chosen, return_index=True)[1])]
    length = values.shape[2]
    how = "The sequences with the highest and the lowest predictions. The height of a letter is what that base "
    how += f"contributes to this prediction, in {unit}, against the background; below the line it lowers it."
    if length > ROW:
        how += f" Of each, the {ROW} neighbouring positions that contribute most."
    picture = new_picture("Contributions in single sequences", how, width=WIDE, height=0.4 + 1.15 * len(chosen))
    panels = picture.figure.subplots(len(chosen), 1, sharey=True, squeeze=False)[:, 0]
    low, high = _reach(values[chosen])
    for axes, row in zip(panels, chosen, strict=True):
        part = window(np.abs(values[row]).sum(axis=0), ROW)
        draw_logo(axes, values[row][:, part], first=part.start + 1)
        tidy(axes)
        axes.set_ylim(low, high)
        axes.set_title(f"{ids[row]}: predicted {predictions[row]:.3g}", fontsize=SMALL, loc="left", pad=2)
    panels[-1].set_xlabel("position (bp)", fontsize=TEXT)
    picture.figure.supylabel(f"contribution ({unit})", fontsize=TEXT)
    return picture


@FIGURES.add("contribution_map")
def _contribution_map(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    if explanation is None or len(explanation.arrays["attributions"]["predictions"]) < 2:
        return None
    arrays = explanation.arrays["attributions"]
    values, predictions = arrays["values"], arrays["predictions"]
    if explanation.is_sequence:
        return contribution_map_picture(values.sum(axis=1), predictions, explanation.unit, None)
    names = list(explanation.importance["id"])  # in genome order; the arrays are in the order of the data
    if run.variants is None or sorted(run.variants) != sorted(names):
        return None
    column = {name: number for number, name in enumerate(run.variants)}
    ordered = values[:, [column[name] for name in names]]
    return contribution_map_picture(ordered, predictions, explanation.unit, names)


def contribution_map_picture(
    values: FloatArray, predictions: FloatArray, unit: str, variants: list[str] | None
) -> Picture:
    """Return the contribution of each position, or of the most important variants, in each sample as colours.

    Parameters
    ----------
    values
        Shape (n, length), or (n, n_variants) in genome order.
    variants
        Ids of the columns; None for positions.
    """
    order = np.argsort(-predictions, kind="stable")
    how = f"A row is a sample, the highest prediction on top. Orange raises its prediction, purple lowers it ({unit}). "
    if variants is None:
        shown = values[order]
        how += "A vertical band is a position that matters in many samples; scattered marks are motifs that move."
    else:
        top = np.sort(np.argsort(-np.abs(values).mean(axis=0), kind="stable")[:MOST_VARIANTS])
        shown = values[order][:, top]
        how += f"Columns: the {len(top)} variants with the largest mean contribution, in genome order."
    picture = new_picture("Contributions in all samples", how, width=WIDE, height=3.6)
    axes = tidy(picture.figure.subplots(), x="position (bp)" if variants is None else "", y="sample, by prediction")
    end = limit(shown)
    extent = (0.5, shown.shape[1] + 0.5, len(shown) + 0.5, 0.5)
    image = axes.imshow(shown, aspect="auto", cmap=DIVERGING, vmin=-end, vmax=end, interpolation="nearest",
                        extent=extent)  # fmt: skip
    if variants is not None:
        step = max(1, len(top) // 40 + 1) if len(top) > 40 else 1
        names = [variants[column] for column in top]
        axes.set_xticks(range(1, len(names) + 1, step), names[::step], rotation=90, fontsize=SMALL - 1.5)
    colour_bar(picture.figure, image, axes, f"contribution ({unit})")
    return picture


@FIGURES.add("stability")
def _stability(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table("stability")
    if explanation is None or table is None:
        return None
    return stability_picture(table, explanation.unit, dict(explanation.facts("stability")))


def stability_picture(table: pd.DataFrame, unit: str, facts: dict[str, Any]) -> Picture:
    """Return the importance of each position, or of the first variants, as mean ± sd over refits.

    Parameters
    ----------
    table
        ``position`` or ``id``, ``mean, sd``.
    """
    count = facts.get("refits")
    how = f"Importance ({unit}) by {refits(facts)}{f', {count} in all' if count else ''}: mean ± sd. "
    how += "Where the spread is as large as the "
    how += "mean, another training would tell another story."
    if "position" in table.columns:
        picture = new_picture("How stable is the importance?", how, width=WIDE, height=2.6)
        axes = tidy(picture.figure.subplots(), x="position (bp)", y="mean |contribution|")
        x, mean, sd = (table[name].to_numpy(dtype=np.float64) for name in ("position", "mean", "sd"))
        axes.fill_between(x, np.maximum(mean - sd, 0.0), mean + sd, color="#B5CBDB", lw=0, label="± sd")
        axes.plot(x, mean, color=NETWORK, lw=1.4)
        axes.set_xlim(x.min() - 0.5, x.max() + 0.5)
        axes.set_ylim(bottom=0)
        return picture
    shown = table.sort_values("mean", ascending=False, kind="stable").head(MOST_LISTED).iloc[::-1]
    picture = new_picture("How stable is the importance?", how, height=0.7 + 0.17 * len(shown))
    axes = tidy(picture.figure.subplots(), x=f"mean |contribution| ({unit})")
    axes.errorbar(shown["mean"], range(len(shown)), xerr=shown["sd"], fmt="o", ms=4, color=NETWORK, lw=1.2)
    axes.set_yticks(range(len(shown)), shown["id"], fontsize=SMALL - 0.5)
    axes.set_xlim(left=0)
    return picture


@FIGURES.add("counterpart")
def _counterpart(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table("counterpart")
    if explanation is None or table is None:
        return None
    key = "position" if explanation.is_sequence else "id"
    if key not in table:
        return None
    both = explanation.importance[[key, "mean_abs"]].merge(table[[key, "mean_abs"]], on=key, suffixes=("", "_other"))
    name = str(explanation.facts("counterpart").get("name", "the other kind"))
    return counterpart_picture(both, run.winner or "the winner", name) if len(both) > 2 else None


def counterpart_picture(both: pd.DataFrame, winner: str, other: str) -> Picture:
    """Return the importance by the winner against that by the best of the other kind.

    Parameters
    ----------
    both
        ``mean_abs, mean_abs_other`` and ``position`` or ``id``.
    """
    what = "position" if "position" in both.columns else "variant"
    how = f"One point a {what}. Far up and to the right both use it; along the lower edge only {winner} does, along "
    how += f"the left edge only {other}. What both use rests less on one kind of model."
    picture = new_picture(f"{winner} beside {other}", how, height=3.6)
    axes = tidy(picture.figure.subplots(), x=f"mean |contribution| in {winner}", y=f"in {other}")
    x, y = both["mean_abs"].to_numpy(dtype=np.float64), both["mean_abs_other"].to_numpy(dtype=np.float64)
    many = len(both) > MANY_POINTS
    axes.scatter(x, y, s=4 if many else 12, color=NETWORK, alpha=0.5, linewidths=0, rasterized=many)
    label = both["position" if what == "position" else "id"].astype(str).to_numpy()
    reach_x, reach_y = max(float(x.max()), _TIED), max(float(y.max()), _TIED)
    named: list[int] = []
    for row in dict.fromkeys(
        [*np.argsort(-x, kind="stable")[:3].tolist(), *np.argsort(-y, kind="stable")[:2].tolist()]
    ):
        if any(
            abs(x[row] - x[other]) < _NEAR * x.max() and abs(y[row] - y[other]) < _NEAR * y.max() for other in named
        ):
            continue  # one name on another cannot be read
        named.append(row)
        axes.annotate(label[row], (x[row], y[row]), xytext=(3, 2), textcoords="offset points", fontsize=SMALL - 0.5,
                      color=INK)  # fmt: skip
        axes.plot(x[row], y[row], "o", ms=4, mfc="none", color=BASELINE, mew=0.9)
    axes.set_xlim(left=0, right=reach_x * 1.12)
    axes.set_ylim(bottom=0, top=reach_y * 1.1)
    return picture
