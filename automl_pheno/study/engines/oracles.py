"""Oracles of KerasTuner, made from what the study and its records say; imports KerasTuner, and so Keras."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cmp_to_key
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import keras_tuner
from keras_tuner.engine.trial import Trial
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.space.ranges import Scalar
from automl_pheno.space.sample import draw
from automl_pheno.space.suggest import declare_hyperparameters, from_keras_tuner
from automl_pheno.space.tree import SearchSpace
from automl_pheno.study.continuation import remove_weights
from automl_pheno.study.engines.keras_tuner import FACTOR
from automl_pheno.study.engines.protocol import BUDGET, CONTINUES, ORIGIN, EndState, EngineRequest
from automl_pheno.study.records import read_records
from automl_pheno.study.run_folder import TRIALS
from automl_pheno.study.running import BATCH_DIVISOR
from automl_pheno.study.storage.journal import FIXED_PARAMS, retry_history

if TYPE_CHECKING:
    import optuna

FOLDER = "keras_tuner"
"""Folder of the run with ``oracle.json`` and the trials as KerasTuner writes them."""

ORACLE_TRIAL = "oracle_trial"
"""User attribute of a trial: its id in the oracle."""
INITIAL_EPOCH, BRACKET, ROUND = "initial_epoch", "bracket", "round"
"""User attributes of a trial of Hyperband: epochs it does not train itself, its bracket (from 0, in the order in which
they were opened) and its round there."""

SCORE = "score"
_NEVER = 10**9
"""Failures in a row before the oracle gives up; the supervisor sees to that."""
_SEEDS = 2**31 - 1

Proposal = tuple[dict[str, Scalar], dict[str, Any]]
"""Values, and user attributes of the trial."""


@dataclass(slots=True)
class _Entry:
    """A trial of the oracle as the study has it: with one that was put back there are several trials."""

    id: str
    values: dict[str, Scalar]
    attributes: Mapping[str, Any]
    open: bool = False
    value: float | None = None
    number: int | None = None
    """Of the trial in the study that has the value, and left its weights."""


@dataclass(slots=True)
class Mirror:
    """An oracle and its trials in the study.

    Attributes
    ----------
    request
        What the engine was made for.
    study
        Where the trials are.
    oracle
        Of KerasTuner.
    takes_strangers
        Whether it learns from trials that it did not propose: the hand-made configuration, random ones.
    """

    request: EngineRequest
    study: optuna.Study
    oracle: Any
    takes_strangers: bool = True
    _numbers: dict[str, int] = field(default_factory=dict)

    # -- between oracle and study --------------------------------------------------------------------------------

    def propose(self) -> Proposal | Literal["IDLE", "STOPPED"]:
        """Return the next trial of the oracle, or that it waits or has no other."""
        trial = self.oracle.create_trial(self._free_slot())
        if trial.status != "RUNNING":
            return "IDLE" if trial.status == "IDLE" else "STOPPED"
        values = _in_space(self.request.space, trial.hyperparameters)
        self._proposed(trial)
        return values, {ORACLE_TRIAL: trial.trial_id, **self._attributes(trial)}

    def settle(self, trial: FrozenTrial, state: EndState, value: float | None) -> None:
        """Tell the oracle how a trial of the study ended; `value` None: without one."""
        identity = trial.user_attrs.get(ORACLE_TRIAL)
        if identity is None:
            if self.takes_strangers and value is not None:
                self._take(trial.number, dict(trial.params), value)
            return
        number = trial.number
        if state == "duplicate":
            if any(other.user_attrs.get(ORACLE_TRIAL) == identity for other in self._in_flight()):
                return  # put back twice by a supervisor that was killed in between; the other one goes on
            number, value = self._twin(trial)
        ours = self.oracle.trials[identity]
        if ours.status != "RUNNING":
            return
        self._numbers[identity] = number
        if value is None:
            ours.status, ours.message = "FAILED", state
        else:
            self.oracle.update_trial(identity, {SCORE: value})
            ours.status = "COMPLETED"
        self.oracle.end_trial(ours)
        self._ended(ours)

    def restore(self) -> None:
        """Make the oracle's trials from those of the study, and write its files anew."""
        folder = self.request.folder / FOLDER
        earlier = _state(folder)
        for entry in self._entries():
            trial = self._recorded(entry)
            self._restored(trial, entry)
        self._all_restored()
        if sorted(earlier.get("start_order", ())) == sorted(self.oracle.start_order):  # as if it had never stopped
            self.oracle._seed_state = earlier.get("seed_state", self.oracle._seed_state)
        shutil.rmtree(folder, ignore_errors=True)
        for trial in self.oracle.trials.values():
            self.oracle._save_trial(trial)
        self.oracle.save()

    # -- what the kinds of oracles do in their own way -----------------------------------------------------------

    def _proposed(self, trial: Any) -> None:
        """Hear of a new trial."""

    def _attributes(self, trial: Any) -> dict[str, Any]:  # noqa: ARG002 - one signature for all
        """Return further user attributes of a new trial."""
        return {}

    def _ended(self, trial: Any) -> None:
        """Hear of a trial that ended."""

    def _restored(self, trial: Any, entry: _Entry) -> None:
        """Hear of a trial of an earlier start, in the order in which they were made."""

    def _all_restored(self) -> None:
        """Hear that there is no other one."""

    # ------------------------------------------------------------------------------------------------------------

    def _free_slot(self) -> str:
        taken = self.oracle.ongoing_trials
        return next(name for number in itertools.count() if (name := f"slot{number}") not in taken)

    def _in_flight(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))

    def _twin(self, trial: FrozenTrial) -> tuple[int, float | None]:
        """Return number and value of the trial that a duplicate repeats."""
        number = int(str(trial.user_attrs["duplicate_of"]).rpartition("-")[2])
        trials = self.study.get_trials(deepcopy=False)
        return (number, trials[number].value) if number < len(trials) else (number, None)

    def _take(self, number: int, values: dict[str, Scalar], value: float) -> None:
        trial = self._recorded(_Entry(f"optuna{number}", values, {}, value=value, number=number))
        self.oracle._save_trial(trial)
        self.oracle.save()

    def _recorded(self, entry: _Entry) -> Any:
        """Return a trial of an earlier start as the oracle would have it, and enter it there."""
        oracle = self.oracle
        hp = oracle.get_space()
        hp.values = {**self._own_values(entry), **entry.values}
        trial = Trial(hyperparameters=hp, trial_id=entry.id, status="RUNNING")
        oracle._record_values(trial)
        oracle.trials[entry.id] = trial
        oracle.start_order.append(entry.id)
        if entry.open:
            oracle.ongoing_trials[self._free_slot()] = trial
            return trial
        if entry.number is not None:
            self._numbers[entry.id] = entry.number
        oracle._run_times[entry.id] += 1
        oracle.end_order.append(entry.id)
        if entry.value is None:
            trial.status = "FAILED"
        else:
            trial.metrics.register(SCORE, direction=oracle.objective.direction)
            trial.metrics.update(SCORE, entry.value)
            trial.status = "COMPLETED"
            oracle.score_trial(trial)
        return trial

    def _own_values(self, entry: _Entry) -> dict[str, Any]:  # noqa: ARG002 - one signature for all
        """Return what the oracle keeps among the values of a trial for itself."""
        return {}

    def _entries(self) -> Iterator[_Entry]:
        """Yield the trials of the oracle in the order in which they were made."""
        records = {record.trial: record for record in read_records(self.request.folder / TRIALS)}
        found: dict[str, _Entry] = {}
        for trial in self.study.get_trials(deepcopy=False):
            identity = trial.user_attrs.get(ORACLE_TRIAL)
            stranger = identity is None
            if stranger and not self.takes_strangers:
                continue
            values = {**trial.system_attrs.get(FIXED_PARAMS, {}), **trial.params}
            entry = found.setdefault(
                identity or f"optuna{trial.number}", _Entry(identity or f"optuna{trial.number}", values, {})
            )
            entry.attributes = {**entry.attributes, **trial.user_attrs}
            entry.open |= not trial.state.is_finished()
            number, value = trial.number, trial.value
            if "duplicate_of" in trial.user_attrs:
                number, value = self._twin(trial)
            elif (record := records.get(trial.number)) is not None:
                value = record.value
            if value is not None and entry.value is None:
                entry.value, entry.number = value, number
        for entry in found.values():
            entry.open &= entry.value is None
            if entry.id.startswith("optuna") and entry.value is None:
                continue  # nothing to learn from a stranger without a value
            yield entry


class _Bayesian(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]  # no type information
    """Draws at random where the optimum of the Gaussian process, often in a corner of the space, was tried before."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response: dict[str, Any] = super().populate_space(trial_id)
        hp = self.get_space()
        hp.values = response["values"]
        if hp.values and self._duplicate(_in_space(self.space, hp)):
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

    def _own_values(self, entry: _Entry) -> dict[str, Any]:
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

    def _restored(self, trial: Any, entry: _Entry) -> None:
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


def _in_space(space: SearchSpace, hp: Any) -> dict[str, Scalar]:
    """Return the values of the space's parameters that `hp` proposes, and make them those that `hp` has."""
    values = draw(space, from_keras_tuner(hp, space))
    hp.values = {**{name: value for name, value in hp.values.items() if name.startswith("tuner/")}, **values}
    return values


def _state(folder: Path) -> dict[str, Any]:
    """Return what ``oracle.json`` holds; {} where it is missing or damaged."""
    try:
        state = json.loads((folder / "oracle.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
