"""Numbers that may mean "no value": -9, -99, 9999 ... that stand apart from the other values of a column.

They are refused rather than guessed at: a trait of -9 may be a temperature. What stands apart:

1. below 0 where no other value is (not -1, which a score may have);
2. outside the others by half of their range or more, and by more than the gaps between them (three times the largest in
   the nearer half of the values where it stands there once);
3. or below -1, three times or more, in a column whose other values hardly repeat (a third as often at most).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.data.options import Missing

_NINES = tuple(float("9" * digits) for digits in range(1, 7))
_FRACTIONS = (99.9, 99.99, 999.9, 999.99, 9999.9, 9999.99)
_OF_COMPUTERS = (-32768.0, -2147483648.0, 2147483647.0)
SENTINELS = frozenset(
    (
        *(-nines for nines in (*_NINES, *_FRACTIONS)),
        *(nines for nines in (*_NINES, *_FRACTIONS) if nines > _NINES[0]),
        *_OF_COMPUTERS, -1.0, -77.0, -88.0, -777.0, -888.0,
    )
)  # fmt: skip
"""Numbers that are commonly written for "no value"; 9 and 0 are too common among values."""

_FEWEST_OTHERS = 3
_APART = 0.5
_ONCE = 3.0
_OFTEN = 3
_MINUS_ONE = -1.0


def sentinels(values: FloatArray, missing: Missing) -> list[float]:
    """Return the numbers that stand apart from the other values as one that means "no value" would.

    Parameters
    ----------
    values
        Of a column, float64, shape (n,); NaN is missing.
    missing
        Says which numbers the user has called values.
    """
    known = values[np.isfinite(values)]
    among = [value for value in np.unique(known).tolist() if value in SENTINELS]
    if not among:
        return []
    others = known[~np.isin(known, among)]
    if len(others) < _FEWEST_OTHERS:
        return []
    steps = np.unique(others)
    most = int(np.unique(others, return_counts=True)[1].max())
    counts = {value: int((known == value).sum()) for value in among}
    return [
        value
        for value in among
        if value not in missing.values
        and (_is_apart(value, counts[value], steps) or (value < _MINUS_ONE and counts[value] >= _OFTEN * most))
    ]


def _is_apart(value: float, count: int, steps: FloatArray) -> bool:
    """Say whether a value lies outside `steps`, the other values in order, each once."""
    low, high = float(steps[0]), float(steps[-1])
    if low <= value <= high:
        return False
    if value < 0 <= low and value != _MINUS_ONE:
        return True
    gap = low - value if value < low else value - high
    middle = len(steps) // 2
    near = np.diff(steps[: middle + 1] if value < low else steps[middle:])
    widest = float(near.max(initial=0.0)) * (_ONCE if count == 1 else 1.0)
    return gap >= _APART * (high - low) and gap > widest


def sentence(values: FloatArray, found: Sequence[float], where: str) -> str:
    """Return how often they stand in a column, first at `where`, and the two ways to say what they are."""
    listed = " and ".join(f"{value:g} ({int((values == value).sum()):,} of {len(values):,} rows)" for value in found)
    others = values[np.isfinite(values) & ~np.isin(values, found)]
    cells = ",".join(f"{value:g}" for value in found)
    kept = ",".join(f"value:{value:g}" for value in found)
    return (
        f"is {listed}, first at {where}, while the other values lie from {others.min():g} to {others.max():g}: say "
        f"that it is missing (--missing {cells}) or a value (--missing {kept})"
    )
