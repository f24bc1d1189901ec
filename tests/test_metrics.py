"""Metrics against scikit-learn and scipy, and intervals against their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference
from sklearn.linear_model import LinearRegression

from automl_pheno.errors import UnknownNameError
from automl_pheno.metrics import (
    CALIBRATION,
    METRICS,
    bootstrap_calibration,
    bootstrap_difference,
    bootstrap_interval,
    calibration,
    score,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(1)
    y = rng.normal(3.0, 2.0, 200)
    return y, np.round(y + rng.normal(size=200), 1)


def test_equal_scikit_learn_and_scipy(pair):
    y, prediction = pair
    got = score(y, prediction)
    assert set(got) == {"pearson_r", "spearman", "r2", "rmse", "mae"}
    assert got["pearson_r"] == pytest.approx(stats.pearsonr(y, prediction).statistic)
    assert got["spearman"] == pytest.approx(stats.spearmanr(y, prediction).statistic)
    assert got["r2"] == pytest.approx(reference.r2_score(y, prediction))
    assert got["rmse"] == pytest.approx(np.sqrt(reference.mean_squared_error(y, prediction)))
    assert got["mae"] == pytest.approx(reference.mean_absolute_error(y, prediction))


def test_direction_is_stated():
    assert {name for name, metric in METRICS.items() if not metric.higher_is_better} == {"rmse", "mae"}


def test_constant_prediction_has_correlation_zero(pair):
    y, _ = pair
    got = score(y, np.full_like(y, 0.1))
    assert got["pearson_r"] == 0.0
    assert got["spearman"] == 0.0
    assert got["r2"] < 0


def test_constant_y_has_no_r2():
    got = score(np.ones(5), np.arange(5.0))
    assert got["pearson_r"] == 0.0
    assert np.isnan(got["r2"])
    assert got["mae"] == pytest.approx(1.4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_scores_nan(pair, bad):
    y, prediction = pair
    prediction[7] = bad
    assert all(np.isnan(value) for value in score(y, prediction).values())
    assert np.isnan(bootstrap_interval(y, prediction, "r2", np.random.default_rng(0))).all()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_correlation_survives_extreme_scales(pair, scale):
    y, prediction = pair
    assert METRICS["pearson_r"].function(y, prediction * scale) == pytest.approx(
        METRICS["pearson_r"].function(y, prediction)
    )


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one length"):
        score(np.zeros(3), np.zeros(4))


def test_unknown_metric_guesses():
    with pytest.raises(UnknownNameError, match="did you mean 'pearson_r'"):
        bootstrap_interval(np.zeros(3), np.zeros(3), "pearson", np.random.default_rng(0))


def test_interval_matches_fishers_z():
    rng = np.random.default_rng(3)
    y = rng.normal(size=400)
    prediction = 0.6 * y + 0.8 * rng.normal(size=400)
    low, high = bootstrap_interval(y, prediction, "pearson_r", rng)
    z, half = np.arctanh(stats.pearsonr(y, prediction).statistic), 1.96 / np.sqrt(397)
    assert low == pytest.approx(np.tanh(z - half), abs=0.02)
    assert high == pytest.approx(np.tanh(z + half), abs=0.02)


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        y = rng.normal(size=60)
        low, high = bootstrap_interval(y, np.zeros(60), "mae", rng, n=300, level=0.9)
        covered += low <= np.sqrt(2 / np.pi) <= high
    assert 0.82 <= covered / 200 <= 0.96


def test_difference_is_paired_and_signed():
    rng = np.random.default_rng(5)
    y = rng.normal(size=300)
    shared = rng.normal(size=300)
    good, bad = y + shared, y + 1.3 * shared
    difference, low, high = bootstrap_difference(y, good, bad, "rmse", rng)
    assert low <= difference <= high < 0
    assert difference == pytest.approx(score(y, good)["rmse"] - score(y, bad)["rmse"])
    alone_low, alone_high = bootstrap_interval(y, good, "rmse", rng)
    assert high - low < alone_high - alone_low
    same = bootstrap_difference(y, good, good, "r2", rng)
    assert same == (0.0, 0.0, 0.0)


def test_cluster_bootstrap_is_wider_when_groups_share_their_error():
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(20), 20)
    y = rng.normal(size=400)
    prediction = y + rng.normal(size=20)[groups]
    other = np.zeros(400)
    plain = bootstrap_difference(y, prediction, other, "rmse", np.random.default_rng(0), n=500)
    whole = bootstrap_difference(y, prediction, other, "rmse", np.random.default_rng(0), groups, n=500)
    assert whole[2] - whole[1] > 1.5 * (plain[2] - plain[1])
    assert whole[0] == plain[0]


def test_groups_of_one_equal_the_plain_bootstrap(pair):
    y, prediction = pair
    plain = bootstrap_interval(y, prediction, "r2", np.random.default_rng(0))
    single = bootstrap_interval(y, prediction, "r2", np.random.default_rng(0), groups=np.arange(len(y)))
    assert single == pytest.approx(plain, abs=0.02)


def test_same_generator_same_interval(pair):
    y, prediction = pair
    first = bootstrap_interval(y, prediction, "spearman", np.random.default_rng(9), n=200)
    assert first == bootstrap_interval(y, prediction, "spearman", np.random.default_rng(9), n=200)


@pytest.mark.parametrize("n", [3, 10, 200])
def test_calibration_equals_the_least_squares_line_of_scipy(n):
    rng = np.random.default_rng(n)
    prediction = rng.normal(5.0, 2.0, n)
    y = 1.4 * prediction - 2.0 + rng.normal(size=n)
    line = stats.linregress(prediction, y)
    assert calibration(y, prediction) == pytest.approx((line.slope, line.intercept))


@settings(max_examples=100)
@given(
    st.integers(3, 60),
    st.integers(0, 2**32 - 1),
    st.floats(-3, 3),
    st.floats(-1e3, 1e3),
    st.sampled_from([1e-9, 1, 1e9]),
)
def test_calibration_equals_scikit_learn_at_any_scale(n, seed, slope, intercept, scale):
    rng = np.random.default_rng(seed)
    prediction = rng.normal(size=n) * scale
    y = slope * prediction + intercept + rng.normal(size=n)
    line = LinearRegression().fit(prediction[:, None] / scale, y)
    got = calibration(y, prediction)
    assert got[0] * scale == pytest.approx(line.coef_[0], rel=1e-6, abs=1e-6 * (1 + abs(intercept)))
    assert got[1] == pytest.approx(line.intercept_, rel=1e-6, abs=1e-6 * (1 + abs(intercept) + abs(slope) * scale))


@pytest.mark.parametrize(
    ("y", "prediction"),
    [([1.0, 2.0], [1.0, 2.0]), ([], []), ([1.0, 2.0, 3.0], [0.1] * 3), ([1.0, np.nan, 3.0], [1.0, 2.0, 3.0])],
)
def test_where_there_is_no_line_calibration_is_not_known(y, prediction):
    assert np.isnan(calibration(np.array(y), np.array(prediction))).all()
    got = bootstrap_calibration(np.array(y), np.array(prediction), np.random.default_rng(0))
    assert list(got) == list(CALIBRATION)
    assert np.isnan(list(got.values())).all()


@pytest.mark.parametrize("clustered", [False, True])
def test_calibration_intervals_cover_the_truth_nineteen_times_of_twenty(clustered):
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(30), 4)
        prediction = rng.normal(size=30)[groups] if clustered else rng.normal(size=120)
        shared = rng.normal(size=30)[groups] if clustered else 0.0
        y = 1.5 * prediction + 3.0 + shared + rng.normal(size=120)
        got = bootstrap_calibration(y, prediction, rng, n=500, groups=groups if clustered else None)
        inside += (got["slope_low"] <= 1.5 <= got["slope_high"]) + (
            got["intercept_low"] <= 3.0 <= got["intercept_high"]
        )
    assert 0.87 <= inside / 120 <= 0.99


def test_calibration_bounds_are_the_quantiles_of_the_lines_of_the_resamples():
    rng = np.random.default_rng(7)
    prediction = rng.normal(size=40)
    y = 0.8 * prediction + rng.normal(size=40)
    got = bootstrap_calibration(y, prediction, np.random.default_rng(1), n=300)
    rows = np.random.default_rng(1).integers(0, 40, size=(300, 40))
    lines = [stats.linregress(prediction[one], y[one]) for one in rows]
    expected = np.quantile([(line.slope, line.intercept) for line in lines], [0.025, 0.975], axis=0)
    assert [got["slope_low"], got["slope_high"]] == pytest.approx(expected[:, 0])
    assert [got["intercept_low"], got["intercept_high"]] == pytest.approx(expected[:, 1])
