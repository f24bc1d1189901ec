"""Edit distance of a sequence to the best-fitting part of another, by code of the audit's own.

Without edlib it is Myers' bit-parallel recurrence (Myers 1999; blocks as in Hyyro 2003), many pairs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

import numpy as np
import numpy.typing as npt

from automl_pheno.data import IntArray, UInt8Array

_WORD = 64
_MANY = 4096  # pairs that go through the recurrence together
_U64 = npt.NDArray[np.uint64]
_ONE = np.uint64(1)
_TOP = np.uint64(63)

# Bit codes to letters. An ambiguous base is like no base, so its letter in a pattern is not that in a text.
_PATTERN = np.frombuffer(b"?AC?G???T???????", dtype=np.uint8).copy()
_TEXT = np.frombuffer(b"!AC!G!!!T!!!!!!!", dtype=np.uint8).copy()
_TURNED = bytes.maketrans(b"ACGT", b"TGCA")


@lru_cache(maxsize=1)
def edlib() -> ModuleType | None:
    """Return the package edlib where it is installed."""
    try:
        import edlib
    except ImportError:
        return None
    return edlib  # type: ignore[no-any-return]


def letters(codes: UInt8Array, *, pattern: bool) -> list[bytes]:
    """Return each sequence as letters, without its padding.

    Parameters
    ----------
    codes
        Bit codes, uint8, shape (n, length), padded on the right with 0.
    pattern
        Whether it is looked for, or looked in: an ambiguous base matches nothing.
    """
    lengths = (codes != 0).sum(axis=1).tolist()
    rows = (_PATTERN if pattern else _TEXT)[codes]
    return [row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)]


def turned(text: bytes) -> bytes:
    """Return the reverse complement."""
    return text.translate(_TURNED)[::-1]


def infix_edits(patterns: Sequence[bytes], texts: Sequence[bytes], most: IntArray) -> IntArray:
    """Return the fewest edits that make each pattern a part of its text.

    Parameters
    ----------
    patterns, texts
        m pairs; no pattern is empty.
    most
        Edits of interest, int64, shape (m,).

    Returns
    -------
    IntArray
        int64, shape (m,); -1 where more than `most` are needed.
    """
    if not len(patterns):
        return np.empty(0, dtype=np.int64)
    package = edlib()
    if package is not None:
        align = package.align
        edits: IntArray = np.array(
            [
                align(pattern, text, "HW", "distance", limit)["editDistance"]
                for pattern, text, limit in zip(patterns, texts, most.tolist(), strict=True)
            ],
            dtype=np.int64,
        )
        return edits
    found = np.concatenate(
        [
            bit_parallel_edits(patterns[start : start + _MANY], texts[start : start + _MANY])
            for start in range(0, len(patterns), _MANY)
        ]
    )
    known: IntArray = np.where(found <= most, found, -1)
    return known


def bit_parallel_edits(patterns: Sequence[bytes], texts: Sequence[bytes]) -> IntArray:
    """Return the fewest edits that make each pattern a part of its text, by Myers' recurrence; int64, shape (m,)."""
    lengths = np.array([len(pattern) for pattern in patterns], dtype=np.int64)
    n_words = int(-(-lengths.max() // _WORD))
    equal = _equality(patterns, lengths, n_words)
    columns = _padded(texts).T
    n = len(patterns)
    rows = np.arange(n)
    positive = [np.full(n, np.iinfo(np.uint64).max, dtype=np.uint64) for _ in range(n_words)]
    negative = [np.zeros(n, dtype=np.uint64) for _ in range(n_words)]
    last_word = (lengths - 1) // _WORD
    last_bit = ((lengths - 1) % _WORD).astype(np.uint64)
    score = lengths.copy()
    best: IntArray = lengths.copy()
    for column in columns:
        match = equal[rows, column]
        up = np.zeros(n, dtype=np.uint64)  # does the row above the word rise, or fall, in this column
        down = np.zeros(n, dtype=np.uint64)
        for word in range(n_words):
            pv, mv, eq = positive[word], negative[word], match[:, word]
            xv = eq | mv
            eq = eq | down
            xh = (((eq & pv) + pv) ^ pv) | eq
            rises = mv | ~(xh | pv)
            falls = pv & xh
            here = last_word == word
            if here.any():
                change = ((rises >> last_bit) & _ONE).astype(np.int64) - ((falls >> last_bit) & _ONE).astype(np.int64)
                score += np.where(here, change, 0)
            next_up, next_down = rises >> _TOP, falls >> _TOP
            rises = (rises << _ONE) | up
            falls = (falls << _ONE) | down
            positive[word] = falls | ~(xv | rises)
            negative[word] = rises & xv
            up, down = next_up, next_down
        np.minimum(best, score, out=best)
    return best


def _equality(patterns: Sequence[bytes], lengths: IntArray, n_words: int) -> _U64:
    """Return for each pattern and base the places where it has this base, as bits; shape (m, 5, words)."""
    codes = _padded(patterns)
    equal = np.zeros((len(patterns), 5, n_words), dtype=np.uint64)
    for place in range(int(lengths.max())):
        base = codes[:, place]
        word, bit = divmod(place, _WORD)
        for number in range(4):
            equal[:, number, word] |= (base == number).astype(np.uint64) << np.uint64(bit)
    return equal


def _padded(texts: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return 0 to 3 for A, C, G, T and 4 for anything else, also behind the end; shape (m, longest)."""
    table = np.full(256, 4, dtype=np.uint8)
    table[[65, 67, 71, 84]] = [0, 1, 2, 3]
    longest = max(len(text) for text in texts)
    out = np.full((len(texts), longest), 4, dtype=np.uint8)
    for row, text in enumerate(texts):
        out[row, : len(text)] = table[np.frombuffer(text, dtype=np.uint8)]
    return out
