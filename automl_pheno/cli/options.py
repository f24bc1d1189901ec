"""Options that several verbs share, so that a word means the same everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

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
Said = Mapping[str, Any]
"""Options of reading that the user gave, see `with_reading`."""
NOTHING_SAID: Said = {}
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


_TRAIT_TABLE = Annotated[
    Path | None, typer.Option("--trait-table", help="Table of traits, where the data have none.", show_default=False)
]
_READING: dict[str, Any] = {
    "trait_table": _TRAIT_TABLE,
    "sequence_column": Annotated[
        str | None, typer.Option("--sequence-column", help="Default: recognised.", show_default=False)
    ],
    "id_column": Annotated[str | None, typer.Option("--id-column", help="Default: recognised.", show_default=False)],
    "missing": Annotated[
        list[str] | None,
        typer.Option(
            "--missing",
            metavar="CELLS",
            help='Cells that mean "no value" besides NA and the like: -9,- ; value:-9 says that -9 is a value.',
            show_default=False,
        ),
    ],
    "genome": Annotated[
        Path | None, typer.Option("--genome", help="FASTA that intervals (BED) lie in.", show_default=False)
    ],
    "multiallelic": Annotated[
        str | None,
        typer.Option(
            "--multiallelic",
            metavar="split|skip",
            help="VCF sites with several alternate alleles: a variant each (default), or left out.",
            show_default=False,
        ),
    ],
    "genotype_field": Annotated[
        str | None,
        typer.Option(
            "--genotype-field",
            metavar="auto|GT|DS",
            help="VCF: count calls (GT), or take stated dosages (DS).",
            show_default=False,
        ),
    ],
    "ploidy": Annotated[
        int | None,
        typer.Option(
            "--ploidy", help="Alleles of a call, where a file does not say: 4 of a table of 0 to 4.", show_default=False
        ),
    ],
}
"""Options of reading, by their name in `automl_pheno.data.Reading`."""


def with_reading(*, without: Sequence[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a verb with a parameter ``reading``: in its place stand the options of reading but `without`.

    The verb gets those that the user gave, as a mapping.
    """
    options = {name: kind for name, kind in _READING.items() if name not in without}

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def called(**given: Any) -> None:
            said = {name: given.pop(name) for name in options}
            verb(**given, reading={name: value for name, value in said.items() if value is not None})

        signature = inspect.signature(verb, eval_str=True)
        made: list[inspect.Parameter] = []
        for one in signature.parameters.values():
            asked = [one.replace(name=name, annotation=kind, default=None) for name, kind in options.items()]
            made += asked if one.name == "reading" else [one]
        called.__signature__ = signature.replace(parameters=made)  # type: ignore[attr-defined]
        return called

    return decorate


def words(text: str) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
