"""Decoys keep what makes variants look important by themselves, and a threshold by them is honest on planted truth."""

from __future__ import annotations

import numpy as np
import pytest

from automl_pheno.curation import CurationConfig
from automl_pheno.data.dataset import Examples
from automl_pheno.explain import ExplainError
from automl_pheno.explain.loci import decoys as decoys_module
from automl_pheno.explain.loci.blocks import ld_blocks
from automl_pheno.explain.loci.decoys import learn_decoys, with_decoys
from automl_pheno.explain.loci.threshold import Threshold, block_importance, decoy_q, decoy_threshold
from automl_pheno.predictors import CuratedPredictor
from automl_pheno.predictors.elastic_net import ElasticNet
from automl_pheno.predictors.gblup import GBLUP
from automl_pheno.simulate import Truth, simulate_genotypes


def simulated(seed: int, **parameters: float) -> tuple[Examples, Truth]:
    sizes = {"n": 3000, "n_variants": 300, "block": 10, "n_causal": 10, "n_pairs": 2} | parameters
    dataset, truth = simulate_genotypes(seed=seed, **sizes)  # type: ignore[arg-type]
    family = np.unique(dataset.columns["family"], return_inverse=True)[1].astype(np.int64)
    return Examples(inputs=dataset.inputs, y=dataset.y("trait"), groups=family), truth


def r2(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(0), b - b.mean(0)
    a, b = a / np.maximum(np.linalg.norm(a, axis=0), 1e-9), b / np.maximum(np.linalg.norm(b, axis=0), 1e-9)
    return np.asarray((a.T @ b) ** 2)


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return real dosages, decoys and blocks of families of three populations."""
    train, _ = simulated(1, n=600, n_variants=400)
    blocks = ld_blocks(train.inputs)
    drawn = learn_decoys(train.inputs, blocks).draw(np.random.default_rng(0))
    return train.inputs.values.astype(float), drawn.astype(float), blocks


def test_decoys_have_the_calls_of_their_variants(made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    real, drawn, _ = made
    assert np.array_equal(np.sort(real, axis=0), np.sort(drawn, axis=0))


def test_decoys_keep_ld_within_and_between_blocks(made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    real, drawn, blocks = made
    same = (blocks[:, None] == blocks[None, :]) & ~np.eye(len(blocks), dtype=bool)
    near = (np.abs(blocks[:, None] - blocks[None, :]) == 1) & ~same
    within = r2(real, real)[same].mean(), r2(drawn, drawn)[same].mean()
    assert within[1] > 0.6 * within[0] > 0.05
    between = r2(real, real)[near].mean(), r2(real, drawn)[near].mean()
    assert 0.4 < between[1] / between[0] < 1.6


def test_decoys_run_in_families_as_their_variants_do(made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    real, drawn, _ = made
    family = np.arange(len(real)) // 10

    def share(values: np.ndarray) -> float:
        means = np.array([values[family == one].mean(axis=0) for one in np.unique(family)])
        return float((means.var(axis=0) / np.maximum(values.var(axis=0), 1e-9)).mean())

    shuffled = real[np.random.default_rng(0).permutation(len(real))]
    assert share(drawn) > 0.65 * share(real)
    assert share(shuffled) < 0.4 * share(real)  # what permuted rows would lose


def test_decoys_are_not_their_variants(made: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    real, drawn, _ = made
    varies = real.std(axis=0) > 0
    assert np.diag(r2(real, drawn))[varies].mean() < 0.5


def test_missing_calls_stay_where_they_are_and_seeds_decide() -> None:
    train, _ = simulated(2, n=200, n_variants=100, missing=0.1)
    maker = learn_decoys(train.inputs, ld_blocks(train.inputs))
    first, again, other = (maker.draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(np.isnan(first), np.isnan(train.inputs.values))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_constant_variants_have_constant_decoys() -> None:
    train, _ = simulated(2, n=150, n_variants=60)
    values = train.inputs.values.copy()
    values[:, [0, 30]] = 2.0
    inputs = type(train.inputs)(kind="genotype", values=values)
    assert (learn_decoys(inputs, ld_blocks(inputs)).draw(np.random.default_rng(0))[:, [0, 30]] == 2.0).all()


def test_many_samples_and_variants_go_by_fewer_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoys_module, "MOST_AXES", 40)
    train, _ = simulated(1, n=300, n_variants=120)
    maker = learn_decoys(train.inputs, ld_blocks(train.inputs))
    assert maker.axes.shape[1] <= 40
    drawn = maker.draw(np.random.default_rng(0))
    assert np.array_equal(np.sort(drawn, axis=0), np.sort(train.inputs.values, axis=0))
    assert np.diag(r2(train.inputs.values, drawn)).mean() < 0.5


def test_too_many_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoys_module, "MOST_CELLS", 1000)
    train, _ = simulated(1, n=100, n_variants=50)
    with pytest.raises(ExplainError, match="at most 1,000 calls"):
        learn_decoys(train.inputs, ld_blocks(train.inputs))


def test_decoys_stand_after_the_real_variants() -> None:
    train, _ = simulated(1, n=50, n_variants=20)
    wide = with_decoys(train.inputs, np.zeros((50, 20), dtype=np.float32))
    assert wide.width == 40
    assert np.array_equal(wide.values[:, :20], train.inputs.values)
    assert wide.variants is not None
    assert wide.variants["id"].is_unique
    assert set(wide.variants["chromosome"][20:]).isdisjoint(wide.variants["chromosome"][:20])


def test_q_values_by_hand() -> None:
    real = np.array([9.0, 8.0, 7.0, 3.0, 0.0])
    one = decoy_q(real, np.array([[5.0, 2.0, 1.0, 0.0, 0.0]]))
    # few decoys; at 9, 8, 7: 5 (1 + 0) / 5 / 1, 2, 3 blocks; at 3: (1 + 1) / 4; the smallest share from there on counts
    assert one == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 2, 1.0])
    two = decoy_q(real, np.array([[5.0, 2.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0, 0.0]]))
    assert two == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 4, 1.0])
    assert (decoy_q(np.zeros(4), np.zeros((2, 4))) == 1.0).all()


def test_q_values_beyond_the_decoys_follow_their_tail() -> None:
    decoys = np.arange(1.0, 201.0).reshape(2, 100)
    real = np.r_[1000.0, 190.0, np.zeros(98)]
    # the largest tenth is 181 ... 200, beyond 180.1, on average 10.4 above it, give or take 10.4 / sqrt(20)
    tail = 0.1 * np.exp(-(1000.0 - 180.1) / (10.4 * (1 + 2 / np.sqrt(20))))
    found = decoy_q(real, decoys)
    assert found[0] == pytest.approx(100 * tail, rel=1e-9)
    assert found[1] == 1.0  # 11 of 200 decoys are as large: 5.5 false ones of 2
    assert (found[2:] == 1.0).all()


def test_q_values_under_the_null_rarely_pass() -> None:
    for draw in (np.random.default_rng(0).exponential, np.random.default_rng(1).standard_normal):
        passed = []
        for _ in range(300):
            values = np.abs(draw(size=(4, 100)))
            passed.append(bool((decoy_q(values[0], values[1:]) <= 0.1).any()))
        assert np.mean(passed) < 0.12


def test_precision_counts_decoys_among_the_top() -> None:
    real, decoy = np.array([[5.0, 4.0, 3.0, 0.1]]), np.array([[3.5, 0.0, 0.0, 0.0]])
    found = Threshold(real=real, decoy=decoy, q=np.array([0.05, 0.05, 0.05, 1.0]), fdr=0.1, method="linear")
    assert found.precision() == (3, pytest.approx(1 - 1 / 2))
    assert found.value == 3.0
    none = Threshold(real=real, decoy=decoy + 9.0, q=np.ones(4), fdr=0.1, method="linear")
    assert none.precision() == (4, None)
    assert none.value is None


def test_block_importance_sums_signed_contributions_first() -> None:
    contributions = np.array([[1.0, -1.0, 2.0], [0.5, 0.5, -4.0]])
    assert block_importance(contributions, np.array([0, 0, 1])).tolist() == [0.5, 3.0]


@pytest.mark.parametrize("predictor", [GBLUP, ElasticNet])
def test_blocks_that_pass_are_true_among_relatives_and_populations(predictor: type) -> None:
    passed = true = 0
    for seed in (1, 2, 3):
        train, truth = simulated(seed)
        blocks = ld_blocks(train.inputs)
        found = decoy_threshold(predictor, train, blocks, rng=np.random.default_rng(seed))
        causal = {item.position // 10 for item in truth.causal}
        holds = [bool({int(i) // 10 for i in np.flatnonzero(blocks == one)} & causal) for one in range(len(found.q))]
        passed += int(found.used.sum())
        true += int((found.used & np.array(holds)).sum())
    assert passed >= 8  # of about 27 blocks with a causal variant
    assert true / passed >= 0.9


def test_a_trait_without_genetics_passes_nothing() -> None:
    train, _ = simulated(4, n=400, n_variants=400)
    noise = np.random.default_rng(0).normal(size=400)
    blank = Examples(inputs=train.inputs, y=noise, groups=train.groups)
    found = decoy_threshold(GBLUP, blank, ld_blocks(train.inputs), rng=np.random.default_rng(0), refits=2)
    assert not found.used.any()


def test_curation_treats_real_variants_and_decoys_alike() -> None:
    train, truth = simulated(3, missing=0.02)
    blocks = ld_blocks(train.inputs)

    def fresh() -> CuratedPredictor:
        return CuratedPredictor(ElasticNet(), CurationConfig(min_maf=0.05, ld_prune=0.8, trait="rank_normal"))

    found = decoy_threshold(fresh, train, blocks, rng=np.random.default_rng(0))
    causal = {item.position // 10 for item in truth.causal}
    used = [int(i) // 10 for one in np.flatnonzero(found.used) for i in np.flatnonzero(blocks == one)]
    assert found.used.sum() >= 4
    assert np.mean([one in causal for one in used]) >= 0.75
    null = [one for one in range(len(found.q)) if not {int(i) // 10 for i in np.flatnonzero(blocks == one)} & causal]
    assert 0.05 < (found.real[:, null] > found.decoy[:, null]).mean() < 0.6
