"""What columns with places in a genome are called: one table of names for readers, groupings and audit.

The names are those of BED and UCSC tables, of GRanges as data frames (Bioconductor: ``seqnames, start, end, width``),
of Ensembl BioMart, VCF and GFF. Case, spaces, points, underscores and a leading ``#`` do not count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import IntArray, StrArray

PLACE_NAMES: Mapping[str, tuple[str, ...]] = {
    "chromosome": (
        "chromosome", "chrom", "chr", "seqnames", "contig", "scaffold", "seqname", "seqid", "chrom_name",
        "chromosome_name", "chromosome/scaffold_name", "seq_region_name",
    ),
    "start": (
        "start", "chromStart", "begin", "pos", "position", "chromosome_start", "tx_start", "start_position",
        "start_pos", "pos_start", "start_bp",
    ),
    "end": (
        "end", "chromEnd", "stop", "chromosome_end", "tx_end", "end_position", "end_pos", "pos_end", "end_bp",
    ),
    "position": ("position", "pos", "chrom_pos", "base_pair_position", "bp", "ps"),
    "strand": ("strand",),
    "genome": ("genome", "assembly", "genome_build", "build", "species", "sp"),
}  # fmt: skip
"""What a column holds -> its names, the best known first."""

_WIDTHS = ("width",)
_IGNORED = re.compile(r"[\s_.]")
_PREFIX = re.compile(r"^chr(?=.)", re.IGNORECASE)


def place_name(text: object) -> str:
    """Return a column's name as it is compared: in lower case, without ``#``, blanks, points and underscores."""
    return _IGNORED.sub("", str(text).strip().strip('"').lower().lstrip("#"))


def place_column(columns: Iterable[object], what: str) -> str | None:
    """Return which column holds a part of a place, None where none does.

    Parameters
    ----------
    columns
        Their names.
    what
        ``chromosome``, ``start``, ``end`` (of intervals), ``position`` (of variants), ``strand`` or ``genome``. Of
        several columns that are called so the one with the best known name is taken.
    """
    found: dict[str, str] = {}
    for name in columns:
        found.setdefault(place_name(name), str(name))
    return next((found[key] for key in map(place_name, PLACE_NAMES[what]) if key in found), None)


def shown_names(what: str, n: int = 5) -> str:
    """Return the first names of a part of a place, for messages."""
    names = PLACE_NAMES[what]
    return ", ".join(names[:n]) + (" ..." if len(names) > n else "")


def lacking_places(columns: Collection[object]) -> str:
    """Return which parts of an interval no column holds, with the names that would do; "" where all are there."""
    lost = [what for what in ("chromosome", "start", "end") if place_column(columns, what) is None]
    return "; ".join(f"{what} ({shown_names(what)})" for what in lost)


def plain_chromosomes(names: pd.Series[str]) -> pd.Series[str]:
    """Return the names of chromosomes without ``chr``: chr1, Chr1 and 1 are one; missing stays missing."""
    lost = names.isna().to_numpy(dtype=bool)
    plain = [None if none else _PREFIX.sub("", str(name).strip()) for name, none in zip(names, lost, strict=True)]
    return pd.Series(plain, index=names.index, dtype=object)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Intervals:
    """Intervals of a genome, one a sample.

    Attributes
    ----------
    columns
        What was read from where: ``chromosome``, ``start``, ``end``.
    chromosome
        Without ``chr``, str, shape (n,); "" where there is none.
    start, end
        0-based, the end not included; int64, shape (n,), 0 where the sample has no interval.
    known
        True where a sample has an interval, shape (n,).
    from_one
        Whether the table counts from 1 and includes the end, as its column ``width`` proves (GRanges).
    """

    columns: Mapping[str, str]
    chromosome: StrArray
    start: IntArray
    end: IntArray
    known: np.typing.NDArray[np.bool_]
    from_one: bool


class IntervalError(ValueError):
    """A row is no interval.

    Attributes
    ----------
    row, interval, reason
        Which row, what stands there, and why it is none in words.
    is_place
        Whether start and end are whole numbers all the same: then the columns are meant to hold intervals.
    """

    def __init__(self, row: int, interval: str, reason: str, *, is_place: bool) -> None:
        super().__init__(f"{interval} {reason}")
        self.row, self.interval, self.reason, self.is_place = row, interval, reason, is_place


def counts_from_one(start: pd.Series[float], end: pd.Series[float], width: pd.Series[float] | None) -> bool:
    """Say whether each width is ``end - start + 1``: then the places count from 1 and the end is included."""
    if width is None:
        return False
    known = start.notna() & end.notna() & width.notna()
    return bool(known.any() and (width[known] == end[known] - start[known] + 1).all())


def width_column(columns: Iterable[object]) -> str | None:
    """Return the column with the widths of intervals, None where there is none."""
    return next((str(name) for name in columns if place_name(name) in _WIDTHS), None)


def read_intervals(table: pd.DataFrame) -> Intervals | None:
    """Return the intervals of a table of samples; None where columns are lacking or no row has numbers.

    Raises
    ------
    IntervalError
        Of a row only a part is there, a place is no whole number, lies below the first base, or the end before the
        start.
    """
    named = {what: place_column(table.columns, what) for what in ("chromosome", "start", "end")}
    columns = {what: name for what, name in named.items() if name is not None}
    if len(columns) < len(named) or columns["start"] == columns["end"]:
        return None
    start, end = (pd.to_numeric(table[columns[what]], errors="coerce").astype("float64") for what in ("start", "end"))
    width = width_column(table.columns)
    widths = None if width is None else pd.to_numeric(table[width], errors="coerce").astype("float64")
    from_one = counts_from_one(start, end, widths)
    given = {
        what: ~(table[name].isna() | (table[name].astype(str).str.strip() == "")) for what, name in columns.items()
    }
    known = (start.notna() & end.notna() & given["chromosome"]).to_numpy(dtype=bool)
    low, high = start.to_numpy() - from_one, end.to_numpy()
    written = (given["start"] & start.isna()) | (given["end"] & end.isna())
    with np.errstate(invalid="ignore"):
        for reason, bad, is_place in (
            ("is no number", written.to_numpy(dtype=bool), False),
            ("is no whole number", known & ((low != np.rint(low)) | (high != np.rint(high))), False),
            (f"starts below {int(from_one)}", known & (low < 0), True),
            ("ends where it starts or before", known & (high <= low), True),
        ):
            if bad.any():
                row = int(np.argmax(bad))
                interval = f"{table[columns['start']].iloc[row]}-{table[columns['end']].iloc[row]}"
                raise IntervalError(row, interval, reason, is_place=is_place)
    if not known.any():
        return None
    names = plain_chromosomes(table[columns["chromosome"]].astype(object)).map(_text)
    return Intervals(
        columns=columns,
        chromosome=np.where(known, names.to_numpy(dtype=object), "").astype(np.str_),
        start=np.where(known, low, 0).astype(np.int64),
        end=np.where(known, high, 0).astype(np.int64),
        known=known,
        from_one=from_one,
    )


def _text(value: object) -> str:
    """Return a cell as text: 3, 3.0 and "3" are the same chromosome."""
    text = str(value)
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text
