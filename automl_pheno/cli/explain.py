"""``explain``: why the winner predicts what it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder, words


def explain(
    run: RunFolder,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="auto, deeplift, expected_gradients, integrated_gradients, gradient_x_input, smoothgrad, ism, linear, "
            "permutation.",
        ),
    ] = "auto",
    input_file: Annotated[
        Path | None,
        typer.Option("--input", help="Samples to explain; default: training samples.", show_default=False),
    ] = None,
    targets: Annotated[
        str, typer.Option("--targets", help="winner, or names of finalists on the leaderboard, with commas.")
    ] = "winner",
    parts: Annotated[
        str,
        typer.Option(
            "--parts",
            help="all, none, or with commas: motifs, filters, matches, mutagenesis, surrogate, loci, interactions, "
            "stability, counterpart; modisco only where it is named, as in all,modisco.",
        ),
    ] = "all",
    samples: Annotated[int, typer.Option("--samples", min=1, help="At most this many.")] = 500,
    refits: Annotated[
        int, typer.Option("--refits", min=0, help="Trainings for stability and decoys; 0 leaves them out.")
    ] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of drawn samples and references.")] = 0,
) -> None:
    """Explain the winner: importance of each position or variant, motifs, epistasis, loci, stability.

    Writes into the run's explain/ folder (explain_NAME/ for other finalists or samples).
    """
    from automl_pheno.api.explain import explain_run
    from automl_pheno.study.steps import step_bar

    with step_bar():
        explained = explain_run(
            run,
            method=method,
            source=input_file,
            targets=words(targets),
            parts=() if parts == "none" else words(parts),
            samples=samples,
            refits=refits,
            seed=seed,
        )
    for done in explained:
        for line in (*done.notes, done.verdict, f"explained {done.n:,} samples of {done.name} by {done.method}"):
            print(line)
        tables = sorted(path.name for path in done.files if path.suffix == ".csv")
        print(f"-> {done.folder}: {len(done.files)} files, among them {', '.join(tables)}")
