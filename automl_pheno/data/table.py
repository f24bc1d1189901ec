"""Tables with a column of sequences; the other columns are traits, groups and covariates."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

import numpy as np

from automl_pheno.data.cells import Table, check_ids, find_id_column, parse_number, read_table
from automl_pheno.data.dataset import Inputs, StrArray
from automl_pheno.data.encode import encode_sequences, looks_like_protein
from automl_pheno.data.ids import is_group_name
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table_layout import is_hapmap
from automl_pheno.errors import DataError, known_names

SEQUENCE_NAMES = ("sequence", "seq", "dna_sequence", "dna", "sequences")
"""Column names, in lower case, that are taken for the sequence; the first that the file has."""

_SHORTEST = 6  # bp: shorter strings of A, C, G and T are alleles or words
_MOST_BASES = 0.8


class TableReader:
    """Samples from CSV or TSV, one row a sample, with a sequence column."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether a column is called ``sequence`` or holds DNA."""
        if preview.first_line.startswith(">") or is_hapmap(preview):
            return False
        named = {name.lower() for name in preview.header} & set(SEQUENCE_NAMES)
        return bool(named or sequence_like(preview, missing))

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the table.

        Raises
        ------
        DataError
            No or two sequence columns, a bad sequence (file, line, position), duplicated ids, ragged rows.
        """
        preview = source.preview()
        column, notes = _find_sequence_column(source, preview, options)
        table = read_table(source, options.delimiter)
        sequences = table.cells[column]
        for row, cell in enumerate(sequences):
            if cell in options.missing:
                got = f" ({cell!r})" if cell else ""
                msg = f"{source.at(table.lines[row])}: the sequence is empty or missing{got}"
                raise DataError(msg)
        codes, encoding_notes = encode_sequences(sequences, lambda row, _: source.at(table.lines[row]))
        id_column, ids, id_notes = _find_ids(source, table, column, options)
        return Samples(
            ids=ids,
            inputs=Inputs(kind="sequence", values=codes),
            table=table.without({column} if id_column is None else {column, id_column}),
            made_ids=id_column is None,
            notes=(*notes, *id_notes, *encoding_notes),
        )


def sequence_like(preview: Preview, missing: Collection[str]) -> list[str]:
    """Return the columns most of whose cells are DNA of at least 6 bp."""
    found = []
    for number, name in enumerate(preview.header):
        cells = [row[number] for row in preview.rows if row[number] not in missing]
        if cells and statistics.median(map(_is_dna, cells)) == 1 and statistics.median(map(len, cells)) >= _SHORTEST:
            found.append(name)
    return found


def _is_dna(cell: str) -> int:
    if "/" in cell or "|" in cell:
        return 0  # alleles
    upper = cell.upper()
    return int(sum(map(upper.count, "ACGTUN")) >= _MOST_BASES * len(upper))


def _is_sequence(name: str) -> bool:
    return len(name) >= _SHORTEST and set(name.upper()) <= set("ACGTUN")


def _find_sequence_column(source: Source, preview: Preview, options: ReadOptions) -> tuple[str, tuple[str, ...]]:
    header = preview.header
    alike = sequence_like(preview, options.missing)
    for name in header:
        if _is_sequence(name) and (name in alike or len(name) >= 2 * _SHORTEST):
            msg = (
                f"{source.at(1)}: the first line must name the columns, but {name[:20]!r} is a sequence; add a line "
                "such as id,sequence above it, in the order of the columns"
            )
            raise DataError(msg)
    if options.sequence_column is not None:
        if options.sequence_column not in header:
            asked = options.sequence_column
            msg = f"{source.path}: no sequence column {asked!r}; {known_names(asked, header)}"
            raise DataError(msg)
        return options.sequence_column, ()
    lower = {name.lower(): name for name in reversed(header)}
    named = next((lower[name] for name in SEQUENCE_NAMES if name in lower), None)
    if named is not None:
        others = [name for name in alike if name != named]
        if others:
            return named, (f"sequences are taken from column {named!r}; {_join(others)} also looks like DNA",)
        return named, ()
    if len(alike) > 1:
        msg = f"{source.path}: columns {_join(alike)} all look like DNA; say which one is meant (--sequence-column)"
        raise DataError(msg)
    if not alike:
        raise DataError(_no_sequences(source, preview))
    return alike[0], (f"sequences are taken from column {alike[0]!r}",)


def _no_sequences(source: Source, preview: Preview) -> str:
    for number, name in enumerate(preview.header):
        if preview.rows and all(looks_like_protein(row[number]) for row in preview.rows):
            return f"{source.path}: column {name!r} looks like protein; only DNA and RNA are read"
    return f"{source.path}: no column of DNA sequences (columns: {', '.join(preview.header[:8])})"


def _find_ids(
    source: Source, table: Table, sequence_column: str, options: ReadOptions
) -> tuple[str | None, StrArray, tuple[str, ...]]:
    """Return the id column, or None where ids are made, with the ids and notes."""
    header = [name for name in table.cells if name != sequence_column]
    # with a trait table, id_column may be a column of that table alone
    asked = options.id_column if options.id_column in header or not options.has_trait_table else None
    # a column of genotypes or lines may be a group
    groups = {name for name in header if name != asked and is_group_name(name) and not _differ(table.cells[name])}
    column = find_id_column([name for name in header if name not in groups], asked, source.path)
    first = next(iter(table.cells))
    if column is None and first != sequence_column and _serves_as_id(table.cells[first], options.missing):
        return first, np.array(table.cells[first], dtype=np.str_), (f"ids are taken from column {first!r}",)
    if column is not None:
        return column, check_ids(table.cells[column], table.lines, source.path, column), ()
    ids = np.array([f"row{number}" for number in range(1, len(table) + 1)], dtype=np.str_)
    return None, ids, (f"no column of unique ids; samples are called row1 to row{len(table)}",)


def _differ(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells)


def _serves_as_id(cells: Sequence[str], missing: Collection[str]) -> bool:
    """Say whether all cells are there, differ and are not measurements."""
    if not _differ(cells) or any(cell in missing for cell in cells):
        return False
    try:
        # a single number is as well a measurement
        return len(cells) > 1 and all(parse_number(cell).is_integer() for cell in cells)
    except (ValueError, OverflowError):
        return True


def _join(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)


READERS.add("table")(TableReader())
