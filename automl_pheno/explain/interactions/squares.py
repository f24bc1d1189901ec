"""Double differences f(ab) - f(a) - f(b) + f(0) of pairs of places over backgrounds, and their summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.interactions.places import Places
from automl_pheno.explain.scoring import Score

CELLS = 8_000_000
"""Values of changed inputs held at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Squares:
    """Double differences and single effects of m pairs over B backgrounds, phenotype units.

    Attributes
    ----------
    pairs
        Places, int64, shape (m, 2).
    interaction
        ``(f(ab) - f(a) - f(b) + f(0)) / (step of a * step of b)``, shape (m, B): positions, per pair of mutations away
        from the reference; variants, per pair of alleles; blocks, per exchange, signed by the blocks' axes; motifs, per
        pair of motifs.
    effect_a, effect_b
        ``(f(a) - f(0)) / step of a``, shape (m, B).
    """

    pairs: IntArray
    interaction: FloatArray
    effect_a: FloatArray
    effect_b: FloatArray

    @property
    def signed(self) -> FloatArray:
        """Mean over backgrounds, shape (m,)."""
        return np.asarray(self.interaction.mean(axis=1))

    @property
    def size(self) -> FloatArray:
        """Mean absolute value over backgrounds, shape (m,)."""
        return np.asarray(np.abs(self.interaction).mean(axis=1))

    @property
    def sd(self) -> FloatArray:
        """Standard deviation over backgrounds, shape (m,); NaN for one background."""
        if self.interaction.shape[1] < 2:
            return np.full(len(self.interaction), np.nan)
        return np.asarray(self.interaction.std(axis=1, ddof=1))

    def product_of_sizes(self, least: float) -> FloatArray:
        """Return the product of the mean absolute effects of the two places of each pair, each at least `least`."""
        sizes = [np.maximum(np.abs(effect).mean(axis=1), least) for effect in (self.effect_a, self.effect_b)]
        return np.asarray(sizes[0] * sizes[1])

    def product_r2(self) -> float:
        """Return how much of the interactions the products of single effects explain: R^2 of one slope for all pairs.

        A trait that is a curved function of a sum (saturation, a log scale) makes all that has an effect interact in
        proportion to the product of the effects (global epistasis: Otwinowski, McCandlish & Plotkin 2018). A high value
        says that the pairs tell of such a curve rather than of a mechanism of their own.
        """
        product = (self.effect_a * self.effect_b).ravel()
        d = self.interaction.ravel()
        total, power = float((d**2).sum()), float((product**2).sum())
        if total == 0 or power == 0:
            return float("nan")
        return float((d @ product) ** 2 / (total * power))


class Table:
    """Predictions of backgrounds and of single places are kept, since many pairs ask for them.

    Parameters
    ----------
    score
        Predicts many inputs.
    places
        What can be changed.
    """

    def __init__(self, score: Score, places: Places) -> None:
        self.score = score
        self.places = places
        self.members = places.members()
        self.evaluations = 0
        self._zero = self._ask(np.asarray(places.base.values)[None])[0]
        self._single: dict[int, FloatArray] = {}

    @property
    def spread(self) -> float:
        """Spread of all predictions of backgrounds and single places so far, phenotype units; 1 where there is none."""
        known = np.concatenate([self._zero, *self._single.values()])
        return float(np.ptp(known)) or 1.0

    def squares(self, pairs: IntArray, words: str) -> Squares:
        """Return the double differences of `pairs`, shape (m, 2); `words` say what is going on."""
        pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        missing = [int(place) for place in np.unique(pairs) if int(place) not in self._single]
        total = max(len(missing) + len(pairs), 1)
        done = 0
        for part in self._parts(np.array(missing, dtype=np.int64)[:, None]):
            for place, row in zip(part[:, 0], self._changed(part), strict=True):
                self._single[int(place)] = row
            done += len(part)
            progress.tick(words, done / total)
        found = []
        for part in self._parts(pairs):
            found.append(self._changed(part))
            done += len(part)
            progress.tick(words, done / total)
        count = self.places.backgrounds
        both = np.concatenate(found) if found else np.zeros((0, count))
        a = np.array([self._single[int(place)] for place in pairs[:, 0]]).reshape(-1, count) - self._zero
        b = np.array([self._single[int(place)] for place in pairs[:, 1]]).reshape(-1, count) - self._zero
        step_a, step_b = self.places.step[:, pairs[:, 0]].T, self.places.step[:, pairs[:, 1]].T
        return Squares(
            pairs=pairs,
            interaction=(both - self._zero - a - b) / (step_a * step_b),
            effect_a=a / step_a,
            effect_b=b / step_b,
        )

    def _parts(self, sets: IntArray) -> Iterator[IntArray]:
        step = max(1, CELLS // max(np.asarray(self.places.base.values).size, 1))
        for start in range(0, len(sets), step):
            yield sets[start : start + step]

    def _changed(self, sets: IntArray) -> FloatArray:
        """Return predictions with the places of each row of `sets` changed, shape (len(sets), B)."""
        base, other = self.places.base.values, self.places.other
        rows = np.repeat(base[None], len(sets), axis=0)
        for number, chosen in enumerate(sets):
            columns = np.concatenate([self.members[place] for place in chosen])
            rows[number][:, columns] = other[:, columns]
        return self._ask(rows)

    def _ask(self, rows: FloatArray) -> FloatArray:
        self.evaluations += rows.shape[0] * rows.shape[1]
        flat = replace(self.places.base, values=rows.reshape(-1, rows.shape[2]))
        return np.asarray(self.score(flat), dtype=np.float64).reshape(rows.shape[:2])
