"""The final test: the only code that reads the test samples' trait, and it does so once in the life of a run."""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data import FloatArray, load_dataset
from automl_pheno.errors import OutputError, StudyError
from automl_pheno.files import write_json, write_text, writing
from automl_pheno.metrics import METRICS, bootstrap_difference, bootstrap_interval, score
from automl_pheno.rng import derive_seed, generator
from automl_pheno.splits import read_split
from automl_pheno.study.progress import Progress
from automl_pheno.study.records import TrialRecord, finite
from automl_pheno.study.run_folder import (
    BEST,
    FINAL,
    FINALISTS,
    SEALED,
    SPLIT,
    TEST_PREDICTIONS,
    TESTED_ELSEWHERE,
    RunFolder,
)
from automl_pheno.study.slots.executor import Executor, Outcome, Reported
from automl_pheno.study.slots.symptoms import DISK, FRESH_PROCESS, GONE
from automl_pheno.study.slots.worker import REFIT
from automl_pheno.study.storage.book import TestClaim, TrialBook
from automl_pheno.study.storage.journal import MAX_KILLS, MAX_LOSSES
from automl_pheno.study.verdict import JUDGED, comparison_sentence, verdict_of

FEWEST_TESTED = 3
"""With fewer test samples a correlation says nothing, and no score is given."""
_LOOK_AGAIN = 1.0  # seconds between two looks at what other supervisors do
FEWEST_GROUPS = 8
"""With fewer groups of test samples whole groups cannot be resampled: of one group every resample is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalPlan:
    """What the final test needs to know.

    Attributes
    ----------
    metric
        Decides, on validation.
    networks
        How many of the best networks are refitted and tested, beside all baselines.
    members
        Trainings of each of these networks; their mean predicts.
    seed
        Of the study.
    trait
        Name of the trait.
    trials
        Of the study: no more may follow.
    common
        What every task carries: run, data, trait, backend.
    function
        The refitting task, ``module:name``.
    """

    metric: str
    networks: int
    members: int
    seed: int
    trait: str
    trials: int
    common: Mapping[str, Any]
    function: str = REFIT


@dataclass(slots=True)
class _Finalist:
    record: TrialRecord
    folder: str
    outcome: Outcome | None = None
    kills: int = 0
    tries: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def predictions(self) -> FloatArray:
        return np.asarray((self.outcome or {}).get("predictions", ()), dtype=np.float64)

    @property
    def fitted(self) -> bool:
        return self.outcome is not None and self.outcome["state"] == "complete"


def refuse_opened(folder: Path) -> None:
    """Raise a `StudyError` if the test set of this run was opened already."""
    if (folder / FINAL).exists():
        msg = (
            f"{folder}: the test set of this run was opened ({FINAL}), so its search is closed: a choice made after "
            "seeing the test score would not be honest; use another --out for a new run"
        )
        raise StudyError(msg)


def test_once(
    plan: FinalPlan, folder: RunFolder, executor: Executor, progress: Progress, book: TrialBook, *, ending: str
) -> dict[str, Any] | None:
    """Open the test set if no other supervisor of the study does, or did; see `run_final`.

    Parameters
    ----------
    plan, folder, executor, progress
        As for `run_final`.
    book
        Of the study.
    ending
        Of this supervisor's search. One that ran into its time limit leaves the test to those that still search;
        otherwise it waits for them.

    Returns
    -------
    dict or None
        What ``final.json`` holds; None if another supervisor has it, or will.
    """
    said = ""
    try:
        while (claim := book.claim_test(counted_out=ending == "finished")).state != "mine":
            if claim.state == "done":
                return take_result(folder, claim, progress)
            if claim.state == "searching":
                message = f"others still search ({claim.by}); the last one opens the test set"
            else:
                message = f"{claim.by} is testing the finalists in {claim.folder}; waiting for its result"
            if message != said:
                progress.message(message)
                said = message
            if claim.state == "searching" and ending == "time limit":
                return None
            time.sleep(_LOOK_AGAIN)
        return run_final(plan, folder, executor, progress, publish=book.publish_test)
    finally:
        book.finish()


def take_result(folder: RunFolder, claim: TestClaim, progress: Progress) -> dict[str, Any] | None:
    """Write down how the test of a shared study ended; return it where it was this folder's, and None elsewhere."""
    result = dict(claim.result)
    winner = result["winner"]
    if claim.folder == str(folder.path) and (folder.path / str(winner["folder"])).is_dir():
        # The process was killed between telling the others and its own last files.
        _keep_best(folder.path, Path(str(winner["folder"])).name)
        write_json(folder.path / FINAL, result)
        folder.write_leaderboard()
        return result
    write_json(folder.path / TESTED_ELSEWHERE, {"by": claim.by, "folder": claim.folder, "result": result})
    folder.write_leaderboard()
    progress.message(f"{winner['name']} is the winner; {claim.by} tested it, the model is in {claim.folder}/{BEST}")
    return None


def run_final(
    plan: FinalPlan,
    folder: RunFolder,
    executor: Executor,
    progress: Progress,
    *,
    publish: Callable[[Mapping[str, Any]], bool] = lambda result: True,  # noqa: ARG005 - where nobody listens
) -> dict[str, Any]:
    """Refit the finalists on all development samples, test them once, and name the winner, chosen by validation.

    Writes ``finalists/``, ``best/``, ``test_predictions.csv``, ``final.json`` and the leaderboard.

    Returns
    -------
    dict
        What ``final.json`` holds.

    Raises
    ------
    StudyError
        The test set was opened before, nothing is complete, or no finalist could be refitted.
    """
    refuse_opened(folder.path)
    finalists = choose_finalists(folder.records(), metric=plan.metric, networks=plan.networks)
    if not finalists:
        msg = f"{folder.path}: no network and no baseline is complete, so there is nothing to test; see leaderboard.csv"
        raise StudyError(msg)
    entries = [_Finalist(record, re.sub(r"[^A-Za-z0-9._-]+", "-", record.name)) for record in finalists]
    progress.message(f"refitting {len(entries)} finalists on all development samples for the one test")
    with writing(folder.path / FINALISTS):
        shutil.rmtree(folder.path / FINALISTS, ignore_errors=True)
        (folder.path / FINALISTS).mkdir()
    _refit(plan, entries, executor, progress)
    winner = next((entry for entry in entries if entry.fitted), None)
    if winner is None:
        reason = (entries[0].outcome or {}).get("reason", "")
        msg = f"{folder.path}: no finalist could be refitted; {entries[0].record.name}: {reason}"
        raise StudyError(msg)
    result = _test(plan, folder.path, entries, winner)
    if not publish(finite(result)):
        msg = f"{folder.path}: another supervisor took the final test over, and its result counts; run it again"
        raise StudyError(msg)
    _keep_best(folder.path, winner.folder)
    write_json(folder.path / FINAL, finite(result))
    folder.write_leaderboard()
    return result


def choose_finalists(records: Sequence[TrialRecord], *, metric: str, networks: int) -> list[TrialRecord]:
    """Return the best complete networks and all complete baselines, best first by validation."""
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    complete = [record for record in records if record.state == "complete" and record.value is not None]
    ordered = sorted(complete, key=lambda record: sign * (record.value or 0.0))
    best = _distinct(record for record in ordered if record.kind == "network")[:networks]
    chosen = {record.name for record in best} | {record.name for record in ordered if record.kind == "baseline"}
    return [record for record in ordered if record.name in chosen]


def _distinct(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return of a network that was trained on and on, with growing budgets, only the first of its records."""
    found: dict[str, TrialRecord] = {}
    for record in records:
        key = record.name if record.budget is None else json.dumps(finite(record.params), sort_keys=True)
        found.setdefault(key, record)
    return list(found.values())


def _refit(plan: FinalPlan, entries: Sequence[_Finalist], executor: Executor, progress: Progress) -> None:
    waiting = deque(entries)
    running: dict[str, _Finalist] = {}

    def hear(reported: Reported) -> None:
        entry = running.get(reported.task)
        if entry is not None and reported.step == 0:
            progress.started(entry.record.name, reported.slot)
        elif entry is not None and math.isfinite(reported.value):
            progress.reported(entry.record.name, reported.step, reported.value)

    while waiting or running:
        executor.expect(len(waiting) + len(running))
        while waiting and executor.free() > 0:
            entry = waiting.popleft()
            record = entry.record
            task = f"{record.name}#refit{entry.tries}"
            running[task] = entry
            executor.submit(
                {
                    **plan.common,
                    "id": task,
                    "function": plan.function,
                    "candidate": dict(record.candidate),
                    "metric": plan.metric,
                    # Of the trial itself, so that the refit is of the network that was chosen.
                    "seed": record.seed if record.seed is not None else derive_seed(plan.seed, record.name),
                    "epochs": max(record.best_epoch or 1, 1) if record.kind == "network" else None,
                    "members": plan.members if record.kind == "network" else 1,
                    "folder": entry.folder,
                }
            )
        for finished in executor.poll(0.5, hear):
            entry = running.pop(finished.task)
            progress.gone(entry.record.name)
            fault = finished.outcome.get("fault")
            if fault == DISK:
                raise OutputError(str(finished.outcome["reason"]))
            if finished.outcome.get("recycle"):
                executor.recycle(finished.task)
            if finished.outcome["state"] == "lost" or fault in FRESH_PROCESS:
                entry.tries += 1
                entry.kills += fault != GONE
                if entry.kills < MAX_KILLS and entry.tries < MAX_LOSSES:
                    waiting.append(entry)
                    continue
            entry.outcome = finished.outcome
            if not entry.fitted:
                progress.message(f"{entry.record.name} could not be refitted: {finished.outcome.get('reason', '')}")


def _test(plan: FinalPlan, path: Path, entries: Sequence[_Finalist], winner: _Finalist) -> dict[str, Any]:
    fitted = [entry for entry in entries if entry.fitted]
    split = read_split(path / SPLIT)
    n_test = len(split.test)
    comparison, interval_note = None, ""
    if n_test >= FEWEST_TESTED:
        sealed = load_dataset(path / SEALED)
        y, groups = sealed.y(plan.trait), split.group[split.test]
        n_groups = len(np.unique(groups))
        clusters = groups if FEWEST_GROUPS <= n_groups < n_test else None
        if n_groups < min(FEWEST_GROUPS, n_test):
            interval_note = (
                f"The {n_test:,} test samples are of {n_groups} group{'s' if n_groups > 1 else ''}, too few to draw "
                "groups anew: the intervals take samples as independent, so they are too narrow."
            )
        for entry in fitted:
            entry.scores = score(y, entry.predictions)
            rng = generator(plan.seed, "bootstrap", entry.record.name)
            entry.intervals = {
                name: bootstrap_interval(y, entry.predictions, name, rng, groups=clusters) for name in METRICS
            }
        comparison = _compare(plan, y, fitted, clusters)
        table = pd.DataFrame({"id": sealed.ids, "observed": y})
        for entry in fitted:
            table[entry.record.name] = entry.predictions
        write_text(path / TEST_PREDICTIONS, table.to_csv(index=False))
    return {
        "metric": plan.metric,
        "trait": plan.trait,
        "trials": plan.trials,
        "opened": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "n_development": len(split.development),
        "n_test": n_test,
        "winner": _describe(winner, plan.metric),
        "comparison": comparison,
        "finalists": [_describe(entry, plan.metric) for entry in entries],
        "interval_note": interval_note,
        "note": "" if n_test >= FEWEST_TESTED else f"{n_test} test samples are too few, so nothing was tested",
    }


def _describe(entry: _Finalist, metric: str) -> dict[str, Any]:
    record, outcome = entry.record, entry.outcome or {}
    low, high = entry.intervals.get(metric, (None, None))
    return {
        "name": record.name,
        "kind": record.kind,
        "trial": record.trial,
        "candidate": dict(record.candidate),
        "folder": f"{FINALISTS}/{entry.folder}" if entry.fitted else None,
        "validation": record.value,
        "validation_sd": record.sd,
        "test": entry.scores,
        "low": low,
        "high": high,
        "intervals": {name: list(bounds) for name, bounds in entry.intervals.items()},
        "weights": outcome.get("weights"),
        "epochs": outcome.get("epochs"),
        "seconds": outcome.get("seconds"),
        "reason": "" if entry.fitted else str(outcome.get("reason", "")),
    }


def _compare(plan: FinalPlan, y: FloatArray, fitted: Sequence[_Finalist], groups: Any) -> dict[str, Any] | None:
    """Compare the best network with the best baseline, both chosen by validation."""
    network = next((entry for entry in fitted if entry.record.kind == "network"), None)
    baseline = next((entry for entry in fitted if entry.record.kind == "baseline"), None)
    if network is None or baseline is None:
        return None
    measures = {}
    for metric in dict.fromkeys((plan.metric, *JUDGED)):
        rng = generator(plan.seed, "bootstrap", "difference")  # the same resamples for each measure
        difference, low, high = bootstrap_difference(
            y, network.predictions, baseline.predictions, metric, rng, groups=groups
        )
        measures[metric] = {"difference": difference, "low": low, "high": high}
    comparison: dict[str, Any] = {
        "network": network.record.name,
        "baseline": baseline.record.name,
        "metric": plan.metric,
        **measures[plan.metric],
        "measures": measures,
    }
    return {**comparison, "verdict": verdict_of(comparison), "sentence": comparison_sentence(comparison)}


def _keep_best(path: Path, winner: str) -> None:
    """Make ``best/`` a copy of the winner's folder, by way of a temporary one."""
    best, fresh = path / BEST, path / f".{BEST}.{time.monotonic_ns()}"
    with writing(best):
        shutil.copytree(path / FINALISTS / winner, fresh)
        shutil.rmtree(best, ignore_errors=True)
        fresh.rename(best)
