import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.splits import Pairs, Split
from automl_pheno.splits.purge import purge


def make_pairs(rows, threshold=0.8):
    rows = sorted({(min(a, b), max(a, b)) for a, b in rows if a != b})
    first = np.array([a for a, _ in rows], dtype=np.int64)
    second = np.array([b for _, b in rows], dtype=np.int64)
    return Pairs(
        first=first, second=second, similarity=np.full(len(rows), 0.9), measure="identity", threshold=threshold
    )


def make_split(sets, fold=None, purged_from=None):
    n = len(sets)
    return Split(
        ids=np.array([f"s{i}" for i in range(n)]),
        group=np.arange(n, dtype=np.int64),
        set=np.array(sets, dtype=np.str_),
        fold=np.full(n, -1, dtype=np.int64) if fold is None else np.array(fold, dtype=np.int64),
        purged_from=purged_from,
    )


def test_one_validation_set():
    split = make_split(["train", "train", "train", "train", "validation", "validation", "test"])
    done = purge(split, [make_pairs([(0, 6), (1, 4), (2, 3)]), make_pairs([(5, 6), (0, 6)])])
    assert done.split.set.tolist() == ["purged", "purged", "train", "train", "validation", "purged", "test"]
    assert done.counts == {"test": {"pairs": 3, "purged": 2}, "validation": {"pairs": 1, "purged": 1}}
    assert done.share == pytest.approx(2 / 4)
    np.testing.assert_array_equal(done.split.group, split.group)


def test_who_is_purged_for_the_test_set_costs_nobody_else():
    split = make_split(["train", "validation", "test"])
    done = purge(split, [make_pairs([(0, 1), (1, 2)])])
    assert done.split.set.tolist() == ["train", "purged", "test"]
    assert done.share == 0.0


def test_folds():
    split = make_split(["train"] * 5 + ["test"], [0, 0, 1, 1, 2, -1])
    done = purge(split, [make_pairs([(0, 2), (0, 1), (4, 5)])])
    assert done.split.set.tolist() == ["train"] * 4 + ["purged", "test"]
    assert done.split.fold.tolist() == [0, 0, 1, 1, -1, -1]
    assert done.split.purged_from.tolist()[:4] == [[False, True, False], [False] * 3, [True, False, False], [False] * 3]
    assert done.counts["folds"] == [{"pairs": 1, "purged": 1}, {"pairs": 1, "purged": 1}, {"pairs": 0, "purged": 0}]


def test_nothing_to_purge_changes_nothing():
    split = make_split(["train"] * 4, [0, 0, 1, 1])
    for pairs in ([], [make_pairs([])], [make_pairs([(0, 1), (2, 3)])]):
        done = purge(split, pairs)
        assert done.share == 0.0
        assert done.split.purged_from is None
        assert done.split.set.tolist() == split.set.tolist()


def test_an_earlier_purge_is_kept():
    earlier = np.array([[False, True], [False, False], [False, False]])
    split = make_split(["train"] * 3, [0, 0, 1], earlier)
    done = purge(split, [make_pairs([(0, 2), (1, 2)])])
    assert done.split.purged_from.tolist() == [[False, True], [False, True], [True, False]]
    assert done.counts["folds"] == [{"pairs": 2, "purged": 1}, {"pairs": 2, "purged": 1}]


def test_the_most_that_can_be_lost_is_everything():
    split = make_split(["train", "validation", "test"])
    done = purge(split, [make_pairs([(0, 1), (0, 2)])])
    assert done.share == 1.0


@st.composite
def cases(draw):
    n = draw(st.integers(2, 25))
    rows = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60))
    more = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20))
    pairs = [make_pairs(rows), make_pairs(more, 0.5)]
    if draw(st.booleans()):
        sets = draw(st.lists(st.sampled_from(["train", "validation", "test", "purged"]), min_size=n, max_size=n))
        return make_split(sets), pairs
    k = draw(st.integers(2, 5))
    fold = draw(st.lists(st.integers(-2, k - 1), min_size=n, max_size=n))
    sets = ["train" if one >= 0 else "test" if one == -1 else "purged" for one in fold]
    return make_split(sets, [max(one, -1) for one in fold]), pairs


@given(cases())
@settings(max_examples=300, deadline=None)
def test_no_pair_crosses_afterwards_and_no_more_is_lost_than_must_be(case):
    split, pairs = case
    done = purge(split, pairs)
    after = done.split
    touching = {(a, b) for one in pairs for a, b in zip(one.first.tolist(), one.second.tolist(), strict=True)}
    touching |= {(b, a) for a, b in touching}
    test, development = set(after.test.tolist()), set(after.development.tolist())
    assert not any((a, b) in touching for a in development for b in test)
    kept = {fold.number: fold for fold in after.folds()}
    for fold in kept.values():
        assert not any((a, b) in touching for a in fold.train.tolist() for b in fold.validation.tolist())
    assert test == set(split.test.tolist())
    np.testing.assert_array_equal(after.group, split.group)
    # brute force: who must go
    must = {a for a in split.development.tolist() if any((a, b) in touching for b in test)}
    lost = []
    for fold in split.folds():
        validation = set(fold.validation.tolist()) - must
        train = {a for a in set(fold.train.tolist()) - must if not any((a, b) in touching for b in validation)}
        if fold.number in kept:
            assert set(kept[fold.number].train.tolist()) == train or not after.is_cross_validation
            assert set(kept[fold.number].validation.tolist()) == validation or not after.is_cross_validation
        if len(fold.train):
            lost.append(1 - len(train) / len(fold.train))
    if after.is_cross_validation == split.is_cross_validation and len(kept) == split.n_folds:
        assert done.share == pytest.approx(np.mean(lost) if lost else 0.0)
    assert done.counts["test"]["purged"] == len(must)
