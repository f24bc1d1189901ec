"""Pairs of relatives or of similar sequences that another program has found: ``pairs:FILE``.

Formats: PLINK 2 ``.kin0`` (``#FID1 IID1 FID2 IID2 ... KINSHIP``, without family ids too;
cog-genomics.org/plink/2.0/formats#kin0), KING ``.kin0`` and ``.kin`` (``FID1 ID1 FID2 ID2 ... Kinship``,
``FID ID1 ID2 ... Kinship``; kingrelatedness.com/manual.shtml), hashFrag's ``*.processed.tsv`` (query, subject, score
without a header; github.com/de-Boer-Lab/hashFrag, tutorials), and any table of two ids and, if there is one, a
similarity in the third column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from automl_pheno.data import Dataset
from automl_pheno.errors import SplitError
from automl_pheno.splits.groups import GROUPINGS, Found
from automl_pheno.splits.imported_ids import IdMatcher, read_cells
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.thresholds import KINSHIP_LADDER

_FIRST = ("iid1", "id1", "sample1", "id_1", "first", "query", "query_id", "qseqid")
_SECOND = ("iid2", "id2", "sample2", "id_2", "second", "subject", "subject_id", "sseqid", "target")
_SCORES = ("kinship", "similarity", "identity", "score", "ibs", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Which columns hold what; a first and second sample are one column, or family and individual."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    score: int | None
    width: int
    measure: str


@GROUPINGS.add("pairs")
def pairs(dataset: Dataset, argument: str | None = None) -> Found:
    """Keep together the pairs that a file lists: ``pairs:FILE``, or ``pairs:FILE=0.1`` for those from 0.1 on.

    Of kinship (PLINK, KING) pairs count from 0.0884 on, the 2nd degree, and the threshold may rise where these are
    too many; of any other list every pair counts.

    Raises
    ------
    SplitError
        No file is named, or it breaks a rule; the message has file and line.
    """
    if argument is None:
        msg = "groups: 'pairs' needs a file, as in pairs:relatives.kin0 or pairs:relatives.kin0=0.177"
        raise SplitError(msg)
    path, threshold = _path_and_threshold(argument)
    found, notes = read_pairs(path, dataset, threshold)
    return Found(
        labels=np.arange(len(dataset), dtype=np.int64),
        pairs=found,
        guarantee=f"all {len(found):,} pairs that {path.name} lists from {found.threshold:g} on are known; "
        "of pairs that it does not list nothing is known",
        facts={"file": path.name, "measure": found.measure, "pairs": len(found), "threshold": found.threshold},
        notes=notes,
    )


def read_pairs(path: str | Path, dataset: Dataset, threshold: float | None = None) -> tuple[Pairs, tuple[str, ...]]:
    """Return the pairs of samples that a file lists, and notes on what was matched.

    Parameters
    ----------
    path
        See the formats above; plain or gzip.
    dataset
        Whose ids they are; ``FID_IID``, ``FID:IID`` and ``IID`` are tried for tables with family ids.
    threshold
        From which similarity on pairs count; None is the 2nd degree for kinship, and every pair else.

    Raises
    ------
    SplitError
        The file breaks a rule, or not one of its pairs is of these data.
    """
    path = Path(path)
    lines = read_cells(path)
    start = next(lines, None)
    if start is None:
        msg = f"{path}: the file is empty"
        raise SplitError(msg)
    layout, has_header = _layout(path, start[1])
    kinship = layout.measure == "kinship"
    ladder: tuple[float, ...] = ()
    if threshold is None and kinship:
        threshold, ladder = KINSHIP_LADDER[0], KINSHIP_LADDER[1:]
    matcher = IdMatcher(dataset.ids)
    listing = list(_rows(path, lines if has_header else chain([start], lines), layout, matcher))
    rows = matcher.rows(path)
    best: dict[tuple[int, int], float] = {}
    listed, unknown = len(listing), 0
    for one, other, score in listing:
        first, second = int(rows[one]), int(rows[other])
        if first < 0 or second < 0:
            unknown += 1
        elif first != second and (threshold is None or score >= threshold):
            key = (min(first, second), max(first, second))
            best[key] = max(score, best.get(key, -math.inf))
    if unknown == listed:
        msg = f"{path}: none of its {listed:,} pairs is of two samples of the data ({matcher.examples})"
        raise SplitError(msg)
    keys = np.array(sorted(best), dtype=np.int64).reshape(-1, 2)
    values = np.array([best[a, b] for a, b in keys.tolist()], dtype=np.float64)
    found = Pairs(
        first=keys[:, 0],
        second=keys[:, 1],
        similarity=values,
        measure=f"{layout.measure} of {path.name}",
        threshold=threshold if threshold is not None else float(values.min(initial=np.inf) if len(values) else 1.0),
        ladder=ladder,
    )
    notes = [f"{path.name}: {len(found):,} pairs from {found.threshold:g} on, of {listed:,} rows"]
    if unknown:
        notes.append(f"{path.name}: {unknown:,} of {listed:,} rows name a sample that the data do not have")
    return found, (*notes, *matcher.notes(path.name))


def _path_and_threshold(argument: str) -> tuple[Path, float | None]:
    name, equals, number = argument.rpartition("=")
    if not equals or Path(argument).exists():
        return Path(argument), None
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        msg = f"groups: pairs: the threshold behind '=' must be a number, got {number!r} in {argument!r}"
        raise SplitError(msg)
    return Path(name), value


def _layout(path: Path, cells: list[str]) -> tuple[_Layout, bool]:
    """Return the layout of a table of pairs, and whether its first line is a header."""
    names = [cell.lower().lstrip("#") for cell in cells]
    place = {name: number for number, name in reversed(list(enumerate(names)))}
    first = next((place[name] for name in _FIRST if name in place), None)
    second = next((place[name] for name in _SECOND if name in place), None)
    if first is not None and second is not None:
        score = next((place[name] for name in _SCORES if name in place), None)
        families = [place.get(name, place.get("fid")) for name in ("fid1", "fid2")]
        a, b = ((own,) if fid is None else (fid, own) for fid, own in zip(families, (first, second), strict=True))
        measure = "pairs" if score is None else names[score]
        return _Layout(first=a, second=b, score=score, width=len(cells), measure=measure), True
    if len(cells) in (2, 3) and (len(cells) == 2 or _number(cells[2]) is not None):
        score = 2 if len(cells) == 3 else None
        measure = "pairs" if score is None else "score"
        return _Layout(first=(0,), second=(1,), score=score, width=len(cells), measure=measure), False
    msg = (
        f"{path}:1: a table of pairs has two ids and a similarity, or a header such as ID1, ID2, KINSHIP, "
        f"got {', '.join(cells[:8])}"
    )
    raise SplitError(msg)


def _rows(
    path: Path, lines: Iterator[tuple[int, list[str]]], layout: _Layout, matcher: IdMatcher
) -> Iterator[tuple[int, int, float]]:
    """Yield the numbers of the two names and the similarity."""
    any_row = False
    for number, cells in lines:
        any_row = True
        if len(cells) != layout.width:
            msg = f"{path}:{number}: expected {layout.width} columns, got {len(cells)}"
            raise SplitError(msg)
        score = 1.0 if layout.score is None else _number(cells[layout.score])
        if score is None:
            got = cells[layout.score or 0]
            msg = f"{path}:{number}: the {layout.measure} must be a number, got {got!r}"
            raise SplitError(msg)
        if math.isnan(score):
            continue
        first, second = (matcher.number(*(cells[place] for place in where)) for where in (layout.first, layout.second))
        yield first, second, score
    if not any_row:
        msg = f"{path}: has a header but no pairs"
        raise SplitError(msg)


def _number(text: str) -> float | None:
    """Return a number, NaN for what PLINK and KING write where kinship is undefined, None for any other text."""
    if text.lower() in ("nan", "na", "-nan"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None
