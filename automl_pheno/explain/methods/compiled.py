"""Compiled calls and derivatives of a network, the same on TensorFlow and JAX.

Everything that knows a backend is in this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.registry import ExplainError
from automl_pheno.keras_settings import held_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

Tensor = Any
Compiled = Callable[..., "tuple[FloatArray, ...]"]
"""Arrays in, arrays out."""


def backend_name() -> str:
    """Return ``tensorflow`` or ``jax``.

    Raises
    ------
    ExplainError
        Keras runs on another backend.
    """
    import keras

    name: str = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        msg = f"networks are explained on the tensorflow or jax backend of Keras, got {name!r}"
        raise ExplainError(msg)
    return name


def on_gpu() -> bool:
    """Tell whether the backend computes on a GPU."""
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    import jax

    return str(jax.default_backend()) != "cpu"


def value_and_pull_back(
    function: Callable[..., Tensor], at: Sequence[Tensor], cotangent: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return ``function(*at)``, and the gradient of ``sum(cotangent * function(*at))`` by each of `at`.

    To be called while compiling.
    """
    if backend_name() == "tensorflow":
        import tensorflow as tf

        apart = [
            tf.identity(tensor) for tensor in at
        ]  # one tensor may stand in two places, or be a constant of function
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for tensor in apart:
                tape.watch(tensor)
            y = function(*apart)
        return y, list(tape.gradient(y, apart, output_gradients=cotangent, unconnected_gradients="zero"))
    import jax

    y, back = jax.vjp(function, *at)
    return y, list(back(cotangent))


def pull_back(function: Callable[..., Tensor], at: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    """Return the gradient of ``sum(cotangent * function(*at))`` by each of `at`; to be called while compiling."""
    return value_and_pull_back(function, at, cotangent)[1]


def compile_function(model: Any, function: Callable[..., tuple[Tensor, ...]], *, fused: bool = False) -> Compiled:
    """Return `function` compiled, from float32 arrays to arrays; it is compiled anew for each shape.

    Sums of products are taken in full float32 on GPUs too, where both backends would round the factors to 10 bits.

    Parameters
    ----------
    model
        The ``keras.Model`` whose weights `function` reads. They are read anew at each call, so that weights
        trained further in between are used.
    function
        Written with ``keras.ops`` and `pull_back`.
    fused
        Compile with XLA on TensorFlow: slower to compile, quicker afterwards where much is elementwise. JAX always
        does.

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """
    return _tensorflow(function, fused) if backend_name() == "tensorflow" else _jax(model, function)


def _tensorflow(function: Callable[..., tuple[Tensor, ...]], fused: bool) -> Compiled:  # noqa: FBT001
    import tensorflow as tf

    # One for each shape: TensorFlow warns of functions that are traced often, as these are, one network after another.
    compiled: dict[tuple[tuple[int, ...], ...], Any] = {}

    @held_settings()
    def call(*arrays: FloatArray) -> tuple[FloatArray, ...]:
        shapes = tuple(array.shape for array in arrays)
        with _full_float32():
            if shapes not in compiled:
                traced = tf.function(function, autograph=False, jit_compile=fused or None)
                compiled[shapes] = traced.get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes))
            return tuple(y.numpy() for y in compiled[shapes](*(tf.constant(array, tf.float32) for array in arrays)))

    return call


@contextmanager
def _full_float32() -> Iterator[None]:
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(enabled=False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled=before)


def _jax(model: Any, function: Callable[..., tuple[Tensor, ...]]) -> Compiled:
    import jax
    import keras

    def stateless(weights: list[Tensor], arrays: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, weights, strict=True))):
            return function(*arrays)

    compiled = jax.jit(stateless)

    @held_settings()
    def call(*arrays: FloatArray) -> tuple[FloatArray, ...]:
        weights = [variable.value for variable in model.variables]  # not earlier: predict donates old buffers
        with jax.default_matmul_precision("highest"):
            out = compiled(weights, tuple(np.asarray(array, np.float32) for array in arrays))
        return tuple(np.asarray(y) for y in out)

    return call


def compile_gradient(model: Any) -> Compiled:
    """Return a compiled function from encoded inputs to the gradient of each row's output, and the outputs, shape (n,).

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """
    from keras import ops

    def outputs(points: Tensor) -> Tensor:
        return ops.cast(ops.reshape(model(points, training=False), (-1,)), "float32")

    def both(x: Tensor) -> tuple[Tensor, ...]:
        y, (gradient,) = value_and_pull_back(outputs, [x], ops.ones((x.shape[0],), dtype="float32"))
        return gradient, y

    return compile_function(model, both)


def compile_outputs(model: Any) -> Callable[[FloatArray], FloatArray]:
    """Return a compiled function from encoded inputs to the model's outputs, shape (n,); compiled anew for each n.

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """
    from keras import ops

    compiled = compile_function(model, lambda x: (ops.cast(ops.reshape(model(x, training=False), (-1,)), "float32"),))
    return lambda x: compiled(x)[0]


def in_batches(function: Compiled, rows: FloatArray, size: int) -> tuple[FloatArray, ...]:
    """Call `function` on rows in batches of one size, the last one filled up, so that it is compiled once."""
    parts = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        out = function(filled_up(part, size))
        parts.append([y[: len(part)] for y in out])
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def filled_up(rows: FloatArray, size: int) -> FloatArray:
    """Return `rows` followed by copies of the last one, `size` in all."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
