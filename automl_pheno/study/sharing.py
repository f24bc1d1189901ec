"""What is different for a run whose study several supervisors share."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_pheno.errors import StudyError
from automl_pheno.metrics import METRICS
from automl_pheno.study.config import StudyConfig
from automl_pheno.study.final import take_result
from automl_pheno.study.progress import Progress
from automl_pheno.study.run_folder import JOURNAL, SPLIT, TESTED_ELSEWHERE, RunFolder
from automl_pheno.study.storage.book import TestClaim
from automl_pheno.study.storage.copy import copy_trials, make_journal
from automl_pheno.study.storage.journal import Direction
from automl_pheno.study.storage.marks import RECORD, TEST
from automl_pheno.study.storage.opening import SPLIT_FILE, STORAGE, Shared, open_shared
from automl_pheno.study.storage.shared import SharedBook

if TYPE_CHECKING:
    import optuna


def share(config: StudyConfig, path: Path, identity: Mapping[str, Any], progress: Progress) -> Shared | None:
    """Return the study that this run shares, None if it has one for itself.

    Raises
    ------
    StudyError
        The database cannot be used, its study is about something else, or the folder's trials are elsewhere.
    """
    if config.storage is None:
        if (path / STORAGE).exists():
            msg = (
                f"{path}: its trials are in a database, see {STORAGE}; give it again (--storage), or use another --out"
            )
            raise StudyError(msg)
        return None
    direction: Direction = "maximize" if METRICS[config.metric].higher_is_better else "minimize"
    split = hashlib.sha256((path / SPLIT).read_bytes()).hexdigest()
    shared = open_shared(
        config.storage, config.name, direction, path, {**identity, SPLIT_FILE: split}, hear=progress.message
    )
    progress.message(
        f"the study {config.name!r} of {shared.url} is shared; this is its supervisor {shared.ordinal + 1}"
    )
    return shared


def shared_book(
    shared: Shared, study: optuna.Study, folder: RunFolder, *, name: str, higher_is_better: bool
) -> SharedBook:
    """Return the book of this supervisor."""
    return SharedBook(
        study, shared.storage, folder, name=name, higher_is_better=higher_is_better, folder=folder.path,
        previous=shared.previous,
    )  # fmt: skip


def is_tested(shared: Shared, folder: RunFolder, config: StudyConfig, space: str, progress: Progress) -> bool:
    """Return whether the test set of the study was opened; its result and all records are then in the folder.

    Raises
    ------
    StudyError
        It was, and now more trials are asked for.
    """
    study = shared.study()
    said = shared.storage.get_study_system_attrs(study._study_id).get(TEST, {})
    if "result" not in said:
        return False
    result = said["result"]
    if config.trials > result["trials"]:
        msg = (
            f"{folder.path}: trials {config.trials} asks for more than the {result['trials']} of the study "
            f"{shared.study_name!r}, but its test set was opened by {said['supervisor']}: a choice made after seeing "
            "the test score would not be honest; give the study another name"
        )
        raise StudyError(msg)
    higher_is_better = METRICS[config.metric].higher_is_better
    shared_book(shared, study, folder, name=space, higher_is_better=higher_is_better).refresh()
    claim = TestClaim(state="done", by=str(said["supervisor"]), folder=str(said["folder"]), result=result)
    take_result(folder, claim, progress)
    keep_journal(study, folder.path)
    progress.message(f"{folder.path}: this study is finished; give it another name for a new one")
    return True


def refuse_tested_elsewhere(config: StudyConfig, path: Path) -> None:
    """Raise a `StudyError` for a copy, with trials of its own, of a study whose test set was opened."""
    if config.storage is None and (path / TESTED_ELSEWHERE).exists():
        msg = f"{path}: the test set of this study was opened elsewhere, see {TESTED_ELSEWHERE}; use another --out"
        raise StudyError(msg)


def keep_journal(study: optuna.Study, path: Path) -> None:
    """Write the study as a journal file into the run folder, as it is now, for the dashboard and the report."""
    fresh = path / f".{JOURNAL}.new"
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    try:
        copy_trials(study, make_journal(fresh, study.study_name, study.direction), drop=RECORD)
        fresh.replace(path / JOURNAL)
    finally:
        fresh.unlink(missing_ok=True)
        fresh.with_name(f"{fresh.name}.lock").unlink(missing_ok=True)
