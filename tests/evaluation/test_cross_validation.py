"""Cross-validation with a predictor whose every number is known."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from automl_pheno.data.dataset import Dataset, Examples, Inputs
from automl_pheno.errors import TrainingError
from automl_pheno.evaluation import cross_validate
from automl_pheno.predictors.protocol import FitSummary
from automl_pheno.splits.split import Fold, Split

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


def small_folds(n: int = N, size: int = 2) -> np.ndarray:
    return np.arange(n) // size


def fold_split(ids: np.ndarray, fold: np.ndarray) -> Split:
    return Split(ids=ids, group=np.arange(N), set=np.where(fold >= 0, "train", "test"), fold=fold)


class Offset(Recorder):
    """Predicts the first dosage, halved, and the mean of its training rows: each fold has another level."""

    def fit(self, train, validation=None, *, rng, report=None):
        self.mean = float(train.y.mean())
        return FitSummary(weights=1, seconds=0.0)

    def predict(self, inputs):
        return 0.5 * inputs.values[:, 0].astype(float) + self.mean


@pytest.mark.parametrize("metric", ["pearson_r", "spearman", "r2", "rmse", "mae"])
def test_folds_of_two_samples_are_scored_all_at_once(dataset: Dataset, metric: str) -> None:
    rng = np.random.default_rng(3)
    y = dataset.inputs.values[:, 0] + rng.normal(0.0, 0.3, N)
    seen: list = []

    def report(step: int, value: float) -> bool:
        seen.append((step, value))
        return False

    result = cross_validate(
        lambda: Offset([]), dataset, y, fold_split(dataset.ids, small_folds()), metric=metric, seed=1, report=report
    )
    expected = 0.5 * dataset.inputs.values[:, 0] + [np.delete(y, [i // 2 * 2, i // 2 * 2 + 1]).mean() for i in range(N)]
    np.testing.assert_allclose(result.held_out, expected)
    truth = {
        "pearson_r": stats.pearsonr(y, expected).statistic, "spearman": stats.spearmanr(y, expected).statistic,
        "r2": r2_score(y, expected), "rmse": np.sqrt(((y - expected) ** 2).mean()), "mae": abs(y - expected).mean(),
    }  # fmt: skip
    assert result.mean(metric) == pytest.approx(truth[metric])
    assert result.pooled == pytest.approx(truth)
    assert np.isnan(result.sd(metric))
    assert [step for step, _ in seen] == list(range(5, 21)), "no report before ten samples are predicted"
    assert seen[-1][1] == pytest.approx(truth[metric])
    if metric == "mae":
        assert seen[0][1] == pytest.approx(abs(y - expected)[:10].mean())


def test_a_fold_of_one_value_has_no_r2_and_does_not_end_the_trial(dataset: Dataset) -> None:
    fold = np.arange(N) % 2
    y = np.where(fold == 0, 1.0, dataset.inputs.values[:, 0])
    result = cross_validate(lambda: Offset([]), dataset, y, fold_split(dataset.ids, fold), metric="r2", seed=1)
    assert np.isnan(result.scores[0]["r2"])
    assert result.mean("r2") == pytest.approx(r2_score(y, result.held_out))


def test_folds_of_ten_are_scored_each_and_their_held_out_predictions_are_kept(dataset: Dataset) -> None:
    y = dataset.inputs.values[:, 0].astype(float)
    split = folds(dataset.ids)
    result = cross_validate(lambda: Offset([]), dataset, y, split, metric="rmse", seed=1)
    assert not result.pooled
    assert np.isfinite(result.held_out[:30]).all()
    assert np.isnan(result.held_out[30:]).all()
    for fold, scores in zip(split.folds(), result.scores, strict=True):
        rows = fold.validation
        assert scores["rmse"] == pytest.approx(np.sqrt(((y - result.held_out)[rows] ** 2).mean()))
    assert result.mean("rmse") == pytest.approx(np.mean([scores["rmse"] for scores in result.scores]))


def test_a_sample_that_is_validated_twice_keeps_the_mean_of_its_predictions(dataset: Dataset) -> None:
    class Twice(Split):
        def folds(self):
            for number, rows in enumerate((np.arange(0, 20), np.arange(10, 30))):
                yield Fold(number=number, train=np.setdiff1d(np.arange(30), rows), validation=rows)

    one = folds(dataset.ids)
    split = Twice(ids=one.ids, group=one.group, set=one.set, fold=one.fold)
    y = dataset.inputs.values[:, 0].astype(float)
    result = cross_validate(lambda: Offset([]), dataset, y, split, metric="rmse", seed=1)
    first, second = y[20:30].mean(), y[:10].mean()
    level = np.r_[np.full(10, first), np.full(10, (first + second) / 2), np.full(10, second), np.full(10, np.nan)]
    np.testing.assert_allclose(result.held_out, 0.5 * y + level)
