"""The first convolution of a network: its filters' outputs, and the rest of the network behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.methods.compiled import compile_function, filled_up, pull_back

BATCH = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstLayer:
    """First convolution of one member of a network.

    Attributes
    ----------
    member
        Number of the member, from 0.
    kernel, stride, dilation, left
        Width of a filter in taps, steps between outputs and between taps, and positions of padding before the first
        base, bp.
    filters, positions
        Number of filters, and of outputs of each.
    cost
        Multiplications of the rest of the network for one sample.
    network
        The member.
    tap
        Its layer whose output counts as the filters': after normalisation and activation, before any pooling.
    """

    member: int
    kernel: int
    stride: int
    dilation: int
    left: int
    filters: int
    positions: int
    cost: int
    network: Any
    tap: Any


def first_layers(model: Any) -> list[FirstLayer]:
    """Return the first convolution of each member of an averaged ensemble, or of the network itself.

    A network that has none before its first dense layer or merge is left out.
    """
    found = [_first_layer(member, number) for number, member in enumerate(members(model))]
    return [layer for layer in found if layer is not None]


def members(model: Any) -> list[Any]:
    """Return the networks whose outputs `model` averages; itself where it averages none."""
    import keras

    last = model.layers[-1] if getattr(model, "layers", None) else None
    nested = [layer for layer in getattr(model, "layers", []) if isinstance(layer, keras.Model)]
    return nested if nested and isinstance(last, keras.layers.Average) else [model]


def _first_layer(model: Any, member: int) -> FirstLayer | None:
    import keras
    from keras import layers

    chain = _chain(model)
    at = next((number for number, layer in enumerate(chain) if isinstance(layer, keras.layers.Conv1D)), None)
    if at is None or chain[at].groups != 1 or chain[at].data_format != "channels_last":
        return None
    shaping = (
        layers.BatchNormalization, layers.LayerNormalization, layers.Activation, layers.ReLU, layers.LeakyReLU,
        layers.ELU, layers.PReLU,
    )  # fmt: skip
    last = at
    while last + 1 < len(chain) and isinstance(chain[last + 1], shaping):
        last += 1
    layer, before = chain[at], {id(step) for step in chain[: last + 1]}
    return FirstLayer(
        member=member,
        kernel=int(layer.kernel_size[0]),
        stride=int(layer.strides[0]),
        dilation=int(layer.dilation_rate[0]),
        left=_left(layer, int(model.inputs[0].shape[1])),
        filters=int(layer.filters),
        positions=int(chain[last].output.shape[1]),
        cost=sum(_multiplications(step) for step in _functional(model).layers if id(step) not in before),
        network=model,
        tap=chain[last],
    )


def _functional(model: Any) -> Any:
    import keras

    return model._functional if isinstance(model, keras.Sequential) else model


def _chain(model: Any) -> list[Any]:
    """Return the layers from the input on, as long as each feeds exactly one."""
    graph = _functional(model)
    if len(getattr(model, "inputs", [])) != 1 or not hasattr(graph, "_run_through_graph"):
        return []
    chain: list[Any] = []
    tensor = graph.inputs[0]
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    while True:
        following = [node for node in nodes if any(one is tensor for one in node.input_tensors)]
        if len(following) != 1 or len(following[0].input_tensors) != 1:
            return chain
        chain.append(following[0].operation)
        tensor = following[0].outputs[0]


def _left(layer: Any, width: int) -> int:
    span = (int(layer.kernel_size[0]) - 1) * int(layer.dilation_rate[0])
    if layer.padding == "causal":
        return span
    if layer.padding != "same":
        return 0
    stride = int(layer.strides[0])
    outputs = -(-width // stride)
    return int(max((outputs - 1) * stride + span + 1 - width, 0)) // 2


def _multiplications(layer: Any) -> int:
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    places = layer.output.shape[1] if len(layer.output.shape) == 3 else 1
    return int(np.prod(kernel.shape)) * int(places or 1)


class Nullifier:
    """Outputs of one member when some of its filters are set to their mean.

    Parameters
    ----------
    layer
        Of the member.
    x
        Encoded samples, float32, shape (n, width, 4).
    """

    def __init__(self, layer: FirstLayer, x: FloatArray) -> None:
        from keras import ops

        self.layer = layer
        self.n = len(x)
        self._blank = np.zeros((BATCH, *x.shape[1:]), dtype=np.float32)

        def front(rows: Any) -> tuple[Any]:
            kept: list[Any] = []

            def keep(y: Any) -> Any:
                kept.append(y)
                return y

            _run(layer, rows, keep)
            return (kept[0],)

        def rest(rows: Any, activations: Any, mean: Any, wanted: Any) -> tuple[Any]:
            changed = activations * wanted + mean[None] * (1.0 - wanted)
            # what stands before the tap is not needed for the output, and compiled away
            return (ops.reshape(_run(layer, rows, lambda _: changed), (-1,)),)

        def effects(rows: Any, activations: Any, mean: Any) -> tuple[Any]:
            def outputs(changed: Any) -> Any:
                return ops.cast(ops.reshape(_run(layer, rows, lambda _: changed), (-1,)), "float32")

            (slope,) = pull_back(outputs, [activations], ops.ones((BATCH,), dtype="float32"))
            return (ops.sum(slope * (mean[None] - activations), axis=1),)

        self._effects = compile_function(layer.network, effects)
        compiled = compile_function(layer.network, front)
        self.activations = np.concatenate([compiled(filled_up(part, BATCH))[0] for part in _batches(x)])[: self.n]
        self.mean = self.activations.mean(axis=0)
        """Mean activation of each filter at each position, shape (positions, filters)."""
        self._rest = compile_function(layer.network, rest)

    def outputs(self, nullified: list[int]) -> FloatArray:
        """Return the member's outputs with these filters set to their mean at each position, float64, shape (n,)."""
        wanted = np.ones(self.layer.filters, dtype=np.float32)
        wanted[nullified] = 0.0
        parts = [
            self._rest(self._blank, filled_up(part, BATCH), self.mean, wanted)[0] for part in _batches(self.activations)
        ]
        return np.concatenate(parts)[: self.n].astype(np.float64)

    def first_order(self) -> FloatArray:
        """Return to first order how the output changes when each filter is set to its mean, shape (n, filters)."""
        parts = [
            self._effects(self._blank, filled_up(part, BATCH), self.mean)[0] for part in _batches(self.activations)
        ]
        return np.concatenate(parts)[: self.n].astype(np.float64)


def _run(layer: FirstLayer, rows: Any, at_tap: Callable[[Any], Any]) -> Any:
    """Return the member's output, the output of its tap replaced by ``at_tap(output)``."""

    def step(operation: Any) -> Callable[..., Any]:
        if operation is layer.tap:
            return lambda *arguments, **options: at_tap(operation(*arguments, **options))
        return lambda *arguments, **options: operation(*arguments, **options)

    return _functional(layer.network)._run_through_graph(rows, operation_fn=step)


def _batches(rows: FloatArray) -> list[FloatArray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
