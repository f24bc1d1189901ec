"""Libraries of mutants of one sequence, and dense ones, split by what is extrapolated to.

In such a library (``recognise.py``) every sequence is a near copy of others. No split of it is free of near copies; an
honest one says which mutations the test asks about that training has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from automl_pheno.data import Dataset, FloatArray, StrArray, UInt8Array, decode
from automl_pheno.errors import SplitError
from automl_pheno.splits.recognise import Library, find_library, mutated_at

__all__ = ["Extrapolating", "Extrapolation", "extrapolate", "find_library"]

Extrapolating = Literal["unseen", "mutations", "position"]

_DRAWS = 20
_NEAR = 0.02  # of the share asked
_FAR = {"unseen": 2.0, "mutations": 3.0, "position": 2.0}  # so many times larger or smaller than asked is refused


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


def extrapolate(
    dataset: Dataset,
    library: Library,
    kind: Extrapolating,
    y: FloatArray | None,
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
        Trait, shape (n,); of draws with the right sizes that one is taken whose sets differ least in it. None does not
        ask.
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
        rank = (
            round(max(off, 0.05), 2),
            0.0 if y is None else _difference(y, sets),
        )  # within 5 % sizes are as good as equal
        if best is None or rank < best[:2]:
            best = (*rank, sets, held)
    if best is None:
        msg = "extrapolation: no split was drawn"
        raise SplitError(msg)
    _, difference, sets, held = best
    _refuse_far(kind, sets, wanted, library)
    return Extrapolation(
        sets=sets,
        notes=_notes(kind, sets, wanted, held, None if y is None else difference, library),
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
            here = mutated_at(codes[:, stop], library.reference[stop])
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
        if share / _FAR[kind] <= got <= share * _FAR[kind]:
            continue
        why = {
            "unseen": "single mutations are carried by too many or too few of them",
            "mutations": f"their numbers of mutations ({library.counts.min()} to {library.counts.max()}) come in too "
            "large steps",
            "position": "single positions are mutated in too many or too few of them",
        }[kind]
        others = ", ".join(other for other in _MAKERS if other != kind)
        msg = (
            f"extrapolation {kind!r}: {name} would have {got:.1%} of the {len(sets):,} samples where {share:.1%} were "
            f"asked: {why}; ask for other shares (test, validation), for {others}, or for none: an ordinary split, "
            "which tests interpolation within the library"
        )
        raise SplitError(msg)


def _notes(
    kind: Extrapolating,
    sets: StrArray,
    wanted: Mapping[str, float],
    held: _Held,
    difference: float | None,
    library: Library,
) -> tuple[str, ...]:
    if kind == "unseen":
        parts = [
            f"{name} samples carry one of {len(held[f'{name}_mutations']):,} mutations "
            f"({_some(held[f'{name}_mutations'])}) that no sample {_before(name)} has"
            for name in wanted
        ]
    elif kind == "mutations":
        parts = [f"{name} samples have {held[f'{name}_fewest_mutations']} mutations or more" for name in wanted]
        parts.append(
            f"training samples at most {held['train_most_mutations']} (counted from the {library.reference_is})"
        )
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
        "balanced on the trait, which goes with the mutations"
        + ("" if difference is None else f" (largest KS distance to training: {difference:.2f})"),
    )


def _span(ends: list[int]) -> str:
    return f"position {ends[0]}" if ends[0] == ends[1] else f"positions {ends[0]} to {ends[1]}"


def _before(name: str) -> str:
    return "of training or validation" if name == "test" else "of training"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
