"""The trials of a study: what waits, what runs and what is done. All that the search writes goes through here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.records import COUNTED, TrialRecord, now
from automl_pheno.study.storage.journal import put_back, reap, retry_history, tell_record

OUTCOME = "outcome"
"""User attribute of an ended trial: the state of its record, or why it has none (`PUT_BACK`, `DUPLICATE`)."""

PUT_BACK = "put back"
DUPLICATE = "duplicate"


class Ledger(Protocol):
    """Keeps the records; `RunFolder` does."""

    def records(self) -> Sequence[TrialRecord]:
        """Return all records so far."""
        ...

    def append(self, record: TrialRecord) -> None:
        """Keep a record for good before returning."""
        ...


class TrialBook:
    """The Optuna study and the records of a run that one supervisor has for itself.

    Parameters
    ----------
    study
        Of Optuna.
    ledger
        Keeps the records.
    name
        Of the space; trial 7 is called ``<name>-7``.
    higher_is_better
        Direction of the validation metric.
    """

    def __init__(self, study: optuna.Study, ledger: Ledger, *, name: str, higher_is_better: bool) -> None:
        self.study = study
        self._ledger = ledger
        self._name = name
        self._sign = 1.0 if higher_is_better else -1.0
        self._states: Counter[str] = Counter()
        self._best: TrialRecord | None = None
        for record in ledger.records():
            self._tally(record)

    # -- what is there -------------------------------------------------------------------------------------------

    def records(self) -> Sequence[TrialRecord]:
        """Return all records, of this supervisor and of others."""
        return self._ledger.records()

    @property
    def states(self) -> Mapping[str, int]:
        """State -> number of networks."""
        return self._states

    @property
    def counted(self) -> int:
        """Networks that count towards ``trials``."""
        return sum(self._states[state] for state in COUNTED)

    @property
    def best(self) -> TrialRecord | None:
        """The complete network with the best validation value."""
        return self._best

    def open_elsewhere(self) -> int:
        """Return the number of trials that other supervisors have in flight."""
        return 0

    def trial_name(self, number: int) -> str:
        """Return the name of a trial in records and progress."""
        return f"{self._name}-{number}"

    def frozen(self, trial: optuna.Trial) -> FrozenTrial:
        """Return the trial as the storage has it."""
        return self.study._storage.get_trial(trial._trial_id)

    # -- what happens --------------------------------------------------------------------------------------------

    def start(self, *, killed: bool) -> list[TrialRecord]:
        """Settle what a dead supervisor left, and return the records of trials that are given up.

        Parameters
        ----------
        killed
            True where trials run in the supervisor's own process and may have been what killed it.
        """
        records = {record.trial: record for record in self.records() if record.trial is not None}
        given_up = [
            TrialRecord(
                kind="network", name=self.trial_name(frozen.number), state="failed", trial=frozen.number, reason=reason,
                params=dict(frozen.params), retries=retry_history(frozen), finished=now(),
            )
            for frozen, reason in reap(self.study, records, killed=killed)
        ]  # fmt: skip
        for record in given_up:
            self._append(record)
        return given_up

    def refresh(self) -> list[TrialRecord]:
        """Say that this supervisor lives, and return the records that others have made since; called in every turn."""
        return []

    def ask(self) -> optuna.Trial:
        """Return the next trial, from the queue or drawn by the sampler."""
        return self.study.ask()

    def claim(self, trial: optuna.Trial, target: int) -> bool:  # noqa: ARG002 - one signature for all
        """Make sure that the asked trial is wanted; False if others have `target` trials without it and it is ended.

        Call it before the trial is trained.
        """
        return True

    def report(self, trial: optuna.Trial, value: float, step: int) -> bool:
        """Keep an intermediate value; True if the pruner gives the trial up."""
        trial.report(value, step)
        return trial.should_prune()

    def close(self, record: TrialRecord, trial: optuna.Trial | None, constraint: float = -1.0) -> bool:
        """Keep the record for good and end its trial; False if the trial is another's by now and nothing was kept.

        Parameters
        ----------
        record
            Of a network or, with `trial` None, of a baseline.
        trial
            The running trial.
        constraint
            How far beyond what is allowed, at most 0 where it is allowed.
        """
        # The record first: a process killed in between is made up for by `start`.
        self._append(record)
        if trial is not None and self.frozen(trial).state == TrialState.RUNNING:  # else told through the dashboard
            self._describe(record, trial, constraint)
            tell_record(self.study, trial.number, record)
        return True

    def discard(self, trial: optuna.Trial, outcome: str, **attributes: Any) -> None:
        """End a trial that will not be trained and leaves no record."""
        for key, value in {OUTCOME: outcome, **attributes}.items():
            trial.set_user_attr(key, value)
        self.study.tell(trial, state=TrialState.FAIL)

    def put_back(
        self, trial: optuna.Trial, *, reason: str, killed: bool, attributes: Mapping[str, Any] | None = None
    ) -> str | None:
        """End a running trial and put its parameters back into the queue.

        Parameters
        ----------
        trial
            The running trial.
        reason
            For the attribute of that name.
        killed
            True if the process died that ran it; a configuration that killed too many is not put back.
        attributes
            User attributes of the repeat, beside those that it inherits.

        Returns
        -------
        str or None
            Why it was not put back, or None. It is ended either way.
        """
        return put_back(self.study, self.frozen(trial), reason=reason, killed=killed, attributes=attributes)

    def finish(self) -> None:
        """Say that this supervisor ends."""

    # ------------------------------------------------------------------------------------------------------------

    def _append(self, record: TrialRecord) -> None:
        self._ledger.append(record)
        self._tally(record)

    def _tally(self, record: TrialRecord) -> None:
        if record.kind != "network":
            return
        self._states[record.state] += 1
        if record.state == "complete" and record.value is not None:
            best = None if self._best is None else self._best.value
            if best is None or self._sign * record.value > self._sign * best:
                self._best = record

    def _describe(self, record: TrialRecord, trial: optuna.Trial, constraint: float) -> None:
        trial.set_user_attr(OUTCOME, record.state)
        for key in ("weights", "epochs", "seconds", "reason", "device"):
            if value := getattr(record, key):
                trial.set_user_attr(key, value)
        # On every trial, since the Gaussian process wants it of all or of none.
        trial.set_constraint("feasible", constraint)
