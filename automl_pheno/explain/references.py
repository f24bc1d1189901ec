"""What a sample is compared with: training samples, or shuffles of the sample itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, UInt8Array
from automl_pheno.data.encode import PADDING, one_hot

ReferenceKind = Literal["shuffles", "training"]
ALIGNED_BITS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class References:
    """Background of each explained sample.

    Attributes
    ----------
    kind
        ``shuffles``: dinucleotide shuffles of each sequence; ``training``: training samples.
    values
        As ``Inputs.values``, shape (n_samples, n_references, width).
    similarity
        Mean share of positions at which a sample's references equal it (shuffles: before they are turned), shape
        (n_samples,). A shuffled sequence that stays above 0.9 (repeats, low complexity) has no useful background.
    """

    kind: ReferenceKind
    values: FloatArray | UInt8Array
    similarity: FloatArray

    @property
    def count(self) -> int:
        """References of each sample."""
        return int(self.values.shape[1])


def positional_information(codes: UInt8Array) -> FloatArray:
    """Return the information content of each position in bits, 0 to 2, shape (length,).

    Counts have a pseudo-count of 1/4 a base, so few sequences do not look conserved.
    """
    counts = one_hot(codes).sum(axis=0).astype(np.float64) + 0.25
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    return np.asarray(2.0 + (frequencies * np.log2(frequencies)).sum(axis=1))


def is_aligned(inputs: Inputs) -> bool:
    """Tell whether the sequences are variants of one reference: mean information above 0.5 bit a position.

    Then a position means the same in every sequence. Genotypes are always aligned.
    """
    if inputs.kind == "genotype":
        return True
    return len(inputs) > 1 and float(positional_information(inputs.values).mean()) > ALIGNED_BITS


def dinucleotide_shuffles(codes: UInt8Array, count: int, rng: np.random.Generator) -> UInt8Array:
    """Return shuffles of each sequence that keep its dinucleotides, shape (n, count, length).

    A sequence is taken as a circle, so that no base keeps its place: were the first and the last base to stay, as in
    a shuffle of the line, they could never differ from their references. The counts of all dinucleotides around the
    circle are kept exactly; along the line one of them may be another. Right padding stays.

    The circle is opened at a random base, the order in which each base's successors are used is permuted save for
    the last one, which keeps the walk Eulerian (Altschul & Erickson 1985, with the last-edge tree of the sequence
    itself), and the result is turned by a random number of bases.

    Parameters
    ----------
    codes
        IUPAC bit codes, uint8, shape (n, length).
    """
    return _shuffles_and_likeness(codes, count, rng)[0]


def _shuffles_and_likeness(codes: UInt8Array, count: int, rng: np.random.Generator) -> tuple[UInt8Array, FloatArray]:
    """Return the shuffles, and for each the share of bases whose place on the circle they left as it was."""
    rows = np.repeat(codes, count, axis=0)
    length = rows.shape[1]
    ends = np.where((rows != PADDING).any(axis=1), length - (rows != PADDING)[:, ::-1].argmax(axis=1), 0)
    out, alike = rows.copy(), np.ones(len(rows))
    for end in np.unique(ends):
        if end < 3:
            continue
        chosen = np.flatnonzero(ends == end)
        opened = _turned(rows[chosen, :end], rng)
        shuffled = _eulerian(np.concatenate([opened, opened[:, :1]], axis=1), rng)[:, :-1]
        alike[chosen] = (shuffled == opened).mean(axis=1)
        out[chosen, :end] = _turned(shuffled, rng)
    return out.reshape(len(codes), count, length), alike.reshape(len(codes), count)


def _turned(rows: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Return each row as a circle turned by a random number of places."""
    n, length = rows.shape
    places = (np.arange(length) + rng.integers(0, length, size=(n, 1))) % length
    return np.asarray(np.take_along_axis(rows, places, axis=1))


def _eulerian(rows: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Return for each row a random walk from its first to its last base that uses each of its dinucleotides once."""
    n, length = rows.shape
    before = rows[:, :-1].astype(np.int64)
    keys = rng.random(before.shape)
    seen_later = np.zeros((n, 16), dtype=bool)
    every = np.arange(n)
    for column in range(length - 2, -1, -1):  # the last successor of each base must be used last
        bases = before[:, column]
        keys[~seen_later[every, bases], column] = 1.5
        seen_later[every, bases] = True
    successors = np.argsort(before * 2.0 + keys, axis=1)
    counts = np.zeros((n, 17), dtype=np.int64)
    for base in range(16):
        counts[:, base + 1] = (before == base).sum(axis=1)
    pointers = np.cumsum(counts, axis=1)
    out = np.empty_like(rows)
    out[:, 0] = rows[:, 0]
    position = np.zeros(n, dtype=np.int64)
    for column in range(1, length):
        bases = rows[every, position].astype(np.int64)
        position = successors[every, pointers[every, bases]] + 1
        pointers[every, bases] += 1
        out[:, column] = rows[every, position]
    return out


def draw_rows(n: int, count: int, rng: np.random.Generator) -> IntArray:
    """Return `count` distinct positions below `n` in increasing order, or all when there are fewer."""
    if n <= count:
        return np.arange(n, dtype=np.int64)
    return np.sort(rng.choice(n, size=count, replace=False)).astype(np.int64)


def make_references(
    inputs: Inputs,
    background: Inputs,
    *,
    rng: np.random.Generator,
    count: int,
    kind: ReferenceKind | None = None,
) -> References:
    """Return `count` references for each sample of `inputs`.

    Parameters
    ----------
    inputs, background
        Samples to explain, and training samples.
    kind
        None chooses: ``training`` for genotypes and for variants of one reference sequence (`is_aligned`),
        ``shuffles`` otherwise.
    """
    if kind is None:
        kind = "training" if is_aligned(background) else "shuffles"
    if kind == "shuffles":
        values, alike = _shuffles_and_likeness(inputs.values, count, rng)
        return References(kind=kind, values=values, similarity=alike.mean(axis=1))
    chosen = background.values[draw_rows(len(background), count, rng)]
    values = np.broadcast_to(chosen[None], (len(inputs), *chosen.shape))
    inside = (inputs.values != PADDING) if inputs.kind == "sequence" else np.isfinite(inputs.values)
    equal = (values == inputs.values[:, None]) & inside[:, None]
    similarity = equal.sum(axis=(1, 2)) / np.maximum(inside.sum(axis=1) * values.shape[1], 1)
    return References(kind=kind, values=values, similarity=similarity)
