"""DeepLIFT against closed forms, shap.DeepExplainer, Permutation SHAP and expected gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
from deeplift_networks import bases, randomize, worst_delta
from keras import layers

from automl_pheno.explain.methods import deeplift
from automl_pheno.explain.methods.deeplift import compile_deeplift, deeplift_multipliers
from automl_pheno.explain.methods.gradients import expected_gradient_multipliers
from automl_pheno.space.config import Activation

LENGTH = 24
ACTIVATIONS = Activation.__args__


def sequences(n: int, seed: int) -> np.ndarray:
    return bases(n, LENGTH, seed)


def network(*middle: layers.Layer, activation: str = "relu", end: layers.Layer | None = None) -> keras.Model:
    inputs = keras.Input((LENGTH, 4))
    z = layers.Conv1D(6, 5, padding="same", activation=activation)(inputs)
    for layer in middle:
        z = layer(z)
    z = (end or layers.Flatten())(z)
    z = layers.Dense(8, activation=activation)(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    randomize(model, 3)
    return model


def attributions(multipliers: np.ndarray, x: np.ndarray, r: np.ndarray) -> np.ndarray:
    return (multipliers * (x[:, None] - r)).mean(axis=1)


@pytest.mark.parametrize(("first", "second"), list(zip(ACTIVATIONS[::2], ACTIVATIONS[1::2], strict=True)))
def test_every_activation_of_the_spaces_is_complete(first: str, second: str) -> None:
    model = network(layers.Activation(second), activation=first)
    assert worst_delta(model, sequences(3, 0), sequences(4, 1)) <= 1e-4


def test_a_linear_network_gives_weight_times_difference() -> None:
    inputs = keras.Input((LENGTH, 4))
    dense = layers.Dense(1)
    model = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    m, _, _ = deeplift_multipliers(model, sequences(3, 0), sequences(2, 9))
    effects = np.asarray(keras.ops.convert_to_numpy(dense.kernel)).reshape(LENGTH, 4)
    np.testing.assert_allclose(m, np.broadcast_to(effects, m.shape), atol=1e-6)


def test_one_rectified_unit_gives_the_rescale_rule() -> None:
    """Shrikumar et al. 2017: the multiplier of relu is the rise of the output by the rise of the input."""
    inputs = keras.Input((3, 1))
    dense = layers.Dense(1, activation="relu")
    model = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    weights = np.array([[1.0], [-2.0], [0.5]], dtype=np.float32)
    dense.set_weights([weights, np.array([-1.0], dtype=np.float32)])
    x = np.array([[[4.0], [0.5], [2.0]]], dtype=np.float32)  # pre-activation 4 - 1 + 1 - 1 = 3
    r = np.array([[[0.0], [1.0], [2.0]]], dtype=np.float32)  # 0 - 2 + 1 - 1 = -2
    m, fx, fr = deeplift_multipliers(model, x, r)
    np.testing.assert_allclose(m[0, 0], weights * 3 / 5, rtol=1e-6)
    np.testing.assert_allclose((fx[0], fr[0, 0]), (3.0, 0.0))


def test_the_highest_of_a_window_takes_the_rise_of_the_maximum() -> None:
    inputs = keras.Input((4, 1))
    model = keras.Model(inputs, layers.Flatten()(layers.GlobalMaxPooling1D()(inputs)))
    x = np.array([[[5.0], [1.0], [0.0], [5.0]]], dtype=np.float32)  # two tie
    r = np.array([[[1.0], [2.0], [0.0], [3.0]]], dtype=np.float32)
    m, _, _ = deeplift_multipliers(model, x, r)
    np.testing.assert_allclose((m[0, 0] * (x - r)[0])[:, 0], [1.0, 0.0, 0.0, 1.0])
    m, _, _ = deeplift_multipliers(model, r, x)  # the other way round, nothing but the sign changes
    np.testing.assert_allclose((m[0, 0] * (r - x)[0])[:, 0], [-1.0, 0.0, 0.0, -1.0])


def test_close_points_lose_no_digits() -> None:
    """Where sample and reference nearly agree, multipliers are the gradient, not rounding."""
    inputs = keras.Input((8, 1))
    z = inputs
    for name in ("gelu", "tanh", "elu", "exponential", "softplus", "mish"):
        z = layers.Activation(name)(z)
    model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(layers.Flatten()(z)))
    x = np.linspace(0.3, 0.9, 8, dtype=np.float32).reshape(1, 8, 1)
    far, near = (deeplift_multipliers(model, x, (x + np.float32(d)))[0] for d in (2e-2, 2e-6))
    np.testing.assert_allclose(near, far, rtol=0.1)
    same = deeplift_multipliers(model, x, x)[0]
    np.testing.assert_allclose(near, same, rtol=1e-4)


def test_training_layers_do_nothing() -> None:
    model = network(layers.Dropout(0.9), layers.SpatialDropout1D(0.9))
    x, r = sequences(3, 0), sequences(4, 1)
    assert worst_delta(model, x, r) <= 1e-4
    np.testing.assert_array_equal(deeplift_multipliers(model, x, r)[0], deeplift_multipliers(model, x, r)[0])


def test_batches_shared_references_and_fusion_do_not_change_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(layers.MaxPooling1D(2))
    x, r = sequences(9, 0), sequences(5, 1)
    whole = deeplift_multipliers(model, x, np.stack([r] * 9))[0]
    np.testing.assert_allclose(deeplift_multipliers(model, x, r)[0], whole, atol=1e-5)
    np.testing.assert_allclose(deeplift_multipliers(model, x[7:8], r[None, 3:5])[0][0], whole[7, 3:5], atol=1e-5)
    fused = compile_deeplift(model, 5, shared=True, fused=True)(x, r)[0]
    np.testing.assert_allclose(fused, whole, atol=1e-5)
    monkeypatch.setattr(deeplift, "BATCH_BYTES", {"cpu": 4 * 5 * LENGTH * 6 * 2})  # two samples a call, the last alone
    assert deeplift.batch_size(model, 9, 5) == 2
    np.testing.assert_allclose(deeplift_multipliers(model, x, r)[0], whole, atol=1e-5)


def test_weights_trained_further_are_used() -> None:
    model = network()
    compiled = compile_deeplift(model, 4, shared=True)
    before = compiled(sequences(3, 0), sequences(4, 1))[1]
    randomize(model, 4)
    after = compiled(sequences(3, 0), sequences(4, 1))[1]
    np.testing.assert_allclose(after, np.asarray(model.predict(sequences(3, 0), verbose=0))[:, 0], atol=1e-4)
    assert np.abs(after - before).min() > 0


@contextmanager
def shap_module() -> Iterator[Any]:
    """Give shap, and mend what a DeepExplainer that raises leaves behind: a patched TensorFlow."""
    with warnings.catch_warnings():  # shap 0.51 makes colour maps in a way matplotlib 3.11 will drop
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap
    from tensorflow.python.eager import execute

    good = execute.record_gradient
    try:
        with warnings.catch_warnings():  # it says that TensorFlow 2 may not be supported
            warnings.simplefilter("ignore", UserWarning)
            yield shap
    finally:
        execute.record_gradient = good


ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="DeepExplainer needs TensorFlow")


def residual() -> keras.Model:
    inputs = keras.Input((LENGTH, 4))
    z = layers.Conv1D(6, 5, padding="same", activation="relu")(inputs)
    z = layers.Add()([z, layers.Conv1D(6, 3, padding="same", activation="relu")(z)])
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(z)))
    randomize(model)
    return model


SHAP_IS_RIGHT: dict[str, Callable[[], keras.Model]] = {
    "max pooling": lambda: network(layers.MaxPooling1D(2)),
    "batch normalization": lambda: network(
        layers.BatchNormalization(), layers.MaxPooling1D(2), layers.Dropout(0.5), activation="elu"
    ),
    "exponential": lambda: network(activation="exponential"),
    "flatten": lambda: network(),
    "average pooling": lambda: network(layers.AveragePooling1D(2)),
    "global average": lambda: network(end=layers.GlobalAveragePooling1D()),
    "selu": lambda: network(activation="selu"),
    "softplus": lambda: network(activation="softplus"),
    "tanh": lambda: network(activation="tanh"),
    "sigmoid": lambda: network(activation="sigmoid"),
    "mish": lambda: network(activation="mish"),
    "residual": residual,
}
"""Families of networks for which shap.DeepExplainer agrees with its own axioms and with expected gradients."""


SHAP_ROUNDS = {"softplus", "tanh", "mish", "sigmoid"}
"""Curved everywhere: shap takes secants of close points, which rounds (the next test tells who is right)."""


@ON_TENSORFLOW
@pytest.mark.parametrize(
    "name",
    [name if place < 3 else pytest.param(name, marks=pytest.mark.slow) for place, name in enumerate(SHAP_IS_RIGHT)],
)
def test_agrees_with_shap_deep_explainer(name: str) -> None:
    model = SHAP_IS_RIGHT[name]()
    x, background = sequences(4, 0), sequences(6, 1)
    m, fx, fr = deeplift_multipliers(model, x, background)
    ours = attributions(m, x, background[None])
    with shap_module() as shap:
        theirs = np.asarray(shap.DeepExplainer(model, background).shap_values(x)).reshape(ours.shape)
    spread = float(np.ptp(np.concatenate([fx, fr.ravel()])))
    assert np.abs(ours - theirs).max() <= (1e-4 if name in SHAP_ROUNDS else 1e-6) * max(1.0, spread)


CURVED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "softplus": lambda z: np.logaddexp(0.0, z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0.0, z)),
    "exponential": np.exp,
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
}


@pytest.mark.parametrize("activation", CURVED)
def test_agrees_with_the_rule_written_out_in_double_precision(activation: str) -> None:
    f, model = CURVED[activation], network(activation=activation)
    x, background = sequences(3, 0), sequences(4, 1)
    kernel, bias, first, first_bias, last, _ = [np.asarray(w, dtype=np.float64) for w in model.get_weights()]

    def convolved(z: np.ndarray) -> np.ndarray:
        padded = np.pad(z.astype(np.float64), ((2, 2), (0, 0)))
        return bias + sum(padded[k : k + LENGTH] @ kernel[k] for k in range(5))

    def slope(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        same = a == b
        tangent = (f(a + 1e-6) - f(a - 1e-6)) / 2e-6
        return np.where(same, tangent, (f(a) - f(b)) / np.where(same, 1.0, a - b))

    truth = np.zeros((3, 4, LENGTH, 4))
    for i, j in np.ndindex(3, 4):
        a, b = convolved(x[i]), convolved(background[j])
        top = slope(f(a).ravel() @ first + first_bias, f(b).ravel() @ first + first_bias) * last[:, 0]
        middle = (first @ top).reshape(LENGTH, -1) * slope(a, b)
        back = np.zeros((LENGTH + 4, 4))
        for k in range(5):
            back[k : k + LENGTH] += middle @ kernel[k].T
        truth[i, j] = back[2:-2]
    m, fx, fr = deeplift_multipliers(model, x, background)
    spread = float(np.ptp(np.concatenate([fx, fr.ravel()])))
    difference = x[:, None] - background[None]
    assert np.abs(m * difference - truth * difference).max() <= 2e-6 * max(1.0, spread)


FAMILIES: dict[str, Callable[[], keras.Model]] = {
    "relu": lambda: network(layers.MaxPooling1D(2)),
    "gelu": lambda: network(layers.LayerNormalization(), activation="gelu"),
    "exponential": lambda: network(layers.AveragePooling1D(2), activation="exponential"),
    "silu": lambda: network(layers.BatchNormalization(), activation="silu"),
    "softmax": lambda: network(layers.Softmax(axis=1)),
}


@ON_TENSORFLOW
@pytest.mark.slow  # shap compiles its walks by numba first
@pytest.mark.parametrize("name", FAMILIES)
def test_agrees_with_permutation_shap_over_positions(name: str) -> None:
    model = FAMILIES[name]()
    x, background = sequences(4, 0), sequences(8, 1)
    ours = attributions(deeplift_multipliers(model, x, background)[0], x, background[None]).sum(axis=2)

    def predict(codes: np.ndarray) -> np.ndarray:
        encoded = np.eye(4, dtype=np.float32)[codes.astype(int)]
        return np.asarray(keras.ops.convert_to_numpy(model(encoded)))[:, 0]

    with shap_module() as shap:
        masker = shap.maskers.Independent(background.argmax(axis=2), max_samples=8)
        explainer = shap.PermutationExplainer(predict, masker, seed=0)
        theirs = explainer(x.argmax(axis=2), max_evals=4 * (2 * LENGTH + 1), silent=True).values
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= 0.8


@pytest.mark.parametrize("name", [*FAMILIES, "global max"])
def test_agrees_with_expected_gradients(name: str) -> None:
    model = network(end=layers.GlobalMaxPooling1D()) if name == "global max" else FAMILIES[name]()
    x, background = sequences(6, 0), sequences(10, 1)
    deep = attributions(deeplift_multipliers(model, x, background)[0], x, background[None]).sum(axis=2)
    r = np.stack([background] * 6)
    m, fx, fr = expected_gradient_multipliers(model, x, r, rng=np.random.default_rng(0))
    expected = attributions(m, x, r).sum(axis=2)
    # where one place takes all, rescale and path methods share the rise in different ways
    assert np.corrcoef(deep.ravel(), expected.ravel())[0, 1] >= (0.4 if name == "global max" else 0.7)
    error = expected.sum(axis=1) - (fx - fr.mean(axis=1))
    assert np.abs(error).max() <= 0.05 * np.ptp(np.concatenate([fx, fr.ravel()]))
