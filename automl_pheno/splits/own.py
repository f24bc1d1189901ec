"""Cuts that the user has made: columns that say which sample is in which set, fold or test set."""

from __future__ import annotations

import numpy as np

from automl_pheno.data import Dataset, IntArray, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.file import shown_ids
from automl_pheno.splits.groups import column_of, value_text
from automl_pheno.splits.split import BoolArray

_SET_NAMES = {
    "train": "train", "training": "train", "tr": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "te": "test", "heldout": "test", "held-out": "test",
}  # fmt: skip


def own_sets(dataset: Dataset, config: SplitConfig) -> StrArray:
    """Return the set of each sample from ``set_column``; "" where it is still to be cut."""
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


def own_folds(dataset: Dataset, config: SplitConfig, tested: BoolArray) -> IntArray:
    """Return the fold of each sample from ``fold_column``; -1 for those in `tested`."""
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


def chosen_test(dataset: Dataset, config: SplitConfig) -> BoolArray:
    """Return which samples ``test_column`` and ``test_values`` put into the test set."""
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
    if name in dataset.traits.columns and name in dataset.unusable:  # -9 is no fold
        msg = f"{field}: {dataset.unusable[name]}"
        raise SplitError(msg)
    lost = values.isna().to_numpy()
    if lost.any():
        msg = f"{field}: {int(lost.sum()):,} samples have no value: {shown_ids(dataset.ids[lost])}"
        raise SplitError(msg)
    return values.to_numpy(dtype=np.str_)


def check_whole(dataset: Dataset, groups: IntArray, sides: StrArray, field: str) -> None:
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


def _natural(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)
