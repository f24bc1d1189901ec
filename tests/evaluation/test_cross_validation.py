"""Cross-validation with a predictor whose every number is known."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Dataset, Examples, Inputs
from automl_pheno.errors import TrainingError
from automl_pheno.evaluation import cross_validate
from automl_pheno.predictors.protocol import FitSummary
from automl_pheno.splits.split import Split

N = 40


class Recorder:
    """Predicts the first dosage; keeps what it was given."""

    kind = "recorder"
    epochs = (0.1, 0.5, 0.3)

    def __init__(self, log: list, *, broken: bool = False) -> None:
        self.log, self.broken = log, broken

    def fit(self, train: Examples, validation: Examples | None = None, *, rng, report=None) -> FitSummary:
        self.log.append((train, validation, float(rng.random())))
        done = 0
        for epoch, value in enumerate(self.epochs, start=1):
            done = epoch
            if report is not None and report(epoch, {"val_r2": value, "loss": 1.0}):
                return FitSummary(weights=3, seconds=0.5, epochs=done, best_epoch=2, stopped="pruned")
        return FitSummary(weights=3, seconds=0.5, epochs=done, best_epoch=2, stopped="early")

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.full(len(inputs), np.nan) if self.broken else inputs.values[:, 0].astype(float)

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> "Recorder":
        return cls([])


@pytest.fixture
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    ids = np.array([f"s{i}" for i in range(N)])
    frame = pd.DataFrame(index=pd.Index(ids))
    return Dataset(
        name="toy",
        ids=ids,
        inputs=Inputs(kind="genotype", values=rng.random((N, 3)).astype("float32")),
        traits=frame,
        columns=frame,
    )


def holdout(ids: np.ndarray) -> Split:
    sets = np.array(["train"] * 20 + ["validation"] * 12 + ["test"] * 8)
    return Split(ids=ids, group=np.arange(N), set=sets, fold=np.full(N, -1))


def folds(ids: np.ndarray) -> Split:
    fold = np.where(np.arange(N) < 30, np.arange(N) % 3, -1)
    return Split(ids=ids, group=np.arange(N) // 2, set=np.where(fold >= 0, "train", "test"), fold=fold)


def test_one_validation_set_reports_the_running_best_by_epoch(dataset: Dataset) -> None:
    log: list = []
    seen: list = []
    y = dataset.inputs.values[:, 0].astype(float)

    def report(step: int, value: float) -> bool:
        seen.append((step, value))
        return False

    result = cross_validate(lambda: Recorder(log), dataset, y, holdout(dataset.ids), metric="r2", seed=1, report=report)
    assert seen == [(1, 0.1), (2, 0.5), (3, 0.5)]
    assert result.mean("r2") == pytest.approx(1.0)
    assert np.isnan(result.sd("r2"))
    assert (result.epochs, result.best_epoch, result.weights, result.seconds) == (3, 2, 3, 0.5)
    train, validation, _ = log[0]
    assert (len(train), len(validation)) == (20, 12)


def test_folds_report_the_running_mean_and_never_see_the_test_set(dataset: Dataset) -> None:
    log: list = []
    steps: list = []
    y = dataset.inputs.values[:, 0].astype(float)

    def report(step: int, value: float) -> bool:
        steps.append((step, value))
        return False

    split = folds(dataset.ids)
    result = cross_validate(lambda: Recorder(log), dataset, y, split, metric="r2", seed=1, report=report)
    assert [step for step, _ in steps] == [1, 2, 3]
    assert len(result.scores) == 3
    assert not result.pruned
    test_values = set(y[split.test].tolist())
    for train, validation, _ in log:
        assert not test_values & set(train.y.tolist())
        assert not test_values & set(validation.y.tolist())
        assert len(train) == 20
    assert len({draw for *_, draw in log}) == 3, "each fold has its own generator"


def test_pruning_between_folds_stops_the_rest(dataset: Dataset) -> None:
    log: list = []
    y = dataset.inputs.values[:, 0].astype(float)
    result = cross_validate(
        lambda: Recorder(log), dataset, y, folds(dataset.ids), metric="r2", seed=1, report=lambda step, value: step == 2
    )
    assert result.pruned
    assert len(log) == 2


def test_pruning_within_the_epochs_is_passed_on(dataset: Dataset) -> None:
    y = dataset.inputs.values[:, 0].astype(float)
    result = cross_validate(
        lambda: Recorder([]), dataset, y, holdout(dataset.ids), metric="r2", seed=1, report=lambda s, v: s == 2
    )
    assert result.pruned
    assert result.epochs == 2


def test_the_running_best_of_an_error_is_the_smallest(dataset: Dataset) -> None:
    class Errors(Recorder):
        def fit(self, train, validation=None, *, rng, report=None):
            values: list[Mapping[str, float]] = [{"val_rmse": 3.0}, {"val_rmse": 1.0}, {"val_rmse": 2.0}]
            for epoch, value in enumerate(values, start=1):
                report(epoch, value)
            return FitSummary(weights=1, seconds=0.0, epochs=3, best_epoch=2)

    seen: list = []
    y = dataset.inputs.values[:, 0].astype(float)

    def report(step: int, value: float) -> bool:
        seen.append(value)
        return False

    cross_validate(lambda: Errors([]), dataset, y, holdout(dataset.ids), metric="rmse", seed=1, report=report)
    assert seen == [3.0, 1.0, 1.0]


def test_a_prediction_that_is_not_finite_is_an_error(dataset: Dataset) -> None:
    y = dataset.inputs.values[:, 0].astype(float)
    with pytest.raises(TrainingError, match="fold 0"):
        cross_validate(
            lambda: Recorder([], broken=True), dataset, y, holdout(dataset.ids), metric="r2", seed=1, report=None
        )
