import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs
from automl_pheno.splits.audit.exact import bases_across, genotypes_across
from automl_pheno.splits.audit.genotypes import scan_genotypes
from automl_pheno.splits.audit.sides import find_sides, keys_across
from automl_pheno.splits.markers import choose_markers
from automl_pheno.splits.split import Split


def genotypes(n=40, m=300, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.binomial(2, rng.uniform(0.2, 0.5, m), (n, m)).astype(np.float32)
    values[rng.random((n, m)) < missing] = np.nan
    return values


def split_of(n, seed=0, folds=0):
    rng = np.random.default_rng(seed)
    sets = np.resize(["train", "test", "train", "validation"], n).astype("<U10")
    fold = np.full(n, -1)
    if folds:
        sets[sets == "validation"] = "train"
        fold[sets == "train"] = rng.integers(0, folds, int((sets == "train").sum()))
    return Split(ids=np.array([f"s{i}" for i in range(n)]), group=np.arange(n), set=sets, fold=fold)


def king(a, b):
    """Count as in equation 11 of Manichaikul et al. 2010."""
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    fewer = min((a == 1).sum(), (b == 1).sum())
    shared = ((a == 1) & (b == 1)).sum() - 2 * (np.abs(a - b) == 2).sum()
    return shared / (2 * fewer) + 0.5 - ((a == 1).sum() + (b == 1).sum()) / (4 * fewer)


def ibs(a, b):
    return 1.0 - np.nanmean(np.abs(a - b), dtype=np.float64) / 2.0


def truth(values, sides, measure):
    n = len(values)
    nearest, similarity = np.full(n, -1), np.full(n, np.nan)
    for row in sides.evaluated:
        others = np.flatnonzero(sides.meets(np.full(n, row), np.arange(n)))
        alike = [measure(values[row], values[other]) for other in others]
        nearest[row], similarity[row] = others[int(np.argmax(alike))], max(alike)
    return nearest, similarity


@pytest.mark.parametrize("folds", [0, 3])
@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize(("estimator", "measure"), [("king", king), ("ibs", ibs)])
def test_the_nearest_is_that_of_all_pairs(estimator, measure, missing, folds):
    values = genotypes(missing=missing)
    sides = find_sides(split_of(40, folds=folds))
    scan = scan_genotypes(Inputs(kind="genotype", values=values), sides, estimator, 0.0513)
    kept = choose_markers(Inputs(kind="genotype", values=values)).columns
    _, similarity = truth(values[:, kept], sides, measure)
    np.testing.assert_allclose(scan.similarity, similarity, rtol=1e-12)
    rows = sides.evaluated
    told = [measure(values[i, kept], values[j, kept]) for i, j in zip(rows, scan.nearest[rows], strict=True)]
    np.testing.assert_allclose(scan.similarity[rows], told)
    pairs = {
        (min(i, j), max(i, j))
        for i in rows
        for j in range(40)
        if sides.meets(np.array([i]), np.array([j]))[0] and measure(values[i, kept], values[j, kept]) >= 0.0513
    }
    assert sum(crossing.count for crossing in scan.crossings.values()) == len(pairs)


def test_correlation_is_that_of_standardised_genotypes():
    values = genotypes()
    sides = find_sides(split_of(40))
    scan = scan_genotypes(Inputs(kind="genotype", values=values), sides, "grm", 0.5)
    p = values.mean(axis=0) / 2
    z = (values - 2 * p) / np.sqrt(2 * p * (1 - p))
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    _, similarity = truth(z, sides, lambda a, b: float(a @ b))
    np.testing.assert_allclose(scan.similarity, similarity, atol=1e-5)


def test_blocks_give_the_same(monkeypatch):
    from automl_pheno.splits.audit import genotypes as audit_genotypes

    values, sides = genotypes(n=90, missing=0.02), find_sides(split_of(90, folds=4))
    whole = scan_genotypes(Inputs(kind="genotype", values=values), sides, "king", 0.05)
    monkeypatch.setattr(audit_genotypes, "_MOST_ROWS", 64)
    monkeypatch.setattr(audit_genotypes, "_OPERAND", 1)
    parts = scan_genotypes(Inputs(kind="genotype", values=values), sides, "king", 0.05)
    np.testing.assert_array_equal(whole.similarity, parts.similarity)
    assert whole.crossings["validation"].count == parts.crossings["validation"].count
    assert whole.leak_ratio == pytest.approx(parts.leak_ratio)


def test_inbred_lines_without_heterozygotes():
    values = np.random.default_rng(0).choice([0.0, 2.0], (20, 200)).astype(np.float32)
    values[1] = values[0]
    split = split_of(20)
    scan = scan_genotypes(Inputs(kind="genotype", values=values), find_sides(split), "king", 0.0884)
    assert scan.similarity[1] == 0.5
    assert scan.facts["undefined"] > 0
    same = scan_genotypes(Inputs(kind="genotype", values=values), find_sides(split), "ibs", 0.95)
    assert same.crossings["test"].worst == 1.0
    flat = Inputs(kind="genotype", values=np.ones((20, 5), dtype=np.float32))
    assert scan_genotypes(flat, find_sides(split), "ibs", 0.95) is None


def test_leak_ratio_is_a_share_of_pairs_that_are_alike():
    values = genotypes(n=8, m=2000)
    values[1] = values[0]  # test and train
    values[5] = values[1]  # both test
    scan = scan_genotypes(Inputs(kind="genotype", values=values), find_sides(split_of(8)), "king", 0.3)
    assert scan.leak_ratio == pytest.approx(2 / 3)  # 0-1 and 0-5 cross, 1-5 does not


def test_equal_genotypes_with_missing_calls():
    values = genotypes(missing=0.1)
    values[2] = values[1]
    values[2] = np.where(values[2] == 0, -0.0, values[2])
    found = genotypes_across(values, find_sides(split_of(40)))
    assert found["test"].count == 1
    assert found["test"].examples.tolist() == [[1, 2]]
    assert found["validation"].count == 0


def test_keys_count_once_however_often_they_cross():
    sides = find_sides(split_of(8))
    keys = np.array([7, 7, 7, 7, -1, -1, 3, 3])
    found = keys_across(keys, sides)
    assert found["test"].count == 1
    assert found["validation"].count == 2


@pytest.mark.parametrize("seed", range(3))
def test_bases_of_overlapping_intervals_by_hand(seed):
    rng = np.random.default_rng(seed)
    n = 60
    start = rng.integers(0, 2000, n)
    table = pd.DataFrame(
        {"chrom": rng.choice(["1", "chr1", "2"], n), "start": start, "end": start + rng.integers(1, 80, n)}
    )
    split = split_of(n, folds=3)
    data = Dataset(
        name="x",
        ids=split.ids,
        inputs=Inputs(kind="genotype", values=genotypes(n, 5)),
        traits=pd.DataFrame(index=split.ids),
        columns=table.set_index(split.ids),
    )
    sides = find_sides(split)
    found = bases_across(data, sides)
    expected = {"test": 0, "validation": 0}
    place = table["chrom"].str.removeprefix("chr")
    for i in range(n):
        for j in range(i):
            meets = sides.meets(np.array([i, j]), np.array([j, i])).any()
            if meets and place[i] == place[j]:
                bp = min(table["end"][i], table["end"][j]) - max(table["start"][i], table["start"][j])
                stage = "test" if sides.is_test(np.array([i, j])).any() else "validation"
                expected[stage] += max(bp, 0)
    assert {stage: crossing.count for stage, crossing in found.items()} == expected
