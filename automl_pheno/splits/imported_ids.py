"""Ids of a file from another program, matched with those of the data, and the lines they stand on."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from automl_pheno.data import IntArray, StrArray
from automl_pheno.data.ids import OWN, IdColumn, Pairing, examples, pair
from automl_pheno.errors import DataError, SplitError

REVERSED = "_Reversed"
"""What hashFrag appends to the id of a reverse complement."""


@dataclass(slots=True)
class IdMatcher:
    """Finds the rows of samples by their ids, or by family and individual ids: one way for all of a file.

    Names are given first, each its number; then the way is chosen by which most samples match, as trait tables have it
    (`automl_pheno.data.ids`).

    Attributes
    ----------
    ids
        Of the data, shape (n,).
    """

    ids: StrArray
    _numbers: dict[tuple[str, ...], int] = field(default_factory=dict)
    _found: Pairing | None = None

    def number(self, *parts: str) -> int:
        """Return the number of a name; `parts` are ``id`` or ``FID, IID``."""
        return self._numbers.setdefault(parts, len(self._numbers))

    def rows(self, path: Path) -> IntArray:
        """Return the row of each name by its number, -1 where the data do not have it; raises SplitError."""
        return self.rows_of([_column(list(self._numbers), self.ids, name="id", is_first=True)], path)

    def rows_of(self, columns: Sequence[IdColumn], path: Path) -> IntArray:
        """Return the row of the sample of each cell of the column that holds the ids, -1 where there is none."""
        try:
            self._found = pair({OWN: self.ids}, columns, path, remedy="leave one of them out")
        except DataError as error:
            raise SplitError(str(error)) from None
        if self._found is None:
            return np.full(len(columns[0].cells), -1, dtype=np.int64)
        place = {key: row for row, key in enumerate(self._found.keys)}
        return np.array([place.get(label, -1) for label in self._found.labels], dtype=np.int64)

    @property
    def cells(self) -> Sequence[str]:
        """Of the column that holds the ids, after `rows_of`."""
        return () if self._found is None else self._found.column.cells

    def notes(self, name: str) -> tuple[str, ...]:
        """Return how ids were matched where that was not by the id as it is."""
        if self._found is None or self._found.form == OWN:
            return ()
        way = self._found.form.replace(f"{OWN} in the data, ", "as ").replace(" in the table", "", 1)
        matched = len(set(self._found.labels) & set(self._found.keys))
        return (f"{name}: {matched:,} ids are matched {way if way.startswith('as ') else f'by {way}'}",)

    @property
    def examples(self) -> str:
        """The first ids of the data, for messages."""
        return examples(self.ids)


def id_columns(names: Sequence[str], cells: Sequence[Sequence[str]], ids: StrArray, leave_out: int) -> list[IdColumn]:
    """Return the columns of a table that may hold ids, all but the one at `leave_out`; cells are those of each row."""
    return [
        _column([(row[place],) for row in cells], ids, name=name, is_first=place == 0)
        for place, name in enumerate(names)
        if place != leave_out
    ]


def _column(parts: Sequence[tuple[str, ...]], ids: StrArray, *, name: str, is_first: bool) -> IdColumn:
    known = set(ids.tolist())
    cells = [one[-1] if one[-1] in known else one[-1].removesuffix(REVERSED) for one in parts]
    if not any(len(one) > 1 for one in parts):
        return IdColumn(name=name, cells=cells, is_first=is_first)
    joined = {
        form: [mark.join((*one[:-1], cell)) for one, cell in zip(parts, cells, strict=True)]
        for form, mark in (("FID_IID", "_"), ("FID:IID", ":"))
    }
    return IdColumn(name=name, cells=cells, joined=joined, is_first=is_first)


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
