"""Which blocks a model uses more than it would use decoys: refits on real and decoy variants together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import Examples, FloatArray, IntArray
from automl_pheno.explain.loci.decoys import learn_decoys, with_decoys
from automl_pheno.explain.run import explain
from automl_pheno.explain.scoring import inner_predictor
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.progress import ticking

FDR = 0.1
SAMPLES = 100
"""Explained in each refit."""
TAIL = 0.1
FEWEST_IN_TAIL = 10
TOP = 10
"""Blocks of which the decoy precision is told when none passes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Threshold:
    """Importance of blocks beside that of their decoys.

    Attributes
    ----------
    real, decoy
        Importance in the refits, units of the attribution, shape (n_refits, n_blocks).
    q
        Smallest expected share of false blocks at which a block passes, shape (n_blocks,), 0 to 1.
    fdr
        The share asked for.
    method
        How the refits were explained.
    """

    real: FloatArray
    decoy: FloatArray
    q: FloatArray
    fdr: float
    method: str

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        """Which blocks pass, shape (n_blocks,)."""
        return np.asarray(self.q <= self.fdr)

    @property
    def value(self) -> float | None:
        """Smallest importance that passes; None where none does."""
        return float(self.real.mean(axis=0)[self.used].min()) if self.used.any() else None

    def precision(self) -> tuple[int, float | None]:
        """Return K and ``1 - decoys / real`` among the K most important of all blocks and decoys, mean of the refits.

        K is the number of blocks that pass; where none does, 10 (Reynolds & Pan 2025). None where a top K has no real
        block.
        """
        n_blocks = self.real.shape[1]
        k = int(self.used.sum()) or min(TOP, n_blocks)
        shares = []
        for real, decoy in zip(self.real, self.decoy, strict=True):
            false = int((np.argsort(-np.concatenate([real, decoy]), kind="stable")[:k] >= n_blocks).sum())
            if false == k:
                return k, None
            shares.append(1.0 - false / (k - false))
        return k, float(np.mean(shares))


def block_sums(contributions: FloatArray, blocks: IntArray) -> FloatArray:
    """Return the signed sum of the contributions of each block, shape (n, n_blocks)."""
    sums = np.zeros((int(blocks.max()) + 1, len(contributions)))
    np.add.at(sums, blocks, contributions.T)
    return np.asarray(sums.T)


def block_importance(contributions: FloatArray, blocks: IntArray) -> FloatArray:
    """Return the mean over samples of |sum of signed contributions in the block|, shape (n_blocks,)."""
    return np.asarray(np.abs(block_sums(contributions, blocks)).mean(axis=0))


def decoy_threshold(
    fresh: Callable[[], Predictor],
    training: Examples,
    blocks: IntArray,
    *,
    rng: np.random.Generator,
    refits: int = 3,
    fdr: float = FDR,
    samples: int = SAMPLES,
) -> Threshold:
    """Fit the same configuration to real and decoy variants, and compare what it makes of both.

    Parameters
    ----------
    fresh
        Makes an unfitted predictor; each refit has decoys and a seed of its own, and one member of an ensemble.
    training
        Genotypes and trait.
    blocks
        LD block of each variant, labels from 0.
    refits
        At least 1; each tells more of how important decoys get by chance.
    fdr
        Expected share of false blocks among those that pass.
    samples
        Training samples explained in each refit.

    Raises
    ------
    AutoMLPhenoError
        The predictor cannot be fitted to twice as many variants, or not be explained, or they are too many.
    """
    maker = learn_decoys(training.inputs, blocks)
    n_blocks = int(blocks.max()) + 1
    both = np.concatenate([blocks, blocks + n_blocks])
    real, decoy, method = [], [], ""
    for _ in ticking("training on real and decoy variants", range(refits)):
        wide = replace(training, inputs=with_decoys(training.inputs, maker.draw(rng)))
        predictor = _single(fresh())
        predictor.fit(wide, rng=rng)
        found = explain(predictor, wide.inputs, wide.inputs, rng=rng, max_samples=samples)
        size = block_importance(found.contributions, both)
        real.append(size[:n_blocks])
        decoy.append(size[n_blocks:])
        method = found.method
    together = np.array(real), np.array(decoy)
    return Threshold(
        real=together[0], decoy=together[1], q=decoy_q(together[0].mean(axis=0), together[1]), fdr=fdr, method=method
    )


@runtime_checkable
class _Ensemble(Protocol):
    """A predictor of several members; see `NetworkPredictor`."""

    members: int


def _single(predictor: Predictor) -> Predictor:
    """Return the unfitted predictor with one member: the refits are averaged as it is."""
    inner = inner_predictor(predictor)
    if isinstance(inner, _Ensemble):
        inner.members = 1
    return predictor


def decoy_q(real: FloatArray, decoy: FloatArray) -> FloatArray:
    """Return the q-value of each real importance: the smallest expected share of false ones at which it passes.

    At a threshold t that share is ``blocks x P(decoy >= t) / (real >= t)``, with P pooled over blocks and refits and
    estimated as ``(1 + decoys >= t) / decoys``: knockoff+ (Barber & Candès 2015), with several refits the rule of
    Benjamini & Hochberg on empirical p-values. That cannot show that one strong block is real, since P stays above
    1 / decoys. So above the largest tenth of the decoys an exponential tail counts where it is lower (Knijnenburg et
    al. 2009), its mean excess raised by two standard errors, but no less than the share of decoys seen.

    Parameters
    ----------
    real
        Shape (n_blocks,). An importance of 0 never passes.
    decoy
        Shape (n_refits, n_blocks).
    """
    order = np.argsort(-real, kind="stable")
    ordered = real[order]
    false = len(real) * _share_above(np.sort(decoy, axis=None), ordered)
    passing = len(real) - np.searchsorted(np.sort(real), ordered, side="left")
    share = np.where(ordered > 0, false / passing, 1.0)
    q = np.empty(len(real))
    q[order] = np.minimum(np.minimum.accumulate(share[::-1])[::-1], 1.0)
    return q


def _share_above(decoys: FloatArray, at: FloatArray) -> FloatArray:
    """Return P(decoy >= t) for each t, see `decoy_q`; `decoys` are sorted."""
    n = len(decoys)
    counted = n - np.searchsorted(decoys, at, side="left")
    share = (1 + counted) / n
    start = float(np.quantile(decoys, 1.0 - TAIL))
    excess = decoys[decoys > start] - start
    if len(excess) < FEWEST_IN_TAIL:
        return np.asarray(share)
    mean = float(excess.mean()) * (1.0 + 2.0 / np.sqrt(len(excess)))
    fitted = len(excess) / n * np.exp(-np.maximum(at - start, 0.0) / mean)
    return np.asarray(np.where(at > start, np.minimum(share, np.maximum(counted / n, fitted)), share))
