"""LD blocks: variants that stand for each other, so that a locus is counted once."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from automl_pheno.curation.variants import map_order
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray
from automl_pheno.explain.importance import genome_order
from automl_pheno.explain.methods.groups import CLUSTERED, linkage_tree, standardised
from automl_pheno.explain.registry import ExplainError

R2 = 0.2
"""r^2 from which one variant stands for another, as is customary when associated variants are clumped."""
MOST = 50
"""Variants of a block along a map."""

_ROWS = 256
Link = tuple[float, int, int, int]
"""Minus the linkage of two neighbours ``[a, c)`` and ``[c, d)``, then a, c, d."""


def ld_blocks(inputs: Inputs, *, r2: float = R2, most: int = MOST) -> IntArray:
    """Return the LD block of each variant, labels from 0 in genome order (else in file order), int64, shape (width,).

    Along a map, blocks are runs of neighbours on one chromosome (adjacency-constrained clustering on a band of r^2, as
    in Dehman, Ambroise & Neuvial 2015): of two neighbouring blocks the smaller joins the other, the most alike first,
    while its variants have there, on average, a partner with r^2 >= `r2`. The partner, not the mean over all pairs,
    decides, as the index variant does in clumping (PLINK): a rare variant has a low r^2 with common ones whatever
    haplotypes they share. Last, two blocks that would join but for a block between them, no larger than the larger
    one, take it in.
    Without a map, average linkage on r^2 in any order, up to 3,000 variants; beyond that the order of the file stands
    for a map. r^2 is the squared correlation of dosages, a missing call being the mean; a variant that does not vary
    belongs to the one before it.

    Parameters
    ----------
    inputs
        Genotypes, over all of which r^2 is taken.
    r2
        Threshold, in (0, 1].
    most
        Variants a block may have along a map; the cost is that of width x `most` correlations.

    Raises
    ------
    ExplainError
        Sequences.
    """
    if inputs.kind != "genotype":
        msg = "LD blocks are of genotypes; these samples are sequences"
        raise ExplainError(msg)
    columns = standardised(inputs.values)
    if not has_map(inputs) and inputs.width <= CLUSTERED:
        return _numbered(_around_constant(columns, lambda part: _in_any_order(part, r2)))
    labels = np.empty(inputs.width, dtype=np.int64)
    start = 0
    for members in _chromosomes(inputs):
        found = _around_constant(columns[:, members], lambda part: _along(_band(part, most), r2, most))
        labels[members] = start + found
        start += int(found.max()) + 1
    return labels


def has_map(inputs: Inputs) -> bool:
    """Say whether every variant has a position."""
    table = inputs.variants
    return table is not None and bool((table["position"].to_numpy() >= 0).all())


def blocks_rule(inputs: Inputs, *, r2: float = R2, most: int = MOST) -> str:
    """Return in words how `ld_blocks` makes the blocks of these inputs."""
    if has_map(inputs):
        return f"neighbours on the map whose variants have partners with r^2 >= {r2:g}, at most {most} variants"
    if inputs.width <= CLUSTERED:
        return f"average linkage of variants in any order, mean r^2 >= {r2:g} (no map)"
    return f"neighbours in the file (no map) whose variants have partners with r^2 >= {r2:g}, at most {most} variants"


def neighbour_r2(inputs: Inputs) -> float:
    """Return the mean r^2 of successive variants on the map (or in the file), of those that vary; nan for none."""
    found = []
    for members in _chromosomes(inputs):
        columns = standardised(inputs.values[:, members])
        columns = columns[:, (columns != 0).any(axis=0)]
        found.append((columns[:, :-1] * columns[:, 1:]).sum(axis=0).astype(np.float64) ** 2)
    joined = np.concatenate(found) if found else np.zeros(0)
    return float(joined.mean()) if len(joined) else float("nan")


def _chromosomes(inputs: Inputs) -> list[IntArray]:
    """Return the columns of each chromosome (1, 2, ..., 10, then names by the alphabet) in map order."""
    order = map_order(inputs.variants, np.arange(inputs.width, dtype=np.int64))
    if inputs.variants is None:
        return [order]
    ranks = genome_order(inputs.variants["chromosome"])[order]
    return [order[ranks == rank] for rank in np.unique(ranks)]


def _around_constant(columns: FloatArray, cluster: Callable[[FloatArray], IntArray]) -> IntArray:
    """Cluster the columns that vary; each other one gets the label of the one before it."""
    varies = (columns != 0).any(axis=0)
    if not varies.any():
        return np.zeros(columns.shape[1], dtype=np.int64)
    inside = cluster(columns[:, varies])
    return np.asarray(inside[np.maximum(np.cumsum(varies) - 1, 0)], dtype=np.int64)


def _numbered(labels: IntArray) -> IntArray:
    """Return the labels from 0 in order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.reshape(-1)].astype(np.int64)


def _in_any_order(columns: FloatArray, r2: float) -> IntArray:
    from scipy.cluster.hierarchy import fcluster

    if columns.shape[1] == 1:
        return np.zeros(1, dtype=np.int64)
    return np.asarray(fcluster(linkage_tree(columns), 1.0 - r2, criterion="distance") - 1, dtype=np.int64)


def _band(columns: FloatArray, most: int) -> FloatArray:
    """Return r^2 of each column with the `most` next ones, shape (p, most), 0 beyond the last."""
    p = columns.shape[1]
    band = np.zeros((p, most), dtype=np.float32)
    for start in range(0, p, _ROWS):
        stop = min(start + _ROWS, p)
        rival = np.zeros((stop - start, stop - start + most), dtype=np.float32)
        ahead = columns[:, start : min(stop + most, p)]
        rival[:, : ahead.shape[1]] = np.square(columns[:, start:stop].T @ ahead)
        rows = np.arange(stop - start)[:, None]
        band[start:stop] = rival[rows, rows + 1 + np.arange(most)[None, :]]
    return band


def _linkage(band: FloatArray, left: tuple[int, int], right: tuple[int, int]) -> float:
    """Return the mean, over the variants of the smaller block, of their largest r^2 with one of the other."""
    rows = np.arange(*left)[:, None]
    pairs = band[rows, np.arange(*right)[None, :] - rows - 1]
    sizes = pairs.shape
    by_side = float(pairs.max(axis=1).mean()), float(pairs.max(axis=0).mean())
    if sizes[0] == sizes[1]:
        return max(by_side)
    return by_side[0] if sizes[0] < sizes[1] else by_side[1]


def _along(band: FloatArray, r2: float, most: int) -> IntArray:
    """Join neighbours, the most alike first, and return labels in order, shape (p,)."""
    p = len(band)
    stop = np.arange(1, p + 1)  # of the block that starts at an index, 0 where none does
    start = np.arange(-1, p)  # of the block that stops at an index
    heap: list[Link] = [(-float(band[i, 0]), i, i + 1, i + 2) for i in range(p - 1) if band[i, 0] >= r2]
    heapq.heapify(heap)

    def offer(a: int, c: int, d: int) -> None:
        if d - a <= most:
            alike = _linkage(band, (a, c), (c, d))
            if alike >= r2:
                heapq.heappush(heap, (-alike, a, c, d))

    while heap:
        _, a, c, d = heapq.heappop(heap)
        if stop[a] != c or stop[c] != d:  # one of the two has grown since
            continue
        stop[a], stop[c], start[d] = d, 0, a
        if a > 0:
            offer(int(start[a]), a, d)
        if d < p:
            offer(a, d, int(stop[d]))
    starts = [int(one) for one in np.flatnonzero(stop)]
    first = np.zeros(p, dtype=np.int64)
    first[_without_islands(band, starts, r2, most)[1:]] = 1
    return np.cumsum(first).astype(np.int64)


def _without_islands(band: FloatArray, starts: list[int], r2: float, most: int) -> list[int]:
    """Return the starts that are left when two blocks take in a smaller one between them, until none does."""
    before = -1
    while before != len(starts):
        before = len(starts)
        kept = [*starts, len(band)]
        at = 0
        while at + 3 < len(kept):
            a, b, c, d = kept[at : at + 4]
            small = c - b <= max(b - a, d - c)
            if small and d - a <= most and _linkage(band, (a, b), (c, d)) >= r2:
                del kept[at + 1 : at + 3]
            else:
                at += 1
        starts = kept[:-1]
    return starts


def loci_sentence(facts: Mapping[str, Any]) -> str:
    """Return in words how many LD blocks are loci used by the model.

    Parameters
    ----------
    facts
        Of the part ``loci``: ``blocks``, and ``used, fdr, refits`` of a threshold, or ``no_threshold``, why there is
        none.
    """
    if facts.get("used") is None:
        return f"No threshold tells loci used by the model from chance: {facts.get('no_threshold') or 'there is none'}."
    share = f"{float(facts['fdr']):.0%}".replace("%", " %")
    used, blocks = int(facts["used"]), int(facts["blocks"])
    if not used:
        return (
            f"No locus passes the threshold: at an expected share of {share} false ones, none of the {blocks:,} LD "
            "blocks is used more by the model than decoys are. Their ranks are a hint at best."
        )
    noun = "blocks is a locus" if used == 1 else "blocks are loci"
    return (
        f"{used:,} of {blocks:,} LD {noun} used by the model at an expected share of {share} false ones, by "
        f"comparison with decoys in {facts['refits']} refits."
    )
