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
from automl_pheno.data.cells import ID_NAMES, Table, check_ids, checked_records, find_id_column
from automl_pheno.data.dataset import Inputs, StrArray
from automl_pheno.data.numbers import as_dosages
from automl_pheno.data.read import ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.variant_list import (
    VARIANT_NAMES,
    listed_variants,
    read_variants,
    variant_columns,
    variants_beside,
)
from automl_pheno.data.variants import genotype_notes, with_alleles
from automl_pheno.data.written import is_number, parse_number
from automl_pheno.errors import DataError

_PROOF = 0.5  # share of names in common that proves what rows and columns are
_NUMBERS = 0.4  # share of numbers below which calls are written out
_LARGEST = 1e30  # of float32, in round numbers
_CALL = re.compile(r"[ACGTN0-2][/|]?[ACGTN0-2]", re.IGNORECASE)
_MARKS = ("-", "--", "?", "N", "NN", "./.")

_ROW_NAMES = ("", "unnamed0", "rowname", "rownames")
_IDS = frozenset(
    (*_ROW_NAMES, "fid", "iid", "pat", "mat", "father", "mother", "sire", "dam", "pedigree", "entry", "familyid",
     *(re.sub(r"[\W_]", "", name) for name in ID_NAMES))
)  # fmt: skip
_DESCRIPTIONS = frozenset(
    ("strand", "assembly", "center", "protlsid", "assaylsid", "panel", "panellsid", "qccode", "qual", "filter", "info",
     "format", "cm", "maf", "callrate", "missingness")
)  # fmt: skip
_NO_VARIANTS = re.compile(
    r"sex|gender|age|weight|height|bmi|yield|grainyield|gebvs?|ebvs?|tbv|status|affected|subpop(ulation)?|population|"
    r"family|fam|species|origin|country|region|cohort|season|treatment|site|location|trial|date|harvest|generation|"
    r"fold|y|value|(trait|pheno(type)?|cluster|group|plot|block|rep(licate)?|year|batch|env(ironment)?|pop|plate|well|"
    r"row|col(umn)?|range|pca?|eigenvec)[0-9]*"
)


def is_raw(preview: Preview) -> bool:
    """Say whether the header is that of PLINK's ``--recode A``."""
    return [name.lower().lstrip("#") for name in preview.header[:6]] == ["fid", "iid", "pat", "mat", "sex", "phenotype"]


def is_hapmap(preview: Preview) -> bool:
    """Say whether the header is that of HapMap."""
    names = [name.lower() for name in preview.header]
    return names[:1] in (["rs#"], ["rs"]) and {"alleles", "chrom", "pos"} <= {*names}


def is_aside(name: str) -> bool:
    """Say whether a column of a table with samples in rows is called like an id, or has no name."""
    return _plain(name) in _IDS


def named_like_variant(name: str) -> bool:
    """Say whether a column is called like a variant, rs12 or M1, rather than like a trait."""
    return any(letter.isdecimal() for letter in name) and not _NO_VARIANTS.fullmatch(_plain(name))


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
    table = _read(source, options, transposed=transposed)
    ids = table.ids()
    variants, files, notes = table.variants()
    if table.texts is not None:
        counted = table.count(variants, options)
        values, more = counted.values.T, counted.notes
        variants = with_alleles(variants[counted.kept], counted.refs, counted.alts)
    else:
        values, more = as_dosages(table.cells, table.bad, ploidy=options.ploidy, missing=options.missing)
        values = values.T if transposed else values
    values = np.ascontiguousarray(values, dtype=np.float32)
    if transposed:
        notes = (f"{source.path}: markers are in rows and samples in columns; they are transposed", *notes)
    return Samples(
        ids=ids,
        inputs=Inputs(kind="genotype", values=values, variants=variants),
        columns=table.described_samples(ids),
        files=files,
        notes=(*notes, *more, *genotype_notes(values)),
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
        """Return the ids of the samples; raises DataError where a row has no name, or another's."""
        names = check_ids(self.rows, self.lines, self.source.path, self.name)
        return np.array(self.columns, dtype=np.str_) if self.transposed else names

    def described_samples(self, ids: StrArray) -> pd.DataFrame | None:
        """Return the columns set aside that say something of the samples, such as FID and Pedigree."""
        if self.transposed:
            return None
        kept = {name: cells for name, cells in self.aside.cells.items() if _plain(name) not in _ROW_NAMES}
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
        wrong = next((name for name in names if _NO_VARIANTS.fullmatch(_plain(name))), None)
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
        if found:
            return read_variants(self.aside, found, names, range(len(names))), (), ()
        variants, files, notes = variants_beside(self.source, names)
        if self.aside.cells and not self.transposed:
            some = ", ".join(map(repr, self.aside.cells))
            notes = (f"{self.source.path}: set aside, since they are no variants: {some}", *notes)
        return variants, files, notes

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


def _read(source: Source, options: ReadOptions, *, transposed: bool) -> _Genotypes:
    header, records = checked_records(source, options.delimiter)
    preview = source.preview()
    name, aside = _layout(header, preview, options, transposed=transposed)
    columns = [column for column in header if column != name and column not in aside]
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
            raise DataError(_bad_dosage(source.at(line), *pair, cells[bad].strip(), options))
        found.append(values)
        for column in aside:
            others[column].append(record[places[column]].strip())
    if not found:
        msg = f"{source.path}: only a header and no rows"
        raise DataError(msg)
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
        aside=Table(path=source.path, lines=lines, cells=others),
        transposed=transposed,
    )


def _layout(
    header: Sequence[str], preview: Preview, options: ReadOptions, *, transposed: bool
) -> tuple[str, list[str]]:
    """Return the column with the names of the rows, and those that are no genotypes."""
    if transposed:
        described = _descriptions(header, preview.rows)
        name = variant_columns(described).get("id", header[0])
        return name, [column for column in described if column != name]
    asked = options.id_column if options.id_column in header or not options.has_trait_table else None
    name = find_id_column(header, asked, preview.path) or header[0]
    return name, [column for column in header if column != name and is_aside(column)]


def are_markers_in_rows(source: Source, options: ReadOptions) -> bool:
    """Say whether the names of rows and columns prove that the markers are in rows.

    They do if there are columns with chromosomes and positions, if the columns are called like samples of the trait
    table, or the rows like variants of the list beside the table.
    """
    preview = source.preview()
    if described_variants(preview):
        return True
    rows, columns = {row[0] for row in preview.rows}, {*preview.header[1:]}
    samples, variants = _trait_ids(options), listed_variants(source.path)
    by_samples = _common(columns, samples) - _common(rows, samples)
    by_variants = _common(rows, variants) - _common(columns, variants)
    return max(by_samples, by_variants) >= _PROOF and min(by_samples, by_variants) >= 0


def described_variants(preview: Preview) -> list[str]:
    """Return the leading columns that describe variants in rows, with chromosome and position; [] if they do not."""
    leading = _descriptions(preview.header, preview.rows)
    found = variant_columns(leading)
    return leading if "chromosome" in found and {"position", "genetic position"} & {*found} else []


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
            kind = "a number that is no dosage" if number else "no number and no call"
            return f"{source.at(line)}: {name!r} of {record[0].strip()!r} is {cell!r}, {kind}"
    return ""


def _common(names: Collection[str], known: Collection[str]) -> float:
    """Return the share of the names that could be known ones and are."""
    return len({*names} & {*known}) / max(min(len(names), len(known)), 1)


def _trait_ids(options: ReadOptions) -> set[str]:
    """Return the cells of the columns of the trait table that may hold ids."""
    if options.trait_table is None:
        return set()
    source = Source(options.trait_table)
    preview = source.preview()
    places = [
        place
        for place, name in enumerate(preview.header)
        if place == 0 or name == options.id_column or _plain(name) in _IDS
    ]
    records = source.records(preview.delimiter)
    return {record[place].strip() for _, record in records for place in places if place < len(record)}


def _descriptions(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the leading columns that describe the variants in rows, with the first one.

    Samples may be called A1 and A2, so these are alleles only where both always differ.
    """
    known = {_plain(name) for names in VARIANT_NAMES.values() for name in names} | _DESCRIPTIONS
    count = next((place for place, name in enumerate(header) if place and _plain(name) not in known), len(header))
    found = variant_columns(header[:count])
    pair = [header.index(found[what]) for what in ("ref", "alt") if what in found]
    if pair and not _are_alleles([tuple(row[place].upper() for place in pair) for row in rows]):
        count = max(min(pair), 1)
    return list(header[:count])


def _are_alleles(pairs: Sequence[tuple[str, ...]]) -> bool:
    """Say whether two cells of each row are the alleles of a variant: they differ, and most are one letter."""
    single = sum(len(cell) == 1 for pair in pairs for cell in pair)
    return all(len(pair) == 2 and pair[0] != pair[1] for pair in pairs) and single >= len(pairs)


def _is_written(rows: Sequence[Sequence[str]], missing: Collection[str]) -> bool:
    """Say whether most cells are calls that are written out, rather than numbers."""
    counts = Counter(cell for row in rows for cell in row if cell not in missing and not is_no_call(cell))
    numbers = sum(count for cell, count in counts.items() if is_number(cell))
    return bool(counts) and (numbers < _NUMBERS * counts.total() or are_two_digits(counts))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _bad_dosage(where: str, sample: str, variant: str, cell: str, options: ReadOptions) -> str:
    text = f"{where}: sample {sample!r}, variant {variant!r}: a dosage must be a number from 0 to 2, got {cell!r}"
    if cell in _MARKS:
        return f"{text}; if it means missing, say so with --missing {cell}"
    if _CALL.fullmatch(cell):
        return f"{text}; count the alternate alleles instead of writing them out"
    if not options.has_trait_table:
        return f"{text}; traits and other columns go into a separate trait table"
    return text
