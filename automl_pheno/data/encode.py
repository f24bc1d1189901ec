"""Bases to codes and back. A code is a set of bases as bits, so N, R, Y ... need no special case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from automl_pheno.data.dataset import FloatArray, UInt8Array
from automl_pheno.errors import DataError

BASES = "ACGT"
PADDING = 0
# IUPAC-IUB 1984 nomenclature; U is read as T.
IUPAC_BITS: dict[str, int] = {
    "A": 1, "C": 2, "G": 4, "T": 8, "U": 8,
    "R": 5, "Y": 10, "S": 6, "W": 9, "K": 12, "M": 3,
    "B": 14, "D": 13, "H": 11, "V": 7, "N": 15,
}  # fmt: skip
_LETTERS = {code: letter for letter, code in IUPAC_BITS.items() if letter != "U"} | {PADDING: "-"}
_INVALID = 255
_ONLY_PROTEIN = frozenset("EFILPQ")
_PROTEIN = frozenset("ACDEFGHIKLMNPQRSTVWYX*")
_MOST_CELLS = 8 << 30  # bytes of the padded matrix above which one very long sequence is refused


def one_hot_table() -> FloatArray:
    """Return the (16, 4) float32 table from code to base probabilities: N is 1/4 each, padding is all 0."""
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    table: FloatArray = (bits / np.maximum(bits.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    return table


def complement_table() -> UInt8Array:
    """Return the (16,) table from a code to that of its complement (A<->T, C<->G)."""
    codes = np.arange(16)
    return sum(((codes >> i) & 1) << (3 - i) for i in range(4)).astype(np.uint8)  # type: ignore[union-attr]


def one_hot(codes: UInt8Array) -> FloatArray:
    """Return float32 base probabilities, shape (n, length, 4), channels A, C, G, T."""
    return one_hot_table()[codes]


def reverse_complement(codes: UInt8Array) -> UInt8Array:
    """Return the reverse complement of each row; right padding stays on the right."""
    flipped = complement_table()[codes[:, ::-1]]
    lengths = (codes != PADDING).sum(axis=1)
    columns = np.arange(codes.shape[1])[None, :] + (codes.shape[1] - lengths)[:, None]
    inside = columns < codes.shape[1]
    out = np.take_along_axis(flipped, np.where(inside, columns, 0), axis=1)
    return np.where(inside, out, PADDING).astype(np.uint8)


def decode(codes: UInt8Array) -> list[str]:
    """Return each row as a string without its padding."""
    if codes.shape[1] == 0:
        return [""] * codes.shape[0]
    letters = np.array([ord(_LETTERS[i]) if i != PADDING else 0 for i in range(16)], dtype=np.uint8)
    # numpy drops trailing zero bytes of a byte string, which are the padding
    rows = np.ascontiguousarray(letters[codes]).view(f"S{codes.shape[1]}")[:, 0]
    return [row.decode("ascii") for row in rows.tolist()]


def encode_sequences(
    sequences: Sequence[str], where: Callable[[int, int], str] | None = None
) -> tuple[UInt8Array, tuple[str, ...]]:
    """Return codes, shape (n, longest), padded on the right with 0, and notes on what was converted.

    Parameters
    ----------
    sequences
        IUPAC bases, upper or lower case; U is read as T. Surrounding blanks are dropped.
    where
        ``where(row, position) -> "file:line"`` for error messages, both counted from 0.

    Raises
    ------
    DataError
        An empty sequence, a gap, a protein, or any other character that is no base; or lengths so unequal
        that the padded matrix would not fit in memory.
    """
    place = where or (lambda row, _: f"sequence {row + 1}")
    texts = [text.strip() for text in sequences]
    if not texts:
        msg = "no sequences"
        raise DataError(msg)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    if not lengths.all():
        msg = f"{place(int(np.argmin(lengths)), 0)}: the sequence is empty"
        raise DataError(msg)
    # a character outside ASCII becomes one '?', so positions stay right
    letters = np.frombuffer("".join(texts).encode("ascii", errors="replace"), dtype=np.uint8)
    codes = _code_table()[letters]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    if (codes == _INVALID).any():
        bad = int(np.argmax(codes == _INVALID))
        row = int(np.searchsorted(starts, bad, side="right")) - 1
        raise DataError(_bad_letter(texts[row], bad - int(starts[row]), place(row, bad - int(starts[row]))))
    notes = _letter_notes(letters, codes, starts)
    longest = int(lengths.max())
    if lengths.min() == longest:
        return codes.reshape(len(texts), longest), notes
    if len(texts) * longest > max(_MOST_CELLS, 4 * len(letters)):
        row = int(np.argmax(lengths))
        msg = (
            f"{place(row, 0)}: a sequence of {longest:,} bp, where the median is {np.median(lengths):,.0f} bp; "
            f"padding all {len(texts):,} to that length would take {len(texts) * longest / 2**30:,.0f} GiB"
        )
        raise DataError(msg)
    padded = np.zeros((len(texts), longest), dtype=np.uint8)
    padded[np.arange(longest)[None, :] < lengths[:, None]] = codes
    spread = (
        f"lengths differ: min {lengths.min()}, median {np.median(lengths):g}, max {longest} bp; padded on the right"
    )
    return padded, (*notes, spread)


def looks_like_protein(text: str) -> bool:
    """Say whether `text` has only amino-acid letters, some of which are no bases."""
    letters = set(text.upper())
    return len(text) >= 6 and letters <= _PROTEIN and len(letters & _ONLY_PROTEIN) >= 2


def _code_table() -> UInt8Array:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for letter, code in IUPAC_BITS.items():
        table[[ord(letter), ord(letter.lower())]] = code
    return table


def _bad_letter(text: str, position: int, place: str) -> str:
    found = f"{place}: position {position + 1}: {text[position]!r} is not a base"
    if looks_like_protein(text):
        return f"{found}; the sequence looks like protein ({text[:20]}...), only DNA and RNA are read"
    if text[position] == "-":
        return f"{place}: position {position + 1}: '-' is a gap; take the gaps out of the sequences"
    return f"{found}; allowed are {''.join(IUPAC_BITS)} in either case"


def _letter_notes(letters: UInt8Array, codes: UInt8Array, starts: np.typing.NDArray[np.int64]) -> tuple[str, ...]:
    ambiguous = (codes & (codes - np.uint8(1))) != 0
    kinds = (
        (letters >= ord("a"), "lower-case bases, read as upper case"),
        ((letters == ord("U")) | (letters == ord("u")), "U, read as T"),
        (ambiguous, "ambiguous bases (N or other IUPAC codes)"),
    )
    notes = []
    for mask, text in kinds:
        if mask.any():
            rows = int(np.logical_or.reduceat(mask, starts).sum())
            notes.append(f"{rows:,} of {len(starts):,} sequences have {text}: {int(mask.sum()):,} bases")
    return tuple(notes)
