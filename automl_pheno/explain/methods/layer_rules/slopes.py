"""Elementwise functions and their slope between two points, without loss of digits where the points are close."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from automl_pheno.explain.methods.compiled import pull_back
from automl_pheno.explain.methods.layer_rules.tape import Function, Slope

Tensor = Any
CLOSE = 0.01
"""Rounding spoils a float32 secant by about 1e-7 / d, a tangent half-way errs by about d^2 / 24: equal near here."""
_TINY = 1e-30


def hinge(x: Tensor, r: Tensor) -> Tensor:
    """Return the slope of max(z, 0): exact, and the tangent where x equals r."""
    return ops.clip(ops.maximum(x, r) / (ops.abs(x - r) + _TINY), 0.0, 1.0)


def smooth(f: Function) -> Slope:
    """Return the slope of a function with three continuous derivatives."""

    def slope(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
        d = x - r
        close = ops.abs(d) < CLOSE
        middle = (x + r) * 0.5
        (tangent,) = pull_back(f, [middle], ops.ones_like(middle))
        return ops.where(close, tangent, (fx - fr) / ops.where(close, 1.0, d))

    return slope


def broken(f: Function) -> Slope:
    """Return the slope of a function with jumps: the secant wherever the points differ."""

    def slope(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
        d = x - r
        same = d == 0
        (tangent,) = pull_back(f, [x + ops.zeros_like(r)], ops.ones_like(d))
        return ops.where(same, tangent, (fx - fr) / ops.where(same, 1.0, d))

    return slope


def bent(*hinges: tuple[float, float], straight: float = 0.0) -> Slope:
    """Return the slope of ``straight * z + sum of c * max(z - t, 0)`` over the `hinges` (c, t)."""
    if hinges == ((1.0, 0.0),) and not straight:  # fewer steps, as the outputs are the rectified inputs

        def rectifier(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
            return ops.minimum(ops.maximum(fx, fr) / (ops.abs(x - r) + _TINY), 1.0)

        return rectifier

    def slope(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
        del fx, fr
        total: Tensor = straight
        for c, t in hinges:
            part = hinge(x, r) if t == 0 else hinge(x - t, r - t)
            total = total + (part if c == 1 else c * part)
        return total

    return slope


def exponential(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of exp(z)."""
    return ops.maximum(fx, fr) * _decline(ops.abs(x - r) + _TINY)


def _decline(d: Tensor) -> Tensor:
    """Return (1 - exp(-d)) / d for d > 0."""
    return ops.expm1(-d) / -d


def elu(alpha: float, scale: float = 1.0, stretch: float = 1.0) -> Slope:
    """Return the slope of ``scale * z`` above 0 and ``scale * alpha * (exp(z / stretch) - 1)`` below."""

    def slope(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
        del fx, fr
        top, d = ops.maximum(x, r), ops.abs(x - r) + _TINY
        above = ops.clip(top / d, 0.0, 1.0)
        low = 1.0 - above  # the share of the way below 0
        bend = ops.exp(ops.minimum(top, 0.0) / stretch) * _decline((low * d + _TINY) / stretch)
        return scale * (above + (alpha / stretch) * low * bend)

    return slope


def softsign(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of z / (1 + abs(z))."""
    del fx, fr
    d = x - r
    crossed = (x * ops.abs(r) - r * ops.abs(x)) / ops.where(d == 0, 1.0, d)
    return (1.0 + crossed) / ((1.0 + ops.abs(x)) * (1.0 + ops.abs(r)))


def sparse_plus(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of 0 below -1, (z + 1)^2 / 4 up to 1, z above."""
    del fx, fr
    inside = hinge(x + 1.0, r + 1.0) - hinge(x - 1.0, r - 1.0)
    return inside * (ops.clip(x, -1.0, 1.0) + ops.clip(r, -1.0, 1.0) + 2.0) / 4.0 + hinge(x - 1.0, r - 1.0)


def soft_shrink(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of z pulled to 0 by 0.5."""
    del fx, fr
    return hinge(x - 0.5, r - 0.5) + hinge(-x - 0.5, -r - 0.5)


def square(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of z^2."""
    del fx, fr
    return x + r


def root(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of sqrt(z)."""
    del x, r
    return 1.0 / (fx + fr + _TINY)


def logarithm(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
    """Return the slope of log(z), z > 0."""
    low, d = ops.minimum(x, r), ops.abs(x - r)
    same = d == 0
    distance = ops.where(same, 1.0, d)
    ratio = d / ops.maximum(low, _TINY)
    rise = ops.where(ratio < 1.0, ops.log1p(ops.minimum(ratio, 1.0)), ops.abs(fx - fr))
    return ops.where(same, 1.0 / ops.maximum(low, _TINY), rise / distance)


_SELU = (1.6732632423543772, 1.0507009873554805)  # alpha, scale: Klambauer et al. 2017

_KNOWN: dict[str, Slope] = {
    "relu": bent((1.0, 0.0)),
    "leaky_relu": bent((0.8, 0.0), straight=0.2),
    "relu6": bent((1.0, 0.0), (-1.0, 6.0)),
    "hard_sigmoid": bent((1 / 6, -3.0), (-1 / 6, 3.0)),
    "hard_tanh": bent((1.0, -1.0), (-1.0, 1.0)),
    "sparse_sigmoid": bent((0.5, -1.0), (-0.5, 1.0)),
    "exponential": exponential,
    "elu": elu(1.0),
    "celu": elu(1.0),
    "selu": elu(*_SELU),
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "soft_shrink": soft_shrink,
}
_SMOOTH = ("gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "tanh_shrink", "squareplus", "log_sigmoid")
_BROKEN = ("hard_shrink",)


def _slopes() -> dict[Function, Slope]:
    """Return the slope of each activation of this version of Keras."""
    ours = {name: getattr(keras.activations, name, None) for name in (*_KNOWN, *_SMOOTH, *_BROKEN)}
    makers = {**dict.fromkeys(_SMOOTH, smooth), **dict.fromkeys(_BROKEN, broken)}
    return {f: _KNOWN[name] if name in _KNOWN else makers[name](f) for name, f in ours.items() if f is not None}


SLOPES: dict[Function, Slope] = _slopes()
"""Elementwise activation of Keras, with its default settings -> slope."""
