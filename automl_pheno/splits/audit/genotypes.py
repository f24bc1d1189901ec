"""How related each sample that is evaluated is to those it is trained with: every pair, by code of its own.

The groupings count genotypes of each kind; here the squared and absolute differences of dosages are summed instead,
so that a mistake in one shows in the other. Only the choice of variants is shared (``markers.py``), since kinship at
other variants is another quantity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, Inputs, IntArray
from automl_pheno.errors import SplitError
from automl_pheno.progress import tick
from automl_pheno.splits.audit.sides import STAGES, BoolArray, Crossing, Scan, Sides, quantiles, set_of
from automl_pheno.splits.markers import choose_markers
from automl_pheno.splits.thresholds import IBS_LADDER, KINSHIP_LADDER, MEASURES, Estimator

_OPERAND = 1 << 24  # dosages of one block as float32
_MOST_ROWS = 2048
_MISSING = -1
_EXAMPLES = 3
_F32 = npt.NDArray[np.float32]

DEFAULT_THRESHOLDS: dict[Estimator, float] = {"king": KINSHIP_LADDER[0], "ibs": IBS_LADDER[0], "grm": 0.5}
"""From which on two samples are said to be alike where nothing is stated."""


def scan_genotypes(inputs: Inputs, sides: Sides, estimator: Estimator, threshold: float) -> Scan | None:
    """Compare every evaluated sample with every sample it is trained with.

    Parameters
    ----------
    inputs
        Genotypes of n samples.
    sides
        Of these.
    estimator
        ``king``: 1/2 - sum of squared differences / (4 x the fewer heterozygous calls), which is KING-robust
        (Manichaikul et al. 2010, equation 11) written in dosages. ``ibs``: 1 - mean absolute difference / 2.
        ``grm``: correlation of dosages standardised by allele frequency (VanRaden 2008, method 2).
    threshold
        Pairs from this similarity on are counted.

    Returns
    -------
    Scan or None
        None where no variant varies. Its leak ratio is DataSAIL's (Joeres et al. 2025) over the pairs with a
        similarity of at least half the threshold and of which one sample at least is evaluated: the sum of the
        similarities of pairs on two sides by that of all.
    """
    try:
        markers = choose_markers(inputs)
    except SplitError:
        return None
    codes = _codes(inputs.values, markers.columns, markers.homozygote)
    measure = _Correlation(codes) if estimator == "grm" else _King(codes) if estimator == "king" else _Ibs(codes)
    evaluated = sides.evaluated
    others = np.setdiff1d(np.flatnonzero(sides.used()), evaluated)
    tally = _Tally(sides, threshold)
    step = int(np.clip(_OPERAND // max(codes.shape[1], 1), 64, _MOST_ROWS))
    blocks = [evaluated[start : start + step] for start in range(0, len(evaluated), step)]
    n_evaluated = len(blocks)
    blocks += [others[start : start + step] for start in range(0, len(others), step)]
    total = sum(len(blocks) - number for number in range(n_evaluated))
    done = 0
    for number in range(n_evaluated):
        first = measure.operands(blocks[number])
        for other in range(number, len(blocks)):
            tick("auditing genotypes", done / total)
            second = first if other == number else measure.operands(blocks[other])
            similarity = measure.compare(first, second)
            if other == number:
                similarity[np.tril_indices(len(similarity))] = np.nan
            tally.add(blocks[number], blocks[other], similarity)
            done += 1
    tick("auditing genotypes", 1.0)
    facts: dict[str, Any] = {
        "estimator": estimator,
        "markers": len(markers),
        "marker_rule": markers.rule,
        "compared": f"all {tally.pairs:,} pairs of a sample that is evaluated and one that it is trained with",
        "undefined": tally.undefined,
        "leak_ratio_from": threshold / 2.0,
    }
    return tally.scan(MEASURES[estimator], facts)


def _codes(values: npt.NDArray[Any], columns: IntArray, homozygote: float) -> npt.NDArray[np.int8]:
    codes = np.empty((len(values), len(columns)), dtype=np.int8)
    step = max(1, _OPERAND // max(len(columns), 1))
    for start in range(0, len(values), step):
        some = values[start : start + step, columns] * (2.0 / homozygote)
        codes[start : start + step] = np.nan_to_num(np.rint(some), nan=_MISSING)
    return codes


class _Tally:
    """What is kept of each block of similarities."""

    def __init__(self, sides: Sides, threshold: float) -> None:
        self.sides, self.threshold = sides, threshold
        n = len(sides)
        self.nearest = np.full(n, -1, dtype=np.int64)
        self.similarity = np.full(n, -np.inf)
        self.names, self.side = np.unique(sides.names, return_inverse=True)
        self.pair_counts = np.zeros((len(self.names), len(self.names)), dtype=np.int64)  # side evaluated, side trained
        self.touched = np.zeros((len(self.names), n), dtype=bool)  # side trained, row evaluated
        self.pairs = 0
        self.undefined = 0
        self.crossing_sum = 0.0
        self.sum = 0.0

    def add(self, first: IntArray, second: IntArray, similarity: FloatArray) -> None:
        """Take the similarities of rows `first` and `second`, NaN where a pair is undefined or seen elsewhere."""
        forward = self._meets(first, second)
        backward = self._meets(second, first).T
        same_block = first is second
        if same_block:
            forward, backward = np.triu(forward, 1), np.triu(backward, 1)
        crossing = forward | backward
        defined = np.isfinite(similarity)
        self.pairs += int(crossing.sum())
        self.undefined += int((crossing & ~defined).sum())
        filled = np.where(defined, similarity, -np.inf)
        found = crossing & (filled >= self.threshold)
        self._count(first, second, found & forward, found & forward)
        self._count(second, first, (found & backward).T, (found & backward & ~forward).T)
        alike = filled >= self.threshold / 2.0
        self.sum += float(filled[alike].sum())
        self.crossing_sum += float(filled[alike & crossing].sum())
        self._remember(first, second, np.where(forward, filled, -np.inf))
        self._remember(second, first, np.where(backward, filled, -np.inf).T)

    def _meets(self, rows: IntArray, others: IntArray) -> BoolArray:
        code = self.sides.code[rows]
        met: BoolArray = self.sides.trained[:, others][code] & (code >= 0)[:, None]
        return met

    def _count(self, rows: IntArray, others: IntArray, found: BoolArray, new: BoolArray) -> None:
        """Take the pairs found of `rows` evaluated and `others` trained on; `new` ones are not counted already."""
        n_sides = len(self.names)
        for side in np.unique(self.side[others]):
            inside = self.side[others] == side
            self.touched[side, rows[found[:, inside].any(axis=1)]] = True
            counts = new[:, inside].sum(axis=1)
            self.pair_counts[:, side] += np.bincount(self.side[rows], weights=counts, minlength=n_sides).astype(
                np.int64
            )

    def _crossing(self, stage: str, rows: IntArray, similarity: FloatArray) -> Crossing:
        """Return what was found at one stage; the examples and the worst are of all pairs compared."""
        top = rows[np.argsort(-similarity[rows], kind="stable")[:_EXAMPLES]]
        at_stage = np.zeros(len(self.side), dtype=bool)
        at_stage[self.sides.rows(stage)] = True
        counts = self.pair_counts[np.unique(self.side[at_stage])]
        touched = self.touched & at_stage
        parts: dict[str, tuple[int, BoolArray]] = {}
        for side in np.flatnonzero(counts.any(axis=0)):
            name = set_of(str(self.names[side]))
            count, before = parts.get(name, (0, np.zeros_like(at_stage)))
            parts[name] = (count + int(counts[:, side].sum()), before | touched[side])
        sides = {
            frozenset((int(own), int(side)))
            for side in np.flatnonzero(touched.any(axis=1))
            for own in np.unique(self.side[touched[side]])
        }
        between = (self.sides.stage_name(stage), self.sides.trained_name(stage))
        if len(sides) == 1 and len(top):
            between = (str(self.names[self.side[top[0]]]), str(self.names[self.side[self.nearest[top[0]]]]))
        return Crossing(
            count=int(counts.sum()),
            examples=np.stack([top, self.nearest[top]], axis=1),
            worst=float(similarity[top[0]]),
            rows=np.flatnonzero(touched.any(axis=0)).astype(np.int64),
            parts={name: (count, int(flags.sum())) for name, (count, flags) in sorted(parts.items())},
            between=between,
        )

    def _remember(self, rows: IntArray, others: IntArray, similarity: FloatArray) -> None:
        best = np.argmax(similarity, axis=1)
        value = similarity[np.arange(len(rows)), best]
        better = value > self.similarity[rows]
        self.similarity[rows[better]] = value[better]
        self.nearest[rows[better]] = others[best[better]]

    def scan(self, measure: str, facts: dict[str, Any]) -> Scan:
        """Return what was found."""
        known = self.nearest >= 0
        similarity = np.where(known, self.similarity, np.nan)
        crossings = {}
        for stage in STAGES:
            rows = self.sides.rows(stage)
            rows = rows[known[rows]]
            if not len(rows):
                continue
            crossings[stage] = self._crossing(stage, rows, similarity)
            facts[f"nearest_{stage}"] = quantiles(similarity[rows])
        return Scan(
            measure=measure,
            threshold=self.threshold,
            crossings=crossings,
            nearest=self.nearest,
            similarity=similarity,
            leak_ratio=self.crossing_sum / self.sum if self.sum > 0.0 else 0.0,
            facts=facts,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Operand:
    values: _F32  # dosages, missing 0
    called: _F32 | None  # None where no call is missing
    rows: IntArray


class _Dosages:
    def __init__(self, codes: npt.NDArray[np.int8]) -> None:
        self.codes = codes
        self.complete = not bool((codes == _MISSING).any())

    def operands(self, rows: IntArray) -> _Operand:
        """Return what a block of rows needs."""
        codes = self.codes[rows]
        called = None if self.complete else (codes != _MISSING).astype(np.float32)
        return _Operand(values=np.maximum(codes, 0).astype(np.float32), called=called, rows=rows)


class _King(_Dosages):
    def compare(self, a: _Operand, b: _Operand) -> FloatArray:
        """Return kinship; 1/2 where samples without heterozygous calls agree throughout, NaN where they do not."""
        product = _times(a.values, b.values)
        square_a, square_b = a.values**2, b.values**2
        hets_a, hets_b = (a.values == 1.0).astype(np.float32), (b.values == 1.0).astype(np.float32)
        apart = _over_shared(square_a, b.called) + _over_shared(square_b, a.called).T - 2.0 * product
        fewer = np.minimum(_over_shared(hets_a, b.called), _over_shared(hets_b, a.called).T)
        with np.errstate(divide="ignore", invalid="ignore"):
            kinship = 0.5 - apart / (4.0 * fewer)
        none = fewer == 0.0
        if none.any():
            shared = None if a.called is None or b.called is None else _times(a.called, b.called)
            agree = (apart == 0.0) if shared is None else (apart == 0.0) & (shared > 0.0)
            kinship[none] = np.where(agree[none], 0.5, np.nan)
        return np.asarray(kinship)


class _Ibs(_Dosages):
    def compare(self, a: _Operand, b: _Operand) -> FloatArray:
        """Return the share of alleles that are identical by state."""
        # |x - y| of dosages, each written as (>= 1) + (>= 2): x + y - 2 (common ones)
        common = sum(
            _times((a.values >= level).astype(np.float32), (b.values >= level).astype(np.float32)) for level in (1, 2)
        )
        apart = _over_shared(a.values, b.called) + _over_shared(b.values, a.called).T - 2.0 * common
        shared: FloatArray | float = float(self.codes.shape[1])
        if a.called is not None and b.called is not None:
            shared = _times(a.called, b.called)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(1.0 - apart / (2.0 * np.asarray(shared)))


class _Correlation(_Dosages):
    def __init__(self, codes: npt.NDArray[np.int8]) -> None:
        super().__init__(codes)
        known = np.maximum((codes != _MISSING).sum(axis=0), 1)
        self.mean = np.maximum(codes, 0).sum(axis=0, dtype=np.int64) / known
        self.sd = np.sqrt(np.maximum(self.mean * (1.0 - self.mean / 2.0), 1e-12))

    def operands(self, rows: IntArray) -> _Operand:
        """Return standardised dosages, 0 where missing."""
        codes = self.codes[rows]
        called = codes != _MISSING
        values = np.where(called, (codes - self.mean) / self.sd, 0.0).astype(np.float32)
        return _Operand(values=values, called=None if self.complete else called.astype(np.float32), rows=rows)

    def compare(self, a: _Operand, b: _Operand) -> FloatArray:
        """Return correlations over the markers called in both."""
        lengths = _over_shared(a.values**2, b.called) * _over_shared(b.values**2, a.called).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(_times(a.values, b.values) / np.sqrt(lengths))


def _times(a: _F32, b: _F32) -> FloatArray:
    return np.asarray(a @ b.T, dtype=np.float64)  # sums of whole numbers to 2^24 are exact in float32


def _over_shared(values: _F32, called: _F32 | None) -> FloatArray:
    """Return the sum of each row of `values` over the markers called in each row of `called`."""
    return values.sum(axis=1, dtype=np.float64)[:, None] if called is None else _times(values, called)
