"""DeepLIFT rules, one a layer. Imported only where a network is explained, since it needs Keras.

To add a layer: write its rule below, decorate it with its class, add it to ``tests/explain/test_deeplift.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from automl_pheno.explain.registry import UnsupportedLayerError

Tensor = Any
Elementwise = Callable[[Tensor], Tensor]
SAME_VALUE = 1e-6
_stop = ops.stop_gradient


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a tensor are arranged: samples, then `count` references for each."""

    count: int

    def split(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return samples repeated to pair with references, samples, references."""
        n = z.shape[0] // (self.count + 1)
        return ops.repeat(z[:n], self.count, axis=0), z[:n], z[n:]

    def elementwise(self, f: Elementwise, z: Tensor) -> Tensor:
        """Return f(z) with the secant between reference and sample as the slope at the references.

        Where both are equal within rounding the secant is noise, and the tangent takes its place.
        """
        paired, x, r = self.split(z)
        paired, fixed = _stop(paired), _stop(r)
        difference = paired - fixed
        scale = ops.maximum(1.0, ops.maximum(ops.abs(paired), ops.abs(fixed)))
        same = ops.abs(difference) < SAME_VALUE * scale
        slope = (f(paired) - f(fixed)) / ops.where(same, 1.0, difference)
        y = ops.where(same, f(r), f(fixed) + slope * (r - fixed))
        return ops.concatenate([_stop(f(x)), y], axis=0)

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a * b where each factor takes half of their joint difference, which makes the rule exact."""
        pa, xa, ra = self.split(a)
        pb, xb, rb = self.split(b)
        mean_a, mean_b = _stop((pa + ra) / 2), _stop((pb + rb) / 2)
        y = _stop(ra * rb) + (ra - _stop(ra)) * mean_b + mean_a * (rb - _stop(rb))
        return ops.concatenate([_stop(xa * xb), y], axis=0)

    def window_max(self, windows: Tensor) -> Tensor:
        """Return the maximum over axis 2 of (rows, n_out, window, channels).

        The difference of the two maxima goes to the sample's largest element up to the larger of the maxima, and to
        the reference's likewise (the cross-max rule of shap and captum). An element that is the same in both
        has no difference to take.
        """
        paired, x, r = self.split(windows)
        paired, fixed = _stop(paired), _stop(r)
        max_x = ops.max(paired, axis=2, keepdims=True)
        max_r = ops.max(fixed, axis=2, keepdims=True)
        either = ops.maximum(max_x, max_r)
        at_x = ops.cast(paired == max_x, windows.dtype)
        at_r = ops.cast(fixed == max_r, windows.dtype)
        at_x = at_x / ops.sum(at_x, axis=2, keepdims=True)
        at_r = at_r / ops.sum(at_r, axis=2, keepdims=True)
        difference = paired - fixed
        same = ops.abs(difference) < 1e-9
        slope = (at_x * (either - max_r) + at_r * (max_x - either)) / ops.where(same, 1.0, difference)
        slope = _stop(ops.where(same, at_r, slope))
        y = max_r[:, :, 0] + ops.sum(slope * (r - fixed), axis=2)
        return ops.concatenate([_stop(ops.max(x, axis=2)), y], axis=0)


Rule = Callable[[Any, Tensor, Rows], Tensor]
RULES: dict[type, Rule] = {}
"""Layer class -> rule. Looked up by exact class: a subclass may compute something else."""

ELEMENTWISE = {
    getattr(keras.activations, name)
    for name in (
        "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "tanh",
        "sigmoid", "hard_sigmoid", "exponential", "linear",
    )
    if hasattr(keras.activations, name)
}  # fmt: skip


def _rule(*classes: type) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(classes, rule))
        return rule

    return register


def _activate(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    if layer.activation is None or layer.activation is keras.activations.linear:
        return z
    return rows.elementwise(layer.activation, z)


@_rule(
    layers.InputLayer, layers.Dropout, layers.SpatialDropout1D, layers.GaussianNoise, layers.GaussianDropout,
    layers.AlphaDropout, layers.ActivityRegularization,
)  # fmt: skip
def _identity(_layer: Any, z: Tensor, _rows: Rows) -> Tensor:
    return z


@_rule(
    layers.Flatten, layers.Reshape, layers.Permute, layers.ZeroPadding1D, layers.Cropping1D, layers.UpSampling1D,
    layers.AveragePooling1D, layers.GlobalAveragePooling1D, layers.Add, layers.Subtract, layers.Average,
    layers.Concatenate, layers.Rescaling,
)  # fmt: skip
def _linear(layer: Any, z: Tensor, _rows: Rows) -> Tensor:
    return layer.call(z)


@_rule(layers.BatchNormalization)
def _batch_normalization(layer: Any, z: Tensor, _rows: Rows) -> Tensor:
    return layer.call(z, training=False)


@_rule(layers.Dense)
def _dense(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    y = ops.matmul(z, layer.kernel)
    return _activate(layer, y if layer.bias is None else y + layer.bias, rows)


@_rule(layers.Conv1D)
def _conv(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    y = layer.convolution_op(z, layer.kernel)
    return _activate(layer, y if layer.bias is None else y + layer.bias, rows)


@_rule(layers.Activation)
def _activation(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    return _activate(layer, z, rows)


@_rule(layers.ReLU, layers.LeakyReLU, layers.ELU, layers.PReLU)
def _activation_layer(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    return rows.elementwise(layer.call, z)


@_rule(layers.MaxPooling1D)
def _max_pooling(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    size, step = layer.pool_size[0], layer.strides[0]
    length = z.shape[1]
    if layer.padding == "same":
        n_out = -(-length // step)
        missing = max((n_out - 1) * step + size - length, 0)
        z = ops.pad(z, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)), constant_values=-1e30)
    else:
        n_out = (length - size) // step + 1
    index = np.arange(n_out)[:, None] * step + np.arange(size)
    return rows.window_max(ops.take(z, index.astype("int32"), axis=1))


@_rule(layers.GlobalMaxPooling1D)
def _global_max_pooling(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    y = rows.window_max(z[:, None])
    return y if layer.keepdims else y[:, 0]


@_rule(layers.LayerNormalization)
def _layer_normalization(layer: Any, z: Tensor, rows: Rows) -> Tensor:
    centred = z - ops.mean(z, axis=-1, keepdims=True)
    variance = ops.mean(rows.elementwise(ops.square, centred), axis=-1, keepdims=True)
    scale = rows.elementwise(lambda t: ops.rsqrt(t + layer.epsilon), variance)
    y = rows.product(centred, ops.broadcast_to(scale, ops.shape(centred)))
    if layer.scale:
        y = y * layer.gamma
    return y + layer.beta if layer.center else y


@_rule(layers.Multiply)
def _multiply(_layer: Any, z: Tensor, rows: Rows) -> Tensor:
    y = z[0]
    for factor in z[1:]:
        y = rows.product(y + ops.zeros_like(factor), factor + ops.zeros_like(y))
    return y


def check_layers(model: Any) -> None:
    """Refuse a network that has a layer, an operation or an activation without a rule.

    Raises
    ------
    UnsupportedLayerError
        Names the layer.
    """
    for operation in _functional(model).operations:
        if isinstance(operation, keras.Model):
            check_layers(operation)
            continue
        reason = _why_not(operation)
        if reason:
            msg = f"DeepLIFT has no rule for layer {operation.name!r} ({type(operation).__name__}){reason}"
            raise UnsupportedLayerError(msg)


def _why_not(operation: Any) -> str:
    """Return "" when there is a rule, otherwise the end of the message."""
    if type(operation) not in RULES:
        return f"; rules exist for {', '.join(sorted(layer.__name__ for layer in RULES))}"
    activation = getattr(operation, "activation", None)
    if activation is not None and activation not in ELEMENTWISE and isinstance(operation, keras.layers.Layer):
        return f" with activation {getattr(activation, '__name__', activation)!r}"
    if isinstance(operation, layers.LayerNormalization):
        axes = [operation.axis] if isinstance(operation.axis, int) else list(operation.axis)
        last = len(operation.input.shape) - 1
        if axes not in ([-1], [last]) or getattr(operation, "rms_scaling", False):
            return " normalising other than over the last axis"
    if getattr(operation, "data_format", "channels_last") != "channels_last":
        return " with channels first"
    return ""


def _functional(model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        model = model._functional
    if not hasattr(model, "_run_through_graph"):
        msg = f"DeepLIFT needs a functional or sequential network, got {type(model).__name__}"
        raise UnsupportedLayerError(msg)
    return model


def run(model: Any, rows_in: Tensor, count: int) -> Tensor:
    """Return the output of `model` on rows arranged as `Rows`, each layer replaced by its rule."""
    rows = Rows(count)

    def rule(operation: Any) -> Callable[..., Tensor]:
        def call(z: Tensor, *_args: Any, **_options: Any) -> Tensor:
            if isinstance(operation, keras.Model):
                return run(operation, z, count)
            return RULES[type(operation)](operation, z, rows)

        return call

    return _functional(model)._run_through_graph(rows_in, operation_fn=rule)
