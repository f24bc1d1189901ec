"""``split``: a split and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_pheno.cli.options import (
    DataFile,
    Folds,
    GroupBy,
    IdColumn,
    Seed,
    SequenceColumn,
    StudyFile,
    Trait,
    TraitTable,
)


def split(
    study: StudyFile = None,
    data: DataFile = None,
    trait: Trait = None,
    trait_table: TraitTable = None,
    sequence_column: SequenceColumn = None,
    id_column: IdColumn = None,
    group_by: GroupBy = None,
    folds: Folds = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for split.csv and split_card.json.")] = Path(),
    seed: Seed = None,
) -> None:
    """Make a split, without searching, and show its card."""
    from automl_pheno.api.split import split_data
    from automl_pheno.cli.tables import print_card

    made = split_data(
        study=study,
        data=data,
        trait=trait,
        trait_table=trait_table,
        sequence_column=sequence_column,
        id_column=id_column,
        groups=group_by,
        folds=folds,
        seed=seed,
        out=out,
    )
    for note in made.notes:
        print(note)
    print_card(made.card)
    print(f"-> {', '.join(map(str, made.files))}")
