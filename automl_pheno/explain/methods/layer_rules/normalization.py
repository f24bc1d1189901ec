"""Rules of normalisations by statistics of the sample itself: quotients of a deviation and a norm."""

from __future__ import annotations

from typing import Any

from keras import ops

from automl_pheno.explain.methods.layer_rules import slopes
from automl_pheno.explain.methods.layer_rules.rules import from_the_end, rule, weight
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape

Tensor = Any


def over_root_mean_square(tape: Tape, z: Paired, axes: tuple[int, ...], epsilon: float) -> Paired:
    """Return z / sqrt(mean of squares over `axes` + epsilon)."""
    squares = tape.elementwise(ops.square, slopes.square, z)
    mean = tape.linear(lambda t: ops.mean(t, axis=axes, keepdims=True) + epsilon, squares)
    return tape.quotient(z, tape.elementwise(ops.sqrt, slopes.root, mean))


def standardized(tape: Tape, z: Paired, axes: tuple[int, ...], epsilon: float) -> Paired:
    """Return (z - mean) / sqrt(variance + epsilon) over `axes`."""
    centred = tape.linear(lambda t: t - ops.mean(t, axis=axes, keepdims=True), z)
    return over_root_mean_square(tape, centred, axes, epsilon)


def _scaled(tape: Tape, z: Paired, gamma: Tensor | None, beta: Tensor | None) -> Paired:
    if gamma is None and beta is None:
        return z
    scale = ops.ones((1,), dtype="float32") if gamma is None else gamma
    level = 0.0 if beta is None else beta
    return tape.linear(lambda t: t * scale + level, z, transpose=lambda g: g * scale)


def _along(z: Paired, axes: tuple[int, ...]) -> list[int]:
    """Return the shape of a weight over `axes`, to broadcast with rows."""
    shape = [1] * (len(z.shape) + 1)
    for axis in axes:
        shape[axis] = z.shape[axis]
    return shape


def _true_root_mean_square(layer: Any) -> str:
    return " with rms_scaling" if getattr(layer, "rms_scaling", False) else ""


@rule("LayerNormalization", limit=_true_root_mean_square)
def layer_normalization(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z standardised over the layer's axes."""
    axes = from_the_end(z, layer.axis)
    shape = _along(z, axes)
    return _scaled(
        tape,
        standardized(tape, z, axes, float(layer.epsilon)),
        ops.reshape(weight(layer.gamma), shape) if layer.scale else None,
        ops.reshape(weight(layer.beta), shape) if layer.center else None,
    )


@rule("RMSNormalization")
def rms_normalization(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z by its root mean square over the layer's axes."""
    axes = from_the_end(z, layer.axis)
    y = over_root_mean_square(tape, z, axes, float(layer.epsilon))
    return _scaled(tape, y, ops.reshape(weight(layer.scale), _along(z, axes)), None)


@rule("UnitNormalization")
def unit_normalization(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z by its norm over the layer's axes; a zero vector stays one."""
    return unit_norm(tape, z, from_the_end(z, layer.axis))


def unit_norm(tape: Tape, z: Paired, axes: tuple[int, ...]) -> Paired:
    """Return z / norm over `axes`."""
    squares = tape.elementwise(ops.square, slopes.square, z)
    total = tape.linear(lambda t: ops.sum(t, axis=axes, keepdims=True), squares)
    norm = tape.elementwise(lambda t: ops.maximum(ops.sqrt(t), 1e-12), slopes.root, total)
    return tape.quotient(z, norm)


@rule("GroupNormalization")
def group_normalization(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z standardised over all positions and the channels of a group."""
    axis = from_the_end(z, layer.axis)[0] % len(z.shape)
    size = z.shape[axis] // layer.groups
    inner = (*z.shape[:axis], layer.groups, size, *z.shape[axis + 1 :])
    grouped = tape.linear(lambda t: ops.reshape(t, (-1, *inner)), z)
    axes = tuple(a - len(inner) for a in range(len(inner)) if a != axis)
    y = tape.linear(lambda t: ops.reshape(t, (-1, *z.shape)), standardized(tape, grouped, axes, float(layer.epsilon)))
    shape = _along(z, (axis - len(z.shape),))
    return _scaled(
        tape,
        y,
        ops.reshape(weight(layer.gamma), shape) if layer.scale else None,
        ops.reshape(weight(layer.beta), shape) if layer.center else None,
    )
