"""The journal of a run as its supervisor uses it: fewer writes, quick to look into, short enough to be read again.

The file stays a plain journal of Optuna: plain Optuna and optuna-dashboard read it while the search runs, and what they
write (under the same lock) is heard. Three things are done differently here:

- What concerns only a trial in flight (parameters, reports, attributes) is written together with the next operation
  that others depend on (a trial made or ended), or by `FewWrites.flush`. A process killed in between loses what it knew
  of trials in flight, which are put back anyway.
- `Index` keeps the unfinished trials, and the finished ones that a sampler looks at, at hand.
- `compact` rewrites a long journal with one operation a trial.
"""

from __future__ import annotations

import copy
import json
import os
import threading
import time
from collections import deque
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import get_lock_file
from optuna.storages.journal._storage import JournalOperation as Op
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.files import replacing
from automl_pheno.study.storage.index import Index

OF_ONE_TRIAL = frozenset(
    (Op.SET_TRIAL_PARAM, Op.SET_TRIAL_INTERMEDIATE_VALUE, Op.SET_TRIAL_USER_ATTR, Op.SET_TRIAL_SYSTEM_ATTR)
)
"""Operations on a trial in flight: whoever reads or writes the journal meanwhile comes to the same with them later."""

PLAIN = frozenset((Op.SET_TRIAL_PARAM, Op.SET_TRIAL_INTERMEDIATE_VALUE))
"""Operations that JSON leaves as they are."""

LOOK_EVERY = 0.2
"""Seconds between two looks at what others wrote."""
COMPACT_FROM = 20_000
"""Operations of a journal that is worth rewriting."""
COMPACT_GAIN = 4
"""So many times fewer operations must come of it."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class FewWrites(BaseJournalBackend):
    """A journal file of which one process is the main writer.

    Parameters
    ----------
    path
        Of the file; made if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = JournalFileSymlinkLock(str(path))
        self._mutex = threading.RLock()
        self._offset = 0
        self._looked = 0.0
        self._unread: deque[dict[str, Any]] = deque()
        self._unwritten: list[str] = []
        self._unsynced = self._unsynced_trial = False
        path.touch(exist_ok=True)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Return the operations that were not read yet, in the order of the file; all of them from 0.

        What other processes write is looked for every `LOOK_EVERY` seconds, and before anything is written.

        Raises
        ------
        ValueError
            A line is damaged.
        """
        if log_number_from == 0:
            self._offset = 0
            self._unread.clear()
        while self._unread:
            yield self._unread.popleft()
        if log_number_from == 0 or time.monotonic() - self._looked > LOOK_EVERY:
            self._looked = time.monotonic()
            if self.path.stat().st_size > self._offset:
                yield from self._of_file()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Keep operations in memory if they can wait, otherwise write them and all that waits.

        Raises
        ------
        OSError
            They cannot be written; the file is as it was.
        """
        lines = [_encode(log) for log in logs]
        with self._mutex:
            if all(log["op_code"] in OF_ONE_TRIAL for log in logs):
                self._unwritten += lines
            else:
                self._write(lines)
                self._unsynced_trial |= any(log["op_code"] == Op.CREATE_TRIAL for log in logs)
            self._unread += [
                log if log["op_code"] in PLAIN else json.loads(line) for log, line in zip(logs, lines, strict=True)
            ]

    def flush(self) -> None:
        """Write what waits and see all that was written onto the disk.

        Raises
        ------
        OSError
            It cannot be written; the file is as it was and what waits goes on waiting.
        """
        with self._mutex:
            if self._unwritten:
                self._write([])
            if self._unsynced:
                handle = os.open(self.path, os.O_RDWR)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
                self._unsynced = self._unsynced_trial = False

    def secure_trials(self) -> None:
        """See every trial onto the disk that was made; a record of it may then follow."""
        if self._unsynced_trial:
            self.flush()

    def _write(self, lines: list[str]) -> None:
        content = "".join(f"{line}\n" for line in (*self._unwritten, *lines)).encode()
        with get_lock_file(self._lock), self.path.open("ab", buffering=0) as file:
            end = file.tell()
            if end > self._offset:
                self._unread.extend(self._of_file())
                if self._offset < end:  # a line that its writer did not end; it is dead, as it had the lock
                    file.truncate(end := self._offset)
            try:
                rest = content
                while rest:  # a disk that fills up takes a part first and says why at the next write
                    rest = rest[file.write(rest) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                raise
        self._offset = end + len(content)
        self._unwritten = []
        self._unsynced = True

    def _of_file(self) -> Iterator[dict[str, Any]]:
        """Return the operations of the whole lines that were not read yet, one at a time."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)


class RunJournal(JournalStorage):
    """Optuna's storage in a journal file, with the trials at hand that a running search needs."""

    def __init__(self, backend: FewWrites) -> None:
        super().__init__(_Nothing())
        self._backend: FewWrites = backend
        self._replay_result: Index = Index(self._worker_id_prefix)
        self._sync_with_backend()

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See Optuna; those that wait or run are found without a look at the others."""
        if states is not None and not any(state in states for state in _FINISHED):
            with self._thread_lock:
                self._sync_with_backend()
                found = [trial for trial in self._replay_result.unfinished(study_id) if trial.state in states]
            return copy.deepcopy(found) if deepcopy else found
        return super().get_all_trials(study_id, deepcopy, states)

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """See Optuna."""
        if state is not None:
            return super().get_n_trials(study_id, state)
        with self._thread_lock:
            self._sync_with_backend()
            return len(self._replay_result._study_id_to_trial_ids[study_id])

    def set_trial_user_attrs(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Do what Optuna's ``set_trial_user_attr`` does, for several at once."""
        with self._thread_lock:
            trial = {"worker_id": self._replay_result.worker_id, "trial_id": trial_id}
            self._backend.append_logs([
                {"op_code": Op.SET_TRIAL_USER_ATTR, **trial, "user_attr": {key: value}}
                for key, value in attributes.items()
            ])  # fmt: skip
            self._sync_with_backend()

    def worth_a_look(self, study_id: int) -> list[FrozenTrial]:
        """Return the trials that a sampler or pruner should know, by number.

        The same as `view.choose` of all trials, kept up to date.
        """
        with self._thread_lock:
            self._sync_with_backend()
            return self._replay_result.chosen(study_id)

    def flush(self) -> None:
        """See `FewWrites`."""
        self._backend.flush()

    def secure_trials(self) -> None:
        """See `FewWrites`."""
        self._backend.secure_trials()

    @property
    def operations(self) -> int:
        """Operations in the journal."""
        return self._replay_result.log_number_read

    def compacted(self) -> list[dict[str, Any]] | None:
        """Return fewer operations that come to the same; None if the journal holds more than one study."""
        with self._thread_lock:
            self._sync_with_backend()
            replay = self._replay_result
            if list(replay._studies) != [0] or replay._next_study_id != 1:
                return None
            study = replay._studies[0]
            logs: list[dict[str, Any]] = [
                {"op_code": Op.CREATE_STUDY, "study_name": study.study_name, "directions": study.directions}
            ]
            for code, word, attributes in (
                (Op.SET_STUDY_USER_ATTR, "user_attr", study.user_attrs),
                (Op.SET_STUDY_SYSTEM_ATTR, "system_attr", study.system_attrs),
            ):
                logs += [{"op_code": code, "study_id": 0, word: {key: value}} for key, value in attributes.items()]
            texts: dict[int, str] = {}
            logs += [_creation(trial, texts) for trial in replay.get_all_trials(0, None)]
        worker = {"worker_id": f"{self._worker_id_prefix}compact"}
        return [{"op_code": log.pop("op_code"), **worker, **log} for log in logs]


class _Nothing(BaseJournalBackend):
    """An empty journal."""

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # noqa: ARG002 - Optuna's signature
        return iter(())

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002 - Optuna's signature
        msg = "nothing can be written into the empty journal"
        raise TypeError(msg)


_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _creation(trial: FrozenTrial, texts: dict[int, str]) -> dict[str, Any]:
    """Return the operation that makes this trial as it is; `texts` keeps what distributions are as JSON."""
    log: dict[str, Any] = {"op_code": Op.CREATE_TRIAL, "study_id": 0, "datetime_start": _utc(trial.datetime_start)}
    log["state"] = trial.state
    several = trial.values is not None and len(trial.values) > 1
    log["value"] = trial.values[0] if trial.values and not several else None
    log["values"] = trial.values if several else None
    if trial.datetime_complete is not None:
        log["datetime_complete"] = _utc(trial.datetime_complete)
    log["distributions"] = {}
    for name, distribution in trial.distributions.items():
        text = texts.get(id(distribution))
        if text is None:
            text = texts[id(distribution)] = distribution_to_json(distribution)
        log["distributions"][name] = text
    log["params"] = {name: trial.distributions[name].to_internal_repr(value) for name, value in trial.params.items()}
    log["user_attrs"] = trial.user_attrs
    log["system_attrs"] = trial.system_attrs
    log["intermediate_values"] = trial.intermediate_values
    return log


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def open_journal(path: Path) -> RunJournal:
    """Return the storage of the journal at `path`, made if need be, and rewrite it shorter if that is worth it.

    Call it with the run's lock held: whoever else has the journal open, as a dashboard, must open it again if it was
    rewritten. The old file is whole until the new one takes its place in one step.

    Raises
    ------
    ValueError, KeyError
        The journal is damaged.
    OutputError
        The new file cannot be written; the old one is intact.
    """
    storage = RunJournal(FewWrites(path))
    studies = storage.get_all_studies()
    if len(studies) != 1 or storage.operations < COMPACT_FROM:
        return storage
    few = storage.operations < COMPACT_GAIN * (storage.get_n_trials(studies[0]._study_id) + 1)
    if few or (logs := storage.compacted()) is None:
        return storage
    with replacing(path) as stream:
        for log in logs:
            stream.write(_encode(log).encode() + b"\n")
    del storage, logs
    return RunJournal(FewWrites(path))
