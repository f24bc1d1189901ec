from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from automl_pheno.data.dataset import Dataset, Examples, Inputs
from automl_pheno.evaluation.cross_validation import cross_validate, held_out_calibration
from automl_pheno.metrics import score
from automl_pheno.predictors.calibration import Calibration, Correction, out_of_fold, scorable
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.simulate import simulate_motifs
from automl_pheno.space.config import ModelConfig
from automl_pheno.splits import Split

NETWORK = ModelConfig.model_validate(
    {
        "input": "sequence",
        "trunk": [
            {"block": "conv", "filters": 8, "kernel_size": 5, "pooling": "max", "pool_size": 2, "dropout": 0.4},
            {"block": "flatten", "pooling": "max"},
        ],
        "head": [{"block": "dense", "units": 16, "dropout": 0.4}],
        "fit": {"batch_size": 32, "learning_rate": 0.01, "max_epochs": 8, "l2": 0.01},
    }
)


def draw(rng, n, slope=1.5, level=0.7, noise=0.5):
    predicted = rng.normal(3.0, 1.0, n)
    return 3.0 + level + slope * (predicted - 3.0) + rng.normal(0.0, noise, n), predicted


def test_slope_level_and_errors_are_those_of_least_squares():
    observed, predicted = draw(np.random.default_rng(0), 400)
    found = Calibration.measure(observed, predicted, np.arange(400))
    line = linregress(predicted, observed)
    assert found.slope == pytest.approx(line.slope)
    assert found.level == pytest.approx(observed.mean() - predicted.mean())
    assert found.slope_error == pytest.approx(line.stderr, rel=0.15)
    corrected = found.correction()(predicted)
    assert linregress(corrected, observed).slope == pytest.approx(1.0, abs=0.02)
    assert corrected.mean() == pytest.approx(observed.mean(), abs=0.02)


def test_rows_of_one_group_do_not_count_as_many():
    rng = np.random.default_rng(1)
    predicted, shift = np.repeat(rng.normal(size=20), 30), np.repeat(rng.normal(size=20), 30)
    observed = predicted + shift + 0.1 * rng.normal(size=600)
    alone = Calibration.measure(observed, predicted, np.arange(600))
    grouped = Calibration.measure(observed, predicted, np.repeat(np.arange(20), 30))
    assert grouped.slope == pytest.approx(alone.slope)
    assert grouped.slope_error > 4 * alone.slope_error
    assert grouped.level_error > 4 * alone.level_error


def test_an_order_is_never_turned_round():
    observed, predicted = draw(np.random.default_rng(2), 500, slope=-2.0)
    assert Calibration.measure(observed, predicted, np.arange(500)).correction().scale == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("observed", "predicted", "groups"),
    [
        (np.arange(7.0), np.arange(7.0), np.arange(7)),  # too few
        (np.arange(20.0), np.full(20, 0.3), np.arange(20)),
        (np.full(20, 2.0), np.arange(20.0), np.arange(20)),
        (np.arange(20.0), np.arange(20.0), np.zeros(20, int)),  # one group
        (np.zeros(0), np.zeros(0), np.zeros(0, int)),
    ],
)
def test_where_nothing_can_be_told_nothing_is_corrected(observed, predicted, groups):
    assert Calibration.measure(observed, predicted, groups) is None
    np.testing.assert_array_equal(scorable(observed, predicted, groups), predicted)


def test_a_slope_is_believed_as_far_as_its_error_allows():
    about = {"level": 0.0, "level_error": 0.1, "pivot": 0.0, "spread": 1.0}
    assert Calibration(slope=1.5, slope_error=0.02, **about).correction().scale == pytest.approx(1.5, abs=0.01)
    assert Calibration(slope=1.5, slope_error=4.0, **about).correction().scale == pytest.approx(1.0, abs=0.01)
    assert Calibration(slope=1.5, slope_error=float("inf"), **about).correction().scale == 1.0


def test_noise_costs_less_than_it_would_uncorrected():
    rng = np.random.default_rng(3)
    costs = []
    for _ in range(200):
        observed, predicted = draw(rng, 20, slope=0.0, level=0.0, noise=1.0)
        correction = Calibration.measure(observed, predicted, np.arange(20)).correction()
        new, output = draw(rng, 200, slope=0.0, level=0.0, noise=1.0)
        costs.append([np.mean((new - correction(output)) ** 2), np.mean((new - output) ** 2)])
    corrected, raw = np.mean(costs, axis=0)
    assert corrected < 1.35 < raw  # 1 is the noise


def test_folds_are_pooled_by_precision():
    about = {"level": 0.0, "level_error": 0.1, "pivot": 0.0, "spread": 1.0}
    sharp, vague = Calibration(slope=1.2, slope_error=0.1, **about), Calibration(slope=3.0, slope_error=1.0, **about)
    pooled = Calibration.pooled([sharp, vague])
    assert pooled.slope == pytest.approx((1.2 * 100 + 3.0) / 101)
    assert pooled.slope_error >= 1 / np.sqrt(101) - 1e-9
    assert Calibration.pooled([sharp]) == sharp
    assert Calibration.pooled([]) is None


@pytest.mark.parametrize("slope", [0.6, 1.4])
def test_scores_of_the_rows_that_corrected_are_those_of_new_rows(slope):
    rng = np.random.default_rng(4)
    errors = []
    for _ in range(400):
        observed, output = draw(rng, 60, slope=slope, level=0.1, noise=1.0)
        correction = Calibration.measure(observed, output, np.arange(60)).correction()
        scored = scorable(observed, output, np.arange(60))
        assert score(observed, scored)["pearson_r"] == pytest.approx(score(observed, output)["pearson_r"], abs=1e-12)
        new, new_output = draw(rng, 500, slope=slope, level=0.1, noise=1.0)
        errors.append([np.mean((y - f) ** 2) for y, f in (
            (observed, scored), (new, correction(new_output)), (observed, correction(output)))])  # fmt: skip
    honest, new, flattered = np.mean(errors, axis=0)
    assert honest == pytest.approx(new, abs=0.02)
    assert flattered < new - 0.05


def test_inner_folds_of_a_correction_keep_groups_whole():
    rng = np.random.default_rng(5)
    values = rng.integers(0, 3, (90, 1)).astype(np.float32)
    train = Examples(
        inputs=Inputs(kind="genotype", values=values), y=2.0 * values[:, 0] + rng.normal(0, 0.1, 90),
        groups=np.repeat(np.arange(30), 3),
    )  # fmt: skip
    seen = []

    def predict(part, inputs):
        seen.append(set(part.groups))
        return inputs.values[:, 0].astype(float)

    correction = out_of_fold(train, 3, rng, predict)
    assert all(len(part.intersection(other)) == 10 for i, part in enumerate(seen) for other in seen[:i])
    assert correction.scale == pytest.approx(2.0, abs=0.05)
    one_group = Examples(inputs=train.inputs, y=train.y, groups=np.zeros(90, int))
    assert out_of_fold(one_group, 3, rng, predict) == Correction()


@pytest.fixture(scope="module")
def motifs():
    dataset, _ = simulate_motifs(n=500, length=50, seed=0)
    every = Examples(inputs=dataset.inputs, y=dataset.y(str(dataset.traits.columns[0])), groups=np.arange(500))
    return every.take(np.arange(300)), every.take(np.arange(300, 400)), every.take(np.arange(400, 500))


def test_the_exported_network_carries_the_correction(motifs, tmp_path):
    train, validation, test = motifs
    predictor = NetworkPredictor(NETWORK, members=2)
    summary = predictor.fit(train, validation, rng=np.random.default_rng(0))
    assert summary.calibration.correction().scale != 1.0
    predicted = predictor.predict(test.inputs)
    predictor.save(tmp_path)
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    output = np.asarray(model(predictor.encode(test.inputs)))[:, 0]
    np.testing.assert_allclose(output * predictor.y_sd + predictor.y_mean, predicted, rtol=1e-4, atol=1e-4)
    raw = np.mean([each.predict(predictor._rows(test.inputs)) for each in predictor._trained], axis=0)
    np.testing.assert_allclose(predicted, summary.calibration.correction()(raw) * predictor.y_sd + predictor.y_mean)
    assert np.corrcoef(raw, predicted)[0, 1] == pytest.approx(1.0)


def test_a_fixed_number_of_epochs_takes_nothing_from_validation_rows(motifs):
    train, validation, test = motifs
    plain, watched = (NetworkPredictor(NETWORK, epochs=3) for _ in range(2))
    plain.fit(train, rng=np.random.default_rng(0))
    summary = watched.fit(train, validation, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(plain.predict(test.inputs), watched.predict(test.inputs))
    assert summary.validated is None
    given = NetworkPredictor(NETWORK, epochs=3, calibration=summary.calibration)
    given.fit(train, rng=np.random.default_rng(0))
    expected = summary.calibration.correction()((plain.predict(test.inputs) - plain.y_mean) / plain.y_sd)
    np.testing.assert_allclose(given.predict(test.inputs), expected * plain.y_sd + plain.y_mean)


def folds_of(n, k, y):
    ids = np.array([f"s{i}" for i in range(n)])
    inputs = Inputs(kind="genotype", values=np.zeros((n, 1), np.float32))
    frame = pd.DataFrame({"trait": y}, index=pd.Index(ids))
    dataset = Dataset(name="d", ids=ids, inputs=inputs, traits=frame, columns=frame.iloc[:, :0])
    return dataset, Split(ids=ids, group=np.arange(n), set=np.full(n, "train"), fold=np.arange(n) % k)


def test_a_score_is_of_the_predictions_that_may_be_scored():
    y = np.random.default_rng(6).normal(size=40)
    dataset, split = folds_of(40, 2, y)
    half = SimpleNamespace(validated=None, stopped="fitted")

    class Flattered:
        def fit(self, train, validation, *, rng, report):
            self.y = validation.y
            return SimpleNamespace(**{**vars(half), "validated": validation.y + 1.0})

        def predict(self, inputs):
            return self.y

    result = cross_validate(Flattered, dataset, y, split, metric="rmse", seed=0)
    assert [fold["rmse"] for fold in result.scores] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("n", "k", "fits"), [(100, 10, 5), (100, 3, 3), (3000, 5, 1)])
def test_a_finalist_is_measured_on_folds_until_they_hold_enough_rows(n, k, fits):
    rng = np.random.default_rng(7)
    y = rng.normal(size=n)
    dataset, split = folds_of(n, k, y)
    made = []

    class Stretched:
        def fit(self, train, validation, *, rng):
            made.append(len(validation))
            seen = Calibration.measure(validation.y, 2.0 * validation.y, np.arange(len(validation)))
            return SimpleNamespace(calibration=seen)

    found = held_out_calibration(Stretched, dataset, y, split, seed=0)
    assert len(made) == fits
    assert found.slope == pytest.approx(0.5)
