"""The trials of a study in a database that several supervisors work on, each with a run folder of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.engines.protocol import BUDGET
from automl_pheno.study.proposals import params_key
from automl_pheno.study.records import TrialRecord, append_record, now, read_records
from automl_pheno.study.storage.book import (
    DUPLICATE,
    OUTCOME,
    PUT_BACK,
    SURPLUS,
    Ledger,
    TestClaim,
    TrialBook,
    attributes_of,
)
from automl_pheno.study.storage.database import SUPERVISOR, ConnectionLostError, End, SharedStorage, StudyRow
from automl_pheno.study.storage.journal import FIXED_PARAMS, REASON, count_loss, make_repeat, retry_history
from automl_pheno.study.storage.leases import LEASE, Heart, Leases, end_of
from automl_pheno.study.storage.marks import BASELINE, CLAIMED, RECORD, TEST, is_kept, state_of

PENDING = "pending.jsonl"
"""File of the run folder with the records that could not be told to the database."""

_FEASIBLE = "constraints:feasible"  # where Optuna keeps the constraint of that name
_REFRESH = 0.4  # seconds between two looks at the database


class SharedBook(TrialBook):
    """The trials of a study that several supervisors share; the database is the truth, the ledger a copy.

    **The count is exact.** A trial is *kept* if it runs and is claimed, or ended with a record that counts (complete,
    pruned, failed). Only claimed trials are trained. `claim` holds the study's row while it counts the kept ones and
    marks one more, so claims happen one after the other, and between two of them the number of kept trials can only
    fall: a claimed trial that ends with a record stays kept, one that is put back, whoever does it, no longer is, and
    no other step makes a trial kept. Hence there are never more than `target`. A trial that is refused is ended as
    ``surplus`` and does not count, so while fewer are kept, the next one that is asked for is claimed: the number is
    reached. The same step refuses the parameters of another kept trial, so no configuration is trained twice.

    **Nothing is done or told twice.** A trial ends once, in one transaction, for the supervisor that has it (`End`):
    with its record, or put back together with its repeat. Whoever comes second hears False.

    Parameters
    ----------
    study
        Of Optuna, on `storage`.
    storage
        The database, opened for this supervisor.
    ledger, name, higher_is_better
        As for `TrialBook`.
    folder
        Of the run; what could not be told to the database is kept in its ``pending.jsonl``.
    previous
        Ids of supervisors that had this folder before and are dead, since a folder has one at a time.
    lease
        Seconds without a sign of life after which another supervisor is given up.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: SharedStorage,
        ledger: Ledger,
        *,
        name: str,
        higher_is_better: bool,
        folder: Path,
        previous: tuple[str, ...] = (),
        lease: float = LEASE,
    ) -> None:
        super().__init__(study, ledger, name=name, higher_is_better=higher_is_better)
        self.id = storage.supervisor
        self._storage = storage
        self._folder = folder
        self._previous = previous
        self._leases = Leases(self.id, lease=lease)
        self._heart = Heart(storage, study._study_id, lease=lease)
        self._names = {record.name for record in ledger.records()}
        self._mine: set[int] = set()
        self._ended: set[int] = set()
        self._elsewhere = 0
        self._taken: dict[str, str] = {}
        self._looked = 0.0

    # -- what is there -------------------------------------------------------------------------------------------

    def open_elsewhere(self) -> int:
        """See `TrialBook`; as of the last look."""
        return self._elsewhere

    def taken(self) -> Mapping[str, str]:
        """See `TrialBook`; as of the last look."""
        return self._taken

    # -- what happens --------------------------------------------------------------------------------------------

    def start(self, *, killed: bool) -> list[TrialRecord]:
        """See `TrialBook`; the records that others made so far are in the ledger afterwards."""
        self._heart.begin("searching", in_process=killed)
        for supervisor in self._previous:
            end_of(self._storage, self.study._study_id, supervisor)
        self._tell_pending()
        _, given_up = self._look()
        return given_up

    def refresh(self) -> list[TrialRecord]:
        """See `TrialBook`; looks at the database at most every 0.4 s."""
        if time.monotonic() - self._looked < _REFRESH:
            return []
        heard, given_up = self._look()
        return heard + given_up

    def ask(self) -> optuna.Trial:
        """See `TrialBook`."""
        trial = self.study.ask()
        self._mine.add(trial.number)
        # A repeat must not be taken for a duplicate of the trial that it repeats, which ended just now.
        self._survey(self.study.get_trials(deepcopy=False))
        return trial

    def claim(self, trial: optuna.Trial, target: int) -> bool:
        """See `TrialBook`, and `SharedBook` for why the count is exact."""
        refused = self._storage.change(self.study._study_id, lambda _: self._claim(trial, target))
        if refused is None:
            return True
        outcome, attributes = refused
        if outcome:
            frozen = self.frozen(trial)
            # What somebody put into the queue stays there.
            queued = outcome == SURPLUS and FIXED_PARAMS in frozen.system_attrs
            self._end(frozen, {OUTCOME: outcome, **attributes}, repeat=make_repeat(frozen) if queued else None)
        self._mine.discard(trial.number)
        self._survey(self.study.get_trials(deepcopy=False))
        return False

    def _claim(self, trial: optuna.Trial, target: int) -> tuple[str, dict[str, Any]] | None:
        """Claim the trial, or return the outcome for which it is refused ("" if it is not ours any more)."""
        key = params_key(trial.params, trial.user_attrs.get(BUDGET))
        kept = 0
        for other in self.study.get_trials(deepcopy=False):
            if other.number == trial.number or not is_kept(other):
                continue
            kept += 1
            if other.params == trial.params and params_key(other.params, other.user_attrs.get(BUDGET)) == key:
                return DUPLICATE, {"duplicate_of": self.trial_name(other.number)}
        if kept >= target:
            return SURPLUS, {}
        return None if self._storage.mark_if_mine(trial._trial_id, CLAIMED) else ("", {})

    def claim_baseline(self, name: str) -> bool:
        """See `TrialBook`; a baseline whose supervisor died is another's to fit."""
        if name in self._names:
            return False

        def change(row: StudyRow) -> bool:
            said = row.get(f"{BASELINE}{name}")
            if said is not None:
                self._leases.look(self._storage.get_study_system_attrs(self.study._study_id))
                if "record" in said or (said["supervisor"] != self.id and self._leases.is_alive(said["supervisor"])):
                    return False
            row.set(f"{BASELINE}{name}", {"supervisor": self.id})
            return True

        return self._storage.change(self.study._study_id, change)

    def report(self, trial: optuna.Trial, value: float, step: int) -> bool:
        """See `TrialBook`; True also if the trial was given to another supervisor meanwhile."""
        try:
            trial.report(value, step)
        except UpdateFinishedTrialError:
            return True
        return trial.should_prune()

    def close(self, record: TrialRecord, trial: optuna.Trial | None, constraint: float = -1.0) -> bool:
        """See `TrialBook`.

        Raises
        ------
        StudyError
            The database was lost for too long; the record is kept in the folder and told at the next start.
        """
        record = replace(record, supervisor=self.id)
        try:
            told = self._tell(record, self.id, None if trial is None else self.frozen(trial), constraint)
        except ConnectionLostError:
            append_record(self._folder / PENDING, record)
            raise
        if trial is not None:
            self._mine.discard(trial.number)
        if told:
            self._keep(record)
        return told

    def discard(self, trial: optuna.Trial, outcome: str, **attributes: Any) -> None:
        """See `TrialBook`."""
        self._end(self.frozen(trial), {OUTCOME: outcome, **attributes})
        self._mine.discard(trial.number)

    def put_back(
        self, trial: optuna.Trial, *, reason: str, killed: bool, attributes: Mapping[str, Any] | None = None
    ) -> str | None:
        """See `TrialBook`; a trial that is not put back any more ends with the record that follows."""
        frozen = self.frozen(trial)
        counts, beyond = count_loss(frozen.user_attrs, reason=reason, killed=killed)
        if beyond is not None:
            return beyond
        repeat = make_repeat(frozen, {**(attributes or {}), **counts})
        self._end(frozen, {OUTCOME: PUT_BACK, REASON: reason}, repeat=repeat)
        self._mine.discard(trial.number)
        return None

    def finish(self) -> None:
        """See `TrialBook`."""
        self._heart.end()

    # -- the test set --------------------------------------------------------------------------------------------

    def claim_test(self, *, counted_out: bool) -> TestClaim:
        """See `TrialBook`; whoever claims it must live, or another one follows after the lease."""
        self._heart.begin("testing")

        def change(row: StudyRow) -> TestClaim:
            said = row.get(TEST)
            self._leases.look(self._storage.get_study_system_attrs(self.study._study_id))
            if said is not None:
                by, folder = str(said["supervisor"]), str(said["folder"])
                if "result" in said:
                    return TestClaim(state="done", by=by, folder=folder, result=said["result"])
                if by != self.id and self._leases.is_alive(by):
                    return TestClaim(state="theirs", by=by, folder=folder)
            if not counted_out and (others := self._leases.others("searching")):
                return TestClaim(state="searching", by=", ".join(others))
            row.set(TEST, {"supervisor": self.id, "folder": str(self._folder)})
            return TestClaim(state="mine", by=self.id, folder=str(self._folder))

        claim = self._storage.change(self.study._study_id, change)
        self._look()  # whoever tests or shows the test must have all records
        return claim

    def publish_test(self, result: Mapping[str, Any]) -> bool:
        """See `TrialBook`."""

        def change(row: StudyRow) -> bool:
            said = row.get(TEST)
            if said is None or said["supervisor"] != self.id:
                return False
            row.set(TEST, {**said, "result": dict(result)})
            return True

        return self._storage.change(self.study._study_id, change)

    # -- looking -------------------------------------------------------------------------------------------------

    def _look(self) -> tuple[list[TrialRecord], list[TrialRecord]]:
        """Return the records that others made since, and those of trials that had to be given up."""
        # In this order: who has a trial has announced itself before.
        trials = self.study.get_trials(deepcopy=False)
        attributes = self._storage.get_study_system_attrs(self.study._study_id)
        self._looked = time.monotonic()
        self._leases.look(attributes)
        heard = [record for trial in trials if (record := self._hear(trial)) is not None]
        for key, said in attributes.items():
            if key.startswith(BASELINE) and "record" in said and key.removeprefix(BASELINE) not in self._names:
                heard.append(TrialRecord.from_line(said["record"]))
        for record in heard:
            self._keep(record)
        given_up = [record for trial in trials if (record := self._reap(trial)) is not None]
        self._survey(self.study.get_trials(deepcopy=False) if given_up else trials)
        return heard, given_up

    def _hear(self, trial: FrozenTrial) -> TrialRecord | None:
        if trial.number in self._ended or not trial.state.is_finished():
            return None
        self._ended.add(trial.number)
        line = trial.system_attrs.get(RECORD)
        return None if line is None or self.trial_name(trial.number) in self._names else TrialRecord.from_line(line)

    def _survey(self, trials: list[FrozenTrial]) -> None:
        """Note what the other supervisors have in flight."""
        self._elsewhere = 0
        self._taken = {}
        for trial in trials:
            owner = trial.user_attrs.get(SUPERVISOR)
            if trial.state != TrialState.RUNNING or owner in (None, self.id) or self._leases.is_given_up(owner):
                continue
            self._elsewhere += CLAIMED in trial.system_attrs
            if trial.params:
                self._taken[params_key(trial.params, trial.user_attrs.get(BUDGET))] = self.trial_name(trial.number)

    def _reap(self, trial: FrozenTrial) -> TrialRecord | None:
        """Put a trial back whose supervisor is dead, or that this one does not know of; return its record if it killed.

        A trial without a supervisor is of somebody who uses plain Optuna, and left alone.
        """
        owner = trial.user_attrs.get(SUPERVISOR)
        if trial.state != TrialState.RUNNING or owner is None:
            return None
        if trial.number in self._mine if owner == self.id else self._leases.is_alive(owner):
            return None
        reason = "the supervisor died"
        killed = self._leases.in_process(owner)
        counts, beyond = count_loss(trial.user_attrs, reason=reason, killed=killed)
        if beyond is None:
            repeat = make_repeat(trial, counts)
            self._end(trial, {OUTCOME: PUT_BACK, REASON: reason}, owner=owner, repeat=repeat)
            return None
        record = TrialRecord(
            kind="network", name=self.trial_name(trial.number), state="failed", trial=trial.number,
            reason=beyond, params=dict(trial.params), retries=retry_history(trial),
            supervisor=owner, finished=now(),
        )  # fmt: skip
        if not self._tell(record, owner, trial):
            return None
        self._keep(record)
        return record

    # -- telling -------------------------------------------------------------------------------------------------

    def _tell(self, record: TrialRecord, owner: str, trial: FrozenTrial | None, constraint: float = -1.0) -> bool:
        """Tell the database a record once; False if the trial is not the owner's or the baseline was told."""
        line = record.to_line()
        if trial is None:
            key = f"{BASELINE}{record.name}"

            def change(row: StudyRow) -> bool:
                said = row.get(key) or {}
                if "record" in said:
                    return bool(said["record"] == line)
                row.set(key, {"supervisor": owner, "record": line})
                return True

            return self._storage.change(self.study._study_id, change)
        return self._end(
            trial, attributes_of(record), owner=owner, record=record, system={RECORD: line, _FEASIBLE: constraint}
        )

    def _end(
        self,
        trial: FrozenTrial,
        attributes: Mapping[str, Any],
        *,
        owner: str = "",
        record: TrialRecord | None = None,
        system: Mapping[str, Any] | None = None,
        repeat: FrozenTrial | None = None,
    ) -> bool:
        state, value = state_of(record, trial)
        if trial.state == TrialState.RUNNING:
            self._after_trial(trial, state, value)
        end = End(
            owner=owner or self.id, state=state, value=value, user_attrs=attributes, system_attrs=system or {},
            repeat=repeat,
        )  # fmt: skip
        return self._storage.settle(self.study._study_id, trial._trial_id, end)

    def _after_trial(self, trial: FrozenTrial, state: TrialState, value: float | None) -> None:
        """Let the sampler do what ``Study.tell`` lets it do."""
        self.study._thread_local.cached_all_trials = None
        filtered = optuna.pruners._filter_study(self.study, trial)
        try:
            filtered.sampler.after_trial(filtered, trial, state, None if value is None else [value])
        except UpdateFinishedTrialError:
            return  # it is another's by now, which `settle` finds out

    def _tell_pending(self) -> None:
        """Tell what a supervisor of this folder could not tell, unless somebody took the trial over meanwhile."""
        path = self._folder / PENDING
        for record in read_records(path):
            trial = None
            if record.trial is not None:
                found = [t for t in self.study.get_trials(deepcopy=False) if t.number == record.trial]
                if not found:
                    continue
                trial = found[0]
            self._tell(record, record.supervisor, trial)
        path.unlink(missing_ok=True)

    def _keep(self, record: TrialRecord) -> None:
        self._append(record)
        self._names.add(record.name)
        if record.trial is not None:
            self._ended.add(record.trial)
