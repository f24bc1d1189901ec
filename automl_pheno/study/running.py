"""A task in flight, and the record that its outcome makes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna

from automl_pheno.study.records import TrialRecord, now
from automl_pheno.study.slots.executor import Outcome, Task

INTERRUPTED = "interrupted"
"""Why a task was told to stop that goes back into the queue."""

BATCH_DIVISOR = "batch_divisor"
"""User attribute of a trial: its batch is so many times smaller than its parameters say."""


@dataclass(slots=True)
class Running:
    """A task in flight."""

    task: Task
    trial: optuna.Trial | None
    name: str
    seed: int
    retries: tuple[int, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """User attributes that the trial had when it was submitted; of a baseline, how often it was lost."""
    started: float = 0.0
    """By the supervisor's clock, as is `stopped_at`."""
    value: float | None = None
    step: int = 0
    total: float = 0.0
    """Sum of the values of folds, for a pruner that wants them."""
    stopped: str = ""
    """Why it was told to stop; "" if it was not."""
    stopped_at: float = 0.0
    killed: bool = False
    pruned_at: int = 0
    """Step at which the pruner gave it up, and its value then; 0 if it did not."""
    pruned_value: float | None = None


def make_record(running: Running, outcome: Outcome, state: str, metric: str, *, seconds: float) -> TrialRecord:
    """Return the record of a task that ended with `outcome`.

    Parameters
    ----------
    running, outcome
        The task and how it ended.
    state
        Of the outcome.
    metric
        Name of the validation metric.
    seconds
        How long the task was out, for one that could not say so itself.
    """
    if running.pruned_at:
        state, outcome = _as_pruned(running, outcome, state, metric)
    value = outcome.get("value", running.value)
    reason = str(outcome.get("reason", ""))
    if state in ("pruned", "stopped") or (state == "lost" and running.stopped == "time limit"):
        state, reason = "pruned", running.stopped or reason
    elif state == "lost":
        state, reason = "failed", running.stopped
    elif state == "complete" and (value is None or not math.isfinite(value)):
        state, reason = "failed", f"{metric} is not a number"
    if running.trial is None and state == "pruned":
        state = "failed"  # a baseline is never pruned, only out of time
    if divisor := running.attributes.get(BATCH_DIVISOR):
        smaller = f"trained with 1/{divisor} of its batch size, since it had run out of memory"
        reason = f"{reason}; {smaller}" if reason else smaller
    trial = running.trial
    return TrialRecord(
        kind="baseline" if trial is None else "network",
        name=running.name,
        state=state,  # type: ignore[arg-type] # one of the literals by now
        trial=None if trial is None else trial.number,
        reason=reason,
        traceback=str(outcome.get("traceback", "")),
        params=running.task["params"],
        candidate=running.task["candidate"],
        value=value if state in ("complete", "pruned") else None,
        sd=outcome.get("sd"),
        scores=outcome.get("scores", {}),
        fold_scores=tuple(outcome.get("fold_scores", ())),
        pooled=bool(outcome.get("pooled")),
        validation_calibration=outcome.get("validation_calibration", {}) if state == "complete" else {},
        weights=outcome.get("weights"),
        epochs=outcome.get("epochs"),
        best_epoch=outcome.get("best_epoch"),
        seconds=outcome.get("seconds", seconds),
        curve=tuple(outcome.get("curve", ())),
        chosen=outcome.get("chosen", {}),
        seed=running.seed,
        retries=running.retries,
        host=str(outcome.get("host", "")),
        pid=outcome.get("pid"),
        rss=outcome.get("rss"),
        device=str(outcome.get("device", "")),
        recycled=bool(outcome.get("recycle")),
        budget=running.task.get("budget"),
        finished=now(),
    )


def _as_pruned(running: Running, outcome: Outcome, state: str, metric: str) -> tuple[str, Outcome]:
    """Return the outcome as it was at the step at which the pruner gave the trial up.

    A slot hears of that some steps later, how many depends on the load; so that the search does not, what came later
    does not count. A trial whose last step it was is complete.
    """
    step = running.pruned_at
    last = max((int(reported) for reported, _ in outcome.get("reports", ())), default=step)
    if state not in ("complete", "pruned", "stopped") or (state == "complete" and last <= step):
        return state, outcome
    cut = {**outcome, "value": running.pruned_value, "best_epoch": None}
    if fold_epochs := outcome.get("fold_epochs"):
        folds = outcome["fold_scores"][:step]
        cut["fold_scores"], cut["epochs"] = folds, sum(fold_epochs[:step])
        if outcome.get("pooled"):  # the other metrics are of more samples
            return "pruned", {**cut, "scores": {metric: running.pruned_value}}
        cut["scores"] = {name: statistics.fmean(fold[name] for fold in folds) for name in folds[0]}
        cut["sd"] = statistics.stdev(fold[metric] for fold in folds) if step > 1 else None
    else:
        # The other metrics are of a later epoch, or of none.
        cut |= {"scores": {metric: running.pruned_value}, "fold_scores": (), "epochs": step}
        cut["curve"] = outcome.get("curve", ())[:step]
    return "pruned", cut
