"""How large a network will be: shapes, weights and memory by arithmetic, without Keras."""

from __future__ import annotations

from dataclasses import dataclass

from automl_pheno.errors import InfeasibleError
from automl_pheno.space.config import ConvBlock, DenseBlock, FitConfig, GateBlock, ModelConfig

CODING_CHANNELS = {"additive": 1, "dominance": 2, "one_hot": 3}
"""Values a variant, by how genotypes are coded."""
_BASES = 4
_BYTES = 4  # float32
_HALF_BYTES = 2  # float16 and bfloat16

_ACTIVATIONS = 1.25
"""Of all activations of a batch and their gradients, twice a batch's, what is held at a time; measured."""
_VALIDATED_AT_ONCE = 512
_GRAPH = 30 * 2**20
"""Bytes of a compiled graph; measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSize:
    """One layer.

    Attributes
    ----------
    name
        Block and layer, ``trunk.0.conv``; blocks are counted with repeats expanded.
    shape
        Output of one sample: (positions, channels) or (features,).
    weights
        Trainable weights.
    non_trainable
        Moving means and variances of batch normalisation.
    """

    name: str
    shape: tuple[int, ...]
    weights: int = 0
    non_trainable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSize:
    """Size of one network for one input width.

    Attributes
    ----------
    layers
        Convolutions and dense layers, the single output included.
    weights, non_trainable
        Sums over `table`; equal to Keras' counts.
    activations
        Values that all layers put out for one sample, the input included.
    memory_bytes
        Estimate for one training batch: activations and their gradients in the precision of the training, weights,
        their gradients and the optimizer's state in float32. The framework's own needs come on top.
    table
        Every layer that has weights or changes the shape, from input to output.
    """

    layers: int
    weights: int
    non_trainable: int
    activations: int
    memory_bytes: int
    table: tuple[LayerSize, ...]


def channels(config: ModelConfig) -> int:
    """Return the values a position: A, C, G, T of a sequence; those of its coding of a genotype."""
    return _BASES if config.input == "sequence" else CODING_CHANNELS[config.coding]


def network_size(config: ModelConfig, width: int, *, max_weights: int | None = None) -> NetworkSize:
    """Return the size of the network for inputs of `width` bp or variants.

    Parameters
    ----------
    max_weights
        Refuse a network with more trainable weights.

    Raises
    ------
    InfeasibleError
        The configuration cannot become a network for this width; the message says which block and why.
    """
    if width < 1:
        msg = f"the input must be at least 1 position wide, got {width}"
        raise InfeasibleError(msg)
    shape: tuple[int, ...] = (width, channels(config))
    table: list[LayerSize] = []
    for number, block in enumerate(config.trunk):
        path = f"trunk.{number}"
        if len(shape) == 1:
            msg = f"{path}: {block.block} cannot follow {config.trunk[number - 1].block}, which leaves no positions"
            raise InfeasibleError(msg)
        if isinstance(block, ConvBlock):
            table += _conv(block, path, shape[0], shape[1])
        elif isinstance(block, GateBlock):
            layer = LayerSize(name=f"{path}.gate", shape=shape, weights=shape[0], non_trainable=2 * shape[0])
            table.append(layer)
        else:
            positions = shape[0] if block.pooling == "none" else 1
            table.append(LayerSize(name=f"{path}.flatten", shape=(positions * shape[1],)))
        shape = table[-1].shape
    if len(shape) != 1:
        msg = f"trunk.{len(config.trunk) - 1}: the trunk must end in flatten, got {config.trunk[-1].block}"
        raise InfeasibleError(msg)
    for number, dense in enumerate(config.head):
        table += _dense(dense, f"head.{number}", shape[0])
        shape = table[-1].shape
    table.append(LayerSize(name="output", shape=(1,), weights=shape[0] + 1))
    size = _summed(table, config, width)
    if max_weights is not None and size.weights > max_weights:
        msg = f"the network has {size.weights:,} weights, more than the limit of {max_weights:,}"
        raise InfeasibleError(msg)
    return size


def training_memory(config: ModelConfig, size: NetworkSize) -> int:
    """Return the bytes by which a training is estimated to raise the memory of its process.

    More than `NetworkSize.memory_bytes`, which is what one step needs by arithmetic: an epoch has the state going in
    beside the one coming out, the best state so far, the initial one and the built network; validation rows pass in
    chunks of 512. Measured on TensorFlow on the CPU; see ``docs/engines.md`` for how close it comes. Data and the
    libraries themselves come on top.
    """
    value = _HALF_BYTES if config.fit.precision != "float32" else _BYTES
    widest = sorted(_values(layer.shape) for layer in size.table)[-2:]
    training = int(_ACTIVATIONS * size.activations * config.fit.batch_size)
    state = _BYTES * (size.weights * (1 + 4 * (1 + _optimizer_slots(config.fit))) + size.non_trainable)
    return value * max(training, _VALIDATED_AT_ONCE * sum(widest)) + state + _GRAPH


def _conv(block: ConvBlock, path: str, length: int, channels: int) -> list[LayerSize]:
    if block.stride > 1 and block.dilation > 1:
        msg = f"{path}: dilation {block.dilation} needs stride 1, got stride {block.stride}"
        raise InfeasibleError(msg)
    span = block.dilation * (block.kernel_size - 1) + 1
    if span > length:
        dilated = f" with dilation {block.dilation}" if block.dilation > 1 else ""
        msg = (
            f"{path}: kernel_size {block.kernel_size}{dilated} needs {span} positions, "
            f"the input to this block has {length}"
        )
        raise InfeasibleError(msg)
    kept = length if block.padding == "same" else length - span + 1
    length = -(-kept // block.stride)
    shape = (length, block.filters)
    table = [
        LayerSize(name=f"{path}.conv", shape=shape, weights=(block.kernel_size * channels + 1) * block.filters),
        *_normalization(block, path, shape),
    ]
    if block.pooling != "none":
        if block.pool_size > length:
            msg = f"{path}: pool_size {block.pool_size} is more than the {length} positions the convolution leaves"
            raise InfeasibleError(msg)
        table.append(LayerSize(name=f"{path}.pool", shape=(length // block.pool_size, block.filters)))
    return table


def _dense(block: DenseBlock, path: str, features: int) -> list[LayerSize]:
    shape = (block.units,)
    layer = LayerSize(name=f"{path}.dense", shape=shape, weights=(features + 1) * block.units)
    return [layer, *_normalization(block, path, shape)]


def _normalization(block: ConvBlock | DenseBlock, path: str, shape: tuple[int, ...]) -> list[LayerSize]:
    if block.normalization == "none":
        return []
    moving = 2 * shape[-1] if block.normalization == "batch" else 0
    return [LayerSize(name=f"{path}.normalization", shape=shape, weights=2 * shape[-1], non_trainable=moving)]


def _summed(table: list[LayerSize], config: ModelConfig, width: int) -> NetworkSize:
    weights = sum(layer.weights for layer in table)
    non_trainable = sum(layer.non_trainable for layer in table)
    activations = width * channels(config) + sum(_values(layer.shape) for layer in table)
    copies = 2 + _optimizer_slots(config.fit)
    mixed = config.fit.precision != "float32"
    memory = (_HALF_BYTES if mixed else _BYTES) * 2 * activations * config.fit.batch_size
    memory += _BYTES * (copies * weights + non_trainable) + (_HALF_BYTES * weights if mixed else 0)
    return NetworkSize(
        layers=sum(layer.name.endswith((".conv", ".dense")) for layer in table) + 1,
        weights=weights,
        non_trainable=non_trainable,
        activations=activations,
        memory_bytes=memory,
        table=tuple(table),
    )


def _values(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 1 else shape[0] * shape[1]


def _optimizer_slots(fit: FitConfig) -> int:
    """Return how many values the optimizer keeps for each weight."""
    if fit.optimizer in ("adam", "adamw"):
        return 2
    momentum = int(fit.momentum > 0)
    return momentum if fit.optimizer == "sgd" else 1 + momentum
