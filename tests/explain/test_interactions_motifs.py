"""Motifs inserted into shuffled backgrounds, and attributions of networks beside mutations."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import decode, one_hot
from automl_pheno.explain.interactions.attributions import attribution_rows, network_gradient
from automl_pheno.explain.interactions.measure import interactions_of_motifs, interactions_of_places
from automl_pheno.explain.interactions.motifs import (
    CLOSEST,
    FARTHEST,
    MotifToInsert,
    column_shuffled,
    insert,
    motif_to_insert,
    place_pair,
    shuffled_backgrounds,
)
from automl_pheno.explain.interactions.places import genotype_places
from automl_pheno.explain.interactions.screen import screen_by_gradients
from automl_pheno.explain.interactions.squares import Table
from automl_pheno.explain.registry import ExplainError
from automl_pheno.explain.scoring import score_function

MOTIFS = {1: "TGACTCA", 2: "GGATAAG", 3: "CACGTGC"}
LENGTH = 60


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sequences(n: int = 60, length: int = LENGTH) -> Inputs:
    return Inputs(kind="sequence", values=(1 << rng(1).integers(0, 4, (n, length))).astype(np.uint8))


def motif(number: int, starts: np.ndarray | None = None) -> MotifToInsert:
    word = MOTIFS[number]
    return motif_to_insert(number, word, np.array([[float(base == b) for b in "ACGT"] for base in word]), starts)


class Presence:
    """A trait that asks which motifs a sequence has."""

    kind = "presence"

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function = function

    def predict(self, inputs: Inputs) -> np.ndarray:
        words = decode(inputs.values)
        return self.function(np.array([[word in text for word in MOTIFS.values()] for text in words], dtype=float).T)


class Network:
    """A network predictor with given weights."""

    kind = "network"

    def __init__(self, model: keras.Model, y_sd: float = 2.0) -> None:
        self.model, self.y_mean, self.y_sd = model, 1.0, y_sd

    def encode(self, inputs: Inputs) -> np.ndarray:
        if inputs.kind == "sequence":
            return one_hot(inputs.values)
        return inputs.values[:, :, None].astype(np.float32)

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.model(self.encode(inputs)))[:, 0].astype(np.float64) * self.y_sd + self.y_mean


def test_the_planted_interaction_of_motifs_comes_out_and_ranks_first() -> None:
    predictor = Presence(lambda has: 1.0 * has[0] - 0.8 * has[1] + 0.3 * has[2] + 1.2 * has[0] * has[2])
    found = interactions_of_motifs(
        predictor, predictor.predict, [motif(1), motif(2), motif(3)], sequences(), rng=rng(), backgrounds=24
    )
    assert found.table[["a", "b"]].iloc[0].tolist() == [1, 3]
    assert found.table["interaction"].iloc[0] == pytest.approx(1.2)
    np.testing.assert_allclose(found.table["interaction"][1:], 0.0, atol=1e-9)
    np.testing.assert_allclose(found.table[["effect_a", "effect_b"]].iloc[0], [1.0, 0.3])
    assert found.matrix[0, 2] == found.matrix[2, 0] == pytest.approx(1.2)
    assert found.table["p"].iloc[0] < 0.02
    assert len(found.null) == 100
    assert found.facts["predictions"] == 24 * (1 + 3 * 3 + 1 + 3 * 100)


def test_motifs_go_where_they_were_found_and_apart() -> None:
    backgrounds = shuffled_backgrounds(sequences(), 50, rng())
    starts = np.array([5, 6, 7, 40])
    pair = place_pair(motif(1, starts), motif(2, starts), backgrounds, rng())
    assert pair is not None
    assert set(pair.start_a) | set(pair.start_b) <= set(starts.tolist())
    pair = place_pair(motif(1), motif(2), backgrounds, rng())
    assert pair is not None
    gap = np.maximum(pair.start_b - pair.start_a, pair.start_a - pair.start_b) - 7
    assert gap.min() >= CLOSEST
    assert gap.max() <= FARTHEST
    assert (pair.start_a < pair.start_b).any()
    assert (pair.start_a > pair.start_b).any()
    one_place = place_pair(motif(1, np.array([52])), motif(2, np.array([53])), backgrounds, rng())
    assert one_place is not None
    assert (np.abs(one_place.start_a - one_place.start_b) == 7 + CLOSEST).all()
    assert max(one_place.start_a.max(), one_place.start_b.max()) + 7 <= LENGTH
    assert place_pair(motif(1), motif(2), sequences(length=15), rng()) is None


def test_only_informative_columns_are_written() -> None:
    frequencies = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1]], dtype=float)
    found = motif_to_insert(1, "ANT", frequencies)
    assert found.codes.tolist() == [1, 0, 8]
    text = decode(insert(np.full((1, 6), 2, dtype=np.uint8), found, np.array([2])))
    assert text == ["CCACTC"]
    shuffled = column_shuffled(motif(2), rng())
    assert sorted(shuffled.codes) == sorted(motif(2).codes)
    assert (shuffled.codes == motif(2).codes).mean() < 0.5


def test_two_motifs_and_room_are_needed() -> None:
    predictor = Presence(lambda has: has[0])
    for motifs, samples in (([motif(1)], sequences()), ([motif(1), motif(2)], sequences(length=12))):
        with pytest.raises(ExplainError, match="two motifs"):
            interactions_of_motifs(predictor, predictor.predict, motifs, samples, rng=rng())


@pytest.mark.backend
def test_the_gradient_of_a_network_gives_rows_of_exact_interactions() -> None:
    """The network is x_3 x_11 times 0.5 plus a sum: linear in each variant, so that the gradient tells all."""
    p = 20
    inputs = keras.Input((p, 1))
    flat = layers.Flatten()(inputs)
    first, second, both = layers.Dense(1), layers.Dense(1), layers.Dense(1)
    product = layers.Multiply()([first(flat), second(flat)])
    model = keras.Model(inputs, both(layers.Concatenate()([product, flat])))
    for layer, column in ((first, 3), (second, 11)):
        kernel = np.zeros((p, 1), dtype=np.float32)
        kernel[column] = 1.0
        layer.set_weights([kernel, np.zeros(1, dtype=np.float32)])
    both.set_weights([np.r_[0.5, np.linspace(-1, 1, p)][:, None].astype(np.float32), np.zeros(1, np.float32)])
    predictor = Network(model)
    training = Inputs(kind="genotype", values=rng().integers(0, 3, (50, p)).astype(np.float32))
    places = genotype_places(training, training, backgrounds=6, rng=rng())
    gradient = network_gradient(predictor)
    assert gradient is not None
    signed, size = attribution_rows(gradient, places, np.arange(p), "rows")
    expected = np.zeros((p, p))
    expected[3, 11] = expected[11, 3] = 0.5 * predictor.y_sd
    np.testing.assert_allclose(signed, expected, atol=1e-5)
    np.testing.assert_allclose(size, np.abs(expected), atol=1e-5)
    screened = screen_by_gradients(gradient, places, np.array([3, 5]), backgrounds=3)
    np.testing.assert_allclose(screened, expected, atol=1e-5)
    found = interactions_of_places(
        predictor, score_function(predictor), places, np.ones(p), rng=rng(), all_pairs_up_to=5, most_places=6
    )
    first_row = found.table.iloc[0]
    assert (first_row["a"], first_row["b"]) == (4, 12)
    assert first_row["interaction"] == pytest.approx(1.0, abs=1e-4)
    assert first_row["attribution_interaction"] == pytest.approx(1.0, abs=1e-4)
    assert found.facts["measured_pairs"] == 15
    exact = Table(predictor.predict, places).squares(np.array([[3, 11], [2, 4]]), "measuring")
    np.testing.assert_allclose(exact.signed, [1.0, 0.0], atol=1e-4)


@pytest.mark.backend
def test_attributions_of_motifs_rise_beside_each_other() -> None:
    """Two filters see one motif each; a unit behind them opens only when both are there."""
    inputs = keras.Input((LENGTH, 4))
    conv, unit, out = layers.Conv1D(2, 7, activation="relu"), layers.Dense(1, activation="relu"), layers.Dense(1)
    model = keras.Model(inputs, out(unit(layers.GlobalMaxPooling1D()(conv(inputs)))))
    kernel = np.zeros((7, 4, 2), dtype=np.float32)
    for channel, number in enumerate((1, 2)):
        for position, base in enumerate(MOTIFS[number]):
            kernel[position, "ACGT".index(base), channel] = 1.0
    conv.set_weights([kernel, np.array([-6.0, -6.0], np.float32)])
    unit.set_weights([np.ones((2, 1), np.float32), np.array([-1.0], np.float32)])
    out.set_weights([np.ones((1, 1), np.float32), np.zeros(1, np.float32)])
    predictor = Network(model)
    found = interactions_of_motifs(
        predictor, score_function(predictor), [motif(1), motif(2), motif(3)], sequences(), rng=rng(), backgrounds=8
    )
    first = found.table.iloc[0]
    assert (first["a"], first["b"]) == (1, 2)
    assert first["interaction"] == pytest.approx(2.0)
    assert first["attribution_interaction"] == pytest.approx(1.0, abs=0.3)  # DeepLIFT shares it between the two
    np.testing.assert_allclose(found.table["attribution_interaction"][1:], 0.0, atol=0.1)
