"""Size and trait balance of an assignment, what samples are like, how sides differ, and what is advised."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from automl_pheno.data import Dataset, Inputs, encode_sequences
from automl_pheno.splits import Split, assign, distance
from automl_pheno.splits.advice import advice
from automl_pheno.splits.balance import describe_split, distribution_differences
from automl_pheno.splits.components import kmer_frequencies, learn_components
from automl_pheno.splits.describe import describe_samples
from automl_pheno.splits.missingness import missingness_check
from automl_pheno.splits.polish import KS_AIM, SIZE_TOLERANCE, size_notes


def genotypes(values: np.ndarray) -> Inputs:
    names = [f"v{i}" for i in range(values.shape[1])]
    variants = pd.DataFrame({"id": names, "chromosome": "1", "position": range(len(names)), "ref": "A", "alt": "G"})
    return Inputs(kind="genotype", values=values.astype(np.float32), variants=variants)


def dataset_of(inputs: Inputs, y: np.ndarray) -> Dataset:
    ids = np.array([f"s{i}" for i in range(len(inputs))])
    index = pd.Index(ids)
    traits = pd.DataFrame({"y": y}, index=index)
    return Dataset(name="toy", ids=ids, inputs=inputs, traits=traits, columns=pd.DataFrame(index=index))


def holdout(sets: np.ndarray, group: np.ndarray | None = None) -> Split:
    n = len(sets)
    return Split(
        ids=np.array([f"s{i}" for i in range(n)]),
        group=np.arange(n) if group is None else group,
        set=sets.astype(np.str_),
        fold=np.full(n, -1),
    )


def folds_of(fold: np.ndarray, group: np.ndarray | None = None) -> Split:
    n = len(fold)
    ids = np.array([f"s{i}" for i in range(n)])
    return Split(ids=ids, group=np.arange(n) if group is None else group, set=np.full(n, "train"), fold=fold)


# --- assignment: within 10 %, D at most 0.05, or a reason


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 80), st.floats(0.0, 1.5), st.integers(2, 10))
def test_every_part_is_within_ten_percent_or_a_reason_is_given(seed, n_groups, heavy, n_parts):
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.lognormal(1.5, heavy, n_groups).astype(int))
    groups = np.repeat(np.arange(n_groups), sizes)
    y = rng.normal(size=len(groups)) + rng.normal(size=n_groups)[groups]
    shares = np.full(n_parts, 1 / n_parts)
    parts = assign(groups, y, shares, np.random.default_rng(seed))
    notes = " ".join(size_notes([f"part{i}" for i in range(n_parts)], parts, groups, y, shares))
    got = np.bincount(parts, minlength=n_parts)
    wanted = shares * len(y)
    for part in range(n_parts):
        if abs(got[part] - wanted[part]) > max(1.0, SIZE_TOLERANCE * wanted[part]):
            assert f"part{part} has {got[part] / len(y):.1%} of the samples" in notes
        if 0 < got[part] < len(y):
            d = ks_2samp(y[parts == part], y[parts != part], method="asymp").statistic
            assert (d <= KS_AIM + 1e-12) or f"part{part} (KS D {d:.2f}" in notes
    assert bool(notes) == ("part" in notes)


def test_many_families_of_unlike_means_are_cut_without_a_word():
    rng = np.random.default_rng(1)
    sizes = np.maximum(1, rng.lognormal(2, 0.7, 169).astype(int))
    groups = np.repeat(np.arange(169), sizes)
    y = rng.normal(size=len(groups)) + rng.normal(size=169)[groups]
    shares = np.full(10, 0.1)
    parts = assign(groups, y, shares, np.random.default_rng(0))
    assert size_notes([f"fold {i}" for i in range(10)], parts, groups, y, shares) == ()
    same = assign(groups, y, shares, np.random.default_rng(0))
    np.testing.assert_array_equal(parts, same)


def test_a_family_larger_than_a_part_is_the_reason():
    groups = np.concatenate([np.zeros(60, int), np.arange(1, 41)])
    y = np.random.default_rng(0).normal(size=100)
    shares = np.array([0.5, 0.5])
    parts = assign(groups, y, shares, np.random.default_rng(0))
    (note, *_) = size_notes(["fold 0", "fold 1"], parts, groups, y, shares, "family")
    assert "60.0% of the samples (asked: 50.0%)" in note
    assert "the largest of 41 groups (family) holds 60 of 100 samples" in note


@pytest.mark.parametrize("of", ["singletons", "families"])
def test_strata_are_balanced_beside_the_trait(of):
    rng = np.random.default_rng(2)
    n = 1200
    groups = np.arange(n) if of == "singletons" else np.arange(n) // 8
    strata = rng.integers(0, 4, groups.max() + 1)[groups] * 7 + 3  # labels need not be 0 to k - 1
    y = rng.normal(size=n) + strata / 10
    shares = np.array([0.7, 0.15, 0.15])
    parts = assign(groups, y, shares, np.random.default_rng(0), strata)
    tolerance = 0.01 if of == "singletons" else 0.04
    for stratum in np.unique(strata):
        got = np.array([(strata[parts == part] == stratum).mean() for part in range(3)])
        np.testing.assert_allclose(got, (strata == stratum).mean(), atol=tolerance)
    assert all(len(set(parts[groups == group])) == 1 for group in range(groups.max() + 1))
    assert ks_2samp(y[parts == 1], y[parts == 2], method="asymp").statistic <= 0.06


@pytest.mark.slow
def test_a_million_singletons_take_seconds():
    rng = np.random.default_rng(0)
    y, strata = rng.normal(size=1_000_000), rng.integers(0, 8, 1_000_000)
    start = time.perf_counter()
    assign(np.arange(1_000_000), y, np.array([0.7, 0.15, 0.15]), rng, strata)
    assert time.perf_counter() - start < 10


# --- what samples are like


def test_sequences_are_described_by_hand_counted_numbers():
    codes, _ = encode_sequences(["GGCC", "ATATNN", "NNNN", "ACGTACGT"])
    table = describe_samples(dataset_of(Inputs(kind="sequence", values=codes), np.zeros(4)), np.random.default_rng(0))
    assert table["gc"].tolist() == [1.0, 0.0, 0.5, 0.5]
    assert table["length"].tolist() == [4, 6, 4, 8]
    np.testing.assert_allclose(table["ambiguous"], [0, 2 / 6, 1, 0])


def test_kmer_frequencies_are_those_of_either_strand():
    codes, _ = encode_sequences(["ACGTTGCA", "TGCAACGT", "AAAA", "TTTT", "AAAN"])
    found = kmer_frequencies(codes)
    assert found.shape == (5, 136)
    np.testing.assert_array_equal(found[0], found[1])  # reverse complements
    np.testing.assert_array_equal(found[2], found[3])
    np.testing.assert_allclose(found[:4].sum(axis=1), 1.0)
    assert found[4].sum() == 0.0


def test_genotypes_are_described_by_hand_counted_numbers():
    inputs = genotypes(np.array([[0, 1, np.nan, 2], [1, 1, 0, 0]], dtype=float))
    table = describe_samples(dataset_of(inputs, np.zeros(2)), np.random.default_rng(0))
    assert table["missing"].tolist() == [0.25, 0.0]
    np.testing.assert_allclose(table["heterozygosity"], [1 / 3, 0.5])
    haploid = genotypes(np.array([[0, 1], [1, 0]], dtype=float))
    assert "heterozygosity" not in describe_samples(dataset_of(haploid, np.zeros(2)), np.random.default_rng(0))


@pytest.mark.parametrize("n_variants", [300, 900])  # exact, and randomised
def test_components_are_those_of_an_exact_decomposition(n_variants):
    rng = np.random.default_rng(0)
    population = np.repeat([0, 1, 2], 60)
    frequency = rng.uniform(0.1, 0.9, (3, n_variants))
    inputs = genotypes(rng.binomial(2, frequency[population]).astype(float))
    scores = learn_components(inputs, "genotype", 4, np.random.default_rng(1)).scores(inputs)
    values = inputs.values[:, inputs.values.std(axis=0) > 0].astype(float)
    exact = np.linalg.svd((values - values.mean(axis=0)) / values.std(axis=0), full_matrices=False)
    expected = exact[0][:, :2] * exact[1][:2]
    for k in range(2):
        assert abs(np.corrcoef(scores[:, k], expected[:, k])[0, 1]) > 0.9999
        np.testing.assert_allclose(np.abs(scores[:, k]).max(), np.abs(expected[:, k]).max(), rtol=1e-3)


def test_what_is_learnt_from_some_rows_does_not_depend_on_others():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (80, 40)).astype(float)
    changed = values.copy()
    changed[50:] = 2.0
    train = np.arange(50)
    a, b = (
        learn_components(genotypes(v).take(train), "genotype", 3, np.random.default_rng(0)) for v in (values, changed)
    )
    np.testing.assert_array_equal(a.directions, b.directions)


# --- how sides differ


def test_distances_are_those_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=57), rng.normal(0.4, 2.0, size=133)
    assert distance.ks_distance(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)
    assert distance.wasserstein_distance(a, b) == pytest.approx(wasserstein_distance(a, b))


def test_chance_covers_95_percent_of_independent_samples():
    rng = np.random.default_rng(0)
    limit = distance.ks_by_chance(80, 300)
    below = [distance.ks_distance(rng.normal(size=80), rng.normal(size=300)) <= limit for _ in range(1000)]
    assert 0.93 <= np.mean(below) <= 0.98
    assert distance.ks_by_chance(80, 300, 10) > limit


def test_a_side_rich_in_gc_is_found_and_named():
    rng = np.random.default_rng(0)
    sets = np.repeat(["train", "test"], [400, 100])
    rich = np.where(sets == "test", 0.65, 0.45)
    texts = [
        "".join(np.where(rng.random(50) < p, rng.choice(list("GC"), 50), rng.choice(list("AT"), 50))) for p in rich
    ]
    codes, _ = encode_sequences(texts)
    made = describe_split(dataset_of(Inputs(kind="sequence", values=codes), rng.normal(size=500)), "y",
                          holdout(sets), rng)  # fmt: skip
    flags = {row["name"]: row["flag"] for row in made.differences}
    assert flags["GC content"] == "warn"
    assert flags["phenotype"] != "warn"
    assert "length (bp)" not in flags  # all 50 bp
    (row,) = [row for row in made.differences if row["name"] == "GC content"]
    assert row["between"] == ["test", "train"]
    np.testing.assert_allclose(row["means"], [0.65, 0.45], atol=0.02)
    assert any("gc_length" in line and "GC content differs between test and train" in line for line in made.advice)
    assert made.missingness is None


def test_populations_on_different_sides_show_in_allele_frequencies():
    rng = np.random.default_rng(0)
    population = np.repeat([0, 1], [300, 100])
    base = rng.uniform(0.2, 0.8, 200)
    shifted = np.clip(base + rng.normal(0, 0.25, 200), 0.02, 0.98)
    values = rng.binomial(2, np.where(population[:, None] == 0, base, shifted)).astype(float)
    y = rng.normal(size=400)
    apart = holdout(np.where(population == 1, "test", "train"))
    mixed = holdout(np.where(rng.permutation(400) < 100, "test", "train"))
    for split, flag in ((apart, "warn"), (mixed, "ok")):
        made = describe_split(dataset_of(genotypes(values), y), "y", split, rng)
        (row,) = [row for row in made.differences if row["name"] == "allele frequency"]
        assert row["flag"] == flag
        assert any("regime: unrelated" in line for line in made.advice) == (flag == "warn")
    expected = ((base - shifted) ** 2).sum() / (base * (1 - shifted) + shifted * (1 - base)).sum()
    (row,) = [
        row for row in distribution_differences(pd.DataFrame({"id": []}), y, apart, genotypes(values))
        if row["name"] == "allele frequency"
    ]  # fmt: skip
    assert row["fst"] == pytest.approx(expected, rel=0.1)
    gaps = np.abs(values[:300].mean(axis=0) - values[300:].mean(axis=0)) / 2
    assert row["variant"] == f"v{gaps.argmax()}"
    assert row["max_difference"] == pytest.approx(gaps.max(), abs=1e-5)


def test_of_folds_the_worst_is_told_and_purged_samples_are_on_no_side():
    rng = np.random.default_rng(0)
    fold = np.arange(500) % 5
    y = rng.normal(size=500) + 3.0 * (fold == 3)
    rows = distribution_differences(pd.DataFrame({"id": []}), y, folds_of(fold))
    assert [(row["between"], row["worst_of"]) for row in rows] == [(["fold 3", "other folds"], 5)]
    assert rows[0]["flag"] == "warn"
    sets = np.where(fold == 3, "purged", np.where(fold == 1, "test", "train"))
    (row,) = distribution_differences(pd.DataFrame({"id": []}), y, holdout(sets))
    assert row["flag"] != "warn"


def test_a_skewed_trait_is_advised_ranks_and_a_plain_one_nothing():
    rng = np.random.default_rng(0)
    assert any("rank_normal" in line for line in advice([], rng.lognormal(sigma=1, size=500), kind="genotype"))
    assert advice([], rng.normal(size=500), kind="genotype") == []


# --- missing calls that tell of the trait


def missing_calls(rng: np.random.Generator, told: bool) -> tuple[Inputs, np.ndarray]:
    batch = rng.integers(0, 2, 300)
    values = rng.integers(0, 3, (300, 120)).astype(float)
    rate = np.where(batch[:, None] == 1, np.linspace(0.0, 0.3, 120), np.linspace(0.3, 0.0, 120))
    values[rng.random((300, 120)) < rate] = np.nan
    y = rng.normal(size=300) + (1.5 * batch if told else 0.0)
    return genotypes(values), y


def test_a_batch_behind_missing_calls_and_trait_is_found():
    rng = np.random.default_rng(0)
    inputs, y = missing_calls(rng, told=True)
    found = missingness_check(inputs, y, np.arange(300), rng)
    assert found.is_suspect
    assert found.r == pytest.approx(0.6, abs=0.15)  # sd of the batch's part 0.75, of the rest 1
    told = advice([], y, kind="genotype", missingness=found)
    assert any("min_call_rate" in line for line in told)


def test_missing_calls_at_random_raise_no_alarm():
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        inputs, y = missing_calls(rng, told=False)
        alarms += missingness_check(inputs, y, np.arange(300), rng).is_suspect
    assert alarms <= 2


def test_families_with_own_gaps_and_own_means_raise_no_alarm():
    """Both gaps and trait follow families, but the gaps of one family tell nothing of the next."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        family = np.repeat(np.arange(12), 25)
        values = rng.integers(0, 3, (300, 120)).astype(float)
        values[rng.random((300, 120)) < rng.uniform(0, 0.4, (12, 120))[family]] = np.nan
        y = 2 * rng.normal(size=12)[family] + rng.normal(size=300)
        alarms += missingness_check(genotypes(values), y, family, rng).is_suspect
    assert alarms <= 3


def test_without_missing_calls_there_is_nothing_to_find():
    rng = np.random.default_rng(0)
    found = missingness_check(
        genotypes(rng.integers(0, 3, (50, 20)).astype(float)), rng.normal(size=50), np.arange(50), rng
    )
    assert (found.share, found.r, found.p) == (0.0, 0.0, 1.0)
    assert found.sentence == "no call is missing"
