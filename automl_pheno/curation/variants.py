"""Which variants are kept, learnt from training dosages: call rate, MAF, variation, duplicates, linkage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.curation.config import CurationConfig
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray

BoolArray = npt.NDArray[np.bool_]

_BLOCK_CELLS = 8_000_000
_LD_BLOCK = 512
_ROUNDING = 1e-6
"""Of an r2 in single precision: a pair this close below the threshold counts as above it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariantFacts:
    """What training says of each variant, shape (n_variants,).

    Attributes
    ----------
    call_rate
        Share of samples with a call.
    mean
        Dosage, 0 where there is no call.
    varies
        Whether there are two calls that differ.
    """

    call_rate: FloatArray
    mean: FloatArray
    varies: BoolArray

    @property
    def maf(self) -> FloatArray:
        """Frequency of the minor allele; 0 where there is no call."""
        return np.asarray(np.minimum(self.mean / 2.0, 1.0 - self.mean / 2.0))


def variant_facts(values: FloatArray) -> VariantFacts:
    """Return the facts of training dosages, shape (n, n_variants), NaN where missing; read in blocks of variants."""
    n, width = values.shape
    call_rate, mean, varies = np.zeros(width), np.zeros(width), np.zeros(width, dtype=bool)
    for part in _blocks(width, n):
        block = values[:, part]
        called = ~np.isnan(block)
        count = called.sum(axis=0)
        call_rate[part] = count / max(n, 1)
        mean[part] = np.where(called, block, 0.0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
        largest = np.where(called, block, -np.inf).max(axis=0, initial=-np.inf)
        varies[part] = largest > np.where(called, block, np.inf).min(axis=0, initial=np.inf)
    return VariantFacts(call_rate=call_rate, mean=mean, varies=varies)


def choose_variants(config: CurationConfig, inputs: Inputs) -> tuple[IntArray, dict[str, int]]:
    """Return the columns kept, in order, and how many each rule dropped, by its name.

    Parameters
    ----------
    config
        The rules; one that is off is not counted.
    inputs
        Genotypes of the training samples.
    """
    facts = variant_facts(inputs.values)
    kept = np.arange(inputs.width, dtype=np.int64)
    dropped: dict[str, int] = {}

    def keep(rule: str, stays: BoolArray) -> None:
        nonlocal kept
        dropped[rule] = int((~stays).sum())
        kept = kept[stays]

    if config.min_call_rate > 0:
        keep("min_call_rate", facts.call_rate[kept] >= config.min_call_rate)
    if config.min_maf > 0:
        keep("min_maf", facts.maf[kept] >= config.min_maf)
    if config.drop_monomorphic:
        keep("drop_monomorphic", facts.varies[kept])
    if config.drop_duplicate_variants:
        keep("drop_duplicate_variants", first_of_each(inputs.values, kept))
    if config.ld_prune is not None:
        order = map_order(inputs.variants, kept)
        stays = np.empty(len(kept), dtype=bool)
        stays[order] = prune_linked(
            inputs.values,
            kept[order],
            r2=config.ld_prune,
            window=config.ld_window,
            maf=facts.maf[kept[order]],
            chromosome=_chromosomes(inputs.variants, kept[order]),
        )
        keep("ld_prune", stays)
    return kept, dropped


def first_of_each(values: FloatArray, columns: IntArray) -> BoolArray:
    """Return True for each of `columns` unless an earlier one has the same dosages, or 2 minus them, in every sample.

    A missing call equals only a missing call.
    """
    seen: set[bytes] = set()
    first = np.zeros(len(columns), dtype=bool)
    for part in _blocks(len(columns), len(values)):
        block = np.ascontiguousarray(values[:, columns[part]].T, dtype=np.float32)
        missing = np.isnan(block)
        swapped = np.where(missing, -9.0, 2.0 - block).astype(np.float32)
        block = np.where(missing, np.float32(-9.0), block + np.float32(0.0))  # no negative zeros
        differ = block != swapped
        at = np.argmax(differ, axis=1)
        rows = np.arange(len(block))
        turn = block[rows, at] > swapped[rows, at]  # of the two forms, the one that is smaller where they first differ
        block[turn] = swapped[turn]
        for number, row in enumerate(block, start=part.start):
            digest = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            first[number] = digest not in seen
            seen.add(digest)
    return first


def map_order(variants: pd.DataFrame | None, columns: IntArray) -> IntArray:
    """Return the order of `columns` on the map: by chromosome and position; as they are where any has no position."""
    if variants is None or len(columns) == 0:
        return np.arange(len(columns), dtype=np.int64)
    position = variants["position"].to_numpy()[columns]
    chromosome = _chromosomes(variants, columns)
    if (position < 0).any():
        return np.argsort(chromosome, kind="stable").astype(np.int64)
    return np.lexsort((position, chromosome)).astype(np.int64)


def _chromosomes(variants: pd.DataFrame | None, columns: IntArray) -> IntArray:
    if variants is None:
        return np.zeros(len(columns), dtype=np.int64)
    names = variants["chromosome"].astype(str).to_numpy()[columns]
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)


def prune_linked(
    values: FloatArray, columns: IntArray, *, r2: float, window: int, maf: FloatArray, chromosome: IntArray
) -> BoolArray:
    """Return which of `columns` stay, so that no two within a window have a larger r2.

    Greedy: from the variant with the commonest minor allele down (ties: the first on the map), each that is still there
    stays, and its linked neighbours go. r2 is the squared Pearson correlation of dosages over all training samples, a
    missing call being the mean, as in PLINK's ``--indep-pairwise``. All correlations of a block are one matrix
    product in single precision.

    Parameters
    ----------
    values
        Training dosages, shape (n, n_variants).
    columns
        Of `values`, in map order, shape (p,).
    r2
        Threshold.
    window
        A variant is compared with so many that follow it.
    maf, chromosome
        Of `columns`, shape (p,); variants of two chromosomes are never compared.
    """
    p = len(columns)
    starts, partners = _linked_pairs(values, columns, r2=r2, window=window, chromosome=chromosome)
    stays, open_ = np.zeros(p, dtype=bool), np.ones(p, dtype=bool)
    for number in np.argsort(-maf, kind="stable"):
        if open_[number]:
            stays[number] = True
            open_[partners[starts[number] : starts[number + 1]]] = False
    return stays


def _linked_pairs(
    values: FloatArray, columns: IntArray, *, r2: float, window: int, chromosome: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the linked partners of each variant, both ways, as a compressed list: starts (p + 1,) and partners."""
    p, n = len(columns), len(values)
    step = max(1, min(_LD_BLOCK, _BLOCK_CELLS * 4 // max(n, 1)))
    left, right = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start in range(0, p, step):
        stop = min(start + step, p)
        block = _standardised(values, columns[start:stop])
        for other in range(start, min(stop + window, p), step):
            other_stop = min(other + step, stop + window, p)
            rival = block if other == start else _standardised(values, columns[other:other_stop])
            linked = np.square(block.T @ rival) > r2 - _ROUNDING
            i, j = np.nonzero(linked)
            i, j = i + start, j + other
            near = (j > i) & (j - i <= window) & (chromosome[i] == chromosome[j])
            left.append(i[near])
            right.append(j[near])
    a, b = np.concatenate(left), np.concatenate(right)
    both, partners = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.argsort(both, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(both, minlength=p))])
    return starts.astype(np.int64), partners[order].astype(np.int64)


def _standardised(values: FloatArray, columns: IntArray) -> FloatArray:
    """Return the columns with mean 0 and length 1, missing calls at the mean; all 0 where nothing varies. float32."""
    block = values[:, columns].astype(np.float32)
    missing = np.isnan(block)
    count = np.maximum((~missing).sum(axis=0), 1)
    block[missing] = 0.0
    mean = (block.sum(axis=0, dtype=np.float64) / count).astype(np.float32)
    block -= mean
    block[missing] = 0.0
    length = np.sqrt(np.einsum("ij,ij->j", block, block, dtype=np.float64))
    block *= np.where(length > 1e-6, 1.0 / np.maximum(length, 1e-6), 0.0).astype(np.float32)
    return block


def _blocks(width: int, n: int) -> list[slice]:
    step = max(1, _BLOCK_CELLS // max(n, 1))
    return [slice(start, min(start + step, width)) for start in range(0, width, step)]
