"""Copies a study, with all that is known of its trials, between run folders, journal files and databases."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.errors import StudyError, known_names
from automl_pheno.files import write_json, write_text, writing
from automl_pheno.study.out_of_fold import OUT_OF_FOLD
from automl_pheno.study.records import TrialRecord, read_records
from automl_pheno.study.run_folder import FINAL, IDENTITY, JOURNAL, SPLIT, TESTED_ELSEWHERE, TRIALS
from automl_pheno.study.storage.address import explain_failure, redact
from automl_pheno.study.storage.book import OUTCOME, PUT_BACK, attributes_of
from automl_pheno.study.storage.database import open_database
from automl_pheno.study.storage.journal import REASON, make_repeat
from automl_pheno.study.storage.leases import PREFIX
from automl_pheno.study.storage.marks import BASELINE, RECORD, TEST, state_of
from automl_pheno.study.storage.opening import IDENTITY_KEY, SPLIT_FILE, STARTS, STORAGE, UID
from automl_pheno.study.storage.quiet import quiet_optuna

_OWN = "automl_pheno:"
_OF_THE_PLACE = (PREFIX, UID, STARTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied.

    Attributes
    ----------
    study
        Its name in the new place.
    trials, records, put_back
        Numbers of trials, of records of networks and baselines among them, and of trials in flight, whose copies wait.
    """

    study: str
    trials: int
    records: int
    put_back: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Content:
    """A study to be copied."""

    study: optuna.Study
    attributes: dict[str, Any] = field(default_factory=dict)  # of the study, system
    records: dict[int, TrialRecord] = field(default_factory=dict)
    out_of_fold: Path | None = None
    """Folder of the held-out predictions; only a run folder has them."""


def copy_study(source: str, target: str, *, study: str | None = None, name: str | None = None) -> Copied:
    """Copy a study.

    Trials keep their numbers, attributes and records. A trial in flight is put back in the copy, so a running study can
    be copied as it is at the moment.

    Parameters
    ----------
    source, target
        A run folder, a journal file or the URL of a database. A target that is a file or folder must be new.
    study
        Name in the source; needed only where there are several.
    name
        In the target; that of the source if None.

    Raises
    ------
    StudyError
        There is no such study, the target exists, or a place cannot be read or written.
    """
    with contextlib.ExitStack() as stack:
        content = _read(source, study, stack)
        return _write(content, target, name or content.study.study_name, stack)


def write_trials(
    target: str, name: str, direction: StudyDirection, trials: list[FrozenTrial], attributes: Mapping[str, Any]
) -> Copied:
    """Write trials that come from elsewhere as a new study; user `attributes` are of the study. See `copy_study`."""
    study = optuna.create_study(study_name=name, direction=direction)
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    study.add_trials(trials)
    with contextlib.ExitStack() as stack:
        return _write(_Content(study=study), target, name, stack)


def copy_trials(
    source: optuna.Study,
    target: optuna.Study,
    records: Mapping[int, TrialRecord] | None = None,
    *,
    drop: str | None = None,
) -> int:
    """Copy the trials, and what the study itself says, into an empty study; return how many were put back.

    Parameters
    ----------
    source, target
        The studies.
    records
        Trial number -> record, to be kept with the trials.
    drop
        System attribute of trials that is left out.
    """
    for key, value in source.user_attrs.items():
        target.set_user_attr(key, value)
    repeats = []
    for trial in source.get_trials(deepcopy=True):
        record = (records or {}).get(trial.number)
        if record is not None:
            if not trial.state.is_finished():  # the supervisor was killed before it told
                trial.state, value = state_of(record, trial)
                trial.values = None if value is None else [value]
                trial.datetime_start = trial.datetime_start or trial.datetime_complete
            trial.user_attrs = {**trial.user_attrs, **attributes_of(record)}
            trial.system_attrs = {**trial.system_attrs, RECORD: record.to_line()}
        elif trial.state == TrialState.RUNNING:
            repeats.append(make_repeat(trial))
            trial.state = TrialState.FAIL
            trial.user_attrs = {**trial.user_attrs, OUTCOME: PUT_BACK, REASON: "in flight when the study was copied"}
        if trial.state.is_finished():
            trial.datetime_complete = trial.datetime_complete or trial.datetime_start
        if drop is not None:
            trial.system_attrs = {key: value for key, value in trial.system_attrs.items() if key != drop}
        target._storage.create_new_trial(target._study_id, template_trial=trial)
    waiting = [repeat for repeat in repeats if repeat is not None]
    for repeat in waiting:
        target._storage.create_new_trial(target._study_id, template_trial=repeat)
    return len(waiting)


def make_journal(path: Path, name: str, direction: StudyDirection) -> optuna.Study:
    """Return a new study in a new journal file."""
    return _create(JournalStorage(JournalFileBackend(str(path))), name, direction)


# -- reading -----------------------------------------------------------------------------------------------------


def _read(source: str, name: str | None, stack: contextlib.ExitStack) -> _Content:
    path = Path(source)
    if "://" in source:
        return _of_storage(_open_url(source, stack), redact(source), name)
    if path.is_dir():
        return _of_run(path, name)
    if not path.is_file():
        msg = f"{source}: no such run folder, journal file or URL of a database"
        raise StudyError(msg)
    return _of_storage(_open_journal(path), source, name)


def _open_journal(path: Path) -> BaseStorage:
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, OSError) as error:
        msg = f"{path}: is not a journal file of Optuna ({error})"
        raise StudyError(msg) from error


def _open_url(url: str, stack: contextlib.ExitStack) -> BaseStorage:
    """Return the database, closed with the stack."""
    if url.startswith("postgres"):
        storage: RDBStorage = open_database(url)
    else:
        storage = _open_other(url)
    stack.callback(storage.engine.dispose)
    stack.callback(storage.remove_session)
    return storage


def _open_other(url: str) -> RDBStorage:
    import sqlalchemy

    try:
        return RDBStorage(url)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        raise StudyError(explain_failure(url, error)) from None


def _of_storage(storage: BaseStorage, place: str, name: str | None) -> _Content:
    names = sorted(study.study_name for study in storage.get_all_studies())
    if not names or (name is None and len(names) > 1):
        several = f"holds {len(names)} studies ({', '.join(names)}); name one with --study"
        msg = f"{place}: {several if names else 'holds no study'}"
        raise StudyError(msg)
    chosen = names[0] if name is None else name
    if chosen not in names:
        msg = f"{place}: has no study {chosen!r}; {known_names(chosen, names)}"
        raise StudyError(msg)
    study = optuna.load_study(study_name=chosen, storage=storage)
    attributes = study._storage.get_study_system_attrs(study._study_id)
    records = {
        trial.number: TrialRecord.from_line(line)
        for trial in study.get_trials(deepcopy=False)
        if (line := trial.system_attrs.get(RECORD)) is not None
    }
    return _Content(study=study, attributes=dict(attributes), records=records)


def _of_run(path: Path, name: str | None) -> _Content:
    if (path / STORAGE).exists():
        msg = f"{path}: its trials are in a database, see {STORAGE}: copy from there"
        raise StudyError(msg)
    if not (path / JOURNAL).is_file():
        msg = f"{path}: holds no {JOURNAL}, so it is not the folder of a run"
        raise StudyError(msg)
    content = _of_storage(_open_journal(path / JOURNAL), str(path), name)
    content.out_of_fold = path / OUT_OF_FOLD
    for record in read_records(path / TRIALS):
        if record.trial is None:
            content.attributes[f"{BASELINE}{record.name}"] = {"supervisor": "", "record": record.to_line()}
        else:
            content.records[record.trial] = record
    if (path / IDENTITY).exists() and (path / SPLIT).exists():
        split = hashlib.sha256((path / SPLIT).read_bytes()).hexdigest()
        content.attributes[IDENTITY_KEY] = {**json.loads((path / IDENTITY).read_text()), SPLIT_FILE: split}
    if (path / FINAL).exists():
        result = json.loads((path / FINAL).read_text())
        content.attributes[TEST] = {"supervisor": "a run of its own", "folder": str(path.resolve()), "result": result}
    return content


# -- writing -----------------------------------------------------------------------------------------------------


def _write(content: _Content, target: str, name: str, stack: contextlib.ExitStack) -> Copied:
    if "://" in target:
        put_back = _to_storage(content, _open_url(target, stack), redact(target), name)
    else:
        path = Path(target)
        is_file = path.suffix in (".log", ".journal")
        if path.exists() and (is_file or not path.is_dir() or any(path.iterdir())):
            msg = f"{target}: exists already; a copy needs a new file or folder"
            raise StudyError(msg)
        with writing(path):
            put_back = _to_journal(content, path, name) if is_file else _to_run(content, path, name)
    baselines = sum(key.startswith(BASELINE) and "record" in said for key, said in content.attributes.items())
    return Copied(
        study=name, trials=len(content.study.get_trials(deepcopy=False)), records=len(content.records) + baselines,
        put_back=put_back,
    )  # fmt: skip


def _to_storage(content: _Content, storage: BaseStorage, place: str, name: str) -> int:
    if name in [study.study_name for study in storage.get_all_studies()]:
        msg = f"{place}: has a study {name!r} already; give the copy another name (--name)"
        raise StudyError(msg)
    study = _create(storage, name, content.study.direction)
    try:
        for key, value in content.attributes.items():
            if not key.startswith(_OF_THE_PLACE) and (key != TEST or "result" in value):
                study._storage.set_study_system_attr(study._study_id, key, value)
        return copy_trials(content.study, study, content.records)
    except BaseException:
        storage.delete_study(study._study_id)  # half a study would be taken for the whole
        raise


def _to_journal(content: _Content, path: Path, name: str) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        put_back = _to_storage(content, JournalStorage(JournalFileBackend(str(fresh))), str(path), name)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return put_back


def _to_run(content: _Content, path: Path, name: str) -> int:
    """Make what a search needs to go on: journal, records and identity; it writes the other files itself."""
    path.mkdir(parents=True, exist_ok=True)
    own = {key: value for key, value in content.attributes.items() if key.startswith(_OWN)}
    records = [content.records[number] for number in sorted(content.records)]
    records += [
        TrialRecord.from_line(said["record"])
        for key, said in sorted(own.items())
        if key.startswith(BASELINE) and "record" in said
    ]
    identity = dict(own.get(IDENTITY_KEY, {}))
    identity.pop(SPLIT_FILE, None)
    if identity:
        write_json(path / IDENTITY, identity)
        write_text(path / TRIALS, "".join(record.to_line() for record in records))
    if content.out_of_fold is not None and content.out_of_fold.is_dir():
        (path / OUT_OF_FOLD).mkdir()
        for file in content.out_of_fold.glob("*.npy"):
            if not file.is_symlink():
                shutil.copyfile(file, path / OUT_OF_FOLD / file.name)
    if "result" in own.get(TEST, {}):
        said = own[TEST]
        result = {"by": said["supervisor"], "folder": said["folder"], "result": said["result"]}
        write_json(path / TESTED_ELSEWHERE, result)
    plain = {key: value for key, value in content.attributes.items() if not key.startswith(_OWN)}
    bare = _Content(study=content.study, attributes=plain, records=content.records)
    return _to_journal(bare, path / JOURNAL, name)


def _create(storage: BaseStorage, name: str, direction: StudyDirection) -> optuna.Study:
    with quiet_optuna():
        return optuna.create_study(storage=storage, study_name=name, direction=direction)
