"""Make a split as a configuration asks, write it and read it back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import Dataset, FloatArray, IntArray, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.files import write_text
from automl_pheno.rng import generator
from automl_pheno.splits.assign import assign
from automl_pheno.splits.card import make_card
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.groups import Groups, column_of, make_groups, number_in_order, value_text
from automl_pheno.splits.split import SETS, Split

_SET_NAMES = {
    "train": "train", "training": "train", "tr": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "te": "test", "heldout": "test", "held-out": "test",
}  # fmt: skip
_COLUMNS = ["id", "group", "set", "fold"]
_PURGED_FROM = "purged_from"
_FEW = 20  # below, a score is hardly worth reading
_FEWEST = 10  # below, a part that was to be larger is refused

_Mask = npt.NDArray[np.bool_]


def make_split(dataset: Dataset, trait: str, config: SplitConfig) -> tuple[Split, dict[str, Any]]:
    """Return a split of `dataset` and its card.

    Parameters
    ----------
    dataset
        All samples have a finite value of `trait` (``data.drop_missing``).
    config
        What stays together and how it is cut. With ``fold_column`` the folds are the column's values in order, and
        only ``test_column`` makes a test set. With ``set_column`` lacking a validation set, one is cut from train.

    Raises
    ------
    SplitError
        A column is missing or breaks a group, a set would be empty, or there are fewer groups than folds.
    """
    y = dataset.y(trait)
    if not np.isfinite(y).all():
        msg = f"trait {trait!r} is missing in {int((~np.isfinite(y)).sum()):,} samples; drop them before the split"
        raise SplitError(msg)
    own = config.set_column is not None or config.fold_column is not None
    groups = make_groups(dataset, config.groups, automatic=not own)
    sets = np.full(len(dataset), "", dtype="<U10")
    fold = np.full(len(dataset), -1, dtype=np.int64)
    if config.set_column is not None:
        sets[:] = _own_sets(dataset, config)
        _check_whole(dataset, groups.labels, sets, f"set_column {config.set_column!r}")
    elif config.test_column is not None:
        tested = _chosen_test(dataset, config)
        sets[tested] = "test"
        sides = np.where(tested, "test", "others")
        _check_whole(dataset, groups.labels, sides, f"test_column {config.test_column!r}")
    notes: list[str] = []
    if config.fold_column is not None:
        fold[:] = _own_folds(dataset, config, sets == "test")
        sets[fold >= 0] = "train"
        _check_whole(dataset, groups.labels, fold.astype(np.str_), f"fold_column {config.fold_column!r}")
    else:
        notes += _cut(groups, y, config, sets, fold)
    split = Split(ids=dataset.ids, group=groups.labels, set=sets.astype(np.str_), fold=fold)
    notes += _size_notes(split)
    return split, make_card(dataset, trait, split, groups, config, notes)


def write_split(split: Split, path: str | Path) -> None:
    """Write ``split.csv`` (id, group, set, fold; fold is empty outside folds), whole or not at all.

    Where samples are purged from the training of single folds a column ``purged_from`` lists these, as in ``0 3``.
    """
    path = Path(path)
    folds = ["" if number < 0 else str(number) for number in split.fold.tolist()]
    columns = [split.ids.tolist(), split.group.tolist(), split.set.tolist(), folds]
    header = list(_COLUMNS)
    if split.purged_from is not None:
        columns.append([" ".join(map(str, np.flatnonzero(row))) for row in split.purged_from])
        header.append(_PURGED_FROM)
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
    if not rows or rows[0] not in (_COLUMNS, [*_COLUMNS, _PURGED_FROM]):
        msg = (
            f"{path}:1: a split has the columns {', '.join(_COLUMNS)}, got {', '.join(rows[0]) if rows else 'nothing'}"
        )
        raise SplitError(msg)
    if len(rows) == 1:
        msg = f"{path}: has no samples"
        raise SplitError(msg)
    seen: set[str] = set()
    for line, row in enumerate(rows[1:], start=2):
        problem = _row_problem(row, seen, len(rows[0]))
        if problem:
            msg = f"{path}:{line}: {problem}"
            raise SplitError(msg)
        seen.add(row[0])
    ids, group, sets, fold, *apart = zip(*rows[1:], strict=True)
    return Split(
        ids=np.array(ids, dtype=np.str_),
        group=np.array([int(label) for label in group], dtype=np.int64),
        set=np.array(sets, dtype=np.str_),
        fold=np.array([int(number) if number else -1 for number in fold], dtype=np.int64),
        purged_from=_read_purged(apart[0], fold) if apart else None,
    )


def _read_purged(cells: tuple[str, ...], fold: tuple[str, ...]) -> _Mask | None:
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
            msg = f"{len(lost):,} of {len(here):,} samples {text}: {_shown(lost)}"
            raise SplitError(msg)
    row = int(np.argmax(split.ids != dataset.ids))
    msg = f"split and data have the same samples in another order: sample {row + 1} is {str(split.ids[row])!r} and "
    msg += repr(str(dataset.ids[row]))
    raise SplitError(msg)


def _row_problem(row: list[str], seen: set[str], n_columns: int) -> str:
    if len(row) != n_columns:
        return f"expected {n_columns} columns, got {len(row)}"
    name, group, part, fold, *apart = row
    if name in seen:
        return f"id {name!r} is there twice"
    if not group.isdecimal():
        return f"group must be a whole number, got {group!r}"
    if part not in SETS:
        return f"set must be one of {', '.join(SETS)}, got {part!r}"
    if fold and (not fold.isdecimal() or part != "train"):
        return f"fold must be a whole number, and empty outside train, got {fold!r} in {part}"
    if apart and not all(number.isdecimal() for number in apart[0].split()):
        return f"purged_from must hold numbers of folds, got {apart[0]!r}"
    return ""


def _own_sets(dataset: Dataset, config: SplitConfig) -> StrArray:
    field = f"set_column {config.set_column!r}"
    values = _complete(dataset, str(config.set_column), field)
    names = {value: _SET_NAMES.get(value.strip().lower(), "") for value in dict.fromkeys(values.tolist())}
    unknown = [value for value, name in names.items() if not name]
    if unknown:
        msg = f"{field}: unknown set {unknown[0]!r}; known: {', '.join(sorted(_SET_NAMES))} in either case"
        raise SplitError(msg)
    sets = np.array([names[value] for value in values.tolist()], dtype=np.str_)
    if not (sets == "train").any():
        msg = f"{field}: no sample is in train (values: {', '.join(names)})"
        raise SplitError(msg)
    if config.method == "kfold" and (sets == "validation").any():
        msg = f"{field}: has a validation set, so method must be holdout, got kfold"
        raise SplitError(msg)
    if config.method == "kfold" or not (sets == "validation").any():
        sets[sets == "train"] = ""  # to be cut
    return sets


def _own_folds(dataset: Dataset, config: SplitConfig, tested: _Mask) -> IntArray:
    field = f"fold_column {config.fold_column!r}"
    values = _complete(dataset, str(config.fold_column), field)
    names = sorted(set(values[~tested].tolist()), key=_natural)
    if len(names) < 2:
        msg = f"{field}: at least 2 folds are needed, got {len(names)}"
        raise SplitError(msg)
    if len(names) > len(dataset) // 2:
        msg = f"{field}: {len(names):,} values for {len(dataset):,} samples are no folds"
        raise SplitError(msg)
    number = {name: index for index, name in enumerate(names)}
    folds = np.array([number.get(value, -1) for value in values.tolist()], dtype=np.int64)
    return np.where(tested, -1, folds)


def _chosen_test(dataset: Dataset, config: SplitConfig) -> _Mask:
    field = f"test_column {config.test_column!r}"
    values = column_of(dataset, str(config.test_column), field).fillna("").to_numpy(dtype=np.str_)
    wanted = [value_text(value) for value in config.test_values]
    for value in wanted:
        if value not in values:
            known = sorted(set(values.tolist()), key=_natural)
            msg = f"{field}: no sample has the value {value!r}; known: {', '.join(known[:20])}"
            raise SplitError(msg)
    tested = np.isin(values, wanted)
    if tested.all():
        msg = f"{field}: every sample has one of the values {', '.join(wanted)}; nothing is left to train on"
        raise SplitError(msg)
    return tested


def _complete(dataset: Dataset, name: str, field: str) -> StrArray:
    values = column_of(dataset, name, field)
    lost = values.isna().to_numpy()
    if lost.any():
        msg = f"{field}: {int(lost.sum()):,} samples have no value: {_shown(dataset.ids[lost])}"
        raise SplitError(msg)
    return values.to_numpy(dtype=np.str_)


def _check_whole(dataset: Dataset, groups: IntArray, sides: StrArray, field: str) -> None:
    """Raise SplitError if a group lies on two sides of a cut that the user has made."""
    order = np.argsort(groups, kind="stable")
    same = groups[order][1:] == groups[order][:-1]
    cut = np.flatnonzero(same & (sides[order][1:] != sides[order][:-1]))
    if len(cut):
        a, b = order[cut[0]], order[cut[0] + 1]
        n = len(np.unique(groups[order][cut]))
        msg = (
            f"{field}: {n:,} groups lie on two sides; for example {_side_of(dataset, sides, a)} and "
            f"{_side_of(dataset, sides, b)} must stay together"
        )
        raise SplitError(msg)


def _side_of(dataset: Dataset, sides: StrArray, row: int) -> str:
    return f"{str(dataset.ids[row])!r} ({sides[row] or 'train'})"


def _cut(groups: Groups, y: FloatArray, config: SplitConfig, sets: StrArray, fold: IntArray) -> list[str]:
    """Assign the samples without a set. Changes `sets` and `fold`; returns notes."""
    rows = np.flatnonzero(sets == "")
    if not len(rows):
        return []
    labels = number_in_order(groups.labels[rows])
    names, shares = _wanted(config, len(y), len(rows))
    n_groups = int(labels.max()) + 1
    asked = ", ".join(groups.counts)
    if n_groups < len(names):
        msg = f"{n_groups} groups ({asked}) cannot make {len(names)} parts ({', '.join(names)})"
        raise SplitError(msg)
    parts = assign(labels, y[rows], shares, generator(config.seed, "split"))
    sizes = np.bincount(parts, minlength=len(names))
    largest = int(np.bincount(labels).max())
    why = f"the largest of {n_groups:,} groups ({asked}) holds {largest:,} of {len(rows):,} samples"
    lacking = np.flatnonzero((sizes == 0) | ((sizes < _FEWEST) & (shares * len(rows) >= _FEWEST)))
    if len(lacking):
        part = int(lacking[np.argmin(sizes[lacking])])
        msg = f"{names[part]} would have {sizes[part]} samples where {shares[part] * len(rows):,.0f} were asked: {why}"
        raise SplitError(msg)
    off = []
    for part, name in enumerate(names):
        of_part = rows[parts == part]
        is_fold = name.startswith("fold ")
        sets[of_part] = "train" if is_fold else name
        fold[of_part] = part if is_fold else -1
        got = sizes[part] / len(rows)
        if abs(got - shares[part]) > max(0.02, 0.2 * shares[part]):
            off.append(f"{name} has {got:.1%} of the samples (asked: {shares[part]:.1%})")
    return [f"{', '.join(off)}: {why}"] if off else []


def _wanted(config: SplitConfig, n: int, n_left: int) -> tuple[list[str], FloatArray]:
    """Return names and shares of the parts into which the samples without a set are cut."""
    whole = n_left == n
    test = config.test if whole else 0.0
    if config.method == "kfold":
        names = [f"fold {number}" for number in range(config.folds)]
        shares = [(1.0 - test) / config.folds] * config.folds
    else:
        validation = config.validation * n / n_left
        if validation + test >= 1.0:
            msg = f"validation: {config.validation:.0%} of {n:,} samples leave none of {n_left:,} to train on"
            raise SplitError(msg)
        names = ["train", "validation"]
        shares = [1.0 - test - validation, validation]
    if test > 0.0:
        names.append("test")
        shares.append(test)
    return names, np.array(shares)


def _size_notes(split: Split) -> list[str]:
    notes = []
    if not len(split.test):
        notes.append("there is no sealed test set: the best validation score is all there is, and it is optimistic")
    for name in ("validation", "test"):
        n = int((split.set == name).sum())
        if 0 < n < _FEW:
            notes.append(f"{name} has {n} samples only: its scores are very uncertain")
    return notes


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def _shown(ids: StrArray) -> str:
    return ", ".join(repr(str(name)) for name in ids[:3]) + (", ..." if len(ids) > 3 else "")
