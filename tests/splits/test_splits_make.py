import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from automl_pheno.data import Dataset, Inputs, decode, drop_missing, encode_sequences, read_dataset
from automl_pheno.errors import SplitError
from automl_pheno.splits import SplitConfig, check_matches, make_split, read_split, write_split
from automl_pheno.splits.card import count_shared, ks_distance, part_names, wasserstein_distance

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def dataset(n=200, seed=0, texts=None, **columns):
    rng = np.random.default_rng(seed)
    texts = texts or ["".join(row) for row in np.array(list("ACGT"))[rng.integers(0, 4, (n, 20))]]
    ids = np.array([f"s{i}" for i in range(len(texts))])
    inputs = Inputs(kind="sequence", values=encode_sequences(texts)[0])
    traits = pd.DataFrame({"y": rng.normal(size=len(texts))}, index=ids)
    return Dataset(name="x", ids=ids, inputs=inputs, traits=traits, columns=pd.DataFrame(columns, index=ids))


def split(data, **config):
    made = make_split(data, "y", SplitConfig(**{"method": "holdout", **config}))
    return made.split, made.card


@settings(max_examples=30, deadline=None)
@given(
    st.integers(60, 150), st.integers(8, 60), st.integers(0, 1000), st.sampled_from(["holdout", "kfold"]),
    st.sampled_from([(), ("column:plot",), ("random",)]),
)  # fmt: skip
def test_groups_never_cross_and_every_sample_is_there_once(n, n_groups, seed, method, groups):
    data = dataset(n, seed, plot=np.random.default_rng(seed).integers(0, n_groups, n))
    config = SplitConfig(method=method, folds=3, groups=groups, seed=seed, test=0.2, validation=0.2)
    try:
        whole = make_split(data, "y", config)
    except SplitError as error:
        assert groups == ("column:plot",)  # only coarse groups can be impossible
        assert "groups" in str(error)  # noqa: PT017
        return
    made, card = whole.split, whole.card
    np.testing.assert_array_equal(made.ids, data.ids)
    sides = part_names(made)
    keys = data.columns["plot"] if groups == ("column:plot",) else made.group
    assert pd.Series(sides).groupby(np.asarray(keys)).nunique().max() == 1
    seen = np.concatenate([made.test, *(fold.validation for fold in made.folds())])
    if method == "kfold":
        assert sorted(seen) == list(range(n))
    else:
        assert sorted([*seen, *next(made.folds()).train]) == list(range(n))
    for fold in made.folds():
        assert not set(fold.train) & (set(fold.validation) | set(made.test))
    assert sum(card["sizes"].values()) == n


def test_seed_decides():
    data = dataset()
    a, b, c = (split(data, seed=seed)[0].set.tolist() for seed in (1, 1, 2))
    assert a == b != c


@pytest.mark.parametrize("method", ["holdout", "kfold"])
def test_planted_duplicates_and_reverse_complements_stay_together(method):
    base = dataset(150).inputs
    texts = decode(base.values)
    texts += texts[:50] + [text.translate(COMPLEMENT)[::-1] for text in texts[25:75]]
    made, card = split(dataset(texts=texts), method=method, folds=4)
    sides = part_names(made)
    first = dict(zip(texts[:150], sides[:150], strict=True))
    assert all(first[text] == side for text, side in zip(texts[150:200], sides[150:200], strict=True))
    flipped = [text.translate(COMPLEMENT)[::-1] for text in texts[200:]]
    assert all(first[text] == side for text, side in zip(flipped, sides[200:], strict=True))
    assert card["shared"] == {"ids": 0, "groups": 0, "sequences": 0, "reverse_complements": 0}
    assert card["largest_group"]["samples"] == 3


def test_the_count_of_shared_finds_what_a_wrong_split_shares():
    texts = ["AACCGG", "AACCGG", "ACGTTA", "TAACGT", "AAAAAA"]
    data = dataset(texts=texts)
    made, _ = split(dataset(60))
    wrong = replace(
        made, ids=data.ids, group=np.array([0, 0, 1, 2, 3]), set=np.array(["train", "test", "train", "test", "train"]),
        fold=np.full(5, -1),
    )  # fmt: skip
    shared = count_shared(data, wrong, wrong.set)
    # AACCGG and its copy; each of ACGTTA, TAACGT has its reverse complement on the other side
    assert shared == {"ids": 0, "groups": 1, "sequences": 1, "reverse_complements": 2}


def test_card_says_what_is_checked_and_is_plain_json():
    data = dataset(300, family=[f"f{i % 30}" for i in range(300)])
    made, card = split(data)
    card = json.loads(json.dumps(card))
    assert card["regime"].startswith("exact and reverse-complement duplicates kept together; column:family kept")
    assert card["statement"].startswith("leakage-free at identity >= 0.8 over 50% of the shorter sequence")
    assert {"duplicates": 300, "column:family": 30}.items() <= card["groupings"].items()
    assert "similarity" in card["groupings"]
    assert card["audit"]["leaks"] == []
    assert set(card["sizes"]) == {"train", "validation", "test"}
    assert [len(value) for value in card["sha256"].values()] == [64, 64, 64]
    y = data.y("y")
    for row in card["balance"]:
        a, b = (y[made.set == name] for name in row["between"])
        assert row["ks"] == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, rel=1e-4)
    assert card["phenotype"]["test"]["mean"] == pytest.approx(y[made.test].mean(), rel=1e-4)
    assert split(data, groups=("random",))[1]["regime"].startswith("random split: ")


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_distances_are_those_of_scipy(a, b):
    one, other = np.array(a, float), np.array(b, float)
    with np.errstate(divide="ignore"):  # its p value of equal samples
        expected = stats.ks_2samp(one, other, method="asymp").statistic
    assert ks_distance(one, other) == pytest.approx(expected)
    assert wasserstein_distance(one, other) == pytest.approx(stats.wasserstein_distance(one, other))


def test_balance_is_small_on_random_data():
    for method in ("holdout", "kfold"):
        card = split(dataset(1000), method=method)[1]
        assert max(row["ks"] for row in card["balance"]) < 0.05


def test_own_sets_are_taken_in_any_spelling():
    names = ["Training", "VAL", "test", "valid", "train", "validation"] * 20
    made, card = split(dataset(120, fold_of=names), set_column="fold_of")
    expected = ["train", "validation", "test", "validation", "train", "validation"] * 20
    assert made.set.tolist() == expected
    assert "set_column 'fold_of'" in card["regime"]


def test_own_train_and_test_get_a_validation_set_or_folds():
    data = dataset(200, part=["train"] * 150 + ["test"] * 50)
    made, card = split(data, set_column="part", validation=0.15)
    assert made.test.tolist() == list(range(150, 200))
    assert card["sizes"] == {"train": 120, "validation": 30, "test": 50}
    made, card = split(data, set_column="part", method="kfold", folds=3)
    assert card["sizes"] == {"fold 0": 50, "fold 1": 50, "fold 2": 50, "test": 50}


def test_own_folds_and_test_values():
    data = dataset(120, block=[f"b{i % 6 + 1}" for i in range(120)], year=[2020.0 + i % 3 for i in range(120)])
    made, card = split(data, fold_column="block")
    assert made.fold.tolist() == [i % 6 for i in range(120)]
    assert not len(made.test)
    assert any("no sealed test set" in note for note in card["notes"])
    made, _ = split(data, fold_column="block", test_column="block", test_values=("b6",))
    assert made.n_folds == 5
    assert made.test.tolist() == [i for i in range(120) if i % 6 == 5]
    made, _ = split(data, test_column="year", test_values=(2022,))
    assert made.test.tolist() == [i for i in range(120) if i % 3 == 2]
    assert (made.set == "validation").sum() == 18


DUPLICATED = ["ACGTACGTAA", "ACGTACGTAA"]


@pytest.mark.parametrize(
    ("columns", "config", "message"),
    [
        ({}, {"set_column": "sets"}, "no column 'sets'"),
        ({"sets": ["train", "tests"] * 30}, {"set_column": "sets"}, "unknown set 'tests'"),
        ({"sets": ["train", None] * 30}, {"set_column": "sets"}, "30 samples have no value: 's1', 's3', 's5', ..."),
        ({"sets": ["test"] * 60}, {"set_column": "sets"}, "no sample is in train"),
        ({"sets": ["train", "val"] * 30}, {"set_column": "sets", "method": "kfold"}, "must be holdout"),
        ({"k": [1] * 60}, {"fold_column": "k"}, "at least 2 folds"),
        ({"k": list(range(60))}, {"fold_column": "k"}, "are no folds"),
        ({"k": [1, 2] * 30}, {"test_column": "k", "test_values": (3,)}, "has the value '3'; known: 1, 2"),
        ({"k": [1, 2] * 30}, {"test_column": "k", "test_values": (1, 2)}, "nothing is left"),
        ({"k": [1, 2] * 30}, {"test_column": "k", "test_values": (1,), "validation": 0.6, "test": 0.1}, "to train on"),
        ({"k": [1, 2] * 30}, {"groups": ("column:k",)}, r"2 groups \(duplicates, column:k\) cannot make 3 parts"),
        ({"k": [1, 2, 3] * 20}, {"groups": ("column:k",), "method": "kfold"}, "cannot make 6 parts"),
        ({"k": [1] * 58 + [2, 3]}, {"groups": ("column:k",), "validation": 0.2, "test": 0.2}, "holds 58 of 60"),
        ({"k": [1, 2] * 30, "g": [1] * 60}, {"fold_column": "k", "groups": ("column:g",)},
         "1 groups lie on two sides; for example 's0' .0. and 's1' .1. must stay together"),
    ],
)  # fmt: skip
def test_impossible_splits_are_refused(columns, config, message):
    with pytest.raises(SplitError, match=message):
        split(dataset(60, **columns), **config)


def test_own_sets_that_part_duplicates_are_refused():
    texts = ["ACGTACGTAA", *(["AAAAAAAAC" + base for base in "ACGT"]), "TTACGTACGT"] * 1
    data = dataset(texts=texts, part=["train", "train", "train", "val", "test", "test"])
    with pytest.raises(SplitError, match=r"1 groups lie on two sides; for example 's0' \(train\) and 's5' \(test\)"):
        split(data, set_column="part")


def test_a_large_group_is_noted():
    _, card = split(dataset(200, k=[0] * 180 + list(range(1, 21))), groups=("column:k",))
    assert any("train has 90.0% of the samples (asked: 70.0%)" in note for note in card["notes"])
    assert any("holds 180 of 200" in note for note in card["notes"])


def test_missing_trait_is_refused():
    data = dataset(60)
    traits = data.traits.copy()
    traits.iloc[0, 0] = np.nan
    with pytest.raises(SplitError, match="missing in 1 samples"):
        split(replace(data, traits=traits))


@pytest.mark.parametrize(
    "config",
    [
        {"test": 0.5, "validation": 0.5},
        {"test": -0.1},
        {"validation": 0},
        {"folds": 1},
        {"groups": ("nothing",)},
        {"groups": ("random", "chromosome")},
        {"test_column": "x"},
        {"test_values": (1,)},
        {"set_column": "x", "fold_column": "y"},
        {"seeds": 1},
    ],
)
def test_bad_configurations_are_refused(config):
    with pytest.raises(ValidationError):
        SplitConfig(**config)


@pytest.mark.parametrize("method", ["holdout", "kfold"])
def test_a_written_split_comes_back(tmp_path, method):
    data = dataset(80)
    ids = data.ids.astype("<U20")
    ids[:3] = ["a,b", 'c"d', "NA"]
    made, _ = split(replace(data, ids=ids), method=method)
    write_split(made, tmp_path / "split.csv")
    back = read_split(tmp_path / "split.csv")
    for field in ("ids", "group", "set", "fold"):
        np.testing.assert_array_equal(getattr(back, field), getattr(made, field))
    assert [path.name for path in tmp_path.iterdir()] == ["split.csv"]
    check_matches(back, replace(data, ids=ids))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,group\na,1\n", "split.csv:1: a split has the columns"),
        ("id,group,set,fold\n", "has no samples"),
        ("id,group,set,fold\na,0,train,\na,0,train,\n", "split.csv:3: id 'a' is there twice"),
        ("id,group,set,fold\na,x,train,\n", "group must be a whole number, got 'x'"),
        ("id,group,set,fold\na,0,tran,\n", "set must be one of .* got 'tran'"),
        ("id,group,set,fold\na,0,test,1\n", "empty outside train"),
        ("id,group,set,fold\na,0,test\n", "expected 4 columns, got 3"),
    ],
)
def test_bad_split_files_are_refused(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(SplitError, match=message):
        read_split(tmp_path / "split.csv")


def test_a_split_of_other_data_is_refused(tmp_path):
    data = dataset(60)
    made, _ = split(data)
    with pytest.raises(SplitError, match="1 of 60 samples of the split are not in the data: 's59'"):
        check_matches(made, data.take(np.arange(59)))
    with pytest.raises(SplitError, match="another order"):
        check_matches(made, data.take(np.arange(60)[::-1]))
    with pytest.raises(SplitError, match="cannot be read"):
        read_split(tmp_path / "none.csv")


@pytest.mark.data
def test_wheat_keeps_the_published_folds(data_folder):
    wheat = data_folder / "bglr_wheat"
    data = read_dataset(wheat / "genotypes.csv.gz", trait_table=wheat / "phenotypes.csv.gz")
    whole = make_split(data, "GY_E1", SplitConfig(fold_column="bglr_set"))
    made, card = whole.split, whole.card
    published = pd.read_csv(wheat / "phenotypes.csv.gz")["bglr_set"].to_numpy()
    np.testing.assert_array_equal(made.fold + 1, published)
    assert made.n_folds == 10
    assert card["shared"] == {"ids": 0, "groups": 0, "genotypes": 0}


@pytest.mark.slow
@pytest.mark.data
def test_jores_by_chromosome(data_folder):
    data = drop_missing(read_dataset(data_folder / "jores_promoters" / "promoters.csv.gz"), "leaf_enrichment")
    assert len(data) == 7154
    whole = make_split(data, "leaf_enrichment", SplitConfig(groups=("chromosome",)))
    made, card = whole.split, whole.card
    known = data.columns["chrom"].notna().to_numpy()
    assert pd.Series(made.set[known]).groupby(data.columns["chrom"].to_numpy()[known]).nunique().max() == 1
    assert card["sizes"]["test"] > 700
