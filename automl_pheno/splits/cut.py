"""Cut what has grown together too far: pieces of at most a wanted size, so that few and weak pairs cross.

Relatives of relatives chain almost every sample of a breeding population to every other, so a connected component may
hold nearly all of them. Such a component is cut in three steps, on the graph whose nodes are the groups that must stay
whole and whose weights are summed over pairs: large graphs are first coarsened (each node merges with the neighbour it
is linked to most densely, as in multilevel partitioning, Karypis & Kumar 1998); then the two clusters with the highest
average weight are merged again and again while they fit together (average linkage with a cap); at last single nodes
move to the piece they have more weight in. No optional package takes part, so a seed gives the same pieces everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from automl_pheno.data import FloatArray, IntArray
from automl_pheno.errors import SplitError
from automl_pheno.progress import tick
from automl_pheno.splits.groups import number_in_order
from automl_pheno.splits.pairs import Pairs

_DENSE = 3_000  # nodes of an average linkage: its matrix takes 72 MB
_COARSE = 4  # a coarsened node holds at most 1 / _COARSE of a piece
_ROUNDS = 60
_PASSES = 8
_WEAKEST = 0.5  # weight of a pair at the threshold; that of the most similar pair is 1


def cut_groups(
    hard: IntArray, pairs: Sequence[Pairs], cap: int, rng: np.random.Generator
) -> tuple[IntArray, tuple[str, ...]]:
    """Return groups in which the pairs stay together too, but none larger than `cap` for their sake.

    Parameters
    ----------
    hard
        Labels that are never cut, shape (n,).
    pairs
        Pairs of samples that should stay together, each at its own threshold.
    cap
        Most samples of a group; only a hard label may have more.
    rng
        Breaks ties.

    Returns
    -------
    labels
        int64, shape (n,), numbered in order of first appearance; a union of hard labels each.
    notes
        What was cut, with counts.

    Raises
    ------
    SplitError
        `cap` is below 1.
    """
    if cap < 1:
        msg = f"a group must be allowed at least 1 sample, got {cap}"
        raise SplitError(msg)
    nodes = number_in_order(hard)
    sizes = np.bincount(nodes).astype(np.int64)
    graph = _graph(nodes, pairs, len(sizes))
    component = connected_components(graph, directed=False)[1].astype(np.int64)
    totals = np.bincount(component, weights=sizes).astype(np.int64)
    large = np.flatnonzero((totals > cap) & (np.bincount(component) > 1)).astype(np.int64)
    labels = component.copy()
    following = len(totals)
    for number, one in enumerate(large):
        tick("cutting large groups", number / len(large))
        members = np.flatnonzero(component == one)
        part = graph if len(members) == len(sizes) else graph[members][:, members]
        pieces = _cut(part, sizes[members], cap, rng)
        labels[members] = following + pieces
        following += int(pieces.max()) + 1
    found = number_in_order(labels[nodes])
    return found, _notes(found, component[nodes], large, nodes, pairs, cap)


def _graph(nodes: IntArray, pairs: Sequence[Pairs], n: int) -> csr_matrix:
    """Return the symmetric graph of hard groups; pairs of different measures are put on one scale."""
    rows, columns, weights = [], [], []
    short = nodes.astype(np.int32)  # there may be 30 million pairs
    for one in pairs:
        a, b = short[one.first], short[one.second]
        apart = a != b
        top = float(one.similarity.max(initial=one.threshold))
        above = (one.similarity - one.threshold) / max(top - one.threshold, 1e-12)
        rows.append(a[apart])
        columns.append(b[apart])
        weights.append((_WEAKEST + (1.0 - _WEAKEST) * above[apart]).astype(np.float32))
    if not rows:
        return csr_matrix((n, n))
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    half = coo_matrix(entries, shape=(n, n)).tocsr()
    return csr_matrix(half + half.T)


def _cut(graph: csr_matrix, sizes: IntArray, cap: int, rng: np.random.Generator) -> IntArray:
    """Return the piece of each node of one component, numbered from 0; pieces are connected."""
    pieces = np.arange(len(sizes), dtype=np.int64)
    coarse, weight = graph, sizes
    for limit in (max(cap // _COARSE, 1), cap):
        if len(weight) > _DENSE:
            merged = _coarsen(coarse, weight, limit, rng)
            pieces = merged[pieces]
            coarse, weight = _contracted(coarse, weight, merged)
    if len(weight) <= _DENSE:
        pieces = _linked(coarse.toarray(), weight, cap)[pieces]
    pieces = _refined(graph, sizes, pieces, cap)
    inside = graph.tocoo()
    same = pieces[inside.row] == pieces[inside.col]
    kept = coo_matrix((inside.data[same], (inside.row[same], inside.col[same])), shape=graph.shape)
    _, connected = connected_components(kept, directed=False)
    return number_in_order(connected)


def _contracted(graph: csr_matrix, sizes: IntArray, merged: IntArray) -> tuple[csr_matrix, IntArray]:
    """Return graph and sizes of merged nodes, without loops."""
    n = int(merged.max()) + 1
    entries = graph.tocoo()
    short = merged.astype(np.int32)
    rows, columns = short[entries.row], short[entries.col]
    apart = rows != columns
    smaller = coo_matrix((entries.data[apart], (rows[apart], columns[apart])), shape=(n, n)).tocsr()
    return csr_matrix(smaller), np.bincount(merged, weights=sizes, minlength=n).astype(np.int64)


def _coarsen(graph: csr_matrix, sizes: IntArray, limit: int, rng: np.random.Generator) -> IntArray:
    """Return the coarse node of each node: nodes merge in pairs, and none grows above `limit`."""
    merged = np.arange(len(sizes), dtype=np.int64)
    for _ in range(_ROUNDS):
        if len(sizes) <= _DENSE:
            break
        partner = _matched(graph, sizes, limit, rng)
        if (partner < 0).all():
            break
        step = number_in_order(np.where(partner < 0, np.arange(len(sizes)), np.minimum(partner, np.arange(len(sizes)))))
        merged = step[merged]
        graph, sizes = _contracted(graph, sizes, step)
    return merged


def _matched(graph: csr_matrix, sizes: IntArray, limit: int, rng: np.random.Generator) -> IntArray:
    """Return the partner of each node, -1 for none."""
    n = len(sizes)
    best: IntArray = np.full(n, -1, dtype=np.int64)
    partner: IntArray = best.copy()
    tie = rng.permutation(n)
    filled = np.flatnonzero(np.diff(graph.indptr))
    if not len(filled):
        return partner
    degrees = np.diff(graph.indptr)[filled]
    small = sizes.astype(np.float32)
    own, others = np.repeat(small[filled], degrees), small[graph.indices]
    density = np.where(own + others <= limit, graph.data / (own * others), np.float32(0.0))
    most = np.maximum.reduceat(density, graph.indptr[filled])
    chosen = np.flatnonzero((density > 0.0) & (density == np.repeat(most, degrees)))
    a, b = np.searchsorted(graph.indptr, chosen, side="right") - 1, graph.indices[chosen].astype(np.int64)
    order = np.lexsort((tie[b], a))
    best[a[order[::-1]]] = b[order[::-1]]  # of equals the first by `tie`, which is written last
    linked = np.flatnonzero(best >= 0)
    mutual = linked[best[best[linked]] == linked]
    partner[mutual] = best[mutual]
    # the leaves of one hub cannot all merge with it, so they merge with one another, two by two
    alone = np.flatnonzero((partner < 0) & (best >= 0))
    alone = alone[np.lexsort((tie[alone], sizes[alone], best[alone]))]
    hub = best[alone]
    begins = np.flatnonzero(np.r_[True, hub[1:] != hub[:-1]]) if len(hub) else np.empty(0, dtype=np.int64)
    place = np.arange(len(hub)) - np.repeat(begins, np.diff(np.r_[begins, len(hub)]))
    left = np.flatnonzero((place[:-1] % 2 == 0) & (hub[:-1] == hub[1:]))
    left = left[sizes[alone[left]] + sizes[alone[left + 1]] <= limit]
    partner[alone[left]], partner[alone[left + 1]] = alone[left + 1], alone[left]
    return partner


def _linked(weights: FloatArray, sizes: IntArray, cap: int) -> IntArray:
    """Merge the two clusters of the highest average weight while they fit into `cap`; dense, at most 3,000 nodes.

    No merge raises an average: that with a union lies between those with its parts. So a row need be looked through
    again only when its partner has changed and the best of the others, `second` at most, may have become better.
    """
    n = len(sizes)
    label = np.arange(n, dtype=np.int64)
    total, size = weights.copy(), sizes.astype(np.float64)
    alive = np.ones(n, dtype=bool)

    def averages(row: int) -> FloatArray:
        fits = alive & (size + size[row] <= cap)
        fits[row] = False
        return np.where(fits, total[row] / (size * size[row]), 0.0)

    partner = np.zeros(n, dtype=np.int64)
    value, second = np.full(n, np.inf), np.full(n, np.inf)  # bounds, to be looked up when they come first
    stale = np.ones(n, dtype=bool)
    while True:
        a = int(np.argmax(value))
        if value[a] <= 0.0:
            return number_in_order(label)
        if stale[a]:
            row = averages(a)
            partner[a] = np.argmax(row)
            value[a] = row[partner[a]]
            row[partner[a]] = 0.0
            second[a] = row.max()
            stale[a] = False
            continue
        b = int(partner[a])
        total[a] += total[b]
        total[:, a] = total[a]
        total[a, a] = 0.0
        size[a] += size[b]
        alive[b] = False
        value[b], value[a], stale[a] = 0.0, np.inf, True
        label[label == b] = a
        touched = np.flatnonzero(alive & ~stale & (value > 0.0) & ((partner == a) | (partner == b)))
        with_union = averages(a)[touched]
        partner[touched] = a
        stale[touched] = with_union < second[touched]
        value[touched] = np.maximum(with_union, second[touched])


def _refined(graph: csr_matrix, sizes: IntArray, pieces: IntArray, cap: int) -> IntArray:
    """Move single nodes to the piece in which they have more weight, while it fits; no move adds crossing weight."""
    pieces = pieces.copy()
    indptr, indices, data = graph.indptr, graph.indices, graph.data
    for _ in range(_PASSES):
        n = int(pieces.max()) + 1
        filled = np.bincount(pieces, weights=sizes, minlength=n)
        member = csr_matrix((np.ones(len(pieces)), (np.arange(len(pieces)), pieces)), shape=(len(pieces), n))
        links = (graph @ member).tocoo()
        own = np.zeros(len(pieces))
        mine = links.col == pieces[links.row]
        own[links.row[mine]] = links.data[mine]
        gain = np.zeros(len(pieces))
        np.maximum.at(gain, links.row[~mine], links.data[~mine])
        gain -= own
        moved = 0
        candidates = np.flatnonzero(gain > 1e-9)
        for node in candidates[np.argsort(-gain[candidates], kind="stable")]:
            if filled.min() + sizes[node] > cap:
                continue
            here = slice(indptr[node], indptr[node + 1])
            there, inverse = np.unique(pieces[indices[here]], return_inverse=True)
            weight = np.bincount(inverse, weights=data[here])
            current = pieces[node]
            stays = float(weight[there == current].sum())
            weight[(there == current) | (filled[there] + sizes[node] > cap)] = -np.inf
            best = int(np.argmax(weight))
            if weight[best] > stays + 1e-9:
                filled[current] -= sizes[node]
                filled[there[best]] += sizes[node]
                pieces[node] = there[best]
                moved += 1
        if not moved:
            break
    return pieces


def _notes(
    labels: IntArray, component: IntArray, large: IntArray, hard: IntArray, pairs: Sequence[Pairs], cap: int
) -> tuple[str, ...]:
    notes = []
    n = len(labels)
    if len(large):
        inside = np.isin(component, large)
        biggest = int(np.bincount(component)[large].max())
        pieces = labels[inside]
        found = len(np.unique(pieces))
        what = "a chain of pairs joins" if len(large) == 1 else f"{len(large)} chains of pairs join up to"
        text = (
            f"{what} {biggest:,} of {n:,} samples, more than the {cap:,} that one group may have: cut into "
            f"{found:,} pieces, the largest of {int(np.bincount(pieces).max()):,}"
        )
        for one in pairs:
            across = one.crossing(labels)
            if len(across):
                text += (
                    f"; {len(across):,} of {len(one):,} pairs with {one.measure} >= {one.threshold:g} lie across "
                    f"pieces, the most alike at {float(across.similarity.max()):.3f}"
                )
        notes.append(text)
    whole = np.bincount(hard)
    over = int((whole > cap).sum())
    if over:
        notes.append(
            f"{over:,} group{'s' if over > 1 else ''} that must stay whole {'have' if over > 1 else 'has'} more than "
            f"{cap:,} samples (the largest {int(whole.max()):,})"
        )
    return tuple(notes)
