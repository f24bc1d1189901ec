"""Are the conditions of a space sound? Each must name a leaf that exists and a value it can take, without circles."""

from __future__ import annotations

from collections.abc import Mapping

from automl_pheno.errors import known_names
from automl_pheno.space.config import CodingConfig, Config, FitConfig
from automl_pheno.space.document import Problems
from automl_pheno.space.fields import searchable
from automl_pheno.space.ranges import Leaf, Range, Scalar, is_range, same_value, shown
from automl_pheno.space.tree import SearchSpace, SpaceBlock


def check_conditions(space: SearchSpace, lines: Mapping[str, int], broken: set[str], problems: Problems) -> None:
    """Note every condition that cannot work.

    Parameters
    ----------
    lines
        Path of a leaf -> line of its ``when``.
    broken
        Paths that stand in the file but could not be read; nothing is said about conditions on them.
    """
    leaves = _all_leaves(space)
    per_layer = {f"{block.path}.{name}": block for block in space.blocks for name in block.per_layer}
    for path, leaf in leaves.items():
        if not is_range(leaf):
            continue
        for target, values in leaf.when.items():
            complaint = None
            if target == path:
                complaint = "when must not refer to the leaf itself"
            elif target in leaves:
                complaint = _layers_complaint(path, target, per_layer) or _value_complaint(
                    target, leaves[target], values
                )
            elif target not in broken:
                complaint = _unknown(path, target, leaves)
            if complaint:
                problems.add(lines.get(path, 1), path, complaint)
    _check_circles(leaves, lines, problems)


def _all_leaves(space: SearchSpace) -> dict[str, Leaf]:
    """Return every leaf by its path, those not written with their default."""
    leaves = _with_defaults("", CodingConfig, space.coding) if space.input == "genotype" else {}
    for block in space.blocks:
        leaves |= _with_defaults(block.path, block.config, block.leaves)
        leaves[f"{block.path}.repeat"] = block.repeat
    return leaves | _with_defaults("fit", FitConfig, space.fit)


def _with_defaults(path: str, cls: type[Config], written: Mapping[str, Leaf]) -> dict[str, Leaf]:
    facts = searchable(cls)
    stem = f"{path}." if path else ""
    return {f"{stem}{name}": leaf for name in facts if (leaf := written.get(name, facts[name].default)) is not None}


def _unknown(path: str, target: str, leaves: Mapping[str, Leaf]) -> str:
    parent = target.rpartition(".")[0]
    near = [known for known in leaves if known.rpartition(".")[0] == parent and known != path]
    parents = sorted({known.rpartition(".")[0] or known for known in leaves})
    if near:
        return f"when: unknown path {target!r}; {known_names(target, near)}"
    return f"when: unknown path {target!r}; paths begin with {', '.join(parents)}"


def _layers_complaint(path: str, target: str, per_layer: Mapping[str, SpaceBlock]) -> str | None:
    block = per_layer.get(target)
    if block is None:
        return None
    if path.rpartition(".")[0] != block.path:
        return f"when: {target} is drawn per layer, so only leaves of {block.path} can depend on it"
    if path not in per_layer:
        name = path.rpartition(".")[2]
        return f"when: {target} is drawn per layer; list {name} in per_layer as well"
    return None


def _value_complaint(target: str, leaf: Leaf, values: tuple[Scalar, ...]) -> str | None:
    if not is_range(leaf):
        if any(same_value(leaf, value) for value in values):
            return None
        return f"when: never true, {target} is always {shown(leaf)}"
    for value in values:
        complaint = _not_in(leaf, value)
        if complaint:
            return f"when: never true, {target} {complaint}"
    return None


def _not_in(limits: Range, value: Scalar) -> str | None:
    try:
        found = limits.cast(value)
    except ValueError as error:
        return str(error)
    return None if same_value(found, value) else f"must be one of {shown(limits.corners())}, got {shown(value)}"


def _check_circles(leaves: Mapping[str, Leaf], lines: Mapping[str, int], problems: Problems) -> None:
    done: set[str] = set()

    def visit(path: str, trail: tuple[str, ...]) -> None:
        if path in trail:
            circle = trail[trail.index(path) :]
            if len(circle) > 1:
                problems.add(lines.get(circle[0], 1), circle[0], f"when: a circle, {' -> '.join((*circle, path))}")
            return
        leaf = leaves.get(path)
        if path in done or not is_range(leaf):
            return
        for target in leaf.when:
            visit(target, (*trail, path))
        done.add(path)

    for path in leaves:
        visit(path, ())
