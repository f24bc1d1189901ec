"""A table of traits beside the inputs: ids that are written differently, several rows an id, PLINK's two id columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.cells import Frames, Table, find_id_column, parse_number, read_table, to_frames
from automl_pheno.data.dataset import Dataset, FloatArray, IntArray, StrArray
from automl_pheno.data.source import Preview, Source
from automl_pheno.errors import DataError

if TYPE_CHECKING:
    from automl_pheno.data.read import ReadOptions, Samples

_EXAMPLES = 3
_FAMILY_NAMES = ("fid", "#fid", "family_id")
_INDIVIDUAL_NAMES = ("iid", "#iid")
_PLINK_MISSING = "-9"
_DOUBLED = re.compile(r"(.+)[_:]\1")
_ID_COLUMNS = 2

BoolArray = npt.NDArray[np.bool_]
Rename = Callable[[str], "str | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitTable:
    """A trait table that is open: its beginning is known, its rows are not read."""

    source: Source
    preview: Preview
    id_column: str | None

    def may_have(self, *forms: StrArray) -> BoolArray:
        """Return which samples may have a row, shape (n,), so that the others need not be loaded; all if none may.

        Parameters
        ----------
        *forms
            What the samples may be called, each str, shape (n,).
        """
        wanted = self._may_be_ids()
        mask = np.zeros(len(forms[0]), dtype=np.bool_)
        for names in forms:
            for row, name in enumerate(names.tolist()):
                mask[row] |= name in wanted or any(rename(name) in wanted for _, rename in _renames())
        return mask if mask.any() else ~mask

    def _may_be_ids(self) -> set[str | None]:
        """Return every cell of the columns that may hold ids, also shortened, and the first two joined."""
        names = self.preview.header
        places = {*range(min(_ID_COLUMNS, len(names)))}
        found = (self.id_column, find_id_column(names, None, self.source.path))
        places |= {place for place, name in enumerate(names) if name in found or name.lower() in _INDIVIDUAL_NAMES}
        wanted: set[str | None] = set()
        for _, record in self.source.records(self.preview.delimiter):
            cells = [record[place].strip() for place in sorted(places) if place < len(record)]
            wanted |= {*cells, "_".join(cells[:_ID_COLUMNS])}
            wanted |= {rename(cell) for cell in cells for _, rename in _renames()}
        return wanted - {None}


def open_trait_table(source: Source, id_column: str | None) -> TraitTable:
    """Return the table; raises DataError where the file is no table."""
    preview = source.preview()
    if preview.first_line.startswith(">"):
        msg = f"{source.path}: is FASTA, not a trait table"
        raise DataError(msg)
    if not preview.header:
        source.check()
        msg = f"{source.path}: is not a trait table (it begins with {preview.first_line[:20]!r})"
        raise DataError(msg)
    return TraitTable(source=source, preview=preview, id_column=id_column)


def join_traits(dataset: Dataset, samples: Samples, path: Path, opened: TraitTable, options: ReadOptions) -> Dataset:
    """Return the samples of `dataset`, read from `path`, that have a row in the trait table, with its columns.

    Raises
    ------
    DataError
        The table breaks a rule, has a column that the data have, or no id in common with them.
    """
    source = opened.source
    table, ids, forms, notes = _read(opened, samples, options)
    frames = to_frames(table, np.arange(len(table)).astype(np.str_), options.missing)
    keys, names, note = _match(samples, forms, ids, path, source.path)
    frames, labels, replicate_notes = merge_replicates(frames, names, source.path)
    yielding = [] if samples.columns is None else [str(name) for name in samples.columns.columns]
    dataset = replace(
        dataset, columns=dataset.columns.drop(columns=[name for name in yielding if name in frames.columns.columns])
    )
    clash = sorted(set(map(str, frames.columns.columns)) & set(map(str, dataset.columns.columns)))
    if clash:
        msg = f"{source.path}: column {clash[0]!r} is also in {path}; rename one of them"
        raise DataError(msg)
    rows = pd.Index(labels).get_indexer(pd.Index(keys))
    matched = rows >= 0
    if not matched.any():
        raise DataError(_no_overlap(dataset, path, ids, source.path))
    notes = [*notes, *([] if note is None else [note]), *replicate_notes]
    lacking = np.concatenate([dataset.ids[~matched], samples.not_loaded])
    if len(lacking):
        total = len(dataset) + len(samples.not_loaded)
        notes.append(
            f"{len(lacking):,} of {total:,} samples of {path} have no row in {source.path} and are left out: "
            f"{_examples(lacking)}"
        )
    spare = labels[~np.isin(labels, np.array(keys, dtype=np.str_))]
    if len(spare):
        what = "rows" if len(labels) == len(table) else "ids"
        notes.append(
            f"{len(spare):,} of {len(labels):,} {what} of {source.path} have no sample in {path} and are left out: "
            f"{_examples(spare)}"
        )
    kept = dataset if matched.all() else dataset.take(matched)
    index = pd.Index(kept.ids, name="id")
    rows = rows[matched]
    return replace(
        kept,
        traits=pd.concat([kept.traits.set_axis(index), frames.traits.iloc[rows].set_axis(index)], axis=1),
        columns=pd.concat([kept.columns.set_axis(index), frames.columns.iloc[rows].set_axis(index)], axis=1),
        files=kept.files | {str(source.path): source.sha256()},
        notes=(*kept.notes, *notes),
        unusable=kept.unusable | frames.unusable,
    )


def _read(
    opened: TraitTable, samples: Samples, options: ReadOptions
) -> tuple[Table, StrArray, dict[str, StrArray], list[str]]:
    """Return the table without its ids, the ids as they stand, the forms they may take, and notes."""
    source, preview = opened.source, opened.preview
    header = _names_of_headless(preview, samples, options.missing)
    table = read_table(source, preview.delimiter, header)
    notes = [] if header is None else [f"{source.path}: has no header; its columns are called {', '.join(header)}"]
    names = tuple(table.cells)
    lower = {name.lower(): name for name in reversed(names)}
    family = next((lower[name] for name in _FAMILY_NAMES if name in lower), None)
    individual = next((lower[name] for name in _INDIVIDUAL_NAMES if name in lower), None)
    asked = options.id_column if options.id_column in names else None
    column = asked or individual or find_id_column(names, None, source.path) or names[0]
    ids = np.array(table.cells[column], dtype=np.str_)
    for line, name in zip(table.lines, ids.tolist(), strict=True):
        if not name or name in options.missing:
            msg = f"{source.at(line)}: the id in column {column!r} is empty or missing"
            raise DataError(msg)
    forms = {"the same id": ids}
    if family is not None and column == individual:
        pairs = list(zip(table.cells[family], table.cells[column], strict=True))
        forms |= {
            "FID_IID": np.array(["_".join(pair) for pair in pairs], dtype=np.str_),
            "FID:IID": np.array([":".join(pair) for pair in pairs], dtype=np.str_),
        }
        lost = sum(cells.count(_PLINK_MISSING) for cells in table.cells.values())
        if lost:
            cells = {
                name: ["" if cell == _PLINK_MISSING else cell for cell in old] for name, old in table.cells.items()
            }
            table = replace(table, cells=cells)
            notes.append(f"{source.path}: {lost:,} cells are -9, which is missing in tables with FID and IID")
        if table.cells[family] == table.cells[column]:
            table = table.without({family})
    return table.without({column}), ids, forms, notes


def _names_of_headless(preview: Preview, samples: Samples, missing: Collection[str]) -> tuple[str, ...] | None:
    """Return names for the columns of a table whose first line is a row, else None.

    It is one if it has an id of the data, or if numbers with a decimal point stand in it and rows below have ids.
    """
    known = {*samples.ids.tolist(), *samples.not_loaded.tolist()}
    for other in samples.other_ids.values():
        known |= set(other.tolist())
    first = preview.header
    rows = [first, *preview.rows] if _is_row(first, missing) else [first]
    second = len(first) > _ID_COLUMNS and any(row[1] in known for row in rows)
    if not second and not any(row[0] in known for row in rows):
        return None
    ids = ("FID", "IID") if second else ("id",)
    n = len(first) - len(ids)
    return (*ids, *(["phenotype"] if n == 1 else [f"phenotype{number}" for number in range(1, n + 1)]))


def _is_row(cells: Sequence[str], missing: Collection[str]) -> bool:
    """Say whether the last columns are values: names of columns may be years, but have no decimals."""
    try:
        values = [parse_number(cell) for cell in cells[_ID_COLUMNS:] or cells[1:] if cell not in missing]
    except ValueError:
        return False
    return any(not value.is_integer() for value in values)


def _renames() -> Iterator[tuple[str, Rename]]:
    """Yield ways to shorten an id that was made of family and individual."""

    def doubled(name: str) -> str | None:
        found = _DOUBLED.fullmatch(name)
        return found.group(1) if found else None

    def behind(mark: str) -> Rename:
        return lambda name: name.partition(mark)[2] or None

    yield "IID of FID_IID", doubled
    yield "IID of FID_IID", behind("_")
    yield "IID of FID:IID", behind(":")


def _match(
    samples: Samples, forms: dict[str, StrArray], ids: StrArray, path: Path, trait_path: Path
) -> tuple[list[str], StrArray, str | None]:
    """Return the key of each sample and of each row, by the form of ids that most samples share, and a note."""
    own = "the same id"
    tries: list[tuple[str | None, list[str], list[str]]] = []
    for ours, names in {own: samples.ids, **samples.other_ids}.items():
        for theirs, others in forms.items():
            label = None if ours == theirs == own else f"{ours} in the data, {theirs} in the table"
            tries.append((label, names.tolist(), others.tolist()))
    for text, rename in _renames():
        tries.append((f"{text} in the data", [rename(name) or name for name in samples.ids.tolist()], ids.tolist()))
        tries.append((f"{text} in the table", samples.ids.tolist(), [rename(name) or name for name in ids.tolist()]))
    counts = [_matches(names, others, forms.get("FID_IID", ids)) for _, names, others in tries]
    best = int(np.argmax(counts))
    form, keys, labels = tries[best]
    total = f"{counts[best]:,} of {len(samples.ids):,} samples of {path}"
    note = None if form is None else f"{total} were matched with {trait_path} by {form}"
    return keys, np.array(labels, dtype=np.str_), note


def _matches(ours: Sequence[str], theirs: Sequence[str], individuals: StrArray) -> int:
    """Return how many samples have a row, or -1 where the form makes different individuals the same."""
    known = set(theirs)
    found = [name for name in ours if name in known]
    renamed = set(zip(theirs, individuals.tolist(), strict=True))
    if len(set(found)) < len(found) or len({new for new, _ in renamed}) < len(renamed):
        return -1
    return len(found)


def merge_replicates(frames: Frames, keys: StrArray, path: Path) -> tuple[Frames, StrArray, list[str]]:
    """Return one row for each key, in the order they first appear, the keys, and notes.

    Numeric columns that differ within a key become their mean, with the number of values as the column ``NAME_n``
    and their sd (n - 1 in the denominator) as ``NAME_sd``; other columns that differ are dropped.

    Raises
    ------
    DataError
        A column ``NAME_n`` or ``NAME_sd`` is there already.
    """
    codes, labels = pd.factorize(keys)
    index = pd.Index(labels, name="id")
    names = np.array(labels, dtype=np.str_)
    if len(labels) == len(keys):
        return (
            Frames(
                traits=frames.traits.set_axis(index), columns=frames.columns.set_axis(index), unusable=frames.unusable
            ),
            names,
            [],
        )
    traits: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    averaged: list[str] = []
    dropped: list[str] = []
    for name in map(str, frames.columns.columns):
        if name not in frames.traits.columns:
            text = _agreeing(frames.columns[name], codes, len(labels))
            if text is None:
                dropped.append(name)
            else:
                columns[name] = pd.Series(text, index=index, dtype=object)
            continue
        n, mean, sd, differs = _statistics(frames.traits[name].to_numpy(dtype=np.float64), codes, len(labels))
        traits[name] = mean
        whole = not differs and bool(np.isfinite(mean).all() and (mean == np.rint(mean)).all())
        columns[name] = mean.astype(np.int64) if whole else mean
        if differs:
            averaged.append(name)
            for new, values in ((f"{name}_n", n), (f"{name}_sd", sd)):
                if new in frames.columns.columns:
                    msg = f"{path}: column {new!r} is needed for the replicates of {name!r}; rename it"
                    raise DataError(msg)
                columns[new] = values
    notes = [f"{path}: {len(keys):,} rows of {len(labels):,} ids"]
    if averaged:
        notes[0] += (
            f"; averaged: {_listed(averaged)} (columns {averaged[0]}_n and {averaged[0]}_sd: values and their sd)"
        )
    if dropped:
        notes.append(f"{path}: dropped, since rows of one id differ: {_listed(dropped)}")
    return (
        Frames(
            traits=pd.DataFrame(traits, index=index, dtype=np.float64),
            columns=pd.DataFrame(columns, index=index),
            unusable=frames.unusable,
        ),
        names,
        notes,
    )


def _statistics(values: FloatArray, codes: IntArray, n_keys: int) -> tuple[IntArray, FloatArray, FloatArray, bool]:
    """Return number, mean and sd of the values of each key, and whether any key has different ones."""
    there = np.isfinite(values)
    codes, values = codes[there], values[there]
    n = np.bincount(codes, minlength=n_keys)
    first = np.full(n_keys, np.nan)
    first[codes[::-1]] = values[::-1]
    # around the first value, so that equal values have exactly their own mean
    mean = first + np.bincount(codes, weights=values - first[codes], minlength=n_keys) / np.maximum(n, 1)
    squares = np.bincount(codes, weights=(values - mean[codes]) ** 2, minlength=n_keys)
    sd = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    return n.astype(np.int64), mean, sd, bool((values != first[codes]).any())


def _agreeing(column: pd.Series[Any], codes: IntArray, n_keys: int) -> list[object] | None:
    """Return the one value of each key, or None where a key has several; missing ones do not count."""
    found: list[object] = [None] * n_keys
    for code, value in zip(codes.tolist(), column.tolist(), strict=True):
        if value is None or value != value:
            continue
        if found[code] is None:
            found[code] = value
        elif found[code] != value:
            return None
    return found


def _no_overlap(dataset: Dataset, path: Path, ids: StrArray, trait_path: Path) -> str:
    text = f"{path} and {trait_path} have no sample id in common: {_examples(dataset.ids)} against {_examples(ids)}"
    variants = dataset.inputs.variants
    if variants is not None and np.isin(variants["id"].to_numpy(dtype=np.str_), ids).any():
        text += f"; {path} seems to be transposed: samples must be rows and variants columns"
    return text


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_EXAMPLES])
    return f"{shown}, ... ({len(names)} columns)" if len(names) > _EXAMPLES else shown


def _examples(ids: StrArray) -> str:
    shown = ", ".join(repr(str(name)) for name in ids[:_EXAMPLES])
    return shown + (", ..." if len(ids) > _EXAMPLES else "")
