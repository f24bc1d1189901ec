"""DeepLIFT against its completeness axiom, shap.DeepExplainer and expected gradients."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from automl_pheno.explain.methods.deeplift import deeplift_multipliers
from automl_pheno.explain.methods.gradients import expected_gradient_multipliers
from automl_pheno.explain.methods.layer_rules import check_layers
from automl_pheno.explain.registry import UnsupportedLayerError
from automl_pheno.space.config import Activation

LENGTH = 24
ACTIVATIONS = Activation.__args__


def sequences(n: int, seed: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(0, 4, (n, LENGTH))]


def network(*middle: layers.Layer, activation: str = "relu", end: layers.Layer | None = None) -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((LENGTH, 4))
    z = layers.Conv1D(6, 5, padding="same", activation=activation, bias_initializer="normal")(inputs)
    for layer in middle:
        z = layer(z)
    z = (end or layers.Flatten())(z)
    z = layers.Dense(8, activation=activation, bias_initializer="normal")(z)
    return keras.Model(inputs, layers.Dense(1)(z))


def attributions(multipliers: np.ndarray, x: np.ndarray, r: np.ndarray) -> np.ndarray:
    return (multipliers * (x[:, None] - r)).mean(axis=1)


def check_completeness(model: keras.Model, n: int = 4, k: int = 5) -> np.ndarray:
    x, r = sequences(n, 0), np.stack([sequences(k, 10 + i) for i in range(n)])
    m, fx, fr = deeplift_multipliers(model, x, r)
    np.testing.assert_allclose(fx, np.asarray(model(x))[:, 0], rtol=1e-4, atol=1e-5)
    delta = (m * (x[:, None] - r)).sum(axis=(2, 3)) - (fx[:, None] - fr)
    spread = float(np.ptp(np.concatenate([fx, fr.ravel()])))
    assert spread > 0
    assert np.abs(delta).max() <= 1e-4 * spread
    return attributions(m, x, r)


@pytest.mark.parametrize(("first", "second"), list(zip(ACTIVATIONS[::2], ACTIVATIONS[1::2], strict=True)))
def test_every_activation_of_the_spaces_is_complete(first: str, second: str) -> None:
    check_completeness(network(layers.Activation(second), activation=first))


def varied_batch_normalization() -> layers.Layer:
    return layers.BatchNormalization(
        beta_initializer="normal", moving_mean_initializer="normal",
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    "middle",
    [
        [varied_batch_normalization()],
        [layers.LayerNormalization(gamma_initializer="normal", beta_initializer="normal")],
        [layers.MaxPooling1D(2), layers.Dropout(0.5), layers.LeakyReLU()],
        [layers.MaxPooling1D(3, strides=2, padding="same"), layers.ELU()],
        [layers.MaxPooling1D(5, strides=1), layers.AveragePooling1D(3, padding="same")],
        [layers.Conv1D(3, 3, dilation_rate=2, activation="gelu"), layers.AveragePooling1D(3)],
        [layers.Conv1D(3, 4, strides=3, padding="valid", use_bias=False), layers.Rescaling(2.0, offset=1.0)],
        [layers.Reshape((LENGTH // 2, 12)), layers.ZeroPadding1D(2), layers.Permute((2, 1)), layers.PReLU()],
        [keras.Sequential([layers.Conv1D(4, 3, activation="tanh"), layers.MaxPooling1D(2)])],
    ],
)
def test_every_layer_is_complete(middle: list[layers.Layer]) -> None:
    check_completeness(network(*middle))


@pytest.mark.parametrize("end", [layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D, layers.Flatten])
def test_every_end_of_the_trunk_is_complete(end: type) -> None:
    check_completeness(network(layers.MaxPooling1D(2), end=end()))


@pytest.mark.parametrize("merge", [layers.Add, layers.Concatenate, layers.Multiply])
def test_merges_and_nested_models_are_complete(merge: type) -> None:
    keras.utils.set_random_seed(5)
    inner_in = keras.Input((LENGTH, 6))
    inner = keras.Model(inner_in, layers.Conv1D(6, 3, padding="same", activation="selu")(inner_in))
    inputs = keras.Input((LENGTH, 4))
    z = layers.Conv1D(6, 5, padding="same", activation="relu")(inputs)
    z = layers.Flatten()(merge()([z, inner(z)]))
    check_completeness(keras.Model(inputs, layers.Dense(1)(z)))


def test_training_dropout_layers_have_the_same_value_as_the_model() -> None:
    model = network(layers.Dropout(0.9), layers.SpatialDropout1D(0.9))
    a, b = check_completeness(model), check_completeness(model)
    np.testing.assert_array_equal(a, b)


def test_a_linear_network_gives_weight_times_difference() -> None:
    inputs = keras.Input((LENGTH, 4))
    dense = layers.Dense(1)
    model = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    x, r = sequences(3, 0), np.stack([sequences(2, 9)] * 3)
    m, _, _ = deeplift_multipliers(model, x, r)
    effects = np.asarray(dense.kernel).reshape(LENGTH, 4)
    np.testing.assert_allclose(m, np.broadcast_to(effects, m.shape), atol=1e-6)


def test_agrees_with_shap_deep_explainer() -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("shap.DeepExplainer needs TensorFlow")
    with warnings.catch_warnings():  # shap 0.51 makes colour maps in a way matplotlib 3.11 will drop
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap
    from tensorflow.python.eager import execute

    model = network(layers.MaxPooling1D(2))
    x, background = sequences(4, 0), sequences(6, 1)
    ours = attributions(deeplift_multipliers(model, x, np.stack([background] * 4))[0], x, background[None])
    good = execute.record_gradient
    try:  # a DeepExplainer that raises leaves TensorFlow patched
        with warnings.catch_warnings():  # it says that TensorFlow 2 may not be supported
            warnings.simplefilter("ignore", UserWarning)
            theirs = shap.DeepExplainer(model, background).shap_values(x)
    finally:
        execute.record_gradient = good
    np.testing.assert_allclose(ours, np.asarray(theirs).reshape(ours.shape), atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "exponential"])
def test_agrees_with_expected_gradients(activation: str) -> None:
    model = network(layers.MaxPooling1D(2), layers.LayerNormalization(), activation=activation)
    x, r = sequences(6, 0), np.stack([sequences(10, 1)] * 6)
    deep = attributions(deeplift_multipliers(model, x, r)[0], x, r).sum(axis=2)
    m, fx, fr = expected_gradient_multipliers(model, x, r, rng=np.random.default_rng(0))
    expected = attributions(m, x, r).sum(axis=2)
    assert np.corrcoef(deep.ravel(), expected.ravel())[0, 1] >= 0.7
    error = expected.sum(axis=1) - (fx - fr.mean(axis=1))
    assert np.abs(error).max() <= 0.05 * np.ptp(np.concatenate([fx, fr.ravel()]))


def test_batches_and_references_do_not_change_a_sample() -> None:
    model = network(layers.MaxPooling1D(2))
    x, r = sequences(30, 0), np.stack([sequences(20, 1)] * 30)
    whole = deeplift_multipliers(model, x, r)[0]
    alone = deeplift_multipliers(model, x[7:8], r[7:8, 3:5])[0]
    np.testing.assert_allclose(whole[7, 3:5], alone[0], atol=1e-5)


class Scaled(layers.Dense):
    def call(self, inputs: object) -> object:
        return super().call(inputs) ** 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.GRU(3, name="memory"), r"'memory' \(GRU\)"),
        (lambda: Scaled(3, name="squared"), r"'squared' \(Scaled\)"),
        (lambda: layers.Dense(3, activation="softmax", name="shares"), r"'shares' \(Dense\) with activation 'softmax'"),
        (lambda: layers.Activation(lambda t: t**2, name="own"), r"'own' \(Activation\) with activation"),
        (lambda: layers.LayerNormalization(axis=1, name="across"), r"'across' \(LayerNormalization\) normalising"),
    ],
)
def test_a_layer_without_a_rule_is_refused_by_name(make: object, message: str) -> None:
    model = network(make(), end=layers.Flatten())  # type: ignore[operator]
    with pytest.raises(UnsupportedLayerError, match=message):
        deeplift_multipliers(model, sequences(1, 0), sequences(2, 1)[None])


def test_an_operation_between_layers_and_a_subclassed_model_are_refused() -> None:
    inputs = keras.Input((LENGTH, 4))
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(keras.ops.sin(inputs))))
    with pytest.raises(UnsupportedLayerError, match="Sin"):
        check_layers(model)

    class Own(keras.Model):
        def call(self, x: object) -> object:
            return x

    with pytest.raises(UnsupportedLayerError, match="functional or sequential"):
        check_layers(Own())
