"""Which variants are kept, against plain definitions."""

import time

import numpy as np
import pandas as pd
import pytest

from automl_pheno.curation.config import CurationConfig
from automl_pheno.curation.variants import choose_variants, first_of_each, prune_linked, variant_facts
from automl_pheno.data.dataset import Inputs


def genotypes(values, chromosome="1", position=None):
    p = values.shape[1]
    variants = pd.DataFrame(
        {
            "id": [f"v{i}" for i in range(p)],
            "chromosome": chromosome,
            "position": np.arange(p) if position is None else position,
            "ref": "A",
            "alt": "C",
        }
    )
    return Inputs(kind="genotype", values=np.asarray(values, dtype=np.float32), variants=variants)


def linked_dosages(n=300, p=120, seed=0, missing=0.05):
    """Runs of variants in strong linkage: each is the one before with some samples redrawn."""
    rng = np.random.default_rng(seed)
    dosage = np.empty((n, p))
    for column in range(p):
        fresh = rng.binomial(2, rng.uniform(0.1, 0.5), n)
        dosage[:, column] = fresh if column % 12 == 0 else np.where(rng.random(n) < 0.12, fresh, dosage[:, column - 1])
    dosage[rng.random(dosage.shape) < missing] = np.nan
    return dosage.astype(np.float32)


def r2_with_missing_at_the_mean(values):
    filled = np.where(np.isnan(values), np.nanmean(values, axis=0), values).astype(np.float64)
    return np.corrcoef(filled.T) ** 2


def test_facts_equal_plain_counts():
    values = np.array([[0, 1, np.nan, 2], [0, 2, np.nan, 2], [0, np.nan, np.nan, 1]], dtype=np.float32)
    facts = variant_facts(values)
    np.testing.assert_allclose(facts.call_rate, [1, 2 / 3, 0, 1])
    np.testing.assert_allclose(facts.mean, [0, 1.5, 0, 5 / 3])
    np.testing.assert_allclose(facts.maf, [0, 0.25, 0, 1 / 6])
    assert facts.varies.tolist() == [False, True, False, True]


def test_each_rule_counts_what_it_drops_first():
    n = 100
    values = np.zeros((n, 7), dtype=np.float32)
    values[: n // 2, 0] = 1  # kept
    values[:, 1] = np.nan
    values[:40, 1] = 1  # call rate 0.4
    values[0, 2] = 1  # MAF 0.005
    values[:, 3] = 1  # all heterozygous: MAF 0.5, does not vary
    values[: n // 2, 4] = 1  # as the first
    values[:, 5] = 2 - values[:, 0]  # as the first with alleles swapped
    values[10:45, 6] = 2  # kept
    config = CurationConfig(min_call_rate=0.9, min_maf=0.01, drop_monomorphic=True, drop_duplicate_variants=True)
    kept, dropped = choose_variants(config, genotypes(values))
    assert kept.tolist() == [0, 6]
    assert dropped == {"min_call_rate": 1, "min_maf": 1, "drop_monomorphic": 1, "drop_duplicate_variants": 2}


def test_duplicates_need_the_same_missing_calls():
    base = np.array([0, 1, 2, np.nan, 0], dtype=np.float32)
    values = np.column_stack([base, 2 - base, np.nan_to_num(base), np.ones(5), np.ones(5)]).astype(np.float32)
    assert first_of_each(values, np.arange(5)).tolist() == [True, False, True, True, False]
    assert first_of_each(values, np.array([1, 0, 2])).tolist() == [True, False, True]


@pytest.mark.parametrize("r2", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("window", [1, 10, 200])
def test_pruning_leaves_no_linked_pair_in_a_window_and_is_the_greedy_choice(r2, window):
    values = linked_dosages()
    p = values.shape[1]
    maf = variant_facts(values).maf
    stays = prune_linked(
        values, np.arange(p), r2=r2, window=window, maf=maf, chromosome=np.repeat([0, 1], [p // 2, p - p // 2])
    )
    linked = r2_with_missing_at_the_mean(values)
    i, j = np.triu_indices(p, 1)
    near = (j - i <= window) & ((i < p // 2) == (j < p // 2))
    high = np.zeros((p, p), dtype=bool)
    high[i[near], j[near]] = linked[i[near], j[near]] > r2
    high |= high.T
    assert not high[np.ix_(stays, stays)].any()
    one_by_one: list[int] = []
    for variant in sorted(range(p), key=lambda v: -maf[v]):
        if not high[variant, one_by_one].any():
            one_by_one.append(variant)
    assert np.flatnonzero(stays).tolist() == sorted(one_by_one)


def test_pruning_follows_the_map_not_the_file():
    values = linked_dosages(missing=0.0)
    order = np.random.default_rng(3).permutation(values.shape[1])
    config = CurationConfig(ld_prune=0.3, ld_window=5)
    kept, _ = choose_variants(config, genotypes(values))
    shuffled, _ = choose_variants(config, genotypes(values[:, order], position=order))
    # ties of MAF go to the first on the map in both
    assert sorted(order[shuffled].tolist()) == kept.tolist()
    without_map, _ = choose_variants(config, genotypes(values[:, order], position=np.full(len(order), -1)))
    assert len(without_map) > len(kept)


def test_variants_of_two_chromosomes_are_never_compared():
    values = np.repeat(linked_dosages(p=1, missing=0.0), 4, axis=1)
    kept, _ = choose_variants(CurationConfig(ld_prune=0.5), genotypes(values, chromosome=["1", "2", "1", "2"]))
    assert kept.tolist() == [0, 1]


def test_changing_other_rows_changes_nothing():
    """Only training rows are given; the same rows in another order are the same training set."""
    values = linked_dosages()
    config = CurationConfig(min_maf=0.1, ld_prune=0.4, drop_duplicate_variants=True)
    kept, _ = choose_variants(config, genotypes(values))
    again, _ = choose_variants(config, genotypes(values[np.random.default_rng(0).permutation(len(values))]))
    assert kept.tolist() == again.tolist()


@pytest.mark.slow
def test_ten_thousand_samples_and_variants_are_pruned_within_a_minute():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (10_000, 10_000), dtype=np.int8).astype(np.float32)
    start = time.perf_counter()
    kept, _ = choose_variants(CurationConfig(min_call_rate=0.9, min_maf=0.01, ld_prune=0.2), genotypes(values))
    assert time.perf_counter() - start < 60
    assert len(kept) == 10_000
