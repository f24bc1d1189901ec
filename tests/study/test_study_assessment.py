"""Every number of the final test against scipy and scikit-learn, on random inputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from automl_pheno.metrics import CALIBRATION, METRICS
from automl_pheno.study.assessment import assess, clusters_of, compare, in_words, interval_note, validation_calibration
from automl_pheno.study.records import finite

SLOW = settings(max_examples=15, deadline=None)


def truth(y, predicted):
    """Return the metrics by other people's code; None where they are not defined there, or 0 by definition here."""
    constant = np.ptp(predicted) == 0 or np.ptp(y) == 0
    return {
        "pearson_r": 0.0 if constant else pearsonr(y, predicted).statistic,
        "spearman": 0.0 if constant else spearmanr(y, predicted).statistic,
        "r2": np.nan if np.ptp(y) == 0 else r2_score(y, predicted),
        "rmse": np.sqrt(mean_squared_error(y, predicted)),
        "mae": mean_absolute_error(y, predicted),
    }


def resampled(function, groups, *arrays, n=500):
    """Return the 95 % percentiles of a cluster bootstrap, written once more."""
    rng = np.random.default_rng(99)
    labels = np.unique(groups)
    values = []
    for _ in range(n):
        rows = np.concatenate([np.flatnonzero(groups == label) for label in rng.choice(labels, len(labels))])
        values.append(function(*(one[rows] for one in arrays)))
    return np.nanpercentile(values, [2.5, 97.5])


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(3, 120))
    scale, level = draw(st.sampled_from([1e-6, 1.0, 1e6])), draw(st.sampled_from([0.0, 100.0]))
    y = (rng.normal(size=n) + level) * scale
    kind = draw(st.sampled_from(["good", "poor", "few values", "constant", "mean"]))
    predicted = {
        "good": y + 0.3 * scale * rng.normal(size=n),
        "poor": 0.2 * (y - y.mean()) + scale * rng.normal(size=n),
        "few values": np.round((y - y.mean()) / scale) * scale,
        "constant": np.full(n, 0.1 * scale),
        "mean": np.full(n, y.mean()),
    }[kind]
    groups = np.arange(n) if draw(st.booleans()) else rng.integers(0, draw(st.integers(1, 40)), n)
    return y, predicted, groups


@SLOW
@given(cases())
def test_scores_and_calibration_equal_scipy_and_scikit_learn_and_are_json(case):
    y, predicted, groups = case
    found = assess(y, predicted, groups, seed=1, name="a")
    for name, value in truth(y, predicted).items():
        assert found["test"][name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True)
        low, high = found["intervals"][name]
        assert np.isnan(low) or low <= high
    calibration = found["calibration"]
    if np.ptp(predicted) == 0:
        assert np.isnan(list(calibration.values())).all()
    else:
        line = linregress(predicted, y)
        assert calibration["slope"] == pytest.approx(line.slope, rel=1e-6, abs=1e-9)
        assert calibration["intercept"] == pytest.approx(line.intercept, rel=1e-6, abs=1e-6 * np.abs(y).max())
    text = json.dumps(finite(found), allow_nan=False)
    assert set(json.loads(text)["calibration"]) == set(CALIBRATION)


@pytest.mark.parametrize(("seed", "grouped"), [(1, True), (2, True), (3, False)])
def test_intervals_are_those_of_a_bootstrap_of_groups_written_once_more(seed, grouped):
    rng = np.random.default_rng(seed)
    n = 90
    groups = np.repeat(np.arange(30), 3) if grouped else np.arange(n)
    y = rng.normal(size=30)[groups // (1 if grouped else 3)] + rng.normal(size=n)
    predicted = 0.6 * y + 0.6 * rng.normal(size=n)
    found = assess(y, predicted, groups, seed=seed, name="a")
    functions = {
        "pearson_r": lambda a, b: np.corrcoef(a, b)[0, 1],
        "rmse": lambda a, b: np.linalg.norm(a - b) / np.sqrt(len(a)),
    }
    for name, function in functions.items():
        low, high = resampled(function, groups, y, predicted)
        assert found["intervals"][name] == pytest.approx([low, high], abs=0.2 * (high - low))
    slopes = resampled(lambda a, b: np.polyfit(b, a, 1)[0], groups, y, predicted)
    bounds = [found["calibration"][key] for key in ("slope_low", "slope_high")]
    assert bounds == pytest.approx(list(slopes), abs=0.2 * np.ptp(slopes))


@SLOW
@given(cases(), st.sampled_from(list(METRICS)))
def test_a_comparison_is_the_difference_of_two_scores_in_order_and_scale_and_metric(case, metric):
    y, predicted, groups = case
    other = predicted + 0.5 * np.std(y) * np.random.default_rng(0).normal(size=len(y))
    numbers = compare(y, predicted, other, groups, metric=metric, seed=1)
    assert list(numbers["measures"]) == list(dict.fromkeys((metric, "pearson_r", "rmse")))
    ours, theirs = truth(y, predicted), truth(y, other)
    for name, measure in numbers["measures"].items():
        assert measure["difference"] == pytest.approx(ours[name] - theirs[name], rel=1e-6, abs=1e-9, nan_ok=True)
        assert np.isnan(measure["low"]) or measure["low"] <= measure["high"]
    assert {key: numbers[key] for key in ("difference", "low", "high")} == numbers["measures"][metric]
    whole = in_words({"network": "cnn-1", "baseline": "gblup", **numbers})
    again = json.loads(json.dumps(finite(whole), allow_nan=False))
    assert in_words(again)["verdict"] == whole["verdict"]
    assert in_words(again)["sentence"] == whole["sentence"], "also from the file"


@SLOW
@given(cases(), st.floats(0.1, 0.9))
def test_validation_is_calibrated_on_what_was_validated(case, share):
    y, predicted, groups = case
    held_out = np.where(np.random.default_rng(3).random(len(y)) < share, predicted, np.nan)
    known = np.isfinite(held_out)
    found = validation_calibration(y, held_out, groups, seed=1, name="a")
    if known.sum() < 3 or np.ptp(held_out[known]) == 0:
        assert np.isnan(found["slope"])
        return
    line = linregress(held_out[known], y[known])
    assert found["slope"] == pytest.approx(line.slope, rel=1e-6, abs=1e-9)
    assert found["intercept"] == pytest.approx(line.intercept, rel=1e-6, abs=1e-6 * np.abs(y).max())


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_groups_are_resampled_where_there_are_enough_and_that_is_said(groups):
    labels = np.array(groups)
    n, found = len(labels), len(set(groups))
    assert (clusters_of(labels) is not None) == (8 <= found < n)
    assert bool(interval_note(labels)) == (found < 8 and found < n)
    if note := interval_note(labels):
        assert f"The {n} test samples are of {found} group" in note
