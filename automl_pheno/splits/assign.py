"""Give whole groups to parts of wanted sizes, so that the trait is distributed alike in each.

Objective of an assignment, to be made small: ``sum_s (n_s/N - p_s)^2 + sum_sb (h_sb/n_s - h_b)^2`` with n_s the size
of part s, p_s its wanted share, h_sb its samples in trait bin b and h_b the share of that bin in all samples.
Large groups are placed one after another, largest first, and then moved and swapped; the small ones, of which there
may be a million, fill the gaps that are left in each bin in one vectorised pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno.data import FloatArray, IntArray

N_BINS = 10
_RESTARTS = 8
_MOST_PLACED = 1000  # groups placed one by one; smaller ones fill
_CANDIDATES = 256
_ROUNDS = 100
_PATIENCE = 8
_TIE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """Groups as rows: size, trait histogram, mean and its bin; and the wanted share of each part."""

    sizes: IntArray  # (g,)
    histograms: FloatArray  # (g, bins)
    means: FloatArray  # (g,)
    bins: IntArray  # (g,)
    shares: FloatArray  # (parts,)
    totals: FloatArray  # samples in each bin, (bins,)

    def cost(self, filled: FloatArray) -> FloatArray:
        """Return the objective of histograms `filled`, shape (..., parts, bins)."""
        n = self.totals.sum()
        sizes = filled.sum(axis=-1)
        shape = filled / np.maximum(sizes, 1e-9)[..., None]
        off = ((sizes / n - self.shares) ** 2).sum(axis=-1)
        return np.asarray(off + ((shape - self.totals / n) ** 2).sum(axis=(-2, -1)))

    def cost_when_filled(self, placed: FloatArray) -> FloatArray:
        """Return the objective if all that is not `placed`, shape (..., parts, bins), could be cut at will."""
        gaps = np.maximum(self.shares[:, None] * self.totals - placed, 0.0)
        rest = self.totals - placed.sum(axis=-2)
        scale = rest / np.maximum(gaps.sum(axis=-2), 1e-9)
        return self.cost(placed + gaps * scale[..., None, :])


def assign(groups: IntArray, y: FloatArray, shares: FloatArray, rng: np.random.Generator) -> IntArray:
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

    Notes
    -----
    Shares are met as far as whole groups allow; a part may stay empty. Cost: O(n log n) and at most 1000 groups
    placed singly.
    """
    problem = _problem(groups, y, shares)
    singly, filling = _by_size(problem)
    best: IntArray | None = None
    best_cost = np.inf
    for _ in range(_RESTARTS if len(singly) else 1):
        parts = _place(problem, singly, rng)
        _improve(problem, singly, parts, rng)
        for members in filling:
            _fill(problem, members, parts, rng)
        cost = float(problem.cost(_filled(problem, parts)))
        if cost < best_cost:
            best, best_cost = parts, cost
    return np.zeros(len(groups), dtype=np.int64) if best is None else best[groups]


def _problem(groups: IntArray, y: FloatArray, shares: FloatArray) -> _Problem:
    edges = np.unique(np.quantile(y, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, y, side="right")
    n_groups, n_bins = int(groups.max()) + 1, len(edges) + 1
    histograms = np.bincount(groups * n_bins + bins, minlength=n_groups * n_bins).reshape(n_groups, n_bins)
    sizes = np.bincount(groups, minlength=n_groups)
    means = np.bincount(groups, weights=y, minlength=n_groups) / sizes
    return _Problem(
        sizes=sizes.astype(np.int64),
        histograms=histograms.astype(np.float64),
        totals=histograms.sum(axis=0).astype(np.float64),
        means=means,
        bins=np.searchsorted(edges, means, side="right").astype(np.int64),
        shares=np.asarray(shares, dtype=np.float64) / np.sum(shares),
    )


def _by_size(problem: _Problem) -> tuple[IntArray, list[IntArray]]:
    """Return the groups placed singly, largest first, and the others by size, largest first."""
    order = np.argsort(-problem.sizes, kind="stable")
    several = order[problem.sizes[order] > 1]
    singly = several[:_MOST_PLACED]
    rest = np.concatenate([several[_MOST_PLACED:], order[len(several) :]])
    cuts = np.flatnonzero(np.diff(problem.sizes[rest])) + 1
    return singly, [members for members in np.split(rest, cuts) if len(members)]


def _filled(problem: _Problem, parts: IntArray) -> FloatArray:
    filled = np.zeros((len(problem.shares), problem.histograms.shape[1]))
    given = parts >= 0
    np.add.at(filled, parts[given], problem.histograms[given])
    return filled


def _place(problem: _Problem, singly: IntArray, rng: np.random.Generator) -> IntArray:
    """Place groups one after another where the objective stays lowest; among equals at random by the gap left."""
    parts = np.full(len(problem.sizes), -1, dtype=np.int64)
    n_parts = len(problem.shares)
    placed = np.zeros((n_parts, problem.histograms.shape[1]))
    choice = np.arange(n_parts)
    jitter = rng.random(len(singly))
    # equal sizes come in a new order in each restart
    for group in singly[np.lexsort((jitter, -problem.sizes[singly]))]:
        options = np.repeat(placed[None], n_parts, axis=0)
        options[choice, choice] += problem.histograms[group]
        costs = problem.cost_when_filled(options)
        gaps = np.maximum(problem.shares * problem.totals.sum() - placed.sum(axis=1), 0.0) + 1e-9
        weights = np.where(costs <= costs.min() + _TIE, gaps, 0.0)
        part = int(rng.choice(n_parts, p=weights / weights.sum()))
        parts[group] = part
        placed[part] += problem.histograms[group]
    return parts


def _improve(problem: _Problem, singly: IntArray, parts: IntArray, rng: np.random.Generator) -> None:
    """Move or swap groups placed singly as long as random candidates lower the objective. Changes `parts`."""
    if not len(singly):
        return
    placed = _filled(problem, parts)
    cost = float(problem.cost_when_filled(placed))
    rows = np.arange(_CANDIDATES)
    since = 0
    for _ in range(_ROUNDS):
        if since == _PATIENCE or cost < _TIE:
            return
        first = singly[rng.integers(len(singly), size=_CANDIDATES)]
        second = singly[rng.integers(len(singly), size=_CANDIDATES)]
        swap = rng.random(_CANDIDATES) < 0.5
        source = parts[first]
        target = np.where(swap, parts[second], rng.integers(len(problem.shares), size=_CANDIDATES))
        change = problem.histograms[first] - np.where(swap[:, None], problem.histograms[second], 0.0)
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
        parts[first[best]] = target[best]
        if swap[best]:
            parts[second[best]] = source[best]


def _fill(problem: _Problem, members: IntArray, parts: IntArray, rng: np.random.Generator) -> None:
    """Give groups of one size to the parts by the gap of each part in each bin. Changes `parts`.

    The groups are sorted by trait; each part gets evenly spaced ranks, denser where its gap is larger. So sizes
    are exact, and within a bin the trait is spread as in systematic sampling.
    """
    order = members[np.lexsort((rng.random(len(members)), problem.means[members]))]
    counts = np.bincount(problem.bins[order], minlength=problem.histograms.shape[1])
    gaps = np.maximum(problem.shares[:, None] * problem.totals - _filled(problem, parts), 0.0)
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
