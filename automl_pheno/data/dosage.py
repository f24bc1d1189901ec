"""Dosage tables: one row a sample, one column a variant, cells 0 to 2."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.cells import check_ids, checked_records, find_id_column, parse_number, read_table
from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table import SEQUENCE_NAMES, sequence_like
from automl_pheno.data.variants import genotype_notes, variant_table
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
        variants, files, notes = _variants(source, names)
        return Samples(
            ids=checked,
            inputs=Inputs(kind="genotype", values=values, variants=variants),
            files=files,
            notes=(*notes, *genotype_notes(values)),
        )


def _variants(source: Source, names: list[str]) -> tuple[pd.DataFrame, tuple[Path, ...], tuple[str, ...]]:
    """Return places and alleles from ``NAME.variants.csv`` or ``variants.csv`` beside the table, if one is there."""
    own = source.path.with_name(f"{source.path.name.split('.')[0]}.variants.csv")
    beside = next((path for path in (own, source.path.with_name("variants.csv")) if path.is_file()), None)
    if beside is None:
        return variant_table(names), (), ()
    listed = Source(beside)
    table = read_table(listed, listed.preview().delimiter)
    if "id" not in table.cells:
        if beside == own:
            msg = f"{beside}: has no column 'id' (columns: {', '.join(list(table.cells)[:8])})"
            raise DataError(msg)
        return variant_table(names), (), ()
    ids = check_ids(table.cells["id"], table.lines, beside, "id")
    rows = pd.Index(ids).get_indexer(pd.Index(names))
    known = int((rows >= 0).sum())
    if not known:
        if beside == own:
            msg = f"{beside}: has none of the variants of {source.path} ({', '.join(names[:3])}, ...)"
            raise DataError(msg)
        return variant_table(names), (), ()

    def column(name: str) -> list[str]:
        cells = table.cells.get(name, [""] * len(ids))
        return [cells[row] if row >= 0 else "" for row in rows.tolist()]

    positions = []
    for row, text in zip(rows.tolist(), column("position"), strict=True):
        if text not in ("", "-1") and not text.isdecimal():
            msg = f"{listed.at(table.lines[row])}: the position must be a whole number from 0, got {text!r}"
            raise DataError(msg)
        positions.append(int(text or -1) or -1)
    variants = variant_table(
        names, chromosome=column("chromosome"), position=positions, ref=column("ref"), alt=column("alt")
    )
    return variants, (beside,), (f"{beside}: places and alleles of {known:,} of {len(names):,} variants",)


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


READERS.add("dosage")(DosageReader())
