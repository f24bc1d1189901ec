"""A split: which sample is trained on, chosen by, and tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import IntArray, StrArray

BoolArray = npt.NDArray[np.bool_]

SETS = ("train", "validation", "test", "purged")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """Row positions of one fold.

    Attributes
    ----------
    number
        0-based; repeats are numbered on, so with 5 folds the second repeat begins with 5.
    train, validation
        Positions in the dataset, int64.
    """

    number: int
    train: IntArray
    validation: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """One way to assign the development samples to K folds; ``fold`` and ``purged_from`` as in `Split`."""

    fold: IntArray
    purged_from: BoolArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One row a sample, in the order of the dataset it was made for (``split.csv``).

    Attributes
    ----------
    ids
        Sample ids, str, shape (n,).
    group
        Integer group label, int64, shape (n,); a group never lies in two sets or two folds.
    set
        One of ``train, validation, test, purged``, shape (n,). With K folds all development samples are ``train``.
    fold
        With K folds: 0 to K-1, the fold in which the sample is validated on. -1 elsewhere. int64, shape (n,).
    purged_from
        With K folds: True at (sample, fold) where the sample, of another fold, is not trained on when this fold is
        validated on, because it is too much like one of its samples. bool, shape (n, K); None where there is none.
    again
        With repeated K folds: the further assignments of the same samples to K folds, in which each is validated on
        once more.
    """

    ids: StrArray
    group: IntArray
    set: StrArray
    fold: IntArray
    purged_from: BoolArray | None = None
    again: tuple[Assignment, ...] = ()

    def take(self, rows: npt.NDArray[Any]) -> Split:
        """Return the split of the samples at `rows` (integer positions or a boolean mask), in their order."""
        return Split(
            ids=self.ids[rows],
            group=self.group[rows],
            set=self.set[rows],
            fold=self.fold[rows],
            purged_from=None if self.purged_from is None else self.purged_from[rows],
            again=tuple(
                Assignment(fold=one.fold[rows], purged_from=None if one.purged_from is None else one.purged_from[rows])
                for one in self.again
            ),
        )

    @property
    def n_folds(self) -> int:
        """Number of folds, of all repeats together; 1 for train/validation/test."""
        return sum(max(int(fold.max(initial=-1)) + 1, 1) for fold in (self.fold, *(one.fold for one in self.again)))

    def repeats(self) -> tuple[Split, ...]:
        """Return one split for each assignment to folds; the split itself where there is one."""
        if not self.again:
            return (self,)
        first = replace(self, again=())
        return first, *(replace(first, fold=one.fold, purged_from=one.purged_from) for one in self.again)

    @property
    def is_cross_validation(self) -> bool:
        """True with K folds, False with one validation set."""
        return bool((self.fold >= 0).any())

    def folds(self) -> Iterator[Fold]:
        """Yield each fold of each repeat; one for train/validation/test. The test set is in none."""
        if self.again:
            start = 0
            for one in self.repeats():
                yield from (replace(fold, number=start + fold.number) for fold in one.folds())
                start += one.n_folds
            return
        if not self.is_cross_validation:
            yield Fold(number=0, train=self._rows(self.set == "train"), validation=self._rows(self.set == "validation"))
            return
        development = self.set == "train"
        for number in range(self.n_folds):
            inside = self.fold == number
            apart = np.zeros(len(inside), dtype=bool) if self.purged_from is None else self.purged_from[:, number]
            yield Fold(
                number=number,
                train=self._rows(development & ~inside & ~apart),
                validation=self._rows(development & inside),
            )

    @property
    def development(self) -> IntArray:
        """Positions of the training and validation samples: what the winner is refitted on."""
        return self._rows((self.set == "train") | (self.set == "validation"))

    @property
    def test(self) -> IntArray:
        """Positions of the sealed test set; only ``study/final.py`` may use it."""
        return self._rows(self.set == "test")

    @staticmethod
    def _rows(mask: npt.NDArray[np.bool_]) -> IntArray:
        return np.flatnonzero(mask).astype(np.int64)


def join_repeats(splits: Sequence[Split]) -> Split:
    """Return one split of repeated folds from splits of the same samples and sets; what `Split.repeats` undoes."""
    first, *others = splits
    return replace(first, again=tuple(Assignment(fold=one.fold, purged_from=one.purged_from) for one in others))
