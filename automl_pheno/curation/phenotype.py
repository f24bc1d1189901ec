"""The trait as normal scores of its ranks, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno.data.dataset import FloatArray

_BLOM = 3.0 / 8.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankNormal:
    """A strictly increasing, piecewise linear map between phenotype units and normal scores; see `learn_rank_normal`.

    The knots are the distinct training values. Beyond them both directions go on as straight lines with the slope of
    the whole trait, ``sd of y / sd of the scores``: new samples beyond the training range keep their order (clamping
    would make them equal), and one outlier does not set the slope. The phenotype of a mean score is the typical
    (median-like) one, not the mean one, where the trait is skewed.

    Attributes
    ----------
    y, score
        Knots, increasing, float64, shape (k,). With a constant trait there is one, and every score means that value.
    slope
        Phenotype units a score beyond the knots; 0 for a constant trait.
    """

    y: FloatArray
    score: FloatArray
    slope: float

    def scores(self, y: FloatArray) -> FloatArray:
        """Return the normal scores of trait values, float64; NaN stays."""
        inside = np.interp(y, self.y, self.score)
        if self.slope == 0.0:
            return np.where(np.isnan(y), np.nan, inside)
        below, above = np.minimum(y - self.y[0], 0.0), np.maximum(y - self.y[-1], 0.0)
        return np.asarray(inside + (below + above) / self.slope)

    def phenotypes(self, scores: FloatArray) -> FloatArray:
        """Return the trait values of normal scores, phenotype units, float64; NaN stays."""
        inside = np.interp(scores, self.score, self.y)
        below, above = np.minimum(scores - self.score[0], 0.0), np.maximum(scores - self.score[-1], 0.0)
        return np.asarray(inside + (below + above) * self.slope)


def learn_rank_normal(y: FloatArray) -> RankNormal:
    """Return the map learnt from the training trait, finite, shape (n,).

    The score of rank r of n is ``Phi^-1((r - 3/8) / (n + 1/4))`` (Blom 1958); tied values share their mean rank.
    """
    from scipy.special import ndtri

    knots, first, counts = np.unique(np.sort(y), return_index=True, return_counts=True)
    rank = first + (counts + 1) / 2.0
    score = np.asarray(ndtri((rank - _BLOM) / (len(y) + 1.0 - 2.0 * _BLOM)), dtype=np.float64)
    if len(knots) == 1:
        return RankNormal(y=knots.astype(np.float64), score=np.zeros(1), slope=0.0)
    spread = np.sqrt(np.average((score - np.average(score, weights=counts)) ** 2, weights=counts))
    return RankNormal(y=knots.astype(np.float64), score=score, slope=float(y.std() / spread))
