"""Edit distances of many pairs of sequences, by edlib or by NumPy; both give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automl_pheno.data import IntArray, UInt8Array
from automl_pheno.splits.kmers import PADDING, BoolArray

UInt64Array = npt.NDArray[np.uint64]

AMBIGUOUS = 4
_PAIRS = 2048  # that are aligned side by side: the state of one word stays in the first cache
_WINDOWS = 1024
_ALL_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ONE, _TOP = np.uint64(1), np.uint64(63)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bases:
    """Sequences as numbers, with their reverse complements.

    Attributes
    ----------
    forward, backward
        0 to 3 for A, C, G, T, 4 for an ambiguous base, `PADDING` right of the end; uint8, shape (n, length).
    lengths
        Bases of each, int64, shape (n,).
    ambiguous
        How many of them are ambiguous before each place; int32, shape (n, length + 1); None where none is.
    """

    forward: UInt8Array
    backward: UInt8Array
    lengths: IntArray
    ambiguous: npt.NDArray[np.int32] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jobs:
    """Alignments to be made; all arrays have the shape (m,).

    Attributes
    ----------
    query, begin, end
        Row of the sequence, and its part from `begin` to before `end` that is to be found whole.
    target, reverse
        Row of the sequence in which it is looked for; where `reverse` is True, in its reverse complement.
    limit
        Distances above it are not of interest.
    """

    query: IntArray
    begin: IntArray
    end: IntArray
    target: IntArray
    reverse: BoolArray
    limit: IntArray

    def __len__(self) -> int:
        return len(self.query)


Aligner = Callable[[Bases, Jobs], IntArray]
"""``aligner(bases, jobs)``: fewest edits (substitutions, insertions, deletions) that make the query part a part of the
target, int64, shape (m,); above its limit, limit + 1. An ambiguous base is equal to nothing."""


def make_bases(codes: UInt8Array) -> Bases:
    """Return the bases of IUPAC bit codes (``data/encode.py``) of shape (n, length)."""
    table = np.full(256, AMBIGUOUS, dtype=np.uint8)
    table[[1, 2, 4, 8, 0]] = [0, 1, 2, 3, PADDING]
    forward = table[codes]
    lengths = (forward != PADDING).sum(axis=1).astype(np.int64)
    complement = np.array([3, 2, 1, 0, AMBIGUOUS, PADDING], dtype=np.uint8)
    backward = complement[forward[:, ::-1]]
    short = np.flatnonzero(lengths < codes.shape[1])
    if len(short):
        places = np.arange(codes.shape[1]) + (codes.shape[1] - lengths[short])[:, None]
        moved = np.take_along_axis(backward[short], np.minimum(places, codes.shape[1] - 1), axis=1)
        backward[short] = np.where(places < codes.shape[1], moved, PADDING)
    unclear = forward == AMBIGUOUS
    ambiguous = None
    if unclear.any():
        ambiguous = np.zeros((len(codes), codes.shape[1] + 1), dtype=np.int32)
        np.cumsum(unclear, axis=1, out=ambiguous[:, 1:])
    return Bases(forward=forward, backward=backward, lengths=lengths, ambiguous=ambiguous)


def choose_aligner() -> tuple[Aligner, str]:
    """Return the fastest aligner at hand and its name: ``edlib`` (the extra ``align``) or ``NumPy``."""
    try:
        import edlib
    except ImportError:
        return align_by_numpy, "NumPy"

    def align(bases: Bases, jobs: Jobs) -> IntArray:
        return _align_by_edlib(bases, jobs, edlib.align)

    return align, "edlib"


def _align_by_edlib(bases: Bases, jobs: Jobs, align: Callable[..., dict[str, int]]) -> IntArray:
    queries = _texts(bases.forward, bases.lengths, b"ACGTn", jobs.query)
    forward = _texts(bases.forward, bases.lengths, b"ACGTN", jobs.target[~jobs.reverse])
    backward = _texts(bases.backward, bases.lengths, b"ACGTN", jobs.target[jobs.reverse])
    columns = (jobs.query, jobs.begin, jobs.end, jobs.target, jobs.reverse, jobs.limit)
    out = np.empty(len(jobs), dtype=np.int64)
    for number, (query, begin, end, target, reverse, limit) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        text = backward[target] if reverse else forward[target]
        distance = align(queries[query][begin:end], text, "HW", "distance", limit)["editDistance"]
        out[number] = distance if distance >= 0 else limit + 1
    return out


def _texts(bases: UInt8Array, lengths: IntArray, letters: bytes, rows: IntArray) -> dict[int, bytes]:
    table = np.frombuffer(letters + b"-", dtype=np.uint8)
    return {row: table[bases[row, : lengths[row]]].tobytes() for row in np.unique(rows).tolist()}


def align_by_numpy(bases: Bases, jobs: Jobs) -> IntArray:
    """Align by the bit-parallel algorithm of Myers (1999) in blocks of 64 rows (Hyyro 2003), many pairs at a time.

    See `Aligner`.
    """
    out = np.empty(len(jobs), dtype=np.int64)
    order = np.argsort(jobs.end - jobs.begin, kind="stable")
    for start in range(0, len(order), _PAIRS):
        rows = order[start : start + _PAIRS]
        lengths = jobs.end[rows] - jobs.begin[rows]
        width = int(lengths.max(initial=0))
        places = jobs.begin[rows][:, None] + np.arange(width)
        query = bases.forward[jobs.query[rows][:, None], np.minimum(places, bases.forward.shape[1] - 1)]
        query[np.arange(width) >= lengths[:, None]] = PADDING
        target = jobs.target[rows]
        source = np.where(jobs.reverse[rows][:, None], bases.backward[target], bases.forward[target])
        out[rows] = _infix_distances(query, lengths, source, bases.lengths[target])
    limited: IntArray = np.minimum(out, jobs.limit + 1)
    return limited


def _infix_distances(query: UInt8Array, lengths: IntArray, target: UInt8Array, ends: IntArray) -> IntArray:
    """Return the fewest edits of each query as a part of its target.

    Parameters
    ----------
    query, target
        Bases, shape (m, longest query) and (m, longest target).
    lengths, ends
        Of queries and targets, shape (m,).
    """
    n = len(query)
    score = lengths.astype(np.int64)
    best: IntArray = score.copy()
    words = -(-query.shape[1] // 64)
    equal = _equal_words(query, words)
    last = np.zeros((words, n), dtype=np.uint64)
    final = np.maximum(lengths - 1, 0)
    some = lengths > 0
    last[final[some] // 64, np.flatnonzero(some)] = _ONE << (final[some] % 64).astype(np.uint64)
    ending: list[bool] = [bool(word.any()) for word in last]
    rises, falls = np.full((words, n), _ALL_ONES), np.zeros((words, n), dtype=np.uint64)
    across = np.ascontiguousarray(np.minimum(target, AMBIGUOUS).T).astype(np.int64) * n + np.arange(n)
    for column in range(int(ends.max(initial=0))):
        up, down = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64)
        for word in range(words):
            same = equal[word].take(across[column])
            rise, fall = rises[word], falls[word]
            vertical = same | fall
            same |= down
            horizontal = (((same & rise) + rise) ^ rise) | same
            plus = fall | ~(horizontal | rise)
            minus = rise & horizontal
            if ending[word]:
                score += (plus & last[word]) != 0
                score -= (minus & last[word]) != 0
            up_next, down_next = plus >> _TOP, minus >> _TOP
            plus = (plus << _ONE) | up
            minus = (minus << _ONE) | down
            rises[word] = minus | ~(vertical | plus)
            falls[word] = plus & vertical
            up, down = up_next, down_next
        np.minimum(best, score, out=best, where=column < ends)
    return best


def _equal_words(query: UInt8Array, words: int) -> list[UInt64Array]:
    """Return, for each word of 64 places, its bits that are A, C, G, T and ambiguous, one after the other."""
    n = len(query)
    bits = np.zeros((AMBIGUOUS + 1, n, words * 64), dtype=bool)
    for base in range(AMBIGUOUS):  # an ambiguous base is equal to nothing
        bits[base, :, : query.shape[1]] = query == base
    packed = np.packbits(bits, axis=2, bitorder="little").view("<u8").astype(np.uint64)
    return [np.ascontiguousarray(packed[:, :, word]).ravel() for word in range(words)]


def best_windows(
    bases: Bases, first: IntArray, second: IntArray, reverse: BoolArray, offset: IntArray, width: IntArray
) -> IntArray:
    """Return the most equal bases in a window of pairs laid against each other without gaps.

    Parameters
    ----------
    bases
        Of n sequences.
    first, second, reverse, offset
        Pairs, as in ``kmers.Candidates``; shape (m,).
    width
        Of the window in bases, shape (m,).

    Returns
    -------
    int64, shape (m,)
        From 0 to width.
    """
    out = np.zeros(len(first), dtype=np.int64)
    longest = bases.forward.shape[1]
    for size in np.unique(width).tolist():
        rows = np.flatnonzero(width == size)
        for start in range(0, len(rows), _WINDOWS):
            some = rows[start : start + _WINDOWS]
            here = bases.forward[first[some]]
            source = np.where(reverse[some][:, None], bases.backward[second[some]], bases.forward[second[some]])
            # between margins, one row is read at another place by a shift of its start
            apart = np.full((len(some) + 1, 2 * longest), PADDING, dtype=np.uint8)
            apart[:-1, longest:] = source
            flat = apart.ravel()
            begins = longest + 2 * longest * np.arange(len(some)) + np.clip(offset[some], -longest, longest)
            there = flat[begins[:, None] + np.arange(longest)]
            sums = np.zeros((len(some), longest + 1), dtype=np.int16 if longest < 2**15 else np.int32)
            np.cumsum((here == there) & (here < AMBIGUOUS), axis=1, out=sums[:, 1:])
            wide = min(size, longest)
            out[some] = (sums[:, wide:] - sums[:, : longest + 1 - wide]).max(axis=1)
    return out
