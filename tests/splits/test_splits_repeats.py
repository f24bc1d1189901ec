"""Repeated K folds, and the method where it is left open."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from automl_pheno.data import Dataset, Inputs
from automl_pheno.errors import SplitError
from automl_pheno.evaluation.compare import random_like
from automl_pheno.rng import generator
from automl_pheno.simulate import SIMULATORS
from automl_pheno.splits import (
    AuditRules,
    SplitConfig,
    audit_split,
    make_split,
    read_any_split,
    read_split,
    write_split,
)
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.purge import purge
from automl_pheno.splits.split import Split, join_repeats


def dataset(n, seed=0, **columns):
    rng = np.random.default_rng(seed)
    ids = np.array([f"s{i}" for i in range(n)])
    variants = pd.DataFrame({
        "id": [f"v{i}" for i in range(40)], "chromosome": "1", "position": np.arange(40), "ref": "A", "alt": "G"
    })  # fmt: skip
    inputs = Inputs(kind="genotype", values=rng.integers(0, 3, (n, 40)).astype(np.float32), variants=variants)
    traits = pd.DataFrame({"y": rng.normal(size=n)}, index=ids)
    return Dataset(name="x", ids=ids, inputs=inputs, traits=traits, columns=pd.DataFrame(columns, index=ids))


def made(data, **config):
    return make_split(data, "y", SplitConfig(**config))


@settings(max_examples=15, deadline=None)
@given(st.integers(60, 120), st.integers(12, 60), st.integers(2, 5), st.integers(2, 4), st.integers(0, 1000))
def test_each_sample_is_validated_on_once_a_repeat_and_groups_stay_whole(n, n_groups, folds, repeats, seed):
    plots = np.random.default_rng(seed).integers(0, n_groups, n)
    try:
        split = made(
            dataset(n, seed, plot=plots),
            method="kfold",
            folds=folds,
            repeats=repeats,
            groups=("column:plot",),
            seed=seed,
        ).split
    except SplitError as error:
        assert "were asked" in str(error) or "parts" in str(error)  # noqa: PT017 - groups too large for so many folds
        return
    development = split.development
    assert split.n_folds == sum(one.n_folds for one in split.repeats()) == folds * len(split.repeats())
    assert [fold.number for fold in split.folds()] == list(range(split.n_folds))
    assert len(set(map(bytes, (one.fold for one in split.repeats())))) == len(split.repeats()) <= repeats
    for number, one in enumerate(split.repeats()):
        validated = np.concatenate([fold.validation for fold in list(split.folds())[number * folds :][:folds]])
        assert sorted(validated) == development.tolist()
        assert all(len(set(one.fold[rows])) == 1 for rows in (np.flatnonzero(plots == plot) for plot in set(plots))
                   if (one.set[rows] == "train").all())  # fmt: skip
        sizes = np.bincount(one.fold[development], minlength=folds)
        # sizes and the spread of the trait are balanced together, so whole groups alone do not bound the sizes
        most = 0.05 * len(development) + np.bincount(plots).max()
        assert np.abs(sizes - len(development) / folds).max() <= most
    for fold in split.folds():
        assert not set(plots[fold.train]) & set(plots[fold.validation])
        assert not set(fold.train) & set(split.test)


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 60), st.integers(0, 1000), st.integers(2, 4))
def test_a_purge_keeps_pairs_apart_in_each_repeat_and_on_both_sides_of_a_pair(n, seed, folds):
    rng = np.random.default_rng(seed)
    ids = np.array([f"s{i}" for i in range(n)])
    sets = np.where(np.arange(n) < n // 5, "test", "train")
    draws = [np.where(sets == "train", rng.permutation(n) % folds, -1) for _ in range(3)]
    split = join_repeats([Split(ids=ids, group=np.arange(n), set=sets, fold=fold) for fold in draws])
    first, second = np.sort(np.array([rng.choice(n, 2, replace=False) for _ in range(n // 4)]), axis=1).T
    pairs = Pairs(first=first, second=second, similarity=np.ones(len(first)), measure="IBS", threshold=0.9)
    purged = purge(split, (pairs,)).split
    alone = [purge(one, (pairs,)).split for one in split.repeats()]
    assert [one.set.tolist() for one in purged.repeats()] == [purged.set.tolist()] * 3
    for a, b in zip(first, second, strict=True):
        for fold in purged.folds():
            assert not ({a, b} & set(fold.train) and {a, b} & set(fold.validation)) or {a, b} <= set(fold.validation)
        assert not ({a, b} & set(purged.development) and {a, b} & set(purged.test)) or {a, b} <= set(purged.test)
    for together, single in zip(purged.repeats(), alone, strict=True):
        assert np.array_equal(together.fold, single.fold)
        assert (together.purged_from is None) == (single.purged_from is None)
        if single.purged_from is not None:
            assert np.array_equal(together.purged_from, single.purged_from)


def test_split_csv_keeps_every_repeat_and_a_file_without_repeats_reads_as_before(tmp_path):
    data = dataset(80)
    split = made(data, method="kfold", folds=3, repeats=3, groups=("random",)).split
    apart = np.zeros((80, 3), dtype=bool)
    apart[split.again[1].fold == 1, 0] = True
    split = replace(split, again=(split.again[0], replace(split.again[1], purged_from=apart)))
    write_split(split, tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text().startswith("id,group,set,fold,fold_2,fold_3,purged_from_3\n")
    for read in (read_split(tmp_path / "split.csv"), read_any_split(tmp_path / "split.csv", data).split):
        for one, other in zip(read.folds(), split.folds(), strict=True):
            assert np.array_equal(one.train, other.train)
            assert np.array_equal(one.validation, other.validation)
    write_split(split.repeats()[0], tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().startswith("id,group,set,fold\n")
    assert read_split(tmp_path / "one.csv").again == ()
    for bad in ("id,group,set,fold,fold_3\na,0,train,0,1\n", "id,group,set,fold,purged_from_2\na,0,train,0,\n"):
        (tmp_path / "bad.csv").write_text(bad)
        with pytest.raises(SplitError, match="a split has the columns id, group, set, fold, got"):
            read_split(tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("id,group,set,fold,fold_2\na,0,test,,1\n")
    with pytest.raises(SplitError, match=r"bad.csv:2: fold_2 must be a whole number, and empty outside train"):
        read_split(tmp_path / "bad.csv")


def test_the_audit_finds_a_leak_that_only_a_later_repeat_has():
    data = dataset(60)
    twin = data.inputs.values.copy()
    twin[1] = twin[0]
    data = replace(data, inputs=replace(data.inputs, values=twin))
    fold = np.arange(60) % 3
    fold[:2] = 0
    apart = fold.copy()
    apart[1] = 1
    clean, leaking = (Split(ids=data.ids, group=np.arange(60), set=np.full(60, "train"), fold=f) for f in (fold, apart))
    rules = AuditRules(judged=())
    audits = [audit_split(data, "y", one, rules, generator(0)) for one in (clean, join_repeats([clean, leaking]))]
    assert [len(audit.leaks) for audit in audits] == [0, 1]
    assert "equal genotypes" in audits[1].leaks[0].sentence
    assert [one["leaks"] for one in audits[1].facts["repeats"]] == [0, 1]


def test_a_random_split_to_compare_with_has_as_many_repeats_and_other_folds():
    data = dataset(90)
    split = made(data, method="kfold", folds=3, repeats=2, test=0.0, groups=("random",)).split
    random = random_like(data, data.y("y"), split, 1)
    assert [np.bincount(one.fold).tolist() for one in random.repeats()] == [
        np.bincount(one.fold).tolist() for one in split.repeats()
    ]
    assert not np.array_equal(random.fold, random.again[0].fold)


@pytest.mark.parametrize(
    ("n", "method", "trainings"),
    [(120, "kfold", 10), (299, "kfold", 10), (300, "kfold", 5), (499, "kfold", 5), (500, "holdout", 1)],
)
def test_below_500_samples_repeated_folds_are_the_default_and_the_card_says_why(n, method, trainings):
    whole = made(dataset(n), groups=("random",))
    assert (whole.config.method, whole.split.n_folds) == (method, trainings)
    assert whole.card["repeats"] == whole.config.repeats == len(whole.split.repeats())
    assert whole.card["config"]["method"] == method
    said = [note for note in whole.card["notes"] if "are few (below 500)" in note]
    assert len(said) == (method == "kfold")
    assert all(f"each candidate is trained {trainings} times" in note for note in said)


@pytest.mark.parametrize(
    ("config", "method", "repeats"),
    [
        ({"method": "holdout"}, "holdout", 1),
        ({"method": "kfold"}, "kfold", 1),
        ({"method": "kfold", "repeats": 4}, "kfold", 4),
        ({"repeats": 4}, "kfold", 4),
    ],
)
def test_what_the_user_says_about_folds_wins(config, method, repeats):
    whole = made(dataset(120), groups=("random",), **config)
    assert (whole.config.method, whole.config.repeats, len(whole.split.again) + 1) == (method, repeats, repeats)
    assert not any("are few (below 500)" in note for note in whole.card["notes"])


def test_columns_of_the_user_are_neither_repeated_nor_cut_anew():
    names = [("train", "train", "train", "validation", "test")[i % 5] for i in range(120)]
    own = made(dataset(120, part=names), set_column="part")
    assert (own.config.method, own.split.n_folds) == ("holdout", 1)
    folds = made(dataset(120, cv=np.arange(120) % 4), fold_column="cv")
    assert (folds.split.n_folds, folds.split.again) == (4, ())


def test_where_folds_cannot_be_drawn_one_validation_set_is_and_why_is_said():
    data = dataset(120, plot=np.repeat(np.arange(4), 30))
    whole = made(data, groups=("column:plot",), test=0.25, validation=0.25)
    assert whole.config.method == "holdout"
    assert any("since folds cannot be drawn: 4 groups" in note for note in whole.card["notes"])
    with pytest.raises(SplitError, match=r"4 groups .* cannot make 6 parts"):
        made(data, groups=("column:plot",), test=0.25, validation=0.25, method="kfold")


def test_a_small_library_of_mutants_keeps_a_validation_set_that_extrapolates():
    data, _ = SIMULATORS["mutants"](n=300, seed=1)
    trait = str(data.traits.columns[0])
    whole = make_split(data, trait, SplitConfig(audit_seconds=1.0))
    assert whole.config.method == "holdout"
    assert any(note.startswith("one validation set, though there are few samples") for note in whole.card["notes"])


def test_repeats_that_could_only_be_the_same_are_left_out():
    data = dataset(100, plot=np.repeat(np.arange(5), 20))
    whole = made(data, groups=("column:plot",), method="kfold", folds=5, test=0.0, repeats=3)
    assert whole.split.again == ()
    assert any("repeats: 1 of 3" in note for note in whole.card["notes"])


def test_repeats_without_folds_to_draw_are_refused():
    for config in ({"method": "holdout"}, {"fold_column": "cv"}):
        with pytest.raises(ValidationError, match="repeats draws K folds anew"):
            SplitConfig(repeats=2, **config)
