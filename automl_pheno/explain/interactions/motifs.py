"""Interaction of motifs: insert one, the other and both into backgrounds that have neither (global epistasis)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, UInt8Array
from automl_pheno.data.encode import PADDING
from automl_pheno.explain.interactions.attributions import NetworkGradient
from automl_pheno.explain.interactions.squares import Squares
from automl_pheno.explain.references import dinucleotide_shuffles, draw_rows
from automl_pheno.explain.registry import UnsupportedLayerError
from automl_pheno.explain.scoring import Score

LEAST_BITS = 0.25
"""Columns of a motif that hold less information are left as the background has them."""
CLOSEST, FARTHEST = 2, 30
"""Bases between two motifs, where their places allow for it."""
DRAWS = 200
ATTRIBUTED, REFERENCES = 16, 2
"""Backgrounds, and references of each, for attributions of motifs beside each other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotifToInsert:
    """A motif as it is written into a background.

    Attributes
    ----------
    number, name
        Number in the table of motifs, and consensus.
    codes
        IUPAC bit code of the most frequent base, 0 where the background stays, uint8, shape (width,).
    starts
        First bases (0-based) at which it was found, from which places are drawn; empty for anywhere.
    """

    number: int
    name: str
    codes: UInt8Array
    starts: IntArray


def motif_to_insert(number: int, name: str, frequencies: FloatArray, starts: IntArray | None = None) -> MotifToInsert:
    """Return a motif to insert from its base frequencies, shape (width, 4)."""
    p = np.clip(np.asarray(frequencies, dtype=np.float64), 1e-9, None)
    p = p / p.sum(axis=1, keepdims=True)
    bits = 2.0 + (p * np.log2(p)).sum(axis=1)
    informative = bits >= min(LEAST_BITS, float(bits.max()))
    codes = np.where(informative, 1 << p.argmax(axis=1), 0).astype(np.uint8)
    return MotifToInsert(
        number=number,
        name=name,
        codes=codes,
        starts=np.zeros(0, dtype=np.int64) if starts is None else np.asarray(starts, dtype=np.int64),
    )


def column_shuffled(motif: MotifToInsert, rng: np.random.Generator) -> MotifToInsert:
    """Return the motif with its columns in another order, as unlike it as 20 draws allow."""
    draws = [motif.codes[rng.permutation(len(motif.codes))] for _ in range(20)]
    likeness = [int(((draw == motif.codes) & (draw > 0)).sum()) for draw in draws]
    return replace(motif, codes=draws[int(np.argmin(likeness))])


def shuffled_backgrounds(training: Inputs, count: int, rng: np.random.Generator) -> Inputs:
    """Return dinucleotide shuffles of `count` training sequences."""
    chosen = training.take(draw_rows(len(training), count, rng))
    repeats = -(-count // len(chosen))
    shuffled = dinucleotide_shuffles(chosen.values, repeats, rng).reshape(-1, training.width)
    return replace(training, values=shuffled[:count])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MotifPair:
    """Two motifs and where they go in each background, first bases, int64, shape (B,)."""

    a: MotifToInsert
    b: MotifToInsert
    start_a: IntArray
    start_b: IntArray


def place_pair(a: MotifToInsert, b: MotifToInsert, backgrounds: Inputs, rng: np.random.Generator) -> MotifPair | None:
    """Return where two motifs go: each where it was found, 2 to 30 bp apart where such places were drawn.

    Of 200 draws for each background, the first that has the two motifs 2 to 30 bp apart is taken, else the one with
    the smallest gap of 2 bp or more, in either order.

    Returns
    -------
    None where a background has no room for both.
    """
    inside = (backgrounds.values != PADDING).sum(axis=1)
    room = inside - len(a.codes) - len(b.codes) - CLOSEST
    if (room < 0).any():
        return None
    count = len(backgrounds)
    starts = {}
    for key, motif in (("a", a), ("b", b)):
        last = (inside - len(motif.codes))[:, None]
        if len(motif.starts):
            drawn = rng.choice(motif.starts, size=(count, DRAWS))
            starts[key] = np.minimum(drawn, last)
        else:
            starts[key] = rng.integers(0, last + 1, size=(count, DRAWS))
    gap = np.maximum(starts["b"] - starts["a"] - len(a.codes), starts["a"] - starts["b"] - len(b.codes))
    cost = np.where(gap < CLOSEST, 10**6, np.maximum(gap - FARTHEST, 0))
    best = cost.argmin(axis=1)
    every = np.arange(count)
    start_a, start_b = starts["a"][every, best], starts["b"][every, best]
    stuck = np.flatnonzero(cost[every, best] >= 10**6)  # both always at one place: side by side
    for row in stuck:
        before = start_a[row] >= len(b.codes) + CLOSEST
        start_b[row] = start_a[row] - len(b.codes) - CLOSEST if before else start_a[row] + len(a.codes) + CLOSEST
        if start_b[row] + len(b.codes) > inside[row]:
            start_a[row], start_b[row] = 0, len(a.codes) + CLOSEST
    return MotifPair(a=a, b=b, start_a=start_a, start_b=start_b)


def insert(codes: UInt8Array, motif: MotifToInsert, start: IntArray) -> UInt8Array:
    """Return `codes`, shape (B, length), with the motif written at `start`, shape (B,)."""
    out: UInt8Array = codes.copy()
    columns = np.flatnonzero(motif.codes)
    out[np.arange(len(codes))[:, None], start[:, None] + columns] = motif.codes[columns]
    return out


def motif_squares(score: Score, backgrounds: Inputs, pairs: list[MotifPair], words: str) -> Squares:
    """Return f(ab) - f(a) - f(b) + f(0) of each pair over the backgrounds; `words` say what is going on."""
    count = len(backgrounds)
    zero = score(backgrounds)
    d, effect_a, effect_b = (np.zeros((len(pairs), count)) for _ in range(3))
    for number, pair in enumerate(pairs):
        progress.tick(words, number / len(pairs))
        with_a, with_b, both = _three(backgrounds.values, pair)
        f = score(replace(backgrounds, values=np.concatenate([with_a, with_b, both]))).reshape(3, count)
        effect_a[number], effect_b[number] = f[0] - zero, f[1] - zero
        d[number] = f[2] - f[0] - f[1] + zero
    numbers = np.array([(pair.a.number, pair.b.number) for pair in pairs], dtype=np.int64).reshape(-1, 2)
    return Squares(pairs=numbers, interaction=d, effect_a=effect_a, effect_b=effect_b)


def _three(codes: UInt8Array, pair: MotifPair) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    with_a, with_b = insert(codes, pair.a, pair.start_a), insert(codes, pair.b, pair.start_b)
    return with_a, with_b, insert(with_a, pair.b, pair.start_b)


def motif_attributions(
    gradient: NetworkGradient, backgrounds: Inputs, pairs: list[MotifPair], rng: np.random.Generator
) -> tuple[FloatArray, str]:
    """Return by how much a motif's attribution changes when the other is inserted beside it, and how that was taken.

    Deep Feature Interaction Maps (Greenside et al. 2018): the DeepLIFT contributions of the bases of an inserted motif,
    against shuffles of the background, with the other motif and without; the mean of both ways and of the first 16
    backgrounds, phenotype units, shape (m,). DeepLIFT shares an interaction out between the partners, so that about
    half of it is to be expected. By gradient times what was inserted where a layer has no rule; that is a
    slope at one point, and can be several times the interaction.
    """
    few = backgrounds.take(np.arange(min(ATTRIBUTED, len(backgrounds))))
    shuffles = dinucleotide_shuffles(few.values, REFERENCES, rng)
    samples = np.concatenate([np.concatenate(_three(few.values, _first(pair, len(few)))) for pair in pairs])
    inputs = replace(few, values=samples)
    references = replace(few, values=np.tile(shuffles, (3 * len(pairs), 1, 1)).reshape(-1, few.width))
    try:
        by_position = gradient.deeplift(inputs, references)
        how = f"DeepLIFT against {REFERENCES} shuffles of {len(few)} backgrounds"
    except UnsupportedLayerError:
        encoded = gradient.encode(inputs)
        zero = np.tile(gradient.encode(few), (3 * len(pairs), 1, 1))
        by_position = (gradient.gradient(encoded) * (encoded - zero)).sum(axis=-1)
        how = f"gradient x inserted bases in {len(few)} backgrounds"
    by_position = by_position.reshape(len(pairs), 3, len(few), -1)
    found = np.zeros(len(pairs))
    every = np.arange(len(few))[:, None]
    for number, pair in enumerate(pairs):
        changes = []
        for alone, motif, start in ((0, pair.a, pair.start_a), (1, pair.b, pair.start_b)):
            columns = start[: len(few), None] + np.flatnonzero(motif.codes)
            sums = by_position[number][:, every, columns].sum(axis=-1)
            changes.append(sums[2] - sums[alone])
        found[number] = float(np.mean(changes))
    return found, how


def _first(pair: MotifPair, count: int) -> MotifPair:
    return replace(pair, start_a=pair.start_a[:count], start_b=pair.start_b[:count])


def null_pairs(
    motifs: list[MotifToInsert], backgrounds: Inputs, count: int, rng: np.random.Generator
) -> list[MotifPair]:
    """Return pairs of which one or both motifs are column-shuffled, in turn over all pairs of motifs."""
    every: list[tuple[int, int]] = [(i, j) for i in range(len(motifs)) for j in range(i)]
    order: npt.NDArray[np.int64] = rng.permutation(len(every))
    found = []
    for number in range(count):
        i, j = every[int(order[number % len(every)])]
        which = (number // len(every)) % 3
        a = motifs[i] if which == 1 else column_shuffled(motifs[i], rng)
        b = motifs[j] if which == 0 else column_shuffled(motifs[j], rng)
        pair = place_pair(a, b, backgrounds, rng)
        if pair is not None:
            found.append(pair)
    return found
