"""From a YAML file to a checked `SearchSpace`, or to every problem it has, each with its line and path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from automl_pheno.errors import SpaceError, known_names
from automl_pheno.space.conditions import check_conditions
from automl_pheno.space.config import CodingConfig, Config, FitConfig, ModelConfig
from automl_pheno.space.document import Located, Problems, decode, parse_document
from automl_pheno.space.fields import (
    END_BLOCKS,
    HEAD_BLOCKS,
    TRUNK_BLOCKS,
    RepeatConfig,
    field_facts,
    searchable,
    wrong_word,
)
from automl_pheno.space.leaves import read_leaf, unknown_key
from automl_pheno.space.ranges import Choice, IntRange, Leaf, is_range, shown
from automl_pheno.space.tree import SearchSpace, SpaceBlock

_TOP_KEYS = ("schema", "name", "input", "coding", "trunk", "head", "fit")
_TOP_HINTS = {
    "parameters": "nest the leaves under trunk, head and fit (W&B's parameters)",
    "method": "the engine is chosen with --engine, not in the space (W&B's method)",
    "metric": "the metric belongs to the study file, not to the space (W&B's metric)",
    "early_terminate": "the pruner belongs to the study file, not to the space (W&B's early_terminate)",
    "space": "write trunk, head and fit at the top",
}
_BLOCK_KEYS = ("block", "repeat", "per_layer")


def load_space(path: str | Path) -> SearchSpace:
    """Return the search space in a YAML file.

    Raises
    ------
    SpaceError
        The file cannot be read or breaks a rule; one line for each problem,
        ``search_spaces/cnn.yaml:9: trunk.0.kernel_size: step must be > 0, got 0``.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        folder = file.parent
        names = [p.name for p in folder.glob("*.y*ml")] if folder.is_dir() else []
        hint = f"; {known_names(file.name, names)}" if names else ""
        msg = f"{path}: no such file{hint}"
        raise SpaceError(msg) from None
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise SpaceError(msg) from None
    return parse_space(decode(data, str(path)), str(path))


def parse_space(text: str, name: str = "space") -> SearchSpace:
    """Return the search space in `text`; `name` is what errors call it.

    Raises
    ------
    SpaceError
        As `load_space`.
    """
    reader = _Reader(Problems(name))
    space = reader.read(parse_document(text, reader.problems))
    reader.problems.raise_if_any()
    return space


@dataclass(slots=True)
class _Reader:
    problems: Problems
    broken: set[str] = field(default_factory=set)
    when_lines: dict[str, int] = field(default_factory=dict)

    def read(self, root: Located) -> SearchSpace:
        members = self._mapping(root, "")
        for key, member in members.items():
            if key not in _TOP_KEYS:
                hint = f": {_TOP_HINTS[key]}" if key in _TOP_HINTS else f"; {known_names(key, _TOP_KEYS)}"
                self.problems.add(member.line, key, f"unknown key {key!r}{hint}")
        stem = Path(self.problems.source).stem
        self._header(members, "schema")
        kind = cast("Literal['sequence', 'genotype']", self._header(members, "input") or "sequence")
        space = SearchSpace(
            name=str(self._header(members, "name") or stem),
            input=kind,
            coding=self._coding(members, kind),
            trunk=self._blocks(members, "trunk", TRUNK_BLOCKS),
            head=self._blocks(members, "head", HEAD_BLOCKS),
            fit=self._leaves(self._mapping(members["fit"], "fit"), FitConfig, "fit", ()) if "fit" in members else {},
            source=self.problems.source,
        )
        if "trunk" not in members:
            self.problems.add(root.line, "trunk", "is missing; it lists the blocks from the input on")
        check_conditions(space, self.when_lines, self.broken, self.problems)
        return space

    def _mapping(self, located: Located, path: str) -> dict[str, Located]:
        if isinstance(located.value, dict):
            return located.value
        subject = "" if path else "the file "
        self.problems.add(located.line, path, f"{subject}must be a mapping (key: value), got {shown(located.plain())}")
        return {}

    def _header(self, members: Mapping[str, Located], key: str) -> object:
        """Return the value of ``schema``, ``name`` or ``input``; None if absent or wrong."""
        if key not in members:
            return None
        value, line = members[key].plain(), members[key].line
        facts = field_facts(ModelConfig)[key]
        if isinstance(value, dict):
            self.problems.add(line, key, "must be one value, not a range")
        elif key == "schema" and (isinstance(value, bool) or value != 1):
            self.problems.add(line, key, f"this version reads schema 1, got {shown(value)}")
        elif key == "name" and (not isinstance(value, str) or not value.strip()):
            self.problems.add(line, key, f"must be text, got {shown(value)}")
        elif key == "input" and value not in facts.words:
            self.problems.add(line, key, wrong_word(value, facts))
        else:
            return value
        return None

    def _coding(self, members: Mapping[str, Located], kind: str) -> dict[str, Leaf]:
        if "coding" not in members:
            return {}
        if kind == "sequence":
            self.problems.add(members["coding"].line, "coding", "is about genotypes; leave it out for input: sequence")
            self.broken.add("coding")
            return {}
        return self._leaves({"coding": members["coding"]}, CodingConfig, "", ())

    def _blocks(
        self, members: Mapping[str, Located], part: str, known: Mapping[str, type[Config]]
    ) -> tuple[SpaceBlock, ...]:
        if part not in members:
            return ()
        located = members[part]
        if not isinstance(located.value, list):
            self.problems.add(
                located.line, part, f"must be a list of blocks (- block: ...), got {shown(located.plain())}"
            )
            return ()
        found = []
        kinds = []
        for number, member in enumerate(located.value):
            path = f"{part}.{number}"
            kind = self._kind(member, part, path, known)
            kinds.append((kind, path, member.line))
            if kind in known:
                found.append(self._block(self._mapping(member, path), kind, path, known[kind], member.line))
        if part == "trunk":
            self._check_trunk(kinds, located.line)
        return tuple(found)

    def _kind(self, located: Located, part: str, path: str, known: Mapping[str, type[Config]]) -> str:
        """Return the word in ``block:``; "" if it is absent or wrong."""
        if not isinstance(located.value, dict):
            self._mapping(located, path)
            return ""
        if "block" not in located.value:
            self.problems.add(located.line, path, f"block is missing; known: {', '.join(known)}")
            return ""
        block = located.value["block"]
        elsewhere = {"trunk": HEAD_BLOCKS, "head": TRUNK_BLOCKS}[part]
        kind = block.value
        if isinstance(kind, str) and kind in known:
            return kind
        if isinstance(kind, dict):
            self.problems.add(block.line, f"{path}.block", "must be written out, not a range")
        elif isinstance(kind, str) and kind in elsewhere:
            other = "head" if part == "trunk" else "trunk"
            self.problems.add(block.line, f"{path}.block", f"a {kind} block stands in the {other}, not in the {part}")
        elif isinstance(kind, str):
            self.problems.add(block.line, f"{path}.block", f"unknown block {kind!r}; {known_names(kind, known)}")
        else:
            self.problems.add(
                block.line, f"{path}.block", f"must be one of {', '.join(known)}, got {shown(block.plain())}"
            )
        return ""

    def _check_trunk(self, kinds: list[tuple[str, str, int]], line: int) -> None:
        if not kinds:
            self.problems.add(line, "trunk", "must hold at least one block")
            return
        ends = [path for kind, path, _ in kinds if kind in END_BLOCKS]
        for kind, path, at in kinds:
            if kind and ends and path != ends[0] and int(path.split(".")[1]) > int(ends[0].split(".")[1]):
                end = next(k for k, p, _ in kinds if p == ends[0])
                self.problems.add(at, path, f"{kind} cannot follow {end} ({ends[0]}), which leaves no positions")
        last, path, at = kinds[-1]
        if last and not ends:
            self.problems.add(at, path, f"the trunk must end in flatten, got {last}")

    def _block(self, members: Mapping[str, Located], kind: str, path: str, cls: type[Config], line: int) -> SpaceBlock:
        extra = ("block",) if kind in END_BLOCKS else _BLOCK_KEYS
        if kind in END_BLOCKS:
            for key in ("repeat", "per_layer"):
                if key in members:
                    self.problems.add(members[key].line, f"{path}.{key}", f"{kind} cannot repeat")
            members = {key: member for key, member in members.items() if key not in ("repeat", "per_layer")}
        leaves = self._leaves(members, cls, path, extra)
        repeat = self._repeat(members["repeat"], f"{path}.repeat") if "repeat" in members else 1
        per_layer = self._per_layer(members, leaves, path, cls) if "per_layer" in members else ()
        self._check_stride(leaves, path, line)
        return SpaceBlock(path=path, kind=kind, leaves=leaves, repeat=repeat, per_layer=per_layer)

    def _leaves(
        self, members: Mapping[str, Located], cls: type[Config], path: str, extra: tuple[str, ...]
    ) -> dict[str, Leaf]:
        known = searchable(cls)
        leaves: dict[str, Leaf] = {}
        for key, member in members.items():
            if key in extra:
                continue
            here = f"{path}.{key}" if path else key
            if key not in known:
                self.problems.add(member.line, here, unknown_key(key, (*extra, *known)))
                continue
            leaf = read_leaf(member, cls, key, here, self.problems)
            if leaf is None:
                self.broken.add(here)
                continue
            leaves[key] = leaf
            if isinstance(member.value, dict) and "when" in member.value:
                self.when_lines[here] = member.value["when"].line
        return leaves

    def _repeat(self, located: Located, path: str) -> int | IntRange | Choice:
        leaf = read_leaf(located, RepeatConfig, "repeat", path, self.problems)
        if leaf is None:
            self.broken.add(path)
        elif is_range(leaf) and leaf.when:
            self.problems.add(located.line, path, "cannot have a condition (when); the leaves of the block can")
        elif isinstance(leaf, (IntRange, Choice)):
            return leaf
        elif leaf == 0:
            self.problems.add(located.line, path, "must be >= 1, got 0; leave the block out")
        elif isinstance(leaf, int):
            return leaf
        return 1

    def _per_layer(
        self, members: Mapping[str, Located], leaves: Mapping[str, Leaf], path: str, cls: type[Config]
    ) -> tuple[str, ...]:
        located = members["per_layer"]
        here = f"{path}.per_layer"
        if "repeat" not in members:
            self.problems.add(located.line, here, "needs repeat: without it there is one layer")
        names = located.plain()
        if not isinstance(names, list) or not names:
            self.problems.add(located.line, here, f"must be a list of leaves of the block, got {shown(names)}")
            return ()
        found: list[str] = []
        for name in names:
            if not isinstance(name, str) or name not in searchable(cls):
                known = [key for key, leaf in leaves.items() if is_range(leaf)]
                self.problems.add(located.line, here, f"unknown leaf {shown(name)}; {known_names(name, known)}")
            elif name in found:
                self.problems.add(located.line, here, f"{name} stands twice")
            elif not is_range(leaves.get(name)) and f"{path}.{name}" not in self.broken:
                self.problems.add(located.line, here, f"{name} is not a range, so every layer has the same")
            else:
                found.append(name)
        return tuple(name for name in found if is_range(leaves.get(name)))

    def _check_stride(self, leaves: Mapping[str, Leaf], path: str, line: int) -> None:
        """Refuse a block that no draw can build: each stride and each dilation above 1."""
        smallest = []
        for name in ("stride", "dilation"):
            leaf = leaves.get(name, 1)
            smallest.append(min(int(v) for v in leaf.corners()) if is_range(leaf) and not leaf.when else leaf)
        if all(isinstance(v, int) and v > 1 for v in smallest):
            self.problems.add(line, path, f"dilation > 1 needs stride 1, got stride >= {smallest[0]}")
