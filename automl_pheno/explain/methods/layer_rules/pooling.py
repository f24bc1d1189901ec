"""Rules of maxima over windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from automl_pheno.explain.methods.layer_rules.linear import channels_last
from automl_pheno.explain.methods.layer_rules.rules import rule
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape

Tensor = Any
_LOW = -1e30
_TINY = 1e-30


def window_max(tape: Tape, z: Paired) -> Paired:
    """Return the maximum over the second last axis of (rows, ..., window, channels).

    The difference of the two maxima goes to the element of the larger of them, in sample or reference (the cross-max
    rule of shap and captum); elements that tie share it. Where the maxima are one and the same element, that element
    has the tangent.
    """
    out = Paired(ops.max(z.x, axis=-2), ops.max(z.r, axis=-2))

    def back(g: Tensor) -> list[tuple[Paired, Tensor]]:
        x, r = tape.pairs(z)
        top_x, top_r = tape.pairs(out)
        top = ops.maximum(top_x, top_r)
        highest = ops.maximum(x, r) == ops.expand_dims(top, -2)
        tied = ops.sum(ops.cast(highest, "float32"), axis=-2)
        rise = ops.abs(top_x - top_r) + _TINY  # of the sign of x - r, and as small, where x or r is the highest
        each = ops.expand_dims(tape.by_pair(g) * rise / ops.maximum(tied, 1.0), -2)
        return [(z, tape.flat(ops.where(highest, each / (ops.abs(x - r) + _TINY), 0.0), z.shape))]

    return tape.record(out, back)


@rule("MaxPooling1D", limit=channels_last)
def max_pooling(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return maxima of windows, which may overlap and may reach over the ends."""
    size, step = layer.pool_size[0], layer.strides[0]
    length, channels = z.shape
    missing = 0
    if layer.padding == "same":
        n_out = -(-length // step)
        missing = max((n_out - 1) * step + size - length, 0)
    else:
        n_out = (length - size) // step + 1
    left = missing // 2

    def padded(t: Tensor) -> Tensor:
        if not missing:
            return t
        return ops.pad(t, ((0, 0), (left, missing - left), (0, 0)), constant_values=_LOW)

    if size == step:

        def windows(t: Tensor) -> Tensor:
            return ops.reshape(padded(t)[:, : n_out * size], (-1, n_out, size, channels))

        def transpose(g: Tensor) -> Tensor:
            g = ops.reshape(g, (-1, n_out * size, channels))[:, left : left + length]
            short = length - g.shape[1]
            return ops.pad(g, ((0, 0), (0, short), (0, 0))) if short else g

        return window_max(tape, tape.linear(windows, z, transpose=transpose))
    index = (np.arange(n_out)[:, None] * step + np.arange(size)).astype("int32")
    return window_max(tape, tape.linear(lambda t: ops.take(padded(t), index, axis=1), z))


@rule("GlobalMaxPooling1D", limit=channels_last)
def global_max_pooling(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the maximum over all positions."""
    out = window_max(tape, z)
    return tape.linear(lambda t: ops.expand_dims(t, 1), out) if layer.keepdims else out
