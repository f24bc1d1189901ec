"""How large a space is: its smallest and largest network, and how many configurations it holds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from automl_pheno.errors import InfeasibleError
from automl_pheno.space.ranges import Choice, Scalar
from automl_pheno.space.sample import configuration, default_values, draw
from automl_pheno.space.size import NetworkSize, network_size
from automl_pheno.space.suggest import UniformSource, from_rng
from automl_pheno.space.tree import Condition, Parameter, SearchSpace, parameters

_DRAWS = 500
_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceExtent:
    """What a space contains, for one input width.

    Attributes
    ----------
    smallest, largest
        By trainable weights, then by memory.
    default
        The hand-made configuration; None if it is not feasible for this width.
    parameters, unconditional
        Names that can ever be asked for, and those that always are.
    configurations
        Number of distinct configurations; None if a range is continuous.
    draws, infeasible
        Random draws made, and how many of them cannot become a network.
    reasons
        Why not, with counts, the most frequent first.
    """

    smallest: NetworkSize
    largest: NetworkSize
    default: NetworkSize | None
    parameters: int
    unconditional: int
    configurations: int | None
    draws: int
    infeasible: int
    reasons: tuple[tuple[str, int], ...]


def space_extent(space: SearchSpace, width: int, rng: UniformSource | None = None) -> SpaceExtent:
    """Return the extent of a space for inputs of `width` bp or variants.

    Random draws are followed by a walk along one parameter at a time through its corners, from the most extreme
    draw: exact where each parameter makes networks larger or smaller whatever the others are.

    Raises
    ------
    InfeasibleError
        No configuration found can become a network for this width; gives the most frequent reason.
    """
    suggest = from_rng(random.Random(0) if rng is None else rng)
    asked = parameters(space)
    draws = _DRAWS if asked else 0
    default = default_values(space)
    sized: list[tuple[tuple[int, int], dict[str, Scalar]]] = []
    reasons: Counter[str] = Counter()
    infeasible = 0
    for number in range(draws + 1):
        values = draw(space, suggest) if number else default
        try:
            sized.append((_rank(_size(space, values, width)), values))
        except InfeasibleError as error:
            infeasible += number > 0
            reasons[str(error)] += 1
    if not sized:
        reason, _ = reasons.most_common(1)[0]
        msg = f"no network of the space fits inputs of width {width}: {reason}"
        raise InfeasibleError(msg)
    smallest = _walk(space, width, min(sized, key=lambda entry: entry[0]), sign=1)
    largest = _walk(space, width, max(sized, key=lambda entry: entry[0]), sign=-1)
    return SpaceExtent(
        smallest=_size(space, smallest, width),
        largest=_size(space, largest, width),
        default=_size(space, default, width) if sized[0][1] is default else None,
        parameters=len(asked),
        unconditional=sum(not parameter.conditions for parameter in asked),
        configurations=count_configurations(space),
        draws=draws,
        infeasible=infeasible,
        reasons=tuple(reasons.most_common()),
    )


def _size(space: SearchSpace, values: Mapping[str, Scalar], width: int) -> NetworkSize:
    return network_size(configuration(space, values), width)


def _rank(size: NetworkSize) -> tuple[int, int]:
    return size.weights, size.memory_bytes


def _walk(
    space: SearchSpace, width: int, start: tuple[tuple[int, int], dict[str, Scalar]], *, sign: int
) -> dict[str, Scalar]:
    """Return the values reached by changing one parameter at a time while that helps."""
    best, values = start
    wished = dict(values)  # also remembers values of parameters that are not active at the moment
    for _ in range(_ROUNDS):
        before = best
        for parameter in parameters(space):
            for corner in parameter.range.corners():
                if wished.get(parameter.name) == corner:
                    continue
                changed = {**wished, parameter.name: corner}
                drawn = draw(space, lambda name, limits, c=changed: c.get(name, limits.middle()))  # type: ignore[misc]
                try:
                    rank = _rank(_size(space, drawn, width))
                except InfeasibleError:
                    continue
                if (sign * rank[0], sign * rank[1]) < (sign * best[0], sign * best[1]):
                    best, values, wished = rank, drawn, changed
        if best == before:
            break
    return values


def count_configurations(space: SearchSpace) -> int | None:
    """Return the number of distinct sets of active parameter values; None if a range is continuous."""
    if any(parameter.range.count() is None for parameter in parameters(space)):
        return None
    return _count(parameters(space))


def _count(asked: Sequence[Parameter]) -> int:
    return prod(_count_connected(group) for group in _groups(asked))


def _count_connected(group: Sequence[Parameter]) -> int:
    """Return the count of parameters tied by conditions: fix the first, count the rest for each of its values."""
    first, *rest = group
    if not rest:
        return first.range.count() or 1
    total = 0
    for values, number in _alike(first, rest):
        active: list[Parameter] = []
        names = {first.name} | {parameter.name for parameter in rest}
        for parameter in rest:
            on_first = [c for c in parameter.conditions if c.parameter == first.name]
            others = tuple(c for c in parameter.conditions if c.parameter != first.name)
            gone = any(c.parameter not in names for c in others)  # it depends on one that is not active
            if gone or not all(c.holds({first.name: values}) for c in on_first):
                names.discard(parameter.name)
                continue
            active.append(replace(parameter, conditions=others))
        total += number * _count(active)
    return total


def _alike(first: Parameter, rest: Sequence[Parameter]) -> Iterator[tuple[Scalar, int]]:
    """Yield one value of `first` for each way it can switch the rest on and off, and how many values do so."""
    conditions: list[Condition] = [c for p in rest for c in p.conditions if c.parameter == first.name]
    named = {value for condition in conditions for value in condition.values}
    if isinstance(first.range, Choice):
        candidates = list(first.range.values)
    else:
        candidates = [value for value in named if _inside(first, value)]
    for value in candidates:
        yield value, 1
    left = (first.range.count() or 0) - len(candidates)
    if left and not isinstance(first.range, Choice):
        limits = first.range
        yield next(v for i in range(left + len(candidates)) if (v := limits.at(i)) not in named), left


def _inside(parameter: Parameter, value: Scalar) -> bool:
    try:
        parameter.range.cast(value)
    except ValueError:
        return False
    return True


def _groups(asked: Sequence[Parameter]) -> list[list[Parameter]]:
    """Return the parameters in groups that share no condition, each in the order of `asked`."""
    group_of: dict[str, int] = {}
    groups: dict[int, list[Parameter]] = {}
    for number, parameter in enumerate(asked):
        tied = {group_of[c.parameter] for c in parameter.conditions if c.parameter in group_of}
        merged = [member for g in sorted(tied) for member in groups.pop(g)]
        groups[number] = [*merged, parameter]
        group_of.update({member.name: number for member in groups[number]})
    order = {parameter.name: number for number, parameter in enumerate(asked)}
    return [sorted(group, key=lambda member: order[member.name]) for group in groups.values()]
