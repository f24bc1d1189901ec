"""The run in words: ``summary.md`` opens with the answer, then says what not to conclude."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from automl_pheno.files import write_text
from automl_pheno.report import driver_sentences, sentences
from automl_pheno.report.read import RunFiles, read_run
from automl_pheno.report.sentences import number, tried, with_interval

SUMMARY = "summary.md"
ROWS = 12


def write_summary(run: Path) -> Path:
    """Write ``summary.md`` into the run folder and return its path.

    Raises
    ------
    StudyError
        `run` is not the folder of a run, or cannot be written.
    """
    files = read_run(run)
    path = run / SUMMARY
    write_text(path, "\n".join(summary_lines(files)) + "\n")
    return path


def summary_lines(run: RunFiles) -> Iterator[str]:
    """Yield the lines of the summary, Markdown."""
    yield f"# What predicts {run.trait}"
    for paragraph in sentences.answer(run):
        yield from ("", paragraph)
    if run.card is not None:
        yield from ("", " ".join(sentences.split(run.card)))
    if drivers := list(driver_sentences.drivers(run)):
        yield from ("", drivers[0], "", *(f"- {line}" for line in drivers[1:]))
    for title, lines in (
        ("What not to conclude", list(sentences.cautions(run))),
        ("What is left open", list(sentences.left_out(run))),
    ):
        if lines:
            yield from ("", f"## {title}", "", *(f"- {sentence}" for sentence in lines))
    yield from ("", "## Leaderboard", "")
    yield from _leaderboard(run)
    yield from ("", "## Files", "")
    yield from (f"- `{name}`: {what}" for name, what in files_of(run))


def _leaderboard(run: RunFiles) -> Iterator[str]:
    name = run.metric.name
    complete = run.leaderboard[run.leaderboard["state"] == "complete"]
    chosen = complete.index.isin(complete.index[:ROWS]) | (complete["kind"] == "baseline")
    table = complete[chosen]
    tested, sloped = (_known(table, column) for column in (f"test_{name}", "test_slope"))
    head = ["rank", "name", "kind", f"validation {run.metric.label}"]
    head += [f"test {run.metric.label} (95 %)"] if tested else []
    head += ["slope (95 %)", "intercept (95 %)"] if sloped else []
    yield f"| {' | '.join([*head, 'weights', 'seconds'])} |"
    yield f"|{'---|' * (len(head) + 2)}"
    for row in table.to_dict("records"):
        spread = f" ± {number(row['val_sd'])}" if pd.notna(row["val_sd"]) else ""
        cells = [str(int(row["rank"])), str(row["name"]), str(row["kind"]), f"{number(row[f'val_{name}'])}{spread}"]
        cells += [with_interval(row, f"test_{name}", "test")] if tested else []
        cells += [with_interval(row, f"test_{one}", f"test_{one}") for one in ("slope", "intercept")] if sloped else []
        weights = f"{int(row['weights']):,}" if pd.notna(row["weights"]) else ""
        seconds = f"{row['seconds']:.1f}" if pd.notna(row["seconds"]) else ""
        yield f"| {' | '.join([*cells, weights, seconds])} |"
    yield from ("", tried(run))


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


_FILES = {
    "report.html": "all of this as a page with figures",
    "leaderboard.csv": "every network and baseline, with its parameters",
    "final.json": "winner, scores with intervals, comparison",
    "test_predictions.csv": "predictions of the finalists for the test set",
    "best": "the winner, refitted on all development samples; `ap.load` reads it",
    "split.csv": "which sample was used for what",
    "split_card.json": "what the split guarantees",
    "split_card.html": "the same as a page",
    "trials.jsonl": "all records, with learning curves",
    "parameter_importance.csv": "which parameters of the search mattered",
    "explain": "contributions, importance, and what the parts of the explanation found, as tables and arrays",
    "figures": "the figures as PNG and SVG",
    "provenance.json": "versions, machine, command",
}


def files_of(run: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield the files and folders of the run that are there, and what each is."""
    return ((name, what) for name, what in _FILES.items() if (run.path / name).exists())
