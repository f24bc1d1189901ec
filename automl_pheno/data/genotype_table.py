"""Tables of genotypes, whatever their direction and notation: what is sample, what variant, and what a cell says."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.calls import Cells, Codes, Counted, Written, are_two_digits, is_no_call, looks_written_out
from automl_pheno.data.cells import Table, check_ids, checked_records
from automl_pheno.data.dataset import Inputs, StrArray
from automl_pheno.data.numbers import as_dosages
from automl_pheno.data.read import ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table_layout import is_aside, lay_out, named_like_no_variant, says_nothing
from automl_pheno.data.variant_list import read_variants, variant_columns, variants_beside
from automl_pheno.data.variants import genotype_notes, unique_names, with_alleles
from automl_pheno.data.written import advice, is_number, parse_number
from automl_pheno.errors import DataError

_FEW = 0.2  # share of columns that are named in another way than the others
_MOSTLY = 0.5
_NUMBERS = 0.4  # share of numbers below which calls are written out
_LARGEST = 1e30  # of float32, in round numbers
_CALL = re.compile(r"[ACGTN0-2][/|]?[ACGTN0-2]", re.IGNORECASE)
_DOSAGES = ("0", "1", "2", "-1")
_MARKS = ("-", "--", "?", "N", "NN", "./.")


class Numbers(dict[str, float]):
    """Text -> number; a table has few different cells, so each is parsed once. What is none becomes infinite."""

    def __init__(self, missing: Collection[str]) -> None:
        super().__init__(dict.fromkeys(missing, math.nan))
        self._missing = missing

    def __missing__(self, cell: str) -> float:
        text = cell.strip()
        try:
            value = math.nan if text in self._missing else parse_number(text)
        except ValueError:
            value = math.inf
        if abs(value) > _LARGEST:
            value = math.inf
        if len(self) < 1_000_000:
            self[cell] = value
        return value


def read_genotypes(source: Source, options: ReadOptions, *, transposed: bool) -> Samples:
    """Read a table of genotypes; `transposed` is one with markers in rows.

    Raises
    ------
    DataError
        A cell is no genotype (sample, variant and cell are named), a column is no variant, ids repeat, rows are
        ragged; or the table could be of two codings.
    """
    _check_header(source.preview(), options.missing)
    table = _read(source, options, transposed=transposed)
    ids = table.ids()
    variants, files, notes = table.variants()
    kept = np.arange(len(variants))
    if table.texts is not None:
        counted = table.count(variants, options)
        values, more = counted.values.T, counted.notes
        variants = with_alleles(variants[counted.kept], counted.refs, counted.alts)
        kept = np.flatnonzero(counted.kept)
    else:
        values, more = as_dosages(table.cells, table.bad, ploidy=options.ploidy, missing=options.missing)
        values = values.T if transposed else values
    renamed: tuple[str, ...] = ()
    if table.places_variants():
        variants, renamed = unique_names(variants, lambda row: source.at(table.lines[int(kept[row])]))
    values = np.ascontiguousarray(values, dtype=np.float32)
    if np.isnan(values).all():
        msg = f"{source.path}: every genotype is missing"
        raise DataError(msg)
    if transposed:
        notes = (f"{source.path}: markers are in rows and samples in columns; they are transposed", *notes)
    return Samples(
        ids=ids,
        inputs=Inputs(kind="genotype", values=values, variants=variants),
        columns=table.described_samples(ids),
        files=files,
        notes=(*notes, *more, *renamed, *genotype_notes(values)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Genotypes:
    """A table of genotypes as it stands in the file.

    Attributes
    ----------
    source, delimiter, header
        The file, and the names of all its columns.
    name
        The column with the names of the rows.
    rows, columns
        Names of the rows and of the columns with genotypes; one are samples, the others variants.
    lines
        Line number of each row.
    cells
        Numbers (float32) or codes of cells (int32), shape (rows, columns).
    texts
        What codes stand for; None for numbers.
    aside
        The other columns.
    transposed
        Markers are in rows.
    """

    source: Source
    delimiter: str
    header: tuple[str, ...]
    name: str
    rows: list[str]
    columns: list[str]
    lines: list[int]
    cells: npt.NDArray[Any]
    texts: list[str] | None
    aside: Table
    transposed: bool

    def ids(self) -> StrArray:
        """Return the ids of the samples; raises DataError where a row has no name, or another's, and must have one."""
        if self.places_variants():
            return np.array(self.columns, dtype=np.str_)
        names = check_ids(self.rows, self.lines, self.source.path, self.name)
        return np.array(self.columns, dtype=np.str_) if self.transposed else names

    def places_variants(self) -> bool:
        """Say whether the table has columns with the places of its variants."""
        return self.transposed and {"chromosome", "position"} <= {*variant_columns(self.aside.cells)}

    def described_samples(self, ids: StrArray) -> pd.DataFrame | None:
        """Return the columns set aside that say something of the samples, such as FID and Pedigree."""
        if self.transposed:
            return None
        kept = {name: cells for name, cells in self.aside.cells.items() if not says_nothing(name)}
        return pd.DataFrame(kept, index=pd.Index(ids, name="id"), dtype=object) if kept else None

    def place(self, row: int, column: int) -> str:
        """Name a cell."""
        sample, variant = self.rows[row], self.columns[column]
        if self.transposed:
            sample, variant = variant, sample
        return f"{self.source.at(self.lines[row])}: sample {sample!r}, variant {variant!r}"

    def bad(self, row: int, column: int, rule: str) -> DataError:
        """Return the error that a number breaks `rule`; its text is looked up in the file."""
        place = self.header.index(self.columns[column])
        records = self.source.records(self.delimiter)
        cell = next(record[place].strip() for line, record in records if line == self.lines[row])
        if not (";" in rule or float(self.cells[row, column]).is_integer()):
            rule += "; traits and other columns go into a separate trait table"
        head, mark, rest = rule.partition(";")
        return DataError(f"{self.place(row, column)}: {head}, got {cell!r}{mark}{rest}")

    def variants(self) -> tuple[pd.DataFrame, tuple[Path, ...], tuple[str, ...]]:
        """Return the variants, from the table's own columns or a list beside it, the list's file, and notes."""
        names = self.rows if self.transposed else self.columns
        wrong = next((name for name in names if named_like_no_variant(name)), None)
        if wrong is not None:
            msg = (
                f"{self.source.path}: variant {wrong!r}: is named like a trait or covariate; take it out of the "
                "genotypes, since traits and other columns go into a separate trait table, or rename the variant"
            )
            raise DataError(msg)
        if self.rows == self.columns:
            msg = f"{self.source.path}: rows and columns have the same names: a relationship matrix, not dosages"
            raise DataError(msg)
        found = variant_columns(self.aside.cells) if self.transposed else {}
        if self.texts is None and not self.transposed:
            self._check_fractions()
        if found:
            variants = read_variants(self.aside, found, names, range(len(names)))
            nameless = variants["id"].isin(("", ".")) & ((variants["chromosome"] == "") | (variants["position"] < 1))
            if nameless.any():
                msg = f"{self.source.at(self.lines[int(np.argmax(nameless))])}: the variant has no id and no place"
                raise DataError(msg)
            return variants, (), ()
        variants, files, notes = variants_beside(self.source, names)
        if self.aside.cells and not self.transposed:
            some = ", ".join(map(repr, self.aside.cells))
            notes = (f"{self.source.path}: set aside, since they are no variants: {some}", *notes)
        return variants, files, notes

    def _check_fractions(self) -> None:
        """Raise DataError for a column of fractions whose name is of another kind, where the others have counts."""
        unlike = [place for place, name in enumerate(self.columns) if not any(map(str.isdecimal, name))]
        if not unlike or len(unlike) > _FEW * len(self.columns):
            return
        values = self.cells[:, unlike]
        odd = (values != np.rint(values)) & ~np.isnan(values)
        others = np.delete(self.cells, unlike, axis=1)
        if odd.any() and bool((np.isnan(others) | (others == np.rint(others))).all()):
            row, column = (int(place[0]) for place in np.nonzero(odd))
            rule = "a fraction among whole dosages, in a column named like no other"
            raise self.bad(row, unlike[column], f"{rule}; traits and other columns go into a separate trait table")

    def count(self, variants: pd.DataFrame, options: ReadOptions) -> Counted:
        """Return the dosages of calls that are written out."""
        alleles = list(zip(variants["ref"].str.upper().tolist(), variants["alt"].str.upper().tolist(), strict=True))
        codes: Codes = self.cells if self.transposed else np.ascontiguousarray(self.cells.T)

        def place(variant: int, sample: int) -> str:
            return self.place(variant, sample) if self.transposed else self.place(sample, variant)

        written = Written(
            codes=codes,
            texts=self.texts or [],
            missing=options.missing,
            declared=alleles.__getitem__,
            place=place,
            by_sample=not self.transposed,
        )
        return written.count(skip_multiallelic=options.multiallelic == "skip", ploidy=options.ploidy)


def _check_header(preview: Preview, missing: Collection[str]) -> None:
    """Raise DataError where the first line holds genotypes, not names."""
    cells = [cell for cell in preview.header[1:] if cell not in missing]
    found = sum(cell in _DOSAGES or (len(cell) > 1 and looks_written_out([cell], missing)) for cell in cells)
    if len({*cells}) < len(cells) and found > _MOSTLY * len(cells):
        some = ", ".join(preview.header[:4])
        msg = f"{preview.path}: the first line holds genotypes ({some} ...), not names; put a line of names above it"
        raise DataError(msg)


def _read(source: Source, options: ReadOptions, *, transposed: bool) -> _Genotypes:
    header, records = checked_records(source, options.delimiter)
    preview = source.preview()
    name, aside = lay_out(header, preview, options, transposed=transposed)
    columns = [column for column in header if column not in (name, *aside)]
    if not columns:
        msg = f"{source.path}: no variants, only the id column {name!r}"
        raise DataError(msg)
    places = {column: place for place, column in enumerate(header)}
    first = places[columns[0]]
    take: Callable[[Sequence[str]], Sequence[str]] = operator.itemgetter(slice(first, first + 1))
    if len(columns) > 1:
        take = operator.itemgetter(*(places[column] for column in columns))
    parsed: Numbers | Cells = Numbers(options.missing)
    if _is_written([take(row) for row in preview.rows], options.missing):
        parsed = Cells()
    dtype = np.int32 if isinstance(parsed, Cells) else np.float32
    names: list[str] = []
    lines: list[int] = []
    found: list[npt.NDArray[Any]] = []
    others: dict[str, list[str]] = {column: [] for column in aside}
    for line, record in records:
        cells = take(record)
        names.append(record[places[name]].strip())
        lines.append(line)
        values = np.fromiter(map(parsed.__getitem__, cells), dtype=dtype, count=len(cells))
        if np.isinf(values).any():
            bad = int(np.argmax(np.isinf(values)))
            pair = (columns[bad], names[-1]) if transposed else (names[-1], columns[bad])
            raise DataError(_bad_dosage(source.at(line), *pair, cells[bad].strip()))
        found.append(values)
        for column in aside:
            others[column].append(record[places[column]].strip())
    if not found:
        msg = f"{source.path}: only a header and no rows"
        raise DataError(msg)
    beside = Table(path=source.path, lines=lines, cells=others)
    if name in aside:  # a place, not a name
        names = [""] * len(names)
    return _Genotypes(
        source=source,
        delimiter=options.delimiter,
        header=header,
        name=name,
        rows=names,
        columns=columns,
        lines=lines,
        cells=np.stack(found),
        texts=parsed.texts if isinstance(parsed, Cells) else None,
        aside=beside,
        transposed=transposed,
    )


def first_no_genotype(source: Source, delimiter: str, missing: Collection[str]) -> str:
    """Return where the first cell stands that is no genotype, and what it looks like; "" where there is none."""
    header, records = checked_records(source, delimiter)
    for line, record in records:
        for name, cell in zip(header[1:], map(str.strip, record[1:]), strict=True):
            if is_aside(name) or cell in missing or looks_written_out([cell], missing):
                continue
            number = is_number(cell)
            if number and 0 <= float(cell) <= 2:
                continue
            kind = "a number that is no dosage" if number else advice(cell, [cell], missing) or "no number and no call"
            return f"{source.at(line)}: {name!r} of {record[0].strip()!r} is {cell!r}, {kind}"
    return ""


def _is_written(rows: Sequence[Sequence[str]], missing: Collection[str]) -> bool:
    """Say whether most cells are calls that are written out, rather than numbers."""
    counts = Counter(cell for row in rows for cell in row if cell not in missing and not is_no_call(cell))
    numbers = sum(count for cell, count in counts.items() if is_number(cell))
    return bool(counts) and (numbers < _NUMBERS * counts.total() or are_two_digits(counts))


def _bad_dosage(where: str, sample: str, variant: str, cell: str) -> str:
    text = f"{where}: sample {sample!r}, variant {variant!r}: a dosage must be a number from 0 to 2, got {cell!r}"
    if cell in _MARKS:
        return f"{text}; if it means missing, say so with --missing {cell}"
    if _CALL.fullmatch(cell):
        return f"{text}; count the alternate alleles instead of writing them out"
    return f"{text}; traits and other columns go into a separate trait table"
