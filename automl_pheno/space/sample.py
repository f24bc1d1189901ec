"""One concrete configuration out of a space. Who proposes the values is not known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from automl_pheno.space.config import ModelConfig
from automl_pheno.space.ranges import Leaf, Range, Scalar, is_range
from automl_pheno.space.tree import SearchSpace, SpaceBlock, parameters

Suggest = Callable[[str, Range], Scalar]
"""``suggest(name, range) -> value``: proposes the value of one parameter."""


def sample(space: SearchSpace, suggest: Suggest) -> ModelConfig:
    """Return one configuration; `suggest` is asked for the active parameters, in the order of `parameters`.

    Repeats become blocks of their own. A leaf whose condition does not hold is not asked for and has the
    default of its field.

    Raises
    ------
    SpaceError
        From a `suggest` that replays values which do not fit.
    """
    return configuration(space, draw(space, suggest))


def draw(space: SearchSpace, suggest: Suggest) -> dict[str, Scalar]:
    """Return the value of each active parameter by its name, in the order asked."""
    drawn: dict[str, Scalar] = {}
    for parameter in parameters(space):
        if parameter.is_active(drawn):
            drawn[parameter.name] = suggest(parameter.name, parameter.range)
    return drawn


def default_values(space: SearchSpace) -> dict[str, Scalar]:
    """Return the hand-made configuration as values of its active parameters.

    Each is the ``default:`` of the range, else the value nearest its middle (geometric with ``log``), else the
    first of its ``values``.
    """
    return draw(space, lambda _, limits: limits.middle())


def configuration(space: SearchSpace, drawn: Mapping[str, Scalar]) -> ModelConfig:
    """Return the configuration that the drawn values of the active parameters make."""
    return ModelConfig.model_validate(
        {
            "schema": 1,
            "name": space.name,
            "input": space.input,
            **_drawn(space.coding, "", drawn),
            "trunk": [layer for block in space.trunk for layer in _layers(block, drawn)],
            "head": [layer for block in space.head for layer in _layers(block, drawn)],
            "fit": _drawn(space.fit, "fit.", drawn),
        }
    )


def _drawn(leaves: Mapping[str, Leaf], path: str, drawn: Mapping[str, Scalar]) -> dict[str, object]:
    """Return the values of the leaves that exist, by name."""
    values: dict[str, object] = {}
    for name, leaf in leaves.items():
        value = drawn.get(f"{path}{name}") if is_range(leaf) else leaf
        if value is not None:
            values[name] = value
    return values


def _layers(block: SpaceBlock, drawn: Mapping[str, Scalar]) -> list[dict[str, Any]]:
    repeat = block.repeat if isinstance(block.repeat, int) else int(drawn[f"{block.path}.repeat"])
    layers = []
    for number in range(repeat):
        layer: dict[str, Any] = {"block": block.kind}
        for name, leaf in block.leaves.items():
            if is_range(leaf):
                path = f"{block.path}.{name}.{number}" if name in block.per_layer else f"{block.path}.{name}"
                if path in drawn:
                    layer[name] = drawn[path]
            else:
                layer[name] = leaf
        layers.append(layer)
    return layers
