"""Numbers that are written in another way than 7.5: decimal commas are read where they can be nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_COMMA = re.compile(r"[-+]?\d+,\d+")
_WHOLE = re.compile(r"[-+]?\d+")
_THREE = re.compile(r"[-+]?\d{1,3},\d{3}")
_MOSTLY = 0.5

_KINDS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("date", re.compile(r"\d{4}-\d\d?-\d\d?([ T].*)?|\d\d?[./-]\d\d?[./-]\d{2,4}|\d{4}/\d\d?/\d\d?"),
     "a date; write the days since a start"),
    ("percent", re.compile(r"[-+]?[\d.,]+\s*%"), "a percentage; write the number alone"),
    ("thousands", re.compile(r"[-+]?\d{1,3}(([,' \u00a0\u202f]\d{3})+(\.\d+)?|(\.\d{3})+,\d+|(\.\d{3}){2,})"),
     "has marks of thousands, or a decimal comma; write it with a decimal point alone"),
    ("comma", _COMMA, "has a decimal comma; write a point"),
    ("minus", re.compile(r"[\u2010-\u2015\u2212]\s*[\d.,]+"), "has a dash for a minus sign; write a hyphen"),
    ("limit", re.compile(r"[<>\u2264\u2265~]=?\s*[-+]?[\d.,]+"), "is a limit, not a value"),
    ("unit", re.compile(r"[-+]?[\d.,]+\s*[A-Za-z\u00b5\u00b0][\w\u00b0/\u00b2\u00b3-]{0,9}"),
     "has a unit; write the number alone"),
)  # fmt: skip


def parse_number(text: str) -> float:
    """Return the number that `text` states in ASCII; raises ValueError for anything else, also for ``1_000``."""
    if "_" in text or not text.isascii():
        msg = f"not a number: {text!r}"
        raise ValueError(msg)
    return float(text)


def is_number(cell: str) -> bool:
    """Say whether `parse_number` reads it."""
    try:
        parse_number(cell)
    except ValueError:
        return False
    return True


def decimal_commas(cells: Sequence[str], missing: Collection[str]) -> list[str] | None:
    """Return the cells with decimal points where all numbers have decimal commas or none, else None.

    Where each comma has three digits behind it, it may stand for thousands, and is not touched.
    """
    texts = {cell for cell in cells if cell not in missing}
    commas = {cell for cell in texts if _COMMA.fullmatch(cell)}
    if not commas or all(_THREE.fullmatch(cell) for cell in commas):
        return None
    if not all(_WHOLE.fullmatch(cell) for cell in texts - commas):
        return None
    return [cell.replace(",", ".") if cell in commas else cell for cell in cells]


def advice(cell: str, cells: Sequence[str], missing: Collection[str]) -> str:
    """Return what `cell`, which is no number, looks like, and what to do; "" for a word among words."""
    for _, pattern, text in _KINDS:
        if pattern.fullmatch(cell):
            return text
    known = [one for one in cells if one not in missing]
    if sum(map(is_number, known)) >= _MOSTLY * len(known):
        return f"if it means missing, say so with --missing {cell}"
    return ""


def means_numbers(cells: Sequence[object]) -> bool:
    """Say whether most of the cells are numbers, however they are written; dates are none."""
    texts = [cell for cell in cells if isinstance(cell, str) and cell]
    found = sum(is_number(cell) or any(pattern.fullmatch(cell) for _, pattern, _ in _KINDS[1:]) for cell in texts)
    dates = sum(bool(_KINDS[0][1].fullmatch(cell)) for cell in texts)
    return bool(texts) and found - dates > _MOSTLY * len(texts)
