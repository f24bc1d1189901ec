"""From contributions of samples to one importance for each position or variant; recovery of a planted truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.encode import BASES, one_hot
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.registry import ExplainError


def importance(attribution: Attribution) -> pd.DataFrame:
    """Return one row for each position or variant, phenotype units.

    ``sequence``: ``position`` (1-based), ``mean_abs``, ``mean_signed`` over samples, and ``A, C, G, T``: the mean
    signed contribution over the samples with that base there (NaN where none has it).
    ``genotype``: ``id, chromosome, position, mean_abs, mean_signed`` and ``dosage_slope``, the regression
    coefficient of the contribution on the dosage (NaN where all are alike), in genome order where a map is known.
    """
    contributions = attribution.contributions
    table: pd.DataFrame = pd.DataFrame(
        {"mean_abs": np.abs(contributions).mean(axis=0), "mean_signed": contributions.mean(axis=0)},
    )
    if attribution.kind == "sequence":
        table.insert(0, "position", np.arange(1, attribution.inputs.width + 1))
        share = one_hot(attribution.inputs.values).astype(np.float64)
        total = (share * contributions[:, :, None]).sum(axis=0)
        weight = share.sum(axis=0)
        means = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
        for channel, base in enumerate(BASES):
            table[base] = means[:, channel]
        return table
    variants = attribution.inputs.variants
    if variants is None:
        ids: Any = attribution.feature_names()
        chromosome, position = np.full(len(ids), ""), np.full(len(ids), -1)
    else:
        ids = variants["id"].to_numpy()
        chromosome, position = variants["chromosome"].to_numpy(), variants["position"].to_numpy()
    table.insert(0, "id", ids)
    table.insert(1, "chromosome", chromosome)
    table.insert(2, "position", position)
    table["dosage_slope"] = _slopes(attribution.inputs.values.astype(np.float64), contributions)
    if (table["position"] < 0).all():
        return table
    order = np.lexsort((table["position"].to_numpy(), genome_order(table["chromosome"])))
    ordered: pd.DataFrame = table.iloc[order].reset_index(drop=True)
    return ordered


def genome_order(chromosomes: pd.Series) -> IntArray:
    """Return the rank of each chromosome: 1, 2, ..., 10, then names by the alphabet."""
    names = chromosomes.astype(str)

    def key(name: str) -> tuple[int, int, str]:
        number = name.lower().removeprefix("chromosome").removeprefix("chr").lstrip("_")
        return (0, int(number), name) if number.isdigit() else (1, 0, name)

    ranks = {name: rank for rank, name in enumerate(sorted(names.unique(), key=key))}
    return np.asarray(names.map(ranks).to_numpy(dtype=np.int64))


def _slopes(dosage: FloatArray, contributions: FloatArray) -> FloatArray:
    called = np.isfinite(dosage)
    count = np.maximum(called.sum(axis=0), 1)
    centred = np.where(called, dosage - np.where(called, dosage, 0.0).sum(axis=0) / count, 0.0)
    variance = (centred**2).sum(axis=0)
    slope = (centred * contributions).sum(axis=0) / np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, slope, np.nan)


def recovery(attribution: Attribution, planted: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return how well large contributions find the planted truth: ``auroc``, ``aupr`` and ``base_rate``.

    Parameters
    ----------
    planted
        True where a position or variant truly matters. Shape (n, width), one row for each explained sample
        (take ``attribution.rows`` of a mask of all), compared by ``|contribution|``; or shape (width,), compared
        by the mean of it over samples.

    Raises
    ------
    ExplainError
        The shape is neither, or all are planted or none is.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    size = np.abs(attribution.contributions)
    mask = np.asarray(planted, dtype=bool)
    if mask.shape == size.shape[1:]:
        size = size.mean(axis=0)
    elif mask.shape != size.shape:
        msg = f"planted must have shape {size.shape} or {size.shape[1:]}, got {mask.shape}"
        raise ExplainError(msg)
    if mask.all() or not mask.any():
        msg = "planted must be True at some places and False at others"
        raise ExplainError(msg)
    return {
        "auroc": float(roc_auc_score(mask.ravel(), size.ravel())),
        "aupr": float(average_precision_score(mask.ravel(), size.ravel())),
        "base_rate": float(mask.mean()),
    }
