"""Which column of a file holds the ids of the samples: the one whose cells equal them.

Names of columns are weak evidence, cells that equal the ids of the data are strong, and numbers are weak again, since
plots, blocks and counts are numbers, too. The rule:

1. A column matches by the samples whose id, or other name that the data give them, is among its cells.
2. Where what matches are bare numbers, only a column that is named like an id serves; or the first one, if no other
   is named so and no number stands there twice. Numbers of rows (1 to n in order, without a name) serve where nothing
   else does.
3. Only where no column matches whole, ids are shortened to the individual of ``FID_IID`` or ``FID:IID``: one to one,
   for half of the samples or of the ids there, in a column that is named like an id, or stands first and has no id
   twice, and never to bare numbers; save that ``7_7`` is 7 in a column named like an id.
4. The column that most samples match serves; at a tie the one that matches in more rows. Another that pairs the samples
   with other rows is refused where it is nearly as good: where as many samples match it (and as many rows, if it is not
   named like an id and the one that serves is), or half as many and the one that serves is no better named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from automl_pheno.data.dataset import StrArray
from automl_pheno.errors import DataError

OWN = "the same id"
"""The form of ids that the data and a file state as they are."""

_OF_SAMPLES = (
    "id", "sample", "sample_id", "sampleid", "samples", "iid", "individual", "individual_id", "taxa", "taxon",
    "accession", "line", "sequence_id", "seq_id", "sequence_name", "seq_name", "name", "ids", "", "unnamed: 0",
    "gid", "genotype_id", "accession_id", "line_id", "plant_id", "patient_id", "subject_id", "animal_id", "entry_id",
    "genotype_name", "line_name", "variety_name",
)  # fmt: skip
_OF_SAMPLES_OR_GROUPS = (
    "genotype", "variety", "cultivar", "hybrid", "germplasm", "inbred", "strain", "clone", "patient", "subject",
    "participant", "donor", "animal", "plant", "entry",
)  # fmt: skip
ID_NAMES = _OF_SAMPLES + _OF_SAMPLES_OR_GROUPS
"""Column names, in lower case, that are taken for the sample id; the first that the file has."""

_MARKS = re.compile(r"[\W_]+")
_PLAIN_NAMES = frozenset(_MARKS.sub("", name) for name in ID_NAMES)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_DOUBLED = re.compile(r"(.+)[_:]\1")
_HALF = 0.5
_EXAMPLES = 3

Rename = Callable[[str], "str | None"]


@dataclass(frozen=True, kw_only=True)
class IdColumn:
    """A column that may hold ids.

    Attributes
    ----------
    name
        As the file calls it.
    cells
        One a row.
    joined
        Form -> what the row is called together with its family, one a row.
    is_first
        It stands first in the file.
    """

    name: str
    cells: Sequence[str]
    joined: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_first: bool = False

    @cached_property
    def is_named(self) -> bool:
        """Whether it is named like an id."""
        return is_id_name(self.name)

    @cached_property
    def counts_rows(self) -> bool:
        """Whether it is the numbers of the rows."""
        return counts_rows(self.name, self.cells)

    def __str__(self) -> str:
        return f"column {self.name!r}" if self.name else "the row names"


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How the samples of the data are paired with the rows of a file.

    Attributes
    ----------
    column
        Whose cells the ids are.
    form
        In which form, in words; `OWN` is as they are.
    keys
        Of each sample, (n,).
    labels
        Of each row; a sample has the rows whose label is its key.
    rivals
        Other columns that pair some samples with other rows, and how many samples they match.
    """

    column: IdColumn
    form: str
    keys: Sequence[str]
    labels: Sequence[str]
    rivals: tuple[tuple[IdColumn, int], ...] = ()

    @cached_property
    def rows(self) -> Mapping[str, list[int]]:
        """Label -> its rows."""
        rows: dict[str, list[int]] = {}
        for row, label in enumerate(self.labels):
            rows.setdefault(label, []).append(row)
        return rows

    @cached_property
    def count(self) -> int:
        """Number of samples that have a row."""
        known = set(self.labels)
        return sum(key in known for key in self.keys)

    @cached_property
    def is_bare(self) -> bool:
        """Whether only numbers match."""
        known = set(self.labels)
        return all(_NUMBER.fullmatch(key) for key in self.keys if key in known)

    @cached_property
    def covered(self) -> int:
        """Number of rows that have a sample."""
        known = set(self.keys)
        return sum(label in known for label in self.labels)

    def agrees_with(self, other: Pairing) -> bool:
        """Say whether the samples that both match have the same rows, and at least one does."""
        common = 0
        for mine, theirs in zip(self.keys, other.keys, strict=True):
            ours, others = self.rows.get(mine), other.rows.get(theirs)
            if ours is not None and others is not None:
                if ours != others:
                    return False
                common += 1
        return common > 0

    def sentence(self, path: Path, data: Path, total: int) -> str:
        """Return which column of `path` served, and for how many of the `total` samples of `data`."""
        if self.form == OWN:
            text = f"{path}: ids are {self.column}: {self.count:,} of {total:,} samples of {data}"
        else:
            text = (
                f"{self.count:,} of {total:,} samples of {data} were matched with {path}, {self.column}, by {self.form}"
            )
        others = [f"{column} has {count:,} of them in other rows" for column, count in self.rivals]
        return "; ".join([text, *others])


def is_id_name(name: str) -> bool:
    """Say whether a column is named like an id, in any case and with any marks: ``Sample ID``, ``#IID``."""
    return _MARKS.sub("", name.lower()) in _PLAIN_NAMES


def is_group_name(name: str) -> bool:
    """Say whether a column of this name may hold ids, or groups of samples."""
    return name.lower() in _OF_SAMPLES_OR_GROUPS


def counts_rows(name: str, cells: Sequence[str]) -> bool:
    """Say whether a column has no name and counts the rows from 0 or 1, as R and pandas write it."""
    start = cells[0] if cells else ""
    if name.lower() not in ("", "unnamed: 0") or start not in ("0", "1"):
        return False
    return all(cell == str(number) for number, cell in enumerate(cells, start=int(start)))


def pair(ours: Mapping[str, StrArray], columns: Sequence[IdColumn], path: Path, *, remedy: str = "") -> Pairing | None:
    """Return how samples and rows are paired by the column whose cells equal the ids, or None where none does.

    Parameters
    ----------
    ours
        Form -> what the samples are called, each str, shape (n,); `OWN` is their id.
    columns
        Those that may hold ids; a single one is the one that the user names.
    path
        Of the columns, for the error.
    remedy
        For the error; without one it names the option.

    Raises
    ------
    DataError
        Two columns match that pair the samples with different rows.
    """
    found = [made for column in columns if (made := _best(_whole(ours, column))) is not None]
    if not found:
        found = [made for column in columns if (made := _best(_shortened(ours[OWN], column))) is not None]
    served, rest = (found, []) if len(columns) == 1 else _may_serve(found, columns)
    if not served:
        return None
    best = max(served, key=lambda made: (made.count, made.covered, made.column.is_named))
    rivals = [
        made
        for made in (*served, *(made for made in rest if made.count >= best.count))
        if made is not best and not made.agrees_with(best)
    ]
    serious = [made for made in rivals if _is_serious(made, best)]
    if serious:
        raise DataError(_two_columns(best, serious[0], path, len(ours[OWN]), remedy))
    return Pairing(
        column=best.column,
        form=best.form,
        keys=best.keys,
        labels=best.labels,
        rivals=tuple((made.column, made.count) for made in rivals),
    )


def _may_serve(found: Sequence[Pairing], columns: Sequence[IdColumn]) -> tuple[list[Pairing], list[Pairing]]:
    """Return what may serve, and numbers that may not, but cast doubt on other numbers."""
    named = [column for column in columns if column.is_named and not column.counts_rows]

    def is_doubtful(made: Pairing) -> bool:
        if made.column.is_named or not made.is_bare:
            return False
        twice = len(set(made.column.cells)) < len(made.column.cells)
        return bool(named) or not made.column.is_first or twice

    doubtful = [made for made in found if is_doubtful(made)]
    served = [made for made in found if made not in doubtful]
    served = [made for made in served if not made.column.counts_rows] or served
    return served, doubtful if served and all(made.is_bare for made in served) else []


def _is_serious(rival: Pairing, best: Pairing) -> bool:
    better_named = best.column.is_named and not rival.column.is_named
    if rival.count == best.count:
        return not better_named or rival.covered >= best.covered
    return not better_named and (
        rival.count >= _HALF * best.count or (not best.column.is_named and rival.column.is_named)
    )


def _two_columns(best: Pairing, rival: Pairing, path: Path, total: int, remedy: str) -> str:
    names = " or ".join(f"--id-column {made.column.name!r}" for made in (best, rival))
    return (
        f"{path}: {best.column} ({best.count:,} of {total:,} samples) and {rival.column} ({rival.count:,}) both hold "
        f"ids of the samples, but pair them with different rows; {remedy or f'say which one is meant: {names}'}"
    )


def _best(tries: Iterator[Pairing]) -> Pairing | None:
    """Return the form by which most samples match; at the same count the first."""
    found = [made for made in tries if made.count]
    return max(found, key=lambda made: made.count, default=None)


def _whole(ours: Mapping[str, StrArray], column: IdColumn) -> Iterator[Pairing]:
    names = {form: keys.tolist() for form, keys in ours.items()}
    for theirs, labels in {OWN: column.cells, **column.joined}.items():
        known = set(labels)
        for form, keys in names.items():
            if known.isdisjoint(keys):
                continue
            label = OWN if form == theirs == OWN else f"{form} in the data, {theirs} in the table"
            made = Pairing(column=column, form=label, keys=keys, labels=labels)
            if _is_one_to_one(made, _individuals(column)):
                yield made


def _individuals(column: IdColumn) -> Sequence[str]:
    """Return what tells the rows of different individuals apart: family and individual where both are known."""
    return next(iter(column.joined.values()), column.cells)


def _shortened(ids: StrArray, column: IdColumn) -> Iterator[Pairing]:
    keys, labels = ids.tolist(), column.cells
    if not (column.is_named or (column.is_first and len(set(labels)) == len(labels))):
        return
    for text, rename in _renames():
        for side, ours, theirs in (
            ("data", [rename(name) or name for name in keys], labels),
            ("table", keys, [rename(name) or name for name in labels]),
        ):
            if set(theirs).isdisjoint(ours):
                continue
            made = Pairing(column=column, form=f"{text} in the {side}", keys=ours, labels=theirs)
            doubled = rename is _doubled and column.is_named
            bare = any(_NUMBER.fullmatch(key) for key in made.keys if key in made.rows)
            enough = made.count >= _HALF * min(len(keys), len(set(labels)))
            if (doubled or not bare) and enough and _is_one_to_one(made, _individuals(column)):
                yield made


def _is_one_to_one(made: Pairing, individuals: Sequence[str]) -> bool:
    """Say whether the form keeps apart samples that have a row, and rows of different individuals."""
    found = [key for key in made.keys if key in made.rows]
    if len(set(found)) < len(found):
        return False
    renamed = set(zip(made.labels, individuals, strict=True))
    return len({label for label, _ in renamed}) == len(renamed)


def _doubled(name: str) -> str | None:
    found = _DOUBLED.fullmatch(name)
    return found.group(1) if found else None


def _behind(mark: str) -> Rename:
    return lambda name: name.partition(mark)[2] or None


def _renames() -> Iterator[tuple[str, Rename]]:
    """Yield ways to shorten an id that was made of family and individual."""
    yield "IID of FID_IID", _doubled
    yield "IID of FID_IID", _behind("_")
    yield "IID of FID:IID", _behind(":")


def _plain_number(name: str) -> str:
    return re.sub(r"(?<![\d.])0+(?=\d)", "", re.sub(r"(?<=\d)\.0+$", "", name))


def _without_marks(name: str) -> str | None:
    plain = _MARKS.sub("", name)
    return None if plain.isdecimal() else plain


_NEARLY: tuple[tuple[str, Rename, Rename], ...] = (
    ("equal them; if it holds the ids, name it: --id-column {name}", str, str),
    ("differ from them only in upper and lower case ({theirs!r} against {ours!r}): write them alike",
     str.casefold, str.casefold),
    ("differ from them only in leading zeros or a decimal point ({theirs!r} against {ours!r}): write them alike",
     _plain_number, _plain_number),
    ("differ from them only in blanks, dashes and other marks ({theirs!r} against {ours!r}): write them alike",
     _without_marks, _without_marks),
    ("may be the individuals without their families ({theirs!r} against {ours!r}), or numbers of plots: write whole "
     "ids, or columns FID and IID", _behind("_"), str),
)  # fmt: skip


def nearly(ours: Sequence[str], columns: Sequence[IdColumn]) -> str:
    """Return how ids of the data that match nowhere would match after all, "" if they would not."""
    for column in sorted(columns, key=lambda column: not column.is_named):
        for what, rename_ours, rename_theirs in _NEARLY:
            known = {made: name for name in ours if (made := rename_ours(name)) is not None}
            found = {cell: known[made] for cell in column.cells if (made := rename_theirs(cell)) in known}
            if found:
                cell, name = next(iter(found.items()))
                text = what.format(name=column.name or "''", theirs=cell, ours=name)
                return f"{len(found):,} cells of {column} {text}"
    return ""


def examples(ids: Sequence[str] | StrArray) -> str:
    """Return the first ids for a message."""
    shown = ", ".join(repr(str(name)) for name in ids[:_EXAMPLES])
    return shown + (", ..." if len(ids) > _EXAMPLES else "")
