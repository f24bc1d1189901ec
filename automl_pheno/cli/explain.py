"""``explain``: why the winner predicts what it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder


def explain(
    run: RunFolder,
    method: Annotated[
        str, typer.Option("--method", help="auto, deeplift, expected_gradients, linear, permutation.")
    ] = "auto",
    input_file: Annotated[
        Path | None,
        typer.Option("--input", help="Samples to explain; default: training samples.", show_default=False),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="At most this many.")] = 200,
) -> None:
    """Explain the winner: importance of each position or variant.

    Writes into the run's explain/ folder.
    """
    from automl_pheno.api.explain import explain_run

    done = explain_run(run, method=method, source=input_file, samples=samples)
    for line in (*done.notes, done.verdict, f"explained {done.n:,} samples by {done.method}"):
        print(line)
    print(f"-> {done.folder}: {', '.join(path.name for path in done.files)}")
