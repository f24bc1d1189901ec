"""The last touch of an assignment: sizes within 10 % and a like distribution of the trait, where groups allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automl_pheno.data import FloatArray, IntArray
from automl_pheno.splits.distance import ks_distance

SIZE_TOLERANCE = 0.1
"""Share of its wanted size by which a part may be off without a word."""

KS_AIM = 0.05
"""Kolmogorov-Smirnov D of the trait between a part and the others that is aimed at."""

_GRID = 100  # quantiles at which distributions are compared
_SIZE_MARGIN = 0.08  # aimed at a little below what is promised
_KS_MARGIN = 0.042
_MOST_PAIRED = 4  # with so few parts each pair is compared, as sets are; folds are compared with the rest
_POOL = 3000  # groups that may be moved
_LARGEST = 1000  # of these, the largest; the others by chance
_CANDIDATES = 256
_ROUNDS = 250
_PATIENCE = 25
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """What decides: samples of each part in each interval of the trait, and in each stratum."""

    shares: FloatArray  # (parts,)
    n: int
    n_steps: int  # intervals of the trait; the columns after them are strata
    overall: FloatArray  # (columns,)

    def excess(self, table: FloatArray) -> FloatArray:
        """Return by how much sizes (tenfold) and D are beyond what is aimed at, squared and summed, shape (...,)."""
        sizes = table[..., : self.n_steps].sum(axis=-1)
        off = np.abs(sizes - self.shares * self.n)
        too_far = np.where(off <= 1.0, 0.0, np.maximum(off / (self.shares * self.n) - _SIZE_MARGIN, 0.0))
        d = np.abs(self._differences(table, sizes)).max(axis=-1)
        return np.asarray(10.0 * (too_far**2).sum(axis=-1) + (np.maximum(d - _KS_MARGIN, 0.0) ** 2).sum(axis=-1))

    def roughness(self, table: FloatArray) -> FloatArray:
        """Return a smooth measure of imbalance, which leads on where the largest distance does not change."""
        sizes = table[..., : self.n_steps].sum(axis=-1)
        mean_square = (self._differences(table, sizes) ** 2).mean(axis=-1).sum(axis=-1)
        strata = table[..., self.n_steps :] / np.maximum(sizes, 1.0)[..., None]
        strata_off = ((strata - self.overall[self.n_steps :] / self.n) ** 2).sum(axis=(-2, -1))
        return np.asarray(mean_square + strata_off + ((sizes / self.n - self.shares) ** 2).sum(axis=-1))

    def _differences(self, table: FloatArray, sizes: FloatArray) -> FloatArray:
        """Return differences of cumulative distributions, shape (..., comparisons, steps)."""
        counts = np.cumsum(table[..., : self.n_steps], axis=-1)
        f = counts / np.maximum(sizes, 1.0)[..., None]
        n_parts = len(self.shares)
        if n_parts <= _MOST_PAIRED:
            a, b = np.triu_indices(n_parts, 1)
            return np.asarray(f[..., a, :] - f[..., b, :])
        everyone = np.cumsum(self.overall[: self.n_steps])
        others = (everyone - counts) / np.maximum(self.n - sizes, 1.0)[..., None]
        return np.asarray(f - others)


def polish(
    parts: IntArray,
    groups: IntArray,
    y: FloatArray,
    shares: FloatArray,
    rng: np.random.Generator,
    strata: IntArray | None = None,
) -> IntArray:
    """Return the part of each group after moves and swaps of whole groups that mend sizes and distribution.

    Nothing is done where sizes are within 8 % and D is at most 0.042 already.

    Parameters
    ----------
    parts
        Part of each group, shape (g,).
    groups, y, shares, rng, strata
        As in ``assign``.
    """
    columns, n_steps = _columns(y, strata)
    n_columns = int(columns[-1].max()) + 1
    of_sample = parts[groups]
    table = np.zeros((len(shares), n_columns))
    for column in columns:
        keys = of_sample * n_columns + column
        table += np.bincount(keys, minlength=len(shares) * n_columns).reshape(len(shares), n_columns)
    state = _State(shares=shares, n=len(y), n_steps=n_steps, overall=table.sum(axis=0))
    if float(state.excess(table)) < _TINY:
        return parts
    pool = _pool(groups, len(parts), rng)
    return _search(parts.copy(), pool, _histograms(pool, groups, columns, len(parts)), table, state, rng)


def _search(
    parts: IntArray,
    pool: IntArray,
    histograms: FloatArray,
    table: FloatArray,
    state: _State,
    rng: np.random.Generator,
) -> IntArray:
    """Take the best of random moves and swaps, round after round, until nothing is off or nothing helps."""
    rows = np.arange(_CANDIDATES)
    score = float(state.excess(table) + 0.05 * state.roughness(table))
    since = 0
    for _ in range(_ROUNDS):
        if since == _PATIENCE or float(state.excess(table)) < _TINY:
            break
        first = rng.integers(len(pool), size=_CANDIDATES)
        second = rng.integers(len(pool), size=_CANDIDATES)
        swap = rng.random(_CANDIDATES) < 0.6
        source = parts[pool[first]]
        target = np.where(swap, parts[pool[second]], rng.integers(len(state.shares), size=_CANDIDATES))
        change = histograms[first] - np.where(swap[:, None], histograms[second], 0.0)
        options = np.repeat(table[None], _CANDIDATES, axis=0)
        options[rows, source] -= change
        options[rows, target] += change
        scores = np.where(source == target, np.inf, state.excess(options) + 0.05 * state.roughness(options))
        best = int(np.argmin(scores))
        if scores[best] >= score - _TINY:
            since += 1
            continue
        since = 0
        score = float(scores[best])
        table = options[best]
        parts[pool[first[best]]] = target[best]
        if swap[best]:
            parts[pool[second[best]]] = source[best]
    return parts


def _columns(y: FloatArray, strata: IntArray | None) -> tuple[list[IntArray], int]:
    """Return the column of each sample among the intervals of the trait, and among the strata after them."""
    edges = np.unique(np.quantile(y, np.linspace(0, 1, min(_GRID, len(y)) + 1)[1:-1]))
    columns = [np.searchsorted(edges, y, side="right").astype(np.int64)]
    if strata is not None:
        columns.append(len(edges) + 1 + np.unique(strata, return_inverse=True)[1].astype(np.int64))
    return columns, len(edges) + 1


def _pool(groups: IntArray, n_groups: int, rng: np.random.Generator) -> IntArray:
    if n_groups <= _POOL:
        return np.arange(n_groups)
    order = np.argsort(-np.bincount(groups, minlength=n_groups), kind="stable")
    rest = rng.choice(order[_LARGEST:], size=_POOL - _LARGEST, replace=False)
    return np.concatenate([order[:_LARGEST], rest])


def _histograms(pool: IntArray, groups: IntArray, columns: list[IntArray], n_groups: int) -> FloatArray:
    place = np.full(n_groups, -1, dtype=np.int64)
    place[pool] = np.arange(len(pool))
    of_sample = place[groups]
    inside = of_sample >= 0
    n_columns = int(columns[-1].max()) + 1
    counts = np.zeros((len(pool), n_columns))
    for column in columns:
        keys = of_sample[inside] * n_columns + column[inside]
        counts += np.bincount(keys, minlength=len(pool) * n_columns).reshape(len(pool), n_columns)
    return counts


def size_notes(
    names: Sequence[str], parts: IntArray, groups: IntArray, y: FloatArray, shares: FloatArray, asked: str = ""
) -> tuple[str, ...]:
    """Return why parts are not of the wanted size, or differ in the trait: a sentence each, none where all is well.

    Parameters
    ----------
    names
        Of the parts, for example ``("train", "validation", "test")``.
    parts, groups, y, shares
        What ``assign`` returned and got.
    asked
        What the groups were made by, for the sentence.
    """
    n, wanted = len(y), np.asarray(shares, dtype=np.float64) / np.sum(shares) * len(y)
    sizes = np.bincount(parts, minlength=len(names))
    group_sizes = np.bincount(groups)
    counted = f"{len(group_sizes):,} groups" + (f" ({asked})" if asked else "")
    off = [
        f"{name} has {sizes[part] / n:.1%} of the samples (asked: {wanted[part] / n:.1%})"
        for part, name in enumerate(names)
        if abs(sizes[part] - wanted[part]) > max(1.0, SIZE_TOLERANCE * wanted[part])
    ]
    notes = []
    largest = int(group_sizes.max())
    if off:
        why = f"groups stay whole, and the largest of {counted} holds {largest:,} of {n:,} samples"
        notes.append(f"{', '.join(off)}: {why}")
    apart = []
    for part, name in enumerate(names):
        inside = parts == part
        if inside.any() and not inside.all():
            d = ks_distance(y[inside], y[~inside])
            if d > KS_AIM:
                apart.append(f"{name} (KS D {d:.2f}, {int(sizes[part]):,} samples)")
    if apart:
        why = f"samples come in only {counted}" if len(group_sizes) < n / 2 else "a part has few samples"
        why += f", of which the largest holds {largest:,}" if largest > 1 and len(group_sizes) < n / 2 else ""
        notes.append(f"the trait is distributed differently than in the rest (aim: D {KS_AIM}) in "
                     f"{', '.join(apart)}: {why}")  # fmt: skip
    return tuple(notes)
