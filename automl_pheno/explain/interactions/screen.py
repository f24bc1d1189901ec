"""Which places are worth measuring in pairs: all pairs of 1,000 places would be half a million times backgrounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.interactions.attributions import NetworkGradient, attribution_rows
from automl_pheno.explain.interactions.places import Places
from automl_pheno.explain.interactions.squares import Table
from automl_pheno.explain.scoring import Score

GROUPS = 24
BEAM = 48
ROUNDS = 2


def screen_by_gradients(gradient: NetworkGradient, places: Places, rows: IntArray, *, backgrounds: int) -> FloatArray:
    """Return how strongly all pairs of places seem to interact, symmetric, shape (k, k), from gradients of a network.

    Mutating a place and looking at the gradient gives its row (`attribution_rows`): one backward pass for each of the
    `rows` and backgrounds. Both directions are averaged where both places are in `rows`; pairs without any are 0. A
    pair whose interaction the gradient cannot see from where the background stands (both behind a flat part of the
    network) is missed.
    """
    _, size = attribution_rows(gradient, places.first(backgrounds), rows, "screening pairs by gradients")
    full = np.zeros((len(places), len(places)))
    times = np.zeros_like(full, dtype=np.int8)
    full[rows] = size
    times[rows] = 1
    return np.asarray((full + full.T) / np.maximum(times + times.T, 1))


def screen_by_groups(
    score: Score, places: Places, *, backgrounds: int, rng: np.random.Generator
) -> tuple[FloatArray, int]:
    """Return how strongly pairs of places seem to interact, shape (k, k), and the predictions made; any predictor.

    The places are dealt into 24 groups; all pairs of groups are changed whole. The groups of the 48 pairs with the
    largest root mean square of f(AB) - f(A) - f(B) + f(0) are halved and their halves paired, and so on to single
    places; all of this twice, dealt anew, as two places of one group never meet. Costs about
    ``2 * (276 + 250 log2(k / 24))`` predictions a background. Interactions of opposite sign within a pair of groups can
    hide each other, and so can any behind a stronger one.
    """
    places = places.first(backgrounds)
    found = np.zeros((len(places), len(places)))
    evaluations = 0
    for _ in range(ROUNDS):
        dealt = rng.permutation(len(places))
        groups = [np.sort(part) for part in np.array_split(dealt, min(GROUPS, len(places)))]
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        while True:
            size, asked = _group_sizes(score, places, groups, pairs)
            evaluations += asked
            order = np.argsort(-size)
            single = [number for number in order if len(groups[pairs[number][0]]) == len(groups[pairs[number][1]]) == 1]
            for number in single:
                a, b = (int(groups[group][0]) for group in pairs[number])
                found[a, b] = found[b, a] = max(found[a, b], float(size[number]))
            best = [pairs[number] for number in order[:BEAM] if size[number] > 0]
            if all(len(groups[group]) == 1 for pair in best for group in pair):
                break
            groups, pairs = _halved(groups, best)
    return found, evaluations


def _group_sizes(
    score: Score, places: Places, groups: list[IntArray], pairs: list[tuple[int, int]]
) -> tuple[FloatArray, int]:
    of_place = np.full(len(places) + 1, -1, dtype=np.int64)
    for number, group in enumerate(groups):
        of_place[group] = number
    label = of_place[places.label]  # -1, a column without a place, reads the last entry
    grouped = Places(
        kind=places.kind,
        base=places.base,
        other=places.other,
        label=label,
        step=np.ones((places.backgrounds, len(groups))),
        names=np.arange(len(groups)).astype(str),
        keys=np.arange(len(groups), dtype=np.int64),
    )
    table = Table(score, grouped)
    squares = table.squares(np.array(pairs, dtype=np.int64), "screening pairs by groups")
    return np.sqrt((squares.interaction**2).mean(axis=1)), table.evaluations


def _halved(groups: list[IntArray], pairs: list[tuple[int, int]]) -> tuple[list[IntArray], list[tuple[int, int]]]:
    """Return the halves of all groups in `pairs`, and the pairs of halves."""
    halves: list[IntArray] = []
    numbers: dict[int, list[int]] = {}
    for group in sorted({group for pair in pairs for group in pair}):
        parts = [part for part in np.array_split(groups[group], 2) if len(part)]
        numbers[group] = list(range(len(halves), len(halves) + len(parts)))
        halves += parts
    return halves, [(i, j) for a, b in pairs for i in numbers[a] for j in numbers[b]]


def choose_places(importance: FloatArray, screened: FloatArray | None, most: int) -> IntArray:
    """Return the places to measure, in order: half by the strongest pairs of the screen, the rest by importance.

    Parameters
    ----------
    importance
        Of each place, shape (k,).
    screened
        From a screen, shape (k, k); None chooses by importance alone.
    most
        Places at most.
    """
    chosen: dict[int, None] = {}
    if screened is not None:
        upper = np.triu(screened, 1)
        order = _largest(upper.ravel(), most * most)
        for place in (place for pair in zip(*np.unravel_index(order, upper.shape), strict=True) for place in pair):
            if len(chosen) >= most // 2:
                break
            chosen[int(place)] = None
    for place in np.argsort(-importance, kind="stable"):
        if len(chosen) >= most:
            break
        chosen[int(place)] = None
    return np.sort(np.array(list(chosen), dtype=np.int64))


def _largest(values: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """Return where the `count` largest positive values are, largest first."""
    count = min(count, int((values > 0).sum()))
    if not count:
        return np.zeros(0, dtype=np.int64)
    part = np.argpartition(-values, count - 1)[:count]
    return np.asarray(part[np.argsort(-values[part], kind="stable")])
