"""Rules of operations between Keras tensors: ``x * y``, ``ops.exp(x)``, ``x[:, 3:]``.

Their classes are not public, so they are known by name, in the modules of ``keras.ops`` only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from automl_pheno.explain.methods.layer_rules import slopes
from automl_pheno.explain.methods.layer_rules.merging import larger, smaller
from automl_pheno.explain.methods.layer_rules.rules import apply_activation, rectified, refuse, softmax
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape

Tensor = Any
Operator = Callable[..., Paired]
OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Register a rule for operations of ``keras.ops`` by the names of their classes."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def find_operator(operation: Any) -> Operator | None:
    """Return the rule of an operation, None where there is none."""
    module = type(operation).__module__
    ours = module.startswith(("keras.src.ops.", "keras.src.activations."))
    return OPERATORS.get(type(operation).__name__) if ours else None


def _constant(value: Any) -> Tensor:
    return ops.convert_to_tensor(value, dtype="float32")


def _either_constant(f: Callable[[Tensor, Tensor], Tensor], tape: Tape, a: Any, b: Any) -> Paired | None:
    """Return f(a, b) where one of the two is a constant, None otherwise."""
    if not isinstance(b, Paired):
        other = _constant(b)
        return tape.linear(lambda t: f(t, other), a)
    if not isinstance(a, Paired):
        other = _constant(a)
        return tape.linear(lambda t: f(other, t), b)
    return None


@operator("Add")
def add(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return a + b."""
    return _either_constant(ops.add, tape, a, b) or tape.linear(ops.add, a, b)


@operator("Subtract")
def subtract(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return a - b."""
    return _either_constant(ops.subtract, tape, a, b) or tape.linear(ops.subtract, a, b)


@operator("Multiply")
def multiply(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return a * b."""
    return _either_constant(ops.multiply, tape, a, b) or tape.product(a, b)


@operator("Matmul")
def matmul(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return the product of matrices."""
    return _either_constant(ops.matmul, tape, a, b) or tape.product(a, b, ops.matmul)


@operator("Einsum")
def einsum(operation: Any, tape: Tape, *z: Any) -> Paired:
    """Return the product of two, or the rearrangement of one."""
    words = operation.subscripts.replace(" ", "")
    terms = words.split("->")[0].split(",")
    where = [place for place, t in enumerate(z) if isinstance(t, Paired)]
    samples = terms[where[0]][:1]
    kept = "->" in words and words.split("->")[1].startswith(samples) and samples.isalpha()
    if (
        not kept
        or len(z) > 2
        or any(terms[place].find(samples) != (0 if place in where else -1) for place in range(len(z)))
    ):
        raise refuse(operation, f" of {operation.subscripts!r}")
    if len(where) == 2:
        return tape.product(z[0], z[1], lambda p, q: ops.einsum(words, p, q))
    fixed = [t if isinstance(t, Paired) else _constant(t) for t in z]
    return tape.linear(lambda t: ops.einsum(words, *(*fixed[: where[0]], t, *fixed[where[0] + 1 :])), z[where[0]])


@operator("Divide", "TrueDivide")
def divide(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return a / b."""
    if not isinstance(b, Paired):
        other = _constant(b)
        return tape.linear(lambda t: t / other, a)
    if not isinstance(a, Paired):
        value = _constant(a)
        a = tape.linear(lambda t: 0.0 * t + value, b)
    return tape.quotient(a, b)


@operator("Maximum")
def maximum(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return the larger at each place."""
    return larger(tape, *_both_paired(tape, a, b))


@operator("Minimum")
def minimum(_operation: Any, tape: Tape, a: Any, b: Any) -> Paired:
    """Return the smaller at each place."""
    return smaller(tape, *_both_paired(tape, a, b))


def _both_paired(tape: Tape, a: Any, b: Any) -> tuple[Paired, Paired]:
    if not isinstance(a, Paired):
        b, a = a, b
    if not isinstance(b, Paired):
        value = _constant(b)
        b = tape.linear(lambda t: 0.0 * t + value, a)
    return a, b


@operator("Concatenate", "Stack")
def join(operation: Any, tape: Tape, z: Any) -> Paired:
    """Return tensors side by side."""
    if operation.axis == 0 or not all(isinstance(t, Paired) for t in z):
        raise refuse(operation, " over the axis of samples, or with a constant")
    return tape.linear(lambda *t: operation.call(list(t)), *z)


@operator("Negative", "Identity")
def unary(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return a linear function of each element."""
    return tape.linear(operation.call, z)


@operator("Mean", "Sum")
def reduce_axes(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return the mean or sum over axes."""
    axis = operation.axis
    axes = () if axis is None else ((axis,) if isinstance(axis, int) else tuple(axis))
    if not axes or any(a % (len(z.shape) + 1) == 0 for a in axes):
        raise refuse(operation, " over the axis of samples")
    return tape.linear(operation.call, z)


@operator("Reshape")
def reshape(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return z in another shape."""
    shape = tuple(operation.newshape)
    if shape[0] not in (-1, None):
        raise refuse(operation, f" to {shape}, which fixes the number of samples")
    return tape.linear(lambda t: ops.reshape(t, (-1, *shape[1:])), z)


@operator("Transpose")
def transpose(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return z with its axes in another order."""
    if operation.axes is None or operation.axes[0] != 0:
        raise refuse(operation, " that moves the axis of samples")
    return tape.linear(operation.call, z)


@operator("Swapaxes")
def swap_axes(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return z with two axes exchanged."""
    if any(a % (len(z.shape) + 1) == 0 for a in (operation.axis1, operation.axis2)):
        raise refuse(operation, " that moves the axis of samples")
    return tape.linear(operation.call, z)


@operator("ExpandDims", "Squeeze")
def axis_of_one(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return z with an axis of length 1 more or fewer."""
    rank = len(z.shape) + (2 if type(operation).__name__ == "ExpandDims" else 1)
    if not isinstance(operation.axis, int) or operation.axis % rank == 0:
        raise refuse(operation, " at the axis of samples")
    return tape.linear(operation.call, z)


@operator("GetItem")
def get_item(operation: Any, tape: Tape, z: Paired, key: Any) -> Paired:
    """Return a part of each sample."""
    first = key[0] if isinstance(key, tuple) else key
    if first is not Ellipsis and first != slice(None):
        raise refuse(operation, " that chooses among samples")
    return tape.linear(lambda t: operation.call(t, key), z)


@operator("Exp")
def exp(_operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return exp(z)."""
    return tape.elementwise(ops.exp, slopes.exponential, z)


@operator("Log")
def log(_operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return log(z)."""
    return tape.elementwise(ops.log, slopes.logarithm, z)


@operator("Sqrt")
def sqrt(_operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return sqrt(z)."""
    return tape.elementwise(ops.sqrt, slopes.root, z)


@operator("Square")
def square(_operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return z * z."""
    return tape.elementwise(ops.square, slopes.square, z)


@operator("Absolute", "Abs")
def absolute(_operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return abs(z) = 2 max(z, 0) - z."""
    return tape.elementwise(ops.abs, slopes.bent((2.0, 0.0), straight=-1.0), z)


@operator("ReLU")
def relu(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return a rectified z."""
    return rectified(tape, operation.call, z, operation)


@operator("Gelu")
def gelu(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return gelu, exact or approximate."""
    return tape.elementwise(operation.call, slopes.smooth(operation.call), z)


@operator("LeakyRelu")
def leaky_relu(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return z above 0, a share of it below."""
    below = float(operation.negative_slope)
    return tape.elementwise(operation.call, slopes.bent((1.0 - below, 0.0), straight=below), z)


@operator("Elu")
def elu(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return elu."""
    return tape.elementwise(operation.call, slopes.elu(float(operation.alpha)), z)


@operator("Softmax")
def softmax_operation(operation: Any, tape: Tape, z: Paired) -> Paired:
    """Return softmax over one axis or several."""
    return softmax(tape, z, operation.axis if isinstance(operation.axis, int) else tuple(operation.axis))


_NAMED = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Silu": "silu", "Softplus": "softplus",
    "Softsign": "softsign", "Tanh": "tanh", "Selu": "selu", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh", "LogSigmoid": "log_sigmoid", "TanhShrink": "tanh_shrink",
}  # fmt: skip


def _by_name(operation: Any, tape: Tape, z: Paired) -> Paired:
    return apply_activation(getattr(keras.activations, _NAMED[type(operation).__name__]), tape, z)


for _name, _activation in _NAMED.items():
    if hasattr(keras.activations, _activation):
        OPERATORS[_name] = _by_name
