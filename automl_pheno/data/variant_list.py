"""Lists of variants: what their columns are called, and the list that lies beside a table of genotypes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.cells import Table, check_ids, parse_number, read_table
from automl_pheno.data.dataset import IntArray
from automl_pheno.data.options import USUAL_MISSING
from automl_pheno.data.places import PLACE_NAMES
from automl_pheno.data.source import Source
from automl_pheno.data.variants import variant_table
from automl_pheno.errors import DataError

VARIANT_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "variant", "variant_id", "snp", "snp_id", "snp_name", "marker", "marker_id", "marker_name", "rs",
           "rs_id", "locus", "locus_name", "name", "probe"),
    "chromosome": (*PLACE_NAMES["chromosome"], "linkage_group", "lg"),
    "position": (*PLACE_NAMES["position"], "position_bp", "pos_bp", "physical_position",
                 "position_mb", "pos_mb", "mb", "mbp", "position_kb", "pos_kb", "kb"),
    "genetic position": ("cm", "position_cm", "pos_cm", "genetic_position", "genetic_distance", "morgan"),
    "ref": ("ref", "reference", "ref_allele", "reference_allele", "a2", "allele2", "other_allele",
            "non_effect_allele", "a0", "allele0"),
    "alt": ("alt", "alternate", "alternative", "alt_allele", "alternate_allele", "a1", "allele1", "effect_allele",
            "counted_allele", "counted", "coded_allele", "tested_allele"),
    "alleles": ("alleles", "snp_alleles", "ref_alt", "allele"),
}  # fmt: skip
"""What a column of a list of variants holds -> its names, the best known first; case, blanks and marks do not count.

Allele 1 is the alternate one and allele 2 the reference, as in a .bim; of ``alleles`` (A/G) the first is the reference.
"""

_IGNORED = re.compile(r"[\s_.#()/-]")
_UNITS = {"mb": 1e6, "mbp": 1e6, "kb": 1e3}
_UNIT = re.compile(r"(mbp?|kb)$")
_BESIDE = ("{}.variants", "variants", "{}.map", "map")
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
_BETWEEN = re.compile(r"[/,|>: ]+")
_SHOWN = 8


def variant_columns(header: Iterable[str]) -> dict[str, str]:
    """Return which column holds what of variants: key of `VARIANT_NAMES` -> name of the column."""
    found: dict[str, str] = {}
    for name in header:
        found.setdefault(_plain(name), name)
    chosen: dict[str, str] = {}
    for what, names in VARIANT_NAMES.items():
        column = next((found[plain] for plain in map(_plain, names) if plain in found), None)
        if column is not None:
            chosen[what] = column
    return chosen


def _plain(name: str) -> str:
    return _IGNORED.sub("", name.strip().strip('"').lower())


def read_variants(table: Table, columns: Mapping[str, str], names: Sequence[str], rows: Sequence[int]) -> pd.DataFrame:
    """Return the table of variants `names`, of which row `rows[i]` of `table` tells; -1 is none.

    Raises
    ------
    DataError
        A position is no number, or no whole one from 0 in bp; both have the line.
    """

    def column(what: str) -> list[str]:
        if what not in columns:
            return [""] * len(rows)
        cells = table.cells[columns[what]]
        return ["" if row < 0 or cells[row] in USUAL_MISSING else cells[row] for row in rows]

    unit = _UNIT.search(_plain(columns.get("position", "")))
    factor = _UNITS[unit.group(1)] if unit else 1.0
    positions = [
        _position(text, factor, lambda row=row: f"{table.path}:{table.lines[row]}")  # type: ignore[misc]
        for row, text in zip(rows, column("position"), strict=True)
    ]
    both = [_two(text) for text in column("alleles")]
    refs = [ref or pair[0] for ref, pair in zip(column("ref"), both, strict=True)]
    alts = [alt or pair[1] for alt, pair in zip(column("alt"), both, strict=True)]
    return variant_table(names, chromosome=column("chromosome"), position=positions, ref=refs, alt=alts)


def _two(text: str) -> tuple[str, str]:
    """Return the two alleles of ``A/G`` or ``AG``, "" for N; of another number of alleles nothing."""
    parts = _BETWEEN.split(text) if len(text) != 2 else [*text]
    known = ["" if part in ("N", ".", "?", "0") else part for part in parts]
    return (known[0], known[1]) if len(known) == 2 else ("", "")


def _position(text: str, factor: float, where: Callable[[], str]) -> int:
    try:
        value = parse_number(text) * factor if text else -1.0
    except ValueError:
        value = np.nan
    if factor != 1.0:
        value = float(np.rint(value))
    if not (value == -1 or (0 <= value < np.iinfo(np.int64).max and value.is_integer())):
        msg = f"{where()}: the position must be a whole number from 0 (bp), got {text!r}"
        raise DataError(msg)
    return int(value) or -1


def variants_beside(source: Source, names: Sequence[str]) -> tuple[pd.DataFrame, tuple[Path, ...], tuple[str, ...]]:
    """Return places and alleles of variants from the list beside a table of genotypes, its file, and a note.

    It is ``NAME.variants.csv``, ``variants.csv``, ``NAME.map.csv`` or ``map.csv`` (or .tsv, .txt; also gzipped), the
    first that has variants of the table.

    Raises
    ------
    DataError
        The list with the name of the table has no ids, or none of the table's; one names a variant twice, or a
        position that is none.
    """
    for path, own in _lists(source.path):
        table = _read(path, own=own)
        if table is None:
            continue
        columns = variant_columns(table.cells)
        column = _id_column(table, columns, names)
        if column is None:
            if own:
                msg = f"{path}: has no column of variant ids, like 'id' (columns: {_some([*table.cells])})"
                raise DataError(msg)
            continue
        rows = _rows_of(table, column, names, own=own)
        known = int((rows >= 0).sum())
        if known:
            variants = read_variants(table, columns, names, rows.tolist())
            return variants, (path,), (_note(path, columns, known, len(names)),)
        if own:
            msg = f"{path}: has none of the variants of {source.path} ({', '.join(names[:3])}, ...)"
            raise DataError(msg)
    return variant_table(names), (), ()


def places_beside(source: Source, variants: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Path, ...], tuple[str, ...]]:
    """Return variants that know their alleles with the places from the list beside; otherwise as `variants_beside`."""
    listed, files, notes = variants_beside(source, variants["id"].tolist())
    return variants.assign(chromosome=listed["chromosome"], position=listed["position"]), files, notes


def listed_variants(path: Path) -> set[str]:
    """Return the ids in the lists beside a table of genotypes."""
    found: set[str] = set()
    for beside, own in _lists(path):
        table = _read(beside, own=own)
        if table is not None:
            found |= {cell for column in _id_columns(table) for cell in table.cells[column]}
    return found


def _read(path: Path, *, own: bool) -> Table | None:
    """Return a list beside a table; None where it is not the table's own, and no table."""
    listed = Source(path)
    try:
        return read_table(listed, listed.preview().delimiter)
    except DataError:
        if own:
            raise
        return None


def _id_columns(table: Table) -> list[str]:
    """Return the columns that may hold ids of variants: those that are called so, and the first."""
    known = {_plain(name) for name in VARIANT_NAMES["id"]}
    others = {_plain(name) for what, names in VARIANT_NAMES.items() if what != "id" for name in names}
    columns = list(table.cells)
    return [name for name in columns if _plain(name) in known or (name == columns[0] and _plain(name) not in others)]


def _id_column(table: Table, columns: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the column with most of the variants `names`, else the one that is called like ids."""
    counts = {column: len({*table.cells[column]} & {*names}) for column in _id_columns(table)}
    best = max(counts, key=lambda column: counts[column], default=None)
    return best if best is not None and counts[best] else columns.get("id")


def _lists(path: Path) -> Iterator[tuple[Path, bool]]:
    own = path.name.split(".")[0]
    for stem in _BESIDE:
        for ending in _ENDINGS:
            beside = path.with_name(f"{stem.format(own)}{ending}")
            if beside.is_file() and beside != path:
                yield beside, "{}" in stem


def _rows_of(table: Table, column: str, names: Sequence[str], *, own: bool) -> IntArray:
    index = pd.Index(table.cells[column])
    if not own and not index.isin(names).any():
        return np.full(len(names), -1, dtype=np.int64)
    ids = check_ids(table.cells[column], table.lines, table.path, column)
    return pd.Index(ids).get_indexer(pd.Index(names)).astype(np.int64)


def _note(path: Path, columns: Mapping[str, str], known: int, total: int) -> str:
    told = [f"{what} from {name!r}" for what, name in columns.items() if what not in ("id", "genetic position")]
    text = f"{path}: places and alleles of {known:,} of {total:,} variants ({', '.join(told) or 'nothing is stated'})"
    if "genetic position" in columns and "position" not in columns:
        text += f"; {columns['genetic position']!r} is no position in bp and is not used"
    return text


def _some(header: Sequence[str]) -> str:
    return ", ".join(header[:_SHOWN])
