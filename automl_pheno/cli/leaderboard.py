"""``leaderboard``: the table of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder


def leaderboard(
    run: RunFolder,
    top: Annotated[int, typer.Option("--top", min=1, help="Rows to show.")] = 20,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show the baselines and leak detectors on a random split, too.")
    ] = False,
) -> None:
    """Show networks and baselines of a run, best first."""
    from automl_pheno.api import Run
    from automl_pheno.cli.tables import print_comparison, print_leaderboard

    opened = Run(run)
    print_leaderboard(opened.leaderboard, top=top)
    print(f"all columns: {opened.path / 'leaderboard.csv'}")
    if compare:
        from automl_pheno.api.compare import compare_run
        from automl_pheno.study.steps import step_bar

        with step_bar():
            compared = compare_run(opened)
        print_comparison(compared.table, compared.sentences)
        print(f"-> {', '.join(map(str, compared.files))}")
