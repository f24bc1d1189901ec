"""Records of finished trials and baselines: one JSON line each in ``trials.jsonl``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from automl_pheno.errors import StudyError
from automl_pheno.files import writing

Kind = Literal["network", "baseline"]
State = Literal["complete", "pruned", "failed", "infeasible"]
COUNTED = ("complete", "pruned", "failed")
"""States that count towards ``trials``; an infeasible configuration was never trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """What is known of one finished trial or baseline.

    Attributes
    ----------
    kind, name
        ``network`` with the space's name and the trial number (``cnn-12``), or ``baseline`` with its name (``gblup``).
    trial
        Number in the Optuna study; None for a baseline.
    state
        ``complete``, ``pruned`` (stopped early, by the pruner or the time limit), ``failed`` or ``infeasible``
        (never trained).
    reason, traceback
        Why it is not complete; "" otherwise.
    params
        Parameter path -> value; empty for a baseline.
    candidate
        What `make_predictor` takes to make the same predictor again.
    value, sd
        Validation metric: mean and standard deviation over folds (sd None with one validation set, or `pooled` folds).
        For a pruned trial the last value it reported.
    scores, fold_scores
        All metrics: means over folds, and one mapping a fold.
    pooled
        Whether value and scores are over all held-out samples at once, since folds are too small for scores of their
        own; see `are_pooled`.
    validation_calibration
        ``slope`` and ``intercept`` of the trait on the held-out predictions; {} where they are not known.
    weights, epochs, best_epoch, seconds
        See `FitSummary`; means over folds, rounded, but seconds is the sum.
    curve
        One mapping an epoch, of the first fold.
    chosen
        What the predictor chose inside, in the first fold.
    seed
        Of the trial's generator.
    retries
        Numbers of the earlier trials with these parameters that were put back (dead worker, Ctrl-C).
    host, pid, rss
        Where it ran and the process's memory afterwards, bytes.
    device
        What trained it: ``cpu`` or the GPU's name.
    recycled
        Whether the slot's process was started anew afterwards.
    budget
        Epochs that the engine allowed; None for those of the space.
    supervisor
        Which of several supervisors had it; "" where there was one.
    finished
        UTC, ISO 8601.
    """

    kind: Kind
    name: str
    state: State
    trial: int | None = None
    reason: str = ""
    traceback: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    candidate: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    sd: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    fold_scores: tuple[Mapping[str, float], ...] = ()
    pooled: bool = False
    validation_calibration: Mapping[str, float | None] = field(default_factory=dict)
    weights: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    seconds: float | None = None
    curve: tuple[Mapping[str, float], ...] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    retries: tuple[int, ...] = ()
    host: str = ""
    pid: int | None = None
    rss: int | None = None
    device: str = ""
    recycled: bool = False
    budget: int | None = None
    supervisor: str = ""
    finished: str = ""

    def to_line(self) -> str:
        """Return one line of JSON, ending with a newline; numbers that are not finite become null."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        try:
            return json.dumps(data, allow_nan=False, ensure_ascii=False) + "\n"
        except (TypeError, ValueError):
            return json.dumps(finite(data), allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> TrialRecord:
        """Return the record of a line that `to_line` made.

        Raises
        ------
        ValueError, TypeError
            It is not such a line.
        """
        data = json.loads(line)
        for name in ("fold_scores", "curve", "retries"):
            data[name] = tuple(data[name])
        return cls(**data)


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def finite(value: Any) -> Any:
    """Return plain data in which numbers that are not finite are None and tuples are lists."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_records(path: Path) -> list[TrialRecord]:
    """Return all records of a ``trials.jsonl``; [] if there is no file. A torn last line is left out.

    Raises
    ------
    StudyError
        A line other than the last is damaged.
    """
    if not path.exists():
        return []
    records = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(TrialRecord.from_line(line.decode()))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):  # no newline: the process was killed while it wrote
                continue
            msg = f"{path}:{number}: a record must be one line of JSON, got {line[:60]!r} ({error})"
            raise StudyError(msg) from error
    return records


def repair_records(path: Path) -> bool:
    """Make the file end with a whole line, so that the next one can be appended; True if it was torn."""
    if not path.exists():
        return False
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end == len(content):
        return False
    with writing(path), path.open("r+b") as file:
        try:
            TrialRecord.from_line(content[end:].decode())
        except (ValueError, TypeError, KeyError):
            file.truncate(end)
        else:  # only the newline is missing
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def append_record(path: Path, record: TrialRecord) -> None:
    """Append one line and wait until it is on the disk.

    Raises
    ------
    StudyError
        The disk is full or cannot be written; what was there before is intact.
    """
    line = record.to_line().encode()
    with writing(path), path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while line:  # a disk that fills up takes a part first and says why at the next write
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
