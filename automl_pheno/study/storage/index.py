"""What a journal comes to, as Optuna has it, with what a running search needs at hand."""

from __future__ import annotations

from collections import deque
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.storage.view import BEST, FIRST, LATEST


class Index(JournalStorageReplayResult):
    """What the journal comes to, with an index of what is open and what a sampler looks at."""

    def __init__(self, worker_id_prefix: str) -> None:
        super().__init__(worker_id_prefix)
        self.open: dict[int, dict[int, None]] = {}
        self._first: dict[int, list[FrozenTrial]] = {}
        self._best: dict[int, list[tuple[float, int, FrozenTrial]]] = {}
        self._latest: dict[int, deque[FrozenTrial]] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._merged: dict[int, list[FrozenTrial]] = {}

    def unfinished(self, study_id: int) -> list[FrozenTrial]:
        """Return the trials that wait or run, by number."""
        return [self._trials[trial_id] for trial_id in self.open[study_id]]

    def chosen(self, study_id: int) -> list[FrozenTrial]:
        """See `RunJournal.worth_a_look`."""
        if len(self._study_id_to_trial_ids[study_id]) - len(self.open[study_id]) <= LATEST:
            return self.get_all_trials(study_id, None)
        if study_id not in self._merged:
            kept = {trial.number: trial for trial in (*self._first[study_id], *self._latest[study_id])}
            kept |= {trial.number: trial for _, _, trial in self._best[study_id]}
            self._merged[study_id] = [kept[number] for number in sorted(kept)]
        return sorted((*self._merged[study_id], *self.unfinished(study_id)), key=lambda trial: trial.number)

    def _apply_create_study(self, log: dict[str, Any]) -> None:
        before = self._next_study_id
        super()._apply_create_study(log)
        if self._next_study_id > before:
            self.open[before] = {}
            self._first[before], self._best[before] = [], []
            self._latest[before] = deque(maxlen=LATEST)

    def _apply_create_trial(self, log: dict[str, Any]) -> None:
        before = len(self._trials)
        if "distributions" in log:
            # Thousands of trials share a few distributions, which Optuna never changes.
            shared = {name: self._distribution(text) for name, text in log["distributions"].items()}
            super()._apply_create_trial({**log, "distributions": {}, "params": {}})
            if len(self._trials) > before:
                trial = self._trials[before]
                trial._distributions = shared
                trial._params = {
                    name: shared[name].to_external_repr(value) for name, value in log.get("params", {}).items()
                }
        else:
            super()._apply_create_trial(log)
        if len(self._trials) > before:
            trial = self._trials[before]
            if trial.state.is_finished():
                self._note(trial)
            else:
                self.open[log["study_id"]][before] = None

    def _apply_set_trial_param(self, log: dict[str, Any]) -> None:
        super()._apply_set_trial_param(log)
        trial = self._trials.get(log["trial_id"])
        if trial is not None and log["param_name"] in trial.distributions and not trial.state.is_finished():
            trial._distributions[log["param_name"]] = self._distribution(log["distribution"])

    def _apply_set_trial_intermediate_value(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            trial = self._anew(log["trial_id"])
            trial.intermediate_values = {**trial.intermediate_values, log["step"]: log["intermediate_value"]}

    def _apply_set_trial_user_attr(self, log: dict[str, Any]) -> None:
        if self._trial_exists_and_updatable(log["trial_id"], log):
            trial = self._anew(log["trial_id"])
            trial.user_attrs = {**trial.user_attrs, **log["user_attr"]}

    def _anew(self, trial_id: int) -> FrozenTrial:
        """Put a copy in the trial's place, as Optuna does; ``copy.copy`` takes ten times as long."""
        trial = FrozenTrial.__new__(FrozenTrial)
        trial.__dict__.update(self._trials[trial_id].__dict__)
        self._trials[trial_id] = trial
        return trial

    def _apply_set_trial_state_values(self, log: dict[str, Any]) -> None:
        trial_id = log["trial_id"]
        super()._apply_set_trial_state_values(log)
        trial, study_id = self._trials.get(trial_id), self._trial_id_to_study_id.get(trial_id)
        if trial is not None and study_id is not None and trial.state.is_finished() and trial_id in self.open[study_id]:
            del self.open[study_id][trial_id]
            self._note(trial)

    def _distribution(self, text: str) -> BaseDistribution:
        found = self._distributions.get(text)
        if found is None:
            found = self._distributions[text] = json_to_distribution(text)
        return found

    def _note(self, trial: FrozenTrial) -> None:
        """Keep a finished trial at hand if a sampler may want it."""
        if trial.state == TrialState.FAIL:
            return
        study_id = self._trial_id_to_study_id[trial._trial_id]
        self._merged.pop(study_id, None)
        if len(self._first[study_id]) < FIRST:
            self._first[study_id].append(trial)
        self._latest[study_id].append(trial)
        study = self._studies.get(study_id)
        if trial.state == TrialState.COMPLETE and study is not None and trial.values:
            sign = 1.0 if study.directions[0] == StudyDirection.MINIMIZE else -1.0
            best = self._best[study_id]
            place = (sign * trial.values[0], trial.number, trial)
            if len(best) < BEST or place[:2] < best[-1][:2]:
                best.append(place)
                best.sort(key=lambda item: item[:2])
                del best[BEST:]
