"""Which candidates validation cannot tell apart from the winner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.metrics import METRICS
from automl_pheno.splits import Split
from automl_pheno.study.ties import Ties, find_ties, parts_of, tie_sentence


def find(predictions, y, metric="pearson_r", *, winner="a", parts=None, groups=None, seed=0):
    n = len(y)
    return find_ties(
        winner, predictions, y=y, parts=[np.arange(n)] if parts is None else parts,
        groups=np.arange(n) if groups is None else groups, metric=metric, rng=np.random.default_rng(seed),
    )  # fmt: skip


def noisy(y, rng, **noise):
    return {name: y + rng.normal(0.0, sd, len(y)) for name, sd in noise.items()}


@pytest.mark.parametrize("metric", list(METRICS))
def test_what_is_clearly_worse_is_told_apart_and_what_is_alike_is_not(metric):
    rng = np.random.default_rng(6)
    y = rng.normal(size=300)
    predictions = noisy(y, rng, a=0.5, worse=1.5)
    predictions["alike"] = predictions["a"] + rng.normal(0.0, 0.01, len(y))
    predictions["a"] = y + rng.normal(0.0, 0.5, len(y))
    assert find(predictions, y, metric).names == ("alike",)


def test_42_samples_do_not_tell_a_correlation_of_a_half_from_another():
    rng = np.random.default_rng(2)
    y = rng.normal(size=42)
    predictions = noisy(y, rng, a=1.8, b=1.8, c=1.9, d=2.0)
    predictions["mean"] = np.full(42, y.mean())
    ties = find(predictions, y)
    assert set(ties.names) >= {"b", "c", "d"}
    assert "mean" not in ties.names
    assert (ties.samples, ties.candidates, ties.grouped) == (42, 5, False)


def test_together_the_differences_are_wrong_in_a_twentieth_of_the_cases():
    """All ten are equally good: each time one of nine is told apart from the first would be an error."""
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=80)
        predictions = noisy(y, rng, **dict.fromkeys("abcdefghij", 1.0))
        wrong += len(find(predictions, y, seed=seed).names) < 9
    assert wrong <= 9  # 3 are expected; the single intervals would be wrong about 20 times


def test_groups_make_fewer_samples_of_many():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 30)
    shared = rng.normal(size=12)[groups]
    y = shared + 0.1 * rng.normal(size=360)
    predictions = {"a": y + 0.5 * rng.normal(size=12)[groups], "b": y + 0.8 * rng.normal(size=12)[groups]}
    alone, grouped = find(predictions, y), find(predictions, y, groups=groups)
    assert alone.names == ()
    assert grouped.names == ("b",)
    assert (grouped.grouped, grouped.few_groups) == (True, 0)
    few = find(predictions, y, groups=groups // 3)
    assert (few.names, few.grouped, few.few_groups) == (alone.names, False, 4)


def test_the_score_of_folds_is_the_mean_over_folds():
    """In each fold `a` orders perfectly; over all folds at once, offsets of its folds hide that."""
    rng = np.random.default_rng(4)
    y = rng.normal(size=200)
    parts = [np.arange(0, 100), np.arange(100, 200)]
    offset = np.where(np.arange(200) < 100, 5.0, -5.0)
    predictions = {"a": y + offset + 0.3 * rng.normal(size=200), "b": y + 0.8 * rng.normal(size=200)}
    assert find(predictions, y, parts=parts).names == ()
    assert METRICS["pearson_r"].function(y, predictions["a"]) < METRICS["pearson_r"].function(y, predictions["b"])


def test_equal_predictions_are_tied_and_a_constant_difference_is_not():
    y = np.random.default_rng(5).normal(size=50)
    assert find({"a": y + 0.1, "same": y + 0.1, "far": np.full(50, 3.0)}, y, "rmse").names == ("same",)
    assert find({"a": np.zeros(50), "b": np.ones(50)}, np.zeros(50), "rmse").names == ()
    assert find({"a": np.zeros(50), "b": np.ones(50)}, np.zeros(50), "r2").names == ("b",), "nothing can be told"


def split(fold):
    n = len(fold)
    return Split(ids=np.arange(n).astype(str), group=np.arange(n), set=np.full(n, "train"), fold=np.asarray(fold))


def test_small_folds_are_scored_at_once_and_large_ones_each():
    y = np.random.default_rng(0).normal(size=60)
    small, large = split(np.arange(60) % 20), split(np.arange(60) % 3)
    assert [len(part) for part in parts_of(y, small)] == [60]
    assert [len(part) for part in parts_of(y, large)] == [20, 20, 20]
    sets = np.array(["train"] * 50 + ["validation"] * 10)
    one = replace(large, fold=np.full(60, -1), set=sets)
    np.testing.assert_array_equal(parts_of(y, one)[0], np.arange(50, 60))


def ties(*names, grouped=False):
    return Ties(names=names, samples=42, candidates=11, grouped=grouped)


def test_the_winner_in_words():
    assert tie_sentence("forest", ties("gblup", "cnn-3"), is_first=True, unknown=0) == (
        "forest is first of three that validation cannot tell apart: forest, gblup and cnn-3 (95% paired bootstrap of "
        "samples over 42 held-out predictions, jointly for 11 candidates)."
    )
    few = replace(ties("gblup"), few_groups=4)
    assert tie_sentence("forest", few, is_first=False, unknown=2).startswith("forest is one of two that validation")
    assert tie_sentence("forest", few, is_first=False, unknown=2).endswith(
        " for 11 candidates). These are of 4 groups, too few to draw groups anew, so more may be tied. 2 candidates "
        "without held-out predictions in this folder could not be compared."
    )
    assert tie_sentence("forest", ties(), is_first=True, unknown=0) == ""


@settings(max_examples=50)
@given(st.integers(1, 30), st.booleans(), st.booleans(), st.integers(0, 3))
def test_the_sentence_counts_what_it_names(others, grouped, first, unknown):
    names = [f"cnn-{number}" for number in range(others)]
    sentence = tie_sentence("ridge", ties(*names, grouped=grouped), is_first=first, unknown=unknown)
    numbers = dict(zip(("two", "three", "four", "five", "six", "seven"), range(2, 8), strict=True))
    word = sentence.split(" of ")[1].split(" ")[0]
    assert numbers.get(word, others + 1 if word in ("eight", "nine", "ten", "eleven", "twelve") else word) in (
        others + 1, str(others + 1)
    )  # fmt: skip
    named = sentence.split("apart: ")[1].split(" (95%")[0].replace(" and ", ", ").split(", ")
    more = int(named.pop().split()[0]) if named[-1].endswith("more") else 0
    assert named == ["ridge", *names][: len(named)]
    assert len(named) + more == others + 1
    assert ("first of" in sentence) == first
    assert ("of groups" in sentence) == grouped
    assert (f"{unknown} candidate" in sentence) == bool(unknown)
