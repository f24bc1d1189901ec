"""The epoch on JAX: one ``jax.jit`` call on an accelerator, one a step on the CPU."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from automl_pheno.training.program import Program, State


class JaxEpoch:
    """Compiled epoch and prediction of one structure; see ``backend.Epoch``.

    XLA's CPU backend runs a convolution inside a loop more than ten times slower than outside (measured: 478 ms a step
    against 36 ms), so there the loop over steps stays in Python.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._whole = jax.default_backend() != "cpu"
        self._gradients = jax.value_and_grad(program.objective, has_aux=True)
        self._step = jax.jit(self._one_step)
        self._epoch = jax.jit(self._run)
        self._forward = jax.jit(program.forward)
        self._shuffle = jax.jit(jax.random.permutation, static_argnums=1)

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Return the array on the device."""
        return jnp.asarray(array)

    def put_state(self, state: State) -> State:
        """Return the state on the device."""
        return jax.tree.map(jnp.asarray, state)  # type: ignore[no-any-return]

    def epoch(
        self, state: State, hyper: dict[str, Any], rates: tuple[float, float], seed: int, x: Any, y: Any, chunks: Any
    ) -> tuple[State, float, np.ndarray[Any, Any]]:
        """Train one epoch; return the new state, the mean loss and the validation predictions, (n_chunks, chunk)."""
        key = jax.random.PRNGKey(seed & 0x7FFFFFFF)
        limits = jnp.asarray(rates, jnp.float32)
        if self._whole:
            state, loss, predictions = self._epoch(state, hyper, limits, key, x, y, chunks)
            return state, float(loss), np.asarray(predictions)
        n = x.shape[0]
        steps = -(-n // self._program.batch_size)
        order = self._shuffle(key, n)
        total = jnp.float32(0)
        for i in range(steps):
            state, loss = self._step(i, state, hyper, limits, order, x, y)
            total = total + loss
        return state, float(total) / steps, self.predict(state, chunks)

    def predict(self, state: State, chunks: Any) -> np.ndarray[Any, Any]:
        """Return predictions, (n_chunks, chunk)."""
        return np.stack([np.asarray(self._forward(state[0], state[1], chunk)) for chunk in chunks])

    def _one_step(
        self, i: Any, state: State, hyper: dict[str, Any], rates: Any, order: Any, x: Any, y: Any
    ) -> tuple[State, Any]:
        program, size = self._program, self._program.batch_size
        n = order.shape[0]
        steps = -(-n // size)
        # the last batch is filled up from the first one, so every batch has one shape
        rows = order[(i * size + jnp.arange(size)) % n]
        (_, (loss, non_trainable)), gradients = self._gradients(state[0], state, hyper, x[rows], y[rows])
        rate = rates[0] + (rates[1] - rates[0]) * i / steps
        return program.apply(state, gradients, non_trainable, hyper, rate), loss

    def _run(self, state: State, hyper: dict[str, Any], rates: Any, key: Any, x: Any, y: Any, chunks: Any) -> Any:
        n = x.shape[0]
        steps = -(-n // self._program.batch_size)
        order = jax.random.permutation(key, n)

        def body(i: Any, carry: Any) -> Any:
            state, total = carry
            state, loss = self._one_step(i, state, hyper, rates, order, x, y)
            return state, total + loss

        state, total = jax.lax.fori_loop(0, steps, body, (state, jnp.float32(0)))
        predictions = jax.lax.map(lambda chunk: self._program.forward(state[0], state[1], chunk), chunks)
        return state, total / steps, predictions
