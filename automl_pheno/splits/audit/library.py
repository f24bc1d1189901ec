"""Libraries of mutants of one sequence: recognised, and the extrapolation that was declared for them checked.

There every sequence is like every other, so similarity across sides is no fault but the design; what counts is whether
the test set holds what it was declared to hold. A mutation is a base that differs from the consensus of all sequences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, IntArray, UInt8Array, encode_sequences
from automl_pheno.errors import SplitError
from automl_pheno.progress import ticking
from automl_pheno.splits.audit.sides import STAGES, BoolArray, Crossing, Sides, gather

FARTHEST = 0.25
"""Median share of the bases in which sequences of one ancestor differ from their consensus, at most."""

MOST_DENSE = 40
"""Places at which the sequences of a dense library differ, at most."""

_FEWEST = 50
_SHUFFLED = 0.7
_FEW_PLACES = 4
_MOST_REACHED = 60_000
_STARTS = 8
_AT_ONCE = 256
_CONSTANT = 0.99
_SAMPLE = 800
_STEP = 0.2
_MOST_OF = 0.5
_DRAWN = 2000  # sequences of a stage whose nearest one in training is looked for at least, and
_MOST_PRODUCTS = 2e11  # all of them where these take no more multiplications
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
    places where nearly all are constant, as in libraries of single mutants), at half of the places that vary more than
    70 % have its base, and from one sequence to the next in at
    most a fifth of these most of a sample can be reached.
    """
    n, length = codes.shape
    if n < _FEWEST or not length or (codes == 0).any():
        return None
    ancestor = take_ancestor(codes)
    mutated = ancestor.mutated
    counts = np.stack([(codes == base).sum(axis=0) for base in (1, 2, 4, 8)])
    varying = np.flatnonzero(counts.max(axis=0) < _CONSTANT * n)
    if len(varying) >= _FEW_PLACES and float(np.median(counts.max(axis=0)[varying])) <= _SHUFFLED * n:
        return None  # no consensus: bases are drawn anew
    low, high = 0, length
    if len(varying) and varying[-1] - varying[0] + 1 >= max(10, length // 10):
        low, high = int(varying[0]), int(varying[-1]) + 1
    if float(np.median(mutated[:, low:high].mean(axis=1))) > FARTHEST or not _is_connected(codes[:, low:high], mutated):
        return None
    return ancestor


def find_dense(codes: UInt8Array, rng: np.random.Generator, most: int = MOST_DENSE) -> BoolArray | None:
    """Return the places that vary in a dense library, shape (length,); None where the sequences are none.

    In a dense library sequences of one length differ at a few places only, and so many of the possible ones are there
    that steps of at most a fifth of these places (rounded up) lead to most of them. No split of it keeps neighbours
    apart.
    """
    n, length = codes.shape
    if n < _FEWEST or not length or (codes == 0).any():
        return None
    counts = np.stack([(codes == base).sum(axis=0) for base in (1, 2, 4, 8)])
    varies = counts.max(axis=0) < _CONSTANT * n
    width = int(varies.sum())
    if not 1 <= width <= most:
        return None
    different = np.unique(codes[:, varies], axis=0)
    if len(different) < _FEWEST:
        return None
    if len(different) > _MOST_REACHED:
        # neighbours must be there in a sample, too: a library that is dense only as a whole is not looked into further
        different = different[np.sort(rng.permutation(len(different))[:_MOST_REACHED])]
    steps = int(np.ceil(_STEP * width - 1e-9))
    return varies if _share_reached(different, steps, rng) > _MOST_OF else None


def _share_reached(different: UInt8Array, most: int, rng: np.random.Generator) -> float:
    """Return the share of different sequences that one of eight random ones reaches in steps of `most` substitutions.

    A library is dense where most have a neighbour, so the walk from a random sequence comes to nearly all or to few.
    """
    every = _indicators(different)
    best = 0.0
    for start in rng.permutation(len(different))[:_STARTS].tolist():
        reached = np.zeros(len(different), dtype=bool)
        reached[start] = True
        waiting = [start]
        while waiting:
            some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            near = (every[some] @ every.T >= different.shape[1] - most - 0.5).any(axis=0)
            fresh = np.flatnonzero(near & ~reached)
            reached[fresh] = True
            waiting += fresh.tolist()
            if reached.mean() > _MOST_OF:
                return float(reached.mean())
        best = max(best, float(reached.mean()))
    return best


def take_ancestor(codes: UInt8Array, reference: str | None = None) -> Ancestor:
    """Return the consensus of any sequences, or a reference, as their ancestor; nothing is mutated behind an end.

    Raises
    ------
    SplitError
        The reference is of another length.
    """
    if reference is None:
        counts = np.stack([(codes == base).sum(axis=0) for base in (1, 2, 4, 8)])
        consensus = (1 << counts.argmax(axis=0)).astype(np.uint8)
    else:
        consensus = encode_sequences([reference], lambda *_: "the reference of the library")[0][0]
    if len(consensus) != codes.shape[1]:
        msg = f"audit: the reference of the library has {len(consensus)} bp, the sequences have {codes.shape[1]}"
        raise SplitError(msg)
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
    evaluated, partners = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for _, rows, trained in sides.evaluations():
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
        evaluated.append(rows[~holds])
        partners.append(np.full(int((~holds).sum()), trained[0], dtype=np.int64))
    return sequences_across(sides, np.concatenate(evaluated), np.concatenate(partners))


def sequences_across(
    sides: Sides, evaluated: IntArray, trained: IntArray, alike: FloatArray | None = None
) -> dict[str, Crossing]:
    """Return the crossings where evaluated sequences are counted, each against all that it is trained with at once."""
    found = gather(sides, evaluated, trained, evaluated, alike=alike)
    return {
        stage: replace(crossing, parts={}, between=(sides.stage_name(stage), sides.trained_name(stage)))
        for stage, crossing in found.items()
    }


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
        Draws some of each stage where to compare all would take too long, 2,000 at least.

    Returns
    -------
    nearest, distance
        int64, shape (n,), -1 where nothing was looked for.
    facts
        For each stage how many sequences have their nearest one in training at 0, 1, 2 ... substitutions.
    """
    n = len(codes)
    codes = codes[:, (codes != codes[:1]).any(axis=0)]  # where all are alike nobody differs
    nearest, distance = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    affordable = max(_DRAWN, int(_MOST_PRODUCTS // max(4 * codes.shape[1] * n, 1)))
    for stage in STAGES:
        rows = sides.rows(stage)
        drawn = rows if len(rows) <= affordable else rng.permutation(rows)[:affordable]
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
