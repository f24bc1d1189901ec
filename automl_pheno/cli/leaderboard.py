"""``leaderboard``: the table of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder


def leaderboard(
    run: RunFolder,
    top: Annotated[int, typer.Option("--top", min=1, help="Rows to show.")] = 20,
) -> None:
    """Show networks and baselines of a run, best first."""
    from automl_pheno.api import Run
    from automl_pheno.cli.tables import print_leaderboard

    opened = Run(run)
    print_leaderboard(opened.leaderboard, top=top)
    print(f"all columns: {opened.path / 'leaderboard.csv'}")
