"""A JSON Schema of search spaces for editors, made from the concrete classes."""

from __future__ import annotations

from typing import Any

from automl_pheno.space.config import CodingConfig, Config, FitConfig, ModelConfig
from automl_pheno.space.fields import (
    END_BLOCKS,
    HEAD_BLOCKS,
    TRUNK_BLOCKS,
    FieldFacts,
    RepeatConfig,
    field_facts,
    searchable,
)
from automl_pheno.space.ranges import Choice, FloatRange, IntRange

Json = dict[str, Any]
_TYPES = {"whole": "integer", "number": "number", "flag": "boolean", "word": "string", "text": "string"}
_LIMITS = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}
_CONDITION: Json = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "anyOf": [
            {"$ref": "#/$defs/scalar"},
            {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/scalar"}},
        ]
    },
    "description": "The leaf exists only while each of these leaves has one of these values.",
}


def json_schema() -> Json:
    """Return the JSON Schema (draft 2020-12) of a search space: each leaf is a value or a range of values.

    It knows names, types and bounds; conditions, steps and the order of blocks are checked by `load_space`.
    """
    header = field_facts(ModelConfig)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "automl-pheno search space",
        "type": "object",
        "additionalProperties": False,
        "required": ["trunk"],
        "properties": {
            "schema": {"const": 1, "description": header["schema"].description},
            "name": _value(header["name"]) | {"description": header["name"].description},
            "input": _value(header["input"]) | {"description": header["input"].description},
            **_leaves(CodingConfig),
            "trunk": _blocks("trunk", TRUNK_BLOCKS) | {"minItems": 1},
            "head": _blocks("head", HEAD_BLOCKS),
            "fit": {"type": "object", "additionalProperties": False, "properties": _leaves(FitConfig)},
        },
        "$defs": {
            "scalar": {"type": ["boolean", "number", "string"]},
            "when": _CONDITION,
            **{f"{name}_block": _block(name, cls) for name, cls in {**TRUNK_BLOCKS, **HEAD_BLOCKS}.items()},
        },
    }


def _blocks(part: str, known: dict[str, type[Config]]) -> Json:
    description = ModelConfig.model_fields[part].description or ""
    return {
        "type": "array",
        "items": {"oneOf": [{"$ref": f"#/$defs/{name}_block"} for name in known]},
        "description": description,
    }


def _block(name: str, cls: type[Config]) -> Json:
    properties: Json = {"block": {"const": name}}
    if name not in END_BLOCKS:
        ranges = sorted(searchable(cls))
        properties["repeat"] = _leaf(field_facts(RepeatConfig)["repeat"], conditional=False)
        properties["per_layer"] = {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"enum": ranges},
            "description": "Leaves drawn anew for each repeat.",
        }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["block"],
        "properties": properties | _leaves(cls),
        "description": (cls.__doc__ or "").strip(),
    }


def _leaves(cls: type[Config]) -> Json:
    return {name: _leaf(facts, conditional=True) for name, facts in searchable(cls).items()}


def _leaf(facts: FieldFacts, *, conditional: bool) -> Json:
    value = _value(facts)
    forms = [value, _range(Choice, {"values": _several(value), "default": value}, ["values"], conditional=conditional)]
    if facts.kind in ("whole", "number"):
        cls = IntRange if facts.kind == "whole" else FloatRange
        step = {"type": value["type"], "exclusiveMinimum": 0}
        keys: Json = {"min": value, "max": value, "step": step, "log": {"type": "boolean"}, "default": value}
        forms.append(_range(cls, keys, ["min", "max"], conditional=conditional))
    return {"anyOf": forms, "default": facts.default, "description": facts.description}


def _range(cls: type[Any], keys: Json, required: list[str], *, conditional: bool) -> Json:
    described = {key: {**form, "description": cls.model_fields[key].description} for key, form in keys.items()}
    if conditional:
        described["when"] = {"$ref": "#/$defs/when"}
    return {"type": "object", "additionalProperties": False, "required": required, "properties": described}


def _several(value: Json) -> Json:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": value}


def _value(facts: FieldFacts) -> Json:
    if facts.words:
        return {"enum": list(facts.words)}
    return {"type": _TYPES[facts.kind]} | {_LIMITS[sign]: limit for sign, limit in facts.bounds}
