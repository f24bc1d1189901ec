"""Where the places of a motif lie in the sequences, and whether they gather anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.motifs.windows import BoolArray

NEAR = 5
"""Places this close to the mode, bp, are near it."""
SHARP = 2
"""The mode is where most lies within so many bp: a sharp peak, not the middle of a broad hill beside it."""
DRAWS = 1999
SIGNIFICANT = 0.001
"""Of one motif: up to ten are tested, so that in 1 % of the cases one without a place is said to have one."""
LEAST_RATIO = 1.5
Anchor = Literal["first", "last"]
"""From which base of the sequence a place is counted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """Places of one motif.

    Attributes
    ----------
    sample
        Row of the attribution, shape (n,).
    start, end
        First and last base, 1-based, shape (n,).
    forward
        Whether the motif lies there as written; else its reverse complement does, shape (n,).
    contribution
        Summed over the place, phenotype units, shape (n,).
    length
        Of the sequence, without padding, bp, shape (n,).
    """

    sample: IntArray
    start: IntArray
    end: IntArray
    forward: BoolArray
    contribution: FloatArray
    length: IntArray

    def __len__(self) -> int:
        return len(self.sample)

    @property
    def middle(self) -> FloatArray:
        """Middle of each place, 1-based, shape (n,)."""
        return (self.start + self.end) / 2

    @property
    def from_end(self) -> FloatArray:
        """Bases between the middle of each place and the last base, 0 at the last base, shape (n,)."""
        return np.asarray(self.length - self.middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Whether places gather.

    Attributes
    ----------
    median_place, median_from_end, place_iqr
        Of the middles, bp; the range holds the middle half of the places.
    mode_place, mode_from_end
        Where the motif contributes most within 2 bp: median of the middles there.
    anchor
        From which base the mode was found: the last one, but in sequences of unlike lengths the one from which the
        places gather more. Only the mode that is counted from there is one place in all sequences.
    share_near_mode
        Share of the motif's contribution, over all its places, that lies within 5 bp of the mode.
    share_by_chance
        The same for places drawn evenly along the same sequences, each with its contribution, and their own mode:
        mean over 1,999 draws.
    p
        Share of these draws that gather as much.
    positional
        `p` is at most 0.001 and the share near the mode at least 1.5 times that by chance.
    """

    median_place: float
    median_from_end: float
    place_iqr: float
    mode_place: float
    mode_from_end: float
    anchor: Anchor
    share_near_mode: float
    share_by_chance: float
    p: float
    positional: bool


def whereabouts(places: Places, rng: np.random.Generator) -> Whereabouts:
    """Tell where places gather, counted from the first base or, in sequences of unlike lengths, from the last.

    Parameters
    ----------
    places
        At least one.
    rng
        For the draws.
    """
    middle = places.middle
    width = places.end - places.start + 1
    even_lengths = bool((places.length == places.length[0]).all())
    views = [middle] if even_lengths else [middle, places.from_end]
    longest = int(places.length.max())
    weights = _weights(places.contribution)
    counted = [_gathered(view[None], weights, longest) for view in views]
    chosen = int(np.argmax([share[0] for share, _ in counted]))
    # a draw may choose its better end too, or lengths would make a motif positional
    room = np.maximum(places.length - width, 0)
    drawn = (rng.random((DRAWS, len(places))) * (room + 1)).astype(np.int64) + (width + 1) / 2
    chance = _gathered(drawn, weights, longest)[0]
    if not even_lengths:
        chance = np.maximum(chance, _gathered(places.length - drawn, weights, longest)[0])
    share, mode = float(counted[chosen][0][0]), float(counted[chosen][1][0])
    near = np.abs(np.round(views[chosen]) - mode) <= SHARP
    p = (1.0 + float((chance >= share - 1e-12).sum())) / (1.0 + DRAWS)
    low, high = np.quantile(middle, [0.25, 0.75])
    return Whereabouts(
        median_place=float(np.median(middle)),
        median_from_end=float(np.median(places.from_end)),
        place_iqr=float(high - low),
        mode_place=float(np.median(middle[near])),
        mode_from_end=float(np.median(places.from_end[near])),
        anchor="first" if chosen == 0 and not even_lengths else "last",
        share_near_mode=share,
        share_by_chance=float(chance.mean()),
        p=p,
        positional=p <= SIGNIFICANT and share >= LEAST_RATIO * float(chance.mean()),
    )


def _weights(contribution: FloatArray) -> FloatArray:
    size = np.abs(contribution)
    return np.asarray(size / size.sum() if size.any() else np.full(len(size), 1.0 / len(size)))


def fullest_bin(distance: FloatArray, contribution: FloatArray, length: int) -> tuple[int, int]:
    """Return the first and the last of the 5 neighbouring bases in which a motif contributes most.

    Of bars of that width, one of which stands there, none is higher: what is written of the mode is what is seen.

    Parameters
    ----------
    distance
        Middles of the places from a base of the sequence, bp, shape (n,).
    contribution
        Of the places, shape (n,).
    length
        Of the longest sequence.
    """
    mode = int(_gathered(distance[None], _weights(contribution), length)[1][0])
    return mode - SHARP, mode + SHARP


def place_of(row: Mapping[Any, Any]) -> tuple[float, Anchor] | None:
    """Return how far from which base of the sequence a motif of ``motifs.csv`` gathers; None where it is not bound.

    An older table counts from the last base, and one older still knows the median distance only.
    """
    if str(row.get("positional")) != "True":
        return None
    if row.get("anchor") == "first":
        return float(row["mode_place"]), "first"
    known = row.get("mode_from_end")
    return float(row["median_from_end"] if known is None or pd.isna(known) else known), "last"


def place_words(row: Mapping[Any, Any]) -> str:
    """Return in words where a motif of ``motifs.csv`` gathers; "" where it is bound to no place."""
    place = place_of(row)
    if place is None:
        return ""
    distance, anchor = place
    if anchor == "first":
        return f"at base {distance:.0f}"
    return f"{distance:.0f} bp before the last base"


def _gathered(middles: FloatArray, weights: FloatArray, length: int) -> tuple[FloatArray, FloatArray]:
    """Return the base with most of each row's weights within `SHARP`, and their share within `NEAR` of it.

    The share comes first; both have shape (rows,).
    """
    rows = len(middles)
    cells = length + 2 * NEAR + 2
    at = np.clip(np.round(middles).astype(np.int64), 0, length) + NEAR
    flat = (np.arange(rows)[:, None] * cells + at).ravel()
    held = np.bincount(flat, weights=np.tile(weights, rows), minlength=rows * cells).reshape(rows, cells)
    total = np.cumsum(np.pad(held, ((0, 0), (1, 0))), axis=1)
    last = np.arange(length + 1)
    sharp = total[:, last + NEAR + SHARP + 1] - total[:, last + NEAR - SHARP]
    best = sharp.argmax(axis=1)
    every = np.arange(rows)
    return total[every, best + 2 * NEAR + 1] - total[every, best], best.astype(np.float64)
