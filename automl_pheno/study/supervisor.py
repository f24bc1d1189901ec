"""Runs a search: asks the engine, hands trials to slots, watches reports, prunes, records. Never imports Keras."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from typing import Any, Literal

import optuna

from automl_pheno.errors import OutputError, StudyError
from automl_pheno.rng import derive_seed
from automl_pheno.space.sample import default_values
from automl_pheno.study.engines.protocol import BUDGET, CONTINUES, ORIGIN, Engine
from automl_pheno.study.faults import Verdict, hopeless, judge, with_smaller_batch
from automl_pheno.study.interrupts import on_interrupt
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Progress, Standing
from automl_pheno.study.proposals import Proposals, enqueue_default
from automl_pheno.study.records import COUNTED, TrialRecord, now
from automl_pheno.study.running import BATCH_DIVISOR, INTERRUPTED, Running, make_record
from automl_pheno.study.slots.executor import Executor, Finished, Outcome, Reported
from automl_pheno.study.steady import SteadyClock
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import count_loss, retry_history

POLL, LOOK_EVERY = 0.5, 0.05
"""Seconds the loop waits for news; seconds between two looks at time-outs, while reports come."""

Ending = Literal["finished", "time limit", "interrupted", "exhausted"]


class Supervisor:
    """Runs the search of one study to its target, its time limit or Ctrl-C."""

    def __init__(self, plan: Plan, engine: Engine, book: TrialBook, executor: Executor, progress: Progress) -> None:
        self._plan = plan
        self._engine = engine
        self._book = book
        self._executor = executor
        self._progress = progress
        self._proposals: Proposals
        self._running: dict[str, Running] = {}
        self._fresh = 0
        self._failures: list[TrialRecord] = []
        self._clock = SteadyClock()
        self._recycled = 0
        self._exhausted = False
        self._engine_waits = False
        self._refused = False
        self._interrupted = False
        self._looked = 0.0
        self._fatal = ""
        self._submitted = 0
        self._deadline = math.inf
        self._baselines: deque[tuple[str, dict[str, int]]] = deque()

    def run(self) -> Ending:
        """Search until there is nothing left to do.

        Returns
        -------
        str
            ``finished``, ``time limit``, ``exhausted`` (the space has no other configuration) or ``interrupted``
            (Ctrl-C, SIGTERM or a closed terminal: trials in flight are back in the queue).

        Raises
        ------
        StudyError
            Too many trials failed in a row (`faults.hopeless`), the space does not fit the data, the slots do not
            start, or the run folder cannot be written.
        KeyboardInterrupt
            Ctrl-C was pressed twice; the study can be resumed all the same.
        """
        plan = self._plan
        self._clock.start()
        started = self._clock.now()
        self._deadline = math.inf if plan.time_limit is None else started + plan.time_limit
        self._settle_the_past()
        done = {record.name for record in self._book.records() if record.kind == "baseline"}
        self._baselines = deque((name, {}) for name in plan.baselines if name not in done)
        self._progress.begin(self._standing(), slots=self._executor.slots, time_limit=plan.time_limit)
        try:
            with on_interrupt(self._interrupt):
                self._proposals = Proposals(
                    self._book,
                    self._engine,
                    plan.space,
                    check=plan.check,
                    max_weights=plan.max_weights,
                    memory=plan.memory,
                    max_memory=plan.max_memory,
                    seed=plan.seed,
                    on_infeasible=self._on_infeasible,
                )
                while True:
                    self._hear_others()
                    self._stop_where_due()
                    self._fill_slots()
                    if not self._running and not self._waits_for_others() and not self._waits_for_a_slot():
                        break
                    for finished in self._executor.poll(POLL, self._on_report):
                        self._finish(finished)
                    self._book.keep_up()
                    self._abort_if_hopeless()
            self._book.keep_up(now=True)
        except BaseException:
            with contextlib.suppress(OSError, OutputError):  # what went wrong first is what is to be told
                self._book.keep_up(now=True)
            raise
        finally:
            self._clock.stop()
            self._progress.end()
            self._book.finish()
        if self._recycled:
            self._progress.message(f"{self._recycled} times a slot's process was started anew, as its memory had grown")
        return self._ending()

    # -- what is to run ------------------------------------------------------------------------------------------

    def _settle_the_past(self) -> None:
        for record in self._book.start(killed=self._plan.in_process):
            self._progress.finished(record.name, record, self._standing())
        self._engine.restore(self._book.study)
        enqueue_default(self._book.study, default_values(self._plan.space))

    def _hear_others(self) -> None:
        others = self._book.refresh()
        if others:
            self._proposals.learn(others)
            done = {record.name for record in others if record.kind == "baseline"}
            self._baselines = deque(left for left in self._baselines if left[0] not in done)
            self._plan.after_record()
        for record in others:
            self._progress.finished(record.name, record, self._standing())

    def _fill_slots(self) -> None:
        self._engine_waits = False
        self._executor.expect(max(len(self._running) + self._left(), self._plan.then))
        while self._executor.free() > 0 and not self._interrupted and self._clock.now() < self._deadline:
            if (baseline := self._next_baseline()) is not None:
                self._submit_baseline(*baseline)
            elif self._wants_trial():
                proposal = self._proposals.next()
                if proposal == "exhausted":
                    self._exhausted = True
                    self._progress.message("every configuration of the space has been tried")
                elif proposal == "wait":
                    self._engine_waits = True
                    return
                elif self._book.claim(proposal.trial, self._plan.trials):
                    self._submit_trial(proposal.trial, proposal.config.model_dump(by_alias=True, mode="json"))
                else:
                    self._refused = True
                    return
            else:
                return

    def _next_baseline(self) -> tuple[str, dict[str, int]] | None:
        """Return a baseline that is left, and how often it was lost; those of other supervisors stay."""
        for _ in range(len(self._baselines)):
            name, losses = self._baselines.popleft()
            if self._book.claim_baseline(name):
                return name, losses
            self._baselines.append((name, losses))
        return None

    def _wants_trial(self) -> bool:
        in_flight = sum(running.trial is not None for running in self._running.values())
        taken = self._book.counted + in_flight + self._book.open_elsewhere()
        return not self._exhausted and taken < self._plan.trials

    def _left(self) -> int:
        """Return the number of tasks that are still to be begun."""
        if self._interrupted or self._clock.now() >= self._deadline:
            return 0
        in_flight = sum(running.trial is not None for running in self._running.values())
        trials = self._plan.trials - self._book.counted - in_flight - self._book.open_elsewhere()
        return len(self._baselines) + (0 if self._exhausted else max(0, trials))

    def _waits_for_a_slot(self) -> bool:
        """Whether there is something to do, but no slot for it yet: all start anew, or wait in a queue."""
        return self._executor.free() == 0 and self._left() > 0

    def _waits_for_others(self) -> bool:
        """Whether what another supervisor has in flight may yet come back to be done here."""
        over = self._interrupted or self._exhausted or self._clock.now() >= self._deadline
        refused, self._refused = self._refused, False
        trials_left = self._book.counted < self._plan.trials and (refused or self._book.open_elsewhere())
        if over or not (trials_left or self._baselines):
            return False
        time.sleep(POLL)
        return True

    def _submit_trial(self, trial: optuna.Trial, config: dict[str, Any]) -> None:
        # A trial put back is the same trial to its generator, so that its result does not depend on who was killed; and
        # one that goes on with another is that one.
        frozen = self._book.frozen(trial)
        history, attributes = retry_history(frozen), frozen.user_attrs
        first = attributes.get(ORIGIN, history[0] if history else trial.number)
        seed = derive_seed(self._plan.seed, "trial", first)
        self._proposals.add(trial)
        if BATCH_DIVISOR in attributes:
            config = with_smaller_batch(config, int(attributes[BATCH_DIVISOR]))
        task: dict[str, Any] = {
            "candidate": self._candidate(name="network", config=config),
            "params": dict(frozen.params),
        }
        if BUDGET in attributes:
            task["budget"] = int(attributes[BUDGET])
        if CONTINUES in attributes:
            task["continues"] = self._book.trial_name(int(attributes[CONTINUES]))
        name = self._book.trial_name(trial.number)
        self._submit(
            Running(task, trial, name, seed, retries=history, attributes=attributes, started=self._clock.now())
        )

    def _submit_baseline(self, name: str, losses: dict[str, int]) -> None:
        seed = derive_seed(self._plan.seed, "baseline", name)
        task = {"candidate": self._candidate(name=name), "params": {}}
        self._submit(Running(task, None, name, seed, attributes=losses, started=self._clock.now()))

    def _candidate(self, **fields: Any) -> dict[str, Any]:
        return {**fields, "curation": dict(self._plan.curation)} if self._plan.curation else fields

    def _submit(self, running: Running) -> None:
        self._submitted += 1
        task = f"{running.name}#{self._submitted}"
        running.task = {
            **self._plan.common, **running.task, "id": task, "name": running.name, "metric": self._plan.metric,
            "seed": running.seed,
        }  # fmt: skip
        self._running[task] = running
        self._executor.submit(running.task)

    # -- what comes back -----------------------------------------------------------------------------------------

    def _on_report(self, reported: Reported) -> None:
        running = self._running.get(reported.task)
        if running is None:
            return
        if reported.step == 0:
            running.started = self._clock.now()
            self._progress.started(running.name, reported.slot)
        elif math.isfinite(reported.value):
            running.value = reported.value
            self._progress.reported(running.name, reported.step, reported.value)
            if running.trial is not None:
                self._judge(running, running.trial, reported.step, reported.value)
        self._book.keep_up()
        if self._interrupted or self._clock.now() - self._looked > LOOK_EVERY:
            self._stop_where_due()

    def _judge(self, running: Running, trial: optuna.Trial, step: int, value: float) -> None:
        if step <= running.step or running.pruned_at:  # a task that Dask ran again starts over
            return
        running.step = step
        if self._plan.values_of_folds:
            total = value * step
            value, running.total = total - running.total, total
        give_up = self._book.report(trial, value, step)
        if give_up and not running.stopped:
            running.pruned_at, running.pruned_value = step, running.value
            running.stopped, running.stopped_at = f"pruned at step {step}", self._clock.now()
            if (task := str(running.task["id"])) in self._running:
                self._executor.stop(task)

    def _finish(self, finished: Finished) -> None:
        running = self._running.pop(finished.task, None)
        if running is None:
            return
        outcome = finished.outcome
        for step, value in outcome.get("reports", ()):
            # Each report counts, whether it came in time or not: else the pruner's say would depend on the load.
            if step > running.step and math.isfinite(value) and running.trial is not None:
                running.value = value
                self._judge(running, running.trial, step, value)
        if outcome.get("recycle"):
            self._recycled += 1
            self._executor.recycle(finished.task)
        verdict = judge(running, outcome)
        if verdict.action == "record":
            record = self._record_of(running, outcome, str(outcome["state"]))
            self._book.keep_predictions(record, outcome.get("held_out"))
            self._record(record, running)
            return
        if verdict.action == "stop":
            self._fatal = verdict.reason
        self._put_back(running, verdict)

    def _put_back(self, running: Running, verdict: Verdict) -> None:
        """Put a task back whose process died, that ran out of memory, or that Ctrl-C stopped."""
        self._progress.gone(running.name)
        if verdict.reason != INTERRUPTED:
            self._progress.message(f"{running.name}: {verdict.reason}; it is put back")
        if running.trial is not None:
            beyond = self._book.put_back(
                running.trial, reason=verdict.reason, killed=verdict.killed, attributes=verdict.attributes
            )
            if beyond is None:  # else it is never tried again
                self._proposals.forget(running.trial)
        else:
            counts, beyond = count_loss(running.attributes, reason=verdict.reason, killed=verdict.killed)
            if beyond is None and verdict.reason != INTERRUPTED:
                self._baselines.append((running.name, counts))
        if beyond is not None:
            self._record(self._record_of(running, {"reason": beyond}, "failed"), running)

    def _record_of(self, running: Running, outcome: Outcome, state: str) -> TrialRecord:
        return make_record(running, outcome, state, self._plan.metric, seconds=self._clock.now() - running.started)

    def _record(self, record: TrialRecord, running: Running) -> None:
        constraint = 1.0 if record.state == "infeasible" else -1.0
        if not self._book.close(record, running.trial, constraint):
            self._progress.gone(running.name)
            self._progress.message(f"{running.name}: another supervisor took it over; its result here is dropped")
            if running.trial is not None:
                self._proposals.forget(running.trial)
            return
        if record.kind == "network" and record.state in COUNTED:
            self._fresh += 1
            self._failures = [*self._failures, record] if record.state == "failed" else []
        if running.trial is not None:
            self._engine.finished(self._book.frozen(running.trial), record.state, record.value)
        self._plan.after_record()
        self._progress.finished(record.name, record, self._standing())

    def _on_infeasible(self, trial: optuna.Trial, reason: str, excess: float) -> None:
        frozen = self._book.frozen(trial)
        record = TrialRecord(
            kind="network", name=self._book.trial_name(trial.number), state="infeasible", trial=trial.number,
            reason=reason, params=dict(trial.params), retries=retry_history(frozen),
            budget=frozen.user_attrs.get(BUDGET), finished=now(),
        )  # fmt: skip
        if self._book.close(record, trial, excess):
            self._engine.finished(self._book.frozen(trial), "infeasible", None)
            self._progress.finished(record.name, record, self._standing())

    # -- when to stop --------------------------------------------------------------------------------------------

    def _stop(self, task: str, reason: str) -> None:
        running = self._running[task]
        running.stopped, running.stopped_at = reason, self._clock.now()
        self._executor.stop(task)

    def _stop_where_due(self) -> None:
        self._looked = self._clock.now()
        now = self._clock.now()
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
        why = hopeless(self._failures)
        if not why and not self._fatal:
            return
        self._interrupted = True  # no new trials; those in flight go back into the queue
        while self._running:
            self._stop_where_due()
            for finished in self._executor.poll(POLL, self._on_report):
                self._finish(finished)
        if self._fatal:
            raise OutputError(self._fatal)
        raise StudyError(why)

    # -- where it stands -----------------------------------------------------------------------------------------

    def _ending(self) -> Ending:
        if self._interrupted:
            return "interrupted"
        if self._book.counted >= self._plan.trials and not self._baselines:
            return "finished"
        return "exhausted" if self._exhausted or self._engine_waits else "time limit"

    def _standing(self) -> Standing:
        best = self._book.best
        return Standing(
            target=self._plan.trials,
            metric=self._plan.metric,
            fresh=self._fresh,
            best=None if best is None else best.value,
            best_name="" if best is None else best.name,
            **{state: self._book.states.get(state, 0) for state in (*COUNTED, "infeasible")},
        )
