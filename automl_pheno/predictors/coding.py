"""Genotypes as a network reads them: one, two or three channels a variant, scaled by what training has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray
from automl_pheno.space.config import Coding

_BLOCK_CELLS = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenotypeCoder:
    """How dosages become channels, learnt from training rows by `learn`.

    ``additive``: the dosage. ``dominance``: the dosage, and how heterozygous it is, ``1 - |dosage - 1|``.
    ``one_hot``: how much of genotype 0, 1 and 2 it is, ``max(0, 1 - |dosage - k|)``, which for whole dosages is 1 once
    and else 0. Each channel less its training mean, over a training sd; so a missing call, which is the expectation in
    training, is 0.

    Attributes
    ----------
    coding
        ``additive``, ``dominance`` or ``one_hot``.
    mean, sd
        Of the training calls, float32, shape (n_variants,) for ``additive``, else (n_variants, channels). The sd is
        infinite for a channel that does not vary in training: it says nothing and is set to 0. The channels of
        ``one_hot`` have a common scale a variant, the root of their summed variances: a genotype seen once among common
        ones would outweigh all else by its own sd.
    """

    coding: Coding
    mean: FloatArray
    sd: FloatArray

    @classmethod
    def learn(cls, dosages: npt.NDArray[Any], coding: Coding) -> GenotypeCoder:
        """Return the coder learnt from training dosages, shape (n, n_variants), NaN where missing."""
        if coding == "additive":
            mean, variance = _moments(dosages)
            scale = variance
        else:
            width = dosages.shape[1]
            count = len(_channels(dosages[:1, :1], coding))
            mean, variance = np.zeros((width, count)), np.zeros((width, count))
            step = max(1, _BLOCK_CELLS // max(len(dosages), 1))
            for start in range(0, width, step):
                for channel, values in enumerate(_channels(dosages[:, start : start + step], coding)):
                    mean[start : start + step, channel], variance[start : start + step, channel] = _moments(values)
            scale = variance.sum(axis=1, keepdims=True) if coding == "one_hot" else variance
        sd = np.where(variance > 0, np.sqrt(scale), np.inf)
        return cls(coding=coding, mean=mean.astype(np.float32), sd=sd.astype(np.float32))

    def rows(self, dosages: npt.NDArray[Any]) -> FloatArray:
        """Return coded genotypes, float32, shape (n, n_variants x channels), the channels of a variant side by side."""
        if self.coding == "additive":
            return np.nan_to_num((dosages - self.mean) / self.sd, nan=0.0).astype(np.float32)
        n, width = dosages.shape
        count = self.mean.shape[1]
        coded = np.empty((n, width, count), dtype=np.float32)
        step = max(1, _BLOCK_CELLS // max(width, 1))
        for start in range(0, n, step):
            for channel, values in enumerate(_channels(dosages[start : start + step], self.coding)):
                scaled = (values - self.mean[:, channel]) / self.sd[:, channel]
                coded[start : start + step, :, channel] = np.nan_to_num(scaled, nan=0.0)
        return coded.reshape(n, width * count)


def _moments(values: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return mean and variance of the calls of each column, float64."""
    missing = np.isnan(values)
    counts = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0.0, values).sum(axis=0, dtype=np.float64) / counts
    variance = (np.where(missing, 0.0, values - mean) ** 2).sum(axis=0, dtype=np.float64) / counts
    return mean, variance


def _channels(dosages: npt.NDArray[Any], coding: Coding) -> list[npt.NDArray[Any]]:
    """Return the values of each channel before scaling, each of the shape of `dosages`; NaN stays."""
    if coding == "dominance":
        return [dosages, 1.0 - np.abs(dosages - 1.0)]
    return [np.maximum(1.0 - np.abs(dosages - genotype), 0.0) for genotype in range(3)]
