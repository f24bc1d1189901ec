"""Pairs of positions, variants and blocks: planted coefficients come out exactly, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.explain.interactions.measure import interactions_of_places
from automl_pheno.explain.interactions.places import Places, genotype_places, position_places
from automl_pheno.explain.interactions.screen import choose_places, screen_by_groups
from automl_pheno.explain.interactions.squares import Table
from automl_pheno.explain.registry import ExplainError
from automl_pheno.simulate.mutants import genetic_value, simulate_mutants

LENGTH = 40


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Formula:
    """Any function of the values."""

    kind = "formula"

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function = function

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.function(inputs.values), dtype=np.float64)


def mutants(n: int = 200, seed: int = 0) -> tuple[Inputs, np.ndarray]:
    """Return sequences with a tenth of their bases mutated, and the reference."""
    draws = rng(seed)
    reference = draws.integers(0, 4, LENGTH)
    bases = np.where(draws.random((n, LENGTH)) < 0.1, (reference + draws.integers(1, 4, (n, LENGTH))) % 4, reference)
    return Inputs(kind="sequence", values=(1 << bases).astype(np.uint8)), (1 << reference).astype(np.uint8)


def genotypes(n: int = 120, p: int = 30, seed: int = 0, block: int = 1) -> Inputs:
    draws = rng(seed)
    values = np.repeat(draws.integers(0, 3, (n, -(-p // block))), block, axis=1)[:, :p].astype(np.float32)
    variants = pd.DataFrame({
        "id": [f"m{i}" for i in range(p)], "chromosome": np.where(np.arange(p) < p // 2, "1", "2"),
        "position": np.arange(p) * 100, "ref": "A", "alt": "C",
    })  # fmt: skip
    return Inputs(kind="genotype", values=values, variants=variants)


def importance(places: Places, *strong: int) -> np.ndarray:
    size = np.full(len(places), 0.1)
    size[list(strong)] = 1.0
    return size


def test_interactions_of_positions_are_the_planted_coefficients() -> None:
    training, reference = mutants()

    def trait(codes: np.ndarray) -> np.ndarray:
        away = (codes != reference).astype(float)
        additive = away @ np.linspace(-2.0, 2.0, LENGTH)
        return additive + 2.5 * away[:, 4] * away[:, 17] - 1.2 * away[:, 8] * away[:, 25]

    samples = training.take(np.flatnonzero((training.values != reference)[:, [4, 17, 8, 25]].any(axis=1)))
    places = position_places(samples, training, backgrounds=16, rng=rng())
    assert np.array_equal(places.base.values[0], reference)
    assert (places.step[:, [4, 17, 8, 25]] < 0).any()  # some backgrounds have the mutation already
    predictor = Formula(trait)
    found = interactions_of_places(predictor, predictor.predict, places, importance(places), rng=rng())
    first = found.table.iloc[:2]
    assert list(zip(first["a"], first["b"], strict=True)) == [(5, 18), (9, 26)]
    np.testing.assert_allclose(first["interaction"], [2.5, -1.2], atol=1e-9)
    np.testing.assert_allclose(first["sd"], 0.0, atol=1e-9)
    np.testing.assert_allclose(first["distance"], [13, 17])
    np.testing.assert_allclose(found.table["abs_interaction"][2:], 0.0, atol=1e-9)
    np.testing.assert_allclose(found.matrix[4, 17], 2.5, atol=1e-9)
    np.testing.assert_allclose(first["effect_a"].iloc[0], np.linspace(-2, 2, LENGTH)[4], atol=2.5)
    assert first["attribution_interaction"].isna().all()
    assert found.facts["predictions"] == 16 * (1 + LENGTH + LENGTH * (LENGTH - 1) // 2 + 600)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_pairs_of_a_simulated_truth_rank_first(seed: int) -> None:
    dataset, truth = simulate_mutants(n=300, length=60, seed=seed)
    predictor = Formula(lambda codes: genetic_value(codes, truth.causal, truth.terms))
    places = position_places(dataset.inputs.take(np.arange(100)), dataset.inputs, backgrounds=24, rng=rng(seed))
    found = interactions_of_places(predictor, predictor.predict, places, importance(places), rng=rng(seed))
    planted = {tuple(sorted(pair)) for term in truth.terms for pair in combinations(term.members, 2)}
    top = found.table.iloc[: len(planted)]
    assert {(a - 1, b - 1) for a, b in zip(top["a"], top["b"], strict=True)} == planted
    np.testing.assert_allclose(found.table["abs_interaction"][len(planted) :], 0.0, atol=1e-9)


def test_interactions_of_variants_are_per_pair_of_alleles() -> None:
    training = genotypes()
    values = training.values.copy()
    values[::7, 3] = np.nan
    training = Inputs(kind="genotype", values=values, variants=training.variants)

    def trait(dosage: np.ndarray) -> np.ndarray:
        x = np.nan_to_num(dosage.astype(float), nan=1.0)
        return x @ np.linspace(-1, 1, 30) + 0.7 * x[:, 3] * x[:, 20] - 0.4 * x[:, 5] * x[:, 6]

    places = genotype_places(training, training, backgrounds=12, rng=rng())
    assert np.isfinite(places.base.values).all()
    assert (places.step != 0).all()
    predictor = Formula(trait)
    found = interactions_of_places(predictor, predictor.predict, places, importance(places), rng=rng())
    first = found.table.iloc[:2]
    assert list(first["name_a"]) == ["m3", "m5"]
    assert list(first["name_b"]) == ["m20", "m6"]
    np.testing.assert_allclose(first["interaction"], [0.7, -0.4], atol=1e-6)
    np.testing.assert_allclose(first["se"], 0.0, atol=1e-6)
    assert np.isnan(first["distance"].iloc[0])  # other chromosomes
    assert first["distance"].iloc[1] == 100


def test_blocks_are_taken_over_whole_from_one_individual() -> None:
    training = genotypes(p=30, block=5)
    training.values[:, 7] = np.where(rng(3).random(120) < 0.5, training.values[:, 7], 0.0)
    labels = np.repeat(np.arange(6), 5)
    places = genotype_places(training, training, backgrounds=10, rng=rng(), labels=labels)
    everybody = {tuple(row) for row in training.values[:, 5:10]}
    assert {tuple(row) for row in places.other[:, 5:10]} <= everybody
    assert (np.abs(places.other[:, 5:10] - places.base.values[:, 5:10]).max(axis=1) > 0).all()
    predictor = Formula(lambda x: x.astype(float) @ np.ones(30) + 2.0 * x[:, 12].astype(float) * x[:, 28])
    found = interactions_of_places(predictor, predictor.predict, places, importance(places), rng=rng())
    first = found.table.iloc[0]
    assert (first["a"], first["b"], first["kind"]) == (3, 6, "blocks")
    assert first["name_a"] == "block 3 (m10-m14)"
    changes = (places.other - places.base.values).astype(float)
    assert first["abs_interaction"] == pytest.approx(np.abs(2.0 * changes[:, 12] * changes[:, 28]).mean())
    np.testing.assert_allclose(found.table["abs_interaction"][1:], 0.0, atol=1e-9)


def test_variants_that_are_not_read_or_do_not_vary_are_no_places() -> None:
    training = genotypes(p=10)
    training.values[:, 4] = 1.0
    places = genotype_places(training, training, backgrounds=4, rng=rng(), columns=np.array([0, 1, 2, 4, 9]))
    assert places.names.tolist() == ["m0", "m1", "m2", "m9"]
    assert places.keys.tolist() == [1, 2, 3, 10]
    assert places.label.tolist() == [0, 1, 2, -1, -1, -1, -1, -1, -1, 3]


def test_groups_of_places_lead_to_the_pair_among_300() -> None:
    training = genotypes(n=150, p=300)
    predictor = Formula(lambda x: x.astype(float) @ np.linspace(-1, 1, 300) + 1.5 * x[:, 41].astype(float) * x[:, 222])
    places = genotype_places(training, training, backgrounds=8, rng=rng())
    screened, asked = screen_by_groups(predictor.predict, places, backgrounds=6, rng=rng())
    assert np.unravel_index(screened.argmax(), screened.shape) == (41, 222)
    assert asked < 6 * 300 * 299 / 2 / 15  # of all pairs
    found = interactions_of_places(predictor, predictor.predict, places, importance(places, 7, 8), rng=rng())
    assert (found.table["name_a"].iloc[0], found.table["name_b"].iloc[0]) == ("m41", "m222")
    assert found.facts["measured_places"] == 40
    assert found.facts["pairs_with_importance"] == 300 * 299 // 2


def test_places_come_from_the_screen_and_from_importance() -> None:
    screened = np.zeros((10, 10))
    screened[2, 9] = screened[9, 2] = 1.0
    size = np.arange(10.0)[::-1]
    assert choose_places(size, screened, 4).tolist() == [0, 1, 2, 9]
    assert choose_places(size, None, 3).tolist() == [0, 1, 2]


def test_a_curved_scale_shows_as_products_of_effects() -> None:
    training, reference = mutants()
    places = position_places(training, training, backgrounds=8, rng=rng())
    effects = rng(5).normal(0, 0.05, LENGTH)
    for function, low, high in ((np.exp, 0.8, 1.0), (np.sin, 0.0, 0.5)):
        table = Table(
            lambda inputs, f=function: f(((inputs.values != reference) * (1 if f is np.exp else 40)) @ effects), places
        )
        pairs = np.array(list(combinations(range(10), 2)))
        assert low <= table.squares(pairs, "measuring").product_r2() <= high


def test_one_place_has_no_pairs() -> None:
    training = genotypes(p=1)
    places = genotype_places(training, training, backgrounds=2, rng=rng())
    with pytest.raises(ExplainError, match="two places"):
        interactions_of_places(Formula(len), lambda inputs: np.zeros(len(inputs)), places, np.ones(1), rng=rng())
    with pytest.raises(ExplainError, match="sequence inputs"):
        position_places(training, training, backgrounds=2, rng=rng())
