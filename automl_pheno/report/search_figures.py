"""Pictures of the search: who leads, how it went, and which parameters mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.metrics import METRICS, Metric
from automl_pheno.report.picture import FIGURES, Picture, new_picture
from automl_pheno.report.read import RunFiles
from automl_pheno.report.style import (
    ACCENT,
    BASELINE,
    INK,
    NARROW,
    NETWORK,
    QUIET,
    SMALL,
    TEXT,
    TRAIN,
    VALIDATION,
    WIDE,
    legend_above,
    tidy,
)
from automl_pheno.study.records import TrialRecord

MOST_NETWORKS = 8
MOST_SLICES = 9
MOST_PARAMETERS = 16
SMOOTHED = 5
"""Epochs over which losses are averaged before it is asked where they part."""
_LITTLE = 0.01
_DECADES = 100.0


@FIGURES.add("leaderboard")
def _leaderboard(run: RunFiles) -> Picture | None:
    if not (run.leaderboard["state"] == "complete").any():
        return None
    return leaderboard_picture(run.leaderboard, run.metric)


def leaderboard_picture(table: pd.DataFrame, metric: Metric) -> Picture:
    """Return the complete rows of a leaderboard as points with intervals: all baselines, the best networks.

    Parameters
    ----------
    table
        Columns ``name, kind, state, val_<metric>, val_sd, test_<metric>, test_low, test_high``, best first.
    """
    complete = table[table["state"] == "complete"]
    networks = complete[complete["kind"] == "network"]
    shown = complete[(complete["kind"] != "network") | complete["name"].isin(networks["name"].head(MOST_NETWORKS))]
    shown = shown.reset_index(drop=True)
    better = "right" if metric.higher_is_better else "left"
    tested = f"test_{metric.name}" in shown and bool(shown[f"test_{metric.name}"].notna().any())
    how = f"Further to the {better} is better. Open circle: validation, by which the winner is chosen"
    how += "; its line is ± 1 sd over folds. " if bool(shown["val_sd"].notna().any()) else ". "
    how += "Diamond: sealed test set with its 95 % bootstrap interval." if tested else "The test set is still sealed."
    how += " Networks are bold."
    if len(networks) > MOST_NETWORKS:
        how += f" Of {len(networks):,} complete networks the best {MOST_NETWORKS} are drawn."
    picture = new_picture("Networks and baselines", how, height=0.9 + 0.27 * len(shown))
    axes = tidy(picture.figure.subplots(), x=metric.label)
    for row, entry in enumerate(shown.to_dict("records")):
        colour = NETWORK if entry["kind"] == "network" else BASELINE
        spread = entry["val_sd"] if pd.notna(entry["val_sd"]) else 0.0
        value = entry[f"val_{metric.name}"]
        axes.errorbar(value, row - 0.15, xerr=spread, fmt="o", ms=5, mfc="white", color=colour, lw=1.2)
        if tested and pd.notna(entry[f"test_{metric.name}"]):
            test, low, high = entry[f"test_{metric.name}"], entry["test_low"], entry["test_high"]
            axes.plot([low, high], [row + 0.17] * 2, color=colour, lw=2.2, solid_capstyle="butt")
            axes.plot(test, row + 0.17, "D", ms=5, color=colour)
    axes.set_yticks(
        range(len(shown)), [_spelt(name, kind) for name, kind in zip(shown["name"], shown["kind"], strict=True)]
    )
    for label, kind in zip(axes.get_yticklabels(), shown["kind"], strict=True):
        label.set_color(NETWORK if kind == "network" else "#A63A00")
        label.set_fontweight("bold" if kind == "network" else "normal")
    axes.set_ylim(len(shown) - 0.5, -0.6)
    axes.grid(axis="x", color="0.9", lw=0.8)
    axes.set_axisbelow(True)
    return picture


def _spelt(name: str, kind: str) -> str:
    return name if kind == "network" else name.replace("_", " ")


@FIGURES.add("search_history")
def _search_history(run: RunFiles) -> Picture | None:
    if not any(record.value is not None for record in run.networks):
        return None
    values = [r.value for r in run.records if r.kind == "baseline" and r.state == "complete" and r.value is not None]
    best = None
    if values:
        best = max(values) if run.metric.higher_is_better else min(values)
    return search_history_picture(run.networks, run.metric, best)


def search_history_picture(records: Sequence[TrialRecord], metric: Metric, baseline: float | None) -> Picture:
    """Return the value of each trial in the order of the search, with the best so far.

    Parameters
    ----------
    records
        Of networks.
    baseline
        Validation value of the best baseline, drawn as a line; None where there is none.
    """
    ordered = sorted((r for r in records if r.trial is not None), key=lambda record: record.trial or 0)
    better = "higher" if metric.higher_is_better else "lower"
    how = f"One mark a trial; {better} is better. The steps are the best complete trial so far: while they still "
    how += "change at the end, a longer search may help."
    how += " Pruned trials were stopped early, at the value shown." if any(r.state == "pruned" for r in records) else ""
    picture = new_picture("Search history", how)
    axes = tidy(picture.figure.subplots(), x="trial", y=f"validation {metric.label}")
    complete = [r for r in ordered if r.state == "complete" and r.value is not None]
    pruned = [r for r in ordered if r.state == "pruned" and r.value is not None]
    failed = [r for r in ordered if r.state in ("failed", "infeasible")]
    axes.plot([r.trial for r in complete], [r.value for r in complete], "o", ms=4.5, color=NETWORK, label="complete")
    if pruned:
        axes.plot([r.trial for r in pruned], [r.value for r in pruned], "x", ms=4.5, color=QUIET, label="pruned")
    if complete:
        best = np.maximum if metric.higher_is_better else np.minimum
        running = best.accumulate(np.array([r.value for r in complete], dtype=np.float64))
        axes.step(
            [*(r.trial for r in complete), ordered[-1].trial],
            [*running, running[-1]],
            where="post", color=INK, lw=1.3, label="best so far",
        )  # fmt: skip
    if baseline is not None:
        axes.axhline(baseline, color=BASELINE, ls="--", lw=1.4, label="best baseline")
    _clip(axes, [float(r.value) for r in [*complete, *pruned] if r.value is not None], baseline, metric)
    if failed:
        low = axes.get_ylim()[0]
        axes.plot([r.trial for r in failed], [low] * len(failed), "|", ms=9, color=BASELINE, clip_on=False,
                  label="failed or infeasible")  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend_above(axes)
    return picture


def _clip(axes: Any, values: list[float], baseline: float | None, metric: Metric) -> None:
    """Let a few hopeless trials fall off the axis rather than flatten all others, and say how many did."""
    if not values:
        return
    good = max(values) if metric.higher_is_better else min(values)
    bad = float(np.quantile(values, 0.1 if metric.higher_is_better else 0.9))
    inside = [good, bad] if baseline is None else [good, bad, baseline]
    margin = 0.12 * max(max(inside) - min(inside), 1e-9)
    low, high = min(inside) - margin, max(inside) + margin
    outside = sum(not low <= value <= high for value in values)
    if outside:
        axes.set_ylim(low, high)
        axes.annotate(
            f"{outside} worse than the axis shows", (1, 0.04 if metric.higher_is_better else 0.95),
            xycoords="axes fraction", fontsize=SMALL, color="#444444", ha="right", va="bottom",
        )  # fmt: skip


@FIGURES.add("learning_curve")
def _learning_curve(run: RunFiles) -> Picture | None:
    record = run.trained()
    return None if record is None else record_curve_picture(record)


def record_curve_picture(record: TrialRecord) -> Picture:
    """Return the learning curve of a trial; with K folds that of the first."""
    return learning_curve_picture(record.curve, record.name, record.best_epoch, folds=max(len(record.fold_scores), 1))


def parting_epoch(curve: Sequence[Mapping[str, float]]) -> int | None:
    """Return the epoch, from 1, from which on validation no longer gains while training still does; None if none is.

    Losses are first averaged over five epochs. It is the first epoch whose validation loss is within 1 % of the lowest
    one, if epochs follow and the training loss falls by more than 1 % in them.
    """
    train, validation = (_smooth(_series(curve, key)) for key in ("loss", "val_loss"))
    if len(curve) < SMOOTHED or not np.isfinite(validation).any() or not np.isfinite(train).all():
        return None
    lowest = float(np.nanmin(validation))
    near = np.flatnonzero(validation <= lowest + _LITTLE * abs(lowest))
    if not len(near) or near[0] >= len(curve) - 2:
        return None
    first = int(near[0])
    falls = train[-1] < train[first] - _LITTLE * abs(train[first])
    return first + 1 if falls else None


def _smooth(values: FloatArray) -> FloatArray:
    half = SMOOTHED // 2
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def learning_curve_picture(
    curve: Sequence[Mapping[str, float]], name: str, best_epoch: int | None, *, folds: int = 1
) -> Picture:
    """Return training and validation loss by epoch, and the validation metric where it was kept.

    Parameters
    ----------
    curve
        One mapping an epoch with ``loss``, ``val_loss``, ``val_<metric>``.
    best_epoch
        Counting from 1; the epoch whose weights were kept, or with several folds the median of theirs.
    folds
        Of the search; the curve is that of the first.
    """
    parted = parting_epoch(curve)
    metric = next((m for m in METRICS.values() if any(f"val_{m.name}" in epoch for epoch in curve)), None)
    height = 2.8 if metric is None else 4.2
    how = learning_caption(parted, best_epoch, folds=folds)
    picture = new_picture(f"Learning curve of {name}", how, height=height)
    all_axes = np.atleast_1d(picture.figure.subplots(1 if metric is None else 2, 1, sharex=True))
    axes = tidy(all_axes[0], x="epoch" if metric is None else "", y="loss (trait in sd)")
    for key, colour, style, label in (("loss", TRAIN, "-", "training"), ("val_loss", VALIDATION, "--", "validation")):
        line = _series(curve, key)
        if np.isfinite(line).any():
            axes.plot(np.arange(1, len(line) + 1), line, style, color=colour, lw=1.8, label=label)
    legend_above(axes)
    if metric is not None:
        line = _series(curve, f"val_{metric.name}")
        axes = tidy(all_axes[1], x="epoch", y=f"validation {metric.label}")
        axes.plot(np.arange(1, len(line) + 1), line, "--", color=VALIDATION, lw=1.8)
    for axes in all_axes:
        if parted is not None:
            axes.axvspan(parted, len(curve), color="0.92", zorder=0)
        if best_epoch:
            axes.axvline(best_epoch, color=INK, ls=":", lw=1.2)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return picture


def learning_caption(parted: int | None, best_epoch: int | None, *, folds: int = 1) -> str:
    """Return how to read a learning curve whose losses part at an epoch, see `parting_epoch`."""
    how = "Loss of training and validation samples after each epoch"
    how += f", in the first of {folds} folds. " if folds > 1 else ". "
    if parted is not None:
        how += f"Grey: from epoch {parted} on the two part. There the validation loss (mean of {SMOOTHED} epochs) is "
        how += "within 1 % of its lowest while the training loss still falls: little of what is learnt later carries "
        how += "over. "
    else:
        how += "No epoch stands out from which on training gains and validation does not. "
    if best_epoch and folds > 1:
        how += f"Dotted: epoch {best_epoch}, the median of the epochs whose weights were kept in the folds."
    elif best_epoch:
        how += f"Dotted: epoch {best_epoch}, whose weights were kept."
    return how.strip()


def _series(curve: Sequence[Mapping[str, float]], key: str) -> FloatArray:
    values = [epoch.get(key) for epoch in curve]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@FIGURES.add("parameter_importance")
def _parameter_importance(run: RunFiles) -> Picture | None:
    """Draw ``parameter_importance.csv``."""
    if run.parameters is None or run.parameters.empty:
        return None
    table = run.parameters.head(MOST_PARAMETERS).iloc[::-1]
    known = "chance" in table and bool(table["chance"].notna().any())
    how = f"Share of each parameter in what sets the best of {int(table['n_trials'].iloc[0])} complete networks apart "
    how += f"({table['method'].iloc[0]}). "
    how += "Line: the highest of 19 shuffles of the scores; a bar that does not pass it may be luck. " if known else ""
    how += "It tells what mattered within the ranges that were searched."
    picture = new_picture("Which parameters mattered", how, height=0.8 + 0.23 * len(table))
    axes = tidy(picture.figure.subplots(), x="importance")
    chance = table["chance"].to_numpy(dtype=np.float64) if known else np.zeros(len(table))
    height = table["importance"].to_numpy(dtype=np.float64)
    colours = [NETWORK if value > luck else "#B5CBDB" for value, luck in zip(height, chance, strict=True)]
    axes.barh(range(len(table)), height, color=colours, height=0.7)
    if known:
        axes.plot(chance, range(len(table)), "|", ms=10, mew=1.6, color=INK)
    axes.set_yticks(range(len(table)), table["path"])
    axes.set_xlim(0, max(float(height.max()), float(chance.max()), 1e-9) * 1.05)
    return picture


@FIGURES.add("parameter_slices")
def _slices(run: RunFiles) -> Picture | None:
    """Draw the score against the value of each parameter that varies, the most important ones first."""
    complete = [r for r in run.networks if r.value is not None and r.state == "complete"]
    varied = [name for name in run.parameter_names if len({str(r.params.get(name)) for r in complete}) > 1]
    if len(complete) < 3 or not varied:
        return None
    if run.parameters is not None:
        ranks = {str(name): rank for rank, name in enumerate(run.parameters["path"])}
        varied.sort(key=lambda name: ranks.get(name, len(ranks)))
    shown = varied[:MOST_SLICES]
    values = np.array([r.value for r in complete], dtype=np.float64)
    higher = run.metric.higher_is_better
    best = int(values.argmax() if higher else values.argmin())
    low, high = (float(np.quantile(values, share)) for share in ((0.1, 1.0) if higher else (0.0, 0.9)))
    margin = 0.12 * max(high - low, 1e-9)
    low, high = low - margin, high + margin
    off = values < low if higher else values > high
    edge = low + margin / 3 if higher else high - margin / 3
    how = "One mark a complete trial: its score against the value of one parameter, all others varying too. A slope "
    how += "or a step across many trials says that the value matters; best trials at an edge say that the range "
    how += "should grow. Pink: the best trial. "
    how += "Grey triangles: worse than the axis shows. " if off.any() else ""
    how += "The most important parameters come first." if run.parameters is not None else ""
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    width = WIDE if columns > 1 else NARROW
    picture = new_picture("Score by parameter", how.strip(), width=width, height=0.2 + 2.0 * rows)
    panels = picture.figure.subplots(rows, columns, sharey=True, squeeze=False)
    for number, (axes, name) in enumerate(zip(panels.ravel(), shown, strict=False)):
        tidy(axes, x=name, y=f"validation {run.metric.label}" if number % columns == 0 else "")
        places = _places(axes, [record.params.get(name) for record in complete], log=run.is_log(name))
        axes.plot(places, values, "o", ms=4, color=NETWORK, alpha=0.75, mew=0)
        axes.plot(places[off], np.full(int(off.sum()), edge), "v" if higher else "^", ms=4, color=QUIET, mew=0)
        axes.plot(places[best], values[best], "o", ms=6, color=ACCENT, mec=INK, mew=0.6)
    panels[0, 0].set_ylim(low, high)
    for axes in panels.ravel()[len(shown) :]:
        axes.set_visible(False)
    return picture


def _places(axes: Any, values: Sequence[Any], *, log: bool) -> FloatArray:
    """Return where values stand on the axis: numbers as they are, words one beside another, missing ones apart."""
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    present = [v for v in values if v is not None]
    if len(numbers) == len(present) and len(set(numbers)) > 4:
        found = np.array([np.nan if v is None else float(v) for v in values])
        if log and min(numbers) > 0:
            axes.set_xscale("log")
            if max(numbers) / min(numbers) > _DECADES:
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_formatter("")
            else:  # hardly a power of ten within: some values stand at the marks
                marks = np.geomspace(min(numbers), max(numbers), 3)
                axes.set_xticks(marks, [f"{mark:.2g}" for mark in marks])
                axes.set_xticks([], minor=True)
        return found
    words = sorted(set(present), key=lambda v: (isinstance(v, str), v))
    names = [f"{word:.3g}" if isinstance(word, float) else str(word) for word in words]
    names += ["unused"] if len(present) < len(values) else []
    axes.set_xticks(range(len(names)), names, fontsize=SMALL if len(names) < 6 else SMALL - 1.5)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.xaxis.label.set_fontsize(TEXT)
    spread = 0.18 * np.sin(2.4 * np.arange(len(values)))  # apart, and the same each time
    at = [len(names) - 1 if v is None else words.index(v) for v in values]
    return np.asarray(np.array(at, dtype=np.float64) + spread)
