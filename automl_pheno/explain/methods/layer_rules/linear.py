"""Rules of layers that are linear but for their activation, and of those that do nothing at prediction."""

from __future__ import annotations

from typing import Any

from keras import ops

from automl_pheno.explain.methods.layer_rules import slopes
from automl_pheno.explain.methods.layer_rules.rules import (
    activate,
    knows_activation,
    rectified,
    rule,
    softmax,
    weight,
)
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape

Tensor = Any


def channels_last(layer: Any) -> str:
    """Return the end of the message for a layer with channels first."""
    return " with channels first" if getattr(layer, "data_format", "channels_last") != "channels_last" else ""


def plain_weights(layer: Any) -> str:
    """Return the end of the message for weights or an activation that the rule does not cover."""
    if getattr(layer, "quantization_mode", None) is not None:
        return f" with quantised weights ({layer.quantization_mode})"
    activation = getattr(layer, "activation", None)
    if not knows_activation(activation):
        return f" with activation {getattr(activation, '__name__', activation)!r}"
    return channels_last(layer)


@rule(
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
    "Identity",
)  # fmt: skip
def identity(_layer: Any, _tape: Tape, z: Paired) -> Paired:
    """Return z."""
    return z


@rule(
    "Flatten", "Reshape", "Permute", "RepeatVector", "ZeroPadding1D", "Cropping1D", "UpSampling1D",
    "AveragePooling1D", "GlobalAveragePooling1D", "AdaptiveAveragePooling1D",
    limit=channels_last,
)  # fmt: skip
def rearrange(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return what a layer without weights makes of z."""
    return tape.linear(layer.call, z)


@rule("Rescaling")
def rescaling(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return scale * z + offset."""
    scale, offset = (ops.convert_to_tensor(t, dtype="float32") for t in (layer.scale, layer.offset))
    return tape.linear(lambda t: t * scale + offset, z, transpose=lambda g: g * scale)


@rule("BatchNormalization")
def batch_normalization(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z normalised by the moving statistics."""
    shape = [1] * (len(z.shape) + 1)
    shape[layer.axis] = (1, *z.shape)[layer.axis]
    slope = ops.rsqrt(weight(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        slope = slope * weight(layer.gamma)
    level = -weight(layer.moving_mean) * slope
    if layer.center:
        level = level + weight(layer.beta)
    slope, level = ops.reshape(slope, shape), ops.reshape(level, shape)
    return tape.linear(lambda t: t * slope + level, z, transpose=lambda g: g * slope)


@rule("Dense", limit=plain_weights)
def dense(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the product with the kernel."""
    kernel = weight(layer.kernel)
    bias = weight(layer.bias) if layer.bias is not None else None
    y = tape.linear(
        lambda t: _plus(ops.matmul(t, kernel), bias), z, transpose=lambda g: ops.matmul(g, ops.transpose(kernel))
    )
    return activate(layer, tape, y)


@rule("EinsumDense", limit=plain_weights)
def einsum_dense(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the product with the kernel that the layer's equation says."""
    kernel = weight(layer.kernel)
    bias = weight(layer.bias) if layer.bias is not None else None
    return activate(layer, tape, tape.linear(lambda t: _plus(ops.einsum(layer.equation, t, kernel), bias), z))


@rule("Conv1D", limit=plain_weights)
def conv(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the convolution, of any step, spacing, padding and grouping."""
    kernel, bias = weight(layer.kernel), _bias(layer)
    left = layer.dilation_rate[0] * (layer.kernel_size[0] - 1) if layer.padding == "causal" else 0

    def f(t: Tensor) -> Tensor:
        if left:
            t = ops.pad(t, ((0, 0), (left, 0), (0, 0)))
        padding = "valid" if layer.padding == "causal" else layer.padding
        return _plus(
            ops.conv(t, kernel, strides=list(layer.strides), padding=padding, dilation_rate=layer.dilation_rate), bias
        )

    return activate(layer, tape, tape.linear(f, z))


@rule("DepthwiseConv1D", limit=plain_weights)
def depthwise_conv(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the convolution of each channel."""
    kernel, bias, strides, dilation = weight(layer.kernel), _bias(layer), layer.strides, layer.dilation_rate

    def f(t: Tensor) -> Tensor:
        return _plus(ops.depthwise_conv(t, kernel, strides, layer.padding, None, dilation), bias)

    return activate(layer, tape, tape.linear(f, z))


@rule("SeparableConv1D", limit=plain_weights)
def separable_conv(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the convolution of each channel, then of channels."""
    deep, point, bias = weight(layer.depthwise_kernel), weight(layer.pointwise_kernel), _bias(layer)
    strides, dilation = layer.strides, layer.dilation_rate

    def f(t: Tensor) -> Tensor:
        return _plus(ops.separable_conv(t, deep, point, strides, layer.padding, None, dilation), bias)

    return activate(layer, tape, tape.linear(f, z))


@rule("Conv1DTranspose", limit=plain_weights)
def conv_transpose(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the transposed convolution."""
    kernel, bias = weight(layer.kernel), _bias(layer)

    def f(t: Tensor) -> Tensor:
        y = ops.conv_transpose(
            t, kernel, list(layer.strides), layer.padding, layer.output_padding, None, layer.dilation_rate
        )
        return _plus(y, bias)

    return activate(layer, tape, tape.linear(f, z))


@rule("Activation", limit=plain_weights)
def activation_layer(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return the activation of z."""
    return activate(layer, tape, z)


@rule("Softmax")
def softmax_layer(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return softmax over the layer's axis or axes."""
    return softmax(tape, z, layer.axis if isinstance(layer.axis, int) else tuple(layer.axis))


@rule("ReLU")
def relu_layer(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return a rectified z, with any slope below, ceiling and threshold."""
    return rectified(tape, layer.call, z, layer)


@rule("LeakyReLU")
def leaky_relu_layer(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z above 0, a share of it below."""
    below = float(layer.negative_slope)
    return tape.elementwise(layer.call, slopes.bent((1.0 - below, 0.0), straight=below), z)


@rule("ELU")
def elu_layer(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return elu with the layer's alpha."""
    return tape.elementwise(layer.call, slopes.elu(float(layer.alpha)), z)


@rule("PReLU")
def prelu_layer(layer: Any, tape: Tape, z: Paired) -> Paired:
    """Return z above 0, a learnt share of it below."""
    below = weight(layer.alpha)

    def slope(x: Tensor, r: Tensor, fx: Tensor, fr: Tensor) -> Tensor:
        del fx, fr
        return below + (1.0 - below) * slopes.hinge(x, r)

    return tape.elementwise(lambda t: ops.where(t > 0, t, below * t), slope, z)


def _bias(layer: Any) -> Tensor | None:
    return weight(layer.bias) if layer.use_bias else None


def _plus(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias
