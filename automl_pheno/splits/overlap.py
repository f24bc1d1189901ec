"""Grouping by overlap: intervals of a genome that share bases stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, FloatArray, IntArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.groups import GROUPINGS, Found, by_value, column_of

CHROMOSOMES = ("chromosome", "chrom", "chr")
GENOMES = ("genome", "assembly", "species", "sp")
START, END = "start", "end"


def has_intervals(dataset: Dataset) -> bool:
    """Say whether the data have columns chromosome (or chrom, chr), start and end, the last two with whole numbers."""
    names = _names(dataset)
    if not (START in names and END in names and any(one in names for one in CHROMOSOMES)):
        return False
    places = [_numbers(dataset, names[one]) for one in (START, END)]
    known = ~np.isnan(places[0]) & ~np.isnan(places[1])
    return bool(known.any()) and all((place[known] == np.rint(place[known])).all() for place in places)


@GROUPINGS.add("overlap")
def overlap(dataset: Dataset, argument: str | None = None) -> Found:
    """Group samples whose intervals overlap, and those that such samples connect.

    Columns ``chromosome`` (or chrom, chr), ``start`` and ``end``: 0-based, the end not included, as in BED. Where
    there is a column genome, assembly, species or sp, intervals of different ones never overlap. The strand does not
    count. A sample without an interval is its own group.

    Parameters
    ----------
    dataset
        n samples.
    argument
        Bases that may lie between two intervals that still count as overlapping, as in ``overlap:50`` (default 0:
        they share at least one base); or the column of the genome, as in ``overlap:strain``; or both, ``50,strain``.

    Raises
    ------
    SplitError
        A column is missing, an interval is empty or no whole number, or the argument is neither.
    """
    slack, genome_column = _arguments(dataset, argument)
    names = _names(dataset)
    chromosome_column = next((names[one] for one in CHROMOSOMES if one in names), None)
    lacking = [one for one in (START, END) if one not in names]
    if chromosome_column is None or lacking:
        what = ", ".join(([] if chromosome_column else ["chromosome"]) + lacking)
        msg = f"groups: 'overlap' needs the columns chromosome (or chrom, chr), start and end; the data lack {what}"
        raise SplitError(msg)
    chromosome = column_of(dataset, chromosome_column, "groups")
    place = chromosome.str.replace(r"^chr", "", case=False, regex=True)
    known = ~chromosome.isna().to_numpy()
    if genome_column is not None:
        genome = column_of(dataset, genome_column, "groups")
        known &= ~genome.isna().to_numpy()
        place = genome + "\n" + place
    start, end = (_numbers(dataset, names[one]) for one in (START, END))
    known &= ~np.isnan(start) & ~np.isnan(end)
    _check(dataset, start, end, known)
    rows = np.flatnonzero(known)
    labels = np.arange(len(dataset), dtype=np.int64)
    on = by_value(place.iloc[rows]) if len(rows) else rows
    labels[rows] = len(dataset) + chains(on, start[rows].astype(np.int64), end[rows].astype(np.int64), slack)
    sizes = np.unique(labels[rows], return_counts=True)[1]
    lost = len(dataset) - len(rows)
    notes = (f"{lost:,} of {len(dataset):,} samples have no interval; each is a group of its own",) if lost else ()
    apart = f"more than {slack:,} bases lie between" if slack else "no base is shared by"
    return Found(
        labels=labels,
        guarantee=f"{apart.capitalize()} intervals of different groups; every interval was compared.",
        facts={
            "slack": slack,
            "chromosome": chromosome_column,
            "genome": genome_column,
            "intervals": len(rows),
            "overlapping": int(sizes[sizes > 1].sum()),
        },
        notes=notes,
    )


def chains(place: IntArray, start: IntArray, end: IntArray, slack: int) -> IntArray:
    """Return one label for each chain of overlapping intervals, from 0, shape (n,).

    Parameters
    ----------
    place
        Label of the chromosome of each interval.
    start, end
        0-based; the end is not included.
    slack
        Bases that may lie between two intervals of a chain.
    """
    order = np.lexsort((start, place))
    place, start, end = place[order], start[order], end[order]
    rank = np.cumsum(np.r_[False, place[1:] != place[:-1]]) if len(place) else place
    # one number line: each chromosome lies beyond all that comes before it
    beyond = rank * (int(end.max(initial=0)) + slack + 1)
    furthest = np.maximum.accumulate(end + beyond)
    new = np.ones(len(start), dtype=bool)
    new[1:] = (start + beyond)[1:] >= furthest[:-1] + slack + (slack > 0)
    new[1:] |= place[1:] != place[:-1]
    labels = np.empty(len(start), dtype=np.int64)
    labels[order] = np.cumsum(new) - 1
    return labels


def _names(dataset: Dataset) -> dict[str, str]:
    """Return column names by their lower case."""
    return {str(name).lower(): str(name) for name in dataset.columns.columns}


def _numbers(dataset: Dataset, name: str) -> FloatArray:
    """Return a column as numbers, NaN where it is empty or no number."""
    numbers: FloatArray = pd.to_numeric(dataset.columns[name], errors="coerce").to_numpy(dtype=np.float64)
    return numbers


def _arguments(dataset: Dataset, argument: str | None) -> tuple[int, str | None]:
    names = _names(dataset)
    slack, genome = 0, next((names[one] for one in GENOMES if one in names), None)
    for text in filter(None, map(str.strip, (argument or "").split(","))):
        if text.isdecimal():
            slack = int(text)
        elif text in names.values():
            genome = text
        else:
            msg = f"groups: overlap takes a number of bases or a column, as in overlap:50, got {text!r}"
            raise SplitError(msg)
    return slack, genome


def _check(dataset: Dataset, start: FloatArray, end: FloatArray, known: np.typing.NDArray[np.bool_]) -> None:
    given = ~dataset.columns[_names(dataset)[START]].isna() & ~dataset.columns[_names(dataset)[END]].isna()
    for what, bad in (
        ("is no number", given.to_numpy() & (np.isnan(start) | np.isnan(end))),
        ("is no whole number", known & ((start != np.rint(start)) | (end != np.rint(end)))),
        ("starts below 0", known & (start < 0)),
        ("ends where it starts or before", known & (end <= start)),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            names = _names(dataset)
            interval = f"{dataset.columns[names[START]].iloc[row]}-{dataset.columns[names[END]].iloc[row]}"
            msg = f"groups: overlap: the interval {interval} of {str(dataset.ids[row])!r} {what}"
            raise SplitError(msg)
