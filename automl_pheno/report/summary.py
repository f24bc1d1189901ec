"""The run in words: ``summary.md`` opens with the answer, then says what not to conclude."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from automl_pheno.files import write_text
from automl_pheno.report.read import ExplanationFiles, RunFiles, read_run

SUMMARY = "summary.md"
ROWS = 12
TOP = 8
EXACT = 1e-4
WEAK = 0.3
"""Below this test correlation an explanation is of little worth."""


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
    trait = str((run.final or run.card or {}).get("trait", "the trait"))
    yield f"# What predicts {trait}"
    yield ""
    yield from _answer(run, trait)
    if run.final is not None and run.final.get("comparison"):
        yield ""
        yield _deep_learning(run.final["comparison"])
    if run.card is not None:
        yield ""
        yield from _split(run.card)
    if run.explanation is not None:
        yield ""
        yield from _drivers(run.explanation, run.winner, (run.final or {}).get("comparison"))
    yield ""
    yield "## What not to conclude"
    yield ""
    yield from (f"- {sentence}" for sentence in _cautions(run))
    yield ""
    yield "## Leaderboard"
    yield ""
    yield from _leaderboard(run)
    yield ""
    yield "## Files"
    yield ""
    yield from _files(run.path)


def _answer(run: RunFiles, trait: str) -> Iterator[str]:
    if run.winner is None:
        yield "**Nothing was trained to the end**, so there is no winner; `leaderboard.csv` gives the reasons."
        return
    if run.final is None:
        yield (
            f"**{run.winner} leads by validation so far**; the test set is still sealed, so how well it predicts "
            f"{trait} on new samples is not known yet."
        )
        return
    winner = run.final["winner"]
    kind = "network" if winner["kind"] == "network" else "baseline"
    opening = f"**The best predictor of {trait} is the {kind} {winner['name']}**, chosen by validation "
    opening += f"({run.metric.label} {_number(winner['validation'])})."
    score = winner["test"].get(run.metric.name)
    if score is None:
        yield f"{opening} It was not tested: {run.final.get('note') or 'there is no test set'}."
        return
    yield opening
    others = ", ".join(
        f"{name} {_number(winner['test'][key])}"
        for key, name in (("pearson_r", "Pearson r"), ("r2", "R²"), ("rmse", "RMSE"))
        if key != run.metric.name and winner["test"].get(key) is not None
    )
    yield (
        f"On the sealed test set ({run.final['n_test']:,} samples, opened once) it reaches {run.metric.label} "
        f"**{_number(score)}** (95 % interval {_number(winner['low'])} to {_number(winner['high'])}; {others})."
    )


def _deep_learning(comparison: Mapping[str, Any]) -> str:
    sentence = str(comparison["sentence"])
    if " is better than " in sentence:
        return f"**Deep learning helped.** {sentence}"
    if " is worse than " in sentence:
        return f"**Deep learning did not help.** {sentence}"
    return f"**Deep learning made no difference that these data can show.** {sentence}"


def _split(card: Mapping[str, Any]) -> Iterator[str]:
    said = str(card.get("statement") or card.get("regime") or "not stated")
    sizes = ", ".join(f"{name} {size:,}" for name, size in card.get("sizes", {}).items())
    yield f"**How safe is the split?** {said[:1].upper()}{said[1:]}. Sizes: {sizes}."
    if not said.startswith("leakage-free at"):
        yield (
            "Test samples may still resemble training samples; for samples unlike these the score may be lower, "
            "so read it as prediction within this collection."
        )
    for sentence in card.get("advice", ()):
        yield str(sentence)


def _drivers(explanation: ExplanationFiles, winner: str | None, comparison: Mapping[str, Any] | None) -> Iterator[str]:
    manifest = explanation.manifest
    known = str((comparison or {}).get("sentence", ""))
    verdict = "" if manifest["verdict"] == known else f" {manifest['verdict']}"
    yield f"**What drives {winner}?**{verdict}"
    if float(explanation.importance["mean_abs"].max()) == 0.0:
        yield "No position or variant contributes: the predictor is constant."
        return
    if explanation.is_sequence:
        yield from _sequence_drivers(explanation)
    else:
        top = explanation.importance.sort_values("mean_abs", ascending=False, kind="stable").head(TOP)
        share = float(top["mean_abs"].sum() / explanation.importance["mean_abs"].sum())
        names = [_variant(row) for _, row in top.iterrows()]
        yield (
            f"The variants with the largest mean contribution are {', '.join(names)}; "
            f"these {len(top)} of {len(explanation.importance):,} carry {share:.0%} of all importance."
        )
    error = manifest["completeness_error"]
    spread = max(float(error["prediction_spread"]), 1e-300)
    share = float(error["max"]) / spread
    adds = "add up to the predictions" if share < EXACT else f"miss the predictions by up to {share:.1%} of their range"
    method = str(manifest["method"]).replace("_", " ")
    yield f"Contributions by {method} of {manifest['samples']:,} samples; they {adds}."


def _sequence_drivers(explanation: ExplanationFiles) -> Iterator[str]:
    motifs = explanation.motifs
    if motifs is not None and len(motifs):
        named = [
            f"`{motif['consensus']}` ({motif['effect']} it by {abs(motif['mean_contribution']):.2g}, "
            f"{motif['n_seqlets']} places)"
            for _, motif in motifs.head(TOP).iterrows()
        ]
        yield f"Patterns that recur where contributions are largest: {', '.join(named)}."
    table = explanation.importance
    if bool(explanation.manifest.get("aligned")):
        top = table.sort_values("mean_abs", ascending=False, kind="stable").head(TOP)
        places = ", ".join(str(int(position)) for position in top["position"])
        share = float(top["mean_abs"].sum() / table["mean_abs"].sum())
        yield f"Positions with the largest mean contribution: {places}; together {share:.0%} of all importance."
    else:
        yield "The sequences are not variants of one sequence: the importance of a position averages over unlike bases."


def _variant(row: pd.Series) -> str:
    place = f" ({row['chromosome']}:{row['position']})" if str(row["chromosome"]) and int(row["position"]) >= 0 else ""
    return f"`{row['id']}`{place}"


def _cautions(run: RunFiles) -> Iterator[str]:
    if run.final is None:
        yield "Validation scores choose the winner and flatter it; only the sealed test set says how well it predicts."
    else:
        yield (
            "The interval is for new samples drawn as these were. It says nothing about other populations, "
            "environments, assays or species."
        )
        r = run.final["winner"]["test"].get("pearson_r")
        if r is not None and r < WEAK:
            yield f"The winner predicts weakly (test r = {_number(r)}): what it uses may be chance."
        yield "The test set was opened once. Choosing another model by its test score would make that score worthless."
    explanation = run.explanation
    if explanation is None:
        return
    what = "position or motif" if explanation.is_sequence else "variant"
    yield (
        f"Contributions say what this predictor uses, not what causes the trait: a {what} may stand for another "
        "that it goes along with."
    )
    if not explanation.is_sequence:
        yield "Neighbouring variants share importance through linkage: read a peak as a locus. Kinship leaves traces."
    fallbacks = explanation.manifest.get("fallback_from") or []
    for fallback in fallbacks:
        yield f"The first choice of method for contributions did not apply ({fallback})."
    left_out = explanation.manifest.get("samples_left_out_to_end_in_time")
    if left_out:
        yield f"{left_out:,} samples were left out of the explanation so that it ended in time."


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
        spread = f" ± {_number(row['val_sd'])}" if pd.notna(row["val_sd"]) else ""
        cells = [str(int(row["rank"])), str(row["name"]), str(row["kind"]), f"{_number(row[f'val_{name}'])}{spread}"]
        if tested:
            known = pd.notna(row[f"test_{name}"])
            cells += [_number(row[f"test_{name}"]) if known else ""]
            cells += [f"{_number(row['test_low'])} to {_number(row['test_high'])}" if known else ""]
        weights = f"{int(row['weights']):,}" if pd.notna(row["weights"]) else ""
        seconds = f"{row['seconds']:.1f}" if pd.notna(row["seconds"]) else ""
        yield f"| {' | '.join([*cells, weights, seconds])} |"
    states = run.leaderboard.loc[run.leaderboard["kind"] == "network", "state"].value_counts()
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    yield ""
    yield f"Networks tried: {counts or 'none'}. All of them are in `leaderboard.csv`."


_FILES = {
    "leaderboard.csv": "every network and baseline, with its parameters",
    "final.json": "winner, scores with intervals, comparison",
    "test_predictions.csv": "predictions of the finalists for the test set",
    "best": "the winner, refitted on all development samples; `ap.load` reads it",
    "split.csv": "which sample was used for what",
    "split_card.json": "what the split guarantees",
    "trials.jsonl": "all records, with learning curves",
    "explain": "contributions, importance and motifs",
    "figures": "the figures as PNG and SVG",
    "provenance.json": "versions, machine, command",
}


def _files(path: Path) -> Iterator[str]:
    for name, what in _FILES.items():
        if (path / name).exists():
            yield f"- `{name}`: {what}"


def _number(value: Any) -> str:
    """Return the number with three decimals where that says enough, else three significant digits."""
    if value is None or pd.isna(value):
        return "unknown"
    number = float(value)
    return f"{number:.3f}" if 0.05 <= abs(number) < 100 or number == 0 else f"{number:.3g}"
