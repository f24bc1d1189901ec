"""Normal scores and their inverse; the density of the trait, weights and repeats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gaussian_kde, norm, rankdata

from automl_pheno.curation.phenotype import learn_rank_normal
from automl_pheno.curation.weights import density_weights, label_density, resampled_rows

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
traits = st.lists(numbers, min_size=2, max_size=60).map(np.array)


def test_scores_are_those_of_blom():
    y = np.random.default_rng(0).exponential(size=200).round(1)  # with ties
    learnt = learn_rank_normal(y)
    np.testing.assert_allclose(learnt.scores(y), norm.ppf((rankdata(y) - 0.375) / 200.25), atol=1e-12)


@given(traits)
def test_the_inverse_is_exact_on_training_values(y):
    learnt = learn_rank_normal(y)
    np.testing.assert_array_equal(learnt.phenotypes(learnt.scores(y)), y.astype(np.float64))


@given(traits, st.lists(numbers, min_size=2, max_size=20), st.lists(st.floats(-6, 6), min_size=2, max_size=20))
def test_both_directions_keep_the_order_and_undo_each_other(y, values, scores):
    learnt = learn_rank_normal(y)
    new, z = np.unique(values), np.unique(scores)
    assert (np.diff(learnt.scores(new)) >= -1e-12).all()  # but for rounding
    back = learnt.phenotypes(z)
    assert (np.diff(back) >= -1e-12 * max(np.abs(y).max(), np.abs(back).max())).all()
    if len(learnt.y) > 1:
        scale = max(np.abs(y).max(), np.abs(new).max(), 1.0)
        np.testing.assert_allclose(learnt.phenotypes(learnt.scores(new)), new, atol=1e-6 * scale)


def test_beyond_the_training_range_lines_go_on_with_the_slope_of_the_whole_trait():
    y = np.append(np.random.default_rng(0).normal(10, 2, 500), 80.0)  # an outlier
    learnt = learn_rank_normal(y)
    top = learnt.score[-1]
    slope = y.std() / learnt.scores(y).std()
    np.testing.assert_allclose(learnt.phenotypes(np.array([top + 1.0, top + 2.0])), [80 + slope, 80 + 2 * slope])
    assert learnt.phenotypes(np.array([learnt.score[0] - 1.0]))[0] == pytest.approx(y.min() - slope)


def test_a_constant_trait_stays_itself():
    learnt = learn_rank_normal(np.full(9, 7.1))
    np.testing.assert_array_equal(learnt.scores(np.array([7.1, 100.0])), [0.0, 0.0])
    np.testing.assert_array_equal(learnt.phenotypes(np.array([-3.0, 0.0, 3.0])), [7.1, 7.1, 7.1])


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_the_density_equals_that_of_scipy_with_the_same_bandwidth(draw):
    y = getattr(np.random.default_rng(0), draw)(size=400)
    bandwidth = 0.9 * min(y.std(), np.subtract(*np.percentile(y, [75, 25])) / 1.34) * 400**-0.2
    reference = gaussian_kde(y, bw_method=bandwidth / y.std(ddof=1))(y)
    np.testing.assert_allclose(label_density(y), reference / reference.max(), atol=0.01)


def test_rare_phenotypes_weigh_more_within_the_limit():
    y = np.append(np.random.default_rng(0).normal(size=300), [6.0, 7.0])
    weights = density_weights(y, 4.0)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[-1] == weights.max() == pytest.approx(4.0 * weights.min())
    order = np.argsort(-label_density(y))
    assert (np.diff(weights[order]) >= -1e-12).all()
    np.testing.assert_array_equal(density_weights(np.full(5, 3.0), 4.0), np.ones(5))


@given(traits, st.sampled_from(["over", "under", "both"]), st.integers(0, 9))
def test_repeats_stay_within_their_limits(y, how, seed):
    rows = resampled_rows(y, how, 3.0, np.random.default_rng(seed))
    copies = np.bincount(rows, minlength=len(y))
    assert (np.diff(rows) >= 0).all()
    if how == "over":
        assert copies.min() >= 1
        assert copies.max() <= 3
    elif how == "under":
        assert copies.max() <= 1
    else:
        assert abs(len(rows) - len(y)) <= 1


def test_rare_phenotypes_are_repeated_and_common_ones_left_out():
    y = np.append(np.random.default_rng(0).normal(size=500), np.linspace(5, 8, 10))
    over = np.bincount(resampled_rows(y, "over", 3.0, np.random.default_rng(0)), minlength=510)
    under = np.bincount(resampled_rows(y, "under", 3.0, np.random.default_rng(0)), minlength=510)
    assert (over[-10:] == 3).all()
    assert (under[-10:] == 1).all()
    middle = np.abs(y) < 0.3
    assert over[middle].mean() < 1.3
    assert under[middle].mean() == pytest.approx(1 / 3, abs=0.1)
