"""Genotypes as numbers: which coding a table has, and the dosages it means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray
from automl_pheno.data.options import HIGHEST_PLOIDY, Missing
from automl_pheno.data.variants import blocks
from automl_pheno.errors import DataError

_HIGHEST = 2.0
SENTINELS = (-9.0, -1.0, 9.0, -99.0, 99.0, -999.0, 999.0, 3.0, -2.0)
"""Numbers that stand for missing calls in some files."""

_ONE_AND_TWO = (20, 10)  # samples and variants from which no 0 at all is no chance
_MOST_FREQUENT = 0.05
_COMMON = 0.2
_GENOTYPES = 3
_ROUNDED = 0.02
_LOW, _HIGH = -16, 16

Bad = Callable[[int, int, str], DataError]
"""``bad(row, column, rule)`` makes the error about one cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """What numbers a table holds; NaN does not count."""

    low: float
    high: float
    whole: bool
    there: frozenset[int]


def as_dosages(
    values: FloatArray, bad: Bad, *, ploidy: int | None, missing: Missing
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return numbers as dosages from 0 to 2, and what was done to them.

    Numbers from 0 to 2 are dosages. -1, 0 and 1 are those of rrBLUP (Endelman 2011): one less than the dosage. With a
    stated ploidy p they run from 0 to p and become 2 x their share of it, as 0, 0.5 and 1 alone do (TASSEL).

    Parameters
    ----------
    values
        float32, shape (rows, columns); NaN is missing.
    bad
        Makes the error about a cell.
    ploidy
        As the user states it, None is not stated.
    missing
        What the user says of missing cells.

    Raises
    ------
    DataError
        The numbers are of none of these codings, or could be of two.
    """
    found = _range(values)
    if ploidy is not None and ploidy != _HIGHEST:
        _refuse(values, bad, 0.0, float(ploidy), f"a dosage must be from 0 to {ploidy}, the stated ploidy")
        note = f"dosages from 0 to {ploidy} become 2 x their share of the ploidy"
        return values * np.float32(_HIGHEST / ploidy), (note,)
    if found.low >= 0 and found.high <= _HIGHEST:
        if found.there == {1, 2} and all(n >= least for n, least in zip(values.shape, _ONE_AND_TWO, strict=True)):
            raise bad(0, 0, "all cells are 1 or 2, so they are allele numbers, not dosages; write both alleles (11, "
                            "12, 22), or 0 and 2 for lines that are homozygous")  # fmt: skip
        if not found.whole and found.high <= 1.0:
            return _shares(values, bad)
        return values, ()
    if found.whole and found.there <= {-1, 0, 1} and ploidy is None:
        return _centred(values, found, bad, missing)
    raise _what_else(values, found, bad)


def _range(values: FloatArray) -> _Range:
    low, high, whole = np.inf, -np.inf, True
    counts = np.zeros(_HIGH - _LOW + 1, dtype=np.int64)
    for rows in blocks(len(values), 4 * values.shape[1]):
        part = values[rows]
        known = part[~np.isnan(part)]
        if len(known):
            low, high = min(low, float(known.min())), max(high, float(known.max()))
            rounded = np.rint(known)
            whole = whole and bool((known == rounded).all())
            counts += np.bincount(np.clip(rounded, _LOW, _HIGH).astype(np.int64) - _LOW, minlength=len(counts))
    if low > high:
        low = high = 0.0
    there = frozenset((np.flatnonzero(counts) + _LOW).tolist()) if whole else frozenset()
    return _Range(low=low, high=high, whole=whole, there=there)


def _shares(values: FloatArray, bad: Bad) -> tuple[FloatArray, tuple[str, ...]]:
    """Return 0, 0.5 and 1 as dosages; raise for probabilities of the three genotypes."""
    if not values.shape[1] % _GENOTYPES:
        sums = values.reshape(len(values), -1, _GENOTYPES).sum(axis=2)
        if bool((np.isnan(sums) | (np.abs(sums - 1.0) < _ROUNDED)).all()):
            rule = (
                "columns come in threes that add up to 1, so they are probabilities of genotypes; a dosage is that of "
            )
            raise bad(0, 0, rule + "one copy plus twice that of two")
    twice = values * np.float32(_HIGHEST)
    if bool((np.isnan(twice) | (twice == np.rint(twice))).all()):
        return twice, ("genotypes are 0, 0.5 and 1, the share of an allele, and are read as dosages 0, 1 and 2",)
    return values, ()


def _centred(values: FloatArray, found: _Range, bad: Bad, missing: Missing) -> tuple[FloatArray, tuple[str, ...]]:
    """Return -1, 0 and 1 as 0, 1 and 2, unless -1 may as well mean missing."""
    if 0 in found.there and 1 in found.there and -1.0 not in missing.values and not _is_genotype(values):
        row, column = _first(values < 0)
        raise bad(row, column, "-1 may be the other homozygote (-1, 0, 1 as in rrBLUP) or a missing call; say which: "
                               "--missing value:-1 (a genotype), or --missing=-1")  # fmt: skip
    return values + np.float32(1.0), ("genotypes are -1, 0 and 1, as in rrBLUP, and are read as dosages 0, 1 and 2",)


def _is_genotype(values: FloatArray) -> bool:
    """Say whether -1 is no missing call: others are missing, it is common, or the most frequent of many variants."""
    counts = [np.asarray((values == number).sum(axis=0)) for number in (-1, 0, 1)]
    if np.isnan(values).any() or counts[0].sum() >= _COMMON * values.size:
        return True
    return bool((counts[0] > np.maximum(counts[1], counts[2])).mean() >= _MOST_FREQUENT)


def _what_else(values: FloatArray, found: _Range, bad: Bad) -> DataError:
    outside = (values < 0) | (values > _HIGHEST)
    rule = "a dosage must be a number from 0 to 2"
    for number in SENTINELS:
        rest = outside & (values != number)
        if not rest.any():
            row, column = _first(outside)
            share = float(outside.mean())
            likely = number < 0 or number >= 9 or share < _MOST_FREQUENT
            if likely:
                return bad(row, column, f"{rule}; if it means missing, say so with --missing {number:g}")
    row, column = _first(outside)
    if found.whole and found.low >= 1 and found.high <= HIGHEST_PLOIDY:
        rule += (
            "; no cell is 0, so genotypes may be counted from 1 (subtract 1), or these are scores, which belong into "
        )
        rule += "the trait table"
    elif found.whole and found.low >= 0 and found.high <= HIGHEST_PLOIDY:
        rule += (
            f"; up to {found.high:g} looks like a polyploid (--ploidy {found.high:g} says so), or like scores, which "
        )
        rule += "belong into the trait table"
    elif not found.whole and found.low >= -1 and found.high <= 1:
        rule += "; from -1 to 1 looks like imputed genotypes of rrBLUP: add 1 to each cell"
    return bad(row, column, rule)


def _refuse(values: FloatArray, bad: Bad, low: float, high: float, rule: str) -> None:
    outside = (values < low) | (values > high)
    if outside.any():
        raise bad(*_first(outside), rule)


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, int]:
    row, column = np.unravel_index(int(np.argmax(where)), where.shape)
    return int(row), int(column)
