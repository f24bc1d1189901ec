"""``split``: a split, its card and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from automl_pheno.cli.options import (
    NOTHING_SAID,
    DataFile,
    Extrapolation,
    Folds,
    GroupBy,
    Regime,
    Repeats,
    Said,
    Seed,
    StudyFile,
    Trait,
    Validation,
    with_reading,
)


@with_reading()
def split(
    study: StudyFile = None,
    data: DataFile = None,
    trait: Trait = None,
    reading: Said = NOTHING_SAID,
    group_by: GroupBy = None,
    regime: Regime = None,
    extrapolation: Extrapolation = None,
    folds: Folds = None,
    repeats: Repeats = None,
    validation: Validation = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for split.csv, the card and its page.")] = Path(),
    seed: Seed = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show baselines and leak detectors on a random split beside this one.")
    ] = False,
    baselines: Annotated[
        str | None,
        typer.Option("--baselines", help="Of --compare: all, none, or names: ridge,gblup.", show_default=False),
    ] = None,
) -> None:
    """Make a split, without searching, and show its card."""
    from automl_pheno.api.compare import compare_split, named_baselines
    from automl_pheno.api.split import split_data
    from automl_pheno.cli.tables import print_card, print_comparison
    from automl_pheno.study.steps import step_bar

    chosen = named_baselines(baselines, compare=compare)
    options: dict[str, Any] = {
        "study": study,
        "data": data,
        "trait": trait,
        **reading,
        "groups": group_by,
        "regime": regime,
        "extrapolation": extrapolation,
        "folds": folds,
        "repeats": repeats,
        "validation": validation,
        "seed": seed,
    }
    with step_bar():
        made = split_data(**options, out=out)
    for note in made.notes:
        print(note)
    print_card(made.card)
    files = made.files
    if compare:
        with step_bar():
            compared = compare_split(out, baselines=chosen, **options)
        print_comparison(compared.table, compared.sentences)
        files = (*files, *compared.files)
    print(f"-> {', '.join(map(str, dict.fromkeys(files)))}")
