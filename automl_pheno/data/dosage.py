"""Dosage tables: one row a sample, one column a variant, cells 0 to 2."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

import numpy as np
import pandas as pd

from automl_pheno.data.cells import check_ids, checked_records, find_id_column, parse_number
from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table import SEQUENCE_NAMES, sequence_like
from automl_pheno.errors import DataError

_HIGHEST = 2.0
_MOSTLY = 0.8
_FEW_VARIANTS = 10  # fewer could be traits, so they must be counts
_CALLS = 0.5
_CALL = re.compile(r"[ACGTN0-2][/|]?[ACGTN0-2]", re.IGNORECASE)


class _Cells(dict[str, float]):
    """Text -> dosage; a table has few different cells, so each is parsed once. Bad cells become infinite."""

    def __init__(self, missing: Collection[str]) -> None:
        super().__init__(dict.fromkeys(missing, math.nan))
        self._missing = missing

    def __missing__(self, cell: str) -> float:
        text = cell.strip()
        try:
            value = math.nan if text in self._missing else parse_number(text)
        except ValueError:
            value = math.inf
        if not (math.isnan(value) or 0.0 <= value <= _HIGHEST):
            value = math.inf
        if len(self) < 1_000_000:
            self[cell] = value
        return value


class DosageReader:
    """Genotypes from CSV or TSV: dosages of the alternate allele, samples in rows."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether most columns but the first hold numbers from 0 to 2, and none DNA."""
        if preview.first_line.startswith(">") or not preview.rows or len(preview.header) < 2:
            return False
        if {name.lower() for name in preview.header} & set(SEQUENCE_NAMES) or sequence_like(preview, missing):
            return False
        values = _Cells(missing)
        cells = np.array([[values[cell] for cell in row[1:]] for row in preview.rows])
        known = ~np.isnan(cells)
        inside = np.isfinite(cells).sum(axis=0) >= _MOSTLY * np.maximum(known.sum(axis=0), 1)
        calls = inside & np.array([_are_calls(column) for column in cells.T])
        if cells.shape[1] >= _FEW_VARIANTS:
            return bool(inside.mean() >= _MOSTLY)
        return bool(calls.mean() >= _MOSTLY)

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the table.

        Raises
        ------
        DataError
            A cell is no number from 0 to 2 (sample, variant and value are named), duplicated ids, ragged rows.
        """
        header, records = checked_records(source, options.delimiter)
        asked = options.id_column if options.id_column in header or not options.has_trait_table else None
        column = find_id_column(header, asked, source.path)
        column = header[0] if column is None else column
        place = header.index(column)
        names = [name for name in header if name != column]
        if not names:
            msg = f"{source.path}: no variants, only the id column {column!r}"
            raise DataError(msg)
        cells = _Cells(options.missing)
        ids: list[str] = []
        lines: list[int] = []
        rows: list[FloatArray] = []
        for line, record in records:
            name = record.pop(place).strip()
            row = np.fromiter(map(cells.__getitem__, record), dtype=np.float32, count=len(record))
            if np.isinf(row).any():
                bad = int(np.argmax(np.isinf(row)))
                raise DataError(_bad_dosage(source.at(line), name, names[bad], record[bad].strip(), options))
            ids.append(name)
            lines.append(line)
            rows.append(row)
        if not rows:
            msg = f"{source.path}: only a header and no rows"
            raise DataError(msg)
        checked = check_ids(ids, lines, source.path, column)
        if names == ids:
            msg = f"{source.path}: rows and columns have the same names; this is a relationship matrix, not dosages"
            raise DataError(msg)
        values = np.stack(rows)
        return Samples(
            ids=checked,
            inputs=Inputs(kind="genotype", values=values, variants=variant_table(names)),
            notes=_notes(values),
        )


def variant_table(names: list[str]) -> pd.DataFrame:
    """Return the variant table of variants that are known by name alone."""
    n = len(names)
    blank = pd.Series([""] * n, dtype=object)
    position = np.full(n, -1, dtype=np.int64)
    named = pd.Series(names, dtype=object)
    columns = {"id": named, "chromosome": blank, "position": position, "ref": blank, "alt": blank}
    table: pd.DataFrame = pd.DataFrame(columns)
    return table


def _are_calls(values: FloatArray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and (finite == np.rint(finite)).mean() >= _CALLS)


def _bad_dosage(where: str, sample: str, variant: str, cell: str, options: ReadOptions) -> str:
    text = f"{where}: sample {sample!r}, variant {variant!r}: a dosage must be a number from 0 to 2, got {cell!r}"
    if cell in ("-9", "-1", "9"):
        return f"{text}; if it means missing, add it to the missing values"
    if _CALL.fullmatch(cell):
        return f"{text}; count the alternate alleles instead of writing them out"
    if not options.has_trait_table:
        return f"{text}; traits and other columns go into a separate trait table"
    return text


def _notes(values: FloatArray) -> tuple[str, ...]:
    notes = []
    lost = int(np.isnan(values).sum())
    if lost:
        notes.append(f"{lost:,} of {values.size:,} dosages are missing ({lost / values.size:.2%})")
    constant = int((np.fmax.reduce(values, axis=0) == np.fmin.reduce(values, axis=0)).sum())
    if constant:
        notes.append(f"{constant:,} of {values.shape[1]:,} variants have one dosage only")
    return tuple(notes)


READERS.add("dosage")(DosageReader())
