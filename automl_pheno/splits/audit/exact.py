"""What must not be shared at all, counted: ids, sequences, genotypes, bases of the genome, values, labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data import Dataset, FloatArray, IntArray, StrArray, UInt8Array
from automl_pheno.data.places import PLACE_NAMES, IntervalError, place_column, place_name, read_intervals
from automl_pheno.errors import SplitError, known_names
from automl_pheno.splits.audit.sides import Crossing, Sides, gather, keys_across, pairs_across

_BLOCK = 8192  # rows turned round or made bytes at once
_MOST_PAIRS = 1 << 22  # overlapping intervals listed at once
_FLIP = np.array([int(f"{code:04b}"[::-1], 2) for code in range(16)], dtype=np.uint8)  # A<->T, C<->G as bits


def ids_across(ids: StrArray, sides: Sides) -> dict[str, Crossing]:
    """Count the ids that are evaluated and trained on."""
    return keys_across(_numbers(ids.tolist()), sides)


def sequences_across(codes: UInt8Array, sides: Sides) -> tuple[dict[str, Crossing], dict[str, Crossing]]:
    """Count the sequences, and the reverse complements, that are evaluated and trained on.

    Parameters
    ----------
    codes
        Bit codes, uint8, shape (n, length), 0 is padding.
    sides
        Of the n samples.
    """
    forward, reverse = _digests(codes)
    digests = _numbers([*forward, *reverse])
    same, turned = digests[: len(codes)], digests[len(codes) :]
    palindromes = same == turned
    return keys_across(same, sides), keys_across(np.where(palindromes, -1, same), sides, turned)


def genotypes_across(values: npt.NDArray[np.float32], sides: Sides) -> dict[str, Crossing]:
    """Count the rows of dosages that are evaluated and trained on; missing equals missing only."""
    digests = []
    step = max(1, _BLOCK * 64 // max(values.shape[1], 1))
    for start in range(0, len(values), step):
        block = values[start : start + step]
        # whole thousandths: a dosage that went through a text file is the same
        rounded = np.where(np.isnan(block), -1.0, np.rint(block * 1000.0)).astype(np.int16)
        digests += [hashlib.sha256(row.tobytes()).digest() for row in rounded]
    return keys_across(_numbers(digests), sides)


def values_across(dataset: Dataset, column: str, sides: Sides) -> dict[str, Crossing]:
    """Count the values of a column that are evaluated and trained on; a missing value is nobody's.

    Raises
    ------
    SplitError
        No such column.
    """
    return keys_across(_numbers(cells(dataset, column)), sides)


def cells(dataset: Dataset, column: str) -> list[str | None]:
    """Return a column as text: ``3``, ``3.0`` and ``" 3"`` are one value, ``chr1`` in a column of chromosomes is 1."""
    known = [str(name) for name in dataset.columns.columns]
    if column not in known:
        msg = f"audit: the data have no column {column!r}; {known_names(column, known)}"
        raise SplitError(msg)
    texts = [_text(value) for value in dataset.columns[column].tolist()]
    if place_name(column) not in map(place_name, PLACE_NAMES["chromosome"]):
        return texts
    return [text[3:] if text is not None and text.lower().startswith("chr") and text[3:] else text for text in texts]


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def labels_across(labels: IntArray, sides: Sides) -> dict[str, Crossing]:
    """Count the groups that are evaluated and trained on."""
    return keys_across(labels, sides)


def listed_across(first: IntArray, second: IntArray, similarity: FloatArray, sides: Sides) -> dict[str, Crossing]:
    """Count the pairs of a list of which one is evaluated by a model trained on the other, with the most alike."""
    evaluated, trained = np.r_[first, second], np.r_[second, first]
    alike = np.r_[similarity, similarity]
    meets = sides.meets(evaluated, trained)
    return pairs_across(evaluated[meets], trained[meets], alike[meets], sides)


def has_intervals(dataset: Dataset) -> bool:
    """Say whether the data have a chromosome, a start and an end for some sample."""
    try:
        return read_intervals(dataset.columns) is not None
    except IntervalError:
        return False


def unchecked_intervals(dataset: Dataset) -> str:
    """Return why intervals that the data seem to have cannot be compared; "" where they can, or there are none."""
    try:
        read_intervals(dataset.columns)
    except IntervalError as error:
        return f"the interval {error.interval} of {str(dataset.ids[error.row])!r} {error.reason}"
    return ""


def bases_across(dataset: Dataset, sides: Sides, slack: int = 0, genome: str | None = None) -> dict[str, Crossing]:
    """Count the bases of the genome that an evaluated interval shares with one trained on.

    An independent sweep: for each chromosome the intervals by start, and for each the later ones that begin before it
    ends. ``count`` is in bp, summed over pairs of intervals; with `slack` intervals as near as that count 1 bp.

    Parameters
    ----------
    dataset
        Columns chromosome, start (0-based), end (exclusive); a column of genomes or species keeps these apart.
    sides
        Of its samples.
    slack
        bp between two intervals up to which they count as overlapping.
    genome
        The column that keeps genomes apart; None is genome, assembly, species or sp where there is one.
    """
    columns = _interval_columns(dataset, genome)
    if columns is None:
        return {}
    chromosome, start, end = columns
    order = np.lexsort((start, chromosome))
    order = order[chromosome[order] >= 0]
    found: list[tuple[IntArray, IntArray, IntArray]] = []
    for label in np.unique(chromosome[order]):
        rows = order[chromosome[order] == label]
        found += [(a, b, bp) for a, b, bp in _overlaps(rows, start[rows], end[rows], slack, sides)]
    if not found:
        empty = np.empty(0, dtype=np.int64)
        found = [(empty, empty, empty)]
    evaluated, trained, shared = (np.concatenate(parts) for parts in zip(*found, strict=True))
    low, high = np.minimum(evaluated, trained), np.maximum(evaluated, trained)
    pair = low * np.int64(len(dataset)) + high
    return gather(sides, evaluated, trained, pair, alike=shared.astype(np.float64), weight=shared)


def _overlaps(
    rows: IntArray, start: IntArray, end: IntArray, slack: int, sides: Sides
) -> Iterable[tuple[IntArray, IntArray, IntArray]]:
    """Yield evaluated rows, rows trained on and their shared bp, of intervals sorted by start."""
    until = np.searchsorted(start, end + slack, side="right" if slack else "left")
    later = np.maximum(until - np.arange(len(rows)) - 1, 0)
    ends = np.cumsum(later)
    low = 0
    while low < len(rows):
        before = int(ends[low] - later[low])
        high = max(int(np.searchsorted(ends, before + _MOST_PAIRS, side="right")), low + 1)
        counts = later[low:high]
        first = np.repeat(np.arange(low, high), counts)
        second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
        shared = np.maximum(np.minimum(end[first], end[second]) - start[second], 1)
        for a, b in ((first, second), (second, first)):
            meets = sides.meets(rows[a], rows[b])
            yield rows[a[meets]], rows[b[meets]], shared[meets]
        low = high


def _interval_columns(dataset: Dataset, genome: str | None = None) -> tuple[IntArray, IntArray, IntArray] | None:
    found = read_intervals(dataset.columns)
    if found is None:
        return None
    if genome is None:
        genome = place_column(dataset.columns.columns, "genome")
    genomes = [""] * len(dataset) if genome is None else cells(dataset, genome)
    keys = [
        None if where is None or not fine else f"{where}\t{name}"
        for name, where, fine in zip(found.chromosome.tolist(), genomes, found.known, strict=True)
    ]
    return _numbers(keys), found.start, found.end


def _digests(codes: UInt8Array) -> tuple[list[bytes], list[bytes]]:
    forward: list[bytes] = []
    reverse: list[bytes] = []
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK]
        turned = _FLIP[block[:, ::-1]]
        for row, other in zip(block, turned, strict=True):
            forward.append(hashlib.sha256(row.tobytes().rstrip(b"\0")).digest())
            reverse.append(hashlib.sha256(other.tobytes().lstrip(b"\0")).digest())
    return forward, reverse


def _numbers(keys: Sequence[object]) -> IntArray:
    """Return one number a different key; None is -1."""
    seen: dict[object, int] = {}
    return np.array([-1 if key is None else seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)
