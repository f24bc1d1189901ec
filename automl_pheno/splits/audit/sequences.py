"""How similar each sequence that is evaluated is to those it is trained with: a search, and a certificate for it.

Identity of two sequences, on either strand, is 1 - edits / length, where the whole of the shorter one (of those of one
length: either) is made a part of the other by the fewest edits. Where that is below the threshold it is the highest of
this and

- the same of its first and of its last half (in general: of the share `coverage` of it);
- the share of equal bases in the best stretch of that length, without gaps, wherever it lies in either.

A stretch has 40 bp at least. Constant flanks, alike in 99 % of the sequences, are left out first. Ambiguous bases of
the shorter one count neither as equal nor as edits.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from automl_pheno.data import FloatArray, IntArray, UInt8Array, reverse_complement
from automl_pheno.progress import tick
from automl_pheno.splits.audit.alignment import edlib, infix_edits, letters, turned
from automl_pheno.splits.audit.seeds import find_candidates
from automl_pheno.splits.audit.sides import BoolArray, Scan, Sides, pairs_across, quantiles
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.thresholds import SHORTEST_PART

FLOOR = 0.7
"""Identity below which two sequences are no more alike than random ones; it is not measured."""

_CONSTANT = 0.99
_FEWEST = 20  # sequences; of fewer, no flank is called constant
_LEAST_LEFT = 10  # bp between constant flanks, and a tenth of the length; with fewer nothing is left out
_WORD = 12
_COMMON = 0.4
_SAMPLED = 1500
_LEAST_PIECE = 6
_NEARLY_ALL = 0.9
_PAIRS = 20_000  # compared between two ticks
_MOST_PAIRS = 3_000_000
_STRETCHES = 2048  # pairs laid against each other at once
_EXAMPLES = 3

_Which = Literal["whole", "first", "last"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequences:
    """Sequences without constant flanks, as letters.

    Attributes
    ----------
    codes
        Bit codes, uint8, shape (n, length).
    patterns, texts, turned
        As looked for, as looked in, and the reverse complements of these.
    lengths, known
        Bases, and those that are not ambiguous; int64, shape (n,).
    coverage
        Share of the shorter sequence that a stretch has.
    flanks
        bp that were left out on the left, the right and in between.
    """

    codes: UInt8Array
    patterns: list[bytes]
    texts: list[bytes]
    turned: list[bytes]
    lengths: IntArray
    known: IntArray
    coverage: float
    flanks: tuple[int, int, int]

    def stretch(self, length: IntArray) -> IntArray:
        """Return the bp of a stretch of sequences of a length."""
        share = np.ceil(np.asarray(self.coverage * length - 1e-9)).astype(np.int64)
        return np.minimum(np.maximum(share, SHORTEST_PART), length)


def make_sequences(codes: UInt8Array, coverage: float) -> Sequences:
    """Return the sequences of bit codes, uint8, shape (n, length), without their constant frame."""
    inner, flanks = set_frame_aside(codes)
    texts = letters(inner, pattern=False)
    return Sequences(
        codes=inner,
        patterns=letters(inner, pattern=True),
        known=np.isin(inner, (1, 2, 4, 8)).sum(axis=1).astype(np.int64),
        texts=texts,
        turned=[turned(text) for text in texts],
        lengths=(inner != 0).sum(axis=1).astype(np.int64),
        coverage=coverage,
        flanks=flanks,
    )


def set_frame_aside(codes: UInt8Array) -> tuple[UInt8Array, tuple[int, int, int]]:
    """Return what varies of each sequence, and how many constant bp were left out left, right and elsewhere.

    Constant ends are left out (`constant_flanks`), then bases in words of 12 bp that two in five sequences have on
    either strand: a frame in the middle, at another offset in some, or turned round. That is one only where 9 in 10
    sequences have as much of it, and what is left is in pieces of 6 bp and more; variants of one sequence are not cut.
    """
    left, right = constant_flanks(codes)
    inner = _without(codes, left, right)
    n, width = inner.shape
    if n < _FEWEST or width < _WORD:
        return inner, (left, right, 0)
    texts = [text.decode() for text in letters(inner, pattern=False)]
    common = _common_words(texts)
    if not common:
        return inner, (left, right, 0)
    pieces = [_pieces(text, common) for text in texts]
    kept = np.array([sum(map(len, some)) for some in pieces])
    cut = np.array([len(text) for text in texts]) - kept
    usual = float(np.median(cut))
    even = (np.abs(cut - usual) <= 2 + 0.1 * usual) & (kept >= _LEAST_PIECE)
    size = float(np.median(kept / np.array([max(len(some), 1) for some in pieces])))
    if usual < _WORD or even.mean() < _NEARLY_ALL or size < _LEAST_PIECE:
        return inner, (left, right, 0)
    out = np.zeros((n, int(kept.max())), dtype=np.uint8)
    codes_of = [np.flatnonzero(_outside(text, common)) for text in texts]
    for row, places in enumerate(codes_of):
        out[row, : len(places)] = inner[row, places]
    return out, (left, right, int(usual))


def _common_words(texts: list[str]) -> set[str]:
    """Return the words, and their reverse complements, that two in five of (a sample of) the sequences have."""
    some = texts[:: max(1, len(texts) // _SAMPLED)]
    counts: Counter[str] = Counter()
    for text in some:
        words = {text[place : place + _WORD] for place in range(len(text) - _WORD + 1)}
        counts.update(words | {turned(word.encode()).decode() for word in words})
    least = max(_COMMON * len(some), 2)
    return {word for word, count in counts.items() if count >= least and "!" not in word}


def _outside(text: str, common: set[str]) -> BoolArray:
    """Return which bases of a sequence lie in none of the words."""
    outside = np.ones(len(text), dtype=bool)
    for place in range(len(text) - _WORD + 1):
        if text[place : place + _WORD] in common:
            outside[place : place + _WORD] = False
    return outside


def _pieces(text: str, common: set[str]) -> list[str]:
    outside = _outside(text, common)
    edges = np.flatnonzero(np.diff(np.r_[False, outside, False].astype(np.int8)))
    return [text[begin:end] for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


def constant_flanks(codes: UInt8Array) -> tuple[int, int]:
    """Return how many bp at the left and at the right end of each sequence are the same in 99 % of them.

    With fewer than 10 bp or a tenth of the length between, nothing is left out.
    """
    n = len(codes)
    lengths = (codes != 0).sum(axis=1)
    if n < _FEWEST:
        return 0, 0
    rows = np.arange(n)
    ends = []
    for step, start in ((1, np.zeros(n, dtype=np.int64)), (-1, lengths - 1)):
        for place in range(int(lengths.min()) + 1):
            if place == int(lengths.min()):
                break
            bases, counts = np.unique(codes[rows, start + step * place], return_counts=True)
            if counts.max() < _CONSTANT * n or int(bases[counts.argmax()]) not in (1, 2, 4, 8):
                break
        ends.append(place)
    middle = float(np.median(lengths))
    left_over = min(float(lengths.min()), middle) - sum(ends)
    return (ends[0], ends[1]) if left_over >= max(_LEAST_LEFT, 0.1 * middle) else (0, 0)


def _without(codes: UInt8Array, left: int, right: int) -> UInt8Array:
    lengths = (codes != 0).sum(axis=1)
    inner = codes[:, left:].copy()
    inner[np.arange(inner.shape[1]) >= (lengths - left - right)[:, None]] = 0
    longest = int((inner != 0).sum(axis=1).max(initial=0))
    return np.asarray(inner[:, :longest])


def identities(
    sequences: Sequences, first: IntArray, second: IntArray, reverse: BoolArray, threshold: float
) -> FloatArray:
    """Return the identity of pairs of sequences, NaN below `FLOOR`; float64, shape (m,).

    Parameters
    ----------
    sequences
        n of them.
    first, second, reverse
        Rows, and True where the reverse complement of one is meant; shape (m,).
    threshold
        Where the whole reaches it, stretches are not looked at.
    """
    swap = sequences.known[first] > sequences.known[second]
    a, b = np.where(swap, second, first), np.where(swap, first, second)
    best = _either(sequences, a, b, reverse, "whole")
    length = sequences.lengths[a]
    rest = np.flatnonzero((best < threshold) & (sequences.stretch(length) < length))
    ends: tuple[_Which, ...] = ("first", "last")
    for which in ends:
        found = _either(sequences, a[rest], b[rest], reverse[rest], which)
        best[rest] = np.maximum(best[rest], found)
    stretch = sequences.stretch(length)
    for start in range(0, len(rest), _STRETCHES):
        some = rest[start : start + _STRETCHES]
        equal = best_stretch(sequences.codes, a[some], b[some], reverse[some], stretch[some])
        best[some] = np.maximum(best[some], equal / stretch[some])
    return np.where(best >= FLOOR, best, np.nan)


def _either(sequences: Sequences, a: IntArray, b: IntArray, reverse: BoolArray, which: _Which) -> FloatArray:
    """Return the identity of the whole, or the first or last stretch, of each `a` in `b`; -inf below `FLOOR`.

    Of two of one length also that of `b` in `a`, and the higher of the two.
    """
    best = np.full(len(a), -np.inf)
    same = np.flatnonzero(sequences.known[a] == sequences.known[b])
    for rows, of, within in ((np.arange(len(a)), a, b), (same, b[same], a[same])):
        turn = reverse[rows]
        length = sequences.lengths[of]
        size = length if which == "whole" else sequences.stretch(length)
        begin = length - size if which == "last" else np.zeros_like(length)
        best[rows] = np.maximum(best[rows], _part(sequences, of, within, turn, begin, begin + size, FLOOR))
    return best


def _part(
    sequences: Sequences, a: IntArray, b: IntArray, reverse: BoolArray, begin: IntArray, end: IntArray, floor: float
) -> FloatArray:
    """Return the identity of a part of each `a` somewhere in `b`, -inf below `floor`."""
    patterns = [
        sequences.patterns[row][start:stop]
        for row, start, stop in zip(a.tolist(), begin.tolist(), end.tolist(), strict=True)
    ]
    texts = [
        sequences.turned[row] if turn else sequences.texts[row]
        for row, turn in zip(b.tolist(), reverse.tolist(), strict=True)
    ]
    unclear = np.array([pattern.count(b"?") for pattern in patterns], dtype=np.int64)
    plain = end - begin - unclear
    most = np.floor((1.0 - floor) * plain + 1e-9).astype(np.int64) + unclear
    edits = infix_edits(patterns, texts, most)
    identity = 1.0 - np.maximum(edits - unclear, 0) / np.maximum(plain, 1)
    # a part that is mostly ambiguous tells nothing
    return np.where((edits >= 0) & (2 * plain >= end - begin) & (end > begin), identity, -np.inf)


def best_stretch(codes: UInt8Array, a: IntArray, b: IntArray, reverse: BoolArray, stretch: IntArray) -> IntArray:
    """Return the most equal bases in a stretch of pairs laid against each other without gaps, at every shift.

    0 where they are fewer than `FLOOR` of the stretch.
    """
    plain = np.zeros(16, dtype=np.uint8)
    plain[[1, 2, 4, 8]] = [1, 2, 3, 4]
    here = plain[codes[a]]
    there = plain[np.where(reverse[:, None], reverse_complement(codes[b]), codes[b])]
    there[there == 0] = 5  # no base of one is like no base of the other
    width = codes.shape[1]
    best = np.maximum(np.ceil(FLOOR * stretch).astype(np.int64) - 1, 0)
    found = np.zeros(len(a), dtype=np.int64)
    least = int(stretch.min())
    columns = np.arange(width + 1)
    ends = np.minimum(columns + stretch[:, None], width)
    for shift in range(least - width, width - least + 1):
        low, high = max(0, -shift), min(width, width - shift)
        equal = here[:, low:high] == there[:, low + shift : high + shift]
        rows = np.flatnonzero(np.count_nonzero(equal, axis=1) > best)  # no stretch has more
        if not len(rows):
            continue
        sums = np.zeros((len(rows), width + 1), dtype=np.int32)
        np.cumsum(equal[rows], axis=1, out=sums[:, low + 1 : high + 1])
        sums[:, high + 1 :] = sums[:, high, None]
        inside = (np.take_along_axis(sums, ends[rows], axis=1) - sums).max(axis=1)
        better = inside > best[rows]
        best[rows[better]] = found[rows[better]] = inside[better]
    return found


def scan_sequences(sequences: Sequences, sides: Sides, threshold: float, rng: np.random.Generator) -> Scan:
    """Look for the pairs of an evaluated sequence and one it is trained with that are alike.

    Candidates share words at spaced places (``seeds.py``); each is aligned on both strands. What the search
    overlooks is what a certificate estimates (``certificate.py``).

    Parameters
    ----------
    sequences
        n of them.
    sides
        Of these.
    threshold
        Identity from which on pairs are counted.
    rng
        See ``audit_seeds.find_candidates``.

    Returns
    -------
    Scan
        Its leak ratio is DataSAIL's (Joeres et al. 2025) over the pairs found with an identity of at least 0.7 and of
        which one sample at least is evaluated: the sum of the identities of pairs on two sides by that of all.
    """
    found = find_candidates(sequences.codes, sides, rng)
    first, second, reverse = found.first, found.second, found.reverse
    facts: dict[str, Any] = {"constant_flanks": list(sequences.flanks), **found.facts, "not_aligned": 0}
    if len(first) > _MOST_PAIRS:
        meets = sides.meets(first, second) | sides.meets(second, first)
        order = np.lexsort((-found.words, ~meets))[:_MOST_PAIRS]
        facts["not_aligned"] = len(first) - _MOST_PAIRS
        first, second, reverse = first[order], second[order], reverse[order]
    identity = np.full(len(first), np.nan)
    for start in range(0, len(first), _PAIRS):
        tick("auditing sequences: alignment", start / len(first))
        rows = slice(start, start + _PAIRS)
        identity[rows] = identities(sequences, first[rows], second[rows], reverse[rows], threshold)
    tick("auditing sequences: alignment", 1.0)
    known = np.flatnonzero(np.isfinite(identity))
    order = known[np.lexsort((-identity[known], second[known], first[known]))]  # of two strands the better
    new = np.r_[True, (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)][: len(order)]
    first, second, identity = first[order[new]], second[order[new]], identity[order[new]]
    forward, backward = sides.meets(first, second), sides.meets(second, first)
    evaluated = np.r_[first[forward], second[backward]]
    trained = np.r_[second[forward], first[backward]]
    alike = np.r_[identity[forward], identity[backward]]
    nearest, similarity = _nearest(len(sides), evaluated, trained, alike)
    crossings = {}
    high = alike >= threshold
    leaks = pairs_across(evaluated[high], trained[high], alike[high], sides)
    for stage, leak in leaks.items():
        members = sides.rows(stage)
        members = members[nearest[members] >= 0]
        top = members[np.argsort(-similarity[members], kind="stable")[:_EXAMPLES]]
        crossings[stage] = replace(
            leak,
            examples=np.stack([top, nearest[top]], axis=1),
            worst=float(similarity[top[0]]) if len(top) else float("nan"),
        )
        facts[f"nearest_{stage}"] = quantiles(similarity[members])
    total = float(identity.sum())
    return Scan(
        measure="identity",
        threshold=threshold,
        crossings=crossings,
        nearest=nearest,
        similarity=similarity,
        leak_ratio=float(identity[forward | backward].sum()) / total if total > 0.0 else 0.0,
        pairs=_as_pairs(first, second, identity, (forward | backward) & (identity >= threshold), threshold),
        facts={
            **facts,
            "leak_ratio_from": FLOOR,
            "aligned": len(reverse),
            "similar_pairs": len(identity),
            "aligner": _aligner(),
        },
    )


def _as_pairs(first: IntArray, second: IntArray, identity: FloatArray, kept: BoolArray, threshold: float) -> Pairs:
    low, high = np.minimum(first, second)[kept], np.maximum(first, second)[kept]
    return Pairs(first=low, second=high, similarity=identity[kept], measure="identity", threshold=threshold)


def _aligner() -> str:
    return "NumPy" if edlib() is None else "edlib"


def _nearest(n: int, evaluated: IntArray, trained: IntArray, alike: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return for each row the most alike one it is trained with, and its identity; -1 and NaN where none was found."""
    nearest, similarity = np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    order = np.lexsort((trained, -alike, evaluated))
    evaluated, trained, alike = evaluated[order], trained[order], alike[order]
    first = np.flatnonzero(np.r_[True, evaluated[1:] != evaluated[:-1]]) if len(evaluated) else np.empty(0, dtype=int)
    nearest[evaluated[first]] = trained[first]
    similarity[evaluated[first]] = alike[first]
    return nearest, similarity
