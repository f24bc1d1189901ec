"""Options that several verbs share, so that a word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path | None, typer.Argument(metavar="[STUDY.yaml]", help="Study file; options win over it.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Table with a sequence column, FASTA, dosage table, VCF, PLINK or BED; .gz too.",
        show_default=False,
    ),
]
Trait = Annotated[str | None, typer.Option("--trait", help="Column to predict.", show_default=False)]
TraitTable = Annotated[
    Path | None, typer.Option("--trait-table", help="Table of traits, where the data have none.", show_default=False)
]
SequenceColumn = Annotated[
    str | None, typer.Option("--sequence-column", help="Default: recognised.", show_default=False)
]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="Default: recognised.", show_default=False)]
Genome = Annotated[Path | None, typer.Option("--genome", help="FASTA that intervals (BED) lie in.", show_default=False)]
Multiallelic = Annotated[
    str | None,
    typer.Option(
        "--multiallelic",
        metavar="split|skip",
        help="VCF sites with several alternate alleles: a variant each (default), or left out.",
        show_default=False,
    ),
]
GenotypeField = Annotated[
    str | None,
    typer.Option(
        "--genotype-field",
        metavar="auto|GT|DS",
        help="VCF: count calls (GT), or take stated dosages (DS).",
        show_default=False,
    ),
]
Regime = Annotated[
    str | None,
    typer.Option(
        "--regime",
        metavar="unrelated|cross-population",
        help="Genotypes: test on new samples of these populations, or on new populations.",
        show_default=False,
    ),
]
Extrapolation = Annotated[
    str | None,
    typer.Option(
        "--extrapolation",
        metavar="auto|unseen|mutations|position|none",
        help="Libraries of mutants and dense ones: what the test set holds that training never saw.",
        show_default=False,
    ),
]
GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        "--group-by",
        metavar="WHAT",
        help="What stays together: similarity, relatedness, overlap, family, clusters, column:NAME, chromosome, "
        "pairs:FILE, or random (nothing but duplicates). Repeatable. Default: what suits the data.",
        show_default=False,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        help="Choose by K folds. Default: below 500 samples repeated folds, else one validation set.",
        show_default=False,
    ),
]
Repeats = Annotated[int | None, typer.Option("--repeats", help="Draw the folds so often.", show_default=False)]
Validation = Annotated[
    float | None,
    typer.Option("--validation", help="Choose by one validation set of this share, 0.15.", show_default=False),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the split and the search.", show_default=False)]


def words(text: str) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
