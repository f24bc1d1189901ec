"""Weights that a trial leaves for the one that goes on with it (Hyperband): ``weights/<trial>/fold<k>.npz``."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from automl_pheno.errors import OutputError
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import Predictor

if TYPE_CHECKING:
    from automl_pheno.predictors.network import NetworkPredictor

WEIGHTS = "weights"


class Continuation:
    """Breaks the trainings of a trial off at its budget, and begins them where those of another trial ended.

    The weights, the optimizer and the random numbers go on from where they were, so a trial that goes on ends exactly
    as if it had been trained in one go. Where the weights are missing (cleaned up, another machine) or do not fit it is
    trained in one go, with the same result, and `reason` says so.

    Parameters
    ----------
    run
        Folder of the run.
    name
        Of the trial.
    budget
        Epochs at which it ends.
    continues
        Name of the trial to go on with; None to begin anew.
    """

    def __init__(self, run: Path, name: str, budget: int, continues: str | None) -> None:
        self._run = run
        self._name = name
        self._budget = budget
        self._continues = continues
        self._missing = False

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Continuation | None:
        """Return the continuation that a task asks for; None where it has no budget."""
        if "budget" not in task:
            return None
        return cls(Path(task["run"]), str(task["name"]), int(task["budget"]), task.get("continues"))

    @property
    def reason(self) -> str:
        """Why it was trained from scratch; "" if it was not or had to be."""
        return f"the weights of {self._continues} are missing: trained from scratch" if self._missing else ""

    def before(self, predictor: Predictor, fold: int) -> None:
        """Set where the training of this fold begins and ends."""
        network = _network(predictor)
        network.until = self._budget
        if self._continues is None:
            return
        from automl_pheno.training import Checkpoint

        try:
            network.start = Checkpoint.load(self._file(self._continues, fold))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            network.start = None

    def after(self, predictor: Predictor, fold: int) -> None:
        """Keep what this fold left, if more epochs may follow."""
        network = _network(predictor)
        self._missing |= self._continues is not None and network.start is None
        checkpoint, network.checkpoint = network.checkpoint, None
        if checkpoint is None or self._budget >= network.config.fit.max_epochs or not self._run.is_dir():
            return
        file = self._file(self._name, fold)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(file)
        except (OSError, OutputError):  # a full disk: the trial is none the worse, and one that goes on says so
            shutil.rmtree(file.parent, ignore_errors=True)

    def _file(self, name: str, fold: int) -> Path:
        return self._run / WEIGHTS / name / f"fold{fold}.npz"


def remove_weights(run: Path, names: Iterable[str] | None = None) -> None:
    """Remove the weights of the trials `names`; None: of all, since the search is over."""
    folder = run / WEIGHTS
    for path in [folder] if names is None else [folder / name for name in names]:
        shutil.rmtree(path, ignore_errors=True)


def _network(predictor: Predictor) -> NetworkPredictor:
    network: Any = predictor.inner if isinstance(predictor, CuratedPredictor) else predictor
    return cast("NetworkPredictor", network)  # only networks have a budget; Keras is not imported to check
