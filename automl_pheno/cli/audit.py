"""``audit``: what two sides of a split share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_pheno.cli.options import (
    DataFile,
    Genome,
    IdColumn,
    SequenceColumn,
    Trait,
    TraitTable,
)

if TYPE_CHECKING:
    from automl_pheno.splits.audit.run import Audit

EXIT_LEAKS = 3


def audit(
    split: Annotated[
        Path, typer.Argument(metavar="SPLIT", help="split.csv, or a split by GraphPart, DataSAIL or hashFrag.")
    ],
    data: DataFile = None,
    trait: Trait = None,
    trait_table: TraitTable = None,
    sequence_column: SequenceColumn = None,
    id_column: IdColumn = None,
    genome: Genome = None,
    identity: Annotated[
        float | None,
        typer.Option("--identity", help="Sequences are alike from this identity on.", show_default=False),
    ] = None,
    relatedness: Annotated[
        str | None,
        typer.Option(
            "--relatedness",
            metavar="WHAT",
            help="Genotypes are alike from here on: king=0.0884, ibs=0.95 ...",
            show_default=False,
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            "--group-by",
            metavar="WHAT",
            help="Must not be shared either: column:NAME, chromosome, overlap, pairs:FILE. Repeatable.",
            show_default=False,
        ),
    ] = None,
    extrapolation: Annotated[
        str | None,
        typer.Option(
            "--extrapolation",
            metavar="unseen|mutations|position",
            help="What is tested of a library of mutants.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Seconds for the certificate of sequences.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the facts.", show_default=False)
    ] = None,
) -> None:
    """Prove a split, however it was made, or show what leaks: exit code 0 clean, 3 leaks."""
    from automl_pheno.api.audit import audit_file
    from automl_pheno.study.steps import step_bar

    if data is None:
        message = "--data is needed: the file that the split is of"
        raise typer.BadParameter(message)
    with step_bar():
        audited = audit_file(
            split,
            data=data,
            trait=trait,
            trait_table=trait_table,
            sequence_column=sequence_column,
            id_column=id_column,
            genome=genome,
            identity=identity,
            relatedness=relatedness,
            groups=group_by,
            extrapolation=extrapolation,
            budget=budget,
            json_file=json_file,
        )
    for note in audited.notes:
        print(note)
    print_audit(audited.audit)
    if audited.files:
        print(f"-> {', '.join(map(str, audited.files))}")
    if audited.audit.leaks:
        raise typer.Exit(EXIT_LEAKS)


def print_audit(audit: Audit) -> None:
    """Print each check with its numbers, then what the split is free of."""
    from rich.console import Console
    from rich.table import Table

    from automl_pheno.splits.audit.words import found_words

    facts = audit.facts
    stages = [stage for stage in ("test", "validation") if any(check[stage] is not None for check in facts["checks"])]
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("shared across sides", overflow="fold")
    for stage in stages:
        shown.add_column(stage, justify="right")
    shown.add_column("")
    for check in facts["checks"]:
        cells = ["" if check[stage] is None else found_words(check[stage]) for stage in stages]
        shown.add_row(check["what"], *cells, check["verdict"])
    sizes = ", ".join(f"{name} {size:,}" for name, size in facts["sizes"].items())
    print(f"sides: {sizes}")
    print()
    Console(soft_wrap=False, markup=False, highlight=False).print(shown)
    print()
    for leak in audit.leaks:
        print(f"LEAK: {leak.sentence}")
    print(audit.statement)
