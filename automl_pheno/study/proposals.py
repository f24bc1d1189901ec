"""What to try next: configurations that fit and were not tried before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna

from automl_pheno.errors import InfeasibleError, StudyError
from automl_pheno.rng import generator
from automl_pheno.space.config import ModelConfig
from automl_pheno.space.sample import draw, sample
from automl_pheno.space.suggest import from_optuna, from_rng
from automl_pheno.space.tree import SearchSpace
from automl_pheno.study.engines.protocol import BUDGET, Engine
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.storage.book import DUPLICATE, TrialBook
from automl_pheno.study.storage.journal import FIXED_PARAMS

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

EstimateMemory = Callable[[ModelConfig], int]
"""Return the bytes that a training is estimated to need; asked for configurations that `CheckSize` let pass."""


class Proposals:
    """Asks the engine, by way of the study, for configurations.

    Parameters
    ----------
    book
        The study's trials.
    engine
        Proposes.
    space
        The search space.
    check
        See `CheckSize`.
    max_weights
        A network with more is infeasible; None for no limit.
    memory, max_memory
        See `EstimateMemory`; a network whose training needs more is infeasible. None for no limit.
    seed
        For the random draws.
    on_infeasible
        See `OnInfeasible`.
    """

    def __init__(
        self,
        book: TrialBook,
        engine: Engine,
        space: SearchSpace,
        *,
        check: CheckSize,
        max_weights: int | None,
        seed: int,
        on_infeasible: OnInfeasible,
        memory: EstimateMemory | None = None,
        max_memory: int | None = None,
    ) -> None:
        self._book = book
        self._engine = engine
        self._space = space
        self._check = check
        self._max_weights = max_weights
        self._memory = memory
        self._max_memory = max_memory
        self._on_infeasible = on_infeasible
        self._rng = generator(seed, "draws", len(book.study.get_trials(deepcopy=False)))
        self._known: dict[str, str] = {}
        self.learn(book.records())

    def next(self) -> Proposal | Literal["wait", "exhausted"]:
        """Return the next configuration; ``wait`` if trials in flight must end first; ``exhausted`` if there is none.

        Raises
        ------
        StudyError
            `MAX_INFEASIBLE` configurations in a row were infeasible.
        """
        infeasible = repeated = 0
        while True:
            if repeated >= REASKS:
                values = self._draw_new() if self._engine.draws_at_random else None
                if values is None:  # what others have in flight may come back to be tried here
                    return "wait" if self._book.taken() else "exhausted"
                self._book.study.enqueue_trial(values)
                repeated = 0
            if (readiness := self._engine.prepare(self._book.study)) != "ready":
                return readiness
            trial = self._book.ask()
            config = sample(self._space, from_optuna(trial))
            key = params_key(trial.params, trial.user_attrs.get(BUDGET))
            if (earlier := self._known.get(key) or self._book.taken().get(key)) is not None:
                repeated += 1
                self._book.discard(trial, DUPLICATE, duplicate_of=earlier)
                self._engine.finished(self._book.frozen(trial), "duplicate", None)
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
            self._known[key] = self._book.trial_name(trial.number)
            self._on_infeasible(trial, reason, excess)
            if infeasible >= MAX_INFEASIBLE:
                msg = f"{infeasible} configurations in a row are infeasible; the last one: {reason}"
                raise StudyError(msg)

    def learn(self, records: Iterable[TrialRecord]) -> None:
        """Note which configurations these records have tried."""
        self._known.update(
            (params_key(record.params, record.budget), record.name) for record in records if record.kind == "network"
        )

    def add(self, trial: optuna.Trial) -> None:
        """Note that the trial's parameters are being tried."""
        self._known[params_key(trial.params, trial.user_attrs.get(BUDGET))] = self._book.trial_name(trial.number)

    def forget(self, trial: optuna.Trial) -> None:
        """Note that the trial's parameters went back into the queue and are to be tried again."""
        self._known.pop(params_key(trial.params, trial.user_attrs.get(BUDGET)), None)

    def _size(self, config: ModelConfig) -> int:
        weights = self._check(config)
        if self._max_weights is not None and weights > self._max_weights:
            msg = f"{weights} weights, max_weights is {self._max_weights}"
            raise _TooLargeError(msg, weights / self._max_weights - 1.0)
        if self._memory is not None and self._max_memory is not None:
            needed = self._memory(config)
            if needed > self._max_memory:
                msg = f"training needs about {_size_text(needed)}, max_memory is {_size_text(self._max_memory)}"
                raise _TooLargeError(msg, needed / self._max_memory - 1.0)
        return weights

    def _draw_new(self) -> dict[str, Any] | None:
        suggest = from_rng(self._rng)
        for _ in range(DRAWS):
            values = draw(self._space, suggest)
            if (key := params_key(values)) not in self._known and key not in self._book.taken():
                return dict(values)
        return None


class _TooLargeError(InfeasibleError):
    def __init__(self, message: str, excess: float) -> None:
        super().__init__(message)
        self.excess = excess


def _size_text(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def enqueue_default(study: optuna.Study, values: Mapping[str, Any]) -> None:
    """Put the hand-made configuration first, once in the life of a study."""
    trials = study.get_trials(deepcopy=False)
    if not trials or all(FIXED_PARAMS not in trial.system_attrs for trial in trials):
        study.enqueue_trial(dict(values))


def params_key(params: Mapping[str, Any], budget: int | None = None) -> str:
    """Return a text that two trials share exactly when their parameters, and their budgets of epochs, are equal."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    return json.dumps(plain if budget is None else [plain, budget], sort_keys=True)
