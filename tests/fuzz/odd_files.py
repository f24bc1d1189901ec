"""Odd files: tables of cells that are spoilt, written in odd ways, and damaged as bytes. All from one seed."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Grid = list[list[str]]

ODD_CELLS = (
    "", " ", "NA", "nan", "NaN", "None", "null", ".", "-", "N", "--", "?", "-9", "-1", "9", "0", "1", "2", "3", "4",
    "01", "1.0", "1.", ".5", "1e0", "1E-3", "+1", "1_0", "0x1", "inf", "-inf", "1,5", "1;5", "1\t5", "\u0661", "\uff11",
    "\u00bd", "True", "AA", "AG", "A/G", "0/1", "0|0", "R", "Y", "A", "N/N", "A/", "/", "-/-", "A-", "AAA", "A:G",
    "#", "=1", "'1", '"', '""', "a b", "\u00e9", "\U0001f33d", "\u00a0", "\u200b", "1" * 40, "ACGT" * 40, "2024-01-01",
    "1/2/2024", "9" * 400, "1e400", "1e-400", "-0", "0.0000001", "1.9999999", "2.0000001",
)  # fmt: skip
ODD_NAMES = (
    "NA",
    "None",
    "nan",
    "1",
    "001",
    "1.0",
    "s 1",
    "s,1",
    "x_y",
    "_",
    "#x",
    "\u00e9",
    "id",
    "0",
    "-9",
    "A1",
    "a" * 60,
)


def spoil(grid: Grid, rng: Rng, *, header: bool = True) -> Grid:
    """Return the table with up to three faults: other cells and names, rows and columns that move or go."""
    grid = [list(row) for row in grid]
    for _ in range(int(rng.integers(0, 4))):
        kinds: tuple[Callable[[Grid, Rng, bool], None], ...] = (_cell, _cell, _cell, _name, _row, _column, _ragged)
        kinds[int(rng.integers(len(kinds)))](grid, rng, header)
        if len(grid) < 2:
            break
    return grid


def _pick(rng: Rng, things: tuple[str, ...]) -> str:
    return things[int(rng.integers(len(things)))]


def _cell(grid: Grid, rng: Rng, header: bool) -> None:
    row = grid[int(rng.integers(header, len(grid)))]
    if row:
        row[int(rng.integers(len(row)))] = _pick(rng, ODD_CELLS)


def _name(grid: Grid, rng: Rng, header: bool) -> None:
    if header and rng.random() < 0.4 and grid[0]:
        grid[0][int(rng.integers(len(grid[0])))] = _pick(rng, ODD_NAMES)
    else:
        row = grid[int(rng.integers(header, len(grid)))]
        if row:
            row[0] = _pick(rng, ODD_NAMES)


def _row(grid: Grid, rng: Rng, header: bool) -> None:
    place = int(rng.integers(header, len(grid)))
    kind = int(rng.integers(4))
    if kind == 0:
        grid.insert(int(rng.integers(header, len(grid) + 1)), list(grid[place]))
    elif kind == 1:
        del grid[place]
    elif kind == 2:
        grid.insert(place, [""] * len(grid[place]))
    else:
        grid[header:] = [grid[int(i) + header] for i in rng.permutation(len(grid) - header)]


def _column(grid: Grid, rng: Rng, header: bool) -> None:
    del header
    width = min(map(len, grid))
    if width < 2:
        return
    place, kind = int(rng.integers(width)), int(rng.integers(4))
    order = rng.permutation(width)
    for number, row in enumerate(grid):
        if kind == 0:
            row.append(row[place])
        elif kind == 1:
            del row[place]
        elif kind == 2:
            row.insert(place, "" if number == 0 else str(number))
        else:
            row[:width] = [row[int(i)] for i in order]


def _ragged(grid: Grid, rng: Rng, header: bool) -> None:
    row = grid[int(rng.integers(header, len(grid)))]
    if rng.random() < 0.5 and row:
        row.pop()
    else:
        row.append(_pick(rng, ODD_CELLS))


def render(grid: Grid, delimiter: str, rng: Rng) -> bytes:
    """Write the table: some cells quoted or between blanks, blank lines, ends of lines of any system."""
    quote, blank = rng.random() < 0.2, rng.random() < 0.1 and delimiter != " "
    lines = []
    for row in grid:
        cells = []
        for cell in row:
            text = cell
            if delimiter != " " and ((quote and rng.random() < 0.3) or any(mark in cell for mark in (delimiter, '"'))):
                text = '"' + cell.replace('"', '""') + '"'
            elif blank and rng.random() < 0.3:
                text = f" {cell} "
            cells.append(text)
        lines.append(delimiter.join(cells))
        if rng.random() < 0.01:
            lines.append("")
    end = ("\n", "\n", "\n", "\r\n")[int(rng.integers(4))]
    text = end.join(lines) + (end if rng.random() < 0.9 else "")
    return (b"\xef\xbb\xbf" if rng.random() < 0.1 else b"") + text.encode("utf-8", errors="surrogatepass")


def damage(raw: bytes, rng: Rng, *, often: float = 0.15) -> bytes:
    """Change, cut or insert bytes now and then, and pack the file with gzip, whole or not."""
    if rng.random() < often and len(raw) > 4:
        place = int(rng.integers(len(raw)))
        kind = int(rng.integers(5))
        if kind == 0:
            raw = raw[:place]
        elif kind == 1:
            raw = raw[:place] + bytes([int(rng.integers(256))]) + raw[place + 1 :]
        elif kind == 2:
            raw = raw[:place] + raw[place + 1 + int(rng.integers(20)) :]
        elif kind == 3:
            raw = raw[:place] + raw[max(place - 30, 0) : place] + raw[place:]
        else:
            raw = raw[:place] + bytes(rng.integers(0, 256, 3, dtype=np.uint8)) + raw[place:]
    if rng.random() < 0.1:
        raw = gzip.compress(raw, mtime=0)
        if rng.random() < 0.2:
            raw = raw[: int(rng.integers(1, len(raw)))]
    return raw


def plain(raw: bytes) -> bytes | None:
    """Return what gzip packed, as it is, or None where it is damaged."""
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, ValueError, __import__("zlib").error):
        return None
