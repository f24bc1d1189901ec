"""From one value of the document to a leaf of the space: a checked concrete value or a checked range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from automl_pheno.errors import known_names
from automl_pheno.space.config import CodingConfig, Config
from automl_pheno.space.document import Located, Problems
from automl_pheno.space.fields import FieldFacts, explain, searchable, wrong_word
from automl_pheno.space.ranges import Choice, FloatRange, IntRange, Leaf, Range, RangeProblemsError, Scalar, shown

Add = Callable[[str, str], None]
"""``add(key, message)``: notes a problem at a key of the range."""
_CHOICE_KEYS = ("values", "default", "when")
_BOUND_KEYS = ("min", "max", "step", "log", "default", "when")
_AT_THE_TOP = searchable(CodingConfig)
RANGE_KEYS = tuple(dict.fromkeys(_CHOICE_KEYS + _BOUND_KEYS))
_FOREIGN_KEYS = {
    "distribution": "values makes a choice, min and max a range, log: true a logarithmic one (W&B's distribution)",
    "value": "write the value itself, without a mapping (W&B's value)",
    "parameters": "nest the leaves directly (W&B's parameters)",
    "q": "write step (W&B's q)",
    "mu": "normal distributions are not searched; write min and max",
    "sigma": "normal distributions are not searched; write min and max",
    "probabilities": "all values are equally likely; leave it out",
    "low": "write min (Optuna's low)",
    "high": "write max (Optuna's high)",
    "lower": "write min",
    "upper": "write max",
    "choices": "write values",
    "min_value": "write min (KerasTuner's min_value)",
    "max_value": "write max (KerasTuner's max_value)",
    "sampling": "write log: true (KerasTuner's sampling)",
    "_type": "write values, or min and max (NNI's _type)",
    "_value": "write values, or min and max (NNI's _value)",
}


def read_leaf(located: Located, cls: type[Config], name: str, path: str, problems: Problems) -> Leaf | None:
    """Return the leaf for the field `name` of `cls`, or None after noting what is wrong with it."""
    value = located.value
    facts = searchable(cls)[name]
    if value is None:
        problems.add(located.line, path, "has no value")
        return None
    if isinstance(value, list):
        text = shown(located.plain())
        problems.add(
            located.line, path, f"must be one value or a range, got a list; to search write {{values: {text}}}"
        )
        return None
    if isinstance(value, dict):
        return _read_range(located, value, cls, facts, path, problems)
    complaint = _complaint(cls, facts, value)
    if complaint is not None:
        problems.add(located.line, path, complaint)
        return None
    return float(value) if facts.kind == "number" else value


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the complaint about a key, with the hint for keys of other tools."""
    if key in _FOREIGN_KEYS:
        return f"unknown key {key!r}: {_FOREIGN_KEYS[key]}"
    return f"unknown key {key!r}; {known_names(key, known)}"


def _complaint(cls: type[Config], facts: FieldFacts, value: object) -> str | None:
    """Return why the concrete class refuses `value` for the field, or None."""
    try:
        cls.model_validate({facts.name: value}, strict=True)
    except ValidationError as error:
        return wrong_word(value, facts) if facts.kind == "word" else explain(error.errors()[0])
    return None


def _read_range(
    located: Located, members: dict[str, Located], cls: type[Config], facts: FieldFacts, path: str, problems: Problems
) -> Range | None:
    before = len(problems)

    def add(key: str, message: str) -> None:
        problems.add(members[key].line if key in members else located.line, path, message)

    _check_keys(members, facts, add)
    if len(problems) > before:
        return None
    is_choice = "values" in members
    raw: dict[str, Any] = {key: member.plain() for key, member in members.items()}
    if "when" in raw:
        raw["when"] = _read_when(members["when"], path, problems)
    if is_choice:
        _check_values(members["values"], path, problems)
    if len(problems) > before:
        return None
    limits = _build(is_choice, facts, raw, add)
    if limits is not None:
        _check_corners(limits, cls, facts, add)
    return limits if len(problems) == before else None


def _check_keys(members: Mapping[str, Located], facts: FieldFacts, add: Add) -> None:
    """Note keys that no range has, or that do not go together."""
    bounds = [key for key in ("min", "max", "step", "log") if key in members]
    for key, member in members.items():
        if key not in RANGE_KEYS:
            add(key, unknown_key(key, RANGE_KEYS))
        elif member.value is None:
            add(key, f"{key} has no value")
    if "values" in members:
        if bounds:
            add(bounds[0], f"a range has either values, or min and max, got values and {', '.join(bounds)}")
    elif bounds and facts.kind in ("word", "flag", "text"):
        words = f"; known: {', '.join(map(str, facts.words))}" if facts.words else ""
        add(bounds[0], f"takes values, not {' and '.join(bounds)}{words}")
    elif set(members) <= set(RANGE_KEYS):
        missing = [key for key in ("min", "max") if key not in members]
        if missing:
            add("", f"{missing[0]} is missing" if len(missing) == 1 else "a range needs values, or min and max")


def _read_when(located: Located, path: str, problems: Problems) -> dict[str, list[Scalar]]:
    """Return the conditions with absolute paths: a bare name is a sibling, or stands at the top."""
    if not isinstance(located.value, dict) or not located.value:
        got = shown(located.plain())
        problems.add(located.line, path, f"when must be a mapping from a path to a value or a list, got {got}")
        return {}
    conditions = {}
    for target, wanted in located.value.items():
        values = wanted.value if isinstance(wanted.value, list) else [wanted]
        plain = [value.plain() for value in values]
        if not plain or any(v is None or isinstance(v, (list, dict)) for v in plain):
            message = f"when: {target} must be given a value or a list of values, got {shown(wanted.plain())}"
            problems.add(wanted.line, path, message)
        parent = path.rpartition(".")[0]
        absolute = target if "." in target or target in _AT_THE_TOP or not parent else f"{parent}.{target}"
        conditions[absolute] = plain
    return conditions  # type: ignore[return-value]


def _check_values(located: Located, path: str, problems: Problems) -> None:
    if not isinstance(located.value, list):
        problems.add(located.line, path, f"values must be a list, got {shown(located.plain())}")
        return
    for member in located.value:
        if member.value is None:
            problems.add(member.line, path, "values must not hold nothing (null); leave it out, or quote the word")
        elif isinstance(member.value, (list, dict)):
            problems.add(member.line, path, f"values must hold single values, got {shown(member.plain())}")


def _build(is_choice: bool, facts: FieldFacts, raw: dict[str, Any], add: Add) -> Range | None:  # noqa: FBT001 - private
    try:
        if is_choice:
            if facts.kind == "number":
                raw = raw | {"values": [float(v) if type(v) is int else v for v in raw["values"]]}
                if type(raw.get("default")) is int:
                    raw["default"] = float(raw["default"])
            return Choice(**raw)
        return IntRange(**raw) if facts.kind == "whole" else FloatRange(**raw)
    except ValidationError as error:
        for found in error.errors():
            cause = found.get("ctx", {}).get("error")
            if isinstance(cause, RangeProblemsError):
                for key, message in cause.problems:
                    add(key, message)
            else:
                key = str(found["loc"][0])
                add(key, f"{key} {explain(found)}")
    return None


def _check_corners(limits: Range, cls: type[Config], facts: FieldFacts, add: Add) -> None:
    """Substitute each corner of the range into the concrete class."""
    for corner in limits.corners():
        complaint = _complaint(cls, facts, corner)
        if complaint is None:
            continue
        if isinstance(limits, Choice):
            add("values", f"values: {complaint}")
        else:
            key = "min" if corner == limits.min else "max" if corner == limits.max else "default"
            add(key, f"{key} {complaint}")
