"""What samplers and pruners see of a long study: not every trial, or each proposal would take longer than the last."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import NopPruner, _filter_study
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.engines.protocol import MOST_SLOTS

FIRST, BEST, LATEST = 10, 100, 4 * MOST_SLOTS
"""Complete and pruned trials that are seen once there are more than `LATEST` finished ones: so many of the first (a
sampler may start from their search space), of the best and of the latest, and all that wait or run."""


def choose(trials: Sequence[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
    """Return the trials that are seen of `trials`, by number; all of them up to `LATEST` finished ones."""
    finished = [trial for trial in trials if trial.state.is_finished()]
    if len(finished) <= LATEST:
        return list(trials)
    useful = [trial for trial in finished if trial.state != TrialState.FAIL]
    sign = 1.0 if direction == StudyDirection.MINIMIZE else -1.0
    complete = [trial for trial in useful if trial.state == TrialState.COMPLETE and trial.values]
    best = sorted(complete, key=lambda trial: (sign * trial.values[0], trial.number))[:BEST]
    unfinished = [trial for trial in trials if not trial.state.is_finished()]
    latest = sorted(useful, key=lambda trial: (trial.datetime_complete or datetime.min, trial.number))[-LATEST:]
    kept = {trial.number: trial for trial in (*useful[:FIRST], *best, *latest, *unfinished)}
    return [kept[number] for number in sorted(kept)]


class _Window:
    """A storage that shows some trials of a study; all else is done by the storage behind it."""

    def __init__(self, storage: Any, direction: StudyDirection) -> None:
        self._storage = storage
        self._direction = direction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials that are seen."""
        if hasattr(self._storage, "worth_a_look"):  # it has them at hand
            trials = self._storage.worth_a_look(study_id)
        else:
            trials = choose(self._storage.get_all_trials(study_id, deepcopy=False), self._direction)
        found = trials if states is None else [trial for trial in trials if trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the best complete trial."""
        complete = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            msg = "No trials are completed yet."
            raise ValueError(msg)
        pick = min if self._direction == StudyDirection.MINIMIZE else max
        return pick(complete, key=lambda trial: trial.values[0])


class Outlook:
    """A study as its sampler and its pruner see it.

    Parameters
    ----------
    study
        Whose sampler is replaced by one that sees this.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._seen = copy.copy(study)
        self._seen._storage = _Window(study._storage, study.direction)  # type: ignore[assignment] # has its methods
        study.sampler = _Looking(study.sampler, self)

    def study_for(self, trial: FrozenTrial) -> optuna.Study:
        """Return the study for the sampler's proposal of `trial`."""
        self._seen.pruner = self._study.pruner
        return _filter_study(self._seen, trial)

    def refresh(self) -> None:
        """Forget what was seen."""
        self._seen._thread_local.cached_all_trials = None

    @property
    def prunes(self) -> bool:
        """Whether a running trial may be given up at all."""
        return not isinstance(self._study.pruner, NopPruner)

    def gives_up(self, trial: FrozenTrial) -> bool:
        """Ask the pruner whether to give up a running trial."""
        self.refresh()
        self._seen.pruner = self._study.pruner
        return bool(self._seen.pruner.prune(self._seen, trial))


class _Looking(BaseSampler):
    """A sampler that is given the study of an `Outlook` instead of the whole."""

    def __init__(self, sampler: BaseSampler, outlook: Outlook) -> None:
        self.sampler: BaseSampler = sampler.sampler if isinstance(sampler, _Looking) else sampler
        self._outlook = outlook

    def __str__(self) -> str:
        return str(self.sampler)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()

    def infer_relative_search_space(
        self,
        study: optuna.Study,  # noqa: ARG002 - Optuna's signature, as of those below
        trial: FrozenTrial,
    ) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(self._outlook.study_for(trial), trial)

    def sample_relative(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return self.sampler.sample_relative(self._outlook.study_for(trial), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        seen = self._outlook.study_for(trial)
        return self.sampler.sample_independent(seen, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:  # noqa: ARG002
        self._outlook.refresh()
        self.sampler.before_trial(self._outlook.study_for(trial), trial)

    def after_trial(
        self,
        study: optuna.Study,  # noqa: ARG002
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._outlook.refresh()
        self.sampler.after_trial(self._outlook.study_for(trial), trial, state, values)


__all__ = ["BEST", "FIRST", "LATEST", "Outlook", "choose"]
