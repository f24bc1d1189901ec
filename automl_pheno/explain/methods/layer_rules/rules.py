"""The table of rules, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from automl_pheno.explain.methods.layer_rules import slopes
from automl_pheno.explain.methods.layer_rules.tape import Function, Paired, Tape
from automl_pheno.explain.registry import UnsupportedLayerError

Tensor = Any
Rule = Callable[..., Paired]
"""``(layer, tape, *inputs, **options) -> output``, called as Keras calls the layer."""
Limit = Callable[[Any], str]
"""Layer -> "" when its rule covers its settings, otherwise the end of the message."""
RULES: dict[type, Rule] = {}
"""Layer class -> rule. Looked up by exact class: a subclass may compute something else."""
LIMITS: dict[type, Limit] = {}


def rule(*classes: str, limit: Limit | None = None) -> Callable[[Rule], Rule]:
    """Register a rule for classes of ``keras.layers``, by name: older versions of Keras lack some."""

    def register(function: Rule) -> Rule:
        for name in classes:
            layer = getattr(keras.layers, name, None)
            if layer is not None:
                RULES[layer] = function
                if limit is not None:
                    LIMITS[layer] = limit
        return function

    return register


def refuse(layer: Any, why: str) -> UnsupportedLayerError:
    """Return the error that names the layer; `why` ends the sentence."""
    return UnsupportedLayerError(f"DeepLIFT has no rule for layer {layer.name!r} ({type(layer).__name__}){why}")


def weight(variable: Any) -> Tensor:
    """Return a weight as float32, whatever precision the layer computes in."""
    return ops.cast(getattr(variable, "value", variable), "float32")


def activate(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the activation of a layer applied to z."""
    return apply_activation(layer.activation, tape, z)


def apply_activation(activation: Function | None, tape: Tape, z: Paired) -> Paired:
    """Return a Keras activation of z; `knows_activation` says which can be."""
    if activation is None or activation is keras.activations.linear:
        return z
    if activation in COMPOSED:
        return COMPOSED[activation](tape, z)
    return tape.elementwise(activation, slopes.SLOPES[activation], z)


def knows_activation(activation: Any) -> bool:
    """Tell whether `apply_activation` can apply it."""
    try:
        known = activation in slopes.SLOPES or activation in COMPOSED
    except TypeError:  # not hashable
        return False
    return known or activation is None or activation is keras.activations.linear


def softmax(tape: Tape, z: Paired, axis: int | tuple[int, ...] = -1) -> Paired:
    """Return softmax as exp(z - log(sum(exp(z)))), each step by its slope."""
    shifted = exp_log_sum(tape, z, axis)
    out = tape.linear(lambda t, s: t - s, z, shifted)
    return tape.elementwise(ops.exp, slopes.exponential, out)


def log_softmax(tape: Tape, z: Paired) -> Paired:
    """Return log_softmax over the last axis."""
    return tape.linear(lambda t, s: t - s, z, exp_log_sum(tape, z, -1))


def exp_log_sum(tape: Tape, z: Paired, axis: int | tuple[int, ...]) -> Paired:
    """Return log(sum(exp(z))) over `axis`, kept as length 1, as the chain exp, sum, log.

    The slopes of exp and log are taken after division of both by the larger exponential of the pair, which leaves
    their product as it is and overflows nowhere.
    """
    out = Paired(*(ops.logsumexp(t, axis=axis, keepdims=True) for t in (z.x, z.r)))
    axes = from_the_end(z, axis)

    def back(g: Tensor) -> list[tuple[Paired, Tensor]]:
        x, r = tape.pairs(z)
        lx, lr = tape.pairs(out)
        shift = ops.maximum(lx, lr)
        ex, er = ops.exp(x - shift), ops.exp(r - shift)
        sx, sr = (ops.sum(e, axis=axes, keepdims=True) for e in (ex, er))
        inner = slopes.exponential(x, r, ex, er)
        outer = slopes.logarithm(sx, sr, lx, lr)
        return [(z, tape.flat(tape.by_pair(g) * outer * inner, z.shape))]

    return tape.record(out, back)


def from_the_end(z: Paired, axis: int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """Return axes counted from the last one, so that they hold for rows and for pairs alike."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return tuple(a if a < 0 else a - len(z.shape) - 1 for a in axes)


def hard_silu(tape: Tape, z: Paired) -> Paired:
    """Return z * hard_sigmoid(z)."""
    return tape.product(z, apply_activation(keras.activations.hard_sigmoid, tape, z))


def rectified(tape: Tape, f: Function, z: Paired, layer: Any) -> Paired:
    """Return f(z), the rectifier that a layer or an operation describes: slope below, ceiling and threshold."""
    below, ceiling, threshold = float(layer.negative_slope or 0.0), layer.max_value, float(layer.threshold or 0.0)
    if threshold:
        return tape.elementwise(f, slopes.broken(f), z)
    hinges = [(1.0 - below, 0.0)] + ([] if ceiling is None else [(-1.0, float(ceiling))])
    return tape.elementwise(f, slopes.bent(*hinges, straight=below), z)


COMPOSED: dict[Function, Callable[[Tape, Paired], Paired]] = {
    getattr(keras.activations, name): composed
    for name, composed in {
        "softmax": softmax, "log_softmax": log_softmax, "hard_silu": hard_silu,
    }.items()
    if hasattr(keras.activations, name)
}  # fmt: skip
"""Activations that are no function of single elements, or a product."""
