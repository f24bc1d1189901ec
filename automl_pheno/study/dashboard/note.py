"""The study's note: the head of the leaderboard and what was found, as Markdown."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_pheno.study.run_folder import FINAL, LEADERBOARD
from automl_pheno.study.verdict import comparison_sentence

if TYPE_CHECKING:
    import optuna

_SHOWN = 20
_COLUMNS = ("rank", "name", "kind", "state", "val", "test", "weights", "epochs", "seconds", "device")
_WHOLE = ("rank", "trial", "weights", "epochs")


def name_metric(study: optuna.Study, metric: str) -> None:
    """Make the dashboard call the objective by the name of the metric."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks names of metrics experimental
        if study.metric_names != [metric]:
            study.set_metric_names([metric])


def write_note(study: optuna.Study, run: Path) -> None:
    """Keep the note in the study, for other programs that show it.

    Our own dashboard makes the note anew whenever it is looked at, so that the search need not write it.
    """
    from optuna_dashboard import save_note

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna-dashboard marks notes experimental
        save_note(study, make_note(run))


def make_note(run: Path, *, links: str = "") -> str:
    """Return the note as Markdown.

    Parameters
    ----------
    run
        Folder of the run.
    links
        Put below the title.
    """
    import pandas as pd

    parts = [f"# {run.name}", *([links] if links else []), f"`{run}{os.sep}{LEADERBOARD}` has all columns."]
    if (run / FINAL).is_file():
        final = json.loads((run / FINAL).read_text())
        parts.append(f"Winner by validation: **{final['winner']['name']}**.")
        if final.get("tie_note"):
            parts.append(str(final["tie_note"]))
        if final["comparison"]:
            parts.append(comparison_sentence(final["comparison"]))
    if (run / LEADERBOARD).is_file() and (run / LEADERBOARD).stat().st_size:
        table = pd.read_csv(run / LEADERBOARD, nrows=_SHOWN)
        table = table[[name for name in table.columns if _is_shown(name, table.columns)]]
        shown = {str(name): [_cell(value, whole=name in _WHOLE) for value in table[name]] for name in table.columns}
        rows = [list(shown), ["---"] * len(shown), *zip(*shown.values(), strict=True)]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(parts) + "\n"


def _is_shown(name: str, columns: Any) -> bool:
    """Return whether a column is one of the first: of the metrics only the one that ranks."""
    metric = next((column.removeprefix("val_") for column in columns if column.startswith("val_")), "")
    return name in _COLUMNS or name in (f"val_{metric}", "val_sd", f"test_{metric}", "test_low", "test_high")


def _cell(value: Any, *, whole: bool) -> str:
    if isinstance(value, str):
        return value.replace("|", "\\|")
    if value != value:  # missing
        return ""
    return f"{int(value):,}" if whole else f"{value:.3f}"
