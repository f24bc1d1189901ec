"""What verbs print: tables that fit 80 columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from automl_pheno.api import Run

EXIT_INTERRUPTED = 130

LABELS = {"pearson_r": "r", "spearman": "rho", "r2": "R²", "rmse": "RMSE", "mae": "MAE"}


def print_leaderboard(table: pd.DataFrame, *, top: int) -> None:
    """Print the first `top` rows: name, validation, test with interval, weights, seconds; parameters are left out."""
    from rich.console import Console
    from rich.table import Table

    metric = next(name.removeprefix("val_") for name in table.columns if name.startswith("val_") and name != "val_sd")
    label = LABELS.get(metric, metric)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "name", "kind", f"val {label}", f"test {label} (95 %)", "weights", "seconds"):
        shown.add_column(heading, justify="left" if heading in ("name", "kind") else "right", overflow="fold")
    for row in table.head(top).to_dict("records"):
        rank = row["rank"]
        shown.add_row(
            "" if _is_missing(rank) else f"{rank:.0f}",
            str(row["name"]),
            str(row["kind"]) if row["state"] == "complete" else str(row["state"]),
            _number(row[f"val_{metric}"]) + (f" ±{row['val_sd']:.3f}" if not _is_missing(row["val_sd"]) else ""),
            _test(row, metric),
            "" if _is_missing(row["weights"]) else f"{row['weights']:,.0f}",
            "" if _is_missing(row["seconds"]) else f"{row['seconds']:,.1f}",
        )
    Console(soft_wrap=False).print(shown)
    if len(table) > top:
        print(f"... {len(table) - top} more")
    if "pooled" in table and (table["pooled"].astype(str) == "True").any():
        print(f"val {label} is over all held-out samples at once, as folds are too small for scores of their own")


def _test(row: dict[str, Any], metric: str) -> str:
    value = _number(row[f"test_{metric}"])
    if not value or _is_missing(row["test_low"]):
        return value
    return f"{value} ({row['test_low']:.3f}, {row['test_high']:.3f})"


def _number(value: object) -> str:
    return "" if _is_missing(value) else f"{value:.3f}"


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def print_outcome(run: Run) -> None:
    """Print the head of the leaderboard, the verdict, where things lie, and what to do next."""
    print()
    print_leaderboard(run.leaderboard, top=10)
    print()
    if run.tested_elsewhere:
        print(run.tested_elsewhere)
        return
    if not run.is_finished:
        print("not finished: the same command again resumes the run")
        raise typer.Exit(EXIT_INTERRUPTED)
    print(run.winner)
    print(run.verdict)
    print()
    print(f"read first: {run.path / 'report.html'} (in a browser); pictures: {run.path / 'figures'}")
    print(f"next: automl-pheno predict {run.path} INPUT -o predictions.csv")
    print(f"      automl-pheno dashboard {run.path}")


def print_card(card: dict[str, Any]) -> None:
    """Print a split card: how safe the split is, what is kept together, sizes, and what to do."""
    print(f"split of {card['samples']:,} samples in {card['groups']:,} groups by {card['trait']}: {card['regime']}")
    width = max(len(name) for name in card["sizes"])
    print(f"  {'':{width}} {'samples':>8} {'share':>7} {'mean':>9} {'sd':>9}")
    for name, size in card["sizes"].items():
        summary = card["phenotype"][name]
        share = card["shares"][name]
        print(f"  {name:{width}} {size:8,} {share:7.1%} {summary['mean']:9.3g} {summary['sd']:9.3g}")
    if card.get("audit"):
        print(f"audit: {card['statement']}")
    else:
        print(f"on two sides: {', '.join(f'{count} {what}' for what, count in card['shared'].items())}")
    for note in [*card["notes"], *card.get("advice", ())]:
        print(note)


def print_comparison(table: pd.DataFrame, sentences: Sequence[str]) -> None:
    """Print baselines and detectors on a random split beside the one that is used, and what that says."""
    from rich.console import Console
    from rich.table import Table

    label = LABELS.get(str(table["metric"].iloc[0]), str(table["metric"].iloc[0]))
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("name", "kind", f"{label} random", f"{label} this split", "random too good by"):
        shown.add_column(heading, justify="left" if heading in ("name", "kind") else "right", overflow="fold")
    for row in table.to_dict("records"):
        scores = [
            _number(row[key]) + (f" ±{row[f'{key}_sd']:.3f}" if not _is_missing(row[f"{key}_sd"]) else "")
            for key in ("random", "this_split")
        ]
        by = "" if _is_missing(row["inflation"]) else f"{row['inflation']:+.3f}"
        shown.add_row(str(row["name"]), str(row["kind"]), *scores, by)
    print()
    Console(soft_wrap=False).print(shown)
    print()
    for sentence in [*sentences, *(f"{row['name']}: {row['note']}" for row in table.to_dict("records") if row["note"])]:
        print(sentence)
