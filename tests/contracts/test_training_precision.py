"""Training in half precision, on the backend that KERAS_BACKEND names; ``test_training_backends.py`` runs the other."""

from pathlib import Path

import keras
import numpy as np
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain import explain
from automl_pheno.networks import build
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.space.config import ModelConfig
from automl_pheno.training import TrainingData, train
from automl_pheno.training.backend import compiled
from automl_pheno.training.program import FIRST_SCALE, GROW_AFTER, Program, Structure, dropout_rates, hyper_values

pytestmark = pytest.mark.slow
N, WIDTH = 330, 24
TOLERANCE = {"mixed_bfloat16": 0.05, "mixed_float16": 0.01}
"""Of predictions in sd: 8 and 11 bits of significand over a handful of layers."""


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = (1 << rng.integers(0, 4, (N, WIDTH))).astype("uint8")
    y = one_hot(x).reshape(N, -1) @ rng.normal(size=WIDTH * 4)
    return x, ((y - y.mean()) / y.std()).astype("float32")


def make(precision: str, **fit: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "trunk": [
                {"block": "gate"},
                {"block": "conv", "filters": 8, "kernel_size": 3, "normalization": "batch", "pooling": "max"},
                {"block": "flatten"},
            ],
            "head": [{"block": "dense", "units": 16, "dropout": 0.05, "normalization": "layer"}],
            "fit": {"max_epochs": 20, "batch_size": 32, "learning_rate": 0.005, "precision": precision, **fit},
        }
    )


@pytest.mark.parametrize("precision", TOLERANCE)
def test_it_learns_and_the_plain_model_in_float32_predicts_the_same(precision: str) -> None:
    x, y = data()
    config = make(precision)
    rows = TrainingData(x=x[:250], y=y[:250], validation=x[250:])
    result = train(
        config, rows, rng=np.random.default_rng(1), monitor=lambda p: {"monitor": -float(np.mean((p - y[250:]) ** 2))}
    )
    assert np.corrcoef(result.predict(x[250:]), y[250:])[0, 1] > 0.7
    model = build(config, WIDTH)
    model.set_weights(result.weights)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    plain = keras.ops.convert_to_numpy(model(one_hot(x), training=False))[:, 0]
    difference = np.abs(plain - result.predict(x)).max()
    assert 0 < difference < TOLERANCE[precision]


@pytest.mark.parametrize("precision", TOLERANCE)
def test_inner_layers_compute_in_half_precision_and_the_rest_in_float32(precision: str) -> None:
    program = Program(Structure.of(make(precision), WIDTH))
    half = precision.removeprefix("mixed_")
    kinds = {layer.name: layer.compute_dtype for layer in program.model.layers}
    assert kinds.pop("input") == kinds.pop("trait") == program.model.output.dtype == "float32"
    assert set(kinds.values()) == {half}
    assert {v.dtype for v in program.model.trainable_variables} == {"float32"}
    assert {v.dtype for v in program.model.non_trainable_variables if v.path.endswith("rate")} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_each_precision_is_a_structure_of_its_own() -> None:
    structures = {Structure.of(make(precision), WIDTH) for precision in ("float32", *TOLERANCE)}
    assert len(structures) == 3


def gradients(program: Program, state, x, y) -> list[np.ndarray]:
    """Differentiate the objective of a batch on whichever backend."""
    hyper = hyper_values(program.structure.config)
    if keras.backend.backend() == "jax":
        import jax

        found = jax.grad(lambda w: program.objective(w, state, hyper, x, y)[0])(state[0])
    else:
        import tensorflow as tf

        state = tf.nest.map_structure(tf.constant, state)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state[0])
            objective, _ = program.objective(state[0], state, hyper, tf.constant(x), tf.constant(y))
        found = tape.gradient(objective, state[0])
    return [np.asarray(g, np.float32) for g in found]


def test_a_gradient_too_small_for_float16_survives_the_scale() -> None:
    """Weighted by 1e-6, half of the gradients vanish in float16; scaled they are those of float32."""
    x, y = data()
    rows = np.column_stack([y, np.full(N, 1e-6, "float32")])[:32]
    found = {}
    for precision in ("float32", "mixed_float16"):
        config = make(precision)
        program, _ = compiled(Structure.of(config, WIDTH, weighted=True))
        state = program.initial_state(dropout_rates(config), np.random.default_rng(3))
        if precision == "mixed_float16":
            unscaled = gradients(program, (*state[:3], np.float32([0, 1, 0])), x[:32], rows)
            found[precision] = [g / FIRST_SCALE for g in gradients(program, state, x[:32], rows)]
        else:
            found[precision] = gradients(program, state, x[:32], rows)
    kernel = next(i for i, g in enumerate(unscaled) if g.ndim == 3)
    true = found["float32"][kernel]
    assert np.abs(found["mixed_float16"][kernel] - true).max() < 0.05 * np.abs(true).max()
    assert np.abs(unscaled[kernel] - true).max() > 0.05 * np.abs(true).max()


def leaves(state) -> list:
    return [*state[0], *state[1], *(slot for slots in state[2] for slot in slots)]


def test_a_step_that_overflows_is_left_out_and_the_scale_is_dynamic() -> None:
    config = make("mixed_float16")
    program, backend = compiled(Structure.of(config, WIDTH))
    state = backend.put_state(program.initial_state(dropout_rates(config), np.random.default_rng(3)))
    hyper = {name: keras.ops.convert_to_tensor(value) for name, value in hyper_values(config).items()}
    rate = keras.ops.convert_to_tensor(np.float32(0.01))
    ones = [keras.ops.ones_like(w) for w in state[0]]

    def step(state, gradients):
        return program.apply(state, gradients, [v + 1 for v in state[1]], hyper, rate)

    after = step(state, [ones[0] * np.inf, *ones[1:]])
    for old, new in zip(leaves(state), leaves(after), strict=True):
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))
    np.testing.assert_array_equal(np.asarray(after[3]), [0, FIRST_SCALE / 2, 0])
    taken = step(after, ones)
    np.testing.assert_array_equal(np.asarray(taken[3]), [1, FIRST_SCALE / 2, 1])
    assert all(np.abs(np.asarray(a) - np.asarray(b)).max() > 0 for a, b in zip(taken[0], after[0], strict=True))
    nearly = (*taken[:3], keras.ops.convert_to_tensor(np.float32([GROW_AFTER, 4.0, GROW_AFTER - 1])))
    np.testing.assert_array_equal(np.asarray(step(nearly, ones)[3]), [GROW_AFTER + 1, 8.0, 0])
    lowest = (*taken[:3], keras.ops.convert_to_tensor(np.float32([5, 1.0, 3])))
    np.testing.assert_array_equal(np.asarray(step(lowest, [g * np.nan for g in ones])[3]), [5, 1.0, 0])


def test_an_epoch_goes_on_after_an_overflow() -> None:
    """A scale so high that the first steps overflow: the epoch halves it until they do not, and learns."""
    x, y = data()
    config = make("mixed_float16")
    program, backend = compiled(Structure.of(config, WIDTH))
    state = program.initial_state(dropout_rates(config), np.random.default_rng(3))
    state = backend.put_state((*state[:3], np.float32([0, 2.0**24, 0])))
    rows, target, chunks = backend.put(x[:250]), backend.put(y[:250]), backend.put(x[250:][None])
    losses = []
    for seed in range(8):
        state, loss, _ = backend.epoch(state, hyper_values(config), (0.005, 0.005), seed, rows, target, chunks)
        losses.append(loss)
    steps, scale, _ = np.asarray(state[3])
    assert 0 < 64 - steps < 24  # 8 epochs of 8 batches, some left out
    assert scale == 2.0 ** (24 - (64 - steps))
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("precision", TOLERANCE)
def test_a_saved_network_predicts_and_explains_as_before(precision: str, tmp_path: Path) -> None:
    x, y = data()
    inputs = Inputs(kind="sequence", values=x)
    predictor = NetworkPredictor(make(precision, max_epochs=3), epochs=3, members=2)
    predictor.fit(
        Examples(inputs=inputs.take(np.arange(250)), y=y[:250], groups=np.arange(250)), rng=np.random.default_rng(0)
    )
    predictor.save(tmp_path)
    loaded = NetworkPredictor.load(tmp_path)
    assert loaded.config.fit.precision == precision
    np.testing.assert_allclose(loaded.predict(inputs), predictor.predict(inputs), atol=1e-6)
    found = explain(loaded, inputs.take(np.arange(250, 260)), inputs.take(np.arange(250)), rng=np.random.default_rng(0))
    assert found.method == "deeplift"
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-4)
