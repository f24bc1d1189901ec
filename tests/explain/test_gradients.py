"""Gradient explainers against closed forms, the finite difference and each other."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain import EXPLAINERS, ExplainError, explain
from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.registry import ExplainRequest

LENGTH, VARIANTS = 20, 30
GRADIENTS = ("expected_gradients", "integrated_gradients", "gradient_x_input", "smoothgrad")


class Network:
    """A network predictor with given weights."""

    kind = "network"

    def __init__(self, model: keras.Model, y_mean: float = 5.0, y_sd: float = 3.0) -> None:
        self.model, self.y_mean, self.y_sd = model, y_mean, y_sd

    def encode(self, inputs: Inputs) -> np.ndarray:
        if inputs.kind == "sequence":
            return one_hot(inputs.values)
        return ((inputs.values - 0.8) / 0.7)[:, :, None].astype(np.float32)

    def predict(self, inputs: Inputs) -> np.ndarray:
        scaled = np.asarray(keras.ops.convert_to_numpy(self.model(self.encode(inputs))))[:, 0]
        return scaled.astype(np.float64) * self.y_sd + self.y_mean


def sequences(n: int, seed: int) -> Inputs:
    rng = np.random.default_rng(seed)
    return Inputs(kind="sequence", values=(1 << rng.integers(0, 4, (n, LENGTH))).astype(np.uint8))


def genotypes(n: int, seed: int) -> Inputs:
    values = np.random.default_rng(seed).integers(0, 3, (n, VARIANTS)).astype(np.float32)
    variants = pd.DataFrame({
        "id": [f"m{i}" for i in range(VARIANTS)], "chromosome": "1", "position": np.arange(VARIANTS), "ref": "A",
        "alt": "C",
    })  # fmt: skip
    return Inputs(kind="genotype", values=values, variants=variants)


def linear(width: int, channels: int) -> tuple[Network, np.ndarray]:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((width, channels))
    dense = layers.Dense(1)
    network = Network(keras.Model(inputs, dense(layers.Flatten()(inputs))))
    effects = np.asarray(keras.ops.convert_to_numpy(dense.kernel)).reshape(width, channels)
    return network, effects.astype(np.float64) * network.y_sd


def curved(width: int, channels: int, activation: str = "gelu") -> Network:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((width, channels))
    z = layers.Conv1D(8, 5, activation=activation)(inputs)
    z = layers.Dense(6, activation="tanh")(layers.Flatten()(layers.AveragePooling1D(2)(z)))
    return Network(keras.Model(inputs, layers.Dense(1)(z)))


def ask(method: str, network: Network, inputs: Inputs, background: Inputs) -> Contributions:
    rng = np.random.default_rng(0)
    request = ExplainRequest(predictor=network, inputs=inputs, background=background, rng=rng, n_references=8)
    return EXPLAINERS[method](request)


@pytest.mark.backend
@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input", "smoothgrad"])
def test_a_linear_network_of_sequences_gives_effects_less_their_mean(method: str) -> None:
    network, effects = linear(LENGTH, 4)
    inputs = sequences(5, 0)
    found = ask(method, network, inputs, sequences(30, 1))
    corrected = effects - effects.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.values, (corrected * one_hot(inputs.values)).sum(axis=2), atol=1e-5)
    assert found.hypothetical is not None
    np.testing.assert_allclose(found.hypothetical, np.broadcast_to(corrected, (5, LENGTH, 4)), atol=1e-5)
    assert found.deltas is not None
    assert np.abs(found.deltas).max() < 1e-4
    assert found.notes["correction"].startswith("off-simplex")


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input", "smoothgrad"])
def test_a_linear_network_of_genotypes_gives_effect_times_deviation(method: str) -> None:
    network, effects = linear(VARIANTS, 1)
    inputs, background = genotypes(5, 0), genotypes(40, 1)
    found = ask(method, network, inputs, background)
    expected = (network.encode(inputs) - network.encode(background).mean(axis=0))[:, :, 0] * effects[:, 0]
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    np.testing.assert_allclose(found.base_value, network.predict(background).mean(), atol=1e-4)
    assert found.hypothetical is None
    assert found.notes["correction"].startswith("none")


@pytest.mark.parametrize("kind", ["sequence", "genotype"])
@pytest.mark.parametrize("method", GRADIENTS)
def test_the_error_of_completeness_is_reported_as_it_is(method: str, kind: str) -> None:
    if kind == "sequence":
        network, inputs, background = curved(LENGTH, 4), sequences(4, 0), sequences(30, 1)
    else:
        network, inputs, background = curved(VARIANTS, 1), genotypes(4, 0), genotypes(30, 1)
    found = explain(network, inputs, background, method=method, rng=np.random.default_rng(0), n_references=8)
    assert found.method == method
    assert found.deltas is not None
    np.testing.assert_allclose(found.deltas.mean(axis=1), found.completeness, atol=1e-4)
    error = found.manifest["max_abs_delta"] / np.ptp(found.predictions)
    if method == "integrated_gradients":
        assert error < 0.01
    if method in ("gradient_x_input", "smoothgrad"):
        assert found.manifest["complete"] is False
        assert error > 0.001  # the network is curved


def test_the_gradient_is_that_of_a_finite_difference() -> None:
    network = curved(VARIANTS, 1)
    inputs, background = genotypes(3, 0), genotypes(30, 1)
    found = ask("gradient_x_input", network, inputs, background)
    x, mean = network.encode(inputs), network.encode(background).mean(axis=0)
    step = 1e-2
    for variant in (0, 7, 29):
        moved = [x.copy(), x.copy()]
        moved[0][:, variant] += step
        moved[1][:, variant] -= step
        up, down = (np.asarray(keras.ops.convert_to_numpy(network.model(m)))[:, 0].astype(np.float64) for m in moved)
        slope = (up - down) / (2 * step) * network.y_sd
        np.testing.assert_allclose(found.values[:, variant], slope * (x - mean)[:, variant, 0], atol=2e-3)


def test_padding_and_unknown_bases_contribute_nothing() -> None:
    inputs = sequences(4, 0)
    values = inputs.values.copy()
    values[:, -5:] = 0
    values[:, 3] = 15
    for method in ("integrated_gradients", "gradient_x_input", "smoothgrad"):
        found = ask(method, curved(LENGTH, 4), Inputs(kind="sequence", values=values), sequences(10, 1))
        np.testing.assert_array_equal(found.values[:, -5:], 0.0)
        np.testing.assert_allclose(found.values[:, 3], 0.0, atol=1e-6)
        assert np.abs(found.values[:, :3]).min() > 0


def test_smoothgrad_is_seeded_and_tends_to_the_gradient_of_a_straight_network() -> None:
    network, inputs = curved(LENGTH, 4), sequences(4, 0)
    a, b = (ask("smoothgrad", network, inputs, sequences(10, 1)).values for _ in range(2))
    np.testing.assert_array_equal(a, b)
    plain = ask("gradient_x_input", network, inputs, sequences(10, 1)).values
    assert np.corrcoef(a.ravel(), plain.ravel())[0, 1] > 0.9
    assert np.abs(a - plain).max() > 1e-4


@pytest.mark.parametrize("method", GRADIENTS)
def test_methods_agree_with_deeplift(method: str) -> None:
    """Deviations of sequences from their own shuffles and from equal probabilities are alike in the mean."""
    network, inputs = curved(LENGTH, 4), sequences(30, 0)
    deep = ask("deeplift", network, inputs, sequences(50, 1)).values
    other = ask(method, network, inputs, sequences(50, 1)).values
    assert np.corrcoef(deep.ravel(), other.ravel())[0, 1] >= 0.7


@pytest.mark.parametrize("method", GRADIENTS)
def test_a_predictor_that_is_no_network_is_refused(method: str) -> None:
    class Other:
        kind = "forest"

    request = ExplainRequest(
        predictor=Other(),  # type: ignore[arg-type]
        inputs=sequences(1, 0), background=sequences(2, 0), rng=np.random.default_rng(0),
    )  # fmt: skip
    with pytest.raises(ExplainError, match="'forest'"):
        EXPLAINERS[method](request)
