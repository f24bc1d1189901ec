"""What to try next: configurations that fit and were not tried before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from automl_pheno.errors import InfeasibleError, StudyError
from automl_pheno.rng import generator
from automl_pheno.space.config import ModelConfig
from automl_pheno.space.sample import draw, sample
from automl_pheno.space.suggest import from_optuna, from_rng
from automl_pheno.space.tree import SearchSpace
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.storage import FIXED_PARAMS

REASKS = 10
"""So many proposals in a row may have been tried before, then a new one is drawn at random."""

DRAWS = 5000
"""So many random draws without a new configuration mean that the space is used up."""

MAX_INFEASIBLE = 200
"""So many infeasible configurations in a row end the search: the space does not fit the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A trial of the Optuna study with the configuration to train."""

    trial: optuna.Trial
    config: ModelConfig
    weights: int | None


OnInfeasible = Callable[[optuna.Trial, str, float], None]
"""``(trial, reason, how far beyond the limit)``: records it and tells the study."""

CheckSize = Callable[[ModelConfig], int]
"""Return the number of weights, or raise `InfeasibleError`."""


class Proposals:
    """Asks the study for configurations.

    Parameters
    ----------
    study
        Of Optuna.
    space
        The search space.
    check
        See `CheckSize`.
    max_weights
        A network with more is infeasible; None for no limit.
    known
        Records so far.
    seed
        For the random draws.
    on_infeasible
        See `OnInfeasible`.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        *,
        check: CheckSize,
        max_weights: int | None,
        known: Iterable[TrialRecord],
        seed: int,
        on_infeasible: OnInfeasible,
    ) -> None:
        self._study = study
        self._space = space
        self._check = check
        self._max_weights = max_weights
        self._on_infeasible = on_infeasible
        self._rng = generator(seed, "draws", len(study.get_trials(deepcopy=False)))
        self._known = {params_key(record.params): record.name for record in known if record.kind == "network"}

    def next(self) -> Proposal | None:
        """Return the next configuration, or None if the space has no other.

        Raises
        ------
        StudyError
            `MAX_INFEASIBLE` configurations in a row were infeasible.
        """
        infeasible = repeated = 0
        while True:
            if repeated >= REASKS:
                values = self._draw_new()
                if values is None:
                    return None
                self._study.enqueue_trial(values)
                repeated = 0
            trial = self._study.ask()
            config = sample(self._space, from_optuna(trial))
            key = params_key(trial.params)
            if (earlier := self._known.get(key)) is not None:
                repeated += 1
                trial.set_user_attr("duplicate_of", earlier)
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            try:
                weights = self._size(config)
            except _TooLargeError as error:
                reason, excess = str(error), error.excess
            except InfeasibleError as error:
                reason, excess = str(error), 1.0
            else:
                return Proposal(trial=trial, config=config, weights=weights)
            infeasible += 1
            self._known[key] = f"{self._space.name}-{trial.number}"
            self._on_infeasible(trial, reason, excess)
            if infeasible >= MAX_INFEASIBLE:
                msg = f"{infeasible} configurations in a row are infeasible; the last one: {reason}"
                raise StudyError(msg)

    def add(self, trial: optuna.Trial, name: str) -> None:
        """Note that the trial's parameters are being tried."""
        self._known[params_key(trial.params)] = name

    def forget(self, params: Mapping[str, Any]) -> None:
        """Note that these parameters went back into the queue and are to be tried again."""
        self._known.pop(params_key(params), None)

    def _size(self, config: ModelConfig) -> int:
        weights = self._check(config)
        if self._max_weights is not None and weights > self._max_weights:
            msg = f"{weights} weights, max_weights is {self._max_weights}"
            raise _TooLargeError(msg, weights / self._max_weights - 1.0)
        return weights

    def _draw_new(self) -> dict[str, Any] | None:
        suggest = from_rng(self._rng)
        for _ in range(DRAWS):
            values = draw(self._space, suggest)
            if params_key(values) not in self._known:
                return dict(values)
        return None


class _TooLargeError(InfeasibleError):
    def __init__(self, message: str, excess: float) -> None:
        super().__init__(message)
        self.excess = excess


def enqueue_default(study: optuna.Study, values: Mapping[str, Any]) -> None:
    """Put the hand-made configuration first, once in the life of a study."""
    trials = study.get_trials(deepcopy=False)
    if not trials or all(FIXED_PARAMS not in trial.system_attrs for trial in trials):
        study.enqueue_trial(dict(values))


def params_key(params: Mapping[str, Any]) -> str:
    """Return a text that two sets of parameters share exactly when they are equal."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    return json.dumps(plain, sort_keys=True)
