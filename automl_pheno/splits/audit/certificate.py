"""What a search of similar sequences may have overlooked: a random sample is compared with everything."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from automl_pheno.data import FloatArray, IntArray
from automl_pheno.progress import tick
from automl_pheno.splits.audit.alignment import edlib, infix_edits, turned
from automl_pheno.splits.audit.sequences import Sequences, identities
from automl_pheno.splits.audit.sides import STAGES, Sides
from automl_pheno.splits.pairs import Pairs

MOST_CERTIFIED = 300
"""Sequences drawn at most: with none leaking, 95 % confidence that at most 1 % do."""

_STRETCHES = 5
_WORD = 64  # bases of a pattern that are aligned at a time
_SPEED = 1.0e8  # words times bases of text aligned in a second
_SLACK = 0.02  # of two of one length, either in the other: how much the edits may differ


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """A random sample of evaluated sequences, each compared with all it is trained with.

    Attributes
    ----------
    stage
        Whose sequences they are: ``test``, or ``validation`` where there is no test set.
    compared, of
        Sequences drawn, and how many there are.
    trained
        Sequences that each was compared with, fewest and most.
    leaking
        How many of those drawn are alike one they are trained with.
    bound
        With 95 % confidence at most this share of `of` leaks (Clopper and Pearson 1934, one-sided); 0 where all were
        compared and none leaks.
    missed
        Rows (evaluated, trained on), shape (m, 2), of pairs at or above the threshold.
    similarity
        Of these, shape (m,).
    seconds
        It took.
    """

    stage: str
    compared: int
    of: int
    trained: tuple[int, int]
    leaking: int
    bound: float
    missed: IntArray
    similarity: FloatArray
    seconds: float

    def pairs(self, threshold: float) -> Pairs:
        """Return what the search had overlooked."""
        rows = np.sort(self.missed, axis=1)
        _, once = np.unique(rows, axis=0, return_index=True)
        first, second = rows[once].T
        return Pairs(
            first=first, second=second, similarity=self.similarity[once], measure="identity", threshold=threshold
        )


def certify(
    sequences: Sequences, sides: Sides, threshold: float, budget: float, rng: np.random.Generator
) -> Certificate | None:
    """Compare a random sample of test sequences with every training sequence, without any filter by words.

    The whole of each drawn sequence, and five stretches of it, are aligned with the whole training data on both
    strands, with so many more edits allowed that no stretch that is alike without gaps can hide between two of the
    five; what is near is compared pair by pair.

    Parameters
    ----------
    sequences, sides, threshold
        As for ``audit_sequences.scan_sequences``.
    budget
        Seconds, by the speed of a common core: how many are compared depends on the data alone, so that the same
        seed gives the same certificate. At least one sequence is compared, and at most 300.
    rng
        Draws them.

    Returns
    -------
    Certificate or None
        None where nothing is evaluated.
    """
    begun = time.perf_counter()
    stage = next((stage for stage in STAGES if len(sides.rows(stage))), None)
    if stage is None:
        return None
    rows = sides.rows(stage)
    drawn = rng.permutation(rows)[: _affordable(sequences, sides, rows, budget)]
    missed: list[tuple[int, int, float]] = []
    compared = leaking = 0
    trained: list[int] = []
    corpora: dict[int, _Corpus] = {}
    for row in drawn.tolist():
        tick("auditing sequences: certificate", compared / len(drawn))
        code = int(sides.code[row])
        if code not in corpora:
            corpora = {code: _Corpus(sequences, np.flatnonzero(sides.trained[code]).astype(np.int64))}
        others = corpora[code].near(row, threshold)
        rows_of = np.full(2 * len(others), row, dtype=np.int64)
        turn = np.arange(2 * len(others)) >= len(others)
        strands = identities(sequences, rows_of, np.r_[others, others], turn, threshold).reshape(2, -1)
        identity = np.fmax(*strands)
        alike = identity >= threshold
        missed += [
            (row, other, value) for other, value in zip(others[alike].tolist(), identity[alike].tolist(), strict=True)
        ]
        compared += 1
        leaking += bool(alike.any())
        trained.append(len(corpora[code].rows))
    tick("auditing sequences: certificate", 1.0)
    return Certificate(
        stage=stage,
        compared=compared,
        of=len(rows),
        trained=(min(trained, default=0), max(trained, default=0)),
        leaking=leaking,
        bound=leaking / compared if compared == len(rows) else upper_bound(leaking, compared),
        missed=np.array([pair[:2] for pair in missed], dtype=np.int64).reshape(-1, 2),
        similarity=np.array([pair[2] for pair in missed]),
        seconds=time.perf_counter() - begun,
    )


def _affordable(sequences: Sequences, sides: Sides, rows: IntArray, budget: float) -> int:
    """Return how many sequences of typical length can be compared with all that is trained on."""
    length = np.array([max(int(np.median(sequences.lengths)), 1)])
    stretch = int(sequences.stretch(length)[0])
    words = -(-int(length[0]) // _WORD) + (_STRETCHES * -(-stretch // _WORD) if stretch < length[0] else 0)
    bases = float(np.median([sequences.lengths[sides.trained[code]].sum() for code in np.unique(sides.code[rows])]))
    return int(np.clip(budget * _SPEED / max(2.0 * words * bases, 1.0), 1, MOST_CERTIFIED))


def upper_bound(found: int, drawn: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper bound of a share of which `found` of `drawn` were seen (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    if found >= drawn:
        return 1.0
    return float(beta.ppf(confidence, found + 1, drawn - found))


class _Corpus:
    """All sequences of one training set, so that a pattern is looked for in all of them at once."""

    def __init__(self, sequences: Sequences, rows: IntArray) -> None:
        self.sequences = sequences
        self.rows = rows
        self.joined: dict[int, bytes] = {}

    def near(self, row: int, threshold: float) -> IntArray:
        """Return the rows in which the whole of a sequence, or a stretch of it, is found at the threshold."""
        own = self.sequences
        length = int(own.lengths[row])
        shorter = self.rows[own.lengths[self.rows] < length]
        found = {int(other) for other in shorter}  # the pattern is the other one; each is compared by itself
        stretch = int(own.stretch(np.array([length]))[0])
        pattern = own.patterns[row]
        begins = {round(place * (length - stretch) / (_STRETCHES - 1)) for place in range(_STRETCHES)}
        between = -(-(length - stretch) // (2 * (_STRETCHES - 1)))  # bases to the nearest of them
        wanted = [(pattern, math.ceil(_SLACK * length))]
        wanted += [(pattern[begin : begin + stretch], between) for begin in sorted(begins) if stretch < length]
        for part, more in wanted:
            most = math.floor((1.0 - threshold) * len(part) + 1e-9) + more
            for turn in (False, True):
                found |= self._search(turned(part) if turn else part, most)
        return np.array(sorted(found), dtype=np.int64)

    def _search(self, pattern: bytes, most: int) -> set[int]:
        package = edlib()
        if package is not None:
            text = self._text(most)
            if package.align(pattern, text, "HW", "distance", most)["editDistance"] < 0:
                return set()
        own = self.sequences.texts
        edits = infix_edits(
            [pattern] * len(self.rows), [own[row] for row in self.rows.tolist()], np.full(len(self.rows), most)
        )
        return set(self.rows[edits >= 0].tolist())

    def _text(self, most: int) -> bytes:
        """Return all sequences in one, with gaps between them that no alignment can bridge."""
        if most not in self.joined:
            self.joined[most] = (b"|" * (most + 1)).join(self.sequences.texts[row] for row in self.rows.tolist())
        return self.joined[most]
