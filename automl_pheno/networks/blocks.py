"""One builder a block: ``(tensor, block, parts) -> tensor``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from keras import layers

from automl_pheno.registry import Registry
from automl_pheno.space.config import ConvBlock, DenseBlock, FlattenBlock, GateBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The layers that differ between the training twin and the exported model.

    Attributes
    ----------
    dropout
        Makes a dropout layer of a rate.
    gate
        Makes a layer of one weight a position; (n, positions, channels) stays so.
    precision
        Policy of Keras for every layer, ``mixed_bfloat16``; never the global one.
    """

    dropout: Callable[[float], Any]
    gate: Callable[[], Any]
    precision: str = "float32"


Builder = Callable[[Any, Any, Parts], Any]

BUILDERS: Registry[Builder] = Registry("block")

# Keras' default of 0.99 needs hundreds of steps to forget its start; a phenotype study has some tens an epoch.
_BATCH_NORM_MOMENTUM = 0.9
_CHANNELS = "channels_last"  # named in every layer that could take it from the user's keras.json


def _normalize(tensor: Any, kind: str, parts: Parts) -> Any:
    if kind == "batch":
        return layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, dtype=parts.precision)(tensor)
    if kind == "layer":
        return layers.LayerNormalization(dtype=parts.precision)(tensor)
    return tensor


def _activate(tensor: Any, name: str, parts: Parts) -> Any:
    return tensor if name == "linear" else layers.Activation(name, dtype=parts.precision)(tensor)


@BUILDERS.add("conv")
def conv(tensor: Any, block: ConvBlock, parts: Parts) -> Any:
    """Convolution, normalisation, activation, pooling, in this order; `dropout_places` says where its dropout is."""
    tensor = layers.Conv1D(
        block.filters,
        block.kernel_size,
        strides=block.stride,
        dilation_rate=block.dilation,
        padding=block.padding,
        data_format=_CHANNELS,
        dtype=parts.precision,
    )(tensor)
    tensor = _activate(_normalize(tensor, block.normalization, parts), block.activation, parts)
    if block.pooling == "max":
        tensor = layers.MaxPooling1D(block.pool_size, data_format=_CHANNELS, dtype=parts.precision)(tensor)
    elif block.pooling == "average":
        tensor = layers.AveragePooling1D(block.pool_size, data_format=_CHANNELS, dtype=parts.precision)(tensor)
    return tensor


@BUILDERS.add("flatten")
def flatten(tensor: Any, block: FlattenBlock, parts: Parts) -> Any:
    """Concatenate all positions, or pool over them."""
    ends = {"none": layers.Flatten, "max": layers.GlobalMaxPooling1D, "average": layers.GlobalAveragePooling1D}
    return ends[block.pooling](data_format=_CHANNELS, dtype=parts.precision)(tensor)


@BUILDERS.add("dense")
def dense(tensor: Any, block: DenseBlock, parts: Parts) -> Any:
    """Dense layer, normalisation, activation, in this order; its dropout follows."""
    tensor = layers.Dense(block.units, dtype=parts.precision)(tensor)
    return _activate(_normalize(tensor, block.normalization, parts), block.activation, parts)


@BUILDERS.add("gate")
def gate(tensor: Any, block: GateBlock, parts: Parts) -> Any:
    """One weight a position."""
    del block
    return parts.gate()(tensor)


def plain_parts() -> Parts:
    """Return Keras' own layers: the exported model needs no code of this package.

    A gate is a batch normalisation over positions whose moving mean and variance stay 0 and 1.
    """
    return Parts(
        dropout=partial(layers.Dropout, dtype="float32"),
        gate=lambda: layers.BatchNormalization(axis=1, center=False, epsilon=1e-7, dtype="float32"),
    )
