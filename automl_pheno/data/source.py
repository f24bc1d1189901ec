"""A text file, plain or gzip: its lines, its hash, and errors that say where."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from automl_pheno.data.foreign import foreign
from automl_pheno.data.ids import is_id_name
from automl_pheno.data.written import is_number
from automl_pheno.errors import DataError
from automl_pheno.progress import tick

_TICK = 64  # lines between two ticks
_GZIP = b"\x1f\x8b"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification 4.1.2
_BGZF_EXTRA = slice(12, 14)
_BINARY = (b"\x6c\x1b", b"BCF")  # PLINK, BCF
_DELIMITERS = (",", "\t", ";")
BLANKS = " "
"""Delimiter of tables whose fields stand between any number of blanks."""

_MARK = "\ufeff"  # of byte order; files that were joined have it in the middle, too
_STATED = re.compile(r'"?sep=(.)"?')
_WORD = re.compile(r'"([^"]*)"(?=\s|$)|(\S+)')
_LINES_OF_DELIMITER = 20
_PREVIEW_ROWS = 200
_PREVIEW_CELLS = 50_000  # of a wide table fewer rows tell enough
_NO_TABLE = (">", "@", "##")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The beginning of a file, from which its format is recognised.

    Attributes
    ----------
    path
        The file.
    head
        Its first bytes, at most 4096, gzip undone.
    first_line
        The first line that is not blank, without its end; "" for an empty file.
    delimiter
        Comma, tab or semicolon: the one that splits the first lines into as many fields; `BLANKS` where none does.
    header
        Fields of the first line; empty for FASTA, binary files and other formats that are no tables.
    rows
        The first rows below it that have as many fields, at most 200.
    """

    path: Path
    head: bytes
    first_line: str
    delimiter: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read. Gzip is recognised by its first two bytes, not by the name."""

    path: Path

    def at(self, line: int) -> str:
        """Return ``file:line``."""
        return f"{self.path}:{line}"

    def check(self) -> None:
        """Raise DataError unless this is a readable, non-empty file of text."""
        self.check_there()
        head = self._head()
        if what := foreign(head):
            msg = f"{self.path}: {what}"
            raise DataError(msg)
        if self.is_binary(head):
            msg = f"{self.path}: is binary (or UTF-16), not UTF-8 text"
            raise DataError(msg)

    def check_there(self) -> None:
        """Raise DataError unless this is a file."""
        if self.path.is_dir():
            msg = f"{self.path}: is a folder, not a file"
            raise DataError(msg)
        if not self.path.exists():
            msg = f"{self.path}: no such file"
            raise DataError(msg)

    @staticmethod
    def is_binary(head: bytes) -> bool:
        """Say whether a file that begins so is no text."""
        return b"\x00" in head or head.startswith(_BINARY)

    def _head(self) -> bytes:
        with self._reading() as stream:
            head = stream.read(4096)
        if not head.strip():
            msg = f"{self.path}: the file is empty"
            raise DataError(msg)
        with self.path.open("rb") as stream:
            start = stream.read(14)
            if start.startswith(_BGZF_END[:4]) and start[_BGZF_EXTRA] == b"BC":
                stream.seek(-min(len(_BGZF_END), self.path.stat().st_size), io.SEEK_END)
                if stream.read() != _BGZF_END:
                    msg = f"{self.path}: the bgzip file is truncated: its end marker is missing"
                    raise DataError(msg)
        return head

    def byte_lines(self) -> Iterator[bytes]:
        """Yield each line with its end, undecoded."""
        reading = self._reading()
        with reading as stream:
            for number, line in enumerate(stream, start=1):
                if number % _TICK == 0:
                    tick(f"reading {self.path.name}", reading.share())
                yield line

    def lines(self) -> Iterator[str]:
        """Yield each line with its end; byte order marks are dropped."""
        reading = self._reading()
        with reading as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            try:
                for number, line in enumerate(text, start=1):
                    if number % _TICK == 0:
                        tick(f"reading {self.path.name}", reading.share())
                    if "\x00" in line:
                        msg = f"{self.at(number)}: a NUL byte; the file is binary or damaged"
                        raise DataError(msg)
                    yield line.removeprefix(_MARK)
            except UnicodeDecodeError as error:
                msg = f"{self.at(self._bad_line())}: not UTF-8 text (byte 0x{error.object[error.start]:02x})"
                raise DataError(msg) from None

    def records(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the fields of each record that is not blank; quotes may span lines.

        A first line ``sep=;``, which Excel understands, is no record.
        """
        lines = (
            "\n" if number == 0 and _STATED.fullmatch(line.strip("\r\n")) else line
            for number, line in enumerate(self.lines())
        )
        if delimiter == BLANKS:
            for number, line in enumerate(lines, start=1):
                if line.count('"') % 2:
                    msg = f"{self.at(number)}: a quote without its end"
                    raise DataError(msg)
                if line.strip():
                    yield number, _words(line)
            return
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            start = reader.line_num + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                msg = f"{self.at(start)}: {error}"
                raise DataError(msg) from None
            if record and not (len(record) == 1 and not record[0].strip()):
                yield start, record

    def table(self, delimiter: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
        """Return the first record, stripped, and the others with their line numbers.

        A delimiter at the end of each row is none, and a header of R that is one short gets "" for the row names.
        """
        records = self.records(delimiter)
        line, record = next(records, (1, [""]))
        names = [name.strip() for name in record]
        begin = list(islice(records, max(min(_PREVIEW_ROWS, _PREVIEW_CELLS // len(names)), 1)))
        if not begin:
            return names, iter(())
        width, ends = len(begin[0][1]) - len(names), not begin[0][1][-1].strip()
        if ends and (width == 1 or (width == 0 and len(names) > 1 and not names[-1])):
            names = names if width else names[:-1]
            return names, (
                (number, row[:-1] if len(row) == len(names) + 1 and not row[-1].strip() else row)
                for number, row in chain(begin, records)
            )
        if width == 1 and self._has_row_names(delimiter, line, names, [row[0] for _, row in begin]):
            names = ["", *names]
        return names, chain(begin, records)

    def _has_row_names(self, delimiter: str, line: int, names: Sequence[str], cells: Sequence[str]) -> bool:
        """Say whether a header is one short since R wrote it, not since a name is lost or numbers have decimal commas.

        Between commas and semicolons R quotes it; where a column of ids comes first, R numbers the rows from 1; and
        names of rows, the first of its `cells`, differ and are no decimals.
        """
        if delimiter not in (BLANKS, "\t") and not next(islice(self.lines(), line - 1, line)).startswith('"'):
            return False
        first = cells[0].strip()
        known = first == "1" or not (is_id_name(names[0]) or (is_number(first) and not first.isdecimal()))
        return known and len(set(cells)) == len(cells)

    def preview(self) -> Preview:
        """Return the beginning of the file; of formats in binary only the first bytes."""
        self.check_there()
        head = self._head()
        if head.startswith(_BINARY):
            return Preview(path=self.path, head=head, first_line="", delimiter=",", header=(), rows=())
        self.check()
        begin = list(islice((line for line in self.lines() if line.strip()), _LINES_OF_DELIMITER))
        stated = _STATED.fullmatch(begin[0].strip("\r\n")) if begin else None
        first = begin[1 if stated and len(begin) > 1 else 0].rstrip("\r\n") if begin else ""
        delimiter = stated.group(1) if stated else _delimiter(first, begin)
        header: tuple[str, ...] = ()
        rows: list[tuple[str, ...]] = []
        if not first.startswith(_NO_TABLE):
            names, records = self.table(delimiter)
            header = tuple(names)
            for _, record in records:
                fields = tuple(cell.strip() for cell in record)
                if len(fields) == len(header):
                    rows.append(fields)
                if len(rows) == _PREVIEW_ROWS or len(rows) * len(header) > _PREVIEW_CELLS:
                    break
        return Preview(
            path=self.path, head=head, first_line=first, delimiter=delimiter, header=header, rows=tuple(rows)
        )

    def sha256(self) -> str:
        """Return the hash of the file as it lies on disk."""
        digest = hashlib.sha256()
        with self.path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def _reading(self) -> _Reading:
        return _Reading(self.path)

    def _bad_line(self) -> int:
        with self._reading() as stream:
            decoded = (line.decode("utf-8", errors="surrogateescape") for line in stream)
            return next(number for number, text in enumerate(decoded, start=1) if _undecodable(text))


def _delimiter(first: str, lines: Sequence[str]) -> str:
    """Return what splits the first line into most fields, and the others into as many (or one more: row names).

    At a tie it is what makes a name of ids stand alone, and the comma last, which may be a decimal one.
    """
    found = [one for one in _DELIMITERS if one in first]
    if not found:
        return BLANKS if len(first.split()) > 1 else _DELIMITERS[0]
    if len(found) == 1:
        return found[0]

    def rate(delimiter: str) -> tuple[float, int, bool, bool]:
        try:
            names, *rows = csv.reader(lines, delimiter=delimiter)
        except csv.Error:  # named with its line where the file is read
            return 0.0, 0, False, False
        alike = sum(len(row) - len(names) in (0, 1) for row in rows)
        return alike / max(len(rows), 1), len(names), any(map(is_id_name, names)), delimiter != ","

    return max(found, key=rate)


def _words(line: str) -> list[str]:
    """Return the fields between blanks; quoted ones may hold blanks."""
    return [quoted or plain for quoted, plain in _WORD.findall(line)] if '"' in line else line.split()


def _undecodable(text: str) -> bool:
    # surrogateescape turns bytes that are not UTF-8 into these, which no valid text holds
    return any("\udc80" <= letter <= "\udcff" for letter in text)


class _Reading:
    """Opens a file, through gzip where needed, and turns what goes wrong while reading into DataError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> io.BufferedReader:
        try:
            self._file = self._path.open("rb")
            magic = self._file.read(2)
            self._file.seek(0)
        except OSError as error:
            msg = f"{self._path}: cannot be read: {error.strerror}"
            raise DataError(msg) from None
        return gzip.GzipFile(fileobj=self._file) if magic == _GZIP else self._file  # type: ignore[return-value]

    def share(self) -> float:
        """Return how much of the file was read, 0 to 1."""
        if self._file is None or self._file.closed:
            return 1.0
        return self._file.tell() / max(os.fstat(self._file.fileno()).st_size, 1)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._file is not None:
            self._file.close()
        if isinstance(error, (EOFError, gzip.BadGzipFile, zlib.error)):
            msg = f"{self._path}: the gzip file is truncated or damaged ({error})"
            raise DataError(msg) from None
