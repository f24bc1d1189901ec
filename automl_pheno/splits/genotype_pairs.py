"""Compare every two samples by their genotypes, in blocks; no n x n matrix is ever held.

Each genotype is -1, 0 or 1 (homozygote, heterozygote, other homozygote); missing calls are 0 in every factor, so all
sums below run over the markers that both samples of a pair are called at. With X the genotypes, A = ``|X|`` the
homozygotes and H the heterozygotes, ``X X'`` and ``A A'`` give the opposite homozygotes, ``H H'``, ``H A'`` and
``A H'`` the rest. Sums of at most 2^24 are exact in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, IntArray
from automl_pheno.progress import tick
from automl_pheno.splits.thresholds import Estimator

_BLOCK = 1 << 24  # genotypes of one float32 operand; up to six are held
_LEAST_ROWS, _MOST_ROWS = 128, 2048
_BINS = 60
_RANGE: dict[Estimator, tuple[float, float]] = {"king": (-0.7, 0.5), "ibs": (0.0, 1.0), "grm": (-1.0, 1.0)}

_F32 = npt.NDArray[np.float32]
_Operands = tuple[_F32, ...]


class TooManyPairsError(Exception):
    """More pairs at the highest rung than may be held; caught by the grouping, which knows what to advise."""

    def __init__(self, found: int, share: float) -> None:
        super().__init__(f"{found:,} pairs after {share:.0%} of the comparisons")
        self.found = found
        self.share = share


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """What a comparison of all pairs found.

    Attributes
    ----------
    first, second, similarity
        The pairs at or above `threshold`, in order, ``first < second``; int64, int64 and float64, shape (m,).
    threshold
        The lowest rung at which the pairs could be held.
    counts
        Rung -> pairs at or above it, of all pairs.
    edges, histogram
        Edges of bins, shape (61,), and all pairs in each, shape (60,); what lies outside is in the outermost.
    undefined
        Pairs without any value, for want of shared calls or of heterozygotes.
    fewest_shared
        Least number of markers at which two samples are both called.
    highest, highest_pair
        The greatest similarity and its two rows; None with fewer than two samples.
    """

    first: IntArray
    second: IntArray
    similarity: FloatArray
    threshold: float
    counts: Mapping[float, int]
    edges: FloatArray
    histogram: IntArray
    undefined: int
    fewest_shared: int
    highest: float | None
    highest_pair: tuple[int, int] | None


def compare_genotypes(
    codes: npt.NDArray[np.int8], estimator: Estimator, rungs: tuple[float, ...], *, most: int = 30_000_000
) -> Compared:
    """Compare all pairs of samples.

    Parameters
    ----------
    codes
        0, 1, 2 alternate alleles or 3 (missing), int8, shape (n, p).
    estimator
        ``king``: KING-robust kinship (Manichaikul et al. 2010, equation 11). ``ibs``: 1 - mean |difference| / 2.
        ``grm``: correlation of standardised genotypes.
    rungs
        Thresholds, rising. Pairs are kept from the first on; where these are more than `most`, from the next.
    most
        Pairs to hold.

    Raises
    ------
    TooManyPairsError
        More than `most` pairs at the last rung.
    """
    n, p = codes.shape
    measure = _MEASURES[estimator](codes)
    scan = _Scan(n, estimator, rungs, most)
    step = min(max(_LEAST_ROWS, _BLOCK // max(p, 1)), _MOST_ROWS)
    starts = range(0, n, step)
    total, done = n * n, 0
    for start in starts:
        rows = slice(start, min(start + step, n))
        operands = measure.operands(rows)
        for other in range(start, n, step):
            columns = slice(other, min(other + step, n))
            tick("comparing genotypes", done / total)
            against = operands if other == start else measure.operands(columns)
            similarity, shared = measure.compare(operands, against)
            scan.add(similarity, shared, start, other)
            area = similarity.size
            done += area if other == start else 2 * area
            scan.check(done / total)
    tick("comparing genotypes", 1.0)
    return scan.result(p)


class _Scan:
    """What is kept of each block."""

    def __init__(self, n: int, estimator: Estimator, rungs: tuple[float, ...], most: int) -> None:
        self.n, self.most = n, most
        self.rungs = rungs
        self.place = 0  # of the rung from which on pairs are kept
        low, high = _RANGE[estimator]
        self.edges = np.linspace(low, high, _BINS + 1)
        self.histogram = np.zeros(_BINS, dtype=np.int64)
        self.counts = dict.fromkeys(rungs, 0)
        self.kept: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], FloatArray]] = []
        self.held = 0
        self.undefined = 0
        self.fewest: float | None = None
        self.highest = -np.inf
        self.pair: tuple[int, int] | None = None

    def add(self, similarity: FloatArray, shared: FloatArray | None, start: int, other: int) -> None:
        """Take the similarities of one block; NaN is undefined. Changes `similarity`."""
        if start == other:
            similarity[np.tril_indices(len(similarity))] = -np.inf
        valid = np.isfinite(similarity)
        self.undefined += int(np.isnan(similarity).sum())
        if shared is not None:
            apart = shared if start != other else shared[np.triu_indices(len(shared), 1)]
            fewest = float(apart.min(initial=np.inf))
            self.fewest = fewest if self.fewest is None else min(fewest, self.fewest)
        values = similarity[valid]
        low, high = self.edges[0], self.edges[-1]
        bins = np.clip((values - low) * (_BINS / (high - low)), 0, _BINS - 1).astype(np.int64)
        self.histogram += np.bincount(bins, minlength=_BINS)
        similarity[~valid] = -np.inf
        if len(values):
            best = int(np.argmax(similarity))
            row, column = divmod(best, similarity.shape[1])
            if similarity[row, column] > self.highest:
                self.highest, self.pair = float(similarity[row, column]), (start + row, other + column)
        for rung in self.rungs:
            self.counts[rung] += int((values >= rung).sum())
        rows, columns = np.nonzero(similarity >= self.rungs[self.place])
        first, second = (rows + start).astype(np.int32), (columns + other).astype(np.int32)
        self.kept.append((first, second, similarity[rows, columns]))
        self.held += len(first)

    def check(self, share: float) -> None:
        """Climb to the next rung while more pairs are held than may be."""
        while self.held > self.most:
            if self.place + 1 == len(self.rungs):
                raise TooManyPairsError(self.held, share)
            self.place += 1
            rung = self.rungs[self.place]
            self.kept = [(a[s >= rung], b[s >= rung], s[s >= rung]) for a, b, s in self.kept]
            self.held = sum(len(s) for _, _, s in self.kept)

    def result(self, p: int) -> Compared:
        """Return the pairs in order of their rows."""
        first = np.concatenate([a for a, _, _ in self.kept] or [np.empty(0, dtype=np.int32)]).astype(np.int64)
        second = np.concatenate([b for _, b, _ in self.kept] or [np.empty(0, dtype=np.int32)]).astype(np.int64)
        similarity = np.concatenate([s for _, _, s in self.kept] or [np.empty(0)])
        self.kept = []
        order = np.argsort(first * self.n + second, kind="stable")
        return Compared(
            first=first[order],
            second=second[order],
            similarity=similarity[order],
            threshold=self.rungs[self.place],
            counts=self.counts,
            edges=self.edges,
            histogram=self.histogram,
            undefined=self.undefined,
            fewest_shared=p if self.fewest is None or not np.isfinite(self.fewest) else int(self.fewest),
            highest=self.highest if self.pair is not None else None,
            highest_pair=self.pair,
        )


class _Measure(Protocol):
    def operands(self, rows: slice) -> _Operands:
        """Return the float32 factors of a block of rows, shape (rows, p) each."""

    def compare(self, a: _Operands, b: _Operands) -> tuple[FloatArray, FloatArray | None]:
        """Return similarity, float64, shape (rows of a, rows of b), NaN where undefined; and shared calls or None."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counts:
    """Markers that are opposite homozygotes, heterozygous in both, in the first or in the second only; and all."""

    opposite: FloatArray
    both: FloatArray
    first_only: FloatArray
    second_only: FloatArray
    shared: FloatArray


class _Counted:
    """A similarity that is a function of counts of genotypes."""

    def __init__(self, codes: npt.NDArray[np.int8], similarity: Callable[[_Counts], FloatArray]) -> None:
        self.codes = codes
        self.complete = not bool((codes == 3).any())
        self.similarity = similarity

    def operands(self, rows: slice) -> _Operands:
        """Return X, A, and H where calls are missing."""
        codes = self.codes[rows]
        signed = np.array([-1.0, 0.0, 1.0, 0.0], dtype=np.float32)[codes]
        factors = (signed, np.abs(signed))
        return factors if self.complete else (*factors, (codes == 1).astype(np.float32))

    def compare(self, a: _Operands, b: _Operands) -> tuple[FloatArray, FloatArray | None]:
        """Return similarity and shared calls."""
        homozygous = _times(a[1], b[1])
        opposite = (homozygous - _times(a[0], b[0])) / 2.0
        if self.complete:
            first_only = b[1].sum(axis=1, dtype=np.float64)[None, :] - homozygous
            second_only = a[1].sum(axis=1, dtype=np.float64)[:, None] - homozygous
            shared = np.full((1, 1), float(self.codes.shape[1]))
            both = shared - homozygous - first_only - second_only
        else:
            first_only = _times(a[2], b[1])
            second_only = first_only.T if a is b else _times(a[1], b[2])
            both = _times(a[2], b[2])
            shared = both + first_only + second_only + homozygous
        counts = _Counts(opposite=opposite, both=both, first_only=first_only, second_only=second_only, shared=shared)
        return self.similarity(counts), None if self.complete else shared


def _king(counts: _Counts) -> FloatArray:
    """Return KING-robust kinship; without heterozygotes 1/2 where all calls agree, else undefined.

    With N_i = both + first_only and N_j = both + second_only, equation 11 of Manichaikul et al. 2010,
    ``(both - 2 opposite) / 2m + 1/2 - (N_i + N_j) / 4m`` with m the lesser of them, is what stands below.
    """
    least = counts.both + np.minimum(counts.first_only, counts.second_only)
    apart = 2.0 * counts.opposite + (counts.first_only + counts.second_only) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        kinship = 0.5 - apart / (2.0 * least)
    alike = np.where((apart == 0.0) & (counts.shared > 0.0), 0.5, np.nan)
    return np.where(least > 0.0, kinship, alike)


def _ibs(counts: _Counts) -> FloatArray:
    """Return 1 - mean |difference of dosages| / 2."""
    apart = 2.0 * counts.opposite + counts.first_only + counts.second_only
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - apart / (2.0 * counts.shared))


class _Correlation:
    """Correlation of genotypes that are standardised by allele frequency (VanRaden 2008, method 2, as correlation)."""

    def __init__(self, codes: npt.NDArray[np.int8]) -> None:
        self.codes = codes
        calls = np.stack([(codes == code).sum(axis=0) for code in (0, 1, 2)])
        frequency = (calls[1] + 2.0 * calls[2]) / (2.0 * np.maximum(calls.sum(axis=0), 1))
        sd = np.sqrt(np.maximum(2.0 * frequency * (1.0 - frequency), 1e-12))
        levels = [*((dosage - 2.0 * frequency) / sd for dosage in (0.0, 1.0, 2.0)), np.zeros(len(sd))]
        self.levels = np.stack(levels).astype(np.float32)
        self.complete = int(calls.sum()) == codes.size

    def operands(self, rows: slice) -> _Operands:
        """Return standardised genotypes, their squares, and the calls where some are missing."""
        codes = self.codes[rows]
        values = np.take_along_axis(self.levels, codes.astype(np.int64), axis=0)
        return (values, values**2) if self.complete else (values, values**2, (codes != 3).astype(np.float32))

    def compare(self, a: _Operands, b: _Operands) -> tuple[FloatArray, FloatArray | None]:
        """Return correlation and shared calls."""
        shared = None
        if self.complete:
            norms = np.outer(a[1].sum(axis=1, dtype=np.float64), b[1].sum(axis=1, dtype=np.float64))
        else:
            norms = _times(a[1], b[2]) * _times(a[2], b[1])
            shared = _times(a[2], b[2])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(norms > 0.0, _times(a[0], b[0]) / np.sqrt(norms), np.nan), shared


def _times(a: _F32, b: _F32) -> FloatArray:
    return np.asarray(a @ b.T, dtype=np.float64)


_MEASURES: dict[Estimator, Callable[[npt.NDArray[np.int8]], _Measure]] = {
    "king": lambda codes: _Counted(codes, _king),
    "ibs": lambda codes: _Counted(codes, _ibs),
    "grm": _Correlation,
}
