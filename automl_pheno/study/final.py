"""The final test: the only code that reads the test samples' trait, and it does so once in the life of a run."""

from __future__ import annotations

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data import FloatArray, IntArray, load_dataset
from automl_pheno.errors import OutputError, StudyError
from automl_pheno.files import write_json, write_text, writing
from automl_pheno.rng import derive_seed
from automl_pheno.splits import read_split
from automl_pheno.study.assessment import assess, compare, in_words, interval_note
from automl_pheno.study.choice import DEFAULT_RULE, choose_finalists, choose_network, order_candidates
from automl_pheno.study.out_of_fold import file_name
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
from automl_pheno.study.ties import HeldOut

FEWEST_TESTED = 3
"""With fewer test samples a correlation says nothing, and no score is given."""
_LOOK_AGAIN = 1.0  # seconds between two looks at what other supervisors do


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalPlan:
    """What the final test needs to know.

    Attributes
    ----------
    metric
        Decides, on validation.
    networks, baselines
        How many of the best are refitted and tested; None: all baselines.
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
    default
        Parameters of the hand-made configuration of the space.
    choice
        The rule by which a network stands for the search; see `choose_network`.
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
    default: Mapping[str, Any] | None = None
    choice: str = DEFAULT_RULE
    baselines: int | None = None
    function: str = REFIT


@dataclass(slots=True)
class _Finalist:
    record: TrialRecord
    folder: str
    outcome: Outcome | None = None
    kills: int = 0
    tries: int = 0
    tested: dict[str, Any] = field(default_factory=dict)

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
    ordered = order_candidates(folder.records(), metric=plan.metric)
    if not ordered:
        msg = f"{folder.path}: no network and no baseline is complete, so there is nothing to test; see leaderboard.csv"
        raise StudyError(msg)
    held_out = HeldOut(folder.path, plan.trait, seed=plan.seed)
    choice = choose_network(
        ordered,
        metric=plan.metric,
        rule=plan.choice,
        default=plan.default,
        standard_error=partial(held_out.standard_error, metric=plan.metric),
    )
    finalists = choose_finalists(
        ordered, metric=plan.metric, networks=plan.networks, baselines=plan.baselines, choice=choice
    )
    entries = [_Finalist(record, file_name(record.name)) for record in finalists]
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
    result = _test(plan, folder, entries, winner, held_out)
    result["choice"] = None if choice is None else choice.to_json(plan.metric)
    if not publish(finite(result)):
        msg = f"{folder.path}: another supervisor took the final test over, and its result counts; run it again"
        raise StudyError(msg)
    _keep_best(folder.path, winner.folder)
    write_json(folder.path / FINAL, finite(result))
    folder.write_leaderboard()
    return result


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


def _test(
    plan: FinalPlan, folder: RunFolder, entries: Sequence[_Finalist], winner: _Finalist, held_out: HeldOut
) -> dict[str, Any]:
    path = folder.path
    fitted = [entry for entry in entries if entry.fitted]
    split = read_split(path / SPLIT)
    n_test = len(split.test)
    comparison, note = None, f"{n_test} test samples are too few, so nothing was tested"
    if n_test >= FEWEST_TESTED:
        note = ""
        sealed = load_dataset(path / SEALED)
        y, groups = sealed.y(plan.trait), split.group[split.test]
        for entry in fitted:
            entry.tested = assess(y, entry.predictions, groups, seed=plan.seed, name=entry.record.name)
        comparison = _compare(plan, y, fitted, groups)
        table = pd.DataFrame({"id": sealed.ids, "observed": y})
        for entry in fitted:
            table[entry.record.name] = entry.predictions
        write_text(path / TEST_PREDICTIONS, table.to_csv(index=False))
    calibrations = {entry.record.name: held_out.calibration(entry.record) for entry in entries}
    ties, tie_note = held_out.ties(
        winner.record, [entry.record for entry in fitted], folder.records(), metric=plan.metric
    )
    described = {entry.record.name: _describe(entry, plan.metric, calibrations) for entry in entries}
    return {
        "metric": plan.metric,
        "trait": plan.trait,
        "trials": plan.trials,
        "opened": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "n_development": len(split.development),
        "n_test": n_test,
        "winner": described[winner.record.name],
        "tied_with": list(ties),
        "tie_note": tie_note,
        "comparison": comparison,
        "finalists": list(described.values()),
        "pooled": winner.record.pooled,
        "interval_note": interval_note(split.group[split.test]) if n_test >= FEWEST_TESTED else "",
        "note": note,
    }


def _describe(entry: _Finalist, metric: str, calibrations: Mapping[str, Any]) -> dict[str, Any]:
    record, outcome = entry.record, entry.outcome or {}
    intervals = entry.tested.get("intervals", {})
    low, high = intervals.get(metric, (None, None))
    return {
        "name": record.name,
        "kind": record.kind,
        "trial": record.trial,
        "candidate": dict(record.candidate),
        "folder": f"{FINALISTS}/{entry.folder}" if entry.fitted else None,
        "validation": record.value,
        "validation_sd": record.sd,
        "validation_calibration": calibrations[record.name],
        "test": entry.tested.get("test", {}),
        "low": low,
        "high": high,
        "intervals": intervals,
        "calibration": entry.tested.get("calibration"),
        "weights": outcome.get("weights"),
        "epochs": outcome.get("epochs"),
        "seconds": outcome.get("seconds"),
        "reason": "" if entry.fitted else str(outcome.get("reason", "")),
    }


def _compare(plan: FinalPlan, y: FloatArray, fitted: Sequence[_Finalist], groups: IntArray) -> dict[str, Any] | None:
    """Compare the best network with the best baseline, both chosen by validation."""
    network = next((entry for entry in fitted if entry.record.kind == "network"), None)
    baseline = next((entry for entry in fitted if entry.record.kind == "baseline"), None)
    if network is None or baseline is None:
        return None
    numbers = compare(y, network.predictions, baseline.predictions, groups, metric=plan.metric, seed=plan.seed)
    return in_words({"network": network.record.name, "baseline": baseline.record.name, **numbers})


def _keep_best(path: Path, winner: str) -> None:
    """Make ``best/`` a copy of the winner's folder, by way of a temporary one."""
    best, fresh = path / BEST, path / f".{BEST}.{time.monotonic_ns()}"
    with writing(best):
        shutil.copytree(path / FINALISTS / winner, fresh)
        shutil.rmtree(best, ignore_errors=True)
        fresh.rename(best)
