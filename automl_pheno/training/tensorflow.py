"""The epoch on TensorFlow: one ``tf.function`` call; batches, steps and validation loop inside the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from automl_pheno.training.program import HYPER, Program, State


class TensorFlowEpoch:
    """Compiled epoch and prediction of one structure; see ``backend.Epoch``.

    XLA stays off: on CPU it is slower for convolutions, and its cache of compilations is never emptied
    (tensorflow issue 64170).
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        # the number of rows is left open, so that folds of different sizes share one trace
        structure = program.structure
        columns, code = structure.columns, tf.uint8 if structure.config.input == "sequence" else tf.float32
        state = tf.nest.map_structure(_specify, program.initial_state_like())
        rows, chunks = tf.TensorSpec((None, columns), code), tf.TensorSpec((None, None, columns), code)
        hyper = {name: tf.TensorSpec((), tf.float32) for name in HYPER}
        rates, key, y = (
            tf.TensorSpec((2,)),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((None, 2) if structure.weighted else (None,)),
        )
        # traced here, once: TensorFlow would take the traces of successive structures for those of one function
        self._epoch = tf.function(self._run).get_concrete_function(state, hyper, rates, key, rows, y, chunks)
        self._forward = tf.function(self._predict).get_concrete_function(state[0], state[1], chunks)

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Return the array on the device."""
        return tf.constant(array)

    def put_state(self, state: State) -> State:
        """Return the state on the device."""
        return tf.nest.map_structure(tf.constant, state)  # type: ignore[no-any-return]

    def epoch(
        self, state: State, hyper: dict[str, Any], rates: tuple[float, float], seed: int, x: Any, y: Any, chunks: Any
    ) -> tuple[State, float, np.ndarray[Any, Any]]:
        """Train one epoch; return the new state, the mean loss and the validation predictions, (n_chunks, chunk)."""
        key = tf.constant([seed & 0x7FFFFFFF, (seed >> 31) & 0x7FFFFFFF], tf.int32)
        hyper = {name: tf.constant(value) for name, value in hyper.items()}
        state, loss, predictions = self._epoch(state, hyper, tf.constant(rates, tf.float32), key, x, y, chunks)
        return state, float(loss), predictions.numpy()

    def predict(self, state: State, chunks: Any) -> np.ndarray[Any, Any]:
        """Return predictions, (n_chunks, chunk)."""
        return self._forward(state[0], state[1], chunks).numpy()  # type: ignore[no-any-return]

    def _run(self, state: State, hyper: dict[str, Any], rates: Any, key: Any, x: Any, y: Any, chunks: Any) -> Any:
        program, size = self._program, self._program.batch_size
        n = tf.shape(x)[0]
        steps = (n + size - 1) // size
        order = tf.argsort(tf.random.stateless_uniform((n,), key))

        def body(i: Any, state: State, total: Any) -> Any:
            # the last batch is filled up from the first one, so every batch has one shape
            rows = tf.gather(order, (i * size + tf.range(size)) % n)
            batch, target = tf.gather(x, rows), tf.gather(y, rows)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(state[0])
                objective, (loss, non_trainable) = program.objective(state[0], state, hyper, batch, target)
            gradients = tape.gradient(objective, state[0])
            done = tf.cast(i, tf.float32) / tf.cast(steps, tf.float32)
            rate = rates[0] + (rates[1] - rates[0]) * done
            return i + 1, program.apply(state, gradients, non_trainable, hyper, rate), total + loss

        start = (tf.constant(0), state, tf.constant(0.0))
        _, state, total = tf.while_loop(lambda i, *_: i < steps, body, start, parallel_iterations=1)
        return state, total / tf.cast(steps, tf.float32), self._predict(state[0], state[1], chunks)

    def _predict(self, trainable: list[Any], non_trainable: list[Any], chunks: Any) -> Any:
        def chunk(x: Any) -> Any:
            return self._program.forward(trainable, non_trainable, x)

        return tf.map_fn(chunk, chunks, fn_output_signature=tf.float32, parallel_iterations=1)


def _specify(array: Any) -> tf.TensorSpec:
    return tf.TensorSpec(np.shape(array), tf.as_dtype(np.asarray(array).dtype))
