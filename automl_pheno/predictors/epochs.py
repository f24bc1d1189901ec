"""The epoch of a training, chosen for some held-out rows by the others.

Early stopping keeps the weights of the epoch that is best on the validation rows. The score of these rows at that epoch
is the largest of many and flatters, most of all a network whose score jumps from epoch to epoch: a search that is given
such scores finds networks that jump. So each block of rows is scored at the epoch that the rows outside it choose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.predictors.inner_folds import inner_folds

BLOCKS = 5


@dataclass(slots=True, kw_only=True)
class CrossedEpochs:
    """Output of held-out rows, of each block at the epoch that is best for the others.

    Attributes
    ----------
    blocks
        Rows of whole groups; one block of all rows, which its own score chooses for, where there is one group.
    best
        Score by which the epoch of each block was chosen, higher is better; -inf before the first epoch. (blocks,)
    output
        Of each row at that epoch, NaN before the first, float64, shape (n,).
    """

    blocks: list[IntArray]
    best: FloatArray
    output: FloatArray

    @classmethod
    def of(cls, groups: IntArray) -> Self:
        """Return the blocks of n rows, before the first epoch."""
        several = len(np.unique(groups)) > 1
        blocks = inner_folds(groups, BLOCKS, np.random.default_rng(0)) if several else [np.arange(len(groups))]
        return cls(blocks=blocks, best=np.full(len(blocks), -np.inf), output=np.full(len(groups), np.nan))

    def add(self, output: FloatArray, score: Callable[[npt.NDArray[np.bool_]], float]) -> None:
        """Take an epoch into account.

        Parameters
        ----------
        output
            Of all rows, shape (n,).
        score
            ``(mask of rows) -> score``, higher is better.
        """
        for number, block in enumerate(self.blocks):
            others = np.ones(len(output), dtype=bool)
            if len(self.blocks) > 1:
                others[block] = False
            value = score(others)
            if value > self.best[number] or np.isnan(self.output[block]).any():
                self.best[number], self.output[block] = value, output[block]

    def after(self, best: FloatArray, output: FloatArray) -> None:
        """Take up what `best` and `output` were after the epochs before those added here."""
        for number, block in enumerate(self.blocks):
            if not self.best[number] > best[number]:
                self.best[number], self.output[block] = best[number], output[block]
