"""Tables of text cells, and which of their columns are numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, StrArray
from automl_pheno.data.ids import ID_NAMES as ID_NAMES
from automl_pheno.data.ids import counts_rows
from automl_pheno.data.options import Missing
from automl_pheno.data.sentinels import sentence, sentinels
from automl_pheno.data.source import Source
from automl_pheno.data.written import advice, decimal_commas, is_number
from automl_pheno.data.written import parse_number as parse_number
from automl_pheno.errors import DataError, known_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as text.

    Attributes
    ----------
    path
        The file.
    lines
        Line number of each row, counting from 1.
    cells
        Column name -> cells, stripped of surrounding blanks.
    has_commas
        A comma does not end a cell, so that numbers may have decimal commas.
    """

    path: Path
    lines: list[int]
    cells: dict[str, list[str]]
    has_commas: bool = False

    def __len__(self) -> int:
        return len(self.lines)

    def without(self, names: Collection[str]) -> Table:
        """Return the table without the columns `names`."""
        kept = {name: cells for name, cells in self.cells.items() if name not in names}
        return replace(self, cells=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Columns of a table as values; all frames have the ids as index.

    Attributes
    ----------
    traits
        Numeric columns, float64, NaN is missing.
    columns
        Every column: integers, floats or text; None or NaN is missing.
    unusable
        Column -> why it cannot be a trait, with file, line and cell.
    notes
        What was noticed.
    """

    traits: pd.DataFrame
    columns: pd.DataFrame
    unusable: dict[str, str]
    notes: tuple[str, ...] = ()


def checked_records(
    source: Source, delimiter: str, header: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Iterator[tuple[int, list[str]]]]:
    """Return the header and the rows below it with their line numbers.

    Parameters
    ----------
    source, delimiter
        The file.
    header
        Names of the columns of a file whose first line is a row; None takes them from that line.

    Raises
    ------
    DataError
        A column without a name (save the first), two of one name, or, while iterating, a row whose number
        of columns differs from the header's.
    """
    if header is None:
        first, records = source.table(delimiter)
        names = _header(source, first)
    else:
        names, records = tuple(header), source.records(delimiter)
    like = "the header" if header is None else "the first line"

    def rows() -> Iterator[tuple[int, list[str]]]:
        for number, row in records:
            if len(row) != len(names):
                msg = f"{source.at(number)}: expected {len(names)} columns as in {like}, got {len(row)}"
                if len(row) == len(names) + 1 and delimiter == ",":
                    msg += "; numbers need a decimal point, and row names a quoted header"
                raise DataError(msg)
            yield number, row

    return names, rows()


def _header(source: Source, names: Sequence[str]) -> tuple[str, ...]:
    line = next((number for number, text in enumerate(source.lines(), start=1) if text.strip()), 1)
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name and number > 1:
            msg = f"{source.at(line)}: column {number} has no name"
            raise DataError(msg)
        if name in seen:
            msg = f"{source.at(line)}: columns {seen[name]} and {number} have the same name {name!r}"
            raise DataError(msg)
        seen[name] = number
    return tuple(names)


def read_table(source: Source, delimiter: str, header: Sequence[str] | None = None) -> Table:
    """Read a whole table; `header` as in `checked_records`.

    Raises
    ------
    DataError
        As `checked_records`, or there is no row below the header.
    """
    names, records = checked_records(source, delimiter, header)
    lines: list[int] = []
    rows: list[list[str]] = []
    for line, row in records:
        lines.append(line)
        rows.append([cell.strip() for cell in row])
    if not rows:
        msg = f"{source.path}: only a header and no rows"
        raise DataError(msg)
    cells = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return Table(path=source.path, lines=lines, cells=cells, has_commas=delimiter != ",")


def find_id_column(header: Sequence[str], id_column: str | None, path: Path) -> str | None:
    """Return `id_column`, else the column with a name that means "id", else None."""
    if id_column is not None:
        if id_column not in header:
            msg = f"{path}: no id column {id_column!r}; {known_names(id_column, header)}"
            raise DataError(msg)
        return id_column
    lower = {name.lower(): name for name in reversed(header)}
    return next((lower[name] for name in ID_NAMES if name in lower), None)


def check_ids(ids: Sequence[str], lines: Sequence[int], path: Path, column: str) -> StrArray:
    """Return `ids` as an array.

    Raises
    ------
    DataError
        An empty id, or one id in two rows; both lines are named.
    """
    first: dict[str, int] = {}
    for name, line in zip(ids, lines, strict=True):
        if not name:
            msg = f"{path}:{line}: the id in column {column!r} is empty"
            raise DataError(msg)
        if name in first:
            msg = (
                f"{path}:{line}: id {name!r} is already in line {first[name]}; ids in column {column!r} must be "
                "unique (--id-column names another)"
            )
            raise DataError(msg)
        first[name] = line
    return np.array(ids, dtype=np.str_)


def to_frames(table: Table, ids: StrArray, missing: Missing) -> Frames:
    """Split the columns of `table` into numeric ones and the others.

    A column is numeric if each cell is a finite number or missing, and at least one is a number. The first
    cell that breaks this is remembered, not raised: most such columns are no traits. Numbers of the rows are left out.
    A numeric column with numbers that may mean "no value" (`sentinels`) is numeric, but no trait either.
    """
    index = pd.Index(ids, name="id")
    traits: dict[str, FloatArray] = {}
    columns: dict[str, object] = {}
    unusable: dict[str, str] = {}
    notes: list[str] = []
    commas: list[str] = []
    for name, cells in table.cells.items():
        if counts_rows(name, cells):
            continue
        values = _numbers(cells, missing)
        if isinstance(values, int) and table.has_commas and (pointed := decimal_commas(cells, missing)) is not None:
            values = _numbers(pointed, missing)
            commas.append(name)
            notes.append(f"{table.path}: column {name!r} has decimal commas")
        if isinstance(values, int):
            cell = cells[values]
            rule = "is not finite" if is_number(cell) else "is not numeric"
            more = advice(cell, cells, missing)
            unusable[name] = f"{rule}: {table.path}:{table.lines[values]}: {cell!r}" + (f" ({more})" if more else "")
        elif np.isnan(values).all():
            unusable[name] = f"has no values in {table.path}"
        else:
            traits[name] = values
            if found := sentinels(values, missing):
                row = int(np.argmax(np.isin(values, found)))
                unusable[name] = sentence(values, found, f"{table.path}:{table.lines[row]}")
            whole = bool(np.all(np.isfinite(values)) and np.all(values == np.rint(values)))
            small = whole and bool(np.abs(values).max() < 2**53)
            columns[name] = values.astype(np.int64) if small else values
            continue
        columns[name] = pd.Series([None if cell in missing else cell for cell in cells], index=index, dtype=object)
    if commas:
        unusable |= _with_points(table, [name for name in traits if name not in commas], commas[0], missing)
    return Frames(
        traits=pd.DataFrame(traits, index=index, dtype=np.float64),
        columns=pd.DataFrame(columns, index=index),
        unusable=unusable,
        notes=tuple(notes),
    )


def _with_points(table: Table, names: Sequence[str], commas: str, missing: Missing) -> dict[str, str]:
    """Return why columns with points are no traits beside one with decimal commas: they may mark thousands."""
    found = {}
    for name in names:
        row = next((row for row, cell in enumerate(table.cells[name]) if "." in cell and cell not in missing), None)
        if row is not None:
            cell = table.cells[name][row]
            found[name] = (
                f"has a point at {table.path}:{table.lines[row]}: {cell!r}, while column {commas!r} has decimal "
                "commas; write both alike"
            )
    return found


def _numbers(cells: Sequence[str], missing: Collection[str]) -> FloatArray | int:
    """Return the values, or the row of the first cell that is neither missing nor a finite number."""
    values = np.empty(len(cells), dtype=np.float64)
    for row, cell in enumerate(cells):
        if cell in missing:
            values[row] = math.nan
            continue
        try:
            number = parse_number(cell)
        except ValueError:
            return row
        if math.isinf(number):
            return row
        values[row] = number
    return values
