"""Which sequences share how many k-mers, on either strand: an exact join in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from automl_pheno.data import IntArray, UInt8Array
from automl_pheno.progress import ticking

BoolArray = npt.NDArray[np.bool_]
Int32Array = npt.NDArray[np.int32]
UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]

LONGEST_K = 15
"""Two bits a base must fit in 32 bits, with a place and a strand in 64."""

PADDING = 5
"""What stands right of the last base of a shorter sequence."""

_PLACE_BITS = np.uint64(33)
_PLACE_MASK = np.uint64((1 << 33) - 1)
_CELLS = 1 << 23  # k-mers that are coded at once: about 0.3 GB
_PRODUCTS = 2_000_000  # shared k-mers that are looked at at once: about 0.2 GB
_TABLE = 1 << 24  # up to so many possible k-mers are looked up in a table
_MARKS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KmerIndex:
    """The different canonical k-mers of each sequence that occur in at least two.

    Attributes
    ----------
    k
        Odd, so that no k-mer is its own reverse complement.
    rows
        CSR row pointers, int64, shape (n + 1,).
    columns
        Number of the k-mer, int32, one a k-mer of a row.
    places
        Where it first stands in the row, times 2, plus 1 where its reverse complement stands there; int32.
    kmers
        Codes of the k-mers, uint32, rising; shape (number of columns,).
    distinct
        Different k-mers of each sequence without the dropped ones, also those that no other sequence has; int64,
        shape (n,).
    lengths
        Bases of each sequence, int64, shape (n,).
    dropped
        k-mers left out because too many sequences have them.
    dropped_from
        From how many sequences on that was; 0 where none was left out.
    """

    k: int
    rows: IntArray
    columns: Int32Array
    places: Int32Array
    kmers: UInt32Array
    distinct: IntArray
    lengths: IntArray
    dropped: int
    dropped_from: int

    def __len__(self) -> int:
        return len(self.distinct)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Pairs of sequences that share k-mers; all arrays have the shape (m,).

    Attributes
    ----------
    first, second
        Rows, int64, ``first < second``. A pair with k-mers in common on both strands stands twice.
    reverse
        True where the reverse complement of `second` is meant.
    offset
        Base of the strand meant that lies below base 0 of `first`, by most of the shared k-mers; int64.
    shared
        Number of different k-mers in common, on either strand; int64.
    """

    first: IntArray
    second: IntArray
    reverse: BoolArray
    offset: IntArray
    shared: IntArray

    def __len__(self) -> int:
        return len(self.first)


def canonical_kmers(bases: UInt8Array, k: int) -> tuple[UInt32Array, BoolArray, BoolArray]:
    """Return the k-mer at each place, or its reverse complement, whichever has the lower code.

    Parameters
    ----------
    bases
        0 to 3 for A, C, G, T; 4 is an ambiguous base, `PADDING` none. Shape (n, length).
    k
        1 to `LONGEST_K`.

    Returns
    -------
    codes
        uint32, two bits a base, the first base highest; shape (n, length - k + 1).
    reverse
        True where the reverse complement was taken.
    valid
        False where one of the k is ambiguous or none.
    """
    if bases.shape[1] < k:
        empty = np.zeros((len(bases), 0), dtype=bool)
        return empty.astype(np.uint32), empty, empty
    base = (bases & 3).astype(np.uint32)
    power = (1, base, np.uint32(3) - base, bases < 4)
    done = None
    while True:  # k is put together from powers of 2
        if k & power[0]:
            done = power if done is None else _joined(done, power)
        if 2 * power[0] > k:
            break
        power = _joined(power, power)
    _, forward, backward, valid = done if done is not None else power
    reverse = backward < forward
    return np.where(reverse, backward, forward), reverse, valid


_Words = tuple[int, UInt32Array, UInt32Array, BoolArray]


def _joined(left: _Words, right: _Words) -> _Words:
    """Return words of ``a + b`` bases from those of a and of b bases that follow them."""
    a, forward, backward, valid = left
    b, forward_b, backward_b, valid_b = right
    width = forward.shape[1] - b
    return (
        a + b,
        (forward[:, :width] << np.uint32(2 * b)) | forward_b[:, a : a + width],
        (backward_b[:, a : a + width] << np.uint32(2 * a)) | backward[:, :width],
        valid[:, :width] & valid_b[:, a : a + width],
    )


def index_kmers(bases: UInt8Array, k: int, *, most_products: float) -> KmerIndex:
    """Index the k-mers of sequences.

    Parameters
    ----------
    bases
        As for `canonical_kmers`.
    k
        Odd.
    most_products
        The sum over k-mers of the squared number of sequences that have one; half of it is what `join` costs. The
        k-mers of the most sequences are dropped until it is kept.
    """
    n = len(bases)
    height = max(1, _CELLS // max(bases.shape[1], 1))
    blocks = [
        _distinct(*canonical_kmers(bases[start : start + height], k))
        for start in ticking("coding k-mers", range(0, n, height))
    ]
    codes = np.concatenate([codes for codes, _, _ in blocks])
    places = np.concatenate([places for _, places, _ in blocks])
    counts = np.concatenate([counts for _, _, counts in blocks])
    del blocks
    kmers, frequency = np.unique(codes, return_counts=True)
    limit = _highest_frequency(frequency, most_products)
    dropped = frequency > limit
    distinct = counts.copy()
    if dropped.any():
        lost = np.concatenate([[0], np.cumsum(np.isin(codes, kmers[dropped]))])
        edges = np.concatenate([[0], np.cumsum(counts)])
        distinct -= lost[edges[1:]] - lost[edges[:-1]]
    kmers = kmers[(frequency >= 2) & ~dropped]
    number = _numbers(codes, kmers, 4**k)
    kept = number >= 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return KmerIndex(
        k=k,
        rows=before[np.concatenate([[0], np.cumsum(counts)])].astype(np.int64),
        columns=number[kept],
        places=places[kept],
        kmers=kmers,
        distinct=distinct,
        lengths=(bases != PADDING).sum(axis=1).astype(np.int64),
        dropped=int(dropped.sum()),
        dropped_from=int(frequency[dropped].min()) if dropped.any() else 0,
    )


class Join:
    """Finds the sequences that share k-mers with given ones.

    Parameters
    ----------
    index
        n sequences.
    """

    def __init__(self, index: KmerIndex) -> None:
        from scipy.sparse import csr_matrix

        entries = np.arange(len(index.columns), dtype=np.int64)
        matrix = csr_matrix((entries, index.columns, index.rows), shape=(len(index), len(index.kmers))).tocsc()
        self._index = index
        self._row_of: Int32Array = matrix.indices.astype(np.int32)
        self._entry_of: IntArray = matrix.data
        self._ends: IntArray = matrix.indptr[1:].astype(np.int64)
        self._begins: IntArray = matrix.indptr[:-1].astype(np.int64)
        self._place_in = np.empty(len(entries), dtype=np.int64)
        self._place_in[matrix.data] = entries

    def shared_counts(self, bases: UInt8Array) -> IntArray:
        """Return how many pairs of `bases` and an indexed sequence share 0 (not counted), 1, 2 ... k-mers.

        k-mers of a single indexed sequence do not count.
        """
        index, n = self._index, len(self._index)
        codes, _, counts = _distinct(*canonical_kmers(bases, index.k))
        columns = _numbers(codes, index.kmers, 4**index.k)
        edges = np.concatenate([[0], np.cumsum(counts)])
        total = np.zeros(int(counts.max(initial=0)) + 1, dtype=np.int64)
        for start, stop in pairwise(edges.tolist()):
            own = columns[start:stop]
            own = own[own >= 0]
            _, posting = _expanded(self._begins[own], self._ends[own])
            shared = np.bincount(np.bincount(self._row_of[posting], minlength=n), minlength=len(total))
            total += shared
        total[0] = 0
        return total

    def pairs(self, needed: IntArray) -> Iterator[Candidates]:
        """Yield the pairs of sequences that share enough k-mers, in blocks.

        Parameters
        ----------
        needed
            Shared k-mers a pair needs: the lower number of its two sequences; int64, at least 1, shape (n,).
        """
        index = self._index
        later = self._ends[index.columns] - self._place_in - 1
        work = np.concatenate([[0], np.cumsum(later)])[index.rows]
        edges = np.searchsorted(work, np.arange(0, int(work[-1]) + _PRODUCTS, _PRODUCTS))
        edges = np.unique(np.clip(np.append(edges, [0, len(index)]), 0, len(index)))
        spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        most = int(needed.max(initial=1))
        few = needed < most
        for start, stop in ticking("comparing k-mers", spans):
            first_entry, last_entry = int(index.rows[start]), int(index.rows[stop])
            begins = self._place_in[first_entry:last_entry] + 1
            own, posting = _expanded(begins, begins + later[first_entry:last_entry])
            second = self._row_of[posting].astype(np.int64)
            row = np.repeat(np.arange(start, stop), np.diff(index.rows[start : stop + 1]))
            key = (row - start)[own] * len(index) + second
            found = _repeated(np.sort(key), most)
            if few.any():
                some = np.sort(key[few[row[own]] | few[second]])
                keys, shared = np.unique(some, return_counts=True)
                enough = shared >= np.minimum(needed[start + keys // len(index)], needed[keys % len(index)])
                found = np.union1d(found, keys[enough])
            if len(found):
                hit = _among(key, found)
                yield self._laid_out(found, key[hit], first_entry + own[hit], self._entry_of[posting[hit]], start)

    def _laid_out(self, keys: IntArray, key: IntArray, a: IntArray, b: IntArray, start: int) -> Candidates:
        """Return the pairs `keys` with strand and offset, from their shared k-mers: entries `a` and `b` of `key`."""
        index, n = self._index, len(self._index)
        pair = np.searchsorted(keys, key)
        shared = np.bincount(pair, minlength=len(keys))
        place, other = index.places[a].astype(np.int64), index.places[b].astype(np.int64)
        reverse = (place ^ other) & 1
        length = index.lengths[keys[pair] % n]
        there = np.where(reverse == 1, length - index.k - (other >> 1), other >> 1)
        strand, offset = _most_votes(2 * pair + reverse, there - (place >> 1))
        pair = strand >> 1
        return Candidates(
            first=start + keys[pair] // n,
            second=keys[pair] % n,
            reverse=(strand & 1) == 1,
            offset=offset,
            shared=shared[pair].astype(np.int64),
        )


def _expanded(begins: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
    """Return each number from begin to end of each span, and the span that it is of."""
    sizes = ends - begins
    total = int(sizes.sum())
    of = np.repeat(np.arange(len(sizes)), sizes)
    return of, np.arange(total) + np.repeat(begins - (np.cumsum(sizes) - sizes), sizes)


def _repeated(ordered: IntArray, times: int) -> IntArray:
    """Return the values that stand at least so many times in an ordered array."""
    if len(ordered) < times:
        return ordered[:0]
    last = ordered[times - 1 :]
    return np.unique(last[last == ordered[: len(last)]])


def _among(key: IntArray, wanted: IntArray) -> IntArray:
    """Return where `key` is one of `wanted`, which is ordered; most are not."""
    marks = np.zeros(_MARKS, dtype=bool)
    marks[wanted % _MARKS] = True
    maybe = np.flatnonzero(marks[key % _MARKS])
    place = np.minimum(np.searchsorted(wanted, key[maybe]), len(wanted) - 1)
    found: IntArray = maybe[wanted[place] == key[maybe]]
    return found


def _most_votes(group: IntArray, value: IntArray) -> tuple[IntArray, IntArray]:
    """Return each group once, in order, with its most frequent value; the lowest of several."""
    low = int(value.min())
    span = int(value.max()) - low + 1
    packed = np.sort(group * span + (value - low))  # one word sorts ten times as fast as two
    new = np.flatnonzero(np.r_[True, packed[1:] != packed[:-1]])
    votes = np.diff(np.r_[new, len(packed)])
    group, value = packed[new] // span, packed[new] % span + low
    order = np.lexsort((value, -votes, group))
    group, value = group[order], value[order]
    best = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return group[best], value[best]


def _distinct(codes: UInt32Array, reverse: BoolArray, valid: BoolArray) -> tuple[UInt32Array, Int32Array, IntArray]:
    """Return the different k-mers of each row, the first place of each and its strand, and how many a row has."""
    places = np.arange(codes.shape[1], dtype=np.uint64) << np.uint64(1)
    packed = (codes.astype(np.uint64) << _PLACE_BITS) | places[None, :] | reverse
    packed[~valid] = np.iinfo(np.uint64).max
    packed.sort(axis=1)
    kmer = (packed >> _PLACE_BITS).astype(np.uint32)
    kept = packed != np.iinfo(np.uint64).max
    kept[:, 1:] &= kmer[:, 1:] != kmer[:, :-1]
    return kmer[kept], (packed[kept] & _PLACE_MASK).astype(np.int32), kept.sum(axis=1).astype(np.int64)


def _numbers(codes: UInt32Array, kmers: UInt32Array, possible: int) -> Int32Array:
    """Return the place of each code in `kmers`, which is ordered, or -1."""
    if not len(kmers):
        return np.full(len(codes), -1, dtype=np.int32)
    if possible <= _TABLE:
        table = np.full(possible, -1, dtype=np.int32)
        table[kmers] = np.arange(len(kmers), dtype=np.int32)
        return table[codes]
    place = np.minimum(np.searchsorted(kmers, codes), len(kmers) - 1).astype(np.int32)
    place[kmers[place] != codes] = -1
    return place


def _highest_frequency(frequency: IntArray, most: float) -> int:
    """Return the number of sequences above which k-mers are dropped."""
    values, counts = np.unique(frequency, return_counts=True)
    cost = np.cumsum(values.astype(np.float64) ** 2 * counts * (values > 1))
    fits = int(np.searchsorted(cost, most, side="right"))
    return int(values[max(fits - 1, 0)]) if len(values) else 0
