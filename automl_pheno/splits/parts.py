"""Give the samples without a set to the parts that a configuration asks for."""

from __future__ import annotations

import numpy as np

from automl_pheno.data import FloatArray, IntArray, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.rng import generator
from automl_pheno.splits.assign import assign
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.groups import Groups, number_in_order
from automl_pheno.splits.polish import size_notes

_FEWEST = 10  # below, a part that was to be larger is refused


def cut_parts(
    groups: Groups,
    y: FloatArray,
    config: SplitConfig,
    sets: StrArray,
    fold: IntArray,
    strata: IntArray | None = None,
    repeat: int = 0,
) -> list[str]:
    """Assign the samples without a set. Changes `sets` and `fold`; returns notes. Each `repeat` draws anew."""
    rows = np.flatnonzero(sets == "")
    if not len(rows):
        return []
    labels = number_in_order(groups.labels[rows])
    names, shares = wanted_parts(config, len(y), len(rows))
    n_groups = int(labels.max()) + 1
    asked = ", ".join(groups.counts)
    if n_groups < len(names):
        msg = f"{n_groups} groups ({asked}) cannot make {len(names)} parts ({', '.join(names)})"
        raise SplitError(msg)
    strata = None if strata is None else strata[rows]
    rng = generator(config.seed, "split", *(("repeat", repeat) if repeat else ()))
    parts = assign(labels, y[rows], shares, rng, strata)
    _fill_empty(parts, labels, len(names))
    sizes = np.bincount(parts, minlength=len(names))
    largest = int(np.bincount(labels).max())
    why = f"the largest of {n_groups:,} groups ({asked}) holds {largest:,} of {len(rows):,} samples"
    lacking = np.flatnonzero((sizes == 0) | ((sizes < _FEWEST) & (shares * len(rows) >= _FEWEST)))
    if len(lacking):
        part = int(lacking[np.argmin(sizes[lacking])])
        msg = f"{names[part]} would have {sizes[part]} samples where {shares[part] * len(rows):,.0f} were asked: {why}"
        raise SplitError(msg)
    for part, name in enumerate(names):
        of_part = rows[parts == part]
        is_fold = name.startswith("fold ")
        sets[of_part] = "train" if is_fold else name
        fold[of_part] = part if is_fold else -1
    return list(size_notes(names, parts, labels, y[rows], shares, asked))


def _fill_empty(parts: IntArray, labels: IntArray, n_parts: int) -> None:
    """Give each empty part the smallest group of a part that has several. Changes `parts`."""
    sizes = np.bincount(labels)
    for part in np.flatnonzero(np.bincount(parts, minlength=n_parts) == 0):
        owner = np.zeros(len(sizes), dtype=np.int64)
        owner[labels] = parts
        several = np.bincount(owner, minlength=n_parts)[owner] > 1
        if not several.any():
            return
        parts[labels == np.flatnonzero(several)[np.argmin(sizes[several])]] = part


def wanted_parts(config: SplitConfig, n: int, n_left: int) -> tuple[list[str], FloatArray]:
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
