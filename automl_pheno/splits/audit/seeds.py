"""Which sequences may be alike: those that share words at spaced places, on either strand.

The splitter looks for k-mers; the audit looks for spaced words (Ma, Tromp and Li 2002), which find other pairs at the
same cost, so that what one search overlooks the other may see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import IntArray, UInt8Array
from automl_pheno.progress import tick
from automl_pheno.splits.audit.sides import BoolArray, Sides

_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]

# Two patterns a weight, each its own mirror image, so that a word and its reverse complement lie at the same places.
# Chosen among 250 random ones by the share of stretches of 100 bp with 18 % substitutions that share two words or
# more: 1.00 to weight 10, then 0.99, 0.98, 0.95, 0.91.
_PATTERNS = {
    6: ("1110000111", "111000111"),
    7: ("11001110011", "1101001001011"),
    8: ("101110000011101", "11010100101011"),
    9: ("11100001110000111", "11001010101010011"),
    10: ("110101010010101011", "1110010010100100111"),
    11: ("1110100101010010111", "1110011001001100111"),
    12: ("11101001100110010111", "1110110010100110111"),
    13: ("1111001101011001111", "11101000110101100010111"),
    14: ("111101001101100101111", "1110101001100011001010111"),
}
_MOST_WORDS = 80_000_000  # of both patterns together about 1.3 GB; above, a sample of the words is compared
_MOST_MEETINGS = 300_000_000
_MEETINGS = 8_000_000  # counted at once
_CROWDS = (1000, 500, 200, 100, 50, 25)  # from how many sequences with the same word on each meets a few of them only
_NEIGHBOURS = 16
_CELLS = 1 << 22
_SHORT = 60  # with fewer places for a word in a sequence, one common word suffices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Pairs of which one sample at least is evaluated.

    Attributes
    ----------
    first, second
        Rows, int64, shape (m,); a pair alike on both strands stands twice.
    reverse
        True where the reverse complement of one is meant, shape (m,).
    words
        How many words both have on that strand, int64, shape (m,).
    facts
        How was searched, plain values.
    """

    first: IntArray
    second: IntArray
    reverse: BoolArray
    words: IntArray
    facts: dict[str, Any]


def find_candidates(codes: UInt8Array, sides: Sides, rng: np.random.Generator) -> Candidates:
    """Return the pairs of sequences that share words.

    Parameters
    ----------
    codes
        Bit codes, uint8, shape (n, length), padded on the right with 0.
    sides
        Of the n samples; only those used are compared.
    rng
        Draws the order in which sequences of a crowd (the same word in very many) meet each other.
    """
    rows = rng.permutation(np.flatnonzero(sides.used())).astype(np.int64)
    bases = np.full(16, 4, dtype=np.uint8)
    bases[[1, 2, 4, 8]] = [0, 1, 2, 3]
    lengths = (codes[rows] != 0).sum(axis=1)
    n_words = 2 * int(lengths.sum())
    every = max(1, -(-n_words // _MOST_WORDS))
    weight = 14 if every > 1 else int(np.clip(np.ceil(np.log(max(n_words / 4, 1)) / np.log(4)), 6, 14))
    patterns = _PATTERNS[weight]
    places = float(np.median(lengths)) - max(map(len, patterns))
    needed = 1 if every > 1 or places < _SHORT else 2
    indexes = [_index(codes, rows, bases, np.flatnonzero([c == "1" for c in pattern]), every) for pattern in patterns]
    crowd = _crowd_size(indexes)
    meets = [_Meetings.of(index, crowd) for index in indexes]
    evaluated = sides.code[rows] >= 0
    found = list(_count(meets, len(rows), evaluated, needed))
    first, second, reverse, words = (np.concatenate(parts) for parts in zip(*found, strict=True))
    crowded = int(sum(one.crowded for one in meets))
    return Candidates(
        first=rows[first],
        second=rows[second],
        reverse=reverse == 1,
        words=words,
        facts={
            "patterns": list(patterns),
            "words_needed": needed,
            "words_sampled": 1.0 / every,
            "crowded_words": crowded,
            "crowded_from": crowd if crowded else None,
            "candidates": len(first),
        },
    )


def _index(codes: UInt8Array, rows: IntArray, bases: UInt8Array, offsets: IntArray, every: int) -> _U64:
    """Return (word, place in `rows`, is it turned) of each different word of a sequence, in one number each, sorted."""
    parts = []
    step = max(1, _CELLS // max(codes.shape[1], 1))
    width = codes.shape[1] - int(offsets[-1])
    if width <= 0:
        return np.empty(0, dtype=np.uint64)
    for start in range(0, len(rows), step):
        tick("auditing sequences: words", start / len(rows))
        block = bases[codes[rows[start : start + step]]]
        word, turned, known = _words(block, offsets, width)
        if every > 1:
            # Knuth's multiplicative hash, so that the sample of words does not depend on their letters
            known &= (word * np.uint32(2654435761)) % np.uint32(every) == 0
        place = (np.arange(start, start + len(block), dtype=np.uint64)[:, None] << np.uint64(1)) | turned
        parts.append((word[known].astype(np.uint64) << np.uint64(32)) | place[known])
    index = np.concatenate(parts)
    index.sort()
    return index[np.r_[True, index[1:] != index[:-1]]] if len(index) else index


def _words(bases: UInt8Array, offsets: IntArray, width: int) -> tuple[_U32, BoolArray, BoolArray]:
    """Return the word or its reverse complement, whichever is lower, at each place, which it is, and if it is known."""
    forward = np.zeros((len(bases), width), dtype=np.uint32)
    backward = np.zeros_like(forward)
    known = np.ones(forward.shape, dtype=bool)
    last = len(offsets) - 1
    for number, offset in enumerate(offsets.tolist()):
        here = bases[:, offset : offset + width]
        known &= here < 4
        base = (here & 3).astype(np.uint32)
        forward |= base << np.uint32(2 * (last - number))
        backward |= (np.uint32(3) - base) << np.uint32(2 * number)
    return np.minimum(forward, backward), backward < forward, known


def _crowd_size(indexes: list[_U64]) -> int:
    sizes = np.concatenate([np.bincount(_groups(index)) if len(index) else np.empty(0, int) for index in indexes])
    sizes = sizes.astype(np.float64)
    for limit in _CROWDS:
        small = sizes <= limit
        if (sizes[small] * (sizes[small] - 1)).sum() / 2 + sizes[~small].sum() * _NEIGHBOURS <= _MOST_MEETINGS:
            return limit
    return _CROWDS[-1]


def _groups(index: _U64) -> IntArray:
    word = index >> np.uint64(32)
    return np.cumsum(np.r_[False, word[1:] != word[:-1]]).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Meetings:
    """For each entry of an index: its sequence, twice, plus 1 if turned, and how many following entries it meets."""

    place: npt.NDArray[np.int32]
    later: npt.NDArray[np.int32]
    crowded: int

    @classmethod
    def of(cls, index: _U64, crowd: int) -> _Meetings:
        if not len(index):
            return cls(place=np.empty(0, dtype=np.int32), later=np.empty(0, dtype=np.int32), crowded=0)
        group = _groups(index)
        sizes = np.bincount(group)
        ends = np.cumsum(sizes)
        later = ends[group] - np.arange(len(index)) - 1
        large = sizes > crowd
        later = np.where(large[group], np.minimum(later, _NEIGHBOURS), later).astype(np.int32)
        place = (index & np.uint64(0xFFFFFFFF)).astype(np.int32)
        return cls(place=place, later=later, crowded=int(large.sum()))


def _count(
    meets: list[_Meetings], n: int, evaluated: BoolArray, needed: int
) -> Iterator[tuple[IntArray, IntArray, IntArray, IntArray]]:
    """Yield places of the pairs that share enough words, the strand, and how many words, in blocks of the first."""
    work = sum(np.bincount(one.place >> 1, weights=one.later, minlength=n) for one in meets)
    block = (np.cumsum(work) // _MEETINGS).astype(np.int64)
    edges = np.r_[0, np.flatnonzero(np.diff(block)) + 1, n]
    for number, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        tick("auditing sequences: common words", number / (len(edges) - 1))
        keys = np.concatenate([_keys(one, low, high, n, evaluated) for one in meets])
        keys.sort()
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, dtype=np.int64)
        counts = np.diff(np.r_[starts, len(keys)])
        enough = counts >= needed
        pair, reverse = np.divmod(keys[starts[enough]], 2)
        first, second = np.divmod(pair, n)
        yield first, second, reverse, counts[enough].astype(np.int64)


def _keys(one: _Meetings, low: int, high: int, n: int, evaluated: BoolArray) -> IntArray:
    entries = np.flatnonzero((one.place >= 2 * low) & (one.place < 2 * high) & (one.later > 0))
    later = one.later[entries].astype(np.int64)
    first = np.repeat(entries, later)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
    a, b = one.place[first].astype(np.int64), one.place[second].astype(np.int64)
    reverse = (a ^ b) & 1
    a, b = a >> 1, b >> 1
    kept = (evaluated[a] | evaluated[b]) & (a != b)
    found: IntArray = (a[kept] * n + b[kept]) * 2 + reverse[kept]
    return found
