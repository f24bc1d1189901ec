"""p and q: right where nothing interacts, small where something does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from automl_pheno.explain.interactions.significance import benjamini_hochberg, null_p


def test_benjamini_hochberg_is_that_of_scipy() -> None:
    p = np.random.default_rng(0).random(50) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p))
    np.testing.assert_allclose(benjamini_hochberg(p[:20], 50), false_discovery_control(np.r_[p[:20], np.ones(30)])[:20])
    holes = p.copy()
    holes[3] = np.nan
    assert np.isnan(benjamini_hochberg(holes)[3])
    np.testing.assert_allclose(np.delete(benjamini_hochberg(holes), 3), false_discovery_control(np.delete(p, 3)))


@pytest.mark.parametrize("noise", ["normal", "standard_t", "lognormal"])
def test_p_is_not_too_small_by_chance(noise: str) -> None:
    rng = np.random.default_rng(1)
    draw = {
        "normal": lambda n: np.abs(rng.normal(size=n)),
        "standard_t": lambda n: np.abs(rng.standard_t(3, size=n)),
        "lognormal": lambda n: np.exp(rng.normal(size=n)),
    }[noise]
    p = np.concatenate([null_p(draw(1000), draw(600)) for _ in range(40)])
    for level in (0.05, 0.01, 0.001):
        assert (p <= level).mean() <= 1.5 * level
    assert (p <= 0.1).mean() >= 0.05
    calls = [benjamini_hochberg(null_p(draw(780), draw(600)), 20_000).min() <= 0.05 for _ in range(60)]
    assert np.mean(calls) <= 0.1


def test_a_tenth_of_true_interactions_in_the_null_is_borne() -> None:
    rng = np.random.default_rng(2)
    null = np.abs(rng.normal(size=600))
    clean = null_p(np.array([100.0]), null)[0]
    null[:50] = 100.0
    assert clean < null_p(np.array([100.0]), null)[0] < 1e-4


def test_effects_of_the_places_are_allowed_for() -> None:
    rng = np.random.default_rng(3)
    size = np.exp(2 * rng.normal(size=600))
    null = size * np.abs(rng.normal(size=600))
    plain = null_p(np.array([20.0]), null)[0]
    assert null_p(np.array([20.0]), null, observed_size=np.array([0.01]), null_size=size)[0] < plain / 10
    assert null_p(np.array([20.0]), null, observed_size=np.array([20.0]), null_size=size)[0] > 0.05


def test_few_null_values_count_by_rank() -> None:
    null = np.zeros(100)
    null[:5] = 1.0
    np.testing.assert_allclose(null_p(np.array([0.0, 0.5, 2.0]), null, floor=1e-9), [1.0, 6 / 101, 1 / 101])
    assert np.isnan(null_p(np.ones(2), np.zeros(0))).all()
