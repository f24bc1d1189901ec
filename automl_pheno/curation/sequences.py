"""What is peculiar about sequences, without looking at a trait: constant flanks, low complexity, length and GC."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data import FloatArray, IntArray, UInt8Array, decode
from automl_pheno.data.encode import PADDING

CONSENSUS = 0.99
"""A position is constant where at least this share of the sequences has the same base."""

FEWEST_ROWS = 20
"""Of fewer sequences no flank is called constant: they may just be alike."""

SHORTEST_CORE = 10
SMALLEST_CORE = 0.1
"""What is left between flanks has at least so many bases, and this share of the median length."""

RANDOM = 0.7
"""Where bases are drawn anew in each sequence, no more of them than this share have one at the median position."""

WORD = 12
"""Length of the words by which a frame is found that lies anywhere."""

SHORTEST_PIECE = 6
"""Bases of an insert in a frame, at least."""

_SHARED = 0.4  # of the sequences have a word that belongs to a frame; less, and inserts are cut by chance
_UNEVEN = 0.1  # by which the bases of the frame that a sequence has differ from the usual
_NEARLY_ALL = 0.9
_SAMPLE = 2000

LOW_COMPLEXITY = 2.0
"""DUST score (Morgulis et al. 2006) above which a window is of low complexity; random DNA has about 0.5."""

_WINDOW, _STEP = 64, 32
_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Flanks:
    """Bases that (nearly) all sequences have at their ends, as vectors and primers are.

    Attributes
    ----------
    left, right
        Bases; 0 is no flank.
    left_sequence, right_sequence
        Their consensus.
    within
        Bases of a frame that lie elsewhere, of the median sequence.
    """

    left: int = 0
    right: int = 0
    left_sequence: str = ""
    right_sequence: str = ""
    within: int = 0

    def __bool__(self) -> bool:
        return self.left + self.right + self.within > 0

    def describe(self) -> str:
        """Return ``20 bp left, 30 bp right, 12 bp within``."""
        within = ((self.within, "within"),) if self.within else ()
        return ", ".join(f"{n} bp {where}" for n, where in ((self.left, "left"), (self.right, "right"), *within))


def constant_flanks(codes: UInt8Array) -> Flanks:
    """Return the constant flanks of sequences.

    Parameters
    ----------
    codes
        IUPAC bit codes, padded on the right; shape (n, length). The right flank is counted from each one's own end.

    Returns
    -------
    Flanks
        None where there are fewer than `FEWEST_ROWS` sequences, or where nearly nothing would be left between.
    """
    lengths = (codes != PADDING).sum(axis=1)
    if len(codes) < FEWEST_ROWS:
        return Flanks()
    room = int(lengths.min())
    left = _consensus(codes, np.arange(room)[:, None] + np.zeros_like(lengths))
    right = _consensus(codes, lengths - 1 - np.arange(room)[:, None])
    core = min(room, float(np.median(lengths))) - len(left) - len(right)
    if core < max(SHORTEST_CORE, SMALLEST_CORE * float(np.median(lengths))):
        return Flanks()
    return Flanks(
        left=len(left),
        right=len(right),
        left_sequence=decode(left[None, :])[0],
        right_sequence=decode(right[::-1][None, :])[0],
    )


def set_frame_aside(codes: UInt8Array) -> tuple[UInt8Array, Flanks]:
    """Return the sequences without what is constant in them: their flanks, and words that many share wherever they lie.

    A frame is found by its words (12 bp, either strand) where it lies in the middle, at another offset in some, or
    turned round in some. It is one only where nearly all sequences have as much of it, and what is left is in a few
    pieces, as inserts are and variants of one sequence are not.

    Parameters
    ----------
    codes
        IUPAC bit codes, padded on the right; shape (n, length).

    Returns
    -------
    codes, flanks
        Padded on the right, shape (n, longest); and what was set aside.
    """
    flanks = constant_flanks(codes)
    cores = trim_flanks(codes, flanks)
    shared = _shared_words(cores)
    if shared is None:
        return cores, flanks
    present = cores != PADDING
    framed = _covered(cores, shared)
    kept = present & ~framed
    lengths, masked = kept.sum(axis=1), framed.sum(axis=1)
    runs = np.maximum((np.diff(np.pad(kept, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1).sum(axis=1), 1)
    usual = float(np.median(masked))
    alike = (np.abs(masked - usual) <= 2 + _UNEVEN * usual) & (lengths >= SHORTEST_PIECE)
    if usual < WORD or alike.mean() < _NEARLY_ALL or float(np.median(lengths / runs)) < SHORTEST_PIECE:
        return cores, flanks
    order = np.argsort(~kept, axis=1, kind="stable")[:, : int(lengths.max())]
    inserts = np.take_along_axis(cores, order, axis=1)
    inserts[np.arange(inserts.shape[1]) >= lengths[:, None]] = PADDING
    return inserts, replace(flanks, within=int(usual))


def _shared_words(codes: UInt8Array) -> IntArray | None:
    """Return the words that two in five sequences have, sorted; None where there are none."""
    n = len(codes)
    if n < FEWEST_ROWS or codes.shape[1] < WORD:
        return None
    sample = codes[np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(np.int64))]
    words, known = _words(sample)
    each = [np.unique(row[here]) for row, here in zip(words, known, strict=True)]
    different, counts = np.unique(np.concatenate(each), return_counts=True)
    shared: IntArray = different[counts >= max(_SHARED * len(sample), 2)]
    return shared if len(shared) else None


def _words(codes: UInt8Array) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Return the word of `WORD` bp at each place, or its reverse complement if that is lower, and where it is known."""
    base = np.zeros(16, dtype=np.int64)
    base[[2, 4, 8]] = [1, 2, 3]
    numbers, plain = base[codes], np.isin(codes, (1, 2, 4, 8))
    width = codes.shape[1] - WORD + 1
    forward, backward = (np.zeros((len(codes), width), dtype=np.int64) for _ in range(2))
    known = np.ones((len(codes), width), dtype=bool)
    for offset in range(WORD):
        here = numbers[:, offset : offset + width]
        forward = forward * 4 + here
        backward += (3 - here) << (2 * offset)
        known &= plain[:, offset : offset + width]
    return np.minimum(forward, backward), known


def _covered(codes: UInt8Array, shared: IntArray) -> npt.NDArray[np.bool_]:
    """Return which bases lie in one of the shared words, shape (n, length)."""
    covered = np.zeros(codes.shape, dtype=bool)
    for start in range(0, len(codes), _BLOCK):
        words, known = _words(codes[start : start + _BLOCK])
        place = np.minimum(np.searchsorted(shared, words), len(shared) - 1)
        found = known & (shared[place] == words)
        for offset in range(WORD):
            covered[start : start + _BLOCK, offset : offset + found.shape[1]] |= found
    return covered


def _consensus(codes: UInt8Array, places: IntArray) -> UInt8Array:
    """Return the consensus of places, shape (positions, n), up to the first that is not constant."""
    found = []
    rows = np.arange(len(codes))
    for place in places:
        counts = np.bincount(codes[rows, place], minlength=16)
        base = int(np.argmax(counts))
        if counts[base] < CONSENSUS * len(codes) or base not in (1, 2, 4, 8):
            break
        found.append(base)
    return np.array(found, dtype=np.uint8)


def trim_flanks(codes: UInt8Array, flanks: Flanks) -> UInt8Array:
    """Return the sequences without their flanks, padded on the right."""
    if not flanks:
        return codes
    lengths = (codes != PADDING).sum(axis=1) - flanks.left - flanks.right
    core: UInt8Array = codes[:, flanks.left : flanks.left + int(lengths.max())].copy()
    core[np.arange(core.shape[1]) >= lengths[:, None]] = PADDING
    return core


def describe_sequences(codes: UInt8Array) -> pd.DataFrame:
    """Return one row a sequence.

    Parameters
    ----------
    codes
        IUPAC bit codes, padded on the right; shape (n, length).

    Returns
    -------
    DataFrame
        ``length`` (bp), ``gc`` (share of the plain bases that are G or C; NaN without any), ``ambiguous`` (share of
        the bases that are not plain) and ``low_complexity`` (share of windows of 64 bp, in steps of 32, that have a
        DUST score above 2).
    """
    lengths = (codes != PADDING).sum(axis=1)
    strong = ((codes == 2) | (codes == 4)).sum(axis=1)
    plain = strong + ((codes == 1) | (codes == 8)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        gc = strong / plain
    low = [_low_complexity(codes[start : start + _BLOCK]) for start in range(0, len(codes), _BLOCK)]
    table: pd.DataFrame = pd.DataFrame(
        {
            "length": lengths.astype(np.int64),
            "gc": gc,
            "ambiguous": 1.0 - plain / np.maximum(lengths, 1),
            "low_complexity": np.concatenate(low) if low else np.empty(0),
        }
    )
    return table


def sequence_notes(codes: UInt8Array) -> tuple[str, ...]:
    """Return what is worth saying about sequences: constant flanks, repeats, lengths and GC."""
    table = describe_sequences(codes)
    if not len(table):
        return ()
    notes = []
    flanks = constant_flanks(codes)
    if flanks:
        sides = [f"{n} bp on the {side}" for n, side in ((flanks.left, "left"), (flanks.right, "right")) if n]
        notes.append(
            f"nearly all sequences ({CONSENSUS:.0%} or more) begin or end alike ({' and '.join(sides)}); these "
            "constant flanks say nothing about the trait and are left out when sequences are compared"
        )
    low = table["low_complexity"].to_numpy()
    if (low > 0).any():
        notes.append(
            f"{int((low > 0).sum()):,} of {len(low):,} sequences have stretches of low complexity (repeats of a few "
            f"bases), {int((low >= 0.5).sum()):,} of them over at least half of their length"
        )
    gc, length = table["gc"].dropna(), table["length"]
    if len(gc):
        notes.append(
            f"length {length.min():,} to {length.max():,} bp (median {length.median():,.0f}), "
            f"GC {gc.min():.0%} to {gc.max():.0%} (median {gc.median():.0%})"
        )
    return tuple(notes)


def _low_complexity(codes: UInt8Array) -> FloatArray:
    """Return the share of windows with a DUST score above `LOW_COMPLEXITY`."""
    base = np.zeros(16, dtype=np.int64)
    base[[2, 4, 8]] = [1, 2, 3]
    plain = np.isin(codes, (1, 2, 4, 8))
    number = base[codes]
    triplet = number[:, :-2] * 16 + number[:, 1:-1] * 4 + number[:, 2:]
    valid = plain[:, :-2] & plain[:, 1:-1] & plain[:, 2:]
    high, windows = np.zeros(len(codes)), np.zeros(len(codes))
    for start in range(0, max(triplet.shape[1] - _STEP, 1), _STEP):
        inside = valid[:, start : start + _WINDOW - 2]
        counts = _triplet_counts(triplet[:, start : start + _WINDOW - 2], inside)
        total = inside.sum(axis=1)
        score = (counts * (counts - 1) / 2).sum(axis=1) / np.maximum(total - 1, 1)
        counted = total >= _STEP - 2
        windows += counted
        high += counted & (score > LOW_COMPLEXITY)
    share: FloatArray = high / np.maximum(windows, 1)
    return share


def _triplet_counts(triplet: IntArray, inside: npt.NDArray[np.bool_]) -> IntArray:
    cells = np.arange(len(triplet))[:, None] * 64 + triplet
    counts: IntArray = np.bincount(cells[inside], minlength=64 * len(triplet)).reshape(-1, 64)
    return counts
