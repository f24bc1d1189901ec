"""Variants that say too much: a column of genotypes that is the trait itself, under another name or scale."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray, IntArray
from automl_pheno.errors import DataError

_SAME = 0.9999
_SCREEN_ROWS = 512
_SCREEN = 0.7  # a monotone copy, such as a logarithm, is at least so much alike
_MOST = 200
_BLOCK_CELLS = 1 << 20
_BY_CHANCE = 1e-3
_EXAMPLES = 3


def correlations(values: FloatArray, rows: IntArray, y: FloatArray) -> FloatArray:
    """Return Pearson's r of each column with y, over the samples with a call; 0 where either does not vary.

    Parameters
    ----------
    values
        Dosages, shape (n, m); NaN is missing.
    rows
        Samples to look at.
    y
        Trait of all samples, shape (n,), finite in `rows`.
    """
    target = y[rows] - y[rows].mean()
    out = np.zeros(values.shape[1])
    step = max(1, _BLOCK_CELLS // max(len(rows), 1))
    for start in range(0, values.shape[1], step):
        part = values[rows, start : start + step].astype(np.float64)
        known = ~np.isnan(part)
        n = np.maximum(known.sum(axis=0), 1)
        x = np.where(known, part - np.where(known, part, 0.0).sum(axis=0) / n, 0.0)
        mean = target @ known / n
        covariance = target @ x
        spread = (x**2).sum(axis=0) * np.maximum(target**2 @ known - n * mean**2, 0.0)
        varies = spread > 1e-18 * max(float(target @ target), 1e-300)
        out[start : start + step] = np.where(varies, covariance / np.sqrt(np.where(varies, spread, 1.0)), 0.0)
    return out


def best_columns(values: FloatArray, rows: IntArray, y: FloatArray, least: float, most: int) -> IntArray:
    """Return the columns most correlated with y on a part of `rows`, best first: at most `most` with |r| > `least`."""
    few = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SCREEN_ROWS)).astype(np.int64))]
    alike = np.abs(correlations(values, few, y))
    best = np.argsort(-alike, kind="stable")[:most]
    return best[alike[best] > least].astype(np.int64)


def check_copies(dataset: Dataset, trait: str) -> tuple[str, ...]:
    """Return notes on variants that are the trait, where they have a place in the genome.

    A variant is the trait if it is called so, or if the correlation of the two, or of their ranks, is 1 to four digits
    and not by chance.

    Parameters
    ----------
    dataset
        Samples; those without a value of `trait` do not count.

    Raises
    ------
    DataError
        Such a variant has no chromosome and position: then it is a column that got among the genotypes. A locus that
        does decide the trait is stated with its place.
    """
    y = dataset.y(trait)
    inputs = dataset.inputs
    if inputs.kind != "genotype" or inputs.variants is None:
        return ()
    variants = inputs.variants
    ids = variants["id"].astype(str)
    placed = ((variants["chromosome"].astype(str) != "") & (variants["position"] > 0)).to_numpy(dtype=bool)
    named = ids[ids.isin([str(name) for name in dataset.traits.columns]) & ((ids == trait) | ~placed)]
    if len(named):
        msg = (
            f"{dataset.name}: variant {named.iloc[0]!r} is called like a trait of these data; take it out of the "
            "genotypes, or rename it"
        )
        raise DataError(msg)
    rows = np.flatnonzero(np.isfinite(y))
    alike = best_columns(inputs.values, rows, y, _SCREEN, _MOST) if len(rows) else rows
    found = [int(column) for column in alike if _is_copy(inputs.values[rows, column], y[rows], inputs.width)]
    if not found:
        return ()
    wrong = [column for column in found if not placed[column]]
    if wrong:
        some = ", ".join(repr(name) for name in ids.iloc[wrong[:_EXAMPLES]])
        msg = (
            f"{dataset.name}: {len(wrong):,} of {inputs.width:,} variants are the trait {trait!r} itself (|r| = 1 with "
            f"it or its ranks): {some}; take them out of the genotypes. A true locus that decides the trait alone is "
            "declared by its chromosome and position (in NAME.variants.csv beside the table, or in a VCF)"
        )
        raise DataError(msg)
    some = ", ".join(repr(name) for name in ids.iloc[found[:_EXAMPLES]])
    return (
        f"{len(found):,} of {inputs.width:,} variants determine {trait} alone (|r| = 1): {some}; if they are no loci "
        "but copies of the trait, take them out",
    )


def _is_copy(column: FloatArray, y: FloatArray, width: int) -> bool:
    known = ~np.isnan(column)
    x, target = column[known].astype(np.float64), y[known]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(target) == 0:
        return False
    _, counts = np.unique(target, return_counts=True)
    # of so many orders of the values one is the trait's: a rare binary trait is met by chance
    orders = math.lgamma(len(target) + 1) - sum(math.lgamma(count + 1) for count in counts.tolist())
    if orders < math.log(width / _BY_CHANCE):
        return False
    pairs = ((x, target), (pd.Series(x).rank().to_numpy(), pd.Series(target).rank().to_numpy()))
    return any(abs(float(np.corrcoef(a, b)[0, 1])) > _SAME for a, b in pairs)
