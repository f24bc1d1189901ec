"""Opening the study that several supervisors share, and making sure that they search for the same."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from automl_pheno.errors import StudyError
from automl_pheno.files import write_json
from automl_pheno.study.run_folder import JOURNAL, refuse_differences
from automl_pheno.study.storage.address import redact
from automl_pheno.study.storage.database import PATIENCE, SharedStorage, StudyRow, open_database
from automl_pheno.study.storage.journal import Direction
from automl_pheno.study.storage.leases import new_supervisor
from automl_pheno.study.storage.quiet import quiet_optuna

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

STORAGE = "storage.json"
"""File of the run folder: in which study of which database its trials are."""

UID = "automl_pheno:uid"
"""System attribute of the study: a random word, by which a study is known again that was moved."""

IDENTITY_KEY = "automl_pheno:identity"
"""System attribute of the study: what must be the same for results to be comparable."""

SPLIT_FILE = "split_file"
"""Key of the identity: hash of ``split.csv``, since a split made elsewhere might be another one."""

STARTS = "automl_pheno:starts"
"""System attribute of the study: how many supervisors it has had."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """A study in a database, opened for one supervisor.

    Attributes
    ----------
    storage
        The database.
    study_name, url
        Where the study is; the URL without a password.
    ordinal
        Of this supervisor among all that the study has had, from 0: no two draw the same random numbers.
    previous
        Supervisors that had this run folder before.
    """

    storage: SharedStorage
    study_name: str
    url: str
    ordinal: int
    previous: tuple[str, ...]

    def __enter__(self) -> Shared:
        return self

    def __exit__(self, *_: object) -> None:
        self.storage.close()

    def study(self, *, sampler: BaseSampler | None = None, pruner: BasePruner | None = None) -> optuna.Study:
        """Return the study."""
        return optuna.load_study(study_name=self.study_name, storage=self.storage, sampler=sampler, pruner=pruner)


def open_shared(
    url: str,
    name: str,
    direction: Direction,
    folder: Path,
    identity: Mapping[str, Any],
    *,
    patience: float = PATIENCE,
    hear: Callable[[str], None] | None = None,
) -> Shared:
    """Return the study `name` of the database, made if need be. Call it with the run folder's lock held.

    Parameters
    ----------
    url
        Of the database.
    name, direction
        Of the study.
    folder
        Of the run; its ``storage.json`` is written.
    identity
        Plain data: what must be the same for all supervisors (space, data, split, metric, seed).
    patience
        Seconds for which a lost connection is tried again, once it was open.
    hear
        Hears of a lost connection.

    Raises
    ------
    StudyError
        The database cannot be used, the study was started with something else, or the folder is of another study.
    """
    shown = redact(url)
    before = _read(folder / STORAGE)
    if not before and (folder / JOURNAL).exists():
        msg = (
            f"{folder}: its trials are in {JOURNAL}; copy them to the database (automl-pheno copy {folder} {shown}) "
            "and go on with another --out, or leave storage out"
        )
        raise StudyError(msg)
    storage = open_database(
        url, supervisor=new_supervisor(), patience=patience, **({} if hear is None else {"hear": hear})
    )
    with contextlib.ExitStack() as stack:
        stack.callback(storage.close)  # unless all is well
        shared = _enter(storage, name, direction, folder, identity, before, shown)
        stack.pop_all()
    return shared


def refuse_another(url: str, name: str, identity: Mapping[str, Any]) -> None:
    """Raise a `StudyError` if the database cannot be used, or its study `name` is about something else.

    For the time before anything is written: `open_shared` looks again, and at the split as well.
    """
    storage = open_database(url)
    try:
        if name not in [study.study_name for study in storage.get_all_studies()]:
            return
        study_id = storage.get_study_id_from_name(name)
        said = storage.get_study_system_attrs(study_id).get(IDENTITY_KEY)
    finally:
        storage.close()
    if said is not None:
        _refuse({key: value for key, value in said.items() if key != SPLIT_FILE}, identity, name, redact(url))


def _refuse(said: Mapping[str, Any], identity: Mapping[str, Any], name: str, shown: str) -> None:
    head = f"the study {name!r} of {shown} was started with something else; undo the change, or give it another name"
    refuse_differences(said, json.loads(json.dumps(identity)), head)


def _enter(
    storage: SharedStorage, name: str, direction: Direction, folder: Path, identity: Mapping[str, Any],
    before: Mapping[str, Any], shown: str,
) -> Shared:  # fmt: skip
    study = _make_study(storage, name, direction, shown)
    plain = json.loads(json.dumps(identity))

    def change(row: StudyRow) -> tuple[str, Any, int]:
        uid, said = row.get(UID), row.get(IDENTITY_KEY)
        if uid is None:
            row.set(UID, uid := secrets.token_hex(8))
        if said is None:
            row.set(IDENTITY_KEY, said := plain)
        if said == plain and before.get("uid") in (None, uid):
            row.set(STARTS, ordinal := int(row.get(STARTS) or 0) + 1)
            return uid, said, ordinal - 1
        return uid, said, -1

    uid, said, ordinal = storage.change(study._study_id, change)
    if before.get("uid") not in (None, uid):
        msg = (
            f"{folder}: its trials are in the study {before.get('study')!r} of {before.get('url')}, which is another "
            f"one than {name!r} of {shown}; use another --out"
        )
        raise StudyError(msg)
    _refuse(said, plain, name, shown)
    previous = tuple(before.get("supervisors", ()))
    write_json(
        folder / STORAGE, {"url": shown, "study": name, "uid": uid, "supervisors": [*previous, storage.supervisor]}
    )
    return Shared(storage=storage, study_name=name, url=shown, ordinal=ordinal, previous=previous)


def _make_study(storage: SharedStorage, name: str, direction: Direction, shown: str) -> optuna.Study:
    with quiet_optuna():
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    found = study.direction.name.lower()
    if found != direction:
        msg = f"the study {name!r} of {shown} is to {found} its value, but the metric is to be {direction}d"
        raise StudyError(msg)
    return study


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        msg = f"{path}: is damaged ({error}); delete it to take the study up again"
        raise StudyError(msg) from error
    return content
