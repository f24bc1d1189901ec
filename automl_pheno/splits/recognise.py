"""Libraries that no split keeps apart, recognised: mutants of one sequence, and dense ones.

Mutants of one sequence are all near copies of their consensus. A dense library has none: its sequences differ at a few
places only (all 9-mers in a constant frame, a few sites with a few choices each, randomised codons), and chains of
neighbours join nearly all of them. What a random split of either measures is interpolation within it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from automl_pheno.curation.sequences import CONSENSUS, FEWEST_ROWS, RANDOM, constant_flanks
from automl_pheno.data import FloatArray, Inputs, IntArray, UInt8Array, decode
from automl_pheno.data.encode import PADDING
from automl_pheno.splits.groups import union
from automl_pheno.splits.kmers import BoolArray
from automl_pheno.splits.thresholds import IDENTITY

MOST_MUTATED = 0.25
"""Median share of the positions at which a sequence of a library differs from the consensus, at most."""

LARGEST_CLUSTER = 0.5
"""Share of a sample of sequences that single linkage at identity 0.8 must put into one cluster, at least."""

FEWEST = 50
"""Different sequences of a dense library, at least."""

MOST_VARIABLE = 40
"""Positions at which the sequences of a dense library differ, at most."""

_PLAIN = (1, 2, 4, 8)
_FEW_PLACES = 4  # of fewer nothing can be said
_SAMPLE = 1000

_MASKS = 60  # of places that are left out, drawn where there are more
_AT_ONCE = 6
_LARGEST = 60_000  # sequences looked at; a larger library is dense in a sample, too
_COMPARED = 300
_FEW = 1e-4  # of the possible sequences; below, their number says nothing
_SEEN = 0.005  # share of the sequences that have a base, from which on it is a choice of its position


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Library:
    """A library of mutants of one sequence, or a dense one.

    Attributes
    ----------
    kind
        ``mutants`` or ``dense``.
    reference
        The consensus (the most frequent base at each position), or of a dense library the sequence with the highest
        trait, as `reference_is` says; IUPAC bit codes, uint8, shape (length,).
    counts
        Mutations of each sequence: plain bases unlike the reference; int64, shape (n,).
    varies
        True where a sequence differs from the reference; shape (length,).
    variable
        Positions at which the sequences differ: those between the constant flanks.
    cluster
        Share of a sample that single linkage at identity 0.8 puts into one cluster.
    different, possible, neighbours, steps
        Of a dense library: different sequences, those that its choices at each position make possible, and how many
        neighbours within so many substitutions the median one has.
    """

    kind: Literal["mutants", "dense"] = "mutants"
    reference: UInt8Array
    counts: IntArray
    varies: BoolArray
    variable: int
    cluster: float
    reference_is: str = "consensus"
    different: int = 0
    possible: float = 0.0
    neighbours: float = 0.0
    steps: int = 1

    def describe(self) -> str:
        """Return why this is a library, in a sentence."""
        if self.kind == "dense":
            share = self.different / self.possible
            of = f"{self.different:,} of {self.possible:,.0f} possible ones ({share:.2%}) are there, "
            within = f"{self.steps} substitution{'s' if self.steps > 1 else ''}"
            return (
                f"the sequences are a dense library: all have {len(self.reference):,} bp and differ at "
                f"{self.variable:,} of these positions, {of if share > _FEW else ''}the median one has "
                f"{self.neighbours:g} neighbours within {within}, and {self.cluster:.0%} are joined by such "
                "steps; no split of them keeps neighbours apart"
            )
        return (
            f"the sequences are mutants of one sequence: all have {len(self.reference):,} bp and differ from their "
            f"consensus at {np.median(self.counts):g} positions (median), and {self.cluster:.0%} of a sample are one "
            f"cluster at identity {IDENTITY:g}; no split of them is free of near copies"
        )

    def facts(self) -> dict[str, Any]:
        """Return plain values for the card."""
        return {
            "kind": self.kind,
            "reference": decode(self.reference[None, :])[0],
            "reference_is": self.reference_is,
            "median_mutations": float(np.median(self.counts)),
            "most_mutations": int(self.counts.max()),
            "variable_positions": self.variable,
            "largest_cluster": self.cluster,
            **(
                {
                    "different": self.different,
                    "possible": self.possible,
                    "neighbours": self.neighbours,
                    "substitutions": self.steps,
                }
                if self.kind == "dense"
                else {}
            ),
        }


def find_library(inputs: Inputs) -> Library | None:
    """Return the library that the sequences are, or None.

    They are one where all have the same length, half of them differ from their consensus at no more than a quarter of
    the positions between constant flanks, the consensus is the rule at the positions that vary (70 % or more have its
    base at half of these), and single linkage at identity 0.8 makes one cluster of most of a sample.
    """
    if inputs.kind != "sequence" or len(inputs) < FEWEST_ROWS:
        return None
    codes = inputs.values
    if (codes == PADDING).any():
        return None
    flanks = constant_flanks(codes)
    variable = codes.shape[1] - flanks.left - flanks.right
    reference = consensus_of(codes)
    mutated = [mutated_at(codes[:, position], base) for position, base in enumerate(reference)]
    counts = np.zeros(len(codes), dtype=np.int64)
    for one in mutated:
        counts += one
    if np.median(counts) > MOST_MUTATED * variable or _is_shuffled(codes):
        return None
    core = codes[:, flanks.left : codes.shape[1] - flanks.right]
    cluster = _largest_cluster(core)
    if cluster <= LARGEST_CLUSTER:
        return None
    varies = np.array([bool(one.any()) for one in mutated])
    return Library(reference=reference, counts=counts, varies=varies, variable=variable, cluster=cluster)


def _is_shuffled(codes: UInt8Array) -> bool:
    """Say whether bases at the positions that vary are drawn anew in each sequence, as mutations of one are not."""
    shares = np.stack([(codes == base).mean(axis=0) for base in _PLAIN]).max(axis=0)
    varying = shares[shares < CONSENSUS]
    return len(varying) >= _FEW_PLACES and bool(float(np.median(varying)) <= RANDOM)


def find_dense(inputs: Inputs, y: FloatArray | None, *, most_variable: int | None = MOST_VARIABLE) -> Library | None:
    """Return the dense library that the sequences are, or None.

    They are one where all have the same length and differ at no more than `most_variable` positions, and steps of at
    most a fifth of these (rounded up) lead from one to most of the different sequences.

    Parameters
    ----------
    inputs
        n sequences.
    y
        Trait, shape (n,): the reference is then the sequence with the highest; without it, the consensus.
    most_variable
        None does not ask.
    """
    codes = inputs.values
    if inputs.kind != "sequence" or len(inputs) < FEWEST or not inputs.width or (codes == PADDING).any():
        return None
    shares = np.stack([(codes == base).mean(axis=0) for base in (1, 2, 4, 8)])
    varies = shares.max(axis=0) < CONSENSUS
    width = int(varies.sum())
    if not width or (most_variable is not None and width > most_variable):
        return None
    different = np.unique(codes[:, varies], axis=0)
    if len(different) < FEWEST:
        return None
    rng = np.random.default_rng(0)  # the same library is recognised whatever the seed of the split
    steps = int(
        np.ceil((1.0 - IDENTITY) * width - 1e-9)
    )  # rounded up: at a few positions one step is less than a fifth
    some = different if len(different) <= _LARGEST else different[rng.permutation(len(different))[:_LARGEST]]
    linked = float(np.bincount(_components(some, steps, rng)).max() / len(some))
    if linked <= LARGEST_CLUSTER:
        return None
    best = None if y is None else int(np.nanargmax(y))
    reference = consensus_of(codes) if best is None else codes[best].copy()
    choices = np.maximum((shares[:, varies] >= _SEEN).sum(axis=0), 1)
    return Library(
        kind="dense",
        reference=reference,
        reference_is="consensus" if best is None else "sequence with the highest value",
        counts=np.stack([mutated_at(codes[:, place], base) for place, base in enumerate(reference)]).sum(axis=0),
        varies=varies,
        variable=width,
        cluster=linked,
        different=len(different),
        possible=float(np.prod(choices.astype(np.float64))),
        neighbours=_neighbours(different, steps, rng),
        steps=steps,
    )


def _components(different: UInt8Array, steps: int, rng: np.random.Generator) -> IntArray:
    """Return labels under which sequences that differ at no more than `steps` places are one, by hashes of the others.

    Sequences that are equal but for some places have the same hash without these. Where there are too many ways to
    leave places out some are drawn; what is linked is then a lower bound.
    """
    n, width = different.shape
    weights = rng.integers(1, 2**63, size=(width, 16), dtype=np.uint64)
    parts = np.stack([weights[place][different[:, place]] for place in range(width)], axis=1)
    whole = parts.sum(axis=1, dtype=np.uint64)
    masks = list(combinations(range(width), steps)) if width**steps <= 40 * _MASKS else []
    if len(masks) > _MASKS or not masks:
        masks = [tuple(rng.choice(width, size=steps, replace=False).tolist()) for _ in range(_MASKS)]
        # stretches, for libraries of parts that are exchanged as a whole
        masks += [tuple(range(start, start + steps)) for start in range(width - steps + 1)]
    labels: IntArray = np.arange(n, dtype=np.int64)
    for start in range(0, len(masks), _AT_ONCE):
        hashes = [whole - parts[:, list(mask)].sum(axis=1, dtype=np.uint64) for mask in masks[start : start + _AT_ONCE]]
        labels = union([labels, *(np.unique(one, return_inverse=True)[1].astype(np.int64) for one in hashes)])
        if np.bincount(labels).max() == n:
            break
    return labels


def _neighbours(different: UInt8Array, steps: int, rng: np.random.Generator) -> float:
    """Return how many neighbours within `steps` substitutions the median sequence has."""
    sample = different[rng.permutation(len(different))[:_COMPARED]]
    apart: npt.NDArray[np.int16] = np.zeros((len(sample), len(different)), dtype=np.int16)
    for place in range(different.shape[1]):
        apart += sample[:, place, None] != different[None, :, place]
    return float(np.median((apart <= steps).sum(axis=1) - 1))


def mutated_at(column: UInt8Array, reference: np.uint8) -> BoolArray:
    """Return where a position holds a plain base other than the reference."""
    differs: BoolArray = (column != reference) & np.isin(column, _PLAIN)
    return differs


def consensus_of(codes: UInt8Array) -> UInt8Array:
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
