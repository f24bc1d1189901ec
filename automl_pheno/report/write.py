"""All figures of a run as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.files import write_bytes, writing
from automl_pheno.registry import Registry
from automl_pheno.report import explanation_figures, figures
from automl_pheno.report.read import RunFiles, read_run

FOLDER = "figures"
DPI = 160

FigureMaker = Callable[[RunFiles], Any]
FIGURES: Registry[FigureMaker] = Registry("figure")
"""Name of the file -> what makes the figure of a run, or None where the run has no data for it."""


def write_figures(run: Path) -> list[Path]:
    """Write each figure as PNG and SVG into ``RUN/figures/`` and return the files; skips what has no data.

    Raises
    ------
    StudyError
        `run` is not the folder of a run, or cannot be written.
    """
    files = read_run(run)
    folder = run / FOLDER
    with writing(folder):
        folder.mkdir(exist_ok=True)
    written = []
    for name, make in FIGURES.items():
        figure = make(files)
        if figure is None:
            continue
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            write_bytes(path, render(figure, kind))
            written.append(path)
    return written


def render(figure: Any, kind: str) -> bytes:
    """Return the figure as ``png`` or ``svg`` bytes, the same for the same data."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {}
    with mpl.rc_context({"svg.hashsalt": "automl-pheno"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


@FIGURES.add("leaderboard")
def _leaderboard(run: RunFiles) -> Any:
    if not (run.leaderboard["state"] == "complete").any():
        return None
    return figures.leaderboard_figure(run.leaderboard, run.metric)


@FIGURES.add("search_history")
def _search_history(run: RunFiles) -> Any:
    networks = [record for record in run.records if record.kind == "network"]
    if not any(record.value is not None for record in networks):
        return None
    values = [r.value for r in run.records if r.kind == "baseline" and r.state == "complete" and r.value is not None]
    best = None
    if values:
        best = max(values) if run.metric.higher_is_better else min(values)
    return figures.search_history_figure(networks, run.metric, best)


@FIGURES.add("learning_curve")
def _learning_curve(run: RunFiles) -> Any:
    """Draw the winner's, or the best network's where a baseline won."""
    record = run.record(run.winner) if run.winner else None
    if record is None or not record.curve:
        board = run.leaderboard
        names = board.loc[(board["state"] == "complete") & (board["kind"] == "network"), "name"]
        record = run.record(str(names.iloc[0])) if len(names) else None
    if record is None or not record.curve:
        return None
    return figures.learning_curve_figure(record.curve, record.name, record.best_epoch)


@FIGURES.add("predicted_observed")
def _predicted_observed(run: RunFiles) -> Any:
    """Draw the winner beside the best of the other kind, as the comparison in words does."""
    if run.predictions is None or run.final is None:
        return None
    tested = [finalist for finalist in run.final["finalists"] if finalist["name"] in run.predictions.columns]
    winner = run.final["winner"]
    other = next((finalist["name"] for finalist in tested if finalist["kind"] != winner["kind"]), None)
    names = [winner["name"]] if other is None else [winner["name"], other]
    return figures.predicted_observed_figure(run.predictions, names, str(run.final["trait"]))


@FIGURES.add("phenotype")
def _phenotype(run: RunFiles) -> Any:
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
    trait = str((run.final or run.card or {}).get("trait", "trait"))
    return figures.phenotype_figure(values, trait) if values else None


@FIGURES.add("importance_position")
def _position(run: RunFiles) -> Any:
    explanation = run.explanation
    if explanation is None or not explanation.is_sequence:
        return None
    aligned = bool(explanation.manifest.get("aligned"))
    logo = explanation.arrays["values"].mean(axis=0) if aligned else None
    return explanation_figures.position_figure(explanation.importance, logo)


@FIGURES.add("sequence_logos")
def _sequence_logos(run: RunFiles) -> Any:
    explanation = run.explanation
    if explanation is None or not explanation.is_sequence:
        return None
    arrays = explanation.arrays
    return explanation_figures.sequence_logos_figure(arrays["values"], arrays["ids"], arrays["predictions"])


@FIGURES.add("motifs")
def _motifs(run: RunFiles) -> Any:
    explanation = run.explanation
    if explanation is None or explanation.motifs is None or explanation.motifs.empty:
        return None
    return explanation_figures.motif_figure(explanation.motifs, explanation.motif_arrays)


@FIGURES.add("importance_variant")
def _variant(run: RunFiles) -> Any:
    explanation = run.explanation
    if explanation is None or explanation.is_sequence:
        return None
    return explanation_figures.variant_figure(explanation.importance)
