"""Give whole groups to parts of wanted sizes, so that trait and strata are distributed alike in each.

Objective of an assignment, to be made small: ``sum_s (n_s/N - p_s)^2 + sum_sb (h_sb/n_s - h_b)^2`` with n_s the size
of part s, p_s its wanted share, h_sb its samples in trait bin b and h_b the share of that bin in all samples; strata
(populations, for example) are counted as further bins.
Large groups are placed one after another, largest first, and then moved and swapped; the small ones, of which there
may be a million, fill the gaps that are left in each bin in one vectorised pass. What is then still off is mended by
``polish.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno.data import FloatArray, IntArray
from automl_pheno.splits.polish import polish

N_BINS = 10
_RESTARTS = 8
_FEWER_RESTARTS = 2
_MANY_SAMPLES = 200_000  # from here on with fewer restarts
_MOST_PLACED = 1000  # groups placed one by one; smaller ones fill
_CANDIDATES = 256
_ROUNDS = 100
_PATIENCE = 8
_TIE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Problem:
    """Samples in cells (stratum x trait bin), groups of them, and the wanted share of each part.

    Columns of a histogram are the trait bins and, where there are two strata or more, the strata.
    """

    groups: IntArray  # of each sample, (n,)
    cells: IntArray  # of each sample: stratum * n_bins + bin, (n,)
    n_bins: int
    n_strata: int
    sizes: IntArray  # (g,)
    means: FloatArray  # of the trait, (g,)
    home: IntArray  # the cell of a group as a whole, (g,)
    shares: FloatArray  # (parts,)
    totals: FloatArray  # samples in each cell, (cells,)

    def columns(self, cells: FloatArray) -> FloatArray:
        """Return counts in cells, shape (..., cells), as columns: bins, then strata."""
        table = cells.reshape(*cells.shape[:-1], self.n_strata, self.n_bins)
        bins = table.sum(axis=-2)
        return bins if self.n_strata == 1 else np.concatenate([bins, table.sum(axis=-1)], axis=-1)

    def cost(self, filled: FloatArray) -> FloatArray:
        """Return the objective of columns `filled`, shape (..., parts, columns)."""
        n = self.totals.sum()
        sizes = filled[..., : self.n_bins].sum(axis=-1)
        shape = filled / np.maximum(sizes, 1e-9)[..., None]
        off = ((sizes / n - self.shares) ** 2).sum(axis=-1)
        return np.asarray(off + ((shape - self.columns(self.totals) / n) ** 2).sum(axis=(-2, -1)))

    def cost_when_filled(self, placed: FloatArray) -> FloatArray:
        """Return the objective if all that is not `placed`, shape (..., parts, columns), could be cut at will."""
        totals = self.columns(self.totals)
        gaps = np.maximum(self.shares[:, None] * totals - placed, 0.0)
        rest = totals - placed.sum(axis=-2)
        scale = rest / np.maximum(gaps.sum(axis=-2), 1e-9)
        return self.cost(placed + gaps * scale[..., None, :])

    def cells_of_parts(self, parts: IntArray) -> FloatArray:
        """Return counts in the cells of each part, shape (parts, cells); groups in part -1 do not count."""
        of_sample = parts[self.groups]
        given = of_sample >= 0
        keys = of_sample[given] * len(self.totals) + self.cells[given]
        counts = np.bincount(keys, minlength=len(self.shares) * len(self.totals))
        return counts.reshape(len(self.shares), len(self.totals)).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Large:
    """Groups placed one by one, largest first, and their columns."""

    groups: IntArray  # (m,)
    histograms: FloatArray  # (m, columns)

    def __len__(self) -> int:
        return len(self.groups)


def assign(
    groups: IntArray, y: FloatArray, shares: FloatArray, rng: np.random.Generator, strata: IntArray | None = None
) -> IntArray:
    """Return the part of each sample, 0 to len(shares) - 1, int64, shape (n,); no group is cut.

    Parameters
    ----------
    groups
        Labels 0 to g - 1, shape (n,).
    y
        Trait, finite, shape (n,).
    shares
        Wanted share of each part, above 0, summing to 1.
    rng
        Decides ties and restarts.
    strata
        Integer labels, shape (n,), whose shares should be alike in all parts, too: populations, for example.

    Notes
    -----
    Sizes and balance are met as far as whole groups allow (`size_notes` says where they are not); a part may stay
    empty. Cost: O(n log n) and at most 1000 groups placed singly.
    """
    problem = _problem(groups, y, shares, strata)
    large, filling = _by_size(problem)
    best: IntArray | None = None
    best_cost = np.inf
    restarts = _RESTARTS if len(groups) < _MANY_SAMPLES else _FEWER_RESTARTS
    for _ in range(restarts if len(large) else 1):
        parts = _place(problem, large, rng)
        _improve(problem, large, parts, rng)
        for members in filling:
            _fill(problem, members, parts, rng)
        cost = float(problem.cost(problem.columns(problem.cells_of_parts(parts))))
        if cost < best_cost:
            best, best_cost = parts, cost
    if best is None:
        return np.zeros(len(groups), dtype=np.int64)
    return polish(best, groups, y, problem.shares, rng, strata)[groups]


def _problem(groups: IntArray, y: FloatArray, shares: FloatArray, strata: IntArray | None) -> _Problem:
    edges = np.unique(np.quantile(y, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, y, side="right").astype(np.int64)
    n_bins = len(edges) + 1
    sizes = np.bincount(groups)
    means = np.bincount(groups, weights=y) / sizes
    home = np.searchsorted(edges, means, side="right").astype(np.int64)
    n_strata = 1
    if strata is not None:
        names, stratum = np.unique(strata, return_inverse=True)
        n_strata = len(names)
        bins = bins + stratum * n_bins
        # A group of several strata counts as its middle member does.
        middle = np.lexsort((stratum, groups))[np.cumsum(sizes) - sizes + sizes // 2]
        home = home + stratum[middle] * n_bins
    return _Problem(
        groups=groups,
        cells=bins,
        n_bins=n_bins,
        n_strata=n_strata,
        sizes=sizes.astype(np.int64),
        means=means,
        home=home,
        shares=np.asarray(shares, dtype=np.float64) / np.sum(shares),
        totals=np.bincount(bins, minlength=n_bins * n_strata).astype(np.float64),
    )


def _by_size(problem: _Problem) -> tuple[_Large, list[IntArray]]:
    """Return the groups placed singly, largest first, and the others by size, largest first."""
    order = np.argsort(-problem.sizes, kind="stable")
    several = order[problem.sizes[order] > 1]
    large = several[:_MOST_PLACED]
    rest = np.concatenate([several[_MOST_PLACED:], order[len(several) :]])
    cuts = np.flatnonzero(np.diff(problem.sizes[rest])) + 1
    place = np.full(len(problem.sizes), -1, dtype=np.int64)
    place[large] = np.arange(len(large))
    of_sample = place[problem.groups]
    inside = of_sample >= 0
    n_cells = len(problem.totals)
    counts = np.bincount(of_sample[inside] * n_cells + problem.cells[inside], minlength=len(large) * n_cells)
    cells = counts.reshape(len(large), n_cells).astype(np.float64)
    filling = [members for members in np.split(rest, cuts) if len(members)]
    return _Large(groups=large, histograms=problem.columns(cells)), filling


def _place(problem: _Problem, large: _Large, rng: np.random.Generator) -> IntArray:
    """Place groups one after another where the objective stays lowest; among equals at random by the gap left."""
    parts = np.full(len(problem.sizes), -1, dtype=np.int64)
    n_parts = len(problem.shares)
    placed = np.zeros((n_parts, large.histograms.shape[1]))
    choice = np.arange(n_parts)
    jitter = rng.random(len(large))
    # equal sizes come in a new order in each restart
    for row in np.lexsort((jitter, -problem.sizes[large.groups])):
        options = np.repeat(placed[None], n_parts, axis=0)
        options[choice, choice] += large.histograms[row]
        costs = problem.cost_when_filled(options)
        filled = placed[:, : problem.n_bins].sum(axis=1)
        gaps = np.maximum(problem.shares * problem.totals.sum() - filled, 0.0) + 1e-9
        weights = np.where(costs <= costs.min() + _TIE, gaps, 0.0)
        part = int(rng.choice(n_parts, p=weights / weights.sum()))
        parts[large.groups[row]] = part
        placed[part] += large.histograms[row]
    return parts


def _improve(problem: _Problem, large: _Large, parts: IntArray, rng: np.random.Generator) -> None:
    """Move or swap groups placed singly as long as random candidates lower the objective. Changes `parts`."""
    if not len(large):
        return
    placed = np.zeros((len(problem.shares), large.histograms.shape[1]))
    np.add.at(placed, parts[large.groups], large.histograms)
    cost = float(problem.cost_when_filled(placed))
    rows = np.arange(_CANDIDATES)
    since = 0
    for _ in range(_ROUNDS):
        if since == _PATIENCE or cost < _TIE:
            return
        first = rng.integers(len(large), size=_CANDIDATES)
        second = rng.integers(len(large), size=_CANDIDATES)
        swap = rng.random(_CANDIDATES) < 0.5
        source = parts[large.groups[first]]
        target = np.where(swap, parts[large.groups[second]], rng.integers(len(problem.shares), size=_CANDIDATES))
        change = large.histograms[first] - np.where(swap[:, None], large.histograms[second], 0.0)
        options = np.repeat(placed[None], _CANDIDATES, axis=0)
        options[rows, source] -= change
        options[rows, target] += change
        costs = np.where(source == target, np.inf, problem.cost_when_filled(options))
        best = int(np.argmin(costs))
        if costs[best] >= cost - _TIE:
            since += 1
            continue
        since = 0
        cost = float(costs[best])
        placed = options[best]
        parts[large.groups[first[best]]] = target[best]
        if swap[best]:
            parts[large.groups[second[best]]] = source[best]


def _fill(problem: _Problem, members: IntArray, parts: IntArray, rng: np.random.Generator) -> None:
    """Give groups of one size to the parts by the gap of each part in each cell. Changes `parts`.

    The groups are sorted by stratum and trait; each part gets evenly spaced ranks, denser where its gap is larger.
    So sizes are exact, and within a cell the trait is spread as in systematic sampling.
    """
    home = problem.home[members]
    order = members[np.lexsort((rng.random(len(members)), problem.means[members], home // problem.n_bins))]
    counts = np.bincount(home, minlength=len(problem.totals))
    filled = problem.cells_of_parts(parts)
    gaps = np.maximum(problem.shares[:, None] * problem.totals - filled, 0.0)
    overall = gaps.sum(axis=1) if gaps.any() else problem.shares
    gaps = np.where(gaps.sum(axis=0) > 0, gaps, overall[:, None])
    wanted = np.cumsum(gaps * (counts / gaps.sum(axis=0)), axis=1)
    quotas = _round_to(wanted[:, -1], len(order))
    ranks = np.concatenate([[0], np.cumsum(counts)])
    places: list[FloatArray] = []
    for quota, cumulated in zip(quotas, wanted, strict=True):
        steps = (np.arange(quota) + rng.random(quota)) * (cumulated[-1] / max(quota, 1))
        places.append(np.interp(steps, np.concatenate([[0.0], cumulated]), ranks))
    labels = np.repeat(np.arange(len(quotas)), quotas)
    parts[order] = labels[np.argsort(np.concatenate(places), kind="stable")]


def _round_to(values: FloatArray, total: int) -> IntArray:
    """Round to whole numbers that sum to `total`, by largest remainder."""
    floors: IntArray = np.floor(values + 1e-9).astype(np.int64)
    short = total - int(floors.sum())
    floors[np.argsort(floors - values, kind="stable")[:short]] += 1
    return floors
