"""Makers of `Suggest`: the one place that knows how Optuna and KerasTuner ask. Neither is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from automl_pheno.errors import SpaceError, known_names
from automl_pheno.space.ranges import Choice, FloatRange, IntRange, Range, Scalar
from automl_pheno.space.sample import Suggest
from automl_pheno.space.tree import SearchSpace, parameters


class OptunaTrial(Protocol):
    """What is used of ``optuna.trial.Trial``."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """See Optuna."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """See Optuna."""
        ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """See Optuna."""
        ...


class UniformSource(Protocol):
    """What is used of ``numpy.random.Generator`` or ``random.Random``."""

    def random(self) -> float:
        """Return a uniform number, 0 <= u < 1."""
        ...


def from_optuna(trial: OptunaTrial) -> Suggest:
    """Return a `Suggest` that asks an Optuna trial, under the same names and with the same limits."""

    def suggest(name: str, limits: Range) -> Scalar:
        if isinstance(limits, Choice):
            return limits.cast(trial.suggest_categorical(name, list(limits.values)))
        if isinstance(limits, IntRange):
            return int(trial.suggest_int(name, limits.min, limits.max, step=limits.step or 1, log=limits.log))
        return float(trial.suggest_float(name, limits.min, limits.max, step=limits.step, log=limits.log))

    return suggest


def from_keras_tuner(hp: Any, space: SearchSpace) -> Suggest:
    """Return a `Suggest` that reads a ``keras_tuner.HyperParameters``, in which the space is declared first.

    A hyperparameter that has no value in `hp` has the default of the space, so that ``hp`` before any search gives the
    hand-made configuration. (It also happens where KerasTuner oversteps the range of a parent, see `_within`, and takes
    the parameter for inactive.)
    """
    declare_hyperparameters(hp, space)

    def suggest(name: str, limits: Range) -> Scalar:
        if name not in hp.values:
            return limits.middle()
        try:
            return _within(limits, hp.values[name])
        except ValueError as error:
            msg = f"{name}: {error}"
            raise SpaceError(msg) from None

    return suggest


def declare_hyperparameters(hp: Any, space: SearchSpace) -> None:
    """Declare every parameter of the space in a ``keras_tuner.HyperParameters``: names, limits, defaults, conditions.

    ``when`` and ``repeat`` become KerasTuner's conditions on the value of another hyperparameter, so that ``hp.values``
    holds a name exactly when the parameter exists. A name that `hp` knows already is left as it is. A range of numbers
    with a step becomes an ordered choice of its values, since KerasTuner's sums of binary fractions overstep the
    largest value or lose it (0 to 0.3 in steps of 0.1 is 0, 0.1 and 0.2 there).
    """
    known = {found.name for found in hp.space}
    ranges = {parameter.name: parameter.range for parameter in parameters(space)}
    explored = len(hp.active_scopes), len(hp.inactive_scopes)
    outside = hp._conditions
    for parameter in parameters(space):
        if parameter.name in known:
            continue
        conditions = []
        for condition in parameter.conditions:
            values = [ranges[condition.parameter].cast(value) for value in condition.values]
            # KerasTuner looks for the parent among what was declared in the very scopes that are open.
            hp._conditions = list(next(p for p in hp.space if p.name == condition.parameter).conditions)
            with hp.conditional_scope(condition.parameter, values):
                conditions.append(hp._conditions[-1])
        hp._conditions = conditions
        _declare(hp, parameter.name, parameter.range)
    hp._conditions = outside
    # A tuner builds a network for each scope that it finds here, to see what else is in it; all is declared by now.
    del hp.active_scopes[explored[0] :], hp.inactive_scopes[explored[1] :]


def _declare(hp: Any, name: str, limits: Range) -> None:
    default = limits.middle()
    if isinstance(limits, Choice):
        if set(limits.values) == {True, False} and isinstance(limits.values[0], bool):
            hp.Boolean(name, default=default)
        else:
            hp.Choice(name, list(limits.values), default=default)
    elif isinstance(limits, IntRange):
        sampling = "log" if limits.log else "linear"
        hp.Int(name, limits.min, limits.max, step=limits.step, sampling=sampling, default=default)
    elif (count := limits.count()) is not None:
        hp.Choice(name, [limits.at(index) for index in range(count)], ordered=True, default=default)
    else:
        hp.Float(name, limits.min, limits.max, sampling="log" if limits.log else "linear", default=default)


def _within(limits: Range, value: Any) -> Scalar:
    """Return a value of KerasTuner as one of the range.

    At the upper end of a logarithmic range of whole numbers KerasTuner gives one more than the largest, and elsewhere
    a number that rounding puts next to a limit.
    """
    if isinstance(limits, IntRange) and limits.log and value == limits.max + 1:
        return limits.max
    if isinstance(limits, FloatRange) and limits.step is None:
        for limit in (limits.min, limits.max):
            if math.isclose(value, limit, rel_tol=1e-12):
                return limit
    return limits.cast(value)


def from_values(values: Mapping[str, object]) -> Suggest:
    """Return a `Suggest` that replays `values`: parameter name -> value.

    Raises
    ------
    SpaceError
        When asked for a name that `values` lacks, or when its value lies outside the range.
    """

    def suggest(name: str, limits: Range) -> Scalar:
        if name not in values:
            msg = f"{name}: no value given; {known_names(name, values)}"
            raise SpaceError(msg)
        try:
            return limits.cast(values[name])
        except ValueError as error:
            msg = f"{name}: {error}"
            raise SpaceError(msg) from None

    return suggest


def from_rng(source: UniformSource) -> Suggest:
    """Return a `Suggest` that draws at random: uniform over the range, or over its logarithm with ``log``."""

    def suggest(name: str, limits: Range) -> Scalar:  # noqa: ARG001 - the signature of Suggest
        return limits.draw(float(source.random()))

    return suggest
