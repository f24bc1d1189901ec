"""The only client of Optuna: asks, watches reports, prunes, tells. Trains nothing and never imports Keras."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.errors import StudyError
from automl_pheno.rng import derive_seed
from automl_pheno.space.sample import default_values
from automl_pheno.study.executor import Executor, Finished, Outcome, Reported
from automl_pheno.study.interrupts import on_interrupt
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Progress, Standing
from automl_pheno.study.proposals import Proposals, enqueue_default
from automl_pheno.study.records import COUNTED, TrialRecord
from automl_pheno.study.running import INTERRUPTED, Running, make_record, now
from automl_pheno.study.storage import KILLS, MAX_KILLS, put_back, reap, retry_history, tell_record

MAX_CONSECUTIVE_FAILURES = 5
POLL = 0.5
"""Seconds the loop waits for news."""

Ending = Literal["finished", "time limit", "interrupted", "exhausted"]


class Ledger(Protocol):
    """Keeps the records; `RunFolder` does."""

    def records(self) -> Sequence[TrialRecord]:
        """Return all records so far."""
        ...

    def append(self, record: TrialRecord) -> None:
        """Keep a record for good before returning."""
        ...


class Supervisor:
    """Runs the search of one study to its target, its time limit or Ctrl-C."""

    def __init__(self, plan: Plan, study: optuna.Study, executor: Executor, ledger: Ledger, progress: Progress) -> None:
        self._plan = plan
        self._study = study
        self._executor = executor
        self._ledger = ledger
        self._progress = progress
        self._proposals: Proposals
        self._running: dict[str, Running] = {}
        self._fresh = 0
        self._failures: list[TrialRecord] = []
        self._exhausted = False
        self._interrupted = False
        self._submitted = 0
        self._deadline = math.inf
        self._baselines: deque[tuple[str, int]] = deque()

    def run(self) -> Ending:
        """Search until there is nothing left to do.

        Returns
        -------
        str
            ``finished``, ``time limit``, ``exhausted`` (the space has no other configuration) or ``interrupted``
            (Ctrl-C or SIGTERM: trials in flight are back in the queue).

        Raises
        ------
        StudyError
            `MAX_CONSECUTIVE_FAILURES` trials failed in a row, the space does not fit the data, or the run folder
            cannot be written.
        KeyboardInterrupt
            Ctrl-C was pressed twice; the study can be resumed all the same.
        """
        plan = self._plan
        started = time.monotonic()
        self._deadline = math.inf if plan.time_limit is None else started + plan.time_limit
        self._settle_the_past()
        done = {record.name for record in self._ledger.records() if record.kind == "baseline"}
        self._baselines = deque((name, 0) for name in plan.baselines if name not in done)
        self._progress.begin(self._standing(), slots=self._executor.slots, time_limit=plan.time_limit)
        try:
            with on_interrupt(self._interrupt):
                self._proposals = Proposals(
                    self._study,
                    plan.space,
                    check=plan.check,
                    max_weights=plan.max_weights,
                    known=self._ledger.records(),
                    seed=plan.seed,
                    on_infeasible=self._on_infeasible,
                )
                while True:
                    self._stop_where_due()
                    self._fill_slots()
                    if not self._running:
                        break
                    for finished in self._executor.poll(POLL, self._on_report):
                        self._finish(finished)
                    self._abort_if_hopeless()
        finally:
            self._progress.end()
        return self._ending()

    # -- what is to run ------------------------------------------------------------------------------------------

    def _settle_the_past(self) -> None:
        records = {record.trial: record for record in self._ledger.records() if record.trial is not None}
        for frozen, reason in reap(self._study, records, killed=self._plan.in_process):
            self._record(
                TrialRecord(
                    kind="network", name=self._name(frozen.number), state="failed", trial=frozen.number, reason=reason,
                    params=dict(frozen.params), retries=retry_history(frozen), finished=now(),
                )
            )  # fmt: skip
        enqueue_default(self._study, default_values(self._plan.space))

    def _fill_slots(self) -> None:
        while self._executor.free() > 0 and not self._interrupted and time.monotonic() < self._deadline:
            if self._baselines:
                self._submit_baseline(*self._baselines.popleft())
            elif self._wants_trial():
                proposal = self._proposals.next()
                if proposal is None:
                    self._exhausted = True
                    self._progress.message("every configuration of the space has been tried")
                    continue
                self._submit_trial(proposal.trial, proposal.config.model_dump(by_alias=True, mode="json"))
            else:
                return

    def _wants_trial(self) -> bool:
        in_flight = sum(running.trial is not None for running in self._running.values())
        return not self._exhausted and self._standing().counted + in_flight < self._plan.trials

    def _submit_trial(self, trial: optuna.Trial, config: dict[str, Any]) -> None:
        # A trial put back is the same trial to its generator, so that its result does not depend on who was killed.
        history = retry_history(self._frozen(trial.number))
        seed = derive_seed(self._plan.seed, "trial", history[0] if history else trial.number)
        name = self._name(trial.number)
        self._proposals.add(trial, name)
        candidate = self._candidate(name="network", config=config)
        task = {"candidate": candidate, "params": dict(trial.params)}
        self._submit(Running(task, trial, name, seed, retries=history))

    def _submit_baseline(self, name: str, kills: int) -> None:
        seed = derive_seed(self._plan.seed, "baseline", name)
        self._submit(Running({"candidate": self._candidate(name=name), "params": {}, KILLS: kills}, None, name, seed))

    def _candidate(self, **fields: Any) -> dict[str, Any]:
        return {**fields, "curation": dict(self._plan.curation)} if self._plan.curation else fields

    def _submit(self, running: Running) -> None:
        self._submitted += 1
        task = f"{running.name}#{self._submitted}"
        running.task = {
            **self._plan.common, **running.task, "id": task, "metric": self._plan.metric, "seed": running.seed,
        }  # fmt: skip
        self._running[task] = running
        self._executor.submit(running.task)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _name(self, number: int) -> str:
        return f"{self._plan.space.name}-{number}"

    # -- what comes back -----------------------------------------------------------------------------------------

    def _on_report(self, reported: Reported) -> None:
        running = self._running.get(reported.task)
        if running is None:
            return
        if reported.step == 0:
            running.started = time.monotonic()
            self._progress.started(running.name, reported.slot)
        elif math.isfinite(reported.value):
            running.value = reported.value
            self._progress.reported(running.name, reported.step, reported.value)
            if running.trial is not None:
                self._judge(running, running.trial, reported.step, reported.value)
        self._stop_where_due()

    def _judge(self, running: Running, trial: optuna.Trial, step: int, value: float) -> None:
        if step <= running.step:  # a task that Dask ran again starts over
            return
        running.step = step
        if self._plan.values_of_folds:
            total = value * step
            value, running.total = total - running.total, total
        trial.report(value, step)
        if not running.stopped and trial.should_prune():
            self._stop(str(running.task["id"]), f"pruned at step {step}")

    def _finish(self, finished: Finished) -> None:
        running = self._running.pop(finished.task, None)
        if running is None:
            return
        outcome = finished.outcome
        if outcome.get("recycle"):
            self._executor.recycle(finished.task)
        state = str(outcome["state"])
        if state == "lost" and not running.killed:
            self._lost(running, outcome, killed=True)
        elif running.stopped == INTERRUPTED and state != "complete":
            self._lost(running, outcome, killed=False)
        else:
            self._record(make_record(running, outcome, state, self._plan.metric), running)

    def _lost(self, running: Running, outcome: Outcome, *, killed: bool) -> None:
        """Put a task back whose process died, or that Ctrl-C stopped."""
        self._progress.gone(running.name)
        reason = str(outcome.get("reason") or INTERRUPTED) if killed else INTERRUPTED
        if killed:
            self._progress.message(f"{running.name}: {reason}; it is put back")
        if running.trial is not None:
            self._proposals.forget(running.trial.params)
            frozen = self._frozen(running.trial.number)
            beyond = put_back(self._study, frozen, reason=reason, killed=killed)
        else:
            kills = int(running.task[KILLS]) + int(killed)
            beyond = f"killed {kills} workers ({reason})" if kills >= MAX_KILLS else None
            if beyond is None and killed:
                self._baselines.append((running.name, kills))
        if beyond is not None:
            self._record(make_record(running, {"reason": beyond}, "failed", self._plan.metric), running)

    def _record(self, record: TrialRecord, running: Running | None = None) -> None:
        """Keep the record first, then tell Optuna: a process killed in between is made up for by `reap`."""
        self._ledger.append(record)
        if record.kind == "network":
            if record.state in COUNTED:
                self._fresh += 1
                self._failures = [*self._failures, record] if record.state == "failed" else []
            if running is not None and running.trial is not None:
                self._tell(running.trial, record)
        self._plan.after_record()
        self._progress.finished(record.name, record, self._standing())

    def _tell(self, trial: optuna.Trial, record: TrialRecord) -> None:
        if self._frozen(trial.number).state != TrialState.RUNNING:  # someone told it through the dashboard
            return
        for key in ("weights", "epochs", "seconds", "reason"):
            if value := getattr(record, key):
                trial.set_user_attr(key, value)
        # On every trial, since the Gaussian process wants it of all or of none.
        trial.set_constraint("feasible", 1.0 if record.state == "infeasible" else -1.0)
        tell_record(self._study, trial.number, record)

    def _on_infeasible(self, trial: optuna.Trial, reason: str, excess: float) -> None:
        record = TrialRecord(
            kind="network", name=self._name(trial.number), state="infeasible", trial=trial.number, reason=reason,
            params=dict(trial.params), retries=retry_history(self._frozen(trial.number)), finished=now(),
        )  # fmt: skip
        self._ledger.append(record)
        trial.set_constraint("feasible", excess)
        trial.set_user_attr("reason", reason)
        tell_record(self._study, trial.number, record)
        self._progress.finished(record.name, record, self._standing())

    # -- when to stop --------------------------------------------------------------------------------------------

    def _stop(self, task: str, reason: str) -> None:
        running = self._running[task]
        running.stopped, running.stopped_at = reason, time.monotonic()
        self._executor.stop(task)

    def _stop_where_due(self) -> None:
        now = time.monotonic()
        limit = self._plan.trial_timeout
        grace = min(self._plan.stop_grace, 10.0) if self._interrupted else self._plan.stop_grace
        for task, running in list(self._running.items()):
            if not running.stopped:
                if self._interrupted:
                    self._stop(task, INTERRUPTED)
                elif now >= self._deadline:
                    self._stop(task, "time limit")
                elif limit is not None and now - running.started > limit:
                    self._stop(task, f"took longer than trial_timeout, {limit:g} s")
            elif not running.killed and now - running.stopped_at > grace:
                running.killed = True
                self._executor.kill(task)

    def _interrupt(self) -> None:
        self._interrupted = True
        self._progress.message("stopping; the trials in flight go back into the queue (again: stop at once)")

    def _abort_if_hopeless(self) -> None:
        if len(self._failures) < MAX_CONSECUTIVE_FAILURES:
            return
        last = self._failures[-1]
        self._interrupted = True  # no new trials; those in flight go back into the queue
        while self._running:
            self._stop_where_due()
            for finished in self._executor.poll(POLL, self._on_report):
                self._finish(finished)
        msg = f"{len(self._failures)} trials failed in a row; the last one, {last.name}: {last.reason}"
        raise StudyError(f"{msg}\n{last.traceback}".rstrip())

    # -- where it stands -----------------------------------------------------------------------------------------

    def _ending(self) -> Ending:
        if self._interrupted:
            return "interrupted"
        if self._standing().counted >= self._plan.trials and not self._baselines:
            return "finished"
        return "exhausted" if self._exhausted else "time limit"

    def _standing(self) -> Standing:
        networks = [record for record in self._ledger.records() if record.kind == "network"]
        count = {state: sum(record.state == state for record in networks) for state in (*COUNTED, "infeasible")}
        sign = 1.0 if self._plan.higher_is_better else -1.0
        complete = [record for record in networks if record.state == "complete" and record.value is not None]
        best = max(complete, key=lambda record: sign * (record.value or 0.0), default=None)
        return Standing(
            target=self._plan.trials,
            metric=self._plan.metric,
            fresh=self._fresh,
            best=None if best is None else best.value,
            best_name="" if best is None else best.name,
            **count,
        )
