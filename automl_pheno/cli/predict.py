"""``predict``: the winner of a run on new samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_pheno.cli.options import NOTHING_SAID, RunFolder, Said, with_reading


@with_reading(without=("trait_table",))
def predict(
    run: RunFolder,
    input_file: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="FASTA, a table with sequences, a dosage table, VCF, PLINK or BED."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV to write: id, prediction.")],
    allow_mismatch: Annotated[
        bool,
        typer.Option("--allow-mismatch", help="Predict data that contradict those of training, and say how."),
    ] = False,
    reading: Said = NOTHING_SAID,
) -> None:
    """Predict new samples with the winner of a run.

    Predictions are in phenotype units.
    """
    from automl_pheno.api import predict_file
    from automl_pheno.study.steps import step_bar

    with step_bar():
        done = predict_file(run, input_file, out, allow_mismatch=allow_mismatch, **reading)
    for note in done.notes:
        print(note)
    print(f"{done.n:,} predictions of {done.trait} -> {out}")
