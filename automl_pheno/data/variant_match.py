"""Which variant of one table is which of another: by id, else by chromosome and position."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import IntArray
from automl_pheno.errors import DataError

BoolArray = npt.NDArray[np.bool_]
Alleles = tuple[str, str]

_UNPLACED = ("", "0", "UN", "UNK", "UNKNOWN", "NA", ".")
# PLINK's numbers of the human chromosomes that have letters
_NUMBERED = {"23": "X", "24": "Y", "25": "XY", "26": "MT"}
_LAST_NUMBERED = 26


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Where the wanted variants stand.

    Attributes
    ----------
    columns
        Row of each wanted variant in the given table, -1 for none.
    by_id
        Whether its id found it.
    elsewhere
        Found by id, but the given table puts it on another chromosome.
    moved
        Found by id, on the same chromosome, but at another position.
    """

    columns: IntArray
    by_id: BoolArray
    elsewhere: BoolArray
    moved: BoolArray


def find_variants(given: pd.DataFrame, wanted: pd.DataFrame, agree: Callable[[Alleles, Alleles], bool | None]) -> Found:
    """Find the variants `wanted` in `given`; both as `Inputs.variants`.

    An id finds its variant; where it names other alleles or another chromosome, and the variant's own place in `given`
    holds one that agrees, that one is taken. Of several at one place only one whose alleles agree can be meant.

    Parameters
    ----------
    given, wanted
        Tables of variants.
    agree
        ``agree(given alleles, wanted alleles)``; None where they cannot be compared.

    Raises
    ------
    DataError
        Two variants of `given` have one id.
    """
    ids = pd.Index(given["id"].astype(str))
    if not ids.is_unique:
        msg = f"variants are matched by id, but {ids[ids.duplicated()][0]!r} stands there twice; ids must be unique"
        raise DataError(msg)
    columns = ids.get_indexer(pd.Index(wanted["id"].astype(str))).astype(np.int64)
    ours, theirs = alleles_of(given), alleles_of(wanted)
    names, wanted_names = _chromosomes(given, wanted)
    positions, wanted_positions = given["position"].to_numpy(np.int64), wanted["position"].to_numpy(np.int64)
    elsewhere = _elsewhere(columns, names, wanted_names)
    doubtful, by_id = elsewhere.copy(), columns >= 0
    pairs = ((ours[column], pair) for column, pair in zip(columns.tolist(), theirs, strict=True) if column >= 0)
    doubtful[by_id] |= np.fromiter((agree(*pair) is False for pair in pairs), dtype=bool)
    sought = np.flatnonzero(~by_id | doubtful).tolist()
    places: dict[tuple[str, int], list[int]] = {}
    free = np.ones(len(given), dtype=bool)
    free[columns[by_id & ~doubtful]] = False
    for column in np.flatnonzero(free).tolist() if sought else ():
        if _is_place(place := (names[column], int(positions[column]))):
            places.setdefault(place, []).append(column)
    for row in sought:
        place = (wanted_names[row], int(wanted_positions[row]))
        there = places.get(place, []) if _is_place(place) else []
        fitting = [column for column in there if agree(ours[column], theirs[row])]
        if not fitting and not by_id[row]:
            fitting = there[: len(there) == 1]
        if fitting:
            columns[row], by_id[row], elsewhere[row] = fitting[0], False, False
            there.remove(fitting[0])
    stated = by_id & ~elsewhere & (wanted_positions > 0)
    stated[stated] = positions[columns[stated]] > 0
    moved = stated.copy()
    moved[stated] = positions[columns[stated]] != wanted_positions[stated]
    return Found(columns=columns, by_id=by_id, elsewhere=elsewhere, moved=moved)


def alleles_of(variants: pd.DataFrame) -> list[Alleles]:
    """Return (ref, alt) of each variant; "" is not known."""
    return list(zip(variants["ref"].astype(str).tolist(), variants["alt"].astype(str).tolist(), strict=True))


def place_of(variants: pd.DataFrame, row: int) -> str:
    """Return ``1:50000``, or "" where the place is not known."""
    chromosome, position = str(variants["chromosome"].iloc[row]), int(variants["position"].iloc[row])
    return f"{chromosome}:{position}" if chromosome and position > 0 else ""


def _is_place(place: tuple[str, int]) -> bool:
    return place[0] not in _UNPLACED and place[1] > 0


def _chromosomes(given: pd.DataFrame, wanted: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the names of both tables in one form: ``chr01`` is ``1``; 23 is X where only the other table says X."""
    plain = []
    for variants in (given, wanted):
        stated = variants["chromosome"].astype(str).tolist()
        forms = {name: _plain_chromosome(name) for name in set(stated)}
        plain.append([forms[name] for name in stated])
    sets = [set(names) for names in plain]
    for names, own, other in ((plain[0], sets[0], sets[1]), (plain[1], sets[1], sets[0])):
        numbers = [int(name) for name in own if name.isdecimal()]
        if max(numbers, default=0) > _LAST_NUMBERED:
            continue  # a species with as many autosomes
        aliases = {
            number: letter
            for number, letter in _NUMBERED.items()
            if number in own and letter in other and letter not in own and number not in other
        }
        names[:] = [aliases.get(name, name) for name in names]
    return plain[0], plain[1]


def _plain_chromosome(name: str) -> str:
    plain = re.sub(r"^0+(?=\d)", "", re.sub(r"^CHR(OMOSOME)?[ _]?", "", name.strip().upper()))
    return "MT" if plain == "M" else plain


def _elsewhere(columns: IntArray, names: list[str], wanted_names: list[str]) -> BoolArray:
    """Return what was found by id on another chromosome than most of the variants on the same one.

    A name that only `given` has (``NC_000001.11``) means the chromosome of most of its variants.
    """
    rows = np.flatnonzero(columns >= 0).tolist()
    pairs = [(row, names[int(columns[row])], wanted_names[row]) for row in rows]
    pairs = [pair for pair in pairs if pair[1] not in _UNPLACED and pair[2] not in _UNPLACED]
    known = set(wanted_names)
    meanings: dict[str, Counter[str]] = {}
    for _, name, wanted in pairs:
        meanings.setdefault(name, Counter())[wanted] += 1
    meant = {name: name if name in known else counts.most_common(1)[0][0] for name, counts in meanings.items()}
    elsewhere = np.zeros(len(columns), dtype=bool)
    elsewhere[[row for row, name, wanted in pairs if meant[name] != wanted]] = True
    return elsewhere
