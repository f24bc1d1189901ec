"""Mutants of a network's inputs, made and computed inside compiled calls of one size, on TensorFlow and JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.mutagenesis.differences import base_activations, carry
from automl_pheno.explain.mutagenesis.layers import chains
from automl_pheno.explain.registry import ExplainError

CELLS = 1_000_000
"""Numbers in the largest tensor of a call: of that order the caches of a processor hold; more is no faster."""
MOST, FEWEST = 4096, 32
"""Mutants of a call."""


class CompiledMutants:
    """Outputs of a network at inputs that differ from given ones at one position.

    Parameters
    ----------
    model
        ``keras.Model`` with one output, from (n, width, channels).
    choices
        How many values are tried at each position.
    rows
        Samples that share a call at most; positions are shared by all samples of a call.

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """

    def __init__(self, model: Any, *, choices: int, rows: int = 16) -> None:
        self._chains = chains(model)
        self._width = int(model.inputs[0].shape[1])
        cells = max(chain.cells for chain in self._chains)
        mutants = int(np.clip(CELLS // max(cells, 1), FEWEST, MOST))
        self.choices = choices
        per_row = self._width * choices
        self.rows = int(np.clip(mutants // per_row, 1, rows)) if mutants > per_row else 1
        if rows > 1 and self.rows == 1 and self._is_wide():
            self.rows = min(rows, 8)  # rows share what is looked up for a position
        self.positions = int(np.clip(mutants // (choices * self.rows), 1, self._width))
        self._prepare = compiled(model, self._bases)
        self._mutate = compiled(model, self._outputs)

    @property
    def local_steps(self) -> int:
        """Layers through which only differences are carried, over all members."""
        return sum(len(step.layers) for chain in self._chains for step in chain.steps)

    def _is_wide(self) -> bool:
        return any(step.kind == "dense" for chain in self._chains for step in chain.steps)

    def _bases(self, x: Any) -> Any:
        return [base_activations(chain, x) for chain in self._chains]

    def _outputs(self, bases: Any, positions: Any, difference: Any) -> Any:
        found = [carry(chain, base, positions, difference) for chain, base in zip(self._chains, bases, strict=True)]
        return sum(found[1:], start=found[0]) / len(found)

    def __call__(
        self, x: FloatArray, values: Callable[[IntArray], FloatArray], tick: Callable[[float], None] | None = None
    ) -> FloatArray:
        """Return outputs at all mutants, float32, shape (n, width, choices).

        Parameters
        ----------
        x
            Encoded samples, shape (n, width, channels).
        values
            ``values(positions)``: what is tried there, encoded, shape (n, positions, choices, channels); the value
            that stands there already leaves a sample as it is.
        tick
            Hears the share done.
        """
        n = len(x)
        out = np.empty((n, self._width, self.choices), dtype=np.float32)
        slices = [np.arange(start, start + self.positions) for start in range(0, self._width, self.positions)]
        slices[-1] = slices[-1] + (self._width - 1 - slices[-1][-1])  # one size; a few positions are done twice
        for start in range(0, n, self.rows):
            rows = np.minimum(np.arange(start, start + self.rows), n - 1)
            kept = min(self.rows, n - start)
            bases = self._prepare(x[rows].astype(np.float32))
            for number, positions in enumerate(slices):
                difference = values(positions)[rows] - x[rows][:, positions][:, :, None]
                found = self._mutate(bases, positions.astype(np.int32), difference[:, :, :, None].astype(np.float32))
                out[start : start + kept, positions] = np.asarray(found)[:kept]
                if tick is not None:
                    tick((start + kept * (number + 1) / len(slices)) / n)
        return out


def compiled(model: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, which reads the weights of `model`, compiled for the sizes of its first call.

    Its arguments and results are tensors, or lists of such. Weights are read anew at each call.

    Raises
    ------
    ExplainError
        The backend is neither TensorFlow nor JAX.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        traced = tf.function(function, autograph=False)
        made: list[Any] = []

        def call(*arguments: Any) -> Any:
            tensors = tf.nest.map_structure(tf.convert_to_tensor, arguments)
            if not made:
                made.append(traced.get_concrete_function(*tensors))
            return made[0](*tensors)

        return call
    if backend == "jax":
        import jax

        def with_weights(weights: list[Any], *arguments: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(model.variables, weights, strict=True))):
                return function(*arguments)

        jitted = jax.jit(with_weights)
        return lambda *arguments: jitted([variable.value for variable in model.variables], *arguments)
    msg = f"mutants of networks are made on the tensorflow or jax backend of Keras, got {backend!r}"
    raise ExplainError(msg)
