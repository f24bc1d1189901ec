"""One compiled call for gradients of a network, the same on TensorFlow and JAX.

Everything that knows a backend's gradient is in this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.registry import ExplainError

Tensor = Any
Outputs = Callable[[Tensor, Tensor], Tensor]
"""``(fixed, varied) -> one output a row``; the gradient is taken with respect to `varied`."""
Gradient = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""``(fixed, varied) -> (gradient of the summed outputs, outputs)``, arrays in and out."""


def compile_gradient(model: Any, outputs: Outputs, summed: Callable[[Tensor], Tensor]) -> Gradient:
    """Return a compiled function for the gradient of ``summed(outputs(fixed, varied))`` by `varied`.

    Parameters
    ----------
    model
        The ``keras.Model`` whose weights `outputs` reads. They are read anew at each call, so that weights
        trained further in between are used.
    outputs, summed
        Written with ``keras.ops``; `summed` picks the rows whose gradient is wanted and adds them up.

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _tensorflow(outputs, summed)
    if backend == "jax":
        return _jax(model, outputs, summed)
    msg = f"gradients of networks need the tensorflow or jax backend of Keras, got {backend!r}"
    raise ExplainError(msg)


def _tensorflow(outputs: Outputs, summed: Callable[[Tensor], Tensor]) -> Gradient:
    import tensorflow as tf

    @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
    def compiled(fixed: Tensor, varied: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(varied)
            y = outputs(fixed, varied)
            total = summed(y)
        return tape.gradient(total, varied, unconnected_gradients="zero"), y

    def call(fixed: FloatArray, varied: FloatArray) -> tuple[FloatArray, FloatArray]:
        gradient, y = compiled(tf.constant(fixed, tf.float32), tf.constant(varied, tf.float32))
        return gradient.numpy(), y.numpy()

    return call


def _jax(model: Any, outputs: Outputs, summed: Callable[[Tensor], Tensor]) -> Gradient:
    import jax
    import keras

    def total(varied: Tensor, fixed: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, weights, strict=True))):
            y = outputs(fixed, varied)
        return summed(y), y

    compiled = jax.jit(jax.grad(total, has_aux=True))

    def call(fixed: FloatArray, varied: FloatArray) -> tuple[FloatArray, FloatArray]:
        weights = [variable.value for variable in model.variables]  # not earlier: predict donates old buffers
        gradient, y = compiled(np.asarray(varied, np.float32), np.asarray(fixed, np.float32), weights)
        return np.asarray(gradient), np.asarray(y)

    return call


def in_batches(function: Gradient, fixed: FloatArray, varied: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Call `function` on rows in batches of one size, the last one filled up, so that it is compiled once.

    Parameters
    ----------
    fixed, varied
        The same number of rows; `varied` may have a further axis of references after the first.
    """
    gradients, outputs = [], []
    for start in range(0, len(fixed), size):
        part, other = fixed[start : start + size], varied[start : start + size]
        missing = size - len(part)
        if missing:
            part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            other = np.concatenate([other, np.repeat(other[-1:], missing, axis=0)])
        gradient, y = function(part, other)
        keep = size - missing
        gradients.append(gradient[:keep])
        outputs.append(y[:keep])
    return np.concatenate(gradients), np.concatenate(outputs)


def compile_outputs(model: Any) -> Callable[[FloatArray], FloatArray]:
    """Return a compiled function from encoded inputs to the model's outputs, shape (n,); compiled anew for each n.

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
        def forward(x: Tensor) -> Tensor:
            return tf.reshape(model(x, training=False), (-1,))

        return lambda x: np.asarray(forward(tf.constant(x, tf.float32)).numpy())
    if backend == "jax":
        import jax

        def outputs(x: Tensor, weights: list[Tensor]) -> Tensor:
            with keras.StatelessScope(state_mapping=list(zip(model.variables, weights, strict=True))):
                return keras.ops.reshape(model(x, training=False), (-1,))

        compiled = jax.jit(outputs)
        return lambda x: np.asarray(
            compiled(np.asarray(x, np.float32), [variable.value for variable in model.variables])
        )
    msg = f"networks are explained on the tensorflow or jax backend of Keras, got {backend!r}"
    raise ExplainError(msg)
