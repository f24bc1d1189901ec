"""Variants of one file as another file states them: the same place, the same counted allele, the same strand.

A model counts one allele of each variant. In another file that allele may be the reference (dosages become 2 - d), be
named on the other strand (A/G is T/C), or be missing. Turner et al. 2011 (Curr Protoc Hum Genet 1.19) list these cases.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import Inputs, IntArray
from automl_pheno.data.variants import blocks
from automl_pheno.errors import DataError

Agreement = Literal["same", "swapped", "flipped", "flipped and swapped", "unknown", "mismatch"]

_COMPLEMENT = str.maketrans("ACGTUN", "TGCAAN")
_BASES = frozenset("ACGTUN")
_SWAPPED = ("swapped", "flipped and swapped")
_EXAMPLES = 3
_HIGHEST = np.float32(2.0)


@lru_cache(maxsize=4096)
def compare_alleles(given: tuple[str, str], wanted: tuple[str, str]) -> Agreement:
    """Say how the alleles (ref, alt) of one variant are those of another; "" is an allele that is not known.

    A variant with one known allele, as in a file where nobody has the other one, agrees by that allele. With both
    unknown on one side nothing can be compared: ``unknown``.

    >>> compare_alleles(("A", "G"), ("G", "A"))
    'swapped'
    >>> compare_alleles(("T", "C"), ("A", "G"))
    'flipped'
    """
    ours, theirs = (tuple(allele.upper() for allele in pair) for pair in (given, wanted))
    if not any(ours) or not any(theirs):
        return "unknown"
    turned = tuple(map(_reverse_complement, ours))
    tests: tuple[tuple[Agreement, tuple[str, ...]], ...] = (
        ("same", ours),
        ("swapped", ours[::-1]),
        ("flipped", turned),
        ("flipped and swapped", turned[::-1]),
    )
    for word, (ref, alt) in tests:
        if _fits(ref, theirs[0]) and _fits(alt, theirs[1]) and ref + alt != "":
            return word
    return "mismatch"


def is_ambiguous(alleles: tuple[str, str]) -> bool:
    """Say whether the alleles are complements of each other (A/T, C/G), so that they do not tell the strand."""
    return all(alleles) and _reverse_complement(alleles[0].upper()) == alleles[1].upper()


def harmonise(given: Inputs, wanted: pd.DataFrame) -> tuple[Inputs, tuple[str, ...]]:
    """Return `given` as dosages of the variants `wanted`, in their order, and notes with counts.

    Variants are matched by id, else by chromosome and position (``chr1`` is ``1``), where several stand there by
    alleles that agree. Where the counted allele is the other one, dosages become 2 - d. Variants that are not found,
    or whose alleles are others, are missing (NaN). Complementary alleles (A/T, C/G) are taken as they are named.

    Parameters
    ----------
    given
        Genotypes, with their variants.
    wanted
        Table of variants, as in `Inputs`.

    Returns
    -------
    Inputs
        Shape (n, wanted), with `wanted` as variants.
    tuple
        Notes.

    Raises
    ------
    DataError
        No variant is in common, or none has the alleles it should.
    """
    if given.variants is None:
        msg = "the genotypes have no table of variants to match"
        raise DataError(msg)
    columns, by_id = _find(given.variants, wanted)
    if not (columns >= 0).any():
        raise DataError(_nothing_in_common(given.variants, wanted))
    ours, theirs = _alleles(given.variants), _alleles(wanted)
    found = np.flatnonzero(columns >= 0)
    words = [compare_alleles(ours[int(columns[place])], theirs[place]) for place in found.tolist()]
    right = np.array([word != "mismatch" for word in words], dtype=bool)
    wrong, places = found[~right].tolist(), found[right]
    swapped = np.array([word in _SWAPPED for word in words], dtype=bool)[right]
    counts: Counter[str] = Counter(words)
    counts["ambiguous"] = sum(
        word not in ("unknown", "mismatch") and is_ambiguous(theirs[place])
        for word, place in zip(words, found.tolist(), strict=True)
    )
    values = np.full((len(given), len(wanted)), np.nan, dtype=np.float32)
    for rows in blocks(len(given), 4 * len(wanted)):
        part = given.values[rows][:, columns[places]]
        part[:, swapped] = _HIGHEST - part[:, swapped]
        values[rows][:, places] = part
    if len(wrong) == len(found):
        place = wrong[0]
        msg = (
            f"all {len(found):,} variants in common have other alleles: {wanted['id'].iloc[place]} is "
            f"{'/'.join(ours[int(columns[place])])}, not {'/'.join(theirs[place])} (ref/alt)"
        )
        raise DataError(msg)
    notes = _notes(given.variants, wanted, columns, by_id, counts, wrong)
    return Inputs(kind="genotype", values=values, variants=wanted), notes


def _reverse_complement(allele: str) -> str:
    # symbolic alleles and names such as L and H have no other strand
    return allele.translate(_COMPLEMENT)[::-1] if set(allele) <= _BASES else allele


def _fits(allele: str, wanted: str) -> bool:
    return not allele or not wanted or allele == wanted


def _alleles(variants: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(variants["ref"].astype(str).tolist(), variants["alt"].astype(str).tolist(), strict=True))


def _find(given: pd.DataFrame, wanted: pd.DataFrame) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Return the column of each wanted variant, -1 for none, and whether its id found it."""
    ids = pd.Index(given["id"].astype(str))
    columns = ids.get_indexer(pd.Index(wanted["id"].astype(str))).astype(np.int64)
    by_id = columns >= 0
    if by_id.all():
        return columns, by_id
    taken = set(columns[by_id].tolist())
    places: dict[tuple[str, int], list[int]] = {}
    for column, place in enumerate(_places(given)):
        if place is not None and column not in taken:
            places.setdefault(place, []).append(column)
    ours, theirs = _alleles(given), _alleles(wanted)
    for row, place in enumerate(_places(wanted)):
        if by_id[row] or place is None:
            continue
        # of several variants at one place only that with the same alleles can be meant
        there = places.get(place, [])
        fitting = [column for column in there if _is_meant(ours[column], theirs[row])] or there[: len(there) == 1]
        if fitting:
            columns[row] = fitting[0]
            places[place].remove(fitting[0])
    return columns, by_id


def _is_meant(given: tuple[str, str], wanted: tuple[str, str]) -> bool:
    return compare_alleles(given, wanted) not in ("mismatch", "unknown")


def _places(variants: pd.DataFrame) -> list[tuple[str, int] | None]:
    names = variants["chromosome"].astype(str).str.replace("^chr", "", case=False, regex=True).tolist()
    return [
        (name, int(position)) if name and position > 0 else None
        for name, position in zip(names, variants["position"].tolist(), strict=True)
    ]


def _nothing_in_common(given: pd.DataFrame, wanted: pd.DataFrame) -> str:
    def some(variants: pd.DataFrame) -> str:
        return ", ".join(variants["id"].astype(str).tolist()[:_EXAMPLES])

    return (
        f"none of the {len(wanted):,} variants that are read ({some(wanted)}, ...) is among the {len(given):,} "
        f"variants of the input ({some(given)}, ...); variants are matched by id, or by chromosome and position"
    )


def _notes(
    given: pd.DataFrame,
    wanted: pd.DataFrame,
    columns: IntArray,
    by_id: npt.NDArray[np.bool_],
    counts: Counter[str],
    wrong: list[int],
) -> tuple[str, ...]:
    found = columns >= 0
    total = f"of the {len(wanted):,} variants that are read"
    lacking, others = wanted["id"].astype(str)[~found].tolist(), wanted["id"].astype(str).iloc[wrong].tolist()
    kinds = (
        (
            len(lacking),
            f"{len(lacking):,} {total} are not in the input and count as missing calls: {_some(lacking)}",
        ),
        (
            len(others),
            f"{len(others):,} {total} have other alleles in the input and count as missing calls: {_some(others)}",
        ),
        (
            int((found & ~by_id).sum()),
            f"{int((found & ~by_id).sum()):,} {total} were matched by chromosome and position, not by id",
        ),
        (counts["swapped"], f"{counts['swapped']:,} {total} have reference and alternate allele swapped: 2 - dosage"),
        (counts["flipped"], f"{counts['flipped']:,} {total} are named on the other strand"),
        (
            counts["flipped and swapped"],
            f"{counts['flipped and swapped']:,} {total} are on the other strand and swapped: 2 - dosage",
        ),
        (
            counts["ambiguous"] if counts["same"] < len(columns) else 0,
            f"{counts['ambiguous']:,} {total} are A/T or C/G, which do not tell the strand; taken as they are named",
        ),
        (
            counts["unknown"] if _some_known(given) or _some_known(wanted) else 0,
            f"{counts['unknown']:,} {total} have no alleles to compare; the counted allele is taken to be the same",
        ),
        (
            len(given) - int(found.sum()),
            f"{len(given) - int(found.sum()):,} of the {len(given):,} variants of the input are not read",
        ),
    )
    return tuple(text for count, text in kinds if count)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (", ..." if len(names) > _EXAMPLES else "")


def _some_known(variants: pd.DataFrame) -> bool:
    return bool((variants["ref"].astype(str) != "").any() or (variants["alt"].astype(str) != "").any())
