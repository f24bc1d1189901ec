"""What a motif does to the prediction: put into random sequences, taken out of its sequences, two at a distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, UInt8Array
from automl_pheno.data.encode import IUPAC_BITS, PADDING, complement_table, one_hot
from automl_pheno.explain.references import dinucleotide_shuffles, draw_rows
from automl_pheno.explain.registry import ExplainError
from automl_pheno.explain.scoring import Score

Motif = str | FloatArray
"""IUPAC letters, or base frequencies, shape (width, 4). Where a letter is ambiguous, or frequencies are even, a base is
drawn among those it allows; at N what stands there stays."""
Strand = Literal[1, -1]
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotifEffect:
    """Change of the prediction, phenotype units.

    Attributes
    ----------
    effect, sd, n
        Mean and standard deviation of the change over n sequences.
    low, high
        Bootstrap interval of the mean, 95 %, over sequences.
    changes
        Of each sequence, shape (n,).
    """

    effect: float
    sd: float
    n: int
    low: float
    high: float
    changes: FloatArray


def shuffled_backgrounds(inputs: Inputs, count: int, rng: np.random.Generator) -> Inputs:
    """Return dinucleotide shuffles of `count` sequences drawn from `inputs` (of all, where these are fewer)."""
    drawn = inputs.take(draw_rows(len(inputs), count, rng))
    return replace(drawn, values=dinucleotide_shuffles(drawn.values, 1, rng)[:, 0])


def marginalise(
    score: Score,
    motif: Motif,
    backgrounds: Inputs,
    *,
    rng: np.random.Generator,
    starts: IntArray | int | None = None,
    strand: Strand = 1,
) -> MotifEffect:
    """Return what a motif adds to the prediction: f(background with the motif) - f(background).

    Parameters
    ----------
    score
        Of `score_function`.
    backgrounds
        For example `shuffled_backgrounds`, n of them. Those shorter than the motif are left out.
    starts
        First base of the motif, 0-based, shape (n,) or one for all; moved so that the motif lies within each sequence.
        None is the middle.
    strand
        -1 puts in the reverse complement.

    Raises
    ------
    ExplainError
        No background is as long as the motif, the motif is no IUPAC word, or the backgrounds are genotypes.
    """
    frequencies = motif_frequencies(motif, strand)
    long_enough = _lengths(backgrounds) >= len(frequencies)
    if not long_enough.any():
        msg = f"a motif of {len(frequencies)} bp is longer than every background"
        raise ExplainError(msg)
    if isinstance(starts, np.ndarray):
        starts = starts[long_enough]
    chosen = backgrounds.take(long_enough)
    places = _within(chosen, starts, len(frequencies))
    changed = replace(chosen, values=_insert(chosen.values, frequencies, places, rng))
    both = score(replace(chosen, values=np.concatenate([chosen.values, changed.values])))
    return _effect(both[len(chosen) :] - both[: len(chosen)], rng)


def ablate(
    score: Score,
    inputs: Inputs,
    occurrences: pd.DataFrame,
    *,
    rng: np.random.Generator,
    how: Literal["shuffle", "replace"] = "replace",
    copies: int = 8,
) -> MotifEffect:
    """Return what taking a motif out does: the mean of f(sequence without its occurrences) - f(sequence).

    A motif that raises the prediction has a negative effect here. All occurrences in a sequence are taken out together.

    Parameters
    ----------
    occurrences
        ``row, start, end``: row of `inputs`, first and last base, 0-based, the end not included.
    how
        ``replace``: each base by one drawn from the base composition of `inputs`; ``shuffle``: the bases of an
        occurrence in another order, which leaves its composition and, where it is of few bases, much of itself.
    copies
        Draws for each sequence; their mean counts as one.

    Raises
    ------
    ExplainError
        There are no occurrences.
    """
    if not len(occurrences):
        msg = "a motif that occurs nowhere cannot be taken out"
        raise ExplainError(msg)
    rows = np.unique(occurrences["row"].to_numpy())
    values = np.repeat(inputs.values[rows][:, None], copies, axis=1)
    composition = one_hot(inputs.values).astype(np.float64).sum(axis=(0, 1))
    composition = composition / composition.sum()
    numbers = np.searchsorted(rows, occurrences["row"].to_numpy())
    for number, start, end in zip(numbers, occurrences["start"], occurrences["end"], strict=True):
        window = values[number, :, int(start) : int(end)]
        if how == "shuffle":
            order = np.argsort(rng.random(window.shape), axis=1)
            drawn = np.take_along_axis(window, order, axis=1)
        else:
            drawn = (1 << rng.choice(4, size=window.shape, p=composition)).astype(np.uint8)
        values[number, :, int(start) : int(end)] = np.where(window == PADDING, window, drawn)
    before = score(inputs.take(rows))
    after = score(replace(inputs, values=values.reshape(-1, inputs.width))).reshape(len(rows), copies)
    return _effect(after.mean(axis=1) - before, rng)


def spacing(
    score: Score,
    motif_a: Motif,
    motif_b: Motif,
    backgrounds: Inputs,
    *,
    rng: np.random.Generator,
    distances: Sequence[int],
    start: int | None = None,
) -> pd.DataFrame:
    """Return what two motifs do together, at each distance and in both orders, beside the sum of what each does alone.

    The first motif stays where it is and the second moves, so what changes with the distance is not the place of the
    first; what the second does alone at each of its places is in ``additive``.

    Parameters
    ----------
    distances
        bp between the two, 0 and more; those at which both do not fit into every background are left out.
    start
        First base of `motif_a`; None puts it in the middle.

    Returns
    -------
    One row a distance and order (``ab``: a stands to the left): ``order, distance, effect`` (f(both) - f(neither)),
    ``sd`` of it over backgrounds, ``additive`` (f(a) + f(b) - 2 f(neither)), ``n``.
    """
    a, b = motif_frequencies(motif_a, 1), motif_frequencies(motif_b, 1)
    shortest = int(_lengths(backgrounds).min(initial=backgrounds.width))
    first = (shortest - len(a)) // 2 if start is None else int(np.clip(start, 0, max(shortest - len(a), 0)))
    n = len(backgrounds)
    every = np.full(n, first)
    with_a = _insert(backgrounds.values, a, every, rng)
    plans = [(order, int(d)) for order in ("ab", "ba") for d in distances]
    places = [first + len(a) + d if order == "ab" else first - d - len(b) for order, d in plans]
    fits = [0 <= place <= shortest - len(b) and 0 <= first <= shortest - len(a) for place in places]
    plans = [plan for plan, fit in zip(plans, fits, strict=True) if fit]
    places = [place for place, fit in zip(places, fits, strict=True) if fit]
    drawn = _draw(b, n, rng)  # the same instances at every distance
    mutants = [backgrounds.values, with_a]
    for place in places:
        mutants += [_put(backgrounds.values, drawn, np.full(n, place)), _put(with_a, drawn, np.full(n, place))]
    found = score(replace(backgrounds, values=np.concatenate(mutants))).reshape(len(mutants), n)
    neither, alone = found[0], found[1] - found[0]
    rows = [
        {
            "order": order,
            "distance": distance,
            "effect": float((found[3 + 2 * number] - neither).mean()),
            "sd": float((found[3 + 2 * number] - neither).std(ddof=1)) if n > 1 else 0.0,
            "additive": float((alone + found[2 + 2 * number] - neither).mean()),
            "n": n,
        }
        for number, (order, distance) in enumerate(plans)
    ]
    table: pd.DataFrame = pd.DataFrame(rows, columns=["order", "distance", "effect", "sd", "additive", "n"])
    return table


def motif_frequencies(motif: Motif, strand: Strand) -> FloatArray:
    """Return base frequencies, shape (width, 4); all 1/4 where any base will do.

    Raises
    ------
    ExplainError
        A letter is not IUPAC, or the motif is empty.
    """
    if isinstance(motif, str):
        unknown = sorted(set(motif.upper()) - set(IUPAC_BITS))
        if unknown or not motif:
            msg = f"a motif is a word of {''.join(IUPAC_BITS)}; got {motif!r}"
            raise ExplainError(msg)
        codes = np.array([[IUPAC_BITS[letter] for letter in motif.upper()]], dtype=np.uint8)
        codes = complement_table()[codes[:, ::-1]] if strand < 0 else codes
        return np.asarray(one_hot(codes)[0], dtype=np.float64)
    frequencies = np.asarray(motif, dtype=np.float64)
    if frequencies.ndim != 2 or frequencies.shape[1:] != (4,) or not len(frequencies):
        msg = f"frequencies of a motif have shape (width, 4); got {frequencies.shape}"
        raise ExplainError(msg)
    frequencies = frequencies / frequencies.sum(axis=1, keepdims=True)
    return np.asarray(frequencies[::-1, ::-1] if strand < 0 else frequencies)


def _lengths(inputs: Inputs) -> IntArray:
    if inputs.kind != "sequence":
        msg = f"motifs are put into sequences; got {inputs.kind} inputs"
        raise ExplainError(msg)
    return np.asarray((inputs.values != PADDING).sum(axis=1), dtype=np.int64)


def _within(inputs: Inputs, starts: IntArray | int | None, width: int) -> IntArray:
    last = _lengths(inputs) - width
    return np.asarray(np.clip(last // 2 if starts is None else starts, 0, last), dtype=np.int64)


def _draw(frequencies: FloatArray, n: int, rng: np.random.Generator) -> UInt8Array:
    """Return n instances as codes, shape (n, width); padding where any base will do."""
    steps = np.cumsum(frequencies, axis=1)
    steps[:, -1] = 1.0
    channel = (rng.random((n, len(frequencies), 1)) >= steps[None]).sum(axis=2)
    codes = np.left_shift(1, channel).astype(np.uint8)
    codes[:, np.ptp(frequencies, axis=1) < 1e-6] = PADDING
    return np.asarray(codes)


def _put(values: UInt8Array, instances: UInt8Array, starts: npt.NDArray[np.int64]) -> UInt8Array:
    out = values.copy()
    columns = starts[:, None] + np.arange(instances.shape[1])
    rows = np.arange(len(values))[:, None]
    out[rows, columns] = np.where(instances == PADDING, out[rows, columns], instances)
    return np.asarray(out)


def _insert(values: UInt8Array, frequencies: FloatArray, starts: IntArray, rng: np.random.Generator) -> UInt8Array:
    return _put(values, _draw(frequencies, len(values), rng), starts)


def _effect(changes: FloatArray, rng: np.random.Generator) -> MotifEffect:
    n = len(changes)
    means = changes[rng.integers(0, n, size=(RESAMPLES, n))].mean(axis=1)
    low, high = np.percentile(means, INTERVAL)
    return MotifEffect(
        effect=float(changes.mean()),
        sd=float(changes.std(ddof=1)) if n > 1 else 0.0,
        n=n,
        low=float(low),
        high=float(high),
        changes=changes,
    )
