"""The kinds of oracles of KerasTuner, as the study has them; imports KerasTuner, and so Keras."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

import keras_tuner

from automl_pheno.space.suggest import declare_hyperparameters
from automl_pheno.study.continuation import remove_weights
from automl_pheno.study.engines.keras_tuner import FACTOR
from automl_pheno.study.engines.mirror import FOLDER, ORACLE_TRIAL, SCORE, Entry, Mirror, in_space
from automl_pheno.study.engines.protocol import BUDGET, CONTINUES, ORIGIN, EngineRequest
from automl_pheno.study.running import BATCH_DIVISOR
from automl_pheno.study.storage.journal import retry_history

if TYPE_CHECKING:
    import optuna

INITIAL_EPOCH, BRACKET, ROUND = "initial_epoch", "bracket", "round"
"""User attributes of a trial of Hyperband: epochs it does not train itself, its bracket (from 0, in the order in which
they were opened) and its round there."""

_NEVER = 10**9
"""Failures in a row before the oracle gives up; the supervisor sees to that."""
_SEEDS = 2**31 - 1


class _Bayesian(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]  # no type information
    """Draws at random where the optimum of the Gaussian process, often in a corner of the space, was tried before."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response: dict[str, Any] = super().populate_space(trial_id)
        hp = self.get_space()
        hp.values = response["values"]
        if hp.values and self._duplicate(in_space(self.space, hp)):
            response = self._random_populate_space()
        return response


@dataclass(slots=True)
class _Grid(Mirror):
    takes_strangers: bool = False

    def _proposed(self, trial: Any) -> None:
        # The whole space is known, so the next one need not wait for this one to end.
        self.oracle._populate_next.append(trial.trial_id)

    def _all_restored(self) -> None:
        # The order of the values is that of the grid; KerasTuner itself does not keep it.
        oracle = self.oracle

        def compare(first: str, second: str) -> int:
            values = (oracle.trials[identity].hyperparameters.values for identity in (first, second))
            return int(oracle._compare(*values))

        for identity in sorted(oracle.trials, key=cmp_to_key(compare)):
            oracle._ordered_ids.insert(identity)
        oracle._populate_next.extend(oracle.start_order)


@dataclass(slots=True)
class _Hyperband(Mirror):
    takes_strangers: bool = False
    _opened: Iterator[int] = field(default_factory=itertools.count)
    _cleaned: set[str] = field(default_factory=set)

    def _proposed(self, trial: Any) -> None:  # noqa: ARG002 - one signature for all
        self._number_brackets()

    def _attributes(self, trial: Any) -> dict[str, Any]:
        values = trial.hyperparameters.values
        attributes = {
            BUDGET: int(values["tuner/epochs"]),
            INITIAL_EPOCH: int(values["tuner/initial_epoch"]),
            ROUND: int(values["tuner/round"]),
            BRACKET: self._bracket_of(trial.trial_id)[BRACKET],
        }
        if (parent := values.get("tuner/trial_id")) is not None:
            number = self._numbers[parent]
            continued = self.study.get_trials(deepcopy=False)[number]
            first = (*retry_history(continued), number)[0]
            attributes |= {CONTINUES: number, ORIGIN: continued.user_attrs.get(ORIGIN, first)}
            if BATCH_DIVISOR in continued.user_attrs:
                attributes[BATCH_DIVISOR] = continued.user_attrs[BATCH_DIVISOR]
        return attributes

    def _ended(self, trial: Any) -> None:
        if trial.status == "FAILED" and trial.hyperparameters.values["tuner/round"] == 0:
            # Another one takes its place: the rounds to come count on as many.
            first = self._bracket_of(trial.trial_id)["rounds"][0]
            first[:] = [info for info in first if info["id"] != trial.trial_id]
        self._remove_weights()

    def _own_values(self, entry: Entry) -> dict[str, Any]:
        attributes = entry.attributes
        own = {
            "tuner/epochs": attributes[BUDGET],
            "tuner/initial_epoch": attributes[INITIAL_EPOCH],
            "tuner/bracket": attributes[BRACKET],
            "tuner/round": attributes[ROUND],
        }
        if CONTINUES in attributes:
            parent = self.study.get_trials(deepcopy=False)[attributes[CONTINUES]]
            own["tuner/trial_id"] = parent.user_attrs[ORACLE_TRIAL]
        return own

    def _restored(self, trial: Any, entry: Entry) -> None:
        oracle = self.oracle
        self._number_brackets()
        while entry.attributes[BRACKET] >= len(oracle._brackets):
            oracle._increment_bracket_num()
            oracle._start_new_bracket()
            self._number_brackets()
        number = int(entry.attributes[ROUND])
        if number == 0 and trial.status == "FAILED":
            return
        info = {"past_id": trial.hyperparameters.values.get("tuner/trial_id"), "id": trial.trial_id}
        oracle._brackets[entry.attributes[BRACKET]]["rounds"][number].append(info)

    def _all_restored(self) -> None:
        self._number_brackets()
        self._remove_weights()

    def _number_brackets(self) -> None:
        for bracket in self.oracle._brackets:
            if BRACKET not in bracket:
                bracket[BRACKET] = next(self._opened)

    def _bracket_of(self, identity: str) -> dict[str, Any]:
        for bracket in self.oracle._brackets:
            if any(info["id"] == identity for infos in bracket["rounds"] for info in infos):
                return dict(bracket)
        return {BRACKET: -1, "rounds": [[]]}  # a bracket whose last round is full is forgotten by the oracle

    def _remove_weights(self) -> None:
        """Remove the weights of trials that none will go on with any more."""
        oracle = self.oracle
        needed = {trial.hyperparameters.values.get("tuner/trial_id") for trial in oracle.ongoing_trials.values()}
        for bracket in oracle._brackets:
            rounds = bracket["rounds"]
            for number, following in enumerate(rounds[1:], start=1):
                if len(following) < oracle._get_size(bracket["bracket_num"], number):
                    taken = {info["past_id"] for info in following}
                    needed |= {info["id"] for info in rounds[number - 1]} - taken
        over = {identity for identity in oracle.end_order if identity not in needed} - self._cleaned
        self._cleaned |= over
        name = self.request.space.name
        remove_weights(self.request.folder, [f"{name}-{self._numbers[i]}" for i in over if i in self._numbers])


def mirror(kind: str, request: EngineRequest, study: optuna.Study) -> Mirror:
    """Return the mirror of one kind of oracle, as the study has it."""
    hp = keras_tuner.HyperParameters()
    declare_hyperparameters(hp, request.space)
    options = {
        "objective": keras_tuner.Objective(SCORE, "max" if request.higher_is_better else "min"),
        "hyperparameters": hp,
        "allow_new_entries": False,
        "tune_new_entries": False,
        "seed": request.seed % _SEEDS + 1,
        "max_consecutive_failed_trials": _NEVER,
    }
    made = _MADE[kind](request, study, options)
    made.oracle.verbose = 0
    made.oracle._set_project_dir(str(request.folder), FOLDER)
    made.restore()
    return made


_Make = Callable[[EngineRequest, "optuna.Study", dict[str, Any]], Mirror]


def _random(request: EngineRequest, study: optuna.Study, options: dict[str, Any]) -> Mirror:
    return Mirror(request, study, keras_tuner.oracles.RandomSearchOracle(max_trials=None, **options))


def _bayesian(request: EngineRequest, study: optuna.Study, options: dict[str, Any]) -> Mirror:
    # KerasTuner's own 3 random trials a parameter would often be the whole study.
    first = max(3, min(3 * len(options["hyperparameters"].space), request.trials // 3))
    oracle = _Bayesian(max_trials=None, num_initial_points=first, **options)
    oracle.space = request.space
    return Mirror(request, study, oracle)


def _grid(request: EngineRequest, study: optuna.Study, options: dict[str, Any]) -> Mirror:
    return _Grid(request, study, keras_tuner.oracles.GridSearchOracle(max_trials=None, **options))


def _hyperband(request: EngineRequest, study: optuna.Study, options: dict[str, Any]) -> Mirror:
    # Without an end: the study says how many trials there are.
    oracle = keras_tuner.oracles.HyperbandOracle(
        max_epochs=request.max_epochs, factor=FACTOR, hyperband_iterations=None, **options
    )
    return _Hyperband(request, study, oracle)


_MADE: Mapping[str, _Make] = {"random": _random, "bayesian": _bayesian, "grid": _grid, "hyperband": _hyperband}
