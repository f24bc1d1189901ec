"""``split.csv``: write a split, read it back, and see that it belongs to the data."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from automl_pheno.data import Dataset, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.files import write_text
from automl_pheno.splits.split import SETS, Assignment, BoolArray, Split

_COLUMNS = ["id", "group", "set", "fold"]
_PURGED_FROM = "purged_from"


def write_split(split: Split, path: str | Path) -> None:
    """Write ``split.csv`` (id, group, set, fold; fold is empty outside folds), whole or not at all.

    Where samples are purged from the training of single folds a column ``purged_from`` lists these, as in ``0 3``.
    The further assignments of repeated folds follow as ``fold_2`` (and ``purged_from_2``), ``fold_3`` ...
    """
    path = Path(path)
    columns = [split.ids.tolist(), split.group.tolist(), split.set.tolist()]
    header = _COLUMNS[:3]
    for number, one in enumerate(split.repeats(), start=1):
        columns.append(["" if fold < 0 else str(fold) for fold in one.fold.tolist()])
        header.append(_name(_COLUMNS[3], number))
        if one.purged_from is not None:
            columns.append([" ".join(map(str, np.flatnonzero(row))) for row in one.purged_from])
            header.append(_name(_PURGED_FROM, number))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    write_text(path, text.getvalue())


def read_split(path: str | Path) -> Split:
    """Return what `write_split` wrote.

    Raises
    ------
    SplitError
        No such file, or a row breaks a rule; the message has file and line.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: cannot be read as a split: {error}"
        raise SplitError(msg) from None
    if not rows or (places := _repeats_in(rows[0])) is None:
        msg = (
            f"{path}:1: a split has the columns {', '.join(_COLUMNS)}, got {', '.join(rows[0]) if rows else 'nothing'}"
        )
        raise SplitError(msg)
    if len(rows) == 1:
        msg = f"{path}: has no samples"
        raise SplitError(msg)
    seen: set[str] = set()
    for line, row in enumerate(rows[1:], start=2):
        problem = _row_problem(row, seen, rows[0])
        if problem:
            msg = f"{path}:{line}: {problem}"
            raise SplitError(msg)
        seen.add(row[0])
    ids, group, sets, *assigned = zip(*rows[1:], strict=True)
    first, *others = (_read_assignment(assigned[fold], assigned[apart] if apart else None) for fold, apart in places)
    return Split(
        ids=np.array(ids, dtype=np.str_),
        group=np.array([int(label) for label in group], dtype=np.int64),
        set=np.array(sets, dtype=np.str_),
        fold=first.fold,
        purged_from=first.purged_from,
        again=tuple(others),
    )


def _name(column: str, repeat: int) -> str:
    return column if repeat == 1 else f"{column}_{repeat}"


def _repeats_in(header: Sequence[str]) -> list[tuple[int, int | None]] | None:
    """Return the places of ``fold`` and ``purged_from`` of each repeat after the first three columns; None if bad."""
    places: list[tuple[int, int | None]] = []
    names = list(header[3:])
    while names[:1] == [_name(_COLUMNS[3], len(places) + 1)]:
        place = len(header) - 3 - len(names)
        has_purged = names[1:2] == [_name(_PURGED_FROM, len(places) + 1)]
        places.append((place, place + 1 if has_purged else None))
        del names[: 1 + has_purged]
    return places if places and not names and list(header[:3]) == _COLUMNS[:3] else None


def _read_assignment(fold: tuple[str, ...], apart: tuple[str, ...] | None) -> Assignment:
    return Assignment(
        fold=np.array([int(number) if number else -1 for number in fold], dtype=np.int64),
        purged_from=None if apart is None else _read_purged(apart, fold),
    )


def _read_purged(cells: tuple[str, ...], fold: tuple[str, ...]) -> BoolArray | None:
    n_folds = max((int(number) + 1 for number in fold if number), default=0)
    purged = np.zeros((len(cells), n_folds), dtype=bool)
    for row, cell in enumerate(cells):
        purged[row, [int(number) for number in cell.split() if int(number) < n_folds]] = True
    return purged if purged.any() else None


def check_matches(split: Split, dataset: Dataset) -> None:
    """Raise SplitError unless `split` was made for the samples of `dataset`, in their order."""
    if np.array_equal(split.ids, dataset.ids):
        return
    for here, there, text in (
        (split.ids, dataset.ids, "of the split are not in the data"),
        (dataset.ids, split.ids, "of the data are not in the split"),
    ):
        lost = here[~np.isin(here, there)]
        if len(lost):
            msg = f"{len(lost):,} of {len(here):,} samples {text}: {shown_ids(lost)}"
            raise SplitError(msg)
    row = int(np.argmax(split.ids != dataset.ids))
    msg = f"split and data have the same samples in another order: sample {row + 1} is {str(split.ids[row])!r} and "
    msg += repr(str(dataset.ids[row]))
    raise SplitError(msg)


def _row_problem(row: list[str], seen: set[str], header: list[str]) -> str:
    if len(row) != len(header):
        return f"expected {len(header)} columns, got {len(row)}"
    name, group, part, *assigned = row
    if name in seen:
        return f"id {name!r} is there twice"
    if not group.isdecimal():
        return f"group must be a whole number, got {group!r}"
    if part not in SETS:
        return f"set must be one of {', '.join(SETS)}, got {part!r}"
    for column, cell in zip(header[3:], assigned, strict=True):
        if column.startswith(_PURGED_FROM):
            if not all(number.isdecimal() for number in cell.split()):
                return f"{column} must hold numbers of folds, got {cell!r}"
        elif cell and (not cell.isdecimal() or part != "train"):
            return f"{column} must be a whole number, and empty outside train, got {cell!r} in {part}"
    return ""


def shown_ids(ids: StrArray) -> str:
    """Return the first three ids for a message."""
    return ", ".join(repr(str(name)) for name in ids[:3]) + (", ..." if len(ids) > 3 else "")
