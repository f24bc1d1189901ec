"""What the concrete classes say about their fields: type, known values, bounds, default. One source for all rooms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from automl_pheno.errors import known_names
from automl_pheno.space.config import Config, HeadBlock, TrunkBlock
from automl_pheno.space.ranges import Scalar, shown


def _by_name(union: Any) -> dict[str, type[Config]]:
    """Return the block classes of ``Annotated[Union[...], ...]`` by the name in their ``block:``."""
    inner = get_args(union)[0]
    return {member.model_fields["block"].default: member for member in get_args(inner) or (inner,)}


TRUNK_BLOCKS = _by_name(TrunkBlock)
"""Blocks of the trunk, by the name in ``block:``."""
HEAD_BLOCKS = _by_name(HeadBlock)
"""Blocks of the head, by the name in ``block:``."""
END_BLOCKS = frozenset({"flatten"})
"""The trunk ends in one of these and has it nowhere else."""

MAX_REPEAT = 100


class RepeatConfig(Config):
    """How often a block stands in the network; only a space has it, a concrete configuration is expanded."""

    repeat: int = Field(default=1, ge=0, le=MAX_REPEAT, description="How often the block stands in the network.")


Kind = Literal["whole", "number", "flag", "word", "text"]
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFacts:
    """One field of a concrete class.

    Attributes
    ----------
    kind
        ``whole`` (int), ``number`` (float), ``flag`` (bool), ``word`` (one of `words`), ``text``.
    bounds
        Pairs of a comparison and a limit, for example ``(">=", 1)``.
    default
        The value when the field is not written; None if it must be.
    """

    name: str
    kind: Kind
    words: tuple[Scalar, ...]
    bounds: tuple[tuple[str, float], ...]
    default: Scalar | None
    description: str


@cache
def field_facts(cls: type[BaseModel]) -> dict[str, FieldFacts]:
    """Return the scalar fields of a concrete class by the name that YAML uses, in the order of the class."""
    return {
        info.alias or name: facts
        for name, info in cls.model_fields.items()
        if (facts := _facts(info.alias or name, info)) is not None
    }


def searchable(cls: type[BaseModel]) -> dict[str, FieldFacts]:
    """Return the fields that may be a range: all but ``block``."""
    return {name: facts for name, facts in field_facts(cls).items() if name != "block"}


def _facts(name: str, info: FieldInfo) -> FieldFacts | None:
    annotation: Any = info.annotation
    words: tuple[Scalar, ...] = ()
    kinds: dict[Any, Kind] = {int: "whole", float: "number", bool: "flag", str: "text"}
    kind = kinds.get(annotation)
    if get_origin(annotation) is Literal:
        kind, words = "word", get_args(annotation)
    if kind is None:
        return None
    bounds = tuple(
        (sign, getattr(entry, key)) for entry in info.metadata for key, sign in _BOUNDS.items() if hasattr(entry, key)
    )
    default = None if info.default is PydanticUndefined else info.default
    return FieldFacts(
        name=name, kind=kind, words=words, bounds=bounds, default=default, description=info.description or ""
    )


_PLAIN_MESSAGES = {
    "int_type": "must be a whole number, got {got}",
    "int_from_float": "must be a whole number, got {got}",
    "float_type": "must be a number, got {got}",
    "bool_type": "must be true or false, got {got}",
    "string_type": "must be text, got {got}",
    "finite_number": "must be finite, got {got}",
    "greater_than": "must be > {gt}, got {got}",
    "greater_than_equal": "must be >= {ge}, got {got}",
    "less_than": "must be < {lt}, got {got}",
    "less_than_equal": "must be <= {le}, got {got}",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list, got {got}",
    "dict_type": "must be a mapping, got {got}",
    "missing": "is missing",
}


def explain(error: ErrorDetails) -> str:
    """Return what pydantic found in the words of this package: ``must be < 1, got 1.2``."""
    template = _PLAIN_MESSAGES.get(error["type"])
    if template is None:
        return f"{error['msg']}, got {shown(error['input'])}"
    limits = {
        key: f"{limit:g}" if isinstance(limit, (int, float)) else limit for key, limit in error.get("ctx", {}).items()
    }
    return template.format(got=shown(error["input"]), **limits)


def wrong_word(value: object, facts: FieldFacts) -> str:
    """Return the complaint about a value that is none of the field's words."""
    if not isinstance(value, str):
        return f"must be one of {', '.join(map(str, facts.words))}, got {shown(value)}"
    return f"unknown value {value!r}; {known_names(value, map(str, facts.words))}"
