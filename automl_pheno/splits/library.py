"""Libraries of mutants of one sequence: recognised, and split by what is extrapolated to.

In such a library every sequence is a near copy of every other. No split of it is free of near copies; an honest one
says which mutations the test asks about that training has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from automl_pheno.curation.sequences import FEWEST_ROWS, constant_flanks
from automl_pheno.data import Dataset, FloatArray, Inputs, IntArray, StrArray, UInt8Array, decode
from automl_pheno.data.encode import PADDING
from automl_pheno.errors import SplitError
from automl_pheno.splits.kmers import BoolArray
from automl_pheno.splits.thresholds import IDENTITY

Extrapolating = Literal["unseen", "mutations", "position"]

MOST_MUTATED = 0.25
"""Median share of the positions at which a sequence of a library differs from the consensus, at most."""

LARGEST_CLUSTER = 0.5
"""Share of a sample of sequences that single linkage at identity 0.8 must put into one cluster, at least."""

_SAMPLE = 1000
_DRAWS = 20
_NEAR = 0.02  # of the share asked
_PLAIN = (1, 2, 4, 8)
_FAR = 2.0  # a set is refused that is so many times larger or smaller than asked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Library:
    """A library of mutants of one sequence.

    Attributes
    ----------
    reference
        The consensus: the most frequent base at each position, IUPAC bit codes, uint8, shape (length,).
    counts
        Mutations of each sequence: plain bases unlike the reference; int64, shape (n,).
    varies
        True where a sequence differs from the reference; shape (length,).
    variable
        Positions at which the sequences differ: those between the constant flanks.
    cluster
        Share of a sample that single linkage at identity 0.8 puts into one cluster.
    """

    reference: UInt8Array
    counts: IntArray
    varies: BoolArray
    variable: int
    cluster: float

    def describe(self) -> str:
        """Return why this is a library, in a sentence."""
        return (
            f"the sequences are mutants of one sequence: all have {len(self.reference):,} bp and differ from their "
            f"consensus at {np.median(self.counts):g} positions (median), and {self.cluster:.0%} of a sample are one "
            f"cluster at identity {IDENTITY:g}; no split of them is free of near copies"
        )

    def facts(self) -> dict[str, Any]:
        """Return plain values for the card."""
        return {
            "reference": decode(self.reference[None, :])[0],
            "median_mutations": float(np.median(self.counts)),
            "most_mutations": int(self.counts.max()),
            "variable_positions": self.variable,
            "largest_cluster": self.cluster,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extrapolation:
    """A split of a library.

    Attributes
    ----------
    sets
        ``train``, ``validation`` or ``test`` of each sample, str, shape (n,).
    notes
        What is extrapolated to, what was asked and got.
    facts
        The same in plain values for the card, among them the held-out mutations as ``A12G`` (1-based).
    """

    sets: StrArray
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


def find_library(inputs: Inputs) -> Library | None:
    """Return the library that the sequences are, or None.

    They are one where all have the same length, half of them differ from their consensus at no more than a quarter of
    the positions between constant flanks, and single linkage at identity 0.8 makes one cluster of most of a sample.
    """
    if inputs.kind != "sequence" or len(inputs) < FEWEST_ROWS:
        return None
    codes = inputs.values
    if (codes == PADDING).any():
        return None
    flanks = constant_flanks(codes)
    variable = codes.shape[1] - flanks.left - flanks.right
    reference = _consensus(codes)
    mutated = [_mutated(codes[:, position], base) for position, base in enumerate(reference)]
    counts = np.zeros(len(codes), dtype=np.int64)
    for one in mutated:
        counts += one
    if np.median(counts) > MOST_MUTATED * variable:
        return None
    core = codes[:, flanks.left : codes.shape[1] - flanks.right]
    cluster = _largest_cluster(core)
    if cluster <= LARGEST_CLUSTER:
        return None
    varies = np.array([bool(one.any()) for one in mutated])
    return Library(reference=reference, counts=counts, varies=varies, variable=variable, cluster=cluster)


def extrapolate(
    dataset: Dataset,
    library: Library,
    kind: Extrapolating,
    y: FloatArray,
    test: float,
    validation: float,
    rng: np.random.Generator,
) -> Extrapolation:
    """Return a split of a library by what is extrapolated to.

    ``unseen``: every test sample has a mutation (position and base) that no training or validation sample has, every
    validation sample one that no training sample has. ``mutations``: test samples have more mutations than validation
    samples, and these more than training samples. ``position``: every test sample is mutated in a block of positions
    in which no training or validation sample is, every validation sample in another in which no training sample is.
    A sample that would belong to both is tested.

    Parameters
    ----------
    dataset
        n sequences.
    library
        Of `find_library`.
    kind
        See above.
    y
        Trait, shape (n,); of draws with the right sizes that one is taken whose sets differ least in it.
    test, validation
        Shares asked; 0 is no such set.
    rng
        Draws mutations and positions.

    Raises
    ------
    SplitError
        The library does not allow such a split near the shares asked; the message says why.
    """
    codes = dataset.inputs.values
    wanted = {name: share for name, share in (("test", test), ("validation", validation)) if share > 0.0}
    make = _MAKERS[kind]
    best: tuple[float, float, StrArray, dict[str, Any]] | None = None
    for _ in range(1 if kind == "mutations" else _DRAWS):
        sets, held = make(codes, library, wanted, rng)
        off = max((abs(float((sets == name).mean()) - share) / share for name, share in wanted.items()), default=0.0)
        rank = (round(max(off, 0.05), 2), _difference(y, sets))  # within 5 % sizes are as good as equal
        if best is None or rank < best[:2]:
            best = (*rank, sets, held)
    if best is None:
        msg = "extrapolation: no split was drawn"
        raise SplitError(msg)
    _, difference, sets, held = best
    _refuse_far(kind, sets, wanted, library)
    return Extrapolation(
        sets=sets,
        notes=_notes(kind, sets, wanted, held, difference),
        facts={
            "extrapolation": kind,
            "shares": {name: round(float((sets == name).mean()), 4) for name in ("train", *reversed(wanted))},
            "asked": wanted,
            "largest_phenotype_difference": round(difference, 4),
            **held,
        },
    )


_Held = dict[str, Any]
_BOTH = "tested_that_would_be_both"
_Maker = Callable[[UInt8Array, Library, Mapping[str, float], np.random.Generator], tuple[StrArray, _Held]]


def _unseen(
    codes: UInt8Array, library: Library, wanted: Mapping[str, float], rng: np.random.Generator
) -> tuple[StrArray, _Held]:
    """Hold out mutations, in random order, until enough samples carry one."""
    sets = _all_training(len(codes))
    mutations = [
        (number // 4, 1 << (number % 4))
        for number in rng.permutation(4 * codes.shape[1]).tolist()
        if 1 << (number % 4) != library.reference[number // 4]
    ]
    held: _Held = {}
    for name, share in wanted.items():
        goal, free = share * len(codes), sets == "train"
        inside, both = np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
        chosen = []
        for position, base in mutations:
            grown = inside | (free & (codes[:, position] == base))
            size, before = int(grown.sum()), int(inside.sum())
            if size > before and abs(size - goal) < abs(before - goal):
                inside = grown
                both |= ~free & (codes[:, position] == base)
                chosen.append((position, base))
            if abs(inside.sum() - goal) <= _NEAR * goal:
                break
        sets[inside] = name
        mutations = [one for one in mutations if one not in chosen]
        held[_BOTH] = int(both.sum())
        held[f"{name}_mutations"] = [_name(library, *one) for one in sorted(chosen)]
    return sets, held


def _by_number(
    codes: UInt8Array, library: Library, wanted: Mapping[str, float], _: np.random.Generator
) -> tuple[StrArray, _Held]:
    """Hold out the samples with the most mutations."""
    counts = library.counts
    steps = np.unique(counts)
    if len(steps) <= len(wanted):
        found = ", ".join(map(str, steps.tolist()))
        msg = f"extrapolation 'mutations': the sequences have only {found} mutations, which cannot make"
        msg += f" {len(wanted) + 1} sets"
        raise SplitError(msg)
    sets = _all_training(len(codes))
    top = len(steps) - 1
    held: _Held = {}
    for number, (name, share) in enumerate(wanted.items()):
        sizes = np.cumsum([(counts == step).sum() for step in steps[top::-1]])
        reserved = len(wanted) - number  # steps that the sets to come need
        taken = int(np.argmin(np.abs(sizes[: top + 1 - reserved] - share * len(codes)))) + 1
        lowest = steps[top - taken + 1]
        sets[(counts >= lowest) & (counts <= steps[top])] = name
        held[f"{name}_fewest_mutations"] = int(lowest)
        top -= taken
    held["train_most_mutations"] = int(steps[top])
    return sets, held


def _by_position(
    codes: UInt8Array, library: Library, wanted: Mapping[str, float], rng: np.random.Generator
) -> tuple[StrArray, _Held]:
    """Hold out the samples that are mutated in a block of positions."""
    sets = _all_training(len(codes))
    taken = np.zeros(codes.shape[1], dtype=bool)
    held: _Held = {}
    for name, share in wanted.items():
        goal, free = share * len(codes), sets == "train"
        start = int(rng.choice(np.flatnonzero(~taken & library.varies)))
        inside, both = np.zeros(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
        stop = start
        while stop < codes.shape[1] and not taken[stop]:
            here = _mutated(codes[:, stop], library.reference[stop])
            grown = inside | (free & here)
            if abs(grown.sum() - goal) > abs(inside.sum() - goal):
                break
            inside, both, stop = grown, both | (here & ~free), stop + 1
        taken[start:stop] = True
        sets[inside] = name
        held[_BOTH] = int(both.sum())
        held[f"{name}_positions"] = [start + 1, stop]
    return sets, held


_MAKERS: dict[Extrapolating, _Maker] = {"unseen": _unseen, "mutations": _by_number, "position": _by_position}


def _all_training(n: int) -> StrArray:
    return np.full(n, "train", dtype="<U10")


def _name(library: Library, position: int, base: int) -> str:
    before, after = decode(np.array([[library.reference[position]], [base]], dtype=np.uint8))
    return f"{before}{position + 1}{after}"


def _mutated(column: UInt8Array, reference: np.uint8) -> BoolArray:
    """Return where a position holds a plain base other than the reference."""
    differs: BoolArray = (column != reference) & np.isin(column, _PLAIN)
    return differs


def _difference(y: FloatArray, sets: StrArray) -> float:
    """Return the largest Kolmogorov-Smirnov distance of the trait in a set to that in training."""
    known = np.isfinite(y)
    train = np.sort(y[known & (sets == "train")])
    distances = [0.0]
    for name in ("validation", "test"):
        other = np.sort(y[known & (sets == name)])
        if len(train) and len(other):
            at = np.concatenate([train, other])
            below = [np.searchsorted(side, at, side="right") / len(side) for side in (train, other)]
            distances.append(float(np.abs(below[0] - below[1]).max()))
    return max(distances)


def _refuse_far(kind: Extrapolating, sets: StrArray, wanted: Mapping[str, float], library: Library) -> None:
    asked = {"train": 1.0 - sum(wanted.values()), **wanted}
    for name, share in asked.items():
        got = float((sets == name).mean())
        if share / _FAR <= got <= share * _FAR:
            continue
        why = {
            "unseen": "single mutations are carried by too many or too few of them",
            "mutations": f"their numbers of mutations ({library.counts.min()} to {library.counts.max()}) come in too "
            "large steps",
            "position": "single positions are mutated in too many or too few of them",
        }[kind]
        msg = (
            f"extrapolation {kind!r}: {name} would have {got:.1%} of the {len(sets):,} samples where {share:.1%} were "
            f"asked: {why}"
        )
        raise SplitError(msg)


def _notes(
    kind: Extrapolating, sets: StrArray, wanted: Mapping[str, float], held: _Held, difference: float
) -> tuple[str, ...]:
    if kind == "unseen":
        parts = [
            f"{name} samples carry one of {len(held[f'{name}_mutations']):,} mutations "
            f"({_some(held[f'{name}_mutations'])}) that no sample {_before(name)} has"
            for name in wanted
        ]
    elif kind == "mutations":
        parts = [f"{name} samples have {held[f'{name}_fewest_mutations']} mutations or more" for name in wanted]
        parts.append(f"training samples at most {held['train_most_mutations']}")
    else:
        parts = [
            f"{name} samples are mutated at {_span(held[f'{name}_positions'])}, where no sample {_before(name)} is"
            for name in wanted
        ]
    got = {name: float((sets == name).mean()) for name in wanted}
    sizes = ", ".join(f"{name} {got[name]:.1%} (asked: {asked:.1%})" for name, asked in wanted.items())
    both = held.get(_BOTH, 0)
    return (
        f"the split extrapolates: {'; '.join(parts)}",
        f"{sizes}; " + (f"{both:,} samples that would be in both are tested; " if both else "") + "the sets are not "
        f"balanced on the trait, which goes with the mutations (largest KS distance to training: {difference:.2f})",
    )


def _span(ends: list[int]) -> str:
    return f"position {ends[0]}" if ends[0] == ends[1] else f"positions {ends[0]} to {ends[1]}"


def _before(name: str) -> str:
    return "of training or validation" if name == "test" else "of training"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _consensus(codes: UInt8Array) -> UInt8Array:
    """Return the most frequent plain base at each position."""
    counts = np.stack([(codes == base).sum(axis=0) for base in _PLAIN])
    bases: UInt8Array = np.array(_PLAIN, dtype=np.uint8)[counts.argmax(axis=0)]
    return bases


def _largest_cluster(core: UInt8Array) -> float:
    """Return the share of a sample of different sequences in the largest cluster of single linkage."""
    from scipy.sparse.csgraph import connected_components

    sample = np.unique(core[np.unique(np.linspace(0, len(core) - 1, _SAMPLE).astype(np.int64))], axis=0)
    matches = np.zeros((len(sample), len(sample)), dtype=np.float32)
    for base in _PLAIN:
        here = (sample == base).astype(np.float32)
        matches += here @ here.T
    _, labels = connected_components(matches >= IDENTITY * core.shape[1] - 1e-3, directed=False)
    return float(np.bincount(labels).max() / len(sample))
