"""Tables of loci used by a model: one row a variant, one row a block."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import genome_order, importance
from automl_pheno.explain.loci.association import Association
from automl_pheno.explain.loci.threshold import Threshold, block_sums


def loci_table(attribution: Attribution, blocks: IntArray, association: Association) -> pd.DataFrame:
    """Return one row a variant, in genome order: how the model uses it, beside its association with the trait.

    ``id, chromosome, position, block`` (from 1), ``mean_abs, mean_signed`` (of contributions, units of the
    attribution), ``dosage_slope`` (contribution for each alternate allele), ``association_beta, association_se,
    association_p, minus_log10_p, maf`` (see `Association`; empty where the variant does not vary).

    Parameters
    ----------
    blocks
        Labels from 0 in the order of the data, shape (width,).
    """
    table = importance(attribution)
    order = _order(attribution)
    table.insert(3, "block", blocks[order] + 1)
    for name, values in (
        ("association_beta", association.beta),
        ("association_se", association.se),
        ("association_p", association.p),
        ("minus_log10_p", association.minus_log10_p),
        ("maf", association.maf),
    ):
        table[name] = values[order]
    return table


def block_table(
    attribution: Attribution, blocks: IntArray, association: Association, threshold: Threshold | None
) -> pd.DataFrame:
    """Return one row a block, in the order of its label.

    ``block`` (from 1), ``chromosome, start, end`` (positions, -1 without a map), ``n_variants``, ``lead`` (its
    variant of the highest mean |contribution|), ``mean_abs`` (mean over samples of |sum of signed contributions in
    the block|), ``mean_signed``, ``association_lead, association_p`` (its variant of the smallest p), ``decoy_q`` and
    ``used`` (whether it passes the threshold; both empty without one).
    """
    n_blocks = int(blocks.max()) + 1
    sums = block_sums(attribution.contributions, blocks)
    names = np.array(attribution.feature_names(), dtype=object)
    variants = attribution.inputs.variants
    chromosome = np.full(len(blocks), "", dtype=object)
    position = np.full(len(blocks), -1, dtype=np.int64)
    if variants is not None:
        chromosome, position = variants["chromosome"].to_numpy(dtype=object), variants["position"].to_numpy()
    lead = _highest(np.abs(attribution.contributions).mean(axis=0), blocks)
    p = np.where(np.isfinite(association.p), association.p, 1.0)
    strongest = _highest(np.where(np.isfinite(association.minus_log10_p), association.minus_log10_p, -1.0), blocks)
    used = pd.array([None] * n_blocks if threshold is None else threshold.used.tolist(), dtype="boolean")
    members = np.split(np.argsort(blocks, kind="stable"), np.cumsum(np.bincount(blocks))[:-1])
    table: pd.DataFrame = pd.DataFrame(
        {
            "block": np.arange(1, n_blocks + 1),
            "chromosome": [chromosome[one[0]] if len(set(chromosome[one])) == 1 else "" for one in members],
            "start": [int(position[one].min()) for one in members],
            "end": [int(position[one].max()) for one in members],
            "n_variants": np.bincount(blocks, minlength=n_blocks),
            "lead": names[lead],
            "mean_abs": np.abs(sums).mean(axis=0),
            "mean_signed": sums.mean(axis=0),
            "association_lead": names[strongest],
            "association_p": p[strongest],
            "decoy_q": np.full(n_blocks, np.nan) if threshold is None else threshold.q,
            "used": used,
        }
    )
    return table


def decoy_table(threshold: Threshold) -> pd.DataFrame:
    """Return ``block`` (from 1), its ``mean_abs`` and ``decoy_mean_abs``, that of its decoy, means of the refits."""
    table: pd.DataFrame = pd.DataFrame(
        {
            "block": np.arange(1, threshold.real.shape[1] + 1),
            "mean_abs": threshold.real.mean(axis=0),
            "decoy_mean_abs": threshold.decoy.mean(axis=0),
        }
    )
    return table


def _order(attribution: Attribution) -> IntArray:
    """Return the columns in the order of the rows of `importance`."""
    variants = attribution.inputs.variants
    width = attribution.inputs.width
    if variants is None or (variants["position"] < 0).all():
        return np.arange(width, dtype=np.int64)
    return np.lexsort((variants["position"].to_numpy(), genome_order(variants["chromosome"]))).astype(np.int64)


def _highest(values: FloatArray, blocks: IntArray) -> IntArray:
    """Return the column with the highest value of each block, the first of equals."""
    order = np.lexsort((-values, blocks))
    return np.asarray(order[np.flatnonzero(np.r_[True, np.diff(blocks[order]) > 0])], dtype=np.int64)
