"""Figures of an explanation: which positions, motifs or variants the winner uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.plot import draw_logo, draw_variants
from automl_pheno.report.style import INK, NETWORK, SMALL, TEXT, new_figure, tidy

ROW = 100
MOTIFS = 8


def position_figure(table: pd.DataFrame, mean_logo: FloatArray | None) -> Any:
    """Return the importance of each position, with a logo of signed contributions where positions are comparable.

    Parameters
    ----------
    table
        Columns ``position, mean_abs``.
    mean_logo
        Mean contribution of each base over the samples, phenotype units, shape (length, 4); None when sequences
        are not variants of one reference, so that a mean letter has no meaning.
    """
    how = "Bars: mean absolute contribution of the base at a position to the prediction, in phenotype units. "
    if mean_logo is None:
        how += "The sequences are not variants of one sequence: what matters may lie elsewhere in each, so look at "
        how += "the motifs too."
    else:
        how += "Letters: mean signed contribution; above the line the base raises the prediction, below it lowers it."
    length = len(table)
    rows = 1 if mean_logo is None else -(-length // ROW)
    height = 3.2 if mean_logo is None else 1.6 + 2.6 * rows
    figure = new_figure("Importance of each position", how, width=9.5, height=height)
    if mean_logo is None:
        axes = tidy(figure.subplots(), x="position (bp)", y="mean |contribution|")
        axes.bar(table["position"], table["mean_abs"], width=1.0, color=NETWORK)
        axes.set_xlim(0.5, length + 0.5)
        return figure
    panels = figure.subplots(2 * rows, 1, squeeze=False)[:, 0]
    top = float(table["mean_abs"].max()) * 1.05
    low = float(np.minimum(mean_logo, 0).sum(axis=1).min())
    high = float(np.maximum(mean_logo, 0).sum(axis=1).max())
    margin = 0.06 * max(high - low, 1e-12)
    for row in range(rows):
        inside = slice(row * ROW, min((row + 1) * ROW, length))
        bars, logo = panels[2 * row], panels[2 * row + 1]
        tidy(bars, y="mean |contribution|").bar(
            table["position"][inside], table["mean_abs"][inside], width=0.9, color=NETWORK
        )
        bars.set_xlim(row * ROW + 0.5, row * ROW + min(ROW, length) + 0.5)
        bars.set_ylim(0, top)
        bars.set_xticklabels([])
        draw_logo(logo, mean_logo[inside], first=row * ROW + 1)
        tidy(logo, x="position (bp)" if row == rows - 1 else "", y="mean contribution")
        for panel in (bars, logo):
            panel.yaxis.label.set_fontsize(SMALL - 1)
        logo.set_xlim(bars.get_xlim())
        logo.set_ylim(low - margin, high + margin)
    return figure


def sequence_logos_figure(
    values: FloatArray, ids: npt.NDArray[Any], predictions: FloatArray, *, samples: int = 6
) -> Any:
    """Return logos of the `samples` explained sequences with the highest predictions.

    Parameters
    ----------
    values
        Contributions, phenotype units, shape (n, length, 4).
    """
    how = "The height of a letter is what that base contributes to this prediction, in phenotype units, against "
    how += "shuffled or training sequences; below the line it lowers it."
    chosen = np.argsort(-predictions)[:samples]
    length = values.shape[1]
    figure = new_figure(
        "Sequences with the highest predictions", how, width=min(max(length * 0.09, 7.2), 15.0),
        height=1.0 + 1.3 * len(chosen),
    )  # fmt: skip
    panels = figure.subplots(len(chosen), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    sums = values[chosen].sum(axis=2)
    low, high = min(float(sums.min()), 0.0), max(float(sums.max()), 0.0)
    margin = 0.06 * max(high - low, 1e-12)
    for axes, row in zip(panels, chosen, strict=True):
        draw_logo(axes, values[row])
        tidy(axes)
        axes.set_ylim(low - margin, high + margin)
        axes.set_title(f"{ids[row]}: predicted {predictions[row]:.3g}", fontsize=SMALL, loc="left", pad=2)
    panels[-1].set_xlabel("position (bp)", fontsize=TEXT)
    figure.supylabel("contribution (phenotype units)", fontsize=TEXT)
    return figure


def motif_figure(table: pd.DataFrame, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Return a logo of each motif found.

    Parameters
    ----------
    table
        ``motifs.csv``.
    arrays
        ``contributions_1`` ..., mean contributions, shape (width, 4).
    """
    how = "Patterns that recur where contributions are largest. Height of a letter: its mean contribution in phenotype "
    how += "units; a motif below the line lowers the prediction. Both strands are pooled."
    shown = table.head(MOTIFS)
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = new_figure("Motifs the predictor uses", how, width=2.0 + 3.1 * columns, height=1.2 + 1.75 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.supylabel("mean contribution", fontsize=TEXT)
    widest = max(len(arrays[f"contributions_{number}"]) for number in shown["motif"])
    for axes, (_, motif) in zip(panels, shown.iterrows(), strict=False):
        heights = arrays[f"contributions_{motif['motif']}"]
        draw_logo(axes, heights)
        tidy(axes)
        axes.set_xlim(0.5, widest + 0.5)
        axes.set_xticks([])
        title = f"{motif['motif']}: {motif['consensus']}\n{motif['effect']} by {abs(motif['mean_contribution']):.2g}"
        axes.set_title(f"{title}, {motif['n_seqlets']} places", fontsize=SMALL, loc="left", color=INK)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def variant_figure(table: pd.DataFrame) -> Any:
    """Return the importance of each variant along the genome, chromosomes in alternating colours."""
    how = "One point a variant: mean absolute contribution to the prediction, in phenotype units. Neighbours share "
    how += "their importance through linkage, so a peak is a locus used by the predictor, not a causal variant."
    figure = new_figure("Importance of each variant", how, width=9.5, height=4.0)
    axes = figure.subplots()
    draw_variants(axes, table)
    tidy(axes, x=axes.get_xlabel(), y="mean |contribution|")
    return figure
