"""Purge: what is too much like a sample of another side is not trained on. This makes a threshold a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import IntArray
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.split import Split, join_repeats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Purged:
    """A split after a purge.

    Attributes
    ----------
    split
        No development sample is paired with a test sample, and in no fold a training with a validation sample.
    counts
        For the card. ``test``: ``pairs`` across test and development, and ``purged`` development samples.
        ``validation`` (one validation set) or ``folds`` (a list): ``pairs`` across, and training samples ``purged``.
    share
        Training rows lost by the purge, of those there were; with folds the mean over folds.
    """

    split: Split
    counts: dict[str, Any]
    share: float


def purge(split: Split, pairs: Sequence[Pairs]) -> Purged:
    """Take out of training what is paired with a sample it would be judged by.

    A development sample paired with a test sample joins the set ``purged`` (its group stays). A training sample
    paired with a sample of the one validation set does too; with folds it is only not trained on when that fold is
    validated on (``Split.purged_from``). Test samples are never purged, nor are validation samples for the sake of
    training samples.

    Parameters
    ----------
    split
        Of n samples.
    pairs
        Rows of the same samples, each at its own threshold.

    Returns
    -------
    Purged
        The same split where no pair crosses.
    """
    if split.again:
        return _joined([purge(one, pairs) for one in split.repeats()])
    before = [len(fold.train) for fold in split.folds()]
    first = np.concatenate([one.first for one in pairs] or [np.empty(0, dtype=np.int64)])
    second = np.concatenate([one.second for one in pairs] or [np.empty(0, dtype=np.int64)])
    sets, fold = split.set.astype("<U10"), split.fold.copy()
    developed = (sets == "train") | (sets == "validation")
    to_test, n_pairs = _touching(first, second, developed, sets == "test")
    sets[to_test] = "purged"
    fold[to_test] = -1
    counts: dict[str, Any] = {"test": {"pairs": n_pairs, "purged": int(to_test.sum())}}
    apart = split.purged_from
    if split.is_cross_validation:
        apart, counts["folds"] = _from_folds(split, first, second, sets, fold)
    else:
        to_validation, n_pairs = _touching(first, second, sets == "train", sets == "validation")
        sets[to_validation] = "purged"
        counts["validation"] = {"pairs": n_pairs, "purged": int(to_validation.sum())}
    after = replace(split, set=sets.astype(np.str_), fold=fold, purged_from=apart)
    left = {one.number: len(one.train) for one in after.folds()}
    lost = [(n - left.get(number, 0)) / n for number, n in enumerate(before) if n]
    return Purged(split=after, counts=counts, share=float(np.mean(lost)) if lost else 0.0)


def _joined(purged: Sequence[Purged]) -> Purged:
    """Return one purge of repeated folds; what is purged for the test set is the same in each."""
    return Purged(
        split=join_repeats([one.split for one in purged]),
        counts={**purged[0].counts, "folds": [fold for one in purged for fold in one.counts["folds"]]},
        share=float(np.mean([one.share for one in purged])),
    )


def _from_folds(
    split: Split, first: IntArray, second: IntArray, sets: npt.NDArray[np.str_], fold: IntArray
) -> tuple[npt.NDArray[np.bool_] | None, list[dict[str, int]]]:
    """Return who is not trained on in which fold (None: nobody), and the counts of each fold."""
    n, n_folds = len(sets), split.n_folds
    apart = np.zeros((n, n_folds), dtype=bool) if split.purged_from is None else split.purged_from.copy()
    already = apart.copy()
    inside = (sets == "train") & (fold >= 0)
    # folds need not all be there any more; the width stays, as fold numbers do
    crossing = inside[first] & inside[second] & (fold[first] != fold[second])
    a, b = first[crossing], second[crossing]
    apart[a, fold[b]] = True
    apart[b, fold[a]] = True
    across = np.bincount(fold[a], minlength=n_folds) + np.bincount(fold[b], minlength=n_folds)
    purged = (apart & ~already).sum(axis=0)
    counts = [{"pairs": int(across[number]), "purged": int(purged[number])} for number in range(n_folds)]
    return (apart if apart.any() else None), counts


def _touching(
    first: IntArray, second: IntArray, removable: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], int]:
    """Return who of the `removable` is paired with one of the `judged`, and how many pairs that are."""
    forward, backward = removable[first] & judged[second], removable[second] & judged[first]
    touched = np.zeros(len(removable), dtype=bool)
    touched[first[forward]] = True
    touched[second[backward]] = True
    return touched, int(forward.sum() + backward.sum())
