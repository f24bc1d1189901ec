"""Dense libraries, of which no split keeps neighbours apart, are recognised, split, and said to be what they are."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs
from automl_pheno.errors import SplitError
from automl_pheno.simulate.leaks import simulate_unrelated
from automl_pheno.splits import SplitConfig, make_split
from automl_pheno.splits.audit.library import find_dense as found_by_audit
from automl_pheno.splits.recognise import find_dense, find_library

LEFT, RIGHT = (1 << np.random.default_rng(0).integers(0, 4, n) for n in (16, 15))


def dataset_of(codes, seed=0):
    """Return sequences of bit codes with an additive trait with neighbours that interact."""
    rng = np.random.default_rng(seed)
    codes = np.asarray(codes, dtype=np.uint8)
    numbers = np.log2(codes).astype(int)
    places = np.arange(codes.shape[1])
    y = rng.normal(size=(codes.shape[1], 4))[places, numbers].sum(axis=1)
    y += rng.normal(size=(codes.shape[1], 4, 4))[places[:-1], numbers[:, :-1], numbers[:, 1:]].sum(axis=1) / 2
    ids = np.array([f"s{number}" for number in range(len(codes))])
    return Dataset(
        name="library",
        ids=ids,
        inputs=Inputs(kind="sequence", values=codes),
        traits=pd.DataFrame({"psi": y}, index=ids),
        columns=pd.DataFrame(index=ids),
    )


def nine_mers(n, *, frame, seed=1):
    every = 1 << np.array(list(product(range(4), repeat=9)))
    some = every[np.random.default_rng(seed).choice(len(every), n, replace=False)]
    if not frame:
        return some
    return np.concatenate([np.tile(LEFT, (n, 1)), some, np.tile(RIGHT, (n, 1))], axis=1)


def splice_sites():
    """NNN G [CT] NNNN, as those of mavenn's mpsa are: 32,768 are possible."""
    every = 1 << np.array(list(product(range(4), repeat=7)))
    sites = [np.insert(every, 3, [[4], [base]], axis=1) for base in (2, 8)]
    return np.concatenate(sites)


def codons():
    rng = np.random.default_rng(2)
    some = 1 << rng.integers(0, 4, (9000, 12))
    some[:, 2::3] = rng.choice([4, 8], (9000, 4))
    some = np.unique(some, axis=0)
    return np.concatenate([np.tile(LEFT, (len(some), 3)), some, np.tile(RIGHT, (len(some), 2))], axis=1)


def parts():
    rng = np.random.default_rng(3)
    choices = 1 << rng.integers(0, 4, (5, 4, 15))
    return np.array([np.concatenate(choices[range(5), list(which)]) for which in product(range(4), repeat=5)])


def two_choices():
    rng = np.random.default_rng(4)
    wild = 1 << rng.integers(0, 4, 60)
    out = np.tile(wild, (2048, 1))
    for number, place in enumerate(rng.choice(60, 11, replace=False)):
        out[:, place] = np.where(
            np.arange(2048) >> number & 1, 1 << ((np.log2(wild[place]).astype(int) + 1) % 4), wild[place]
        )
    return out


LIBRARIES = {
    "nine-mers in a frame": lambda: nine_mers(12_000, frame=True),
    "nine-mers": lambda: nine_mers(8000, frame=False),
    "splice sites": lambda: splice_sites()[::3],
    "randomised codons": codons,
    "two choices": two_choices,
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_dense_library_is_one_by_both_codes_and_has_no_consensus(name):
    data = dataset_of(LIBRARIES[name]())
    library = find_dense(data.inputs, data.y("psi"))
    assert library.kind == "dense"
    assert find_library(data.inputs) is None
    assert found_by_audit(data.inputs.values, np.random.default_rng(0)).sum() == library.variable


def test_what_is_possible_and_near_is_counted():
    data = dataset_of(nine_mers(30_483, frame=True))
    library = find_dense(data.inputs, data.y("psi"))
    assert (library.variable, library.different, library.possible) == (9, 30_483, 4**9)
    assert 35 <= library.neighbours <= 47  # 11.6 % of the 27 + 324 within two substitutions are there
    np.testing.assert_array_equal(library.reference, data.inputs.values[data.y("psi").argmax()])
    assert "30,483 of 262,144 possible ones (11.63%)" in library.describe()


@pytest.mark.parametrize(("n", "length"), [(150, 9), (500, 12), (1000, 40), (1000, 100)])
def test_random_sequences_are_no_dense_library(n, length):
    data = simulate_unrelated(n, length, np.random.default_rng(5))
    assert find_dense(data.inputs, None) is None
    assert found_by_audit(data.inputs.values, np.random.default_rng(0)) is None


def test_pairs_of_copies_are_no_dense_library():
    codes = np.repeat(simulate_unrelated(500, 30, np.random.default_rng(6)).inputs.values, 2, axis=0)
    codes[::2, 7] = 1 << ((np.log2(codes[::2, 7]).astype(int) + 1) % 4)
    assert find_dense(Inputs(kind="sequence", values=codes), None) is None
    assert found_by_audit(codes, np.random.default_rng(0)) is None


@pytest.mark.parametrize("method", ["holdout", "kfold"])
def test_an_ordinary_split_of_it_is_no_leak_and_claims_interpolation(method):
    data = dataset_of(nine_mers(3000, frame=True))
    made = make_split(data, "psi", SplitConfig(method=method, folds=3))
    assert made.leaks == ()
    statement = made.card["statement"]
    assert "not leakage-free" in statement
    assert "interpolation within this library" in statement
    assert not statement.startswith("leakage-free")
    assert made.card["library"]["kind"] == made.card["audit"]["library"]["kind"] == "dense"


def test_said_to_be_random_its_neighbours_are_leaks_and_counted():
    data = dataset_of(nine_mers(2500, frame=True))
    made = make_split(data, "psi", SplitConfig(groups=("random",)))
    found = next(check for check in made.card["audit"]["checks"] if check["kind"] == "identity")
    cores = data.inputs.values[:, 16:25]
    for stage, others in (("test", ("train", "validation")), ("validation", ("train",))):
        rows, trained = cores[made.split.set == stage], cores[np.isin(made.split.set, others)]
        near = sum(bool(((row != trained).sum(axis=1) <= 1).any()) for row in rows)
        assert (found[stage]["count"], found[stage]["rows"], found[stage]["of"]) == (near, near, len(rows))
    assert len(made.leaks) == 2


@pytest.mark.parametrize("kind", ["unseen", "mutations"])
def test_extrapolations_that_are_asked_for_hold(kind):
    data = dataset_of(nine_mers(3000, frame=True))
    made = make_split(data, "psi", SplitConfig(extrapolation=kind))
    assert made.leaks == ()
    assert f"the declared extrapolation ({kind}) holds" in made.card["statement"]
    sets, codes = made.split.set, data.inputs.values
    if kind == "mutations":
        best = codes[data.y("psi").argmax()]
        counts = (codes != best).sum(axis=1)
        assert counts[sets == "test"].min() > counts[sets != "test"].max()
    else:
        for row in codes[sets == "test"]:
            assert (row != codes[sets != "test"]).all(axis=0).any()  # a base at a place that none of the others has
    with pytest.raises(SplitError, match="or for none: an ordinary split, which tests interpolation"):
        make_split(data, "psi", SplitConfig(extrapolation="position"))


@pytest.mark.slow
def test_parts_that_are_exchanged_as_a_whole_are_no_dead_end():
    made = make_split(dataset_of(parts()), "psi", SplitConfig())
    assert made.leaks == ()
    assert "interpolation within this library" in made.card["statement"]
    assert any(note.startswith("similarity keeps nothing apart") for note in made.card["notes"])


def test_mutants_go_on_to_what_their_library_allows():
    rng = np.random.default_rng(7)
    codes = np.tile(1 << rng.integers(0, 4, 40), (600, 1))
    for row in codes:  # one base at each place is exchanged in 22 % of them: no mutation is rare enough to be held out
        places = rng.random(40) < 0.22
        row[places] = 1 << ((np.log2(row[places]).astype(int) + 1) % 4)
    data = dataset_of(np.unique(codes, axis=0))
    made = make_split(data, "psi", SplitConfig(test=0.05, validation=0.05))
    assert made.leaks == ()
    assert made.card["extrapolation"]["extrapolation"] == "mutations"
    assert any(
        note.startswith("extrapolation 'unseen'") and "mutations is tried" in note for note in made.card["notes"]
    )


def test_the_folds_of_a_library_are_not_held_to_its_extrapolation():
    rng = np.random.default_rng(8)
    wild = 1 << rng.integers(0, 4, 60)
    codes = np.tile(wild, (1500, 1))
    for row in codes:
        places = rng.choice(60, rng.integers(1, 4), replace=False)
        row[places] = 1 << ((np.log2(row[places]).astype(int) + rng.integers(1, 4, len(places))) % 4)
    data = dataset_of(np.unique(codes, axis=0))
    made = make_split(data, "psi", SplitConfig(method="kfold", folds=3))
    assert made.leaks == ()
    assert "of the test set holds" in made.card["statement"]
    assert "the folds are drawn at random and interpolate" in made.card["statement"]
    without_test = make_split(data, "psi", SplitConfig(method="kfold", folds=3, test=0.0))
    assert "interpolation within this library" in without_test.card["statement"]
    with pytest.raises(SplitError, match="the test set alone extrapolates"):
        make_split(data, "psi", SplitConfig(method="kfold", folds=3, test=0.0, extrapolation="unseen"))


def test_what_says_itself_what_is_tested_does_not_go_with_an_extrapolation():
    with pytest.raises(ValueError, match="set_column already says what is tested"):
        SplitConfig(set_column="set", extrapolation="unseen")


def test_without_a_trait_mutations_are_counted_from_the_consensus():
    data = dataset_of(splice_sites()[::8])
    made = make_split(replace(data, traits=data.traits.iloc[:, :0]), None, SplitConfig(extrapolation="mutations"))
    assert made.card["library"]["reference_is"] == "consensus"
    assert made.card["trait"] is None


def test_a_column_of_groups_is_kept_together_or_said_not_to_be():
    data = dataset_of(nine_mers(2500, frame=True))
    grouped = replace(data, columns=pd.DataFrame({"group": np.arange(2500) // 5}, index=data.ids))
    made = make_split(grouped, "psi", SplitConfig())
    assert made.card["groups"] == 500
    assert "samples are grouped by 'group', because the data have such a column" in made.card["notes"]
    asked = make_split(grouped, "psi", SplitConfig(extrapolation="mutations"))
    assert any(note.startswith("column 'group' is not grouped by") for note in asked.card["notes"])


def test_a_published_split_of_a_library_claims_interpolation_and_not_independence():
    data = dataset_of(nine_mers(2500, frame=True))
    sets = np.random.default_rng(9).choice(["training", "validation", "test"], 2500)
    made = make_split(replace(data, columns=pd.DataFrame({"set": sets}, index=data.ids)), "psi",
                      SplitConfig(set_column="set"))  # fmt: skip
    assert made.leaks == ()
    assert made.split.set.tolist() == np.where(sets == "training", "train", sets).tolist()
    assert "not leakage-free; what can be claimed is interpolation within this library" in made.card["statement"]
    chosen = make_split(replace(data, columns=pd.DataFrame({"set": sets}, index=data.ids)), "psi",
                        SplitConfig(test_column="set", test_values=("test",)))  # fmt: skip
    assert chosen.leaks == ()
    np.testing.assert_array_equal(chosen.split.set == "test", sets == "test")
