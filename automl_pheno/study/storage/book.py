"""The trials of a study: what waits, what runs and what is done. All that the search writes goes through here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.records import COUNTED, TrialRecord, now
from automl_pheno.study.storage.backend import RunJournal
from automl_pheno.study.storage.journal import put_back, reap, retry_history, tell_record
from automl_pheno.study.storage.view import Outlook

OUTCOME = "outcome"
"""User attribute of an ended trial: the state of its record, or why it has none (the three below)."""

PUT_BACK = "put back"
DUPLICATE = "duplicate"
SURPLUS = "surplus"

KEEP_UP_EVERY = 0.5
"""Seconds for which what is known of trials in flight may wait to be written."""


class Ledger(Protocol):
    """Keeps the records; `RunFolder` does."""

    def records(self) -> Sequence[TrialRecord]:
        """Return all records so far."""
        ...

    def append(self, record: TrialRecord) -> None:
        """Keep a record for good before returning."""
        ...

    def keep_predictions(self, name: str, packed: Mapping[str, Any]) -> None:
        """Keep the held-out predictions of a candidate before returning."""
        ...

    def keep_up(self, *, now: bool) -> None:
        """Renew what is made of the records, if that is due or has to be `now`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TestClaim:
    """Who opens the test set of a study.

    Attributes
    ----------
    state
        ``mine``: this supervisor, now; ``searching``: nobody yet, since others still search; ``theirs``: another one is
        at it; ``done``: it was opened.
    by, folder
        Supervisor and run folder that have, or had, it.
    result
        What its ``final.json`` holds, once it is done.
    """

    state: Literal["mine", "searching", "theirs", "done"]
    by: str = ""
    folder: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


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
        self._outlook = Outlook(study)
        self._ledger = ledger
        self._kept_up = 0.0
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

    def taken(self) -> Mapping[str, str]:
        """Return key of parameters -> name of the trial, of those that other supervisors have in flight."""
        return {}

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

    def claim_baseline(self, name: str) -> bool:  # noqa: ARG002 - one signature for all
        """Make sure that no other supervisor fits this baseline; False if one does, or did."""
        return True

    def report(self, trial: optuna.Trial, value: float, step: int) -> bool:
        """Keep an intermediate value; True if the pruner gives the trial up."""
        trial.report(value, step)
        return self._outlook.prunes and self._outlook.gives_up(self.frozen(trial))

    def keep_predictions(self, record: TrialRecord, packed: Mapping[str, Any] | None) -> None:
        """Keep what a complete candidate predicted of held-out samples; called before `close` keeps its record."""
        if record.state == "complete" and packed is not None:
            self._ledger.keep_predictions(record.name, packed)

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
        # The record first: a process killed in between is made up for by `start`. But no record without its trial.
        if isinstance(storage := self.study._storage, RunJournal):
            storage.secure_trials()
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

    def keep_up(self, *, now: bool = False) -> None:
        """See what waited to be written onto the disk: of the journal, and what is made of the records.

        Called in every turn of the search; `now` or not, nothing is written where nothing waits.
        """
        if now or time.monotonic() - self._kept_up > KEEP_UP_EVERY:
            if isinstance(storage := self.study._storage, RunJournal):
                storage.flush()
            self._kept_up = time.monotonic()
        self._ledger.keep_up(now=now)

    def finish(self) -> None:
        """Say that this supervisor ends."""

    # -- the test set --------------------------------------------------------------------------------------------

    def claim_test(self, *, counted_out: bool) -> TestClaim:  # noqa: ARG002 - one signature for all
        """Ask to be the one that opens the test set of the study.

        Parameters
        ----------
        counted_out
            True if the study has all its trials and baselines, so that nobody else can be searching.
        """
        return TestClaim(state="mine")

    def publish_test(self, result: Mapping[str, Any]) -> bool:  # noqa: ARG002 - one signature for all
        """Tell the other supervisors how the test ended; False if the claim was lost, and the result does not count."""
        return True

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
        if isinstance(storage := self.study._storage, RunJournal):
            storage.set_trial_user_attrs(trial._trial_id, attributes_of(record))
        else:
            for key, value in attributes_of(record).items():
                trial.set_user_attr(key, value)
        # On every trial, since the Gaussian process wants it of all or of none.
        trial.set_constraint("feasible", constraint)


def attributes_of(record: TrialRecord) -> dict[str, Any]:
    """Return the user attributes of the trial that ended with this record."""
    told = {key: getattr(record, key) for key in ("weights", "epochs", "best_epoch", "seconds", "reason", "device")}
    told |= {"val_sd": record.sd, **{f"val_{name}": value for name, value in record.scores.items()}}
    return {OUTCOME: record.state, **{key: value for key, value in told.items() if value not in (None, "")}}
