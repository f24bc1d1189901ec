"""A table of traits beside the inputs: ids that are written differently, several rows an id, PLINK's two id columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.cells import Table, read_table, to_frames
from automl_pheno.data.dataset import Dataset, StrArray
from automl_pheno.data.ids import OWN, IdColumn, Pairing, examples, is_id_name, nearly, pair
from automl_pheno.data.options import Missing
from automl_pheno.data.replicates import merge_replicates
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.written import is_number, parse_number
from automl_pheno.errors import DataError, known_names

if TYPE_CHECKING:
    from automl_pheno.data.read import ReadOptions, Samples

_EXAMPLES = 3
_FAMILY_NAMES = ("fid", "#fid", "family_id")
_INDIVIDUAL_NAMES = ("iid", "#iid")
_PLINK_MISSING = "-9"
_PLINK_ENDINGS = (".fam", ".phe", ".pheno", ".phen", ".cov", ".covar")
_PLINK_COLUMNS = ("FID", "IID")
_FAM_COLUMNS = (*_PLINK_COLUMNS, "father", "mother", "sex", "phenotype")
_FEWEST_OF_TRANSPOSED = 3
_USUALLY_MISSING = Missing()

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitTable:
    """A trait table that is open: its beginning is known, its rows are not read."""

    source: Source
    preview: Preview
    id_column: str | None

    def may_have(self, *forms: StrArray) -> BoolArray:
        """Return which samples have a row, shape (n,), so that the others need not be loaded; all if none has.

        Parameters
        ----------
        *forms
            What the samples may be called, each str, shape (n,).

        Raises
        ------
        DataError
            The table breaks a rule, or two of its columns hold the ids.
        """
        names = {str(number): form for number, form in enumerate(forms[1:])}
        _, found, _ = self.pair({OWN: forms[0], **names}, ())
        if found is None or not found.count:
            return np.ones(len(forms[0]), dtype=np.bool_)
        known = set(found.labels)
        return np.array([key in known for key in found.keys], dtype=np.bool_)

    def pair(
        self, ours: Mapping[str, StrArray], columns_of_data: Sequence[str]
    ) -> tuple[Table, Pairing | None, tuple[str, ...] | None]:
        """Return the table, how samples are paired with its rows, and the names that its columns were given.

        Parameters
        ----------
        ours
            Form -> what the samples are called, each str, shape (n,).
        columns_of_data
            Of the file that the samples come from, where the user's id column may stand.

        Raises
        ------
        DataError
            As for `may_have`; or the id column that the user names is in neither file.
        """
        known: set[str] = set().union(*(set(form.tolist()) for form in ours.values()))
        header = _names_of_headless(self.preview, known)
        table = read_table(self.source, self.preview.delimiter, header)
        asked = self.id_column if self.id_column in table.cells else None
        if self.id_column is not None and asked is None and columns_of_data and self.id_column not in columns_of_data:
            msg = f"{self.source.path}: no id column {self.id_column!r}; {known_names(self.id_column, table.cells)}"
            raise DataError(msg)
        columns = _id_columns(table)
        family, individual = _family_and_individual(table)
        named = [column for column in columns if column.name == asked]
        # a family is named after an individual where each has one of its own
        rest = [column for column in columns if column.name != family or individual is None]
        found = pair(ours, named or rest, self.source.path)
        return table, found if found or named else pair(ours, columns, self.source.path), header


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
    ours = {OWN: samples.ids, **samples.other_ids}
    table, found, header = opened.pair(ours, Source(path).preview().header or ("",))
    if found is None or not found.count:
        raise DataError(_no_overlap(dataset, path, table))
    notes = [] if header is None else [f"{source.path}: has no header; its columns are called {', '.join(header)}"]
    total = len(samples.ids) + len(samples.not_loaded)
    notes.append(found.sentence(source.path, path, total))
    _check_ids(table, found)
    if options.id_column is None:
        _check_other_names(dataset, path, found, table)
    table, missing, more = _as_plink(table, found.column, header, options.missing)
    notes += more
    keys = found.keys
    frames = to_frames(table, np.arange(len(table)).astype(np.str_), missing)
    notes += frames.notes
    frames, labels, replicate_notes = merge_replicates(frames, np.array(found.labels, dtype=np.str_), source.path)
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
    notes += replicate_notes
    lacking = np.concatenate([dataset.ids[~matched], samples.not_loaded])
    if len(lacking):
        hint = nearly(lacking.tolist(), [found.column])
        notes.append(
            f"{len(lacking):,} of {total:,} samples of {path} have no row in {source.path} and are left out: "
            f"{examples(lacking)}" + (f"; {hint}" if hint else "")
        )
    spare = labels[~np.isin(labels, np.array(keys, dtype=np.str_))]
    if len(spare):
        what = "rows" if len(labels) == len(table) else "ids"
        notes.append(
            f"{len(spare):,} of {len(labels):,} {what} of {source.path} have no sample in {path} and are left out: "
            f"{examples(spare)}"
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


def _id_columns(table: Table) -> list[IdColumn]:
    """Return every column as one that may hold ids; that of individuals also together with their families."""
    family, individual = _family_and_individual(table)
    made = []
    for place, (name, cells) in enumerate(table.cells.items()):
        joined: dict[str, list[str]] = {}
        if name == individual and family is not None:
            pairs = list(zip(table.cells[family], cells, strict=True))
            joined = {"FID_IID": ["_".join(pair) for pair in pairs], "FID:IID": [":".join(pair) for pair in pairs]}
        made.append(IdColumn(name=name, cells=cells, joined=joined, is_first=place == 0))
    return made


def _family_and_individual(table: Table) -> tuple[str | None, str | None]:
    lower = {name.lower(): name for name in reversed(table.cells)}
    family = next((lower[name] for name in _FAMILY_NAMES if name in lower), None)
    return family, next((lower[name] for name in _INDIVIDUAL_NAMES if name in lower), None)


def _check_ids(table: Table, found: Pairing) -> None:
    """Raise DataError for a row without an id; ``NA`` is one where a sample is called so."""
    known = set(found.keys)
    for line, name, label in zip(table.lines, found.column.cells, found.labels, strict=True):
        if not name or (name in _USUALLY_MISSING and label not in known):
            msg = f"{table.path}:{line}: the id in {found.column} is empty or missing"
            raise DataError(msg)


def _names_of_data(dataset: Dataset) -> Iterator[tuple[str, dict[str, StrArray]]]:
    """Yield the other columns of the data that name each sample."""
    for name in map(str, dataset.columns.columns):
        cells = dataset.columns[name].astype(str).to_numpy(dtype=np.str_)
        if is_id_name(name) and len(np.unique(cells)) == len(dataset):
            yield name, {OWN: cells}


def _check_other_names(dataset: Dataset, path: Path, found: Pairing, table: Table) -> None:
    """Raise DataError where another column of the data names the samples, and pairs them with other rows."""
    for name, ours in _names_of_data(dataset):
        other = pair(ours, _id_columns(table), table.path)
        if other is not None and 2 * other.count >= found.count and not other.agrees_with(found):
            msg = (
                f"{path} and {table.path}: {found.column} of the table has {found.count:,} ids of the samples, and "
                f"{other.column} has {other.count:,} of their column {name!r}, in other rows; say which is meant: "
                f"--id-column {found.column.name!r} or --id-column {name!r}"
            )
            raise DataError(msg)


def _as_plink(
    table: Table, ids: IdColumn, header: tuple[str, ...] | None, missing: Missing
) -> tuple[Table, Missing, list[str]]:
    """Return the table without its ids, and what is missing in it: -9, too, in the tables of PLINK."""
    family, individual = _family_and_individual(table)
    taken = {ids.name}
    if family is not None and individual in taken and table.cells[family] == list(ids.cells):
        taken |= {family}
    rest = table.without(taken)
    of_plink = (family is not None and individual is not None) or individual == "#IID"
    if not of_plink and not table.path.name.removesuffix(".gz").endswith(_PLINK_ENDINGS):
        return rest, missing, []
    more = missing.with_number(_PLINK_MISSING)
    lost = sum(cell in more and cell not in missing for cells in rest.cells.values() for cell in cells)
    what = "tables with FID and IID" if header is None else "tables of PLINK"
    return rest, more, [f"{table.path}: {lost:,} cells are -9, which is missing in {what}"] if lost else []


def _names_of_headless(preview: Preview, known: set[str]) -> tuple[str, ...] | None:
    """Return names for the columns of a table whose first line is a row, else None.

    It is one if it has an id of the data, or if numbers with a decimal point stand in it and rows below have ids.

    Raises
    ------
    DataError
        Most columns are named after samples.
    """
    first = preview.header
    here = [place for place, cell in enumerate(first) if cell in known]
    many = len({first[place] for place in here}) >= max(_FEWEST_OF_TRANSPOSED, len(first) / 2)
    if many and not any(row[0] in known for row in preview.rows):
        msg = (
            f"{preview.path}: columns are named after samples ({examples([first[place] for place in here])}), so the "
            "table is transposed: samples must be rows and traits columns"
        )
        raise DataError(msg)
    if _names_numbers(preview):
        return None
    # a name of a column may be that of a sample, too
    here = [place for place in here if not preview.rows or any(row[place] in known for row in preview.rows)]
    if not here and _is_row(first):
        here = [place for place in range(min(2, len(first))) if any(row[place] in known for row in preview.rows)]
    if not here:
        return None
    n = len(first)
    if preview.path.name.removesuffix(".gz").endswith(".fam") and n == len(_FAM_COLUMNS):
        return _FAM_COLUMNS
    rows = (first, *preview.rows)
    if 1 in here and n > 2 and len({row[1] for row in rows} & known) >= len({row[0] for row in rows} & known):
        return (*_PLINK_COLUMNS, *_numbered("phenotype", n - 2))
    if here[0] == 0:
        return ("id", *_numbered("phenotype", n - 1))
    names = [f"column{number}" for number in range(1, n + 1)]
    names[here[0]] = "id"
    return tuple(names)


def _names_numbers(preview: Preview) -> bool:
    """Say whether a cell of the first line that is no number stands above numbers, so that it names them."""
    return any(
        not is_number(first)
        and any(map(is_number, below))
        and all(is_number(cell) or cell in _USUALLY_MISSING for cell in below)
        for first, *below in zip(preview.header, *preview.rows, strict=True)
        if first not in _USUALLY_MISSING
    )


def _numbered(name: str, n: int) -> list[str]:
    return [name] if n == 1 else [f"{name}{number}" for number in range(1, n + 1)]


def _is_row(cells: Sequence[str]) -> bool:
    """Say whether the last columns are values: names of columns may be years, but have no decimals."""
    try:
        values = [parse_number(cell) for cell in cells[2:] or cells[1:] if cell not in _USUALLY_MISSING]
    except ValueError:
        return False
    return any(not value.is_integer() for value in values)


def _no_overlap(dataset: Dataset, path: Path, table: Table) -> str:
    columns = _id_columns(table)
    likely = next((column for column in columns if column.is_named), columns[0])
    text = (
        f"{path} and {table.path} have no sample id in common: {examples(dataset.ids)} against "
        f"{examples(likely.cells)} in {likely}"
    )
    variants = dataset.inputs.variants
    if variants is not None and not set(variants["id"]).isdisjoint(likely.cells):
        return f"{text}; {path} seems to be transposed: samples must be rows and variants columns"
    for name, ours in _names_of_data(dataset):
        if (found := pair(ours, columns, table.path)) is not None:
            return f"{text}; column {name!r} of {path} has {found.count:,} of the ids (--id-column {name})"
    hint = nearly(dataset.ids.tolist(), columns)
    return f"{text}; {hint}" if hint else f"{text}; --id-column names the column of ids"
