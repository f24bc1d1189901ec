"""Grouping by sequence similarity: candidates by shared k-mers, each verified by alignment, on both strands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from automl_pheno.curation.sequences import Flanks, set_frame_aside
from automl_pheno.data import Dataset, FloatArray, IntArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.align import Aligner, Bases, Jobs, best_windows, choose_aligner, make_bases
from automl_pheno.splits.candidates import (
    MOST_CANDIDATES,
    Search,
    SimilarityRules,
    certainty,
    plan_search,
    state_guarantee,
)
from automl_pheno.splits.groups import GROUPINGS, Found, duplicates
from automl_pheno.splits.kmers import BoolArray, Candidates
from automl_pheno.splits.pairs import Pairs, no_pairs
from automl_pheno.splits.thresholds import IDENTITY, SHORTEST_PART

MEASURE = "identity"

LOWEST_IDENTITY = 0.7
"""Below it unrelated sequences are alike by chance, and k-mers do not find those that are."""

_BLOCK = 100_000  # candidates that are verified at once


@GROUPINGS.add("similarity")
def similarity(dataset: Dataset, argument: str | None = None) -> Found:
    """Keep similar sequences together: ``similarity`` is identity 0.8 or more over half of the shorter.

    Two sequences are similar where the shorter (of those of one length: either) lies in the other with at most the
    share of edits that `identity` leaves; or one of its halves does; or where laid against each other without gaps
    half of its length agree to that share. Constant flanks are left out first. Both strands count.

    Parameters
    ----------
    dataset
        n sequences.
    argument
        Another identity, as in ``similarity:0.9``.

    Raises
    ------
    SplitError
        The data are genotypes, the identity is no number from 0.7 to 1, or nearly all sequences are alike.
    """
    if dataset.kind != "sequence":
        msg = "groups: 'similarity' compares sequences, got genotypes; relatedness compares these"
        raise SplitError(msg)
    return find_similar(dataset, replace(SimilarityRules(), identity=_identity(argument)))


def _identity(argument: str | None) -> float:
    if argument is None:
        return IDENTITY
    try:
        identity = float(argument)
    except ValueError:
        identity = float("nan")
    if not LOWEST_IDENTITY <= identity <= 1.0:
        msg = f"groups: similarity needs an identity of {LOWEST_IDENTITY:g} to 1, as in similarity:.9, got {argument!r}"
        raise SplitError(msg)
    return identity


def find_similar(dataset: Dataset, rules: SimilarityRules, aligner: tuple[Aligner, str] | None = None) -> Found:
    """Return the similar pairs of sequences; equal ones (also reverse complements) share a label.

    Parameters
    ----------
    dataset
        n sequences.
    rules
        What counts as similar.
    aligner
        And its name; None takes the fastest at hand.
    """
    align, name = choose_aligner() if aligner is None else aligner
    cores, flanks = set_frame_aside(dataset.inputs.values)
    labels = duplicates(replace(dataset, inputs=replace(dataset.inputs, values=cores)), None).labels
    _, chosen = np.unique(labels, return_index=True)
    bases = make_bases(cores[chosen])
    search = plan_search(bases, rules)
    first, second, identity, n_candidates = _verified(search, bases, rules, align)
    pairs = _all_pairs(labels, first, second, identity, rules)
    certain = certainty(search, bases, rules)
    notes = _notes(flanks)
    facts: dict[str, Any] = {
        "identity": rules.identity,
        "coverage": rules.coverage,
        "shortest_part": SHORTEST_PART,
        "k": search.index.k,
        "shared_k_mers": search.fewest,
        "candidates": n_candidates,
        "pairs": len(pairs),
        "k_mers_dropped": search.index.dropped,
        "k_mers_dropped_from": search.index.dropped_from,
        "left_flank": flanks.left,
        "right_flank": flanks.right,
        "frame_within": flanks.within,
        "different_sequences": len(chosen),
        "aligner": name,
        **certain.facts(),
    }
    return Found(
        labels=labels, pairs=pairs, guarantee=state_guarantee(search, certain, rules, flanks), facts=facts, notes=notes
    )


def _verified(
    search: Search, bases: Bases, rules: SimilarityRules, align: Aligner
) -> tuple[IntArray, IntArray, FloatArray, int]:
    """Return the pairs of different sequences that are similar, their identity, and how many were compared."""
    found: list[tuple[IntArray, IntArray, FloatArray]] = []
    n_candidates = 0
    for some in search.join.pairs(search.needed):
        n_candidates += len(some)
        for start in range(0, len(some), _BLOCK):
            block = _slice(some, start, start + _BLOCK)
            identity = verify(bases, block, rules, align)
            kept = identity > 0.0
            found.append((block.first[kept], block.second[kept], identity[kept]))
    first, second = (
        np.concatenate([one[side] for one in found]).astype(np.int64) if found else np.empty(0, dtype=np.int64)
        for side in (0, 1)
    )
    identity = np.concatenate([one[2] for one in found]) if found else np.empty(0)
    order = np.lexsort((-identity, second, first))  # of two strands the better
    first, second, identity = first[order], second[order], identity[order]
    best = np.flatnonzero(np.r_[True, (first[1:] != first[:-1]) | (second[1:] != second[:-1])][: len(first)])
    return first[best], second[best], identity[best], n_candidates


def _slice(some: Candidates, start: int, stop: int) -> Candidates:
    return Candidates(
        first=some.first[start:stop],
        second=some.second[start:stop],
        reverse=some.reverse[start:stop],
        offset=some.offset[start:stop],
        shared=some.shared[start:stop],
    )


def verify(bases: Bases, candidates: Candidates, rules: SimilarityRules, align: Aligner) -> FloatArray:
    """Return the identity of each candidate pair, or 0 where it is not similar; float64, shape (m,).

    First the whole of the shorter is aligned, then a window without gaps is looked at, then both halves are aligned.
    Of two of one length each is looked for in the other.
    """
    plain = bases.lengths if bases.ambiguous is None else bases.lengths - bases.ambiguous[:, -1]
    swap = plain[candidates.second] < plain[candidates.first]
    shorter = np.where(swap, candidates.second, candidates.first)
    longer = np.where(swap, candidates.first, candidates.second)
    lengths = bases.lengths[shorter]
    part = rules.part(lengths)

    def infix(rows: IntArray, begin: IntArray, end: IntArray, *, exchanged: bool = False) -> FloatArray:
        query, target = (longer, shorter) if exchanged else (shorter, longer)
        return _infix_identity(bases, query[rows], begin, end, target[rows], candidates.reverse[rows], rules, align)

    either = lengths == bases.lengths[longer]

    every = np.arange(len(candidates))
    identity = infix(every, np.zeros_like(lengths), lengths)
    rest = np.flatnonzero((identity == 0.0) & (part < lengths))
    if len(rest):
        first, second = candidates.first[rest], candidates.second[rest]
        equal = best_windows(bases, first, second, candidates.reverse[rest], candidates.offset[rest], part[rest])
        share = equal / part[rest]
        identity[rest] = np.where(equal >= part[rest] - rules.edits(part[rest]), share, 0.0)
    for at_end in (0, 1):
        rest = np.flatnonzero((identity == 0.0) & (part < lengths))
        begin = (lengths[rest] - part[rest]) * at_end
        identity[rest] = infix(rest, begin, begin + part[rest])
        rest = np.flatnonzero((identity == 0.0) & (part < lengths) & either)
        begin = (lengths[rest] - part[rest]) * at_end
        identity[rest] = infix(rest, begin, begin + part[rest], exchanged=True)
    rest = np.flatnonzero((identity == 0.0) & either)
    identity[rest] = infix(rest, np.zeros_like(rest), lengths[rest], exchanged=True)
    return identity


def _infix_identity(
    bases: Bases,
    query: IntArray,
    begin: IntArray,
    end: IntArray,
    target: IntArray,
    reverse: BoolArray,
    rules: SimilarityRules,
    align: Aligner,
) -> FloatArray:
    """Return the identity of parts of sequences with parts of others, or 0; ambiguous bases of the query are free."""
    unclear = np.zeros_like(begin)
    if bases.ambiguous is not None:
        unclear = (bases.ambiguous[query, end] - bases.ambiguous[query, begin]).astype(np.int64)
    plain = end - begin - unclear
    limit = rules.edits(plain) + unclear
    jobs = Jobs(query=query, begin=begin, end=end, target=target, reverse=reverse, limit=limit)
    distance = align(bases, jobs)
    identity = 1.0 - np.maximum(distance - unclear, 0) / np.maximum(plain, 1)
    # of a sequence that is mostly ambiguous little is known
    return np.where((distance <= limit) & (2 * plain >= end - begin), identity, 0.0)


def _all_pairs(
    labels: IntArray, first: IntArray, second: IntArray, identity: FloatArray, rules: SimilarityRules
) -> Pairs:
    """Return the pairs of samples from those of different sequences: each copy is like what its original is like."""
    if not len(first):
        return no_pairs(MEASURE, rules.identity)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    repeats = sizes[first] * sizes[second]
    total = int(repeats.sum())
    if total > MOST_CANDIDATES:
        msg = f"groups: similarity: {total:,} pairs of samples are alike; give the sequences that repeat only once"
        raise SplitError(msg)
    pair = np.repeat(np.arange(len(first)), repeats)
    number = np.arange(total) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    a = order[starts[first[pair]] + number // sizes[second[pair]]]
    b = order[starts[second[pair]] + number % sizes[second[pair]]]
    return Pairs(
        first=np.minimum(a, b).astype(np.int64),
        second=np.maximum(a, b).astype(np.int64),
        similarity=identity[pair],
        measure=MEASURE,
        threshold=rules.identity,
    )


def _notes(flanks: Flanks) -> tuple[str, ...]:
    if not flanks:
        return ()
    return (
        f"similarity leaves out the constant {'frame' if flanks.within else 'flanks'} of the sequences "
        f"({flanks.describe()})",
    )
