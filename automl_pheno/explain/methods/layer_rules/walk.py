"""Walk a network by its rules, after making sure that there is one for each of its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from automl_pheno.explain.methods.layer_rules.operators import OPERATORS, find_operator
from automl_pheno.explain.methods.layer_rules.rules import LIMITS, RULES, refuse
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape
from automl_pheno.explain.registry import UnsupportedLayerError


def check_layers(model: Any) -> None:
    """Refuse a network that has a layer, an operation or an activation without a rule.

    Raises
    ------
    UnsupportedLayerError
        Names the layer.
    """
    network = _functional(model)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        msg = f"DeepLIFT needs one input and one output, got {len(network.inputs)} and {len(network.outputs)}"
        raise UnsupportedLayerError(msg)
    for operation in network.operations:
        if isinstance(operation, keras.Model):
            check_layers(operation)
        elif type(operation) in RULES:
            why = LIMITS.get(type(operation), lambda _: "")(operation)
            if why:
                raise refuse(operation, why)
        elif not isinstance(operation, keras.layers.InputLayer) and find_operator(operation) is None:
            known = sorted({layer.__name__ for layer in RULES} | set(OPERATORS))
            raise refuse(operation, f"; rules exist for {', '.join(known)}")


def _functional(model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        model = model._functional
    if not hasattr(model, "_run_through_graph"):
        msg = f"DeepLIFT needs a functional or sequential network, got {type(model).__name__}"
        raise UnsupportedLayerError(msg)
    return model


def walk(model: Any, tape: Tape, z: Paired) -> Paired:
    """Return the output of `model`, each of its steps noted on the tape."""

    def step(operation: Any) -> Callable[..., Paired]:
        def call(*inputs: Any, **options: Any) -> Paired:
            if isinstance(operation, keras.Model):
                return walk(operation, tape, inputs[0])
            if type(operation) in RULES:
                return RULES[type(operation)](operation, tape, *inputs, **_without_training(options))
            found = find_operator(operation)
            if found is None:
                raise refuse(operation, "")
            return found(operation, tape, *inputs, **options)

        return call

    out: Paired = _functional(model)._run_through_graph(z, operation_fn=step)
    return out


def _without_training(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call: networks are explained as they predict, and a mask that is None is none."""
    return {name: value for name, value in options.items() if name != "training" and value is not None}
