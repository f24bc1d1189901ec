"""Ids of a file from another program, matched with those of the data, and the lines they stand on."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from automl_pheno.data import IntArray, StrArray
from automl_pheno.errors import SplitError

REVERSED = "_Reversed"
"""What hashFrag appends to the id of a reverse complement."""


@dataclass(slots=True)
class IdMatcher:
    """Finds the row of a sample by its id, or by its family and individual id.

    Attributes
    ----------
    ids
        Of the data, shape (n,).
    counts
        Way of matching, in words -> ids of the file that were found so.
    """

    ids: StrArray
    counts: dict[str, int] = field(default_factory=dict)
    _exact: dict[str, int] = field(default_factory=dict)
    _inner: dict[str, int] = field(default_factory=dict)
    _seen: dict[tuple[str, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._exact = {name: row for row, name in enumerate(self.ids.tolist())}
        for separator in ("_", ":"):
            for name, row in self._exact.items():
                tail = name.partition(separator)[2]
                if tail:
                    # an individual id that two families have stands for neither
                    self._inner[tail] = row if self._inner.get(tail, row) == row else -1

    def row(self, *parts: str) -> int:
        """Return the row of a sample, -1 if the data do not have it; `parts` are ``id`` or ``FID, IID``."""
        found = self._seen.get(parts)
        if found is None:
            found = self._seen[parts] = self._find(*parts)
        return found

    def _find(self, *parts: str) -> int:
        name = parts[-1]
        tries = [("as they are", name)]
        if len(parts) == 2:
            family = parts[0]
            tries = [("as FID_IID", f"{family}_{name}"), ("as FID:IID", f"{family}:{name}"), ("by IID", name)]
        if name.endswith(REVERSED):
            tries.append((f"without {REVERSED}", name.removesuffix(REVERSED)))
        for way, text in tries:
            if text in self._exact:
                return self._count(way, self._exact[text])
        inner = self._inner.get(name, -1)
        return self._count("by the part of FID_IID behind the family", inner) if inner >= 0 else -1

    def _count(self, way: str, row: int) -> int:
        self.counts[way] = self.counts.get(way, 0) + 1
        return row

    def rows(self, *columns: Iterable[str]) -> IntArray:
        """Return the row of each sample, -1 where the data do not have it; int64."""
        return np.array([self.row(*parts) for parts in zip(*columns, strict=True)], dtype=np.int64)

    def notes(self, name: str) -> tuple[str, ...]:
        """Return how ids were matched where that was not by the id as it is."""
        other = {way: count for way, count in self.counts.items() if way != "as they are"}
        return tuple(f"{name}: {count:,} ids are matched {way}" for way, count in other.items())

    @property
    def examples(self) -> str:
        """The first ids of the data, for messages."""
        return ", ".join(map(repr, self.ids[:3].tolist())) + (", ..." if len(self.ids) > 3 else "")


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not blank, plain or gzip.

    Cells are cut at tabs, else at commas, semicolons or blanks: at the first of these that the first line has.

    Raises
    ------
    SplitError
        The file is not there, is no text, or is damaged.
    """
    separator: str | None = None
    first = True
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else path.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                text = line.strip("\r\n")
                if not text.strip():
                    continue
                if "\0" in text:
                    msg = f"{path}:{number}: a NUL byte; the file is binary or damaged"
                    raise SplitError(msg)
                if first:
                    separator = next((one for one in "\t,;" if one in text), None)
                    first = False
                cells = text.split(separator)
                yield number, [cell.strip().strip('"') for cell in cells]
    except (OSError, UnicodeDecodeError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        msg = f"{path}: cannot be read: {reason}"
        raise SplitError(msg) from None
