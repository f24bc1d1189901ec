"""An oracle of KerasTuner and its trials in the study, each told of the other's; imports KerasTuner, and so Keras."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keras_tuner.engine.trial import Trial
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.space.ranges import Scalar
from automl_pheno.space.sample import draw
from automl_pheno.space.suggest import from_keras_tuner
from automl_pheno.space.tree import SearchSpace
from automl_pheno.study.engines.protocol import EndState, EngineRequest
from automl_pheno.study.records import read_records
from automl_pheno.study.run_folder import TRIALS
from automl_pheno.study.storage.journal import FIXED_PARAMS

if TYPE_CHECKING:
    import optuna

FOLDER = "keras_tuner"
"""Folder of the run with ``oracle.json`` and the trials as KerasTuner writes them."""

ORACLE_TRIAL = "oracle_trial"
"""User attribute of a trial: its id in the oracle."""
SCORE = "score"

Proposal = tuple[dict[str, Scalar], dict[str, Any]]
"""Values, and user attributes of the trial."""


@dataclass(slots=True)
class Entry:
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
        values = in_space(self.request.space, trial.hyperparameters)
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

    def _restored(self, trial: Any, entry: Entry) -> None:
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
        trial = self._recorded(Entry(f"optuna{number}", values, {}, value=value, number=number))
        self.oracle._save_trial(trial)
        self.oracle.save()

    def _recorded(self, entry: Entry) -> Any:
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

    def _own_values(self, entry: Entry) -> dict[str, Any]:  # noqa: ARG002 - one signature for all
        """Return what the oracle keeps among the values of a trial for itself."""
        return {}

    def _entries(self) -> Iterator[Entry]:
        """Yield the trials of the oracle in the order in which they were made."""
        records = {record.trial: record for record in read_records(self.request.folder / TRIALS)}
        found: dict[str, Entry] = {}
        for trial in self.study.get_trials(deepcopy=False):
            identity = trial.user_attrs.get(ORACLE_TRIAL)
            stranger = identity is None
            if stranger and not self.takes_strangers:
                continue
            values = {**trial.system_attrs.get(FIXED_PARAMS, {}), **trial.params}
            entry = found.setdefault(
                identity or f"optuna{trial.number}", Entry(identity or f"optuna{trial.number}", values, {})
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


def in_space(space: SearchSpace, hp: Any) -> dict[str, Scalar]:
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
