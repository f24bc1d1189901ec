"""Where each record stands in ``trials.jsonl``, so that one of many thousands can be read alone."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path

from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import TRIALS

_TRIAL = re.compile(rb'"trial": (\d+|null)')
_CURVE = b'"curve": [{'


@dataclass(frozen=True, slots=True)
class Entry:
    """Place of one record in the file, and whether it has a learning curve."""

    offset: int
    length: int
    has_curve: bool


class RecordIndex:
    """The records of a run, found again as the file grows.

    Parameters
    ----------
    run
        Folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / TRIALS
        self._trials: dict[int, Entry] = {}
        self._others: list[Entry] = []
        self._read = 0
        self._inode = 0
        self._lock = threading.Lock()

    @property
    def trials(self) -> dict[int, Entry]:
        """Trial number -> place of its record."""
        self._look()
        return self._trials

    def record(self, number: int) -> TrialRecord | None:
        """Return the record of a trial, or None."""
        entry = self.trials.get(number)
        return None if entry is None else self._at(entry)

    def baseline(self, name: str) -> TrialRecord | None:
        """Return the record of a baseline, or None; the last one where there are several."""
        self._look()
        for entry in reversed(self._others):
            record = self._at(entry)
            if record.name == name:
                return record
        return None

    def _at(self, entry: Entry) -> TrialRecord:
        with self._path.open("rb") as file:
            file.seek(entry.offset)
            return TrialRecord.from_line(file.read(entry.length).decode())

    def _look(self) -> None:
        """Take up the whole lines that were written since."""
        with self._lock:
            try:
                status = self._path.stat()
            except OSError:
                return
            if status.st_ino != self._inode or status.st_size < self._read:  # another file under this name
                self._trials, self._others, self._read, self._inode = {}, [], 0, status.st_ino
            if status.st_size == self._read:
                return
            with self._path.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._add(line)
                    self._read += len(line)

    def _add(self, line: bytes) -> None:
        entry = Entry(self._read, len(line), _CURVE in line)
        found = _TRIAL.search(line)
        if found is None or found[1] == b"null":
            self._others.append(entry)
        else:
            self._trials[int(found[1])] = entry
