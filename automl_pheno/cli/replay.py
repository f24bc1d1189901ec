"""``replay``: train one trial again and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder

EXIT_DIFFERENT = 4


def replay(
    run: RunFolder,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="Number, name (cnn-12), or a baseline (ridge).")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder that keeps the model.", show_default=False)
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Of the validation score, on other hardware or versions.")
    ] = 0.02,
) -> None:
    """Train one trial of a run again, and say whether the same comes out.

    Exit code 0: the same, 4: not the same.
    """
    from automl_pheno.api.replay import replay as replay_trial
    from automl_pheno.study.replay import summary_lines

    done = replay_trial(run, trial, out=out, tolerance=tolerance)
    for line in summary_lines(done):
        print(line)
    if done.verdict == "different":
        raise typer.Exit(EXIT_DIFFERENT)
