"""Tables of variants and the columns of dosages that belong to them: what the readers of genotypes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray, IntArray, UInt8Array
from automl_pheno.errors import DataError

Where = Callable[[int], str]
"""``where(row) -> "file:line"`` of the variant in a row of the table, counted from 0."""

_BLOCK_BYTES = 8 << 20
_LONGEST_POSITION = 15  # digits; no chromosome is longer
_SHOWN = 60


def variant_table(
    ids: Sequence[str],
    *,
    chromosome: Sequence[str] | None = None,
    position: Sequence[int] | IntArray | None = None,
    ref: Sequence[str] | None = None,
    alt: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the table of `Inputs.variants`; what is None is unknown ("" or -1) for all."""
    n = len(ids)

    def text(values: Sequence[str] | None) -> pd.Series[str]:
        return pd.Series([""] * n if values is None else list(values), dtype=object)

    table: pd.DataFrame = pd.DataFrame(
        {
            "id": text(ids),
            "chromosome": text(chromosome),
            "position": np.full(n, -1, dtype=np.int64) if position is None else np.asarray(position, dtype=np.int64),
            "ref": text(ref),
            "alt": text(alt),
        }
    )
    return table


def with_alleles(variants: pd.DataFrame, refs: Sequence[str], alts: Sequence[str]) -> pd.DataFrame:
    """Return the table, counted anew, with other alleles."""
    made: pd.DataFrame = variants.reset_index(drop=True).assign(
        ref=pd.Series(list(refs), dtype=object), alt=pd.Series(list(alts), dtype=object)
    )
    return made


def parse_position(text: str, place: str) -> int:
    """Return a position in bp; raises DataError, with the place, where the text is no whole number from 0."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_POSITION):
        msg = f"{place}: the position must be a whole number from 0, got {shortened(text)!r}"
        raise DataError(msg)
    return int(text)


def shortened(text: str) -> str:
    """Return a cell as it is shown in a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def check_order(variants: pd.DataFrame, where: Where, advice: str) -> None:
    """Raise DataError unless chromosomes are in one piece each and positions never fall within one.

    Models read variants in order, so a file that was joined from pieces in the wrong order is refused rather than
    sorted unseen. Positions below 1 are unknown and not compared.
    """
    if not len(variants):
        return
    chromosomes = variants["chromosome"].to_numpy(dtype=object)
    codes, names = pd.factorize(chromosomes)
    position = variants["position"].to_numpy(dtype=np.int64)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    if len(starts) > len(names):
        seen: set[int] = set()
        row = next(int(row) for row in starts if int(codes[row]) in seen or seen.add(int(codes[row])))  # type: ignore[func-returns-value]
        msg = f"{where(row)}: chromosome {names[codes[row]]!r} begins again; {advice}"
        raise DataError(msg)
    falls = (np.diff(codes) == 0) & (np.diff(position) < 0) & (position[1:] > 0)
    if falls.any():
        row = int(np.argmax(falls)) + 1
        name = names[codes[row]]
        msg = f"{where(row)}: {name}:{position[row]} stands after {name}:{position[row - 1]}; {advice}"
        raise DataError(msg)


def unique_names(variants: pd.DataFrame, where: Where) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with ids that are there and differ, and notes.

    A variant without an id is called ``chromosome:position:ref:alt``. Different variants with one id (alternate
    alleles of one site) get ``_ALT`` behind it, or all four where that does not tell them apart.

    Raises
    ------
    DataError
        One variant stands there twice: id, place and alleles are the same. Both places are named.
    """
    ids = variants["id"].to_numpy(dtype=object).copy()
    columns = [variants[name].astype(str) for name in ("chromosome", "position", "ref", "alt")]
    full = (columns[0] + ":" + columns[1] + ":" + columns[2] + ":" + columns[3]).to_numpy(dtype=object)
    notes = []
    unnamed = np.array([name in ("", ".") for name in ids.tolist()], dtype=bool)
    if unnamed.any():
        ids[unnamed] = full[unnamed]
        notes.append(f"{int(unnamed.sum()):,} variants without an id are called chromosome:position:ref:alt")
    same = _repeated(ids)
    if same.any():
        keys = pd.Series(ids[same] + "\t" + full[same])
        if keys.duplicated().any():
            rows = np.flatnonzero(same)[np.flatnonzero(keys == keys[keys.duplicated()].iloc[0])]
            first, second = int(rows[0]), int(rows[1])
            msg = (
                f"{where(second)}: variant {ids[first]!r} ({full[first]}) is already at {where(first)}; "
                "each variant may stand there once"
            )
            raise DataError(msg)
        count = int(same.sum())
        ids[same] = ids[same] + "_" + variants["alt"].to_numpy(dtype=object)[same]
        again = _repeated(ids)
        ids[again] = full[again]
        again = _repeated(ids)
        if again.any():
            row = int(np.argmax(again))
            msg = f"{where(row)}: variant id {ids[row]!r} is not unique"
            raise DataError(msg)
        notes.append(f"{count:,} variants shared their ids and got the alternate allele behind it")
    return variants.assign(id=ids), tuple(notes)


def _repeated(ids: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    repeated: npt.NDArray[np.bool_] = pd.Series(ids).duplicated(keep=False).to_numpy(dtype=bool)
    return repeated


def genotype_notes(values: FloatArray) -> tuple[str, ...]:
    """Return notes on missing dosages and on variants with one dosage only; `values` as in `Inputs`."""
    notes = []
    lost = sum(int(np.isnan(values[rows]).sum()) for rows in blocks(len(values), values.shape[1] * 4))
    if lost:
        notes.append(f"{lost:,} of {values.size:,} dosages are missing ({lost / values.size:.2%})")
    constant = int((np.fmax.reduce(values, axis=0) == np.fmin.reduce(values, axis=0)).sum())
    if constant:
        notes.append(f"{constant:,} of {values.shape[1]:,} variants have one dosage only")
    return tuple(notes)


def blocks(n: int, row_bytes: int) -> Iterator[slice]:
    """Yield slices that cover `n` rows in blocks of about 8 MiB."""
    step = max(1, _BLOCK_BYTES // max(row_bytes, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


class DosageColumns:
    """Dosages that arrive one variant at a time, for a matrix with samples in rows.

    Until the matrix is made, whole ones take a byte each.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._rows = max(1, _BLOCK_BYTES // max(4 * n, 1))
        self._packed: list[FloatArray | UInt8Array] = []
        self._block = np.empty((self._rows, n), dtype=np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, column: FloatArray) -> None:
        """Add the dosages of one variant, shape (n,)."""
        row = self._count % self._rows
        self._block[row] = column
        self._count += 1
        if row + 1 == self._rows:
            self._packed.append(_pack(self._block))

    def matrix(self) -> FloatArray:
        """Return float32, shape (n, variants), and forget the columns."""
        values = np.empty((self._n, self._count), dtype=np.float32)
        rest = self._block[: self._count % self._rows]
        for number, start in enumerate(range(0, self._count, self._rows)):
            full = number < len(self._packed)
            block = _unpack(self._packed[number]) if full else rest
            values[:, start : start + len(block)] = block.T
        self._packed.clear()
        return values


_MISSING_CODE = 3
_CODES = np.array([0, 1, 2, np.nan], dtype=np.float32)


def _pack(block: FloatArray) -> FloatArray | UInt8Array:
    """Return whole dosages as codes, others as a copy."""
    filled = np.where(np.isnan(block), np.float32(_MISSING_CODE), block)
    codes: UInt8Array = filled.astype(np.uint8)
    if np.array_equal(codes, filled):
        return codes
    copied: FloatArray = block.copy()
    return copied


def _unpack(block: FloatArray | UInt8Array) -> FloatArray:
    values: FloatArray = _CODES[block] if block.dtype == np.uint8 else block.astype(np.float32, copy=False)
    return values
