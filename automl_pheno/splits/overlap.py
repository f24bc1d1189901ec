"""Grouping by overlap: intervals of a genome that share bases stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, IntArray
from automl_pheno.data.places import IntervalError, Intervals, lacking_places, place_column, read_intervals
from automl_pheno.errors import SplitError
from automl_pheno.splits.groups import GROUPINGS, Found, by_value, column_of


def suits_overlap(dataset: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Return whether samples are grouped by overlap unasked, with a note where columns are called so and hold none."""
    try:
        return read_intervals(dataset.columns) is not None, ()
    except IntervalError as error:
        if error.is_place:
            return True, ()
        what = f"{error.interval} of {str(dataset.ids[error.row])!r} {error.reason}"
        return False, (f"columns are called as of intervals but hold none ({what}): overlap is not looked for",)


@GROUPINGS.add("overlap")
def overlap(dataset: Dataset, argument: str | None = None) -> Found:
    """Group samples whose intervals overlap, and those that such samples connect.

    Columns of chromosome, start and end by any name of ``places.PLACE_NAMES``: 0-based, the end not included, as in
    BED, or from 1 where a column ``width`` proves it. Where there is a column genome, assembly, build, species or sp,
    intervals of different ones never overlap. The strand does not count. A sample without an interval is alone.

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
        A column is missing, no sample has an interval, one is empty or no whole number, or the argument is neither.
    """
    slack, genome_column = _arguments(dataset, argument)
    found = _intervals(dataset)
    place, known = pd.Series(found.chromosome, dtype=object), found.known
    if genome_column is not None:
        genome = column_of(dataset, genome_column, "groups").reset_index(drop=True)
        known = known & ~genome.isna().to_numpy()
        place = genome + "\n" + place
    start, end = found.start, found.end
    rows = np.flatnonzero(known)
    labels = np.arange(len(dataset), dtype=np.int64)
    on = by_value(place.iloc[rows]) if len(rows) else rows
    labels[rows] = len(dataset) + chains(on, start[rows], end[rows], slack)
    sizes = np.unique(labels[rows], return_counts=True)[1]
    lost = len(dataset) - len(rows)
    notes = (f"{lost:,} of {len(dataset):,} samples have no interval; each is a group of its own",) if lost else ()
    apart = f"more than {slack:,} bases lie between" if slack else "no base is shared by"
    return Found(
        labels=labels,
        guarantee=f"{apart.capitalize()} intervals of different groups; every interval was compared.",
        facts={
            "slack": slack,
            **found.columns,
            "from_one": found.from_one,
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


def _intervals(dataset: Dataset) -> Intervals:
    """Return the intervals of the samples, or raise SplitError saying what they lack."""
    columns = list(dataset.columns.columns)
    lacking = lacking_places(columns)
    try:
        found = None if lacking else read_intervals(dataset.columns)
    except IntervalError as error:
        msg = f"groups: overlap: the interval {error.interval} of {str(dataset.ids[error.row])!r} {error.reason}"
        raise SplitError(msg) from None
    if found is None:
        have = f"columns: {', '.join(map(str, columns)) or '(none)'}"
        what = f"the data lack {lacking}" if lacking else "no sample has numbers in all of them"
        msg = f"groups: 'overlap' needs the columns chromosome, start and end; {what} ({have})"
        raise SplitError(msg)
    return found


def _arguments(dataset: Dataset, argument: str | None) -> tuple[int, str | None]:
    names = [str(name) for name in dataset.columns.columns]
    slack, genome = 0, place_column(names, "genome")
    for text in filter(None, map(str.strip, (argument or "").split(","))):
        if text.isdecimal():
            slack = int(text)
        elif text in names:
            genome = text
        else:
            msg = f"groups: overlap takes a number of bases or a column, as in overlap:50, got {text!r}"
            raise SplitError(msg)
    return slack, genome
