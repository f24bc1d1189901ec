"""Predictions for changed inputs are those of the predictor."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from automl_pheno.curation import CurationConfig
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain import scoring
from automl_pheno.explain.scoring import inner_inputs, inner_predictor, score_function
from automl_pheno.predictors import PREDICTORS
from automl_pheno.predictors.curated import CuratedPredictor


class Network:
    kind = "network"
    y_mean, y_sd = -1.0, 0.5

    def __init__(self) -> None:
        inputs = keras.Input((12, 4))
        hidden = layers.Flatten()(layers.Conv1D(3, 5, activation="relu")(inputs))
        self.model = keras.Model(inputs, layers.Dense(1)(hidden))
        self.sizes: list[int] = []

    def encode(self, inputs: Inputs) -> np.ndarray:
        self.sizes.append(len(inputs))
        return one_hot(inputs.values)

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.model(one_hot(inputs.values)))[:, 0].astype(np.float64) * 0.5 - 1.0


def sequences(n: int) -> Inputs:
    return Inputs(kind="sequence", values=(1 << np.random.default_rng(n).integers(0, 4, (n, 12))).astype(np.uint8))


@pytest.mark.parametrize("n", [0, 1, 32, 33, 512, 530])
def test_a_network_is_asked_in_batches_of_two_sizes(n: int) -> None:
    network = Network()
    score = score_function(network)
    inputs = sequences(n)
    found = score(inputs)
    assert found.shape == (n,)
    assert found.dtype == np.float64
    if n:
        np.testing.assert_allclose(found, network.predict(inputs), atol=1e-6)
    assert sum(network.sizes) == n
    assert all(size <= scoring.BATCH for size in network.sizes)


def test_weights_are_read_anew() -> None:
    network = Network()
    score = score_function(network)
    inputs = sequences(3)
    before = score(inputs)
    network.model.layers[-1].bias.assign([1.0])
    np.testing.assert_allclose(score(inputs), before + 0.5, atol=1e-6)


def test_any_other_predictor_is_asked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Sum:
        kind = "sum"

        def predict(self, inputs: Inputs) -> np.ndarray:
            sizes.append(len(inputs))
            return inputs.values.sum(axis=1).astype(np.float64)

    monkeypatch.setattr(scoring, "BLOCK_CELLS", 12 * 7)
    inputs = sequences(20)
    np.testing.assert_array_equal(score_function(Sum())(inputs), inputs.values.sum(axis=1))
    assert sizes == [7, 7, 6]
    assert score_function(Sum())(sequences(0)).shape == (0,)


def test_of_a_curated_predictor_the_inner_one_is_asked_in_normal_scores() -> None:
    draw = np.random.default_rng(0)
    inputs = Inputs(kind="genotype", values=draw.integers(0, 3, (60, 8)).astype(np.float32))
    inputs.values[:, 2] = 1.0
    predictor = CuratedPredictor(
        PREDICTORS["gblup"](), CurationConfig(drop_monomorphic=True, trait="rank_normal", impute="mean")
    )
    y = np.exp(inputs.values[:, 0] + draw.normal(0, 0.1, 60))
    predictor.fit(Examples(inputs=inputs, y=y, groups=np.arange(60)), rng=draw)
    asked = Inputs(kind="genotype", values=inputs.values.copy())
    asked.values[0, 0] = np.nan
    found = score_function(predictor)(asked)
    assert inner_predictor(predictor) is predictor.inner
    assert inner_inputs(predictor, asked).width == 7
    np.testing.assert_allclose(predictor.curation.untrait(found), predictor.predict(asked))
    assert abs(found.mean()) < 0.2
    assert predictor.predict(asked).mean() > 1.0
