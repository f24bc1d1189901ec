"""Surrogates of functions whose additive and pairwise effects are known."""

from __future__ import annotations

import numpy as np
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain import ExplainError
from automl_pheno.explain.mutagenesis.surrogate import fit_surrogate, mutant_library

LENGTH = 24


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sequence() -> Inputs:
    return Inputs(kind="sequence", values=(1 << rng(5).integers(0, 4, (1, LENGTH))).astype(np.uint8))


EFFECTS = rng(6).normal(size=(LENGTH, 4))


def additive(inputs: Inputs) -> np.ndarray:
    return (one_hot(inputs.values).astype(np.float64) * EFFECTS).sum(axis=(1, 2))


def pairwise(inputs: Inputs) -> np.ndarray:
    """Return the additive value, and 4 more where positions 3 and 17 (0-based) have other bases than `sequence`."""
    own = sequence().values[0]
    changed = inputs.values != own
    return additive(inputs) + 4.0 * (changed[:, 3] & changed[:, 17])


def test_each_base_is_changed_at_the_rate_stated() -> None:
    library = mutant_library(additive, sequence(), rng=rng(), count=4000, rate=0.1)
    changed = library.bases != library.reference
    assert changed.mean() == pytest.approx(0.1, abs=0.005)
    others = (library.bases - library.reference)[changed] % 4
    assert np.bincount(others, minlength=4)[1:].std() < 0.05 * len(others)
    hot = np.eye(4)[library.bases]
    np.testing.assert_allclose(library.predictions, (hot * EFFECTS).sum(axis=(1, 2)), atol=1e-6)


def test_an_additive_function_is_found_again() -> None:
    library = mutant_library(additive, sequence(), rng=rng(), count=2000)
    found = fit_surrogate(library)
    own = EFFECTS[np.arange(LENGTH), library.reference]
    np.testing.assert_allclose(found.additive, EFFECTS - own[:, None], atol=0.02)
    assert found.r2_additive > 0.9999
    assert (found.n_mutants, found.n_held_out) == (1600, 400)


def test_a_pair_is_found_among_all_pairs() -> None:
    library = mutant_library(pairwise, sequence(), rng=rng(), count=4000)
    found = fit_surrogate(library, most_pairs=20)
    top = found.pairs.head(9)
    assert set(zip(top["position_a"], top["position_b"], strict=True)) == {(4, 18)}
    np.testing.assert_allclose(top["effect"], 4.0, atol=0.6)
    assert found.pairs["effect"].iloc[9:].abs().max() < 0.5
    assert found.r2_pairwise > 0.995
    assert found.r2_additive < 0.98
    own = sequence().values[0, 3]
    assert set(top["base_a"]) == set("ACGT") - {"ACGT"[int(np.log2(own))]}


def test_noise_is_not_explained() -> None:
    def noise(inputs: Inputs) -> np.ndarray:
        return rng(int(inputs.values.astype(np.int64).sum())).normal(size=len(inputs))

    found = fit_surrogate(mutant_library(noise, sequence(), rng=rng(), count=3000))
    assert abs(found.r2_additive) < 0.05
    assert found.r2_pairwise < 0.05


def test_ambiguous_bases_padding_and_what_lies_outside_are_left_alone() -> None:
    inputs = sequence()
    inputs.values[0, 2] = 15
    inputs.values[0, -3:] = 0
    library = mutant_library(additive, inputs, rng=rng(), count=500, within=slice(0, 10))
    assert library.positions.tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    found = fit_surrogate(library)
    assert np.isnan(found.additive[2]).all()
    assert np.isnan(found.additive[10:]).all()
    assert np.isfinite(found.additive[3]).all()


def test_only_one_sequence_with_bases_is_taken() -> None:
    many = Inputs(kind="sequence", values=np.ones((2, 5), np.uint8))
    with pytest.raises(ExplainError, match="one sequence; got 2"):
        mutant_library(additive, many, rng=rng(), count=10)
    with pytest.raises(ExplainError, match="ambiguous"):
        mutant_library(additive, Inputs(kind="sequence", values=np.full((1, 5), 15, np.uint8)), rng=rng(), count=10)
