"""A search space as a value: the tree of a concrete configuration with ranges in the place of some leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from automl_pheno.space.config import CodingConfig, Config, FitConfig
from automl_pheno.space.fields import HEAD_BLOCKS, TRUNK_BLOCKS, searchable
from automl_pheno.space.ranges import Choice, IntRange, Leaf, Range, Scalar, is_range, same_value


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceBlock:
    """One block of the trunk or the head.

    Attributes
    ----------
    path
        ``trunk.0``.
    kind
        ``conv``, ``gate``, ``flatten`` or ``dense``.
    leaves
        The fields that were written, by name.
    repeat
        How often the block stands in the network; 1 when not written.
    per_layer
        Names of the leaves drawn anew for each repeat.
    """

    path: str
    kind: str
    leaves: Mapping[str, Leaf]
    repeat: int | IntRange | Choice = 1
    per_layer: tuple[str, ...] = ()

    @property
    def config(self) -> type[Config]:
        """The concrete class of the block."""
        return {**TRUNK_BLOCKS, **HEAD_BLOCKS}[self.kind]

    @property
    def repeats(self) -> tuple[int, ...]:
        """Every number of repeats the block can have, ascending."""
        if isinstance(self.repeat, int):
            return (self.repeat,)
        return tuple(sorted(int(self.repeat.at(i)) for i in range(self.repeat.count())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A parameter exists only while `parameter` exists and has one of `values`."""

    parameter: str
    values: tuple[Scalar, ...]

    def holds(self, drawn: Mapping[str, Scalar]) -> bool:
        """Return whether the condition is met by the values drawn so far."""
        value = drawn.get(self.parameter)
        return value is not None and any(same_value(value, v) for v in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing the search decides.

    Attributes
    ----------
    name
        The path in the YAML, ``trunk.0.filters``; with the number of the repeat for a per-layer leaf,
        ``trunk.0.kernel_size.1``.
    range
        What it may be.
    conditions
        All of them must hold; empty if the parameter always exists.
    """

    name: str
    range: Range
    conditions: tuple[Condition, ...] = ()

    def is_active(self, drawn: Mapping[str, Scalar]) -> bool:
        """Return whether the parameter exists, given the values of those before it."""
        return all(condition.holds(drawn) for condition in self.conditions)


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchSpace:
    """A checked search space; made by `load_space` and `parse_space`.

    Attributes
    ----------
    name, input
        As in `ModelConfig`.
    trunk, head
        Blocks from the input to the output.
    fit
        The fields of ``fit`` that were written, by name.
    coding
        Of genotypes, where it was written: ``{"coding": leaf}``.
    source
        What error messages call the file.
    """

    name: str
    input: Literal["sequence", "genotype"]
    trunk: tuple[SpaceBlock, ...]
    head: tuple[SpaceBlock, ...] = ()
    fit: Mapping[str, Leaf] = field(default_factory=dict)
    coding: Mapping[str, Leaf] = field(default_factory=dict)
    source: str = "space"

    @property
    def blocks(self) -> tuple[SpaceBlock, ...]:
        """Trunk, then head."""
        return (*self.trunk, *self.head)

    def tree(self) -> dict[str, object]:
        """Return the space as plain values with every default written out; YAML of it is the same space."""
        return {
            "schema": 1,
            "name": self.name,
            "input": self.input,
            **(_leaves_tree(CodingConfig, self.coding) if self.input == "genotype" else {}),
            "trunk": [_block_tree(block) for block in self.trunk],
            "head": [_block_tree(block) for block in self.head],
            "fit": _leaves_tree(FitConfig, self.fit),
        }


def _block_tree(block: SpaceBlock) -> dict[str, object]:
    tree: dict[str, object] = {"block": block.kind}
    if block.repeat != 1:
        tree["repeat"] = _leaf_tree(block.repeat)
    if block.per_layer:
        tree["per_layer"] = list(block.per_layer)
    return tree | _leaves_tree(block.config, block.leaves)


def _leaves_tree(cls: type[Config], leaves: Mapping[str, Leaf]) -> dict[str, object]:
    return {name: _leaf_tree(leaves.get(name, facts.default)) for name, facts in searchable(cls).items()}


def _leaf_tree(leaf: object) -> object:
    if not is_range(leaf):
        return leaf
    tree = leaf.model_dump(mode="json", exclude_defaults=True)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in tree.items()}


@lru_cache(maxsize=16)
def parameters(space: SearchSpace) -> tuple[Parameter, ...]:
    """Return every parameter the space can ever ask for, each after those it depends on.

    The order is that of the YAML as far as conditions allow: it is the order in which `sample` asks.
    """
    found: list[Parameter] = []
    for name, leaf in space.coding.items():
        if is_range(leaf):
            found.append(Parameter(name=name, range=leaf, conditions=_written(leaf, None)))
    for block in space.blocks:
        found.extend(_block_parameters(block))
    for name, leaf in space.fit.items():
        if is_range(leaf):
            found.append(Parameter(name=f"fit.{name}", range=leaf, conditions=_written(leaf, None)))
    return _conditions_first(found)


def _block_parameters(block: SpaceBlock) -> list[Parameter]:
    found: list[Parameter] = []
    repeat = f"{block.path}.repeat"
    if not isinstance(block.repeat, int):
        found.append(Parameter(name=repeat, range=block.repeat))

    def exists(layer: int) -> tuple[Condition, ...]:
        enough = tuple(n for n in block.repeats if n > layer)
        return () if len(enough) == len(block.repeats) else (Condition(parameter=repeat, values=enough),)

    for name, leaf in block.leaves.items():
        if not is_range(leaf):
            continue
        path = f"{block.path}.{name}"
        if name not in block.per_layer:
            found.append(Parameter(name=path, range=leaf, conditions=exists(0) + _written(leaf, None)))
            continue
        for layer in range(block.repeats[-1]):
            conditions = exists(layer) + _written(leaf, (block, layer))
            found.append(Parameter(name=f"{path}.{layer}", range=leaf, conditions=conditions))
    return found


def _written(leaf: Range, layer: tuple[SpaceBlock, int] | None) -> tuple[Condition, ...]:
    conditions = []
    for path, values in leaf.when.items():
        parameter = path
        if layer is not None:
            block, number = layer
            parent, _, name = path.rpartition(".")
            parameter = f"{path}.{number}" if parent == block.path and name in block.per_layer else path
        conditions.append(Condition(parameter=parameter, values=values))
    return tuple(conditions)


def _conditions_first(found: list[Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters in their order, moved only behind those they depend on; constant conditions go."""
    by_name = {p.name: p for p in found}
    ordered: dict[str, Parameter] = {}

    def place(parameter: Parameter) -> None:
        if parameter.name in ordered:
            return
        # What is not a parameter is a fixed value, which the loader found to meet the condition.
        real = tuple(c for c in parameter.conditions if c.parameter in by_name)
        for condition in real:
            place(by_name[condition.parameter])
        ordered[parameter.name] = Parameter(name=parameter.name, range=parameter.range, conditions=real)

    for parameter in found:
        place(parameter)
    return tuple(ordered.values())
