import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from automl_pheno.data import read_dataset
from automl_pheno.errors import SplitError
from automl_pheno.splits import Pairs, cut
from automl_pheno.splits.cut import cut_groups
from automl_pheno.splits.relatedness import relatedness


def make_pairs(first, second, similarity=None, threshold=0.5):
    first, second = np.minimum(first, second), np.maximum(first, second)
    rows = np.unique(np.stack([first, second]), axis=1) if similarity is None else np.stack([first, second])
    values = np.full(rows.shape[1], 0.7) if similarity is None else np.asarray(similarity, dtype=float)
    return Pairs(
        first=rows[0].astype(np.int64), second=rows[1].astype(np.int64), similarity=values, measure="IBS",
        threshold=threshold,
    )  # fmt: skip


def communities(sizes, inside, across, seed=0):
    """Return planted labels and pairs: dense inside, `across` pairs between."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    n = len(truth)
    a, b = np.triu_indices(n, 1)
    kept = (truth[a] == truth[b]) & (rng.random(len(a)) < inside)
    x, y = rng.integers(0, n, size=(2, across))
    apart = truth[x] != truth[y]
    return truth, make_pairs(np.r_[a[kept], x[apart]], np.r_[b[kept], y[apart]])


def components(n, edges):
    a, b = np.array(edges, dtype=int).reshape(-1, 2).T
    return connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)[1]


def rng():
    return np.random.default_rng(0)


def test_small_components_stay_whole_and_need_no_note():
    labels, notes = cut_groups(np.arange(6), [make_pairs(np.array([0, 1]), np.array([1, 2]))], 3, rng())
    assert labels.tolist() == [0, 0, 0, 1, 2, 3]
    assert notes == ()


def test_hard_labels_and_several_kinds_of_pairs_join():
    hard = np.array([5, 5, 7, 8, 9])
    one, two = make_pairs(np.array([1]), np.array([2])), make_pairs(np.array([2]), np.array([3]), [0.9], 0.9)
    assert cut_groups(hard, [one, two], 5, rng())[0].tolist() == [0, 0, 0, 0, 1]
    assert cut_groups(hard, [], 1, rng())[0].tolist() == [0, 0, 1, 2, 3]


def test_planted_communities_come_back():
    truth, pairs = communities([30, 25, 40, 20, 35], inside=0.5, across=12)
    labels, notes = cut_groups(np.arange(150), [pairs], 50, rng())
    assert len(pairs.crossing(labels)) <= len(pairs.crossing(truth))
    np.testing.assert_array_equal(np.equal.outer(labels, labels), np.equal.outer(truth, truth))
    assert "150 of 150 samples" in notes[0]
    assert f"{len(pairs.crossing(labels)):,} of {len(pairs):,} pairs with IBS >= 0.5 lie across" in notes[0]


def test_strong_pairs_are_kept_before_weak_ones():
    first, second = np.array([0, 1, 2]), np.array([1, 2, 3])
    labels, _ = cut_groups(np.arange(4), [make_pairs(first, second, [0.9, 0.6, 0.9])], 2, rng())
    assert labels.tolist() == [0, 0, 1, 1]
    labels, _ = cut_groups(np.arange(4), [make_pairs(first, second, [0.6, 0.9, 0.6])], 2, rng())
    assert labels[1] == labels[2]


def test_a_hard_group_above_the_cap_stays_and_is_noted():
    hard = np.array([0, 0, 0, 0, 1, 2])
    labels, notes = cut_groups(hard, [make_pairs(np.array([3, 4]), np.array([4, 5]))], 3, rng())
    assert labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert "1 group that must stay whole has more than 3 samples (the largest 4)" in notes[-1]


def test_the_scalable_way_is_about_as_good_as_the_dense_one(monkeypatch):
    truth, pairs = communities([40] * 12, inside=0.4, across=150, seed=2)
    dense, _ = cut_groups(np.arange(480), [pairs], 100, rng())
    for most in (120, 10):  # coarsened first; and never linked at all
        monkeypatch.setattr(cut, "_DENSE", most)
        labels, _ = cut_groups(np.arange(480), [pairs], 100, rng())
        assert np.bincount(labels).max() <= 100
        assert len(pairs.crossing(labels)) <= 1.2 * len(pairs.crossing(truth))
    assert len(pairs.crossing(dense)) <= len(pairs.crossing(truth))


def test_a_star_and_a_chain_are_cut_near_the_least():
    n = 5000
    star = make_pairs(np.zeros(n - 1, dtype=int), np.arange(1, n))
    labels, _ = cut_groups(np.arange(n), [star], 1000, rng())
    assert np.bincount(labels).max() <= 1000
    assert len(star.crossing(labels)) == 4000  # the hub keeps 999 leaves
    chain = make_pairs(np.arange(n - 1), np.arange(1, n))
    labels, _ = cut_groups(np.arange(n), [chain], 1000, rng())
    assert np.bincount(labels).max() <= 1000
    assert 4 <= len(chain.crossing(labels)) <= 12


def test_the_same_seed_gives_the_same_pieces():
    _, pairs = communities([60] * 6, inside=0.2, across=300, seed=5)
    one, _ = cut_groups(np.arange(360), [pairs], 70, np.random.default_rng(3))
    two, _ = cut_groups(np.arange(360), [pairs], 70, np.random.default_rng(3))
    np.testing.assert_array_equal(one, two)


def test_a_cap_below_one_is_refused():
    with pytest.raises(SplitError, match="at least 1 sample, got 0"):
        cut_groups(np.arange(3), [], 0, rng())


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, max(n // 2, 1)), min_size=n, max_size=n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.floats(0.5, 1.0)), max_size=120),
        )
    ),
    st.integers(1, 15),
    st.sampled_from([1, 4, 3000]),
)
@settings(max_examples=200, deadline=None)
def test_pieces_are_unions_of_hard_labels_within_the_cap_and_joined_by_pairs(case, cap, dense):
    hard, rows = np.array(case[0]), {(min(a, b), max(a, b)): s for a, b, s in case[1] if a != b}
    keys = sorted(rows)
    pairs = Pairs(
        first=np.array([a for a, _ in keys], dtype=np.int64), second=np.array([b for _, b in keys], dtype=np.int64),
        similarity=np.array([rows[key] for key in keys]), measure="IBS", threshold=0.5,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "_DENSE", dense)
        labels, _ = cut_groups(hard, [pairs], cap, rng())
    n = len(hard)
    sizes = np.bincount(labels)
    nodes = [len(np.unique(hard[labels == one])) for one in range(len(sizes))]
    for value in np.unique(hard):
        assert len(np.unique(labels[hard == value])) == 1
    for size, n_nodes in zip(sizes, nodes, strict=True):
        assert size <= cap or n_nodes == 1
    # joined by pairs and hard labels: no piece could be split for nothing
    same_hard = [(i, j) for i in range(n) for j in range(i) if hard[i] == hard[j]]
    inside = [key for key in keys if labels[key[0]] == labels[key[1]]] + same_hard
    assert components(n, inside).max() + 1 == len(sizes)
    # components that fit are not cut
    component = components(n, keys + same_hard)
    for one in range(component.max() + 1):
        if (component == one).sum() <= cap:
            assert len(np.unique(labels[component == one])) == 1


@pytest.mark.slow
def test_a_hundred_thousand_samples_are_cut_within_a_minute():
    draw = np.random.default_rng(1)
    sizes = draw.integers(20, 400, size=1000)
    truth = np.repeat(np.arange(1000), sizes)[:100_000]
    start, end = np.searchsorted(truth, truth), np.searchsorted(truth, truth, side="right")
    a = np.repeat(np.arange(100_000), 25)
    b = start[a] + (draw.random(len(a)) * (end - start)[a]).astype(np.int64)
    x, y = draw.integers(0, 100_000, size=(2, 300_000))
    kept = np.r_[a, x] != np.r_[b, y]
    pairs = make_pairs(np.r_[a, x][kept], np.r_[b, y][kept])
    begin = time.perf_counter()
    labels, _ = cut_groups(np.arange(100_000), [pairs], 2000, rng())
    assert time.perf_counter() - begin < 60
    assert np.bincount(labels).max() <= 2000
    assert len(pairs.crossing(labels)) <= len(pairs.crossing(truth))


@pytest.mark.data
def test_mice_families_are_cut_at_few_pairs(data_folder):
    data = read_dataset(data_folder / "bglr_mice" / "mice.bed")
    families = pd.factorize(data.columns["family"])[0].astype(np.int64)
    pairs = relatedness(data, "0.177").pairs
    cap = len(data) // 5
    labels, notes = cut_groups(np.arange(len(data)), [pairs], cap, rng())
    assert "1,399 of 1,814 samples" in notes[0]
    assert np.bincount(labels).max() <= cap
    assert len(pairs.crossing(labels)) < 0.01 * len(pairs)
    with_families, _ = cut_groups(families, [pairs], cap, rng())
    assert np.bincount(with_families).max() <= cap
    assert len(pairs.crossing(with_families)) < 0.02 * len(pairs)
