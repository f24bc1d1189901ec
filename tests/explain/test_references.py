"""Dinucleotide shuffles and the choice of references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.data.dataset import Inputs
from automl_pheno.explain.methods.groups import player_groups
from automl_pheno.explain.references import (
    dinucleotide_shuffles,
    draw_rows,
    is_aligned,
    make_references,
    positional_information,
)


def counts(row: np.ndarray) -> dict[tuple[int, int], int]:
    """Count the dinucleotides around the circle."""
    pairs, number = np.unique(np.stack([row, np.roll(row, -1)], axis=1), axis=0, return_counts=True)
    return {tuple(pair): int(n) for pair, n in zip(pairs.tolist(), number, strict=True)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 4, 8, 15]), min_size=1, max_size=40),
    st.integers(0, 5),
    st.integers(0, 2**32 - 1),
)
def test_shuffles_keep_every_dinucleotide_and_the_padding(bases: list[int], padding: int, seed: int) -> None:
    row = np.array([*bases, *[0] * padding], dtype=np.uint8)
    shuffles = dinucleotide_shuffles(row[None], 3, np.random.default_rng(seed))
    assert shuffles.shape == (1, 3, len(row))
    for shuffle in shuffles[0]:
        assert counts(shuffle[: len(bases)]) == counts(row[: len(bases)])
        assert (shuffle[len(bases) :] == 0).all()


def test_shuffles_differ_from_the_sequence_and_from_one_another() -> None:
    rng = np.random.default_rng(0)
    codes = (1 << rng.integers(0, 4, (20, 120))).astype(np.uint8)
    shuffles = dinucleotide_shuffles(codes, 10, rng)
    identity = (shuffles == codes[:, None]).mean()
    assert 0.2 < identity < 0.4  # 1/4 by chance, a little more for the ends and the dinucleotides
    assert (shuffles[:, 0] != shuffles[:, 1]).any(axis=1).all()
    changed = (shuffles != codes[:, None]).mean(axis=(0, 1))
    assert changed.min() > 0.6  # the first and the last base as well: else they could contribute nothing


def test_a_sequence_that_cannot_be_shuffled_is_noticed() -> None:
    repeat = Inputs(kind="sequence", values=np.tile(np.array([1, 2, 8, 4], dtype=np.uint8), (1, 15)))
    references = make_references(repeat, repeat, rng=np.random.default_rng(0), count=4, kind="shuffles")
    assert references.similarity[0] == 1.0


def test_variants_of_one_sequence_are_aligned_and_random_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    values = (1 << rng.integers(0, 4, (50, 80))).astype(np.uint8)
    unlike = Inputs(kind="sequence", values=values)
    mutants = np.repeat(values[:1], 50, axis=0)
    hit = rng.random(mutants.shape) < 0.1
    mutants[hit] = (1 << rng.integers(0, 4, hit.sum())).astype(np.uint8)
    alike = Inputs(kind="sequence", values=mutants)
    assert is_aligned(alike)
    assert not is_aligned(unlike)
    assert not is_aligned(unlike.take(np.arange(1)))
    assert make_references(alike, alike, rng=rng, count=3).kind == "training"
    assert make_references(unlike, unlike, rng=rng, count=3).kind == "shuffles"
    information = positional_information(np.repeat(values[:1], 5000, axis=0))
    np.testing.assert_allclose(information, 2.0, atol=0.01)


@pytest.mark.parametrize(("n", "count", "expected"), [(5, 10, 5), (10, 4, 4)])
def test_drawn_rows_are_distinct(n: int, count: int, expected: int) -> None:
    rows = draw_rows(n, count, np.random.default_rng(0))
    assert len(set(rows.tolist())) == len(rows) == expected
    assert rows.max() < n


def test_long_sequences_become_windows() -> None:
    inputs = Inputs(kind="sequence", values=np.ones((2, 700), dtype=np.uint8))
    groups, how = player_groups(inputs, 300)
    assert groups.max() + 1 == 234
    assert "3 bp" in how
    assert (np.diff(groups) >= 0).all()
