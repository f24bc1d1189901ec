"""Seqlets that look alike, gathered around a pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.motifs.windows import FLANK, BoolArray, Seqlets

PATTERN = 12
OVERHANG = 3
"""A pattern may stand over the end of a seqlet by so many positions."""
CANDIDATES = 48
ALIKE = 0.7
"""Cosine from which a seqlet belongs to a pattern; to a single seqlet, which is noisier, `ALIKE_ONE`."""
ALIKE_ONE = 0.55
ROUNDS = 4
FAILURES = 6
NULLS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cluster:
    """Seqlets that show one pattern, aligned to it.

    Attributes
    ----------
    sample, start
        Row of the attribution and position (0-based, may be below 0) at which the pattern begins, shape (n,).
    flipped
        Whether the seqlet shows the reverse complement, shape (n,).
    contributions, bases
        Aligned and turned, shape (n, PATTERN, 4).
    chance_share
        Size of the cluster that is found, in the same way, among the same seqlets when the positions of each are in
        random order, as a share of this one's: small for a pattern, near 1 for mere base composition or noise.
    """

    sample: IntArray
    start: IntArray
    flipped: BoolArray
    contributions: FloatArray
    bases: FloatArray
    chance_share: float

    def __len__(self) -> int:
        return len(self.sample)


class _Board:
    """Seqlets laid out so that many patterns can be slid along all of them at once."""

    def __init__(self, windows: Seqlets) -> None:
        self.windows = windows
        self.padded = np.pad(windows.contributions, ((0, 0), (OVERHANG, OVERHANG), (0, 0)))
        views = np.lib.stride_tricks.sliding_window_view(self.padded, PATTERN, axis=1)
        cuts = np.ascontiguousarray(views.transpose(0, 1, 3, 2)).reshape(len(windows), views.shape[1], -1)
        self.cuts = cuts.astype(np.float32)
        # of the whole seqlet, not of the cut: a cut that holds little of it resembles anything
        self.norm = np.sqrt((windows.contributions**2).sum(axis=(1, 2))).clip(min=1e-20).astype(np.float32)

    def slide(self, patterns: FloatArray) -> tuple[FloatArray, IntArray, BoolArray]:
        """Return best cosine, offset and strand of each pattern at each seqlet, shapes (k, n)."""
        k = len(patterns)
        both = np.concatenate([patterns, patterns[:, ::-1, ::-1]]).reshape(2 * k, -1).astype(np.float32)
        both /= np.maximum(np.sqrt((both**2).sum(axis=1, keepdims=True)), np.float32(1e-20))
        n, offsets, cells = self.cuts.shape
        score = (self.cuts.reshape(n * offsets, cells) @ both.T).reshape(n, offsets, 2 * k) / self.norm[:, None, None]
        best = score.argmax(axis=1)
        top = np.take_along_axis(score, best[:, None, :], axis=1)[:, 0]
        flipped = top[:, k:] > top[:, :k]
        offset = np.where(flipped, best[:, k:], best[:, :k])
        similarity = np.where(flipped, top[:, k:], top[:, :k])
        return similarity.T.astype(np.float64), offset.T.astype(np.int64), flipped.T

    def mean(self, rows: IntArray, offset: IntArray, flipped: BoolArray) -> FloatArray:
        return np.asarray(aligned(self.padded, rows, offset, flipped).mean(axis=0))


def aligned(padded: FloatArray, rows: IntArray, offset: IntArray, flipped: BoolArray) -> FloatArray:
    """Return what `PATTERN` covers at each of `rows`, turned to one strand, shape (len(rows), PATTERN, 4)."""
    found = padded[rows[:, None], offset[rows][:, None] + np.arange(PATTERN)]
    return np.asarray(np.where(flipped[rows][:, None, None], found[:, ::-1, ::-1], found))


def gather(windows: Seqlets, *, most: int, fewest: int, rng: np.random.Generator, step: str) -> list[Cluster]:
    """Return clusters of seqlets that look alike.

    Of the strongest seqlets, and as many from the rest, the one that most others resemble (cosine of contributions,
    best shift, either strand) is the seed; the mean pattern of these is slid along all, those that resemble it are
    taken in, until nothing moves; then the next among those left over. Ends after `FAILURES` seeds that fewer than
    `fewest` resemble.

    Parameters
    ----------
    step
        What to call this when progress is told.
    """
    found: list[Cluster] = []
    left = windows
    failures = 0
    while len(left) >= fewest and len(found) < most and failures < FAILURES:
        progress.tick(step, 1.0 - len(left) / len(windows))
        board = _Board(left)
        similarity, offset, flipped = _grow(board, fewest)
        inside = np.flatnonzero(similarity >= ALIKE)
        if len(inside) < fewest:  # a seed that nothing resembles: set its carriers aside
            failures += 1
            left = left.take(np.argsort(-similarity, kind="stable")[fewest:])
            continue
        sizes = [(_grow(_Board(left.shuffled(rng)), fewest)[0] >= ALIKE).sum() for _ in range(NULLS)]
        found.append(_cluster(board, inside, offset, flipped, float(np.mean(sizes)) / len(inside)))
        left = left.take(np.flatnonzero(similarity < ALIKE))
    return found


def _grow(board: _Board, fewest: int) -> tuple[FloatArray, IntArray, BoolArray]:
    """Return how well each seqlet shows the pattern that grows from the best seed, and where and how, shapes (n,)."""
    pattern = _seed(board)
    similarity, offset, flipped = (part[0] for part in board.slide(pattern[None]))
    for _ in range(ROUNDS):
        inside = np.flatnonzero(similarity >= ALIKE)
        if len(inside) < fewest:
            break
        pattern = board.mean(inside, offset, flipped)
        similarity, offset, flipped = (part[0] for part in board.slide(pattern[None]))
    return similarity, offset, flipped


def _seed(board: _Board) -> FloatArray:
    """Return the mean pattern around the candidate that most seqlets resemble, shape (PATTERN, 4)."""
    windows = board.windows
    middle = (windows.contributions.shape[1] - PATTERN) // 2
    spread = np.linspace(0, len(windows) - 1, CANDIDATES).astype(np.int64)
    chosen = np.unique(np.concatenate([np.arange(min(CANDIDATES, len(windows))), spread]))
    similarity, offset, flipped = board.slide(windows.contributions[chosen, middle : middle + PATTERN])
    best = int(np.where(similarity >= ALIKE_ONE, similarity, 0.0).sum(axis=1).argmax())
    inside = np.flatnonzero(similarity[best] >= ALIKE_ONE)
    if not len(inside):
        return np.asarray(windows.contributions[chosen[best], middle : middle + PATTERN])
    return board.mean(inside, offset[best], flipped[best])


def _cluster(board: _Board, rows: IntArray, offset: IntArray, flipped: BoolArray, chance_share: float) -> Cluster:
    windows = board.windows
    bases = np.pad(windows.bases, ((0, 0), (OVERHANG, OVERHANG), (0, 0)))
    return Cluster(
        sample=windows.sample[rows],
        start=windows.start[rows] - FLANK - OVERHANG + offset[rows],
        flipped=flipped[rows],
        contributions=aligned(board.padded, rows, offset, flipped),
        bases=aligned(bases, rows, offset, flipped),
        chance_share=chance_share,
    )
