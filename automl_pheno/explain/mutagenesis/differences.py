"""How a difference within a window passes through one step of a network; written with ``keras.ops`` for every backend.

A difference has the shape (rows, positions, choices, width, channels): for each row (a sample), each changed position
and each choice of what stands there, what it adds to the row's own activations at ``start .. start + width``. ``start``
has the shape (positions,) and may lie before 0 or reach beyond the end; there the difference is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automl_pheno.explain.mutagenesis.layers import Chain, Layer, Step

Tensor = Any
Bases = list[Any]
"""Activations of the unchanged rows: before the first step, then after each; extra tensors at an end."""


def base_activations(chain: Chain, x: Tensor) -> Bases:
    """Return what the steps of `chain` need of the unchanged rows `x`, shape (rows, width, channels)."""
    bases: Bases = [x]
    for step in chain.steps:
        x = bases[-1]
        if step.kind == "global_maximum":
            bases.append(_running_maxima(x))
            continue
        for layer in step.layers:
            x = layer(x, training=False)
        bases.append(x)
    return bases


def _running_maxima(x: Tensor) -> list[Tensor]:
    """Return the maxima before and from each position on, each (rows, length + 1, channels)."""
    from keras import ops

    length, reach = int(x.shape[1]), 1
    lowest = ops.full_like(x[:, :1], float("-inf"))
    before = behind = x
    while reach < length:
        gap = ops.repeat(lowest, reach, axis=1)
        before = ops.maximum(before, ops.concatenate([gap, before[:, :-reach]], axis=1))
        behind = ops.maximum(behind, ops.concatenate([behind[:, reach:], gap], axis=1))
        reach *= 2
    return [ops.concatenate([lowest, before], axis=1), ops.concatenate([behind, lowest], axis=1)]


def carry(chain: Chain, bases: Bases, positions: Tensor, difference: Tensor) -> Tensor:
    """Return the outputs of all mutants, shape (rows, positions, choices).

    Parameters
    ----------
    bases
        Of `base_activations`.
    positions
        Changed positions, int32, shape (positions,).
    difference
        New input less old, shape (rows, positions, choices, 1, channels).
    """
    from keras import ops

    rows, count, choices = (int(extent) for extent in difference.shape[:3])
    start, whole = positions, None
    for number, step in enumerate(chain.steps):
        if step.is_end:
            whole = _ENDS[step.kind](step, bases[number], bases[number + 1], start, difference)
        else:
            difference, start = _PASSES[step.kind](step, bases[number], bases[number + 1], start, difference)
    if whole is None:
        base = bases[len(chain.steps)]
        there = ops.arange(int(base.shape[1]), dtype="int32")[None] - start[:, None]
        whole = base[:, None, None] + _placed(difference, there)
    whole = ops.reshape(whole, (rows * count * choices, *whole.shape[3:]))
    for layer in chain.rest:
        whole = layer(whole, training=False)
    return ops.reshape(whole, (rows, count, choices))


def _window(base: Tensor, start: Tensor, width: int) -> Tensor:
    """Return activations at ``start .. start + width``, (rows, positions, 1, width, channels); at the ends repeated."""
    from keras import ops

    columns = start[:, None] + ops.arange(width, dtype="int32")[None]
    return ops.take(base, ops.clip(columns, 0, int(base.shape[1]) - 1), axis=1)[:, :, None]


def _inside(start: Tensor, width: int, length: int) -> Tensor:
    """Return 1 where a window lies within the sequence and 0 beyond, (positions, 1, width, 1)."""
    from keras import ops

    columns = start[:, None] + ops.arange(width, dtype="int32")[None]
    inside = ops.logical_and(columns >= 0, columns < length)
    return ops.cast(inside, "float32")[:, None, :, None]


def _placed(difference: Tensor, there: Tensor) -> Tensor:
    """Return the difference at window places `there`, shape (positions, n), 0 where these lie outside the window."""
    from keras import ops

    rows, count, choices, width, channels = (int(extent) for extent in difference.shape)
    n = int(there.shape[1])
    padded = ops.pad(difference, ((0, 0), (0, 0), (0, 0), (0, 1), (0, 0)))
    flat = ops.reshape(ops.transpose(padded, (1, 3, 0, 2, 4)), (count * (width + 1), rows * choices * channels))
    index = ops.where(ops.logical_and(there >= 0, there < width), there, width)
    index = index + ops.arange(count, dtype="int32")[:, None] * (width + 1)
    taken = ops.reshape(ops.take(flat, index, axis=0), (count, n, rows, choices, channels))
    return ops.transpose(taken, (2, 0, 3, 1, 4))


def _pass_pointwise(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> tuple[Tensor, Any]:
    from keras import ops

    shape = difference.shape
    x = ops.reshape(_window(base, start, step.width) + difference, (-1, step.width, int(shape[-1])))
    for layer in step.layers:
        x = layer(x, training=False)
    x = ops.reshape(x, (*shape[:4], int(x.shape[-1])))
    return (x - _window(after, start, step.width)) * _inside(start, step.width, step.length), start


def _pass_scale(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> tuple[Tensor, Any]:
    from keras import ops

    del base, after
    layer = step.layers[0]
    scale = ops.rsqrt(ops.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale = scale * ops.convert_to_tensor(layer.gamma)
    return difference * _window(scale[None, :, None], start, step.width), start


def _pass_convolve(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> tuple[Tensor, Any]:
    from keras import ops

    del after
    layer = step.layers[0]
    stride, dilation, size = layer.strides[0], layer.dilation_rate[0], layer.kernel_size[0]
    reach = (size - 1) * dilation + 1
    left = _left_padding(layer, int(base.shape[1]), step.length)
    new_start = -((reach - 1 - left - start) // stride)  # the first output whose kernel reaches the window
    kernel = ops.convert_to_tensor(layer.kernel)
    if int(difference.shape[3]) == 1:
        outputs = new_start[:, None] + ops.arange(step.width, dtype="int32")[None]
        place = start[:, None] + left - outputs * stride
        valid = ops.logical_and(ops.logical_and(place >= 0, place < reach), place % dilation == 0)
        padded = ops.pad(kernel, ((0, 1), (0, 0), (0, 0)))
        weights = ops.take(padded, ops.where(valid, place // dilation, size), axis=0)
        convolved = ops.einsum("rpvc,pocf->rpvof", difference[:, :, :, 0], weights)
    else:
        needed = (step.width - 1) * stride + reach
        if stride == 1:
            seen = ops.pad(difference, ((0, 0), (0, 0), (0, 0), (reach - 1, reach - 1), (0, 0)))
        else:
            first = new_start * stride - left - start
            seen = _placed(difference, first[:, None] + ops.arange(needed, dtype="int32")[None])
        flat = ops.reshape(seen, (-1, needed, int(seen.shape[-1])))
        convolved = ops.conv(flat, kernel, strides=stride, padding="valid", dilation_rate=dilation)
        convolved = ops.reshape(convolved, (*difference.shape[:3], step.width, int(kernel.shape[-1])))
    return convolved * _inside(new_start, step.width, step.length), new_start


def _left_padding(layer: Layer, length: int, outputs: int) -> int:
    if layer.padding == "valid":
        return 0
    reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1
    return int(max((outputs - 1) * layer.strides[0] + reach - length, 0) // 2)


def _pass_pool(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> tuple[Tensor, Any]:
    from keras import ops

    size = step.layers[0].pool_size[0]
    new_start = start // size
    first = new_start * size - start
    seen = _placed(difference, first[:, None] + ops.arange(step.width * size, dtype="int32")[None])
    split = (*difference.shape[:3], step.width, size, int(difference.shape[4]))
    if step.kind == "mean":
        pooled = ops.mean(ops.reshape(seen, split), axis=4)
    else:
        values = ops.reshape(_window(base, new_start * size, step.width * size) + seen, split)
        pooled = ops.max(values, axis=4) - _window(after, new_start, step.width)
    return pooled * _inside(new_start, step.width, step.length), new_start


def _end_dense(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> Tensor:
    from keras import ops

    layer = step.layers[1]
    length, channels = int(base.shape[1]), int(base.shape[2])
    rows, count, choices, width = (int(extent) for extent in difference.shape[:4])
    units = int(layer.kernel.shape[-1])
    kernel = ops.reshape(ops.convert_to_tensor(layer.kernel), (length, channels * units))
    columns = ops.clip(start[:, None] + ops.arange(width, dtype="int32")[None], 0, length - 1)
    weights = ops.reshape(ops.take(kernel, columns, axis=0), (count, width * channels, units))
    flat = ops.reshape(ops.transpose(difference, (1, 0, 2, 3, 4)), (count, rows * choices, width * channels))
    added = ops.reshape(ops.matmul(flat, weights), (count, rows, choices, units))
    return after[:, None, None] + ops.transpose(added, (1, 0, 2, 3))


def _end_mean(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> Tensor:
    from keras import ops

    del step, start
    return after[:, None, None] + ops.sum(difference, axis=3) / int(base.shape[1])


def _end_maximum(step: Step, base: Tensor, after: Tensor, start: Tensor, difference: Tensor) -> Tensor:
    from keras import ops

    del step
    length, width = int(base.shape[1]), int(difference.shape[3])
    inside = _inside(start, width, length)
    values = _window(base, start, width) + difference
    values = ops.where(inside > 0, values, float("-inf"))
    before = ops.take(after[0], ops.clip(start, 0, length), axis=1)[:, :, None]
    behind = ops.take(after[1], ops.clip(start + width, 0, length), axis=1)[:, :, None]
    return ops.maximum(ops.max(values, axis=3), ops.maximum(before, behind))


_PASSES: dict[str, Callable[[Step, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "pointwise": _pass_pointwise,
    "scale": _pass_scale,
    "convolve": _pass_convolve,
    "maximum": _pass_pool,
    "mean": _pass_pool,
}
_ENDS: dict[str, Callable[[Step, Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "dense": _end_dense,
    "global_mean": _end_mean,
    "global_maximum": _end_maximum,
}
