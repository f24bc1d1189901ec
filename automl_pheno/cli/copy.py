"""``copy`` and ``import``: studies between run folders, journal files, databases, and from KerasTuner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Target = Annotated[
    str, typer.Argument(metavar="TO", help="New run folder, new journal file (.log), or URL of a database.")
]
NewName = Annotated[
    str | None, typer.Option("--name", help="Of the study in its new place; a search finds it by its own name.")
]


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Run folder, journal file, or URL of a database.")],
    target: Target,
    study: Annotated[str | None, typer.Option("--study", help="Which one, where there are several.")] = None,
    name: NewName = None,
) -> None:
    """Copy a study with all its trials and records to another storage.

    Trials in flight are put back in the copy. A search goes on with either.
    """
    from automl_pheno.study.storage.address import redact
    from automl_pheno.study.storage.copy import copy_study

    copied = copy_study(source, target, study=study, name=name)
    waiting = f", {copied.put_back} of them in flight, which wait in the copy" if copied.put_back else ""
    print(f"{redact(target)}: study {copied.study!r}, {copied.trials} trials{waiting}, {copied.records} records")


def import_trials(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a KerasTuner search: holds trial_*/trial.json.")],
    target: Target,
    name: NewName = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Its objective, where that is not clear.")] = None,
) -> None:
    """Import the trials of a KerasTuner search as a study.

    A search in TO learns from them where names and bounds agree; they do not count towards its --trials.
    """
    from automl_pheno.study.storage.address import redact
    from automl_pheno.study.storage.copy import write_trials
    from automl_pheno.study.storage.keras_tuner_trials import read_keras_tuner

    direction, trials, objective = read_keras_tuner(folder, metric)
    study = name or folder.resolve().name
    write_trials(target, study, direction, trials, {"imported_from": str(folder), "objective": objective})
    print(f"{redact(target)}: study {study!r}, {len(trials)} trials, {direction.name.lower()} {objective}")
