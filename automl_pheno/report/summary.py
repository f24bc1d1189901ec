"""The run in words: ``summary.md`` opens with the answer, then says what not to conclude."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from automl_pheno.files import write_text
from automl_pheno.report import sentences
from automl_pheno.report.read import RunFiles, read_run
from automl_pheno.report.sentences import number

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
    if drivers := list(sentences.drivers(run)):
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
    test = run.leaderboard.get(f"test_{name}", pd.Series(dtype=float))
    tested = bool(test.notna().any())
    head = ["rank", "name", "kind", f"validation {run.metric.label}"]
    head += [f"test {run.metric.label}", "95 % interval"] if tested else []
    yield f"| {' | '.join([*head, 'weights', 'seconds'])} |"
    yield f"|{'---|' * (len(head) + 2)}"
    complete = run.leaderboard[run.leaderboard["state"] == "complete"]
    chosen = complete.index.isin(complete.index[:ROWS]) | (complete["kind"] == "baseline")
    for _, row in complete[chosen].iterrows():
        spread = f" ± {number(row['val_sd'])}" if pd.notna(row["val_sd"]) else ""
        cells = [str(int(row["rank"])), str(row["name"]), str(row["kind"]), f"{number(row[f'val_{name}'])}{spread}"]
        if tested:
            known = pd.notna(row[f"test_{name}"])
            cells += [number(row[f"test_{name}"]) if known else ""]
            cells += [f"{number(row['test_low'])} to {number(row['test_high'])}" if known else ""]
        weights = f"{int(row['weights']):,}" if pd.notna(row["weights"]) else ""
        seconds = f"{row['seconds']:.1f}" if pd.notna(row["seconds"]) else ""
        yield f"| {' | '.join([*cells, weights, seconds])} |"
    yield from ("", tried(run))


def tried(run: RunFiles) -> str:
    """Return how many networks were tried, by state."""
    states = run.leaderboard.loc[run.leaderboard["kind"] == "network", "state"].value_counts()
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    return f"Networks tried: {counts or 'none'}. All of them are in `leaderboard.csv`."


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
