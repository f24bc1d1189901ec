"""Players of permutation SHAP: single positions or variants, or groups of neighbours when there are too many."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray

CLUSTERED = 3000


def player_groups(background: Inputs, most: int) -> tuple[IntArray, str]:
    """Return the group of each position or variant and a sentence that says how groups were made.

    Up to `most` players stand alone. Positions, and variants with a map, are then grouped with their neighbours
    (never across chromosomes); variants without a map by linkage disequilibrium (average linkage on 1 - r^2 in the
    background) up to 3,000 of them, by file order beyond.

    Returns
    -------
    groups
        Labels from 0, int64, shape (width,).
    how
        For the manifest.
    """
    width = background.width
    if width <= most:
        return np.arange(width, dtype=np.int64), "each position or variant is a player"
    size = -(-width // most)
    if background.kind == "sequence":
        return np.arange(width, dtype=np.int64) // size, f"windows of {size} bp are players"
    table = background.variants
    if table is not None and (table["position"].to_numpy() >= 0).all():
        return _windows_of_variants(background, size), f"windows of {size} neighbouring variants are players"
    if width <= CLUSTERED:
        return _clusters(background, most), f"at most {most} clusters of variants by r^2 are players"
    return np.arange(width, dtype=np.int64) // size, f"runs of {size} variants in file order are players (no map)"


def _windows_of_variants(background: Inputs, size: int) -> IntArray:
    table = background.variants
    if table is None:
        return np.arange(background.width, dtype=np.int64) // size
    chromosome = np.unique(table["chromosome"].to_numpy().astype(str), return_inverse=True)[1]
    order = np.lexsort((table["position"].to_numpy(), chromosome))
    groups = np.empty(background.width, dtype=np.int64)
    start = 0
    for number in range(int(chromosome.max()) + 1):
        members = order[chromosome[order] == number]
        groups[members] = start + np.arange(len(members)) // size
        start += -(-len(members) // size)
    return groups


def _clusters(background: Inputs, most: int) -> IntArray:
    from scipy.cluster.hierarchy import fcluster

    tree = linkage_tree(standardised(background.values))
    return np.asarray(fcluster(tree, most, criterion="maxclust") - 1, dtype=np.int64)


def linkage_tree(columns: FloatArray) -> FloatArray:
    """Return SciPy's tree of average linkage on 1 - r^2 of `standardised` columns, at least two."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = np.clip(1.0 - (columns.T @ columns).astype(np.float64) ** 2, 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    return np.asarray(linkage(squareform(distance, checks=False), method="average"))


def standardised(values: npt.NDArray[Any]) -> FloatArray:
    """Return dosages with mean 0 and length 1 a column, float32; missing calls are 0, and columns without variation."""
    columns = np.array(values, dtype=np.float32)
    missing = np.isnan(columns)
    columns[missing] = 0.0
    mean = columns.sum(axis=0, dtype=np.float64) / np.maximum((~missing).sum(axis=0), 1)
    columns -= mean.astype(np.float32)
    columns[missing] = 0.0
    length = np.sqrt(np.einsum("ij,ij->j", columns, columns, dtype=np.float64))
    columns *= np.where(length > 1e-5, 1.0 / np.maximum(length, 1e-5), 0.0).astype(np.float32)
    return columns
