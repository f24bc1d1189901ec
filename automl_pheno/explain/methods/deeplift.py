"""DeepLIFT-SHAP of a Keras network: samples and references walk through it, multipliers walk back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.methods.compiled import compile_function, filled_up, on_gpu

BATCH_BYTES = {"cpu": 6_000_000, "gpu": 500_000_000}
FUSED_PAIRS = 4_000
"""From here XLA on TensorFlow saves (a tenth to half of the time) about what it takes to compile (a second)."""

Multipliers = Callable[[FloatArray, FloatArray], "tuple[FloatArray, FloatArray, FloatArray]"]


def compile_deeplift(model: Any, count: int, *, shared: bool = False, fused: bool = False) -> Multipliers:
    """Return the function of `deeplift_multipliers`, compiled, for `count` references a sample.

    Raises
    ------
    UnsupportedLayerError
        A layer, or an operation between layers, has no rule.
    """
    from keras import ops

    from automl_pheno.explain.methods.layer_rules import Paired, Tape, check_layers, walk

    check_layers(model)

    def function(x: Any, references: Any) -> tuple[Any, ...]:
        n, width = x.shape[0], tuple(x.shape[1:])
        tape = Tape(samples=n, count=count, shared=shared)
        z = Paired(x, ops.reshape(references, (-1, *width)))
        y = walk(model, tape, z)
        m = ops.reshape(tape.multipliers(y, z), (n, count, *width))
        return m, ops.reshape(y.x, (n,)), ops.reshape(y.r, (1 if shared else n, count))

    compiled = compile_function(model, function, fused=fused)

    def call(x: FloatArray, references: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        m, fx, fr = compiled(x, references)
        return m, fx, np.broadcast_to(fr, (len(x), count))

    return call


def deeplift_batches(
    model: Any,
    x: FloatArray,
    references: Callable[[int, int], FloatArray] | FloatArray,
    count: int,
) -> Iterator[tuple[slice, FloatArray, FloatArray, FloatArray, FloatArray]]:
    """Yield which samples, their references, and what `deeplift_multipliers` returns for them.

    Parameters
    ----------
    references
        Encoded references that all samples share, shape (count, width, channels), or a function from the first
        sample and the one after the last to theirs, shape (n, count, width, channels).
    """
    shared = not callable(references)
    size = batch_size(model, len(x), count)
    compiled = compile_deeplift(model, count, shared=shared, fused=len(x) * count >= FUSED_PAIRS)
    for start in range(0, len(x), size):
        rows = slice(start, min(start + size, len(x)))
        part = x[rows]
        r = references(rows.start, rows.stop) if callable(references) else references
        m, fx, fr = compiled(filled_up(part, size), r if shared else filled_up(r, size))
        n = len(part)
        yield rows, r, m[:n], fx[:n], fr[:n]


def deeplift_multipliers(
    model: Any, x: FloatArray, references: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the DeepLIFT multipliers of each pair of sample and reference, in float32 whatever the model's precision.

    ``sum(multiplier * (sample - reference)) = output(sample) - output(reference)`` up to rounding.

    Parameters
    ----------
    model
        Functional or sequential ``keras.Model`` with one input and one output; nested models are walked too.
    x
        Encoded samples, float32, shape (n, width, channels).
    references
        Encoded references, float32, shape (n, n_references, width, channels), or (n_references, width, channels)
        where all samples share them, which is quicker.

    Returns
    -------
    multipliers
        Float32, shape (n, n_references, width, channels).
    outputs, reference_outputs
        Model outputs, shapes (n,) and (n, n_references).

    Raises
    ------
    UnsupportedLayerError
        A layer, or an operation between layers, has no rule.
    """
    own = references.ndim == x.ndim + 1
    given = (lambda start, stop: references[start:stop]) if own else references
    parts = list(deeplift_batches(model, x, given, references.shape[1 if own else 0]))
    m, fx, fr = (np.concatenate([part[place] for part in parts]) for place in (2, 3, 4))
    return m, fx, fr


def batch_size(model: Any, n: int, count: int) -> int:
    """Return the number of samples a call, such that the largest tensor of the network stays near the CPU's cache.

    On a GPU it is as large as keeps the device busy.
    """
    room = BATCH_BYTES["gpu" if on_gpu() else "cpu"]
    return max(1, min(n, room // (4 * count * _largest_row(model))))


def _largest_row(model: Any) -> int:
    import keras

    sizes = [1]
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            sizes.append(_largest_row(layer))
        else:
            outputs = layer.output if isinstance(layer.output, list) else [layer.output]
            sizes.extend(int(np.prod(output.shape[1:])) for output in outputs)
    return max(sizes)
