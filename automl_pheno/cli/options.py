"""Options that several verbs share, so that a word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path | None, typer.Argument(metavar="[STUDY.yaml]", help="Study file; options win over it.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
DataFile = Annotated[
    Path | None,
    typer.Option("--data", help="Table with a sequence column, FASTA, or dosage table; .gz too.", show_default=False),
]
Trait = Annotated[str | None, typer.Option("--trait", help="Column to predict.", show_default=False)]
TraitTable = Annotated[
    Path | None, typer.Option("--trait-table", help="Table of traits, where the data have none.", show_default=False)
]
SequenceColumn = Annotated[
    str | None, typer.Option("--sequence-column", help="Default: recognised.", show_default=False)
]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="Default: recognised.", show_default=False)]
GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        "--group-by",
        metavar="WHAT",
        help="What stays together: column:NAME, chromosome, or random (nothing but duplicates). Repeatable.",
        show_default=False,
    ),
]
Folds = Annotated[
    int | None, typer.Option("--folds", help="Choose by K folds instead of one validation set.", show_default=False)
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the split and the search.", show_default=False)]
