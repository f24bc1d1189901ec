"""Every rule of DeepLIFT: contributions add up to the difference of the outputs, and the outputs are the model's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from deeplift_networks import bases, randomize, worst_delta
from keras import layers, ops

from automl_pheno.explain.methods.deeplift import deeplift_multipliers
from automl_pheno.explain.methods.layer_rules import RULES, check_layers
from automl_pheno.explain.methods.layer_rules.operators import OPERATORS
from automl_pheno.explain.registry import UnsupportedLayerError

LENGTH = 24
HAS_NOT = pytest.mark.skip("this version of Keras has none")


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Run rules as they are written: compiling each of some hundred networks would take minutes."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.disable_jit():
            yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(run_eagerly=True)
    yield
    tf.config.run_functions_eagerly(run_eagerly=False)


def sequences(n: int, seed: int) -> np.ndarray:
    return bases(n, LENGTH, seed)


def one_end(inputs: Any, z: Any) -> keras.Model:
    if len(z.shape) > 2:
        z = layers.Flatten()(z)
    z = layers.Dense(8, activation="tanh")(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    randomize(model)
    return model


def network(make: Callable[[Any], Any], first: str | None = "relu") -> keras.Model:
    """Convolution, what `make` makes of it, dense."""
    inputs = keras.Input((LENGTH, 4))
    return one_end(inputs, make(layers.Conv1D(6, 5, padding="same", activation=first)(inputs)))


def worst(model: keras.Model) -> float:
    """Return the error with references of each sample."""
    r = np.stack([sequences(4, 10 + i) for i in range(3)])
    return worst_delta(model, sequences(3, 0), r)


def worst_shared(model: keras.Model) -> float:
    """Return the error with references that all samples share, and of a single sample."""
    r = sequences(4, 5)
    return max(worst_delta(model, sequences(3, 0), r), worst_delta(model, sequences(1, 1), r))


def layer(name: str, *args: Any, **options: Any) -> Any:
    """Return a case: the layer by its name, skipped where Keras is too old."""
    made = getattr(layers, name, None)
    label = name + "".join(f"-{value}" for value in (*args, *options.values()))
    return pytest.param(lambda z: made(*args, **options)(z), id=label, marks=[] if made else [HAS_NOT])


def act(name: str) -> Any:
    known = hasattr(keras.activations, name)
    return pytest.param(lambda z: layers.Activation(name)(z), id=name, marks=[] if known else [HAS_NOT])


LAYERS = [
    layer("Dropout", 0.5), layer("SpatialDropout1D", 0.5), layer("GaussianNoise", 1.0), layer("GaussianDropout", 0.5),
    layer("AlphaDropout", 0.5), layer("ActivityRegularization", 0.1), layer("Identity"),
    layer("Flatten"), layer("Reshape", (12, 12)), layer("Permute", (2, 1)), layer("ZeroPadding1D", 2),
    layer("Cropping1D", 3), layer("UpSampling1D", 2), layer("Rescaling", 2.0, offset=1.0),
    layer("AveragePooling1D", 3), layer("AveragePooling1D", 4, strides=2, padding="same"),
    layer("AdaptiveAveragePooling1D", 5),
    layer("MaxPooling1D", 2), layer("MaxPooling1D", 5), layer("MaxPooling1D", 5, padding="same"),
    layer("MaxPooling1D", 3, strides=2, padding="same"), layer("MaxPooling1D", 4, strides=1),
    layer("MaxPooling1D", 2, strides=3), layer("MaxPooling1D", 1),
    layer("GlobalMaxPooling1D"), layer("GlobalMaxPooling1D", keepdims=True),
    layer("GlobalAveragePooling1D"), layer("GlobalAveragePooling1D", keepdims=True),
    layer("BatchNormalization"), layer("BatchNormalization", axis=1, center=False),
    layer("BatchNormalization", scale=False),
    layer("LayerNormalization"), layer("LayerNormalization", axis=1), layer("LayerNormalization", axis=[1, 2]),
    layer("LayerNormalization", center=False, scale=False),
    layer("GroupNormalization", groups=3), layer("GroupNormalization", groups=6),
    layer("GroupNormalization", groups=4, axis=1),
    layer("RMSNormalization"), layer("UnitNormalization"), layer("UnitNormalization", axis=1),
    layer("Conv1D", 5, 3, dilation_rate=2, activation="gelu"), layer("Conv1D", 5, 4, strides=3, use_bias=False),
    layer("Conv1D", 6, 3, groups=3, padding="same", activation="elu"),
    layer("Conv1D", 5, 3, padding="causal", dilation_rate=2, activation="softmax"),
    layer("SeparableConv1D", 5, 3, activation="silu"), layer("SeparableConv1D", 5, 3, strides=2, padding="same"),
    layer("SeparableConv1D", 5, 3, dilation_rate=2, depth_multiplier=2),
    layer("DepthwiseConv1D", 3, depth_multiplier=2, activation="relu"), layer("DepthwiseConv1D", 3, strides=2),
    layer("Conv1DTranspose", 5, 3, strides=2, activation="tanh"), layer("Conv1DTranspose", 5, 3, padding="same"),
    layer("Dense", 7, activation="softplus"),
    layer("EinsumDense", "abc,cd->abd", output_shape=(LENGTH, 5), bias_axes="d"),
    layer("EinsumDense", "abc,bcd->ad", output_shape=(5,), activation="relu"),
    layer("ReLU", max_value=1.0, negative_slope=0.1), layer("ReLU", threshold=0.5, negative_slope=0.1),
    layer("LeakyReLU", negative_slope=0.3),
    layer("ELU", alpha=0.7), layer("PReLU"), layer("PReLU", shared_axes=[1]),
    layer("Softmax"), layer("Softmax", axis=1), layer("Softmax", axis=[1, 2]),
]  # fmt: skip


@pytest.mark.parametrize("make", LAYERS)
def test_every_layer_is_complete(make: Callable[[Any], Any]) -> None:
    assert worst(network(make)) <= 1e-4


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.parametrize("make", LAYERS)
def test_every_layer_is_complete_with_shared_references_too(make: Callable[[Any], Any]) -> None:
    assert worst_shared(network(make, first=None)) <= 1e-4


ACTIVATIONS = [
    act(name)
    for name in (
        "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
        "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
        "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh",
        "tanh_shrink",
    )
]  # fmt: skip


@pytest.mark.parametrize("make", ACTIVATIONS)
def test_every_activation_is_complete(make: Callable[[Any], Any]) -> None:
    assert worst(network(lambda z: make(layers.Rescaling(3.0)(z)), first=None)) <= 1e-4


def other(z: Any) -> Any:
    return layers.Conv1D(6, 3, padding="same", activation="sigmoid")(z)


MERGES = {
    "add": lambda z: layers.Add()([z, other(z), z]),
    "subtract": lambda z: layers.Subtract()([z, other(z)]),
    "average": lambda z: layers.Average()([z, other(z)]),
    "concatenate": lambda z: layers.Concatenate()([z, other(z)]),
    "concatenate along": lambda z: layers.Concatenate(axis=1)([z, other(z)]),
    "multiply": lambda z: layers.Multiply()([z, other(z), z]),
    "multiply by one a channel": lambda z: layers.Multiply()(
        [z, layers.Dense(6, activation="sigmoid")(layers.GlobalAveragePooling1D(keepdims=True)(z))]
    ),
    "maximum": lambda z: layers.Maximum()([z, other(z)]),
    "minimum": lambda z: layers.Minimum()([z, other(z)]),
    "dot": lambda z: layers.Dot(axes=(2, 2))([z, other(z)]),
    "dot along": lambda z: layers.Dot(axes=1, normalize=True)([z, other(z)]),
    "dot of vectors": lambda z: layers.Dot(axes=1)(
        [layers.Flatten()(layers.Rescaling(0.02)(z)), layers.Flatten()(other(z))]
    ),
    "repeat": lambda z: layers.RepeatVector(3)(layers.Flatten()(z)),
    "attention": lambda z: layers.Attention()([z, other(z)]),
    "attention, scaled, causal": lambda z: layers.Attention(use_scale=True)([z, z, other(z)], use_causal_mask=True),
    "attention, concat": lambda z: layers.Attention(use_scale=True, score_mode="concat")([z, other(z)]),
    "additive attention": lambda z: layers.AdditiveAttention()([z, other(z)]),
    "heads": lambda z: layers.MultiHeadAttention(2, 3)(z, z),
    "heads, dropout": lambda z: layers.MultiHeadAttention(2, 3, dropout=0.2, value_dim=4)(z, other(z), key=z),
    "nested": lambda z: keras.Sequential([layers.Conv1D(4, 3, activation="tanh"), layers.MaxPooling1D(2)])(z),
    "transformer": lambda z: layers.LayerNormalization()(layers.Add()([z, layers.MultiHeadAttention(2, 4)(z, z)])),
}


@pytest.mark.parametrize("name", MERGES)
def test_every_layer_of_several_tensors_is_complete(name: str) -> None:
    assert worst_shared(network(MERGES[name])) <= 1e-4


def positive(z: Any) -> Any:
    return layers.Activation("softplus")(z)


OPERATIONS = {
    "sums": lambda z: z + 2.0 * other(z) - 1.0,
    "constants first": lambda z: 1.0 - (-z),
    "product": lambda z: z * other(z) * z,
    "quotient": lambda z: z / (1.0 + positive(z)),
    "quotient of constants": lambda z: 2.0 / (1.0 + positive(z)) + z / 3.0,
    "matmul": lambda z: ops.matmul(z, ops.swapaxes(other(z), 1, 2)),
    "matmul by a constant": lambda z: ops.matmul(z, np.eye(6, 3, dtype="float32")),
    "einsum": lambda z: ops.einsum("abc,abd->acd", z, other(z)),
    "einsum of one": lambda z: ops.einsum("abc->acb", z),
    "einsum by a constant": lambda z: ops.einsum("bd,abc->adc", np.ones((LENGTH, 2), "float32"), z),
    "maximum": lambda z: ops.maximum(z, other(z)) * ops.maximum(z, 0.3) + ops.minimum(0.4, ops.minimum(z, other(z))),
    "join": lambda z: ops.stack([ops.concatenate([z, other(z)], axis=2), ops.concatenate([z, z], axis=2)], axis=1),
    "mean and sum": lambda z: ops.mean(z, axis=1) * ops.sum(z, axis=(1,)),
    "shape": lambda z: ops.squeeze(ops.expand_dims(ops.transpose(ops.reshape(z, (-1, 12, 12)), (0, 2, 1)), 1), 1),
    "part": lambda z: z[:, 3:9] * z[..., 5:6][:, 1:2],
    "exp": lambda z: ops.exp(z) + ops.log(positive(z)) + ops.sqrt(positive(z)) + ops.square(z) + ops.abs(z),
    "activations": lambda z: keras.activations.relu(z) + keras.activations.gelu(z, approximate=True)
    + ops.leaky_relu(z, 0.1) + ops.elu(z, 0.5) + ops.tanh(z) + ops.silu(z) + ops.softmax(z, axis=1),
    "activations 2": lambda z: ops.selu(z) + ops.sigmoid(z) + ops.softplus(z) + ops.softsign(z) + ops.hard_sigmoid(z)
    + ops.hard_silu(z) + ops.log_sigmoid(z) + ops.relu6(z) + ops.relu(z),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_between_layers_is_complete(name: str) -> None:
    assert worst_shared(network(OPERATIONS[name])) <= 1e-4


def test_every_rule_is_tried() -> None:
    """So that a new rule brings its case."""
    inputs = keras.Input((LENGTH, 6))
    models = [keras.Model(inputs, make(inputs)) for make in (*MERGES.values(), *OPERATIONS.values())]
    seen = {type(operation).__name__ for model in models for operation in model.operations}
    seen |= {case.id.split("-")[0] for case in LAYERS} | {"Activation"}
    assert {kind.__name__ for kind in RULES} - seen == set()
    # aliases of others, which appear or not with the version of Keras
    assert set(OPERATORS) - seen <= {"TrueDivide", "Divide", "Abs", "Absolute", "Identity", "TanhShrink", "HardTanh"}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_mixed_precision_is_explained_in_float32(policy: str) -> None:
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless the whole process is set so")

    def build(dtype: str) -> keras.Model:
        inputs = keras.Input((LENGTH, 4))
        z = layers.Conv1D(6, 5, dtype=dtype)(inputs)
        z = layers.Activation("gelu", dtype=dtype)(layers.BatchNormalization(dtype=dtype)(z))
        z = layers.MaxPooling1D(2, dtype=dtype)(z)
        z = layers.LayerNormalization(dtype=dtype)(
            layers.Add(dtype=dtype)([z, layers.MultiHeadAttention(2, 3, dtype=dtype)(z, z)])
        )
        z = layers.Dense(8, "relu", dtype=dtype)(layers.Flatten(dtype=dtype)(layers.Rescaling(2.0, dtype=dtype)(z)))
        model = keras.Model(inputs, layers.Dense(1, dtype=dtype)(z))
        randomize(model)
        return model

    rounded, exact = build(policy), build("float32")
    x, r = sequences(3, 0), sequences(4, 1)
    m, fx, fr = deeplift_multipliers(rounded, x, r)
    same, _, _ = deeplift_multipliers(exact, x, r)
    assert m.dtype == np.float32
    np.testing.assert_allclose(m, same, atol=1e-5 * np.abs(same).max())
    delta = (m * (x[:, None] - r)).sum(axis=(2, 3)) - (fx[:, None] - fr)
    assert np.abs(delta).max() <= 1e-4 * np.ptp(np.concatenate([fx, fr.ravel()]))


def test_softmax_overflows_nowhere() -> None:
    inputs = keras.Input((LENGTH, 4))
    z = layers.Activation("softmax")(layers.Rescaling(300.0)(layers.Conv1D(5, 3)(inputs)))
    model = one_end(inputs, z)
    m, _, _ = deeplift_multipliers(model, sequences(3, 0), sequences(4, 1))
    assert np.isfinite(m).all()
    assert worst(model) <= 1e-4


class Scaled(layers.Dense):
    def call(self, inputs: object) -> object:
        return super().call(inputs) ** 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.GRU(3, name="memory"), r"'memory' \(GRU\)"),
        (lambda: layers.LSTM(3, name="memory"), r"'memory' \(LSTM\)"),
        (lambda: layers.Lambda(lambda t: t**2, output_shape=(LENGTH, 6), name="own"), r"'own' \(Lambda\)"),
        (lambda: Scaled(3, name="squared"), r"'squared' \(Scaled\)"),
        (lambda: layers.Activation(lambda t: t**2, name="own"), r"'own' \(Activation\) with activation"),
        (lambda: layers.Dense(3, activation="sparsemax", name="own"), r"'own' \(Dense\) with activation 'sparsemax'"),
    ],
)  # fmt: skip
def test_a_layer_without_a_rule_is_refused_by_name(make: Callable[[], Any], message: str) -> None:
    model = network(lambda z: make()(z))
    with pytest.raises(UnsupportedLayerError, match=message):
        deeplift_multipliers(model, sequences(1, 0), sequences(2, 1)[None])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: layers.Attention(name="own")([z, z], mask=[None, ops.ones((1, LENGTH), "bool")]), "'own'.*mask"),
        (lambda z: layers.MultiHeadAttention(2, 3, name="own")(z, z, use_causal_mask=True), "'own'.*use_causal_mask"),
        (lambda z: z + ops.mean(z, axis=0, keepdims=True), "Mean.*samples"),
        (lambda z: ops.sin(z), "Sin"),
        (lambda z: ops.einsum("abc,dbe->bcae", z, z)[:, :, 0], "Einsum"),
    ],
)
def test_what_an_operation_cannot_do_is_refused(make: Callable[[Any], Any], message: str) -> None:
    inputs = keras.Input((LENGTH, 4))
    model = one_end(inputs, make(layers.Conv1D(6, 5, padding="same")(inputs)))
    with pytest.raises(UnsupportedLayerError, match=message):
        deeplift_multipliers(model, sequences(1, 0), sequences(2, 1)[None])


def test_a_subclassed_model_and_two_outputs_are_refused() -> None:
    class Own(keras.Model):
        def call(self, x: object) -> object:
            return x

    with pytest.raises(UnsupportedLayerError, match="functional or sequential"):
        check_layers(Own())
    inputs = keras.Input((LENGTH, 4))
    with pytest.raises(UnsupportedLayerError, match="one input and one output"):
        check_layers(keras.Model(inputs, [keras.layers.Flatten()(inputs), keras.layers.Dense(2)(inputs)]))
