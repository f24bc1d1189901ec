"""Rules of layers that take several tensors."""

from __future__ import annotations

from functools import reduce
from typing import Any

from keras import ops

from automl_pheno.explain.methods.layer_rules import slopes
from automl_pheno.explain.methods.layer_rules.normalization import unit_norm
from automl_pheno.explain.methods.layer_rules.rules import rule
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape

Tensor = Any


@rule("Add", "Subtract", "Average", "Concatenate")
def linear_merge(layer: Any, tape: Tape, z: list[Paired]) -> Paired:
    """Return the sum, difference, mean or concatenation."""
    return tape.linear(lambda *t: layer.call(list(t)), *z)


@rule("Multiply")
def multiply(_layer: Any, tape: Tape, z: list[Paired]) -> Paired:
    """Return the product of all, one factor after the other."""
    return reduce(tape.product, z)


@rule("Maximum")
def maximum(_layer: Any, tape: Tape, z: list[Paired]) -> Paired:
    """Return the larger at each place."""
    return reduce(lambda a, b: larger(tape, a, b), z)


@rule("Minimum")
def minimum(_layer: Any, tape: Tape, z: list[Paired]) -> Paired:
    """Return the smaller at each place."""
    return reduce(lambda a, b: smaller(tape, a, b), z)


def larger(tape: Tape, a: Paired, b: Paired) -> Paired:
    """Return b + relu(a - b)."""
    above = tape.elementwise(ops.relu, slopes.bent((1.0, 0.0)), tape.linear(lambda p, q: p - q, a, b))
    return tape.linear(lambda p, q: p + q, b, above)


def smaller(tape: Tape, a: Paired, b: Paired) -> Paired:
    """Return a - relu(a - b)."""
    above = tape.elementwise(ops.relu, slopes.bent((1.0, 0.0)), tape.linear(lambda p, q: p - q, a, b))
    return tape.linear(lambda p, q: p - q, a, above)


def _dot_of_vectors_or_matrices(layer: Any) -> str:
    return " over the axis of samples" if 0 in _both(layer.axes) else ""


def _both(axes: Any) -> tuple[int, int]:
    return (axes, axes) if isinstance(axes, int) else (axes[0], axes[1])


@rule("Dot", limit=_dot_of_vectors_or_matrices)
def dot(layer: Any, tape: Tape, z: list[Paired]) -> Paired:
    """Return the sum of products over one axis of each."""
    axes = [axis % (len(t.shape) + 1) for axis, t in zip(_both(layer.axes), z, strict=True)]
    if layer.normalize:
        z = [unit_norm(tape, t, (axis - len(t.shape) - 1,)) for axis, t in zip(axes, z, strict=True)]
    letters = iter("bcdefghijk")
    words = []
    for axis, t in zip(axes, z, strict=True):
        words.append("".join("s" if place == axis else next(letters) for place in range(1, len(t.shape) + 1)))
    rest = "".join(words).replace("s", "")
    y = tape.product(z[0], z[1], lambda a, b: ops.einsum(f"a{words[0]},a{words[1]}->a{rest}", a, b))
    return y if rest else tape.linear(lambda t: ops.expand_dims(t, -1), y)
