"""Intervals of a genome: BED, or a table with chromosome, start and end, and the FASTA they lie in.

Starts count from 0 and ends are exclusive, as in BED (UCSC, https://genome.ucsc.edu/FAQ/FAQformat.html#format1), in
tables with a header, too, unless their column ``width`` is end - start + 1, as of GRanges, which count from 1. The
sequence of an interval on strand ``-`` is the reverse complement. What columns are called stands in ``places.py``.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.cells import Table, check_ids, checked_records, find_id_column, parse_number
from automl_pheno.data.dataset import Inputs, StrArray
from automl_pheno.data.encode import encode_sequences, reverse_complement
from automl_pheno.data.places import place_column, shown_names, width_column
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import BLANKS, Preview, Source
from automl_pheno.data.table import SEQUENCE_NAMES, sequence_like
from automl_pheno.errors import DataError, known_names

_PARTS = ("chromosome", "start", "end")
_STRANDS = {"+": "+", "-": "-", ".": "", "": ""}
_BED = ("chromosome", "start", "end", "name", "score", "strand")
_FEWEST = 3
_FROM_ONE = ("seqnames", "seqname", "seqid", "chromosome_name", "seq_region_name")  # of R, GFF and Ensembl
_NARROW_PEAK = (*_BED, "signal_value", "p_value", "q_value", "peak")
_BED_GRAPH = 4
_HEADERS = ("#", "track", "browser")
_GZIP = b"\x1f\x8b"
_KNOWN = 8


class IntervalReader:
    """Sequences of intervals of a genome; other columns, or the score, are traits."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether columns are called chromosome, start and end, or the first rows are laid out like BED."""
        names = {name.lower() for name in preview.header}
        if Source.is_binary(preview.head) or names & set(SEQUENCE_NAMES) or sequence_like(preview, missing):
            return False
        if all(place_column(preview.header, part) for part in _PARTS):
            return True
        suffixes = [suffix.lower() for suffix in preview.path.suffixes]
        if ".bed" in suffixes[-2:] or preview.first_line.startswith(_HEADERS[1:]):
            return True
        rows = [preview.header, *preview.rows]
        return len(preview.header) >= _FEWEST and all(_bed_like(row) for row in rows)

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the intervals and their sequences.

        Raises
        ------
        DataError
            There is no genome, or it is damaged; a chromosome is not in it, a start is below 0, not below its end, or
            an end lies beyond the end of its chromosome; an interval stands there twice.
        """
        if options.genome is None:
            msg = f"{source.path}: intervals need the genome they lie in, a FASTA file (--genome)"
            raise DataError(msg)
        found = _read_intervals(source, options)
        with open_genome(options.genome) as genome:
            texts, chromosomes, notes = _sequences(found, genome, options.genome)
        codes, encoding_notes = encode_sequences(texts, lambda row, _: f"{found.at(row)} in {options.genome}")
        minus = np.array([strand == "-" for strand in found.strands], dtype=bool)
        if minus.any():
            codes[minus] = reverse_complement(codes[minus])
            notes += (f"{int(minus.sum()):,} of {len(minus):,} intervals are on strand -: reverse complements",)
        columns = pd.DataFrame(
            {
                "chromosome": pd.Series(chromosomes, dtype=object),
                "start": np.array(found.starts, dtype=np.int64),
                "end": np.array(found.ends, dtype=np.int64),
                "strand": pd.Series([strand or None for strand in found.strands], dtype=object),
            }
        ).set_index(pd.Index(found.ids, name="id"))
        return Samples(
            ids=found.ids,
            inputs=Inputs(kind="sequence", values=codes),
            table=found.table,
            columns=columns,
            other_ids={"chromosome:start-end(strand)": found.places},
            files=(options.genome,),
            notes=(*found.notes, *notes, *encoding_notes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Intervals:
    path: Path
    lines: list[int]
    ids: StrArray
    places: StrArray
    chromosomes: list[str]
    starts: list[int]
    ends: list[int]
    strands: list[str]
    table: Table | None
    notes: tuple[str, ...]

    def at(self, row: int) -> str:
        return f"{self.path}:{self.lines[row]}"


def _bed_like(row: Sequence[str]) -> bool:
    return len(row) >= _FEWEST and row[1].isdecimal() and row[2].isdecimal() and not row[0].isdecimal()


def _read_intervals(source: Source, options: ReadOptions) -> _Intervals:
    header, rows = _rows(source)
    chromosome, start, end = (_column(part, header, source) for part in _PARTS)
    strand_column = place_column(header, "strand")
    lines = [line for line, _ in rows]
    cells = {name: [row[place].strip() for _, row in rows] for place, name in enumerate(header)}
    strands = [""] * len(lines) if strand_column is None else _strands(cells.pop(strand_column), lines, source)
    chromosomes = cells.pop(chromosome)
    starts = [_whole(text, line, source, "start") for text, line in zip(cells.pop(start), lines, strict=True)]
    ends = [_whole(text, line, source, "end") for text, line in zip(cells.pop(end), lines, strict=True)]
    from_one, notes = _convention(source, header, cells, starts, ends)
    starts = [first - from_one for first in starts]
    for line, first, last in zip(lines, starts, ends, strict=True):
        if first >= last or first < 0:
            rule = "1 <= start <= end where the table counts from 1" if from_one else "start < end"
            msg = f"{source.at(line)}: an interval must have {rule}, got {first + from_one} and {last}"
            raise DataError(msg)
    places = [
        f"{name}:{first}-{last}" + (f"({strand})" if strand else "")
        for name, first, last, strand in zip(chromosomes, starts, ends, strands, strict=True)
    ]
    asked = options.id_column if options.id_column in cells or not options.has_trait_table else None
    column = find_id_column(tuple(cells), asked, source.path)
    named = column is not None and (asked is not None or _serves(cells[column]))
    ids = check_ids(cells[column] if named and column is not None else places, lines, source.path, column or "interval")
    if named and column is not None:
        del cells[column]
    else:
        notes = (*notes, "intervals are called chromosome:start-end(strand)")
        if column is not None and set(cells[column]) <= {".", ""}:
            del cells[column]
    cells = {name: values for name, values in cells.items() if len(set(values)) > 1 or name not in ("score", "name")}
    return _Intervals(
        path=source.path,
        lines=lines,
        ids=ids,
        places=np.array(places, dtype=np.str_),
        chromosomes=chromosomes,
        starts=starts,
        ends=ends,
        strands=strands,
        table=Table(path=source.path, lines=lines, cells=cells) if cells else None,
        notes=notes,
    )


def _rows(source: Source) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """Return the names of the columns and the rows, of BED with or without a header and of tables."""
    source.check()
    delimiter, skipped = BLANKS, 0
    first: list[str] = []
    titled: set[str] = set()
    for line in source.lines():
        text = line.strip()
        delimiter = next((mark for mark in ("\t", ",", ";") if mark in text), BLANKS)
        first = text.split(None if delimiter == BLANKS else delimiter)
        titled = {name.strip(' "').lower() for name in first}
        if text and (place_column(titled, "chromosome") or not text.startswith(_HEADERS)):
            break
        skipped += 1
    if len(first) < _FEWEST:
        msg = (
            f"{source.at(skipped + 1)}: an interval has at least chromosome, start and end, got {len(first)} column(s)"
        )
        raise DataError(msg)
    names: tuple[str, ...] | None = None
    if place_column(titled, "chromosome") is None or _bed_like(first):
        known = _NARROW_PEAK if ".narrowpeak" in source.path.name.lower() else _BED
        names = (*known[: len(first)], *(f"column{number}" for number in range(len(known) + 1, len(first) + 1)))
        if len(first) == _BED_GRAPH and _is_number(first[-1]):
            names = (*_BED[:_FEWEST], "score")
    skipping = _After(source.path, skipped)
    header, records = checked_records(skipping, delimiter, names)
    rows = list(records)
    if not rows:
        msg = f"{source.path}: only a header and no intervals"
        raise DataError(msg)
    return header, rows


@dataclass(frozen=True, slots=True)
class _After(Source):
    """A file without its first lines, which keep their numbers: they are read as blank."""

    skipped: int

    def lines(self) -> Iterator[str]:
        for number, line in enumerate(Source.lines(self)):
            yield "\n" if number < self.skipped else line


def _column(part: str, header: Sequence[str], source: Source) -> str:
    found = place_column(header, part)
    if found is None:
        names = shown_names(part)
        msg = f"{source.path}: intervals need a column {part!r} ({names}); columns: {', '.join(header[:_KNOWN])}"
        raise DataError(msg)
    return found


def _convention(
    source: Source, header: Sequence[str], cells: dict[str, list[str]], starts: list[int], ends: list[int]
) -> tuple[bool, tuple[str, ...]]:
    """Return whether a table counts from 1, with what was decided; the widths that prove it are no trait."""
    width = width_column(header)
    if width is not None and all(map(str.isdecimal, cells[width])):
        widths = [int(cell) for cell in cells[width]]
        for from_one in (True, False):
            if widths == [last - first + from_one for first, last in zip(starts, ends, strict=True)]:
                del cells[width]
                what = "from 1 and the end is included" if from_one else "from 0 and the end is not included"
                return from_one, (f"{source.path.name}: starts count {what}, as column {width!r} proves",)
    if place_column(header, "chromosome") in _FROM_ONE:
        return False, (
            f"{source.path.name}: starts are taken to count from 0 and ends not to be included, as in BED; a column "
            "width (end - start + 1) says that they count from 1",
        )
    return False, ()


def _whole(text: str, line: int, source: Source, what: str) -> int:
    if not text.isdecimal():
        msg = f"{source.at(line)}: {what} must be a whole number from 0, got {text!r}"
        raise DataError(msg)
    return int(text)


def _strands(cells: Sequence[str], lines: Sequence[int], source: Source) -> list[str]:
    for cell, line in zip(cells, lines, strict=True):
        if cell not in _STRANDS:
            msg = f"{source.at(line)}: strand must be +, - or ., got {cell!r}"
            raise DataError(msg)
    return [_STRANDS[cell] for cell in cells]


def _serves(cells: Sequence[str]) -> bool:
    """Say whether names differ and are no measurements."""
    return len(set(cells)) == len(cells) and "" not in cells and not all(_is_number(cell) for cell in cells)


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def open_genome(path: Path) -> Iterator[Any]:
    """Yield a FASTA file as ``pyfaidx.Fasta``; an index beside it is used, but none is written there.

    Raises
    ------
    DataError
        The file is missing, empty, no FASTA, or its lines are of unequal length; the gzip file is damaged.
    """
    from pyfaidx import Fasta, FastaIndexingError

    source = Source(path)
    source.check()
    first = next((line for line in source.lines() if line.strip()), "")
    if not first.startswith(">"):
        msg = f"{path}: a genome is a FASTA file, which begins with '>', got {first[:20].strip()!r}"
        raise DataError(msg)
    with tempfile.TemporaryDirectory() as folder:
        plain, index = path, path.with_name(f"{path.name}.fai")
        with path.open("rb") as stream:
            packed = stream.read(len(_GZIP)) == _GZIP
        if packed:
            plain = Path(folder, "genome.fa")
            _unpack(path, plain)
        if packed or not index.is_file() or index.stat().st_mtime < path.stat().st_mtime:
            index = Path(folder, "genome.fa.fai")
        try:
            genome = Fasta(str(plain), indexname=str(index), as_raw=True, rebuild=False)
        except (FastaIndexingError, ValueError, KeyError, IndexError, OSError) as error:
            reason = str(error).replace(str(plain), path.name).strip()
            msg = f"{path}: cannot be indexed: {reason}"
            raise DataError(msg) from None
        try:
            yield genome
        finally:
            genome.close()


def _unpack(packed: Path, plain: Path) -> None:
    try:
        with gzip.open(packed, "rb") as stream, plain.open("wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{packed}: the gzip file is truncated or damaged ({error})"
        raise DataError(msg) from None


def _sequences(found: _Intervals, genome: Any, path: Path) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return the sequence of each interval on strand +, the chromosomes as the genome calls them, and notes."""
    names = set(genome.keys())
    given = dict.fromkeys(found.chromosomes)
    renamed = {name: name.removeprefix("chr") if name.startswith("chr") else f"chr{name}" for name in given}
    notes: tuple[str, ...] = ()
    if not names & set(given) and set(renamed.values()) <= names:
        notes = (f"{path} calls chromosomes {next(iter(renamed.values()))!r}, not {next(iter(given))!r}: matched so",)
        chromosomes = [renamed[name] for name in found.chromosomes]
    else:
        chromosomes = found.chromosomes
    texts = []
    for row, (name, start, end) in enumerate(zip(chromosomes, found.starts, found.ends, strict=True)):
        if name not in names:
            known = known_names(name, sorted(names)[:_KNOWN] if len(names) > _KNOWN else names)
            msg = f"{found.at(row)}: chromosome {name!r} is not in {path}; {known}"
            raise DataError(msg)
        length = len(genome[name])
        if end > length:
            msg = f"{found.at(row)}: the interval ends at {end:,}, but {name} has {length:,} bp in {path}"
            raise DataError(msg)
        texts.append(str(genome[name][start:end]))
    return texts, chromosomes, notes


READERS.add("intervals")(IntervalReader())
