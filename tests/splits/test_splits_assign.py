import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from automl_pheno.splits import assign

SHARES = np.array([0.7, 0.15, 0.15])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=60), st.integers(0, 2**32), st.integers(2, 6))
def test_groups_stay_whole_and_every_sample_gets_one_part(sizes, seed, n_parts):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    y = rng.normal(size=len(groups))
    parts = assign(groups, y, np.full(n_parts, 1 / n_parts), np.random.default_rng(seed))
    assert parts.shape == groups.shape
    assert parts.min() >= 0
    assert parts.max() < n_parts
    for group in range(len(sizes)):
        assert len(set(parts[groups == group])) == 1


def test_the_seed_decides_and_nothing_else():
    rng = np.random.default_rng(0)
    groups, y = rng.integers(0, 80, 500), rng.normal(size=500)
    groups = np.unique(groups, return_inverse=True)[1]
    one, same, other = (assign(groups, y, SHARES, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("kind", ["skewed", "ties", "binary"])
def test_singletons_are_cut_exactly_and_balanced(kind):
    rng = np.random.default_rng(3)
    y = {"skewed": rng.lognormal(size=2000), "ties": rng.poisson(0.3, 2000), "binary": rng.integers(0, 2, 2000)}[kind]
    parts = assign(np.arange(2000), y.astype(float), SHARES, rng)
    assert np.bincount(parts).tolist() == [1400, 300, 300]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert ks_2samp(y[parts == a], y[parts == b], method="asymp").statistic < 0.02


def test_families_with_different_means_are_balanced_better_than_at_random():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(60), 20)
    y = rng.normal(size=1200) + 2 * rng.normal(size=60)[groups]
    parts = assign(groups, y, SHARES, rng)
    np.testing.assert_allclose(np.bincount(parts) / 1200, SHARES, atol=0.02)

    def worst(labels):
        return max(ks_2samp(y[labels == 0], y[labels == part], method="asymp").statistic for part in (1, 2))

    at_random = [worst(rng.permutation(np.repeat([0, 1, 2], [42, 9, 9]))[groups]) for _ in range(50)]
    assert worst(parts) < np.quantile(at_random, 0.1)


def test_a_giant_group_goes_to_the_largest_part_and_the_rest_is_cut():
    groups = np.concatenate([np.zeros(500, int), np.arange(1, 501)])
    parts = assign(groups, np.random.default_rng(0).normal(size=1000), SHARES, np.random.default_rng(0))
    assert parts[0] == 0
    np.testing.assert_allclose(np.bincount(parts) / 1000, SHARES, atol=0.005)


@pytest.mark.slow
def test_a_hundred_thousand_singletons_take_less_than_two_seconds():
    y = np.random.default_rng(0).normal(size=100_000)
    start = time.perf_counter()
    assign(np.arange(100_000), y, SHARES, np.random.default_rng(0))
    assert time.perf_counter() - start < 2
