"""Genotypes as channels of a network."""

import numpy as np
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.metrics import METRICS
from automl_pheno.predictors import load_predictor, save_predictor
from automl_pheno.predictors.coding import GenotypeCoder
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.space.config import ModelConfig

NAN = np.nan
TRAIN = np.array([[0, 1, 0, NAN], [1, 1, 0, NAN], [2, 1, 1, NAN], [NAN, 1, 0, NAN]], dtype=np.float32)


def test_dominance_is_the_dosage_and_heterozygosity_standardised():
    coder = GenotypeCoder.learn(TRAIN, "dominance")
    rows = coder.rows(TRAIN).reshape(4, 4, 2)
    additive = GenotypeCoder.learn(TRAIN, "additive").rows(TRAIN)
    np.testing.assert_allclose(rows[:, :, 0], additive, rtol=1e-6)
    np.testing.assert_allclose(additive[:, 0], np.array([-1, 0, 1, 0]) / np.sqrt(2 / 3), rtol=1e-6)
    heterozygous = np.array([0, 1, 0])
    expected = (heterozygous - 1 / 3) / heterozygous.std()
    np.testing.assert_allclose(rows[:, 0, 1], [*expected, 0.0], rtol=1e-6)
    assert (rows[:, [1, 3]] == 0).all()  # does not vary, and is never called


def test_one_hot_is_each_genotype_less_its_frequency_on_one_scale():
    coder = GenotypeCoder.learn(TRAIN, "one_hot")
    rows = coder.rows(TRAIN).reshape(4, 4, 3)
    scale = np.sqrt(3 * (1 / 3) * (2 / 3))
    np.testing.assert_allclose(rows[:3, 0], (np.eye(3) - 1 / 3) / scale, rtol=1e-6)
    assert (rows[3, 0] == 0).all()  # missing: the frequencies
    frequency = np.array([0.75, 0.25])
    scale = np.sqrt((frequency * (1 - frequency)).sum())
    np.testing.assert_allclose(rows[2, 2], [-0.75 / scale, 0.75 / scale, 0.0], rtol=1e-6)
    unseen = coder.rows(np.array([[0, 2, 2, 1]], dtype=np.float32)).reshape(4, 3)
    assert unseen[2, 2] == 0  # genotype 2 was never seen in training
    assert (unseen[[1, 3]] == 0).all()
    between = coder.rows(np.array([[0.25, 1, 0, 0]], dtype=np.float32)).reshape(4, 3)
    np.testing.assert_allclose(between[0] * np.sqrt(2 / 3) + 1 / 3, [0.75, 0.25, 0.0], atol=1e-6)


def overdominant(n=400, seed=0):
    """The trait is high in heterozygotes of three variants: nothing additive at all."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.5, size=(n, 20)).astype(np.float32)
    y = (dosage[:, [2, 9, 15]] == 1).sum(axis=1) + 0.3 * rng.normal(size=n)
    return Examples(inputs=Inputs(kind="genotype", values=dosage), y=y, groups=np.arange(n))


@pytest.mark.parametrize(
    ("coding", "channels", "finds_it"), [("additive", 1, False), ("dominance", 2, True), ("one_hot", 3, True)]
)
def test_a_linear_network_sees_dominance_only_where_it_is_coded(coding, channels, finds_it, tmp_path):
    train, test = overdominant(), overdominant(seed=1)
    config = ModelConfig.model_validate(
        {
            "input": "genotype",
            "coding": coding,
            "trunk": [{"block": "flatten"}],
            "fit": {"batch_size": 64, "learning_rate": 0.01, "l2": 0.001},
        }
    )
    predictor = NetworkPredictor(config, epochs=25)
    summary = predictor.fit(train, rng=np.random.default_rng(0))
    assert summary.weights == 20 * channels + 1
    assert predictor.encode(test.inputs).shape == (400, 20, channels)
    predicted = predictor.predict(test.inputs)
    assert (METRICS["r2"].function(test.y, predicted) > 0.7) == finds_it
    outputs = np.asarray(predictor.model(predictor.encode(test.inputs), training=False))[:, 0]
    np.testing.assert_allclose(outputs * predictor.y_sd + predictor.y_mean, predicted, rtol=1e-4)
    save_predictor(predictor, tmp_path, test.inputs, trait="height")
    np.testing.assert_allclose(load_predictor(tmp_path).predict(test.inputs), predicted, rtol=1e-4)


def test_sequences_have_no_coding():
    with pytest.raises(ValueError, match="coding one_hot is about genotypes"):
        ModelConfig.model_validate({"coding": "one_hot", "trunk": [{"block": "flatten"}]})
