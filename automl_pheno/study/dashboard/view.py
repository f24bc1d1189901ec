"""The storage of a run as the dashboard sees it: with the note and the artifacts that the run's files make."""

from __future__ import annotations

import copy
from collections.abc import Container
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.dashboard.artifacts import PREFIX, RunArtifacts
from automl_pheno.study.dashboard.note import make_note
from automl_pheno.study.parameters import shares_of
from automl_pheno.study.run_folder import FINAL

_NOTE = "dashboard:note_"
_NOTE_VERSION = "dashboard:note_ver"
_NOTE_TEXT = "dashboard:note_str:0"

LINKS = "[Overview of the run](/) · [leaderboard.csv](/leaderboard.csv)"
LINKS_OF_FINISHED = f"**[Report](/report.html)** · {LINKS}"


def _forward(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.inner, name)(*args, **kwargs)

    method.__name__ = name
    return method


# Whatever Optuna's storages can do is done by the storage behind the view.
_Forwarding: Any = type(
    "_Forwarding",
    (BaseStorage,),
    {name: _forward(name) for name in dir(BaseStorage) if callable(getattr(BaseStorage, name)) and name[:2] != "__"},
)


class RunView(_Forwarding):  # type: ignore[misc] # mypy does not follow a class that is made from a list of names
    """A storage that shows one study of another storage, with note and artifacts.

    Parameters
    ----------
    inner
        The storage of the run.
    run
        Folder of the run.
    artifacts
        Of the run.
    name
        Of the study: a database may hold others; None shows all.
    """

    def __init__(self, inner: BaseStorage, run: Path, artifacts: RunArtifacts, name: str | None) -> None:
        self.inner = inner
        self._run = run
        self._artifacts = artifacts
        self._name = name

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the run's study."""
        shown = []
        for study in self.inner.get_all_studies():
            if self._name in (None, study.study_name):
                seen = copy.copy(study)
                seen.system_attrs = self._seen(study.system_attrs)
                shown.append(seen)
        return shown

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the study's attributes with note and artifacts."""
        return self._seen(self.inner.get_study_system_attrs(study_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's own signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return all trials, each with its artifacts."""
        return [self._with_artifacts(trial) for trial in self.inner.get_all_trials(study_id, deepcopy, states)]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial with its artifacts."""
        return self._with_artifacts(self.inner.get_trial(trial_id))

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Return the attributes of a trial with its artifacts."""
        return self.get_trial(trial_id).system_attrs

    def importances(self, study_id: int) -> list[dict[str, Any]]:
        """Return the importance of each parameter as ``parameter_importance.csv`` has it, for optuna-dashboard's page.

        Its own are of another quantile of the same trials, so that a reader would find two numbers for one parameter.
        """
        trials = self.inner.get_all_trials(study_id, deepcopy=False)
        direction = self.inner.get_study_directions(study_id)[0]
        kinds = {name: type(kind).__name__ for trial in trials for name, kind in trial.distributions.items()}
        shares = shares_of(trials, "maximize" if direction == StudyDirection.MAXIMIZE else "minimize")
        return [{"name": name, "importance": share, "distribution": kinds[name]} for name, share in shares.items()]

    def _with_artifacts(self, trial: FrozenTrial) -> FrozenTrial:
        if not (found := self._artifacts.of_trial(trial.number)):
            return trial
        seen = copy.copy(trial)
        seen.system_attrs = {**trial.system_attrs, **found}
        return seen

    def _seen(self, attributes: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in attributes.items() if not key.startswith((_NOTE, PREFIX))}
        links = LINKS_OF_FINISHED if (self._run / FINAL).is_file() else LINKS
        note = make_note(self._run, links=links)
        return {**kept, **self._artifacts.of_study(), _NOTE_VERSION: 1, _NOTE_TEXT: note}
