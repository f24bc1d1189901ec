"""What may stand in place of a value in a search space: a choice, a range of whole numbers, a range of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeGuard, Union

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

Scalar = Union[bool, int, float, str]
StrictWhole = Annotated[int, Strict()]
StrictNumber = Annotated[float, Strict()]

_GRID_TOLERANCE = 1e-6  # of a step
_LONGEST_SHOWN = 60


class RangeProblemsError(ValueError):
    """A range breaks one or more rules; `problems` has the offending key and a sentence for each."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(message for _, message in self.problems))


def shown(value: object) -> str:
    """Return `value` the way YAML writes it: ``true``, ``'relu'``, ``[1, 2]``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(shown(v) for v in value)}]"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def same_value(first: object, second: object) -> bool:
    """Return whether two scalars are equal, holding ``true`` and ``1`` apart."""
    return isinstance(first, bool) == isinstance(second, bool) and first == second


class _Range(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    when: dict[str, tuple[Scalar, ...]] = Field(
        default_factory=dict, description="The leaf exists only while each of these leaves has one of these values."
    )

    @field_validator("when", mode="before")
    @classmethod
    def _one_or_many(cls, when: Any) -> Any:
        if not isinstance(when, dict):
            return when
        return {path: v if isinstance(v, (list, tuple)) else (v,) for path, v in when.items()}


class Choice(_Range):
    """One of a few values of one type; the order has no meaning to the search."""

    values: tuple[Scalar, ...] = Field(description="The values to choose from, all of one type.")
    default: Scalar | None = Field(default=None, description="Tried first; the first value when not given.")

    @model_validator(mode="before")
    @classmethod
    def _one_number_type(cls, data: Any) -> Any:
        values = data.get("values") if isinstance(data, dict) else None
        if not isinstance(values, (list, tuple)) or {type(v) for v in values} != {int, float}:
            return data
        data = {**data, "values": [float(v) for v in values]}
        if type(data.get("default")) is int:
            data["default"] = float(data["default"])
        return data

    @model_validator(mode="after")
    def _check(self) -> Choice:
        problems = []
        types = sorted({type(v).__name__ for v in self.values})
        if not self.values:
            problems.append(("values", "values must not be empty"))
        elif len(types) > 1:
            problems.append(("values", f"values must be of one type, got {shown(self.values)} ({', '.join(types)})"))
        elif len(set(self.values)) < len(self.values):
            twice = next(v for v in self.values if self.values.count(v) > 1)
            problems.append(("values", f"values must differ, got {shown(twice)} twice"))
        elif self.default is not None and not any(same_value(self.default, v) for v in self.values):
            message = f"default must be one of the values {shown(self.values)}, got {shown(self.default)}"
            problems.append(("default", message))
        if problems:
            raise RangeProblemsError(problems)
        return self

    def count(self) -> int:
        """Return the number of values."""
        return len(self.values)

    def at(self, index: int) -> Scalar:
        """Return the value at `index`, from 0."""
        return self.values[index]

    def corners(self) -> tuple[Scalar, ...]:
        """Return every value: a choice has no order, so each is a corner."""
        return self.values

    def middle(self) -> Scalar:
        """Return the default, or the first value."""
        return self.values[0] if self.default is None else self.default

    def cast(self, value: object) -> Scalar:
        """Return `value` as the member it equals; ValueError if it is none."""
        for member in self.values:
            if member == value and isinstance(member, str) == isinstance(value, str):
                return member
        msg = f"must be one of {shown(self.values)}, got {shown(value)}"
        raise ValueError(msg)

    def draw(self, u: float) -> Scalar:
        """Return the value at the fraction `u`, 0 <= u < 1, of the range."""
        return self.values[int(u * len(self.values))]


class IntRange(_Range):
    """Whole numbers from `min` to `max`, both included."""

    min: StrictWhole = Field(description="Smallest value.")
    max: StrictWhole = Field(description="Largest value.")
    step: StrictWhole | None = Field(default=None, description="Distance of two values; 1 when not given.")
    log: Annotated[bool, Strict()] = Field(default=False, description="Search evenly over the logarithm.")
    default: StrictWhole | None = Field(default=None, description="Tried first; the middle when not given.")

    @model_validator(mode="after")
    def _check(self) -> IntRange:
        _check_bounds(self)
        return self

    def count(self) -> int:
        """Return the number of values."""
        return (self.max - self.min) // (self.step or 1) + 1

    def at(self, index: int) -> int:
        """Return the value at `index`, from 0."""
        return self.min + index * (self.step or 1)

    def corners(self) -> tuple[int, ...]:
        """Return the smallest and the largest value, and the default where one is given."""
        return (self.min, self.max) if self.default is None else (self.min, self.max, self.default)

    def middle(self) -> int:
        """Return the default, or the value nearest the arithmetic (log: geometric) middle."""
        if self.default is not None:
            return self.default
        if self.log:
            return max(self.min, min(self.max, round(math.sqrt(self.min * self.max))))
        return self.at((self.count() - 1) // 2)

    def cast(self, value: object) -> int:
        """Return `value` as an int of the range; ValueError if it is none."""
        number = _number(value)
        if number is None or number != int(number):
            msg = f"must be a whole number, got {shown(value)}"
            raise ValueError(msg)
        whole = int(number)
        if not self.min <= whole <= self.max or (whole - self.min) % (self.step or 1):
            raise ValueError(_outside(self, value))
        return whole

    def draw(self, u: float) -> int:
        """Return the value at the fraction `u`, 0 <= u < 1, of the range."""
        if not self.log:
            return self.at(int(u * self.count()))
        low, high = math.log(self.min - 0.5), math.log(self.max + 0.5)
        return max(self.min, min(self.max, round(math.exp(low + u * (high - low)))))


class FloatRange(_Range):
    """Numbers from `min` to `max`, both included."""

    min: StrictNumber = Field(description="Smallest value.")
    max: StrictNumber = Field(description="Largest value.")
    step: StrictNumber | None = Field(default=None, description="Distance of two values; continuous when not given.")
    log: Annotated[bool, Strict()] = Field(default=False, description="Search evenly over the logarithm.")
    default: StrictNumber | None = Field(default=None, description="Tried first; the middle when not given.")

    @model_validator(mode="after")
    def _check(self) -> FloatRange:
        _check_bounds(self)
        return self

    def count(self) -> int | None:
        """Return the number of values; None if continuous."""
        return None if self.step is None else round((self.max - self.min) / self.step) + 1

    def at(self, index: int) -> float:
        """Return the value at `index`, from 0, without the noise of binary fractions; needs a step."""
        return float(Decimal(repr(self.min)) + index * Decimal(repr(self.step or 0.0)))

    def corners(self) -> tuple[float, ...]:
        """Return the smallest and the largest value, and the default where one is given."""
        return (self.min, self.max) if self.default is None else (self.min, self.max, self.default)

    def middle(self) -> float:
        """Return the default, or the value nearest the arithmetic (log: geometric) middle, to 6 digits."""
        if self.default is not None:
            return self.default
        count = self.count()
        if count is not None:
            return self.at((count - 1) // 2)
        centre = math.exp((math.log(self.min) + math.log(self.max)) / 2) if self.log else (self.min + self.max) / 2
        return max(self.min, min(self.max, float(f"{centre:.6g}")))

    def cast(self, value: object) -> float:
        """Return `value` as a float of the range; ValueError if it is none."""
        number = _number(value)
        if number is None:
            msg = f"must be a number, got {shown(value)}"
            raise ValueError(msg)
        if not self.min <= number <= self.max or not _on_grid(number, self.min, self.step):
            raise ValueError(_outside(self, value))
        return number

    def draw(self, u: float) -> float:
        """Return the value at the fraction `u`, 0 <= u < 1, of the range."""
        count = self.count()
        if count is not None:
            return self.at(int(u * count))
        if not self.log:
            return self.min + u * (self.max - self.min)
        low, high = math.log(self.min), math.log(self.max)
        return max(self.min, min(self.max, math.exp(low + u * (high - low))))


Range = Union[Choice, IntRange, FloatRange]
Leaf = Union[Scalar, Range]


def is_range(leaf: object) -> TypeGuard[Range]:
    """Return whether a leaf is searched rather than fixed."""
    return isinstance(leaf, (Choice, IntRange, FloatRange))


def _number(value: object) -> float | None:
    if isinstance(value, (bool, str)) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def _on_grid(value: float, low: float, step: float | None) -> bool:
    if step is None:
        return True
    steps = (value - low) / step
    return abs(steps - round(steps)) < _GRID_TOLERANCE


def _outside(limits: IntRange | FloatRange, value: object) -> str:
    grid = f" in steps of {limits.step}" if limits.step else ""
    return f"must be {limits.min} to {limits.max}{grid}, got {shown(value)}"


def _check_bounds(limits: IntRange | FloatRange) -> None:
    problems: list[tuple[str, str]] = []
    low, high, step, default = limits.min, limits.max, limits.step, limits.default
    if low == high:
        problems.append(("max", f"max must be > min, got {low} for both; write the value itself"))
    elif low > high:
        problems.append(("max", f"max must be > min ({low}), got {high}"))
    if limits.log and low <= 0:
        problems.append(("min", f"min must be > 0 with log, got {low}"))
    if step is not None and step <= 0:
        problems.append(("step", f"step must be > 0, got {step}"))
    elif step is not None and limits.log:
        message = "step and log exclude each other (Optuna and KerasTuner disagree on their meaning); leave one out"
        problems.append(("step", message))
    elif step is not None and low < high and not _on_grid(high, low, step):
        last = float(Decimal(repr(low)) + math.floor((high - low) / step) * Decimal(repr(step)))
        shown_last = int(last) if isinstance(limits, IntRange) else last
        problems.append(
            ("step", f"step {step} does not reach max {high} from min {low}; the last value is {shown_last}")
        )
    elif default is not None and low < high:
        if not low <= default <= high:
            problems.append(("default", f"default must be {low} to {high}, got {default}"))
        elif not _on_grid(default, low, step):
            problems.append(("default", f"default must be min {low} plus whole steps of {step}, got {default}"))
    if problems:
        raise RangeProblemsError(problems)
