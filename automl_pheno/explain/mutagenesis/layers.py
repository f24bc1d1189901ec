"""Which layers of a network a changed position reaches, and how far: the plan by which mutants are computed.

A change of one position reaches only a window of the next convolution's outputs. As long as that window is much shorter
than the whole, only the difference within it is carried on (as fastISM does: Nair et al. 2022); from the first layer
that sees everything, or that is not known here, whole tensors are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tensor = Any
Layer = Any

LOCAL_SHARE = 0.7
"""A window longer than this share of the layer's outputs is not worth the trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A layer, or a run of layers, through which a difference is carried within a window.

    Attributes
    ----------
    kind
        ``pointwise``, ``scale``, ``convolve``, ``maximum``, ``mean``, ``dense``, ``global_mean``, ``global_maximum``.
    layers
        What it stands for, in order.
    width, length
        Of the window and of the whole, after the step; 0 at an end, where positions are no more.
    """

    kind: str
    layers: tuple[Layer, ...]
    width: int
    length: int

    @property
    def is_end(self) -> bool:
        """True where positions are no more after this step."""
        return self.kind in ("dense", "global_mean", "global_maximum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A network whose layers stand in a row.

    Attributes
    ----------
    steps
        Through which differences are carried.
    rest
        Layers after these, applied to whole tensors.
    cells
        Numbers of the largest tensor of one mutant.
    """

    steps: tuple[Step, ...]
    rest: tuple[Layer, ...]
    cells: int


def chains(model: Any) -> list[Chain]:
    """Return the networks whose mean is the output of `model`; a network that is no row of layers is one layer."""
    import keras

    parents = _parents(model.outputs[0])
    if parents is not None and isinstance(parents[0], keras.layers.Average):
        rows = [_row(model, tensor) for tensor in parents[1]]
        if all(row is not None for row in rows):
            return [_plan(row, model) for row in rows if row is not None]
    row = _row(model, model.outputs[0])
    return [_plan([model] if row is None else row, model)]


def _parents(tensor: Any) -> tuple[Any, list[Any]] | None:
    """Return the layer that made a symbolic tensor, and the tensors it was made of."""
    operation, node, _ = tensor._keras_history
    found = operation._inbound_nodes[node].input_tensors
    return (operation, list(found)) if found else None


def _row(model: Any, tensor: Any) -> list[Layer] | None:
    """Return the layers between the input of `model` and `tensor`; None where they do not stand in a row."""
    import keras

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return None
    layers: list[Layer] = []
    while tensor is not model.inputs[0]:
        parents = _parents(tensor)
        if parents is None or len(parents[1]) != 1 or not isinstance(parents[0], keras.layers.Layer):
            return None
        inner = _row(parents[0], parents[0].outputs[0]) if isinstance(parents[0], keras.Model) else None
        layers += [parents[0]] if inner is None else inner[::-1]
        tensor = parents[1][0]
    return layers[::-1]


def _plan(row: list[Layer], model: Any) -> Chain:
    import keras

    row = [layer for layer in row if not isinstance(layer, (keras.layers.Dropout, keras.layers.SpatialDropout1D))]
    length, width = int(model.inputs[0].shape[1]), 1
    cells = int(model.inputs[0].shape[2])
    steps: list[Step] = []
    at = 0
    while at < len(row):
        step = _step(row, at, width, length)
        if step is None or (not step.is_end and step.width > LOCAL_SHARE * step.length):
            break
        steps.append(step)
        at += len(step.layers)
        cells = max(cells, _channels(row, at) * max(step.width, 1))
        width, length = step.width, step.length
        if step.is_end:
            break
    if not (steps and steps[-1].is_end):  # whole tensors from here
        cells = max([length * _channels(row, at), *(_size(layer) for layer in row[at:])])
    return Chain(steps=tuple(steps), rest=tuple(row[at:]), cells=cells)


def _channels(row: list[Layer], at: int) -> int:
    """Return the channels after the first `at` layers."""
    return int(row[at - 1].output.shape[-1]) if at else int(row[0].input.shape[-1])


def _size(layer: Layer) -> int:
    size = 1
    for extent in layer.output.shape[1:]:
        size *= int(extent)
    return size


def _step(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    """Return the step that begins with layer `at`; None where it is not known here."""
    import keras

    layer = row[at]
    if getattr(layer, "compute_dtype", "float32") != "float32":
        return None
    for kind, make in _STEPS.items():
        if isinstance(layer, getattr(keras.layers, kind)):
            return make(row, at, width, length)
    return None


def _is_pointwise(layer: Layer) -> bool:
    """Say whether each position's output depends on that position alone, in the same way everywhere."""
    import keras

    if isinstance(layer, (keras.layers.BatchNormalization, keras.layers.LayerNormalization)):
        axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
        return list(axes) in ([-1], [2])
    kinds = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.Dense)
    return isinstance(layer, kinds)


def _pointwise(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    end = at
    while end < len(row) and _is_pointwise(row[end]):
        end += 1
    if end == at:
        return _scale(row, at, width, length)
    return Step(kind="pointwise", layers=tuple(row[at:end]), width=width, length=length)


def _scale(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    """Return the step of a batch normalisation over positions, as a gate is: one weight a position."""
    layer = row[at]
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if type(layer).__name__ != "BatchNormalization" or list(axes) != [1]:
        return None
    return Step(kind="scale", layers=(layer,), width=width, length=length)


def _convolve(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    del length
    layer = row[at]
    if layer.groups != 1 or layer.padding not in ("same", "valid") or layer.data_format != "channels_last":
        return None
    if layer.activation.__name__ != "linear":
        return None
    reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1
    return Step(
        kind="convolve",
        layers=(layer,),
        width=(width + reach - 2) // layer.strides[0] + 1,
        length=int(layer.output.shape[1]),
    )


def _pool(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    layer = row[at]
    if layer.padding != "valid" or layer.strides != layer.pool_size or layer.data_format != "channels_last":
        return None
    size = layer.pool_size[0]
    kind = "maximum" if type(layer).__name__ == "MaxPooling1D" else "mean"
    return Step(kind=kind, layers=(layer,), width=(width + size - 2) // size + 1, length=length // size)


def _flat(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    if at + 1 >= len(row) or type(row[at + 1]).__name__ != "Dense" or width > LOCAL_SHARE * length:
        return None
    if row[at + 1].activation.__name__ != "linear" or row[at].data_format != "channels_last":
        return None
    return Step(kind="dense", layers=tuple(row[at : at + 2]), width=0, length=0)


def _over_all(row: list[Layer], at: int, width: int, length: int) -> Step | None:
    layer = row[at]
    if layer.keepdims or layer.data_format != "channels_last" or width > LOCAL_SHARE * length:
        return None
    kind = "global_maximum" if type(layer).__name__ == "GlobalMaxPooling1D" else "global_mean"
    return Step(kind=kind, layers=(layer,), width=0, length=0)


_STEPS: dict[str, Callable[[list[Layer], int, int, int], Step | None]] = {
    "Conv1D": _convolve,
    "MaxPooling1D": _pool,
    "AveragePooling1D": _pool,
    "Flatten": _flat,
    "GlobalMaxPooling1D": _over_all,
    "GlobalAveragePooling1D": _over_all,
    "BatchNormalization": _pointwise,
    "LayerNormalization": _pointwise,
    "Activation": _pointwise,
    "ReLU": _pointwise,
    "LeakyReLU": _pointwise,
    "ELU": _pointwise,
    "Dense": _pointwise,
}
