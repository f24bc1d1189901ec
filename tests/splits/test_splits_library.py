import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs, encode_sequences
from automl_pheno.errors import SplitError
from automl_pheno.simulate import simulate_genotypes, simulate_motifs, simulate_mutants
from automl_pheno.simulate.leaks import simulate_unrelated
from automl_pheno.splits.library import extrapolate, find_library

KINDS = ("unseen", "mutations", "position")


def dataset_of(codes, y=None):
    ids = np.array([f"s{i}" for i in range(len(codes))])
    traits = pd.DataFrame({"y": np.arange(len(codes), dtype=float) if y is None else y}, index=ids)
    columns = pd.DataFrame(index=ids)
    return Dataset(name="x", ids=ids, inputs=Inputs(kind="sequence", values=codes), traits=traits, columns=columns)


@pytest.fixture(scope="module")
def mutants():
    dataset, _ = simulate_mutants(n=3000, length=120, seed=1)
    return dataset, find_library(dataset.inputs)


def split(mutants, kind, test=0.15, validation=0.15, seed=0):
    dataset, library = mutants
    rng = np.random.default_rng(seed)
    return extrapolate(dataset, library, kind, dataset.y("trait"), test, validation, rng)


def mutations(dataset, library, rows):
    """Set of (position, base) of the samples."""
    codes = dataset.inputs.values[rows]
    sample, position = np.nonzero(codes != library.reference)
    return [{(p, codes[s, p]) for p in position[sample == s]} for s in range(len(codes))]


def test_mutants_are_a_library_with_the_right_counts(mutants):
    dataset, library = mutants
    assert library is not None
    assert library.counts.tolist() == dataset.columns["mutations"].tolist()
    assert "no split of them is free of near copies" in library.describe()
    assert library.facts()["median_mutations"] == np.median(dataset.columns["mutations"])


def test_a_library_between_constant_flanks_is_recognised():
    rng = np.random.default_rng(0)
    core = simulate_mutants(n=500, length=60, seed=2)[0].inputs.values
    flank = np.repeat(simulate_unrelated(1, 40, rng).inputs.values, 500, 0)
    assert find_library(Inputs(kind="sequence", values=np.concatenate([flank, core, flank], axis=1))) is not None
    random = simulate_unrelated(500, 60, rng).inputs.values
    assert find_library(Inputs(kind="sequence", values=np.concatenate([flank, random, flank], axis=1))) is None


def test_others_are_no_library():
    rng = np.random.default_rng(0)
    assert find_library(simulate_motifs(n=500)[0].inputs) is None
    assert find_library(simulate_unrelated(300, 80, rng).inputs) is None
    assert find_library(simulate_genotypes(n=60, n_variants=100)[0].inputs) is None
    assert find_library(Inputs(kind="sequence", values=encode_sequences(["ACGT"] * 5)[0])) is None
    two = [simulate_mutants(n=150, length=100, seed=seed)[0].inputs.values for seed in (1, 2)]
    assert find_library(Inputs(kind="sequence", values=np.concatenate(two))) is None
    unequal, _ = encode_sequences(["ACGTACGTACGTACGT" + "A" * (i % 2) for i in range(40)])
    assert find_library(Inputs(kind="sequence", values=unequal)) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("test", "validation"), [(0.15, 0.15), (0.3, 0.1), (0.2, 0.0)])
def test_the_shares_asked_are_nearly_met_and_said(mutants, kind, test, validation):
    result = split(mutants, kind, test, validation)
    for name, share in (("test", test), ("validation", validation)):
        got = float((result.sets == name).mean())
        assert got == pytest.approx(share, rel=0.5 if kind == "mutations" else 0.25)
        if share:
            assert f"{name} {got:.1%} (asked: {share:.1%})" in result.notes[1]
            assert result.facts["shares"][name] == pytest.approx(got, abs=1e-4)
    assert set(result.sets) <= {"train", "validation", "test"}
    assert "not balanced on the trait" in result.notes[1]


def test_unseen_mutations_are_unseen(mutants):
    dataset, library = mutants
    result = split(mutants, "unseen")
    train, validation, test = (
        mutations(dataset, library, result.sets == name) for name in ("train", "validation", "test")
    )
    seen = set().union(*train)
    assert all(one - seen for one in validation)
    assert all(one - seen.union(*validation) for one in test)
    for name, samples in (("test", test), ("validation", validation)):
        positions = {int(text[1:-1]) - 1 for text in result.facts[f"{name}_mutations"]}
        assert all(positions & {p for p, _ in one} for one in samples)
    held = {(int(text[1:-1]) - 1, 1 << "ACGT".index(text[-1])) for text in result.facts["validation_mutations"]}
    assert result.facts["tested_that_would_be_both"] == sum(bool(one & held) for one in test) > 0
    assert f"{result.facts['tested_that_would_be_both']} samples that would be in both are tested" in result.notes[1]


def test_more_mutations_than_in_training(mutants):
    _, library = mutants
    result = split(mutants, "mutations")
    train, validation, test = (library.counts[result.sets == name] for name in ("train", "validation", "test"))
    assert train.max() < validation.min() <= validation.max() < test.min()
    assert result.facts["test_fewest_mutations"] == test.min()
    assert result.facts["train_most_mutations"] == train.max()


def test_positions_held_out_are_not_mutated_in_training(mutants):
    dataset, library = mutants
    result = split(mutants, "position")
    differs = dataset.inputs.values != library.reference
    low, high = result.facts["test_positions"]
    assert differs[result.sets == "test", low - 1 : high].any(axis=1).all()
    assert not differs[result.sets != "test", low - 1 : high].any()
    low, high = result.facts["validation_positions"]
    assert differs[result.sets == "validation", low - 1 : high].any(axis=1).all()
    assert not differs[result.sets == "train", low - 1 : high].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_and_equal_sequences_stay_together(mutants, kind):
    first, second = split(mutants, kind), split(mutants, kind)
    assert (first.sets == second.sets).all()
    _, inverse = np.unique(mutants[0].inputs.values, axis=0, return_inverse=True)
    pairs = set(zip(inverse.ravel().tolist(), first.sets.tolist(), strict=True))
    assert len(pairs) == len({sequence for sequence, _ in pairs})


def test_the_same_number_of_mutations_cannot_be_split_by_number():
    rng = np.random.default_rng(0)
    codes = np.repeat(simulate_unrelated(1, 100, rng).inputs.values, 200, 0)
    for row in codes:
        places = rng.choice(100, 5, replace=False)
        row[places] = np.where(row[places] == 8, 1, row[places] * 2)
    dataset = dataset_of(codes)
    library = find_library(dataset.inputs)
    assert set(library.counts) == {5}
    with pytest.raises(SplitError, match=r"only 5 mutations, which cannot make 3 sets"):
        extrapolate(dataset, library, "mutations", dataset.y("y"), 0.15, 0.15, rng)
    unseen = extrapolate(dataset, library, "unseen", dataset.y("y"), 0.15, 0.15, rng)
    assert abs(int((unseen.sets == "test").sum()) - 30) <= 2


def test_a_library_of_one_variable_position_cannot_extrapolate():
    rng = np.random.default_rng(1)
    codes = np.repeat(simulate_unrelated(1, 60, rng).inputs.values, 90, 0)
    codes[:, 30] = np.repeat([1, 2, 4], 30)
    dataset = dataset_of(codes)
    library = find_library(dataset.inputs)
    with pytest.raises(SplitError, match=r"'position': .* single positions are mutated in too many"):
        extrapolate(dataset, library, "position", dataset.y("y"), 0.15, 0.15, rng)


@pytest.mark.data
def test_sortseq_is_a_library_and_jores_is_not(data_folder):
    table = pd.read_csv(data_folder / "mavenn_sortseq" / "sortseq.csv.gz", usecols=["sequence", "mean_bin"])
    dataset = dataset_of(encode_sequences(table["sequence"].tolist())[0], table["mean_bin"].to_numpy())
    library = find_library(dataset.inputs)
    assert library is not None
    assert library.counts.mean() == pytest.approx(8.6, abs=0.05)  # the README: mean Hamming distance to the wild type
    assert library.counts.max() == 54
    result = extrapolate(dataset, library, "unseen", dataset.y("y"), 0.15, 0.15, np.random.default_rng(0))
    assert (result.sets == "test").mean() == pytest.approx(0.15, abs=0.02)
    promoters = pd.read_csv(data_folder / "jores_promoters" / "promoters.csv.gz", usecols=["sequence"])
    assert find_library(Inputs(kind="sequence", values=encode_sequences(promoters["sequence"].tolist())[0])) is None
