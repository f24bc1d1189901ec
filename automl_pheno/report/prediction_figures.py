"""Pictures of how well it predicts: predicted against observed, residuals, and the trait in each set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.metrics import METRICS
from automl_pheno.report.facts import Calibration, calibration_of
from automl_pheno.report.picture import FIGURES, Picture, new_picture
from automl_pheno.report.read import RunFiles
from automl_pheno.report.style import BASELINE, INK, MANY_POINTS, QUIET, SETS, TEST, TEXT, WIDE, legend_above, tidy

_BINS, _FEWEST_IN_BIN = 10, 5


@FIGURES.add("predicted_observed")
def _predicted_observed(run: RunFiles) -> Picture | None:
    """Draw the winner beside the best of the other kind, as the comparison in words does."""
    names = run.tested()
    if run.predictions is None or not names:
        return None
    lines = {name: line for name in names if (line := calibration_of(run.final, run.predictions, name)) is not None}
    return predicted_observed_picture(run.predictions, names, run.trait, lines)


def predicted_observed_picture(
    predictions: pd.DataFrame, names: Sequence[str], trait: str, lines: Mapping[str, Calibration] | None = None
) -> Picture:
    """Return observed against predicted test samples, one panel for each of `names`.

    Parameters
    ----------
    predictions
        Columns ``observed`` and `names`, phenotype units.
    lines
        The line of observed on predicted, by name, where there is one.
    """
    how = "One point a test sample, none of which was used to learn or to choose. On the black line a prediction is "
    how += "exact; predictions of a noisy trait spread less than what is observed. "
    if lines:
        how += "Dashed: the line of observed on predicted; where it is steeper than the black one predictions lie too "
        how += "close together, where it is flatter too far apart."
    picture = new_picture("Observed against predicted, test set", how.strip(), height=3.3 if len(names) > 1 else 4.5)
    panels = np.atleast_1d(picture.figure.subplots(1, len(names), sharex=True, sharey=True))
    every = predictions[["observed", *names]].to_numpy(dtype=np.float64)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    margin = 0.04 * max(high - low, 1e-9)
    for number, (axes, name) in enumerate(zip(panels, names, strict=True)):
        both = predictions[["observed", name]].dropna().to_numpy(dtype=np.float64)
        observed, predicted = both[:, 0], both[:, 1]
        tidy(axes, x=f"predicted {trait}", y=f"observed {trait}" if number == 0 else "")
        axes.plot([low, high], [low, high], color=INK, lw=1)
        _cloud(axes, predicted, observed)
        r, r2 = (METRICS[m].function(observed, predicted) for m in ("pearson_r", "r2"))
        words = f"{name} (n = {len(observed):,})\nr = {r + 0.0:.3f}, R² = {round(r2, 3) + 0.0:.3f}"
        line = (lines or {}).get(name)
        if line is not None:
            ends = np.array([predicted.min(), predicted.max()])
            axes.plot(ends, line.intercept + line.slope * ends, color=BASELINE, lw=1.6, ls="--")
            words += f"\nslope {line.slope:.2f}"
        axes.set_title(words, fontsize=TEXT)
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(low - margin, high + margin)
        axes.set_aspect("equal")
    return picture


def _cloud(axes: Any, x: FloatArray, y: FloatArray) -> None:
    many = len(x) > MANY_POINTS
    axes.scatter(x, y, s=4 if many else 12, alpha=0.35 if many else 0.5, color=TEST, linewidths=0, rasterized=many)


@FIGURES.add("residuals")
def _residuals(run: RunFiles) -> Picture | None:
    """Draw the winner's residuals on the test set."""
    names = run.tested()
    if run.predictions is None or not names or run.final is None or names[0] != run.final["winner"]["name"]:
        return None
    table = run.predictions[["observed", names[0]]].dropna()
    if len(table) < 3 or float(table["observed"].std()) == 0.0:
        return None
    observed, predicted = (table[name].to_numpy(dtype=np.float64) for name in ("observed", names[0]))
    return residual_picture(observed, predicted, names[0], run.trait)


def residual_picture(observed: FloatArray, predicted: FloatArray, name: str, trait: str) -> Picture:
    """Return residuals against predictions, their distribution, and their quantiles beside normal ones."""
    from scipy.stats import norm

    residual = observed - predicted
    bins = max(2, min(_BINS, len(residual) // _FEWEST_IN_BIN))
    groups = np.array_split(np.argsort(predicted, kind="stable"), bins)
    how = f"Residual = observed - predicted. Left: the line (means of {len(groups)} equal groups) should follow 0; "
    how += "where it rises or falls predictions are off for such samples, and a fan says that some are harder. Middle "
    how += "and right: on the normal curve and on the line residuals are normal; ends off the line are outliers."
    picture = new_picture(f"Residuals of {name}, test set", how, width=WIDE, height=3.0)
    fit, shape, quantiles = picture.figure.subplots(1, 3)
    tidy(fit, x=f"predicted {trait}", y="residual")
    fit.axhline(0.0, color=INK, lw=1)
    _cloud(fit, predicted, residual)
    fit.plot([predicted[g].mean() for g in groups], [residual[g].mean() for g in groups], "o-", color=BASELINE, ms=4,
             lw=1.6)  # fmt: skip
    tidy(shape, x="residual", y="density")
    shape.hist(residual, bins=min(40, max(8, int(np.sqrt(len(residual))))), density=True, color="#B9D9CE")
    mean, sd = float(residual.mean()), max(float(residual.std(ddof=1)), 1e-300)
    grid = np.linspace(float(residual.min()), float(residual.max()), 200)
    shape.plot(grid, norm.pdf(grid, mean, sd), color=INK, lw=1.4)
    shape.set_title(f"mean {mean:.3g}, sd {sd:.3g}", fontsize=TEXT)
    tidy(quantiles, x="normal quantile (sd)", y="residual quantile (sd)")
    ordered = np.sort((residual - mean) / sd)
    expected = norm.ppf((np.arange(1, len(ordered) + 1) - 0.5) / len(ordered))
    quantiles.plot(expected, expected, color=INK, lw=1)
    quantiles.plot(expected, ordered, "o", ms=2.5, color=TEST, mew=0, rasterized=len(ordered) > MANY_POINTS)
    return picture


@FIGURES.add("phenotype")
def _phenotype(run: RunFiles) -> Picture | None:
    if run.split is None or run.development is None:
        return None
    values = {}
    for name in ("train", "validation"):
        ids = run.split.loc[run.split["set"] == name, "id"].astype(str)
        if len(ids):
            values[name] = run.development.reindex(ids).dropna().to_numpy(dtype=np.float64)
    if run.predictions is not None:
        values["test"] = run.predictions["observed"].to_numpy(dtype=np.float64)
    values = {name: sample for name, sample in values.items() if len(sample)}
    return phenotype_picture(values, run.trait) if values else None


def phenotype_picture(values: Mapping[str, FloatArray], trait: str) -> Picture:
    """Return the distribution of the trait in each set.

    Parameters
    ----------
    values
        Set -> trait values.
    """
    how = "The lines should lie on one another: then the sets are alike, and a test score speaks for them all. Height "
    how += "is the density, so that sets of different size compare."
    picture = new_picture("The trait in each set", how, height=2.9)
    axes = tidy(picture.figure.subplots(), x=trait, y="density")
    pooled = np.concatenate(list(values.values()))
    edges = np.histogram_bin_edges(pooled, bins=min(40, max(8, int(np.sqrt(len(pooled))))))
    for (name, sample), style in zip(values.items(), ("-", "--", "-.", ":"), strict=False):
        density, _ = np.histogram(sample, bins=edges, density=True)
        label = f"{name} ({len(sample):,})"
        axes.stairs(density, edges, color=SETS.get(name, QUIET), lw=1.8, ls=style, label=label)
    legend_above(axes)
    return picture
