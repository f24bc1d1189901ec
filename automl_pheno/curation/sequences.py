"""What is peculiar about sequences, without looking at a trait: constant flanks, low complexity, length and GC."""

from __future__ import annotations

from dataclasses import dataclass

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

SHORTEST_INSERT = 4
SHORTEST_INNER = 10
RANDOM = 0.7
"""Of a constant frame: bases of the insert at least, of a constant stretch within it at least, and the largest share of
the sequences that has one base at the median position of inserts that are no variants of one another."""

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
    inner
        Constant stretches between what varies, as (start, stop) in the whole sequence; of sequences of one length.
    """

    left: int = 0
    right: int = 0
    left_sequence: str = ""
    right_sequence: str = ""
    inner: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        return self.left + self.right > 0 or bool(self.inner)

    def describe(self) -> str:
        """Return ``20 bp left, 30 bp right, 12 bp between``."""
        between = sum(stop - start for start, stop in self.inner)
        parts = ((self.left, "left"), (self.right, "right"), (between, "between"))
        return ", ".join(f"{n} bp {where}" for n, where in parts if n)


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


def constant_frame(codes: UInt8Array) -> Flanks:
    """Return all that is constant around and between what varies, however little that is.

    As `constant_flanks`; where the rest varies as independent sequences do (its median position has a base that at most
    `RANDOM` of the sequences share), down to `SHORTEST_INSERT` bases, and with constant stretches of `SHORTEST_INNER`
    bases and more in the middle. Variants of one sequence vary less, and are compared as a whole.
    """
    flanks = constant_flanks(codes)
    if len(codes) < FEWEST_ROWS:
        return flanks
    if (codes == PADDING).any():
        return flanks if flanks else _loose_flanks(codes)
    shares = np.stack([(codes == base).mean(axis=0) for base in (1, 2, 4, 8)]).max(axis=0)
    varying = np.flatnonzero(shares < CONSENSUS)
    if len(varying) < SHORTEST_INSERT or float(np.median(shares[varying])) > RANDOM:
        return flanks
    left, right = int(varying[0]), codes.shape[1] - 1 - int(varying[-1])
    gaps = zip((varying[:-1] + 1).tolist(), varying[1:].tolist(), strict=True)
    inner = tuple((start, stop) for start, stop in gaps if stop - start >= SHORTEST_INNER)
    return _named_flanks(codes, left, right, inner)


def _loose_flanks(codes: UInt8Array) -> Flanks:
    """Return the flanks of sequences of several lengths around short inserts that vary as independent ones do."""
    lengths = (codes != PADDING).sum(axis=1)
    room = int(lengths.min())
    left = len(_consensus(codes, np.arange(room)[:, None] + np.zeros_like(lengths)))
    right = len(_consensus(codes, lengths - 1 - np.arange(room)[:, None]))
    inserts = room - left - right
    if inserts < SHORTEST_INSERT:
        return Flanks()
    inside = codes[:, left : left + inserts]
    shares = np.stack([(inside == base).mean(axis=0) for base in (1, 2, 4, 8)]).max(axis=0)
    return _named_flanks(codes, left, right) if float(np.median(shares)) <= RANDOM else Flanks()


def _named_flanks(codes: UInt8Array, left: int, right: int, inner: tuple[tuple[int, int], ...] = ()) -> Flanks:
    rows = np.arange(len(codes))
    lengths = (codes != PADDING).sum(axis=1)
    first = _consensus(codes, np.arange(left)[:, None] + np.zeros_like(rows))
    last = _consensus(codes, lengths - 1 - np.arange(right)[:, None])
    return Flanks(
        left=left,
        right=right,
        left_sequence=decode(first[None, :])[0] if left else "",
        right_sequence=decode(last[::-1][None, :])[0] if right else "",
        inner=inner,
    )


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
    if flanks.inner:
        kept = np.ones(codes.shape[1], dtype=bool)
        kept[: flanks.left] = kept[codes.shape[1] - flanks.right :] = False
        for start, stop in flanks.inner:
            kept[start:stop] = False
        return np.ascontiguousarray(codes[:, kept])
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
