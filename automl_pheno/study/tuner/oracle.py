"""An oracle of KerasTuner that asks an Optuna study; imports KerasTuner."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras_tuner
import optuna
from keras_tuner.engine import hyperparameters as kinds
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from automl_pheno.space.sample import draw
from automl_pheno.space.suggest import declare_hyperparameters, from_optuna
from automl_pheno.space.tree import SearchSpace

JOURNAL = "optuna_journal.log"
TRIAL = "keras_tuner_trial"
"""User attribute of a trial: its id in the oracle."""

_NUMBERS = "optuna_numbers"  # key in the oracle's state
_SEEDS = 2**31 - 1


class OptunaOracle(keras_tuner.Oracle):  # type: ignore[misc]  # KerasTuner has no type information
    """Proposes what an Optuna study asks for, and tells it how the trials end; see `optuna_oracle`.

    Parameters
    ----------
    space
        Search space; None where the hypermodel declares its hyperparameters as it goes.
    sampler
        Of the study.
    storage, study_name
        Of the study.
    seed
        Of KerasTuner's own random numbers.
    options
        Of ``keras_tuner.Oracle``.
    """

    def __init__(
        self,
        space: SearchSpace | None,
        *,
        sampler: BaseSampler,
        storage: Any,
        study_name: str,
        seed: int,
        **options: Any,
    ) -> None:
        if space is not None and "hyperparameters" not in options:
            options["hyperparameters"] = keras_tuner.HyperParameters()
            declare_hyperparameters(options["hyperparameters"], space)
        super().__init__(seed=seed % _SEEDS + 1, **options)
        self._space = space
        self._sampler = sampler
        self._storage = storage
        self._study_name = study_name
        self._study: optuna.Study | None = None
        self._numbers: dict[str, int] = {}

    @property
    def study(self) -> optuna.Study:
        """The Optuna study; opened when it is first needed."""
        if self._study is None:
            self._study = optuna.create_study(
                storage=self._open(),
                sampler=self._sampler,
                study_name=self._study_name,
                direction="maximize" if self.objective.direction == "max" else "minimize",
                load_if_exists=True,
            )
        return self._study

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial; see ``keras_tuner.Oracle``."""
        for _ in range(self._max_collisions):
            trial = self.study.ask()
            trial.set_user_attr(TRIAL, trial_id)
            values = self._ask(trial)
            if not self._duplicate(values):
                self._numbers[trial_id] = trial.number
                return {"status": "RUNNING", "values": values}
            trial.set_user_attr("outcome", "duplicate")
            self.study.tell(trial, state=TrialState.FAIL)
        return {"status": "STOPPED", "values": None}

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def update_trial(self, trial_id: str, metrics: dict[str, Any], step: int = 0) -> Any:
        """Keep metrics of a trial, and report the objective to the study; see ``keras_tuner.Oracle``."""
        trial = super().update_trial(trial_id, metrics, step=step)
        number = self._numbers.get(trial_id)
        if number is not None and self.objective.has_value(metrics):
            storage, trial_number = self.study._storage, self.study.get_trials(deepcopy=False)[number]
            if not trial_number.state.is_finished() and step not in trial_number.intermediate_values:
                value = float(self.objective.get_value(metrics))
                storage.set_trial_intermediate_value(trial_number._trial_id, int(step), value)
        return trial

    @keras_tuner.synchronized  # type: ignore[untyped-decorator]
    def end_trial(self, trial: Any) -> None:
        """End a trial here and in the study, unless it is to be tried again; see ``keras_tuner.Oracle``."""
        super().end_trial(trial)
        self._tell(self.trials[trial.trial_id])

    def get_state(self) -> dict[str, Any]:
        """Return what ``oracle.json`` holds."""
        return {**super().get_state(), _NUMBERS: dict(self._numbers)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what ``oracle.json`` held."""
        super().set_state(state)
        self._numbers = dict(state[_NUMBERS])

    def reload(self) -> None:
        """Take up a project: what it has finished the study learns, and what it does not know of is ended there."""
        super().reload()
        for trial in self.trials.values():
            self._tell(trial)
        known = set(self._numbers.values())
        for running in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # Asked for by this project, which was killed before it wrote that down.
            if running.user_attrs.get(TRIAL) is not None and running.number not in known:
                self.study.tell(running.number, state=TrialState.FAIL)

    # ------------------------------------------------------------------------------------------------------------

    def _open(self) -> BaseStorage | str | None:
        storage = self._storage
        if storage is None and self._directory_is_set:
            storage = Path(self._project_dir) / JOURNAL
        if storage is None or isinstance(storage, BaseStorage):
            return storage
        if "://" in str(storage):
            return str(storage)
        return JournalStorage(JournalFileBackend(str(storage)))

    @property
    def _directory_is_set(self) -> bool:
        return getattr(self, "_directory", None) is not None

    def _ask(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return the values of the active hyperparameters, each asked for under its name and with its limits."""
        hps = keras_tuner.HyperParameters()
        of_space: dict[str, Any] = {} if self._space is None else draw(self._space, from_optuna(trial))
        for hp in self.hyperparameters.space:
            hps.merge([hp])
            if not hps.is_active(hp):
                continue
            if hp.name in of_space:
                hps.values[hp.name] = of_space[hp.name]
            elif isinstance(hp, kinds.Fixed):
                hps.values[hp.name] = hp.value
            else:
                hps.values[hp.name] = _suggest(trial, hp)
        return dict(hps.values)

    def _tell(self, trial: Any) -> None:
        number = self._numbers.get(trial.trial_id)
        if number is None:
            return
        if trial.status == "COMPLETED":
            self.study.tell(number, float(trial.score), skip_if_finished=True)
        elif trial.status == "FAILED":
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def distribution(hp: Any) -> BaseDistribution:
    """Return Optuna's distribution of a hyperparameter of KerasTuner.

    A range of numbers with a step is a choice of its values where it is logarithmic: Optuna has no such range.
    """
    if isinstance(hp, (kinds.Choice, kinds.Boolean)):
        return CategoricalDistribution(list(hp.values))
    if hp.sampling == "linear":
        if isinstance(hp, kinds.Int):
            return IntDistribution(hp.min_value, hp.max_value, step=hp.step or 1)
        return FloatDistribution(hp.min_value, hp.max_value, step=hp.step)
    if hp.step is not None or hp.sampling == "reverse_log":
        return CategoricalDistribution(list(hp.values))
    kind = IntDistribution if isinstance(hp, kinds.Int) else FloatDistribution
    return kind(hp.min_value, hp.max_value, log=True)


def _suggest(trial: optuna.Trial, hp: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's on a step that does not reach the largest value: it adjusts it
        return trial._suggest(hp.name, distribution(hp))
