"""Libraries of mutants of one sequence: recognised, and the extrapolation that was declared for them checked.

There every sequence is like every other, so similarity across sides is no fault but the design; what counts is whether
the test set holds what it was declared to hold. A mutation is a base that differs from the consensus of all sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, IntArray, UInt8Array
from automl_pheno.progress import ticking
from automl_pheno.splits.audit.sides import NONE, STAGES, BoolArray, Crossing, Sides

FARTHEST = 0.25
"""Median share of the bases in which sequences of one ancestor differ from their consensus, at most."""

_FEWEST = 50
_CONSTANT = 0.99
_SAMPLE = 800
_STEP = 0.2
_MOST_OF = 0.5
_DRAWN = 2000  # sequences of a stage whose nearest one in training is looked for
_OPERAND = 1 << 24
_BINS = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ancestor:
    """The consensus of a library and how each sequence differs from it.

    Attributes
    ----------
    consensus
        Bit codes, uint8, shape (length,).
    mutated
        True where a sequence differs, shape (n, length).
    """

    consensus: UInt8Array
    mutated: BoolArray


def find_ancestor(codes: UInt8Array) -> Ancestor | None:
    """Return the ancestor of sequences of one length that are all near to their consensus; None where there is none.

    The median sequence differs from the consensus in at most a quarter of the places between constant flanks (of all
    places where nearly all are constant, as in libraries of single mutants), and from one sequence to the next in at
    most a fifth of these most of a sample can be reached.
    """
    n, length = codes.shape
    if n < _FEWEST or not length or (codes == 0).any():
        return None
    ancestor = take_ancestor(codes)
    mutated = ancestor.mutated
    counts = np.stack([(codes == base).sum(axis=0) for base in (1, 2, 4, 8)])
    varying = np.flatnonzero(counts.max(axis=0) < _CONSTANT * n)
    low, high = 0, length
    if len(varying) and varying[-1] - varying[0] + 1 >= max(10, length // 10):
        low, high = int(varying[0]), int(varying[-1]) + 1
    if float(np.median(mutated[:, low:high].mean(axis=1))) > FARTHEST or not _is_connected(codes[:, low:high], mutated):
        return None
    return ancestor


def take_ancestor(codes: UInt8Array) -> Ancestor:
    """Return the consensus of any sequences as their ancestor; a place behind the end of one is not mutated."""
    counts = np.stack([(codes == base).sum(axis=0) for base in (1, 2, 4, 8)])
    consensus = (1 << counts.argmax(axis=0)).astype(np.uint8)
    return Ancestor(consensus=consensus, mutated=(codes != consensus) & np.isin(codes, (1, 2, 4, 8)))


def _is_connected(codes: UInt8Array, mutated: BoolArray) -> bool:
    """Say whether most of a sample is reached from the least mutated one in steps of at most a fifth of the places."""
    sample = np.arange(0, len(codes), max(1, len(codes) // _SAMPLE))[:_SAMPLE]
    equal = _indicators(codes[sample])
    near = equal @ equal.T >= (1.0 - _STEP) * codes.shape[1] - 1e-3
    reached = np.zeros(len(sample), dtype=bool)
    reached[mutated[sample].sum(axis=1).argmin()] = True
    while True:
        grown = reached | near[reached].any(axis=0)
        if (grown == reached).all():
            return bool(reached.mean() > _MOST_OF)
        reached = grown


def extrapolation_broken(codes: UInt8Array, ancestor: Ancestor, declared: str, sides: Sides) -> dict[str, Crossing]:
    """Count the evaluated sequences that do not hold what was declared.

    Parameters
    ----------
    codes
        Bit codes, uint8, shape (n, length).
    ancestor
        Of these.
    declared
        ``unseen``: each evaluated sequence has a mutation (place and base) that no sequence it is trained with has.
        ``mutations``: each has more mutations than any that it is trained with. ``position``: each is mutated at a
        place at which none that it is trained with is.
    sides
        Of the n samples.
    """
    out = {stage: NONE for stage in STAGES if len(sides.rows(stage))}
    for stage, rows, trained in sides.evaluations():
        if declared == "mutations":
            counts = ancestor.mutated.sum(axis=1)
            holds = counts[rows] > counts[trained].max()
        elif declared == "position":
            fresh = ~ancestor.mutated[trained].any(axis=0)
            holds = (ancestor.mutated[rows] & fresh).any(axis=1)
        else:
            seen = np.bitwise_or.reduce(np.where(ancestor.mutated[trained], codes[trained], np.uint8(0)), axis=0)
            unseen = ancestor.mutated[rows] & ((codes[rows] & ~seen) != 0)
            holds = unseen.any(axis=1)
        broken = rows[~holds]
        nearest = trained[np.zeros(len(broken), dtype=np.int64)]
        before = out[stage]
        out[stage] = Crossing(
            count=before.count + len(broken),
            examples=np.concatenate([before.examples, np.stack([broken, nearest], axis=1)])[:3],
        )
    return out


def nearest_in_training(
    codes: UInt8Array, sides: Sides, rng: np.random.Generator
) -> tuple[IntArray, IntArray, dict[str, Any]]:
    """Return the nearest sequence in training by substitutions, its distance, and histograms for the card.

    Parameters
    ----------
    codes
        Bit codes of one length, uint8, shape (n, length).
    sides
        Of the n samples.
    rng
        Draws 2,000 of each stage where there are more.

    Returns
    -------
    nearest, distance
        int64, shape (n,), -1 where nothing was looked for.
    facts
        For each stage how many sequences have their nearest one in training at 0, 1, 2 ... substitutions.
    """
    n = len(codes)
    nearest, distance = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for stage in STAGES:
        rows = sides.rows(stage)
        drawn = rng.permutation(rows)[:_DRAWN]
        for code in np.unique(sides.code[drawn]).tolist():
            some = drawn[sides.code[drawn] == code]
            others = np.flatnonzero(sides.trained[code]).astype(np.int64)
            if len(others):
                nearest[some], distance[some] = _nearest(codes, some, others)
    facts: dict[str, Any] = {}
    for stage in STAGES:
        rows = sides.rows(stage)
        known = distance[rows][distance[rows] >= 0]
        if len(known):
            counts = np.bincount(known)
            facts[stage] = {
                "compared": len(known),
                "of": len(rows),
                "median": float(np.median(known)),
                "substitutions": {str(place): int(count) for place, count in enumerate(counts) if count},
            }
    return nearest, distance, facts


def _nearest(codes: UInt8Array, rows: IntArray, others: IntArray) -> tuple[IntArray, IntArray]:
    best = np.full(len(rows), -1, dtype=np.int64)
    equal = np.full(len(rows), -1.0)
    here = _indicators(codes[rows])
    step = max(64, _OPERAND // max(4 * codes.shape[1], 1))
    for start in ticking("auditing a library", list(range(0, len(others), step))):
        some = others[start : start + step]
        shared: FloatArray = here @ _indicators(codes[some]).T
        place = shared.argmax(axis=1)
        value = shared[np.arange(len(rows)), place]
        better = value > equal
        equal[better] = value[better]
        best[better] = some[place[better]]
    return best, (codes.shape[1] - equal).astype(np.int64)


def _indicators(codes: UInt8Array) -> npt.NDArray[np.float32]:
    return np.concatenate([codes == base for base in (1, 2, 4, 8)], axis=1).astype(np.float32)
