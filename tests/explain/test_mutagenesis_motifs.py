"""Motifs put in, taken out and moved apart, in predictors whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.explain import ExplainError
from automl_pheno.explain.mutagenesis.motif_effects import (
    ablate,
    marginalise,
    motif_frequencies,
    shuffled_backgrounds,
    spacing,
)

A, B = "GATAAGA", "CACGTGT"
CODES = {"A": 1, "C": 2, "G": 4, "T": 8}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sequences(n: int = 60, length: int = 60) -> Inputs:
    """Return sequences of A and T alone, in which neither motif arises by chance."""
    return Inputs(kind="sequence", values=rng(1).choice([1, 8], size=(n, length)).astype(np.uint8))


def places(inputs: Inputs, motif: str) -> np.ndarray:
    """Return the first base of the motif in each sequence, -1 where it is not there."""
    word = np.array([CODES[letter] for letter in motif])
    windows = np.lib.stride_tricks.sliding_window_view(inputs.values, len(word), axis=1)
    found = (windows == word).all(axis=2)
    return np.where(found.any(axis=1), found.argmax(axis=1), -1)


def score(inputs: Inputs) -> np.ndarray:
    """Return 2 A - B, and 3 more where both are there with at most 10 bp between them and A to the left."""
    a, b = places(inputs, A), places(inputs, B)
    gap = b - a - len(A)
    both = (a >= 0) & (b >= 0) & (gap >= 0) & (gap <= 10)
    return 5.0 + 2.0 * (a >= 0) - 1.0 * (b >= 0) + 3.0 * both


def test_a_motif_put_in_has_its_effect() -> None:
    found = marginalise(score, A, sequences(), rng=rng())
    assert (found.effect, found.sd, found.low, found.high, found.n) == (2.0, 0.0, 2.0, 2.0, 60)
    assert marginalise(score, A, sequences(), rng=rng(), strand=-1).effect == 0.0
    reverse = "TCTTATC"
    assert marginalise(score, reverse, sequences(), rng=rng(), strand=-1).effect == 2.0


def test_it_is_put_where_asked() -> None:
    seen: list[np.ndarray] = []

    def watch(inputs: Inputs) -> np.ndarray:
        seen.append(places(inputs, A)[len(inputs) // 2 :])
        return score(inputs)

    marginalise(watch, A, sequences(4), rng=rng(), starts=np.array([0, 5, 53, 99]))
    marginalise(watch, A, sequences(4), rng=rng())
    assert seen[0].tolist() == [0, 5, 53, 53]
    assert seen[1].tolist() == [26] * 4
    padded = sequences(2)
    padded.values[1, 20:] = 0
    marginalise(watch, A, padded, rng=rng(), starts=40)
    assert seen[2].tolist() == [40, 13]


def test_frequencies_are_drawn_from() -> None:
    """Half of the instances are the motif, so its mean effect is half and the interval holds the truth."""
    frequencies = motif_frequencies(A, 1)
    frequencies[0] = [0.0, 0.0, 0.5, 0.5]
    found = marginalise(score, frequencies, sequences(400), rng=rng())
    assert found.low < 1.0 < found.high
    assert found.effect == pytest.approx(1.0, abs=0.2)
    assert found.sd == pytest.approx(1.0, abs=0.05)
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)


def test_where_any_base_will_do_the_background_stays() -> None:
    seen: list[Inputs] = []

    def watch(inputs: Inputs) -> np.ndarray:
        seen.append(inputs)
        return np.zeros(len(inputs))

    backgrounds = sequences(5)
    marginalise(watch, "GNNC", backgrounds, rng=rng(), starts=10)
    changed = seen[0].values[5:]
    assert (changed[:, 10] == 4).all()
    assert (changed[:, 13] == 2).all()
    np.testing.assert_array_equal(np.delete(changed, [10, 13], axis=1), np.delete(backgrounds.values, [10, 13], axis=1))


def test_a_motif_taken_out_takes_its_effect_with_it() -> None:
    inputs = sequences(30)
    for row in range(20):
        inputs.values[row, row : row + 7] = [CODES[letter] for letter in A]
    found = pd.DataFrame({"row": np.arange(20), "start": np.arange(20), "end": np.arange(20) + 7})
    assert ablate(score, inputs, found, rng=rng()).n == 20
    assert ablate(score, inputs, found, rng=rng()).effect == pytest.approx(-2.0, abs=0.05)
    assert -2.0 <= ablate(score, inputs, found, rng=rng(), how="shuffle").effect < -1.8
    elsewhere = found.assign(row=20 + np.arange(20) % 10)
    assert ablate(score, inputs, elsewhere, rng=rng()).effect == 0.0


def test_the_curve_of_two_motifs_has_its_step_and_its_order() -> None:
    table = spacing(score, A, B, sequences(), rng=rng(), distances=[0, 5, 10, 11, 15, 40])
    assert table["order"].tolist() == ["ab"] * 5 + ["ba"] * 5, "at 40 bp they do not fit"
    np.testing.assert_allclose(table["additive"], 1.0)
    np.testing.assert_allclose(table["effect"], [4.0, 4.0, 4.0, 1.0, 1.0] + [1.0] * 5)
    np.testing.assert_allclose(table["sd"], 0.0)
    assert (table["n"] == 60).all()


def test_backgrounds_keep_their_dinucleotides() -> None:
    inputs = Inputs(kind="sequence", values=(1 << rng().integers(0, 4, (9, 50))).astype(np.uint8))
    drawn = shuffled_backgrounds(inputs, 100, rng())

    def counts(values: np.ndarray) -> np.ndarray:
        return np.bincount(values.astype(int) * 16 + np.roll(values, -1), minlength=256)

    assert len(drawn) == 9
    for before, after in zip(inputs.values, drawn.values, strict=True):
        np.testing.assert_array_equal(counts(before), counts(after))
    assert (drawn.values != inputs.values).any(axis=1).all()


@pytest.mark.parametrize(("motif", "said"), [("GAXT", "word of"), ("", "word of"), (np.zeros((3, 3)), "shape")])
def test_what_is_no_motif_is_refused(motif: object, said: str) -> None:
    with pytest.raises(ExplainError, match=said):
        marginalise(score, motif, sequences(), rng=rng())


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(ExplainError, match="longer than every background"):
        marginalise(score, "A" * 61, sequences(), rng=rng())
    with pytest.raises(ExplainError, match="occurs nowhere"):
        ablate(score, sequences(), pd.DataFrame({"row": [], "start": [], "end": []}), rng=rng())
    with pytest.raises(ExplainError, match="genotype"):
        marginalise(score, A, Inputs(kind="genotype", values=np.zeros((2, 60), np.float32)), rng=rng())
