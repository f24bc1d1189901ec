"""Strict YAML with the line of every value: YAML 1.2 scalars, no duplicate keys, no tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from automl_pheno.errors import SpaceError
from automl_pheno.space.ranges import Scalar

# YAML 1.2.2, section 10.3.2 (core schema), without octal and hexadecimal numbers.
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {"inf": float("inf"), "nan": float("nan")}
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))
_MAX_NODES = 20_000  # an alias that repeats itself exponentially ends here


@dataclass(frozen=True, slots=True)
class Located:
    """A value of the document and the line where it, or its key, stands (from 1).

    Attributes
    ----------
    value
        A scalar, None, a list of `Located` or a dict from key to `Located`.
    line
        Line of the key for a member of a mapping, else of the value.
    """

    value: Scalar | list[Located] | dict[str, Located] | None
    line: int

    def plain(self) -> object:
        """Return the value without lines."""
        if isinstance(self.value, dict):
            return {key: member.plain() for key, member in self.value.items()}
        if isinstance(self.value, list):
            return [member.plain() for member in self.value]
        return self.value


class Problems:
    """Collects what is wrong with one file, so that all of it is reported at once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, path: str, message: str) -> None:
        """Note that the value at `path` breaks a rule."""
        entry = (line, f"{self.source}:{line}: {path}: {message}" if path else f"{self.source}:{line}: {message}")
        if entry not in self._found:
            self._found.append(entry)

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self) -> None:
        """Raise a `SpaceError` with one line for each problem, in the order of the file."""
        if self._found:
            raise SpaceError("\n".join(text for _, text in sorted(self._found, key=lambda entry: entry[0])))


def decode(data: bytes, source: str) -> str:
    """Return `data` as text; `SpaceError` with the line if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        msg = f"{source}:{line}: the file must be UTF-8, got the byte 0x{data[error.start]:02x}"
        raise SpaceError(msg) from None


def parse_document(text: str, problems: Problems) -> Located:
    """Return the one document in `text`; `SpaceError` if there is none or it is not YAML."""
    node: yaml.Node | None = None
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(mark.line + 1 if mark else 1, "", _explain(error, text))
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        problems.add(text.count("\n", 0, position) + 1, "", "not YAML: a control character")
    problems.raise_if_any()
    if node is None:
        msg = f"{problems.source}:1: the file is empty"
        raise SpaceError(msg)
    located = _Builder(problems).build(node, "", ())
    problems.raise_if_any()
    return located


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark is not None:
        lines = text.splitlines()
        row = lines[mark.line] if mark.line < len(lines) else ""
        if row[: mark.column + 1].strip(" ").startswith("\t") or (mark.column < len(row) and row[mark.column] == "\t"):
            return "not YAML: a tab; indent with spaces"
    if "single document" in str(error.context or ""):
        return "one file holds one document, got a second one"
    return "not YAML: " + ", ".join(str(part) for part in (error.context, error.problem) if part)


def _scalar(text: str) -> Scalar | None:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    sign = -1.0 if text.startswith("-") else 1.0
    special = _SPECIAL.get(text.lstrip("+-")[1:].lower()) if text.lstrip("+-").startswith(".") else None
    return text if special is None else sign * special


class _Builder:
    """Turns the nodes of PyYAML into `Located` values."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._nodes = 0

    def build(self, node: yaml.Node, path: str, above: tuple[int, ...], line: int = 0) -> Located:
        line = line or node.start_mark.line + 1
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            self._problems.add(line, path, f"more than {_MAX_NODES} values; is an anchor repeated too often?")
            self._problems.raise_if_any()
        if id(node) in above:
            self._problems.add(line, path, "an alias must not contain itself")
            return Located(None, line)
        if node.tag not in _PLAIN_TAGS and node.tag != "tag:yaml.org,2002:merge":
            self._problems.add(line, path, f"tags are not understood here, got {node.tag!r}")
            return Located(None, line)
        inside = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return Located(self._mapping(node, path, inside), line)
        if isinstance(node, yaml.SequenceNode):
            members = enumerate(node.value)
            return Located([self.build(member, _join(path, str(i)), inside) for i, member in members], line)
        plain = getattr(node, "style", None) is None
        return Located(_scalar(node.value) if plain else str(node.value), line)

    def _mapping(self, node: yaml.MappingNode, path: str, above: tuple[int, ...]) -> dict[str, Located]:
        own: dict[str, Located] = {}
        merged: dict[str, Located] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.add(line, path, "a key must be a word")
                continue
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                for base in self._merged(value_node, path, above):
                    merged = {**base, **merged}
                continue
            here = _join(path, key)
            if key in own:
                self._problems.add(line, here, f"the key stands twice, first on line {own[key].line}")
                continue
            own[key] = self.build(value_node, here, above, line)
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: str, above: tuple[int, ...]) -> Iterator[dict[str, Located]]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.build(source, path, above).value
            if isinstance(value, dict):
                yield value
            else:
                self._problems.add(source.start_mark.line + 1, path, "<< takes a mapping")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
