"""Splits that other programs, or the user, have made: taken as they are, then audited like ours.

Formats: our ``split.csv``; GraphPart (``AC,priority,label-val,between_connectivity,cluster``: cluster is the number of
the partition, and what was removed is not listed; github.com/graph-part/graph-part, README); DataSAIL
(``ID<tab>Split``, ``not selected`` for what was left out; github.com/kalininalab/DataSAIL); hashFrag (an id and
``train`` or ``test``, or the number of a fold; github.com/de-Boer-Lab/hashFrag); any table of an id and a set or a
fold, with a header or without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_pheno.data import Dataset, IntArray, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.file import read_split
from automl_pheno.splits.imported_ids import REVERSED, IdMatcher, id_columns, read_cells
from automl_pheno.splits.split import SETS, Assignment, BoolArray, Split

_SET_NAMES = {
    "train": "train", "training": "train", "tr": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "te": "test", "heldout": "test", "held-out": "test",
    "purged": "purged", "removed": "purged", "not selected": "purged", "": "purged",
}  # fmt: skip
_IDS = ("id", "ids", "ac", "iid", "sample", "sample_id", "name", "seq_id", "sequence_id")
_SETS = ("set", "split", "cluster", "partition", "fold", "part")
_OURS = ["id", "group", "set", "fold"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedSplit:
    """A split from a file, in the order of the data.

    Attributes
    ----------
    split
        Samples of the data that the file does not name are ``purged``: neither trained on nor tested.
    named
        True for the samples that the file names, bool, shape (n,).
    source
        Which format it was, in words.
    notes
        What was matched and how, with counts.
    """

    split: Split
    named: BoolArray
    source: str
    notes: tuple[str, ...]


def read_any_split(path: str | Path, dataset: Dataset) -> ImportedSplit:
    """Return a split that this or another program, or the user, has written.

    Parameters
    ----------
    path
        See the formats above; plain or gzip.
    dataset
        Whose samples it is about, in any order.

    Raises
    ------
    SplitError
        The file breaks a rule, or names no sample of the data; the message has file and line.
    """
    path = Path(path)
    lines = list(read_cells(path))
    if not lines:
        msg = f"{path}: the file is empty"
        raise SplitError(msg)
    header = [cell.lower().lstrip("#") for cell in lines[0][1]]
    if header[:4] == _OURS:
        return _ours(read_split(path), dataset, path)
    matcher = IdMatcher(dataset.ids)
    place_set, body = _columns(path, lines)
    for line, cells in body:
        if len(cells) != len(header):
            msg = f"{path}:{line}: expected {len(header)} columns, got {len(cells)}"
            raise SplitError(msg)
    columns = id_columns(header, [cells for _, cells in body], dataset.ids, leave_out=place_set)
    rows = matcher.rows_of(columns, path)
    values = _by_row(path, body, place_set, rows, matcher)
    written = [value for value, _ in values.values()]
    if all(value.lower() in _SET_NAMES for value in written):
        split = _of_sets(path, dataset, values)
    else:
        split = _of_folds(path, dataset, values)
    source = "GraphPart" if "between_connectivity" in header else "DataSAIL" if header == ["id", "split"] else "a table"
    notes = [f"{path.name} ({source}): {len(values):,} of {len(body):,} rows are samples of the data"]
    absent = len(dataset) - len(values)
    if absent:
        notes.append(_absent(absent, dataset, path))
    notes += _unused(header, place_set, written)
    named = np.zeros(len(dataset), dtype=bool)
    named[list(values)] = True
    return ImportedSplit(split=split, named=named, source=source, notes=(*notes, *matcher.notes(path.name)))


def _absent(n: int, dataset: Dataset, path: Path) -> str:
    return f"{n:,} of {len(dataset):,} samples of the data are not in {path.name}: neither trained on nor tested"


def _unused(header: Sequence[str], place_set: int, written: Sequence[str]) -> list[str]:
    """Return what of a table does not say which side a sample is on."""
    notes = []
    others = [name for place, name in enumerate(header) if name in _SETS and place != place_set]
    if others and header[place_set] in _SETS:
        named = ", ".join(map(repr, others))
        notes.append(f"column {header[place_set]!r} says on which side a sample is; {named} is not used")
    blank = sum(not value for value in written)
    if blank:
        notes.append(f"{blank:,} rows name no set: these samples are neither trained on nor tested")
    return notes


def _ours(split: Split, dataset: Dataset, path: Path) -> ImportedSplit:
    """Return a split of ours in the order of the data."""
    lost = split.ids[~np.isin(split.ids, dataset.ids)]
    if len(lost):
        shown = ", ".join(map(repr, lost[:3].tolist())) + (", ..." if len(lost) > 3 else "")
        msg = f"{path}: {len(lost):,} of {len(split.ids):,} samples of the split are not in the data: {shown}"
        raise SplitError(msg)
    place = {name: row for row, name in enumerate(split.ids.tolist())}
    rows = np.array([place.get(name, -1) for name in dataset.ids.tolist()], dtype=np.int64)
    known = rows >= 0
    spare = split.group.max(initial=-1) + 1 + np.arange(len(dataset))
    aligned = Split(
        ids=dataset.ids,
        group=np.where(known, split.group[rows], spare),
        set=np.where(known, split.set[rows], "purged").astype(np.str_),
        fold=np.where(known, split.fold[rows], -1),
        purged_from=None if split.purged_from is None else split.purged_from[rows] & known[:, None],
        again=tuple(
            Assignment(
                fold=np.where(known, one.fold[rows], -1),
                purged_from=None if one.purged_from is None else one.purged_from[rows] & known[:, None],
            )
            for one in split.again
        ),
    )
    absent = int((~known).sum())
    return ImportedSplit(
        split=aligned, named=known, source="automl-pheno", notes=(_absent(absent, dataset, path),) if absent else ()
    )


def _columns(path: Path, lines: list[tuple[int, list[str]]]) -> tuple[int, list[tuple[int, list[str]]]]:
    """Return where the sets stand, and the lines below the header if there is one."""
    cells = lines[0][1]
    names = [cell.lower().lstrip("#") for cell in cells]
    sets = [names.index(name) for name in _SETS if name in names]
    if sets and len(cells) > 1:
        body = lines[1:]
    elif len(cells) == 2 and not any(name in _IDS for name in names):
        sets, body = [1], lines
    else:
        msg = (
            f"{path}:{lines[0][0]}: a split is a table of an id ({', '.join(_IDS[:4])} ...) and a set or fold "
            f"({', '.join(_SETS[:4])} ...), got the columns {', '.join(cells[:8])}"
        )
        raise SplitError(msg)
    if not body:
        msg = f"{path}: has a header but no samples"
        raise SplitError(msg)
    return sets[0], body


def _by_row(
    path: Path, body: list[tuple[int, list[str]]], place_set: int, rows: IntArray, matcher: IdMatcher
) -> dict[int, tuple[str, int]]:
    """Return row of the data -> what the file says of it, and on which line."""
    values: dict[int, tuple[str, int]] = {}
    turned: list[tuple[int, str, int, str]] = []
    for (line, cells), row, own in zip(body, rows.tolist(), matcher.cells or [""] * len(body), strict=True):
        if row < 0:
            continue
        value = cells[place_set]
        # an id that lost what hashFrag appends stands for the sequence turned round
        name = own if own in cells else f"{own}{REVERSED}"
        if name != own:
            turned.append((row, value, line, name))
            continue
        if row in values:
            before, first = values[row]
            sides = f", in {before} on line {first} and in {value}" if before != value else f", first on line {first}"
            msg = f"{path}:{line}: sample {name!r} is there twice{sides}"
            raise SplitError(msg)
        values[row] = (value, line)
    for row, value, line, name in turned:
        if values.setdefault(row, (value, line))[0] != value:
            msg = f"{path}:{line}: {name!r} is in {value}, and the sequence it turns round in {values[row][0]}"
            raise SplitError(msg)
    if not values:
        others = 1 if place_set == 0 else 0
        theirs = ", ".join(repr(cells[others]) for _, cells in body[:3])
        msg = (
            f"{path}: none of its {len(body):,} ids is a sample of the data: {theirs} ... and {matcher.examples}; "
            "--id-column says where the data have their ids"
        )
        raise SplitError(msg)
    return values


def _of_sets(path: Path, dataset: Dataset, values: dict[int, tuple[str, int]]) -> Split:
    sets = np.full(len(dataset), "purged", dtype="<U10")
    for row, (value, _) in values.items():
        sets[row] = _SET_NAMES[value.lower()]
    if not (sets == "train").any() or not np.isin(sets, ("test", "validation")).any():
        have = ", ".join(sorted(set(sets[list(values)].tolist())))
        msg = f"{path}: a split needs samples in train, and in validation or test, got {have} only"
        raise SplitError(msg)
    return _split(dataset, sets, np.full(len(dataset), -1, dtype=np.int64))


def _of_folds(path: Path, dataset: Dataset, values: dict[int, tuple[str, int]]) -> Split:
    labels = _fold_labels(path, dataset, list(values.values()))
    number = {label: place for place, label in enumerate(labels)}
    sets = np.full(len(dataset), "purged", dtype="<U10")
    fold = np.full(len(dataset), -1, dtype=np.int64)
    for row, (value, _) in values.items():
        fold[row] = number.get(value, -1)
        sets[row] = "train" if value in number else _SET_NAMES[value.lower()]
    return _split(dataset, sets, fold)


def _fold_labels(path: Path, dataset: Dataset, values: Sequence[tuple[str, int]]) -> list[str]:
    lines = dict(reversed(values))
    labels = sorted((value for value in lines if value.lower() not in _SET_NAMES), key=_natural)
    trained = [value for value in lines if _SET_NAMES.get(value.lower()) in ("train", "validation")]
    if trained:
        also = f"; folds do not go with {trained[0]!r}" if all(label.isdecimal() for label in labels) else ""
        known = f"known: {', '.join(SETS)}, or at least two folds"
        msg = f"{path}:{lines[labels[0]]}: unknown set {labels[0]!r}; {known}{also}"
        raise SplitError(msg)
    if len(labels) < 2:
        msg = (
            f"{path}: all samples that are not tested are in one fold, {labels[0]!r}; known: {', '.join(SETS)}, or at "
        )
        msg += "least two folds"
        raise SplitError(msg)
    if len(labels) > max(len(dataset) // 2, 2):
        n = len(dataset)
        msg = f"{path}: {len(labels):,} values for {n:,} samples are no folds (at most half as many as samples)"
        raise SplitError(msg)
    return labels


def _split(dataset: Dataset, sets: StrArray, fold: IntArray) -> Split:
    labels = np.arange(len(dataset), dtype=np.int64)
    return Split(ids=dataset.ids, group=labels, set=sets.astype(np.str_), fold=fold)


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
