"""Makers of `Suggest`: the one place that knows how Optuna and KerasTuner ask. Neither is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from automl_pheno.errors import SpaceError, known_names
from automl_pheno.space.ranges import Choice, IntRange, Range, Scalar
from automl_pheno.space.sample import Suggest


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


def from_keras_tuner(hp: Any) -> Suggest:
    """Return a `Suggest` that asks a ``keras_tuner.HyperParameters``, under the same names and with the same limits.

    KerasTuner's default of each hyperparameter is the default of the space, so that ``hp`` before any search
    gives the hand-made configuration.
    """

    def suggest(name: str, limits: Range) -> Scalar:
        default = limits.middle()
        if isinstance(limits, Choice):
            if set(limits.values) == {True, False} and isinstance(limits.values[0], bool):
                return bool(hp.Boolean(name, default=default))
            # KerasTuner turns booleans into 0 and 1; `cast` turns them back.
            return limits.cast(hp.Choice(name, list(limits.values), default=default))
        sampling = "log" if limits.log else "linear"
        ask = hp.Int if isinstance(limits, IntRange) else hp.Float
        value = ask(name, limits.min, limits.max, step=limits.step, sampling=sampling, default=default)
        return int(value) if isinstance(limits, IntRange) else float(value)

    return suggest


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
