"""Groupings: which samples must stay together. Each is a function; their union is what a split keeps whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data import Dataset, IntArray, reverse_complement
from automl_pheno.data.places import PLACE_NAMES, place_column, plain_chromosomes
from automl_pheno.errors import SplitError, known_names
from automl_pheno.registry import Registry
from automl_pheno.splits.pairs import Pairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What one grouping found.

    Attributes
    ----------
    labels
        int64, shape (n,); equal labels stay together, whatever it costs.
    pairs
        Pairs of samples that are alike. They stay together too, save where that would make one group too large: then
        the group is cut, and what touches another side is purged from training.
    guarantee
        What is certain, in a sentence with its numbers, for the card; "" where labels say all.
    facts
        Plain values for the card: threshold, estimator, counts ...
    notes
        What was decided for the user.
    """

    labels: IntArray
    pairs: Pairs | None = None
    guarantee: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Grouping = Callable[[Dataset, "str | None"], Found]
"""``grouping(dataset, argument) -> Found``; the argument is what follows the colon, as in ``column:family``."""

GROUPINGS: Registry[Grouping] = Registry("grouping")
"""``duplicates`` (always on), ``column``, ``chromosome``, ``random``, and those of the files beside this one."""

AUTOMATIC_COLUMNS = ("group", "group_id", "family", "family_id")
"""Columns, in lower case, that are grouped by when no grouping is asked for."""

_BLOCK = 65_536  # rows whose reverse complements are held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The union of groupings.

    Attributes
    ----------
    labels
        int64, shape (n,), numbered from 0 in order of first appearance.
    counts
        Grouping as written -> number of its groups.
    pairs
        Of the groupings that found some, at the thresholds that hold.
    guarantees
        Grouping -> what is certain.
    facts
        Grouping -> plain values for the card.
    notes
        What was decided for the user.
    """

    labels: IntArray
    counts: dict[str, int]
    pairs: tuple[Pairs, ...] = ()
    guarantees: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def make_groups(dataset: Dataset, asked: tuple[str, ...] = (), *, automatic: bool = True) -> Groups:
    """Return the union of `asked` and the duplicates.

    Parameters
    ----------
    dataset
        n samples.
    asked
        Groupings as written, for example ``("column:family", "chromosome")``.
    automatic
        With nothing asked, group by a column called group or family where the data have one.

    Raises
    ------
    SplitError
        A column is missing, or ``random`` stands beside another grouping.
    UnknownNameError
        A grouping is unknown.
    """
    notes: list[str] = []
    if "random" in asked and len(asked) > 1:
        msg = f"groups: 'random' means no grouping beyond duplicates and stands alone, got {', '.join(asked)}"
        raise SplitError(msg)
    if not asked and automatic:
        asked, chosen = _automatic(dataset)
        notes += chosen
    found: dict[str, Found] = {"duplicates": GROUPINGS["duplicates"](dataset, None)}
    for text in asked:
        name, _, argument = text.partition(":")
        found[text] = GROUPINGS[name](dataset, argument or None)
    labels = union(one.labels for one in found.values())
    counts = {text: _count(one) for text, one in found.items() if text != "random"}
    repeated = len(dataset) - counts["duplicates"]
    if repeated:
        what = "sequence, or its reverse complement," if dataset.kind == "sequence" else "genotype"
        notes.append(f"{repeated:,} of {len(dataset):,} samples repeat the {what} of another; they are kept together")
    return Groups(
        labels=labels,
        counts=counts,
        pairs=tuple(one.pairs for one in found.values() if one.pairs is not None),
        guarantees={text: one.guarantee for text, one in found.items() if one.guarantee},
        facts={text: one.facts for text, one in found.items() if one.facts},
        notes=(*notes, *(note for one in found.values() for note in one.notes)),
    )


def _count(found: Found) -> int:
    labels = found.labels if found.pairs is None else union([found.labels, found.pairs.components(len(found.labels))])
    return len(np.unique(labels))


def automatic_columns(dataset: Dataset) -> list[str]:
    """Return the columns that are grouped by unasked: called group or family, and not empty."""
    named = [str(name) for name in dataset.columns.columns if str(name).lower() in AUTOMATIC_COLUMNS]
    return [name for name in named if not column_of(dataset, name, "groups").isna().all()]


def _automatic(dataset: Dataset) -> tuple[tuple[str, ...], list[str]]:
    """Return the groupings that suit the data when none is asked for, and why."""
    from automl_pheno.splits.overlap import suits_overlap  # which registers itself here

    named = automatic_columns(dataset)
    empty = [str(name) for name in dataset.columns.columns if str(name).lower() in AUTOMATIC_COLUMNS]
    notes = [f"column {name!r} is empty, so it groups nothing" for name in empty if name not in named]
    if named:
        notes.append(f"samples are grouped by {', '.join(map(repr, named))}, because the data have such a column")
    alike = "similarity" if dataset.kind == "sequence" else "relatedness"
    located, more = suits_overlap(dataset) if dataset.kind == "sequence" else (False, ())
    notes += more
    return (*(f"column:{name}" for name in named), *(("overlap",) if located else ()), alike), notes


def union(groupings: Iterable[IntArray]) -> IntArray:
    """Return the finest labels under which samples that share a label in any grouping stay together."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    compact = [number_in_order(one) for one in groupings]
    n = len(compact[0])
    offsets = n + np.cumsum([0, *(int(one.max(initial=-1)) + 1 for one in compact)])
    samples = np.tile(np.arange(n), len(compact))
    nodes = np.concatenate([one + offset for one, offset in zip(compact, offsets[:-1], strict=True)])
    size = int(offsets[-1])
    graph = coo_matrix((np.ones(len(samples), dtype=np.int8), (samples, nodes)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return number_in_order(labels[:n])


def number_in_order(labels: npt.NDArray[np.integer]) -> IntArray:
    """Return the labels renumbered from 0 in order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


@GROUPINGS.add("duplicates")
def duplicates(dataset: Dataset, argument: str | None = None) -> Found:
    """Group samples with the same sequence or its reverse complement, or with the same dosage at every variant."""
    refuse_argument("duplicates", argument)
    values = dataset.inputs.values
    seen: dict[bytes, int] = {}
    labels = np.empty(len(dataset), dtype=np.int64)
    for start in range(0, len(dataset), _BLOCK):
        block = values[start : start + _BLOCK]
        # -1 for missing, and + 0.0 makes one zero of two
        rows = _canonical(block) if dataset.kind == "sequence" else np.where(np.isnan(block), -1.0, block) + 0.0
        for offset, row in enumerate(rows):
            key = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            labels[start + offset] = seen.setdefault(key, len(seen))
    return Found(labels=labels)


@GROUPINGS.add("column")
def column(dataset: Dataset, argument: str | None = None) -> Found:
    """Group samples with the same value in a column; ``a,b`` joins by either. A missing value is its own group."""
    names = [str(name) for name in dataset.columns.columns]
    if argument is None:
        msg = f"groups: 'column' needs a name, as in column:family; known: {', '.join(names) or '(none)'}"
        raise SplitError(msg)
    asked = [argument] if argument in names else [name.strip() for name in argument.split(",")]
    found = [by_column(dataset, name) for name in asked]
    return replace(
        found[0], labels=union([one.labels for one in found]), notes=tuple(n for one in found for n in one.notes)
    )


@GROUPINGS.add("chromosome")
def chromosome(dataset: Dataset, argument: str | None = None) -> Found:
    """Group sequences of the same chromosome (``chr1`` is 1), from a column of any name of ``places.PLACE_NAMES``."""
    refuse_argument("chromosome", argument)
    name = place_column(dataset.columns.columns, "chromosome")
    if name is None:
        have = ", ".join(map(str, dataset.columns.columns)) or "(none)"
        names = ", ".join(PLACE_NAMES["chromosome"])
        msg = f"groups: 'chromosome' needs a column called {names}; the data have none (columns: {have})"
        raise SplitError(msg)
    return by_column(dataset, name, plain_chromosomes(column_of(dataset, name, "groups")))


@GROUPINGS.add("random")
def random(dataset: Dataset, argument: str | None = None) -> Found:
    """Group nothing: the user has written out that samples are independent."""
    refuse_argument("random", argument)
    return Found(labels=np.arange(len(dataset), dtype=np.int64))


def by_column(dataset: Dataset, name: str, values: pd.Series[str] | None = None) -> Found:
    """Return the groups of one column, and what is to be known of them.

    Parameters
    ----------
    dataset
        n samples.
    name
        Of the column.
    values
        Its values where they are not taken as they are; missing ones are missing.

    Raises
    ------
    SplitError
        No such column, no sample has a value in it, or one is a number that may mean "no value".
    """
    if name in dataset.unusable and name in dataset.traits and dataset.traits[name].min() < 0:  # -9 is no group
        msg = f"groups: column {name!r} {dataset.unusable[name]}"
        raise SplitError(msg)
    values = column_of(dataset, name, "groups") if values is None else values
    lost, n = int(values.isna().sum()), len(dataset)
    if lost == n:
        msg = f"groups: no sample has a value in column {name!r}, so it cannot say what stays together"
        raise SplitError(msg)
    notes = []
    if lost:
        notes.append(f"{lost:,} of {n:,} samples have no value in {name!r}; each is a group of its own")
    labels = by_value(values)
    if n > 1 and len(np.unique(labels)) == n:
        notes.append(f"no two samples have the same value in {name!r}: it keeps nothing together")
    return Found(labels=labels, facts={"column": name, "without_value": lost}, notes=tuple(notes))


def column_of(dataset: Dataset, name: str, field: str) -> pd.Series[str]:
    """Return a column as text, whole numbers without a point; missing stays missing.

    Raises
    ------
    SplitError
        No such column; `field` says where it was asked for.
    """
    known = [str(one) for one in dataset.columns.columns]
    if name not in known:
        msg = f"{field}: the data have no column {name!r}; {known_names(name, known)}"
        raise SplitError(msg)
    values = dataset.columns[name]
    lost = values.isna() | (values.astype(str).str.strip() == "")
    texts = [None if missing else value_text(value) for value, missing in zip(values, lost, strict=True)]
    return pd.Series(texts, index=values.index, dtype=object)


def value_text(value: object) -> str:
    """Return a cell as text: 3, 3.0, "3" and " 3" are the same."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def by_value(values: pd.Series[str]) -> IntArray:
    """Return one label a value; each missing value has its own."""
    labels = pd.factorize(values)[0].astype(np.int64)
    lost = labels < 0
    labels[lost] = labels.max(initial=-1) + 1 + np.arange(int(lost.sum()))
    return labels


def _canonical(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return each row or its reverse complement, whichever sorts first."""
    other = reverse_complement(codes)
    differs = codes != other
    first = np.argmax(differs, axis=1)[:, None]
    smaller = np.take_along_axis(codes, first, axis=1) <= np.take_along_axis(other, first, axis=1)
    return np.where(smaller, codes, other)


def refuse_argument(name: str, argument: str | None) -> None:
    """Raise SplitError if a grouping that takes no argument was given one."""
    if argument is not None:
        msg = f"groups: {name!r} takes no argument, got {argument!r}"
        raise SplitError(msg)
