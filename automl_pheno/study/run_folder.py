"""The folder of a run: who may write into it, what it must agree with, and its records."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_pheno.errors import StudyError
from automl_pheno.files import write_json, write_text, writing
from automl_pheno.splits.file import write_split
from automl_pheno.study.leaderboard import make_leaderboard
from automl_pheno.study.out_of_fold import unpack, write_predictions
from automl_pheno.study.records import TrialRecord, append_record, read_records, repair_records

if TYPE_CHECKING:
    import pandas as pd

    from automl_pheno.splits import MadeSplit

STUDY = "study.yaml"
SPACE = "space.yaml"
IDENTITY = "identity.json"
JOURNAL = "journal.log"
TRIALS = "trials.jsonl"
LEADERBOARD = "leaderboard.csv"
PROVENANCE = "provenance.json"
FINAL = "final.json"
TESTED_ELSEWHERE = "tested_elsewhere.json"
SPLIT = "split.csv"
SPLIT_CARD = "split_card.json"
SPLIT_SAMPLES = "split_samples.csv"
COMPARISON = "comparison.csv"
DEVELOPMENT = "development.npz"
SEALED = "sealed_test.npz"
TEST_PREDICTIONS = "test_predictions.csv"
FINALISTS = "finalists"
BEST = "best"
LOGS = "logs"
LOCK = "run.lock"
_SHOWN_DIFFERENCES = 12

LEADERBOARD_EVERY = 5.0
"""Seconds between two leaderboards at least."""

LEADERBOARD_SHARE = 0.02
"""Part of the time that may go into rewriting the leaderboard, which grows with the run."""


class RunFolder:
    """A run's folder, held by this process. Use `open_run` to get one.

    Attributes
    ----------
    path
        The folder, absolute.
    metric
        Name of the validation metric.
    parameters
        Parameter paths, in the order of the leaderboard's columns.
    """

    def __init__(self, path: Path, *, metric: str, parameters: Sequence[str]) -> None:
        self.path = path
        self.metric = metric
        self.parameters = tuple(parameters)
        repair_records(self.path / TRIALS)
        self._records = read_records(self.path / TRIALS)
        self._behind = True
        self._due = 0.0

    def records(self) -> Sequence[TrialRecord]:
        """Return all records so far, in the order in which they were made."""
        return self._records

    def keep_predictions(self, name: str, packed: Mapping[str, Any]) -> None:
        """Keep the held-out predictions of a candidate, whose record follows; see `out_of_fold`.

        Raises
        ------
        StudyError
            The disk is full; no file is damaged.
        """
        write_predictions(self.path, name, unpack(packed))

    def append(self, record: TrialRecord) -> None:
        """Keep a record for good; ``leaderboard.csv`` follows with `keep_up`.

        Raises
        ------
        StudyError
            The disk is full; no file is damaged.
        """
        append_record(self.path / TRIALS, record)
        self._records.append(record)
        self._behind = True
        self.keep_up(now=False)

    def keep_up(self, *, now: bool) -> None:
        """Rewrite ``leaderboard.csv`` if records came since, but not all the time: see `LEADERBOARD_SHARE`.

        Parameters
        ----------
        now
            Rewrite it however short ago that was.
        """
        if self._behind and (now or time.monotonic() >= self._due):
            self.write_leaderboard()

    def leaderboard(self) -> pd.DataFrame:
        """Return the table that ``leaderboard.csv`` holds."""
        tests = self.final["finalists"] if self.is_final else self.tested_elsewhere.get("finalists", ())
        return make_leaderboard(self._records, metric=self.metric, parameters=self.parameters, tests=tests)

    def write_leaderboard(self) -> None:
        """Replace ``leaderboard.csv``."""
        started = time.monotonic()
        write_text(self.path / LEADERBOARD, self.leaderboard().to_csv(index=False))
        ended = time.monotonic()
        self._behind = False
        self._due = ended + max(LEADERBOARD_EVERY, (ended - started) / LEADERBOARD_SHARE)

    @property
    def is_final(self) -> bool:
        """Whether the test set was opened."""
        return (self.path / FINAL).exists()

    @property
    def tested_elsewhere(self) -> dict[str, Any]:
        """What ``final.json`` of the supervisor holds that opened the test set of a shared study; {} if none did."""
        path = self.path / TESTED_ELSEWHERE
        if not path.exists():
            return {}
        result: dict[str, Any] = json.loads(path.read_text())["result"]
        return result

    @property
    def final(self) -> dict[str, Any]:
        """What ``final.json`` holds."""
        content: dict[str, Any] = json.loads((self.path / FINAL).read_text())
        return content


@contextlib.contextmanager
def lock_run(path: Path) -> Iterator[None]:
    """Hold the folder for the time of the block; it is made if need be. The lock ends with the process.

    Raises
    ------
    StudyError
        Another process holds it, or the folder cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(handle, path)
        with writing(path / LOCK):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        msg = f"{path}: another search is running here (process {holder}); wait for it, stop it, or use another --out"
        raise StudyError(msg) from error


def check_identity(path: Path, identity: Mapping[str, Any]) -> bool:
    """Compare with what the run was started with; True if it is a new run, whose identity is then written.

    Parameters
    ----------
    path
        Folder of the run.
    identity
        Plain data: what must not change between the starts of one run (space, data, split, metric, seed).

    Raises
    ------
    StudyError
        Something changed; the message has one line for each difference.
    """
    file = path / IDENTITY
    if not file.exists():
        if (path / TRIALS).exists():
            msg = f"{path}: holds {TRIALS} but no {IDENTITY}, so it is not the folder of a run; use another --out"
            raise StudyError(msg)
        write_json(file, identity)
        return True
    try:
        before = json.loads(file.read_text())
    except ValueError as error:
        msg = f"{file}: is damaged ({error}); move the folder away to start anew"
        raise StudyError(msg) from error
    head = f"{path}: the run was started with something else; undo the change, or use another --out for a new run"
    refuse_differences(before, json.loads(json.dumps(identity)), head)
    return False


def refuse_differences(before: Mapping[str, Any], now: Mapping[str, Any], head: str) -> None:
    """Raise a `StudyError` with one line for each difference of two trees of plain data, if there is one."""
    if differences := list(_differences(before, now, "")):
        shown = differences[:_SHOWN_DIFFERENCES]
        more = [f"... and {len(differences) - len(shown)} more"] if len(differences) > len(shown) else []
        raise StudyError("\n  ".join([head, *shown, *more]))


def _differences(before: Any, now: Any, where: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            path = f"{where}.{key}" if where else str(key)
            if key not in now:
                yield f"{path}: was {_shown(before[key])}, now left out"
            elif key not in before:
                yield f"{path}: was left out, now {_shown(now[key])}"
            else:
                yield from _differences(before[key], now[key], path)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now) and _nested(before):
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _differences(old, new, f"{where}.{number}")
    elif before != now or type(before) is not type(now):
        yield f"{where}: was {_shown(before)}, now {_shown(now)}"


def _nested(items: list[Any]) -> bool:
    return any(isinstance(item, (dict, list)) for item in items)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def write_split_files(folder: Path, made: MadeSplit) -> tuple[Path, Path, Path]:
    """Write ``split.csv``, ``split_card.json`` and ``split_samples.csv`` into the existing `folder`; return them."""
    files = (folder / SPLIT, folder / SPLIT_CARD, folder / SPLIT_SAMPLES)
    with writing(files[0]):
        write_split(made.split, files[0])
    write_json(files[1], made.card)
    write_text(files[2], made.samples.to_csv(index=False))
    return files
