"""VCF text, plain or gzip, read with NumPy alone: header, sites, and the calls of a site as numbers.

On files of genotypes alone this is faster than going through htslib, says the line of what is wrong, and needs
nothing installed; ``vcf.py`` turns what it yields into dosages. VCF specification 4.3, sections 1.4 and 1.6.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray
from automl_pheno.data.source import Source
from automl_pheno.data.variants import parse_position
from automl_pheno.errors import DataError

MISSING = -1
"""An allele that was not called."""
ABSENT = -2
"""Fills the row of a sample with fewer alleles than others have."""

AlleleArray = npt.NDArray[np.int16]

_FIXED = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
_BAD = -9
_TAB = ord("\t")
_LONGEST_NUMBER = 32
_DIGITS = 4  # of an allele number
_SEPARATOR = re.compile(rb"[/|]")


def _letters(letters: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[list(letters)] = True
    return table


def _allele_table() -> AlleleArray:
    table = np.full(256, _BAD, dtype=np.int16)
    table[ord("0") : ord("9") + 1] = np.arange(10)
    table[ord(".")] = MISSING
    return table


_ALLELE = _allele_table()
_JOINS, _ENDS = _letters(b"/|"), _letters(b"\t:")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextHeader:
    """The header of a VCF: sample ids, and the line they stand in."""

    samples: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One line of a VCF, however it was read.

    Attributes
    ----------
    place
        ``file:line``.
    chromosome, position, name, ref, alts
        As in the file; `name` is "" without an id, `alts` is empty without an alternate allele.
    passed
        FILTER is PASS or not stated.
    keys
        What FORMAT names.
    alleles
        Returns allele numbers, int16, shape (n, ploidy): 0 is the reference, -1 not called, -2 no such allele. To be
        called before the next site is read, like `doses`.
    doses
        Returns the values of DS, shape (n, alternate alleles); NaN is missing.
    """

    place: str
    chromosome: str
    position: int
    name: str
    ref: str
    alts: tuple[str, ...]
    passed: bool
    keys: tuple[str, ...]
    alleles: Callable[[], AlleleArray]
    doses: Callable[[], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """The cells of the samples of a line."""

    place: str
    keys: tuple[str, ...]
    cells: bytes
    samples: tuple[str, ...]

    def alleles(self) -> AlleleArray:
        """Return allele numbers; raises DataError where a call is no allele numbers joined by ``/`` or ``|``."""
        place = self.keys.index("GT")
        cells = self.cells if place == 0 else b"\t".join(self._field(place))
        n = len(self.samples)
        letters = np.frombuffer(cells + b"\t\t\t\t", dtype=np.uint8)
        starts = np.zeros(n, dtype=np.int64)
        starts[1:] = np.flatnonzero(letters[: len(cells)] == _TAB) + 1
        left, right = _ALLELE[letters[starts]], _ALLELE[letters[starts + 2]]
        middle = letters[starts + 1]
        diploid = _JOINS[middle] & _ENDS[letters[starts + 3]] & (left > _BAD) & (right > _BAD)
        if diploid.all():
            pairs: AlleleArray = np.stack([left, right]).T
            return pairs
        haploid = _ENDS[middle] & (left > _BAD)
        out = np.full((n, 2), ABSENT, dtype=np.int16)
        out[diploid] = np.stack([left, right], axis=1)[diploid]
        out[haploid, 0] = left[haploid]
        for row in np.flatnonzero(~(diploid | haploid)).tolist():
            call = self._parse(cells, int(starts[row]), row)
            if len(call) > out.shape[1]:
                out = np.pad(out, ((0, 0), (0, len(call) - out.shape[1])), constant_values=ABSENT)
            out[row, : len(call)] = call
        return out

    def doses(self) -> FloatArray:
        """Return values of DS; raises DataError where one is no number, or a field is empty."""
        if b"::" in self.cells or b":\t" in self.cells or self.cells.endswith(b":"):
            msg = f"{self.place}: a sample has an empty field; a missing value is written as '.'"
            raise DataError(msg)
        quick = self._quick_doses()
        if quick is not None:
            return quick
        cells = self._field(self.keys.index("DS"))
        width = max(cell.count(b",") for cell in cells) + 1
        values = np.full((len(cells), width), np.nan)
        for row, cell in enumerate(cells):
            if cell in (b".", b""):
                continue
            try:
                numbers = [np.nan if part == b"." else float(part) for part in cell.split(b",")]
            except ValueError:
                msg = f"{self.place}: sample {self.samples[row]!r}: DS {_text(cell)!r} is not a number"
                raise DataError(msg) from None
            values[row, : len(numbers)] = numbers
        return values

    def _quick_doses(self) -> FloatArray | None:
        """Return the values of DS where each sample has one short number or none, all parsed at once, else None."""
        place = self.keys.index("DS")
        letters = np.frombuffer(self.cells + b"\t", dtype=np.uint8)
        marks = np.flatnonzero(_ENDS[letters])
        last = np.flatnonzero(letters[marks] == _TAB)
        first = np.concatenate([[0], last[:-1] + 1])
        there = first + place <= last
        ends = marks[np.minimum(first + place, last)]
        starts = np.concatenate([[-1], marks])[np.minimum(first + place, last)] + 1
        lengths = np.where(there, ends - starts, 0)
        width = int(lengths.max())
        if not 0 < width <= _LONGEST_NUMBER:
            return None
        inside = np.arange(width) < lengths[:, None]
        texts = np.where(inside, letters[np.where(inside, starts[:, None] + np.arange(width), 0)], 0).astype(np.uint8)
        words = np.ascontiguousarray(texts).view(f"S{width}")[:, 0]
        known = (words != b".") & (words != b"")
        values = np.full((len(words), 1), np.nan)
        try:
            values[known, 0] = words[known].astype(np.float64)
        except ValueError:
            return None
        return values

    def _field(self, place: int) -> list[bytes]:
        """Return one field of each sample; trailing fields that are left out are missing."""
        parts = (cell.split(b":") for cell in self.cells.split(b"\t"))
        return [part[place] if place < len(part) else b"." for part in parts]

    def _parse(self, cells: bytes, start: int, row: int) -> list[int]:
        cell = re.split(rb"[\t:]", cells[start : start + 200], maxsplit=1)[0]
        parts = _SEPARATOR.split(cell)
        if not all(part == b"." or (part.isdigit() and len(part) <= _DIGITS) for part in parts):
            msg = (
                f"{self.place}: sample {self.samples[row]!r}: a call is allele numbers joined by / or |, "
                f"got {_text(cell)!r}"
            )
            raise DataError(msg)
        return [MISSING if part == b"." else int(part) for part in parts]


def read_header(source: Source) -> TextHeader:
    """Return the samples of a VCF.

    Raises
    ------
    DataError
        It is no VCF, has no samples, or two of one name.
    """
    for number, line in enumerate(source.byte_lines(), start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if text.startswith(b"##"):
            continue
        fields = _text(text.rstrip(b"\r\n")).split("\t")
        if fields[0] != _FIXED[0]:
            break
        if tuple(fields[: len(_FIXED)]) != _FIXED or len(fields) == len(_FIXED):
            msg = (
                f"{source.at(number)}: no samples; a VCF with calls has the columns {' '.join(_FIXED)} and one for "
                f"each sample, separated by tabs, got {len(fields)} columns"
            )
            raise DataError(msg)
        return TextHeader(samples=check_samples(fields[len(_FIXED) :], source.at(number)), line=number)
    msg = f"{source.path}: is not a VCF with calls: no line that begins with #CHROM and a tab before the sites"
    raise DataError(msg)


def check_samples(names: Sequence[str], place: str) -> tuple[str, ...]:
    """Return `names`; raises DataError for an empty one or two of one name."""
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if not name.strip():
            msg = f"{place}: sample {number} has no id"
            raise DataError(msg)
        if name in seen:
            msg = f"{place}: two samples have the id {name!r}; ids must be unique"
            raise DataError(msg)
        seen.add(name)
    return tuple(names)


def text_sites(source: Source, header: TextHeader) -> Iterator[Site]:
    """Yield the sites.

    Raises
    ------
    DataError
        A line has not as many columns as the header, or its position is no number from 0.
    """
    expected = len(_FIXED) + len(header.samples)
    for number, raw in enumerate(source.byte_lines(), start=1):
        line = raw.rstrip(b"\r\n")
        if number <= header.line or not line.strip():
            continue
        columns = line.count(b"\t") + 1
        if columns != expected:
            msg = f"{source.at(number)}: expected {expected:,} columns as in the #CHROM line, got {columns:,}"
            raise DataError(msg)
        fields = [_text(field) for field in line.split(b"\t", len(_FIXED))[:-1]]
        cells = line.split(b"\t", len(_FIXED))[-1]
        yield _site(source.at(number), fields, cells, header.samples)


def _site(place: str, fields: list[str], cells: bytes, samples: tuple[str, ...]) -> Site:
    chromosome, position, name, ref, alt, _, passed, _, keys = fields
    if not chromosome or ref in ("", "."):
        msg = f"{place}: chromosome and reference allele must be there, got {chromosome!r} and {ref!r}"
        raise DataError(msg)
    if not alt:
        msg = f"{place}: the alternate allele is empty; a site without one has a point"
        raise DataError(msg)
    calls = _Calls(place=place, keys=tuple(keys.split(":")), cells=cells, samples=samples)
    return Site(
        place=place,
        chromosome=chromosome,
        position=parse_position(position, place),
        name="" if name == "." else name,
        ref=ref,
        alts=() if alt in (".", "") else tuple(alt.split(",")),
        passed=passed in ("PASS", ".", ""),
        keys=calls.keys,
        alleles=calls.alleles,
        doses=calls.doses,
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
