"""Figures of search and prediction: data in, a Matplotlib ``Figure`` out. They read no files and keep no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.metrics import METRICS, Metric
from automl_pheno.report.style import (
    BASELINE,
    INK,
    NETWORK,
    QUIET,
    SETS,
    SMALL,
    TEST,
    TEXT,
    TRAIN,
    VALIDATION,
    new_figure,
    tidy,
)
from automl_pheno.study.records import TrialRecord

MOST_NETWORKS = 8


def leaderboard_figure(table: pd.DataFrame, metric: Metric) -> Any:
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
    how = f"Further to the {better} is better. Open circle: validation, by which the winner is chosen, line ± 1 sd "
    how += "over folds where there are folds. "
    how += "Diamond: sealed test set, line 95 % bootstrap interval." if tested else "The test set is still sealed."
    figure = new_figure("Networks and baselines", how, height=1.9 + 0.36 * len(shown))
    axes = tidy(figure.subplots(), x=metric.label)
    for row, entry in shown.iterrows():
        colour = NETWORK if entry["kind"] == "network" else BASELINE
        spread = entry["val_sd"] if pd.notna(entry["val_sd"]) else 0.0
        place = float(str(row))
        value = entry[f"val_{metric.name}"]
        axes.errorbar(value, place - 0.13, xerr=spread, fmt="o", ms=5.5, mfc="white", color=colour, lw=1.2)
        if tested and pd.notna(entry[f"test_{metric.name}"]):
            test, low, high = entry[f"test_{metric.name}"], entry["test_low"], entry["test_high"]
            axes.plot([low, high], [place + 0.17] * 2, color=colour, lw=2.2, solid_capstyle="butt")
            axes.plot(test, place + 0.17, "D", ms=5.5, color=colour)
    axes.set_yticks(
        range(len(shown)), [_spelt(name, kind) for name, kind in zip(shown["name"], shown["kind"], strict=True)]
    )
    for label, kind in zip(axes.get_yticklabels(), shown["kind"], strict=True):
        label.set_color(NETWORK if kind == "network" else BASELINE)
        label.set_fontweight("bold" if kind == "network" else "normal")
    axes.set_ylim(len(shown) - 0.5, -0.6)
    axes.grid(axis="x", color="0.9", lw=0.8)
    axes.set_axisbelow(True)
    handles = [
        axes.plot([], [], "s", color=NETWORK, label="network (bold)")[0],
        axes.plot([], [], "s", color=BASELINE, label="baseline")[0],
    ]
    axes.legend(handles=handles, fontsize=SMALL, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def _spelt(name: str, kind: str) -> str:
    return name if kind == "network" else name.replace("_", " ")


def search_history_figure(records: Sequence[TrialRecord], metric: Metric, baseline: float | None) -> Any:
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
    how += "change at the end, a longer search may help. Pruned trials were stopped early, at the value shown."
    figure = new_figure("Search history", how)
    axes = tidy(figure.subplots(), x="trial", y=f"validation {metric.label}")
    complete = [r for r in ordered if r.state == "complete" and r.value is not None]
    pruned = [r for r in ordered if r.state == "pruned" and r.value is not None]
    failed = [r for r in ordered if r.state in ("failed", "infeasible")]
    axes.plot([r.trial for r in complete], [r.value for r in complete], "o", ms=5, color=NETWORK, label="complete")
    if pruned:
        axes.plot([r.trial for r in pruned], [r.value for r in pruned], "x", ms=5, color=QUIET, label="pruned")
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
    axes.legend(
        fontsize=SMALL, frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(-0.1, 1), columnspacing=1.1,
        handletextpad=0.5,
    )  # fmt: skip
    return figure


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


def learning_curve_figure(curve: Sequence[Mapping[str, float]], name: str, best_epoch: int | None) -> Any:
    """Return training and validation loss by epoch, and the validation metric where it was kept.

    Parameters
    ----------
    curve
        One mapping an epoch with ``loss``, ``val_loss``, ``val_<metric>``.
    best_epoch
        Counting from 1; the epoch whose weights were kept.
    """
    how = "When validation stops falling while training goes on falling, the network learns its training samples by "
    how += "heart. The dotted line is the epoch whose weights were kept."
    metric = next((m for m in METRICS.values() if any(f"val_{m.name}" in epoch for epoch in curve)), None)
    figure = new_figure(f"Learning curve of {name}", how, width=7.2 if metric is None else 9.0, height=3.8)
    all_axes = np.atleast_1d(figure.subplots(1, 1 if metric is None else 2))
    axes = tidy(all_axes[0], x="epoch", y="loss (trait in sd)")
    for key, colour, style, label in (("loss", TRAIN, "-", "training"), ("val_loss", VALIDATION, "--", "validation")):
        line = _series(curve, key)
        if np.isfinite(line).any():
            axes.plot(np.arange(1, len(line) + 1), line, style, color=colour, lw=1.8, label=label)
    axes.legend(fontsize=SMALL, frameon=False)
    if metric is not None:
        line = _series(curve, f"val_{metric.name}")
        axes = tidy(all_axes[1], x="epoch", y=f"validation {metric.label}")
        axes.plot(np.arange(1, len(line) + 1), line, "--", color=VALIDATION, lw=1.8)
    for axes in all_axes:
        if best_epoch:
            axes.axvline(best_epoch, color=INK, ls=":", lw=1.2)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _series(curve: Sequence[Mapping[str, float]], key: str) -> FloatArray:
    values = [epoch.get(key) for epoch in curve]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def predicted_observed_figure(predictions: pd.DataFrame, names: Sequence[str], trait: str) -> Any:
    """Return predicted against observed test samples, one panel for each of `names`.

    Parameters
    ----------
    predictions
        Columns ``observed`` and `names`, phenotype units.
    """
    how = "One point a test sample, none of which was used to learn or to choose. On the line a prediction is exact; "
    how += "a flatter cloud is shrunk towards the mean, as all good predictions of a noisy trait are."
    figure = new_figure("Predicted against observed, test set", how, width=0.8 + 3.6 * len(names), height=4.6)
    panels = np.atleast_1d(figure.subplots(1, len(names), sharex=True, sharey=True))
    observed = predictions["observed"].to_numpy(dtype=np.float64)
    every = predictions[["observed", *names]].to_numpy(dtype=np.float64)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    margin = 0.04 * max(high - low, 1e-9)
    for number, (axes, name) in enumerate(zip(panels, names, strict=True)):
        predicted = predictions[name].to_numpy(dtype=np.float64)
        tidy(axes, x=f"observed {trait}", y=f"predicted {trait}" if number == 0 else "")
        axes.plot([low, high], [low, high], color=INK, lw=1)
        axes.scatter(observed, predicted, s=14 if len(observed) < 1500 else 4, alpha=0.45, color=TEST, linewidths=0)
        r, r2 = (METRICS[m].function(observed, predicted) for m in ("pearson_r", "r2"))
        axes.set_title(f"{name}\nr = {r:.3f}, R² = {r2:.3f}, n = {len(observed):,}", fontsize=TEXT)
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(low - margin, high + margin)
        axes.set_aspect("equal")
    return figure


def phenotype_figure(values: Mapping[str, FloatArray], trait: str) -> Any:
    """Return the distribution of the trait in each set.

    Parameters
    ----------
    values
        Set -> trait values.
    """
    how = "The lines should lie on one another: then the sets are alike, and a test score speaks for them all. "
    how += "Height is the density, so that sets of different size compare."
    figure = new_figure("The trait in each set", how, height=3.8)
    axes = tidy(figure.subplots(), x=trait, y="density")
    pooled = np.concatenate(list(values.values()))
    edges = np.histogram_bin_edges(pooled, bins=min(40, max(8, int(np.sqrt(len(pooled))))))
    for (name, sample), style in zip(values.items(), ("-", "--", "-.", ":"), strict=False):
        density, _ = np.histogram(sample, bins=edges, density=True)
        label = f"{name} ({len(sample):,})"
        axes.stairs(density, edges, color=SETS.get(name, QUIET), lw=1.8, ls=style, label=label)
    axes.legend(fontsize=SMALL, frameon=False)
    return figure
