"""Train one trial of a run again, from its record, and say whether the same comes out."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from automl_pheno.data import load_dataset
from automl_pheno.errors import StudyError, known_names
from automl_pheno.files import writing
from automl_pheno.keras_settings import own_environment
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.study.provenance import (
    IN_PROCESS,
    RESULT_VARIABLES,
    describe_hardware,
    describe_software,
    file_sha256,
    read_provenance,
)
from automl_pheno.study.records import TrialRecord, read_records
from automl_pheno.study.run_folder import DEVELOPMENT, IDENTITY, SPLIT, TRIALS
from automl_pheno.study.slots.worker import Report, run_task

Verdict = Literal["identical", "close", "different"]

TOLERANCE = 0.02
"""How far the validation value may be off where the hardware or the versions are others: a network that rounds
differently takes another way from the first epoch on. Of a correlation or R² as it stands; of an error (RMSE, MAE)
times its value."""

AGAIN = "automl_pheno.study.replay:again"
_CHILD = "from automl_pheno.study.replay import run_child; run_child()"
_COMPARED = ("python", "processor", "instructions", "cores", "gpus", "commit", "blas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A trial trained again.

    Attributes
    ----------
    name
        Of the trial or baseline.
    metric
        Of the validation.
    state, recorded_state
        How it ended now, and in the search.
    value, recorded
        Validation value now, and in the search; None where it has none.
    verdict
        ``identical`` (to the last bit), ``close`` (within the tolerance) or ``different``.
    tolerance
        See `TOLERANCE`.
    differences
        What is not as it was in the search: versions, hardware, environment; one line each.
    notes
        What was done otherwise than in the search.
    scores
        All validation metrics now.
    reason
        Why it failed now, where it did.
    folder
        Where the model was kept; None if it was not asked for.
    """

    name: str
    metric: str
    state: str
    recorded_state: str
    value: float | None
    recorded: float | None
    verdict: Verdict
    tolerance: float
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    scores: Mapping[str, float]
    reason: str
    folder: Path | None

    @property
    def sentence(self) -> str:
        """What came out, in words."""
        label = f"validation {METRICS[self.metric].label}"
        if self.verdict == "identical":
            end = f"{label} {_shown(self.value)}" if self.value is not None else self.recorded_state
            return f"{self.name}: the same again, to the last bit: {end}."
        if self.state == "failed" and self.recorded_state != "failed":
            return f"{self.name}: failed now: {self.reason}; in the search {label} was {_shown(self.recorded)}."
        if self.value is None or self.recorded is None:
            return f"{self.name}: ended otherwise: {self.state} now, {self.recorded_state} in the search."
        what = (
            f"{label} {_shown(self.value)}, {_shown(self.recorded)} in the search ({self.value - self.recorded:+.2g})"
        )
        if self.verdict == "close":
            why = "" if self.differences else "; nothing that is recorded explains it"
            return f"{self.name}: the same within {self.tolerance:g}, not to the last bit: {what}{why}."
        return f"{self.name}: not the same: {what}; more than {self.tolerance:g} apart."


def replay_trial(run: Path, trial: int | str, *, out: Path | None = None, tolerance: float = TOLERANCE) -> Replay:
    """Train a trial or a baseline again with its seed and folds, in a process with the threads of its slot.

    Parameters
    ----------
    run
        Folder of the run; nothing in it is changed.
    trial
        Number, name (``cnn-12``), or name of a baseline (``ridge``).
    out
        New folder for the model; with K folds one folder below it each.
    tolerance
        See `TOLERANCE`.

    Raises
    ------
    StudyError
        There is no such trial, it was never trained, the data of the run were changed, or `out` is not new.
    """
    record = find_record(run, trial)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out}: must be a new or an empty folder"
        raise StudyError(msg)
    start = _start_of(run, record)
    task, notes = _task(run, record, start)
    environment, differences = _environment(record, start, str(task["backend"]))
    outcome = _train(run, task, environment, out)
    state, value = str(outcome["state"]), outcome.get("value")
    return Replay(
        name=record.name,
        metric=str(task["metric"]),
        state=state,
        recorded_state=record.state,
        value=value,
        recorded=record.value,
        verdict=_compare(record, state, value, str(task["metric"]), tolerance),
        tolerance=tolerance,
        differences=(*_differences(start), *differences),
        notes=notes,
        scores=outcome.get("scores", {}),
        reason=str(outcome.get("reason", "")),
        folder=out if out is not None and out.exists() else None,
    )


def find_record(run: Path, trial: int | str) -> TrialRecord:
    """Return the record of a trial by number or name, or of a baseline.

    Raises
    ------
    StudyError
        There is none, or it was never trained.
    """
    records = read_records(run / TRIALS)
    text = str(trial)
    found = [r for r in records if r.name == text or (text.isdecimal() and r.trial == int(text))]
    if not found:
        names = [record.name for record in records]
        shown = names if len(names) <= 20 else [*names[:10], f"... {len(names) - 20} more ...", *names[-10:]]
        guess = known_names(text, names).partition("; did you mean")
        msg = f"{run}: has no finished trial {text!r}; known: {', '.join(shown) or '(none)'}{guess[1]}{guess[2]}"
        raise StudyError(msg)
    record = found[-1]
    if not record.candidate or record.seed is None:
        msg = f"{run}: {record.name} was never trained ({record.state}: {record.reason}), so there is nothing to repeat"
        raise StudyError(msg)
    return record


def again(task: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Evaluate ``task["candidate"]`` again; stop where the search stopped it, and keep the models if asked to.

    Parameters
    ----------
    task
        As for `evaluate`, with ``stop_at`` (the step after which the search gave the trial up; None: it did not) and
        ``out`` (folder for the model, or None).
    report
        See `evaluate`.
    """
    from automl_pheno.predictors.storage import save_predictor
    from automl_pheno.study.evaluate import evaluate

    stop_at, out = task.get("stop_at"), task.get("out")
    dataset = load_dataset(Path(task["run"]) / DEVELOPMENT)

    def keep(predictor: Predictor, fold: int) -> None:
        folder = Path(str(out)) / f"fold{fold}" if task["folds"] > 1 else Path(str(out))
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            save_predictor(predictor, folder, dataset.inputs, trait=str(task["trait"]))

    told: list[float] = []

    def stop(step: int, value: float) -> bool:
        told.append(value)
        return report(step, value) or (stop_at is not None and step >= stop_at)

    outcome = evaluate(task, stop, keep=None if out is None else keep)
    # A trial that was given up is recorded with what it had reported.
    return {**outcome, "value": told[-1]} if stop_at is not None and told else outcome


def run_child() -> None:
    """Run the task in the file that is the first argument, and write its outcome into the second."""
    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    outcome = run_task(task, lambda step, value: False)  # noqa: ARG005 - nobody watches
    Path(sys.argv[2]).write_text(json.dumps(outcome), encoding="utf-8")


def _task(run: Path, record: TrialRecord, start: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    identity = _read_identity(run)
    digest = load_dataset(run / DEVELOPMENT).sha256() if (run / DEVELOPMENT).is_file() else None
    for name, now in (("development", digest), ("split", file_sha256(run / SPLIT))):
        file = run / (DEVELOPMENT if name == "development" else SPLIT)
        if now is None:
            msg = f"{file}: is missing; a trial cannot be trained again without it"
            raise StudyError(msg)
        if now != start.get(f"{name}_sha256", now):
            msg = f"{file}: was changed since the search, so nothing can be compared with it"
            raise StudyError(msg)
    from automl_pheno.splits import read_split

    split = read_split(run / SPLIT)
    folds = split.n_folds if split.is_cross_validation else 1
    stop_at, notes = None, []
    if record.state == "pruned":
        stop_at = len(record.fold_scores) if folds > 1 else record.epochs
        if stop_at:
            notes.append(f"stopped after {'fold' if folds > 1 else 'epoch'} {stop_at}, where the search gave it up")
        else:
            notes.append("trained to its end: where the search gave it up was not recorded")
            stop_at = None
    if record.budget is not None:
        notes.append(f"trained in one go up to its budget of {record.budget} epochs, which gives the same")
    if record.retries:
        notes.append(f"the search tried it before as trial {', '.join(map(str, record.retries))}")
    task = {
        "id": f"{record.name}#replay", "name": record.name, "function": AGAIN, "candidate": dict(record.candidate),
        "params": dict(record.params), "metric": identity["metric"], "seed": record.seed, "data": digest,
        "trait": identity["data"]["trait"], "backend": identity["backend"], "folds": folds, "stop_at": stop_at,
        **({} if record.budget is None else {"budget": record.budget}),
    }  # fmt: skip
    return task, tuple(notes)


def _read_identity(run: Path) -> dict[str, Any]:
    try:
        identity: dict[str, Any] = json.loads((run / IDENTITY).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{run}: holds no {IDENTITY}, so it is not the folder of a run"
        raise StudyError(msg) from error
    except ValueError as error:
        msg = f"{run / IDENTITY}: is damaged ({error})"
        raise StudyError(msg) from error
    return identity


def _start_of(run: Path, record: TrialRecord) -> dict[str, Any]:
    """Return the start of the search that made the record: the last one before it was finished."""
    starts = read_provenance(run)
    before = [start for start in starts if str(start.get("started", "")) <= (record.finished or "9")]
    return before[-1] if before else {}


def _environment(record: TrialRecord, start: Mapping[str, Any], backend: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the environment of a process like the one that trained it, and in what it cannot be the same."""
    slots = start.get("slots") or {}
    known = start.get("environment")
    recorded = slots.get("environment") or (known if slots.get("where") == IN_PROCESS else None)
    differences = () if recorded is not None else ("threads and environment of the search: not recorded",)
    environment = {name: value for name, value in os.environ.items() if name not in RESULT_VARIABLES}
    for source in (known or {}, recorded if recorded is not None else _own()):
        environment.update({name: value for name, value in source.items() if not name.startswith("CUDA_VISIBLE")})
    if "gpu" in record.device:
        if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible
    else:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    environment.update(own_environment(backend), TF_CPP_MIN_LOG_LEVEL="3", TF_FORCE_GPU_ALLOW_GROWTH="true")
    return environment, differences


def _own() -> dict[str, str]:
    return {name: os.environ[name] for name in RESULT_VARIABLES if name in os.environ}


def _differences(start: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is not as it was when the search was started."""
    if not start:
        yield "versions and hardware of the search: not recorded"
        return
    now = {**describe_software(), **describe_hardware()}
    for name in _COMPARED:
        if name in start and start[name] != now[name]:
            yield f"{name}: {_plain(start[name])} in the search, {_plain(now[name])} now"
    before, packages = start.get("packages") or {}, now["packages"]
    for name in sorted({*before, *packages}):
        # An older record may not have looked for a package; one that is gone is a difference.
        if name in before and before[name] != packages.get(name):
            yield f"{name}: {before[name]} in the search, {packages.get(name, 'missing')} now"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item.get("name", item)) if isinstance(item, dict) else str(item) for item in value) or "no"
    return str(value)


def _train(run: Path, task: Mapping[str, Any], environment: Mapping[str, str], out: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="automl-pheno-replay-") as name:
        # A folder of its own, since a trial may leave files in the folder of its run.
        place = Path(name)
        for file in (DEVELOPMENT, SPLIT):
            (place / file).symlink_to((run / file).resolve())
        asked, answer = place / "task.json", place / "outcome.json"
        plain = {**task, "run": str(place), "out": None if out is None else str(out.resolve())}
        asked.write_text(json.dumps(plain), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(asked), str(answer)],
            env=dict(environment), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not answer.is_file():
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
            msg = f"{task['name']}: its process ended with {how}{': ' + last[0] if last else ''}"
            raise StudyError(msg)
        outcome: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return outcome


def _compare(record: TrialRecord, state: str, value: float | None, metric: str, tolerance: float) -> Verdict:
    if state == "failed" or record.state == "failed":
        return "identical" if state == record.state else "different"
    if value is None or record.value is None:
        return "different"
    if value == record.value:
        return "identical"
    scale = abs(record.value) if not METRICS[metric].higher_is_better else 1.0
    return "close" if math.isfinite(value) and abs(value - record.value) <= tolerance * scale else "different"


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def summary_lines(replay: Replay) -> Sequence[str]:
    """Return what a user should read of a replay, one line each."""
    lines = [replay.sentence, *(f"note: {note}" for note in replay.notes)]
    if replay.differences and replay.verdict != "identical":
        lines += ["not as it was in the search:", *(f"  {difference}" for difference in replay.differences)]
    if replay.folder is not None:
        lines.append(f"the model is in {replay.folder}")
    return lines
