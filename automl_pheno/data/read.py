"""Read a data set: recognise the format, match ids with a trait table, and note all that was noticed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from automl_pheno.data.cells import MISSING, Frames, Table, check_ids, find_id_column, read_table, to_frames
from automl_pheno.data.dataset import Dataset, Inputs, StrArray
from automl_pheno.data.source import Preview, Source
from automl_pheno.errors import DataError
from automl_pheno.registry import Registry

_LATER = {
    ".vcf": "VCF", ".bcf": "BCF", ".bed": "PLINK", ".bim": "PLINK", ".fam": "PLINK", ".pgen": "PLINK 2",
}  # fmt: skip
_EXAMPLES = 3
_MOST_MISSING_NOTES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the caller says about a file.

    Attributes
    ----------
    delimiter
        Of a table.
    sequence_column, id_column
        Column names; None is to be recognised.
    missing
        Cells that mean "no value".
    has_trait_table
        Traits come from another file.
    """

    delimiter: str
    sequence_column: str | None
    id_column: str | None
    missing: frozenset[str]
    has_trait_table: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What a reader found in one file.

    Attributes
    ----------
    ids
        Unique, str, shape (n,).
    inputs
        n samples.
    table
        The other columns of the file, n rows, or None.
    made_ids
        The file has no ids; they were made of row numbers.
    notes
        What was noticed.
    """

    ids: StrArray
    inputs: Inputs
    table: Table | None = None
    made_ids: bool = False
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """One format of files that hold inputs."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether a file that begins so is of this format; at most one reader may say yes."""
        ...

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the file."""
        ...


READERS: Registry[Reader] = Registry("format")
"""Every reader of inputs: ``table``, ``fasta``, ``dosage``."""


def read_dataset(
    path: str | Path,
    *,
    trait_table: str | Path | None = None,
    format: str = "auto",  # noqa: A002 - the word users know
    sequence_column: str | None = None,
    id_column: str | None = None,
    missing: tuple[str, ...] = MISSING,
) -> Dataset:
    """Read inputs, and traits from the same file or from a trait table.

    Parameters
    ----------
    path
        Table with a sequence column, FASTA, or dosage table (samples × variants); plain or gzip.
    trait_table
        Table with one row a sample; its ids are matched with those of `path`.
    format
        ``auto`` or a name in `READERS`.
    sequence_column, id_column
        Names of columns; None is recognised by name, then by content. `id_column` holds for each table that has it.
    missing
        Cells that mean "no value".

    Returns
    -------
    Dataset
        In the order of `path`; samples without a row in the trait table are left out with a note.

    Raises
    ------
    DataError
        The files break a rule; the message has file and line.
    UnknownNameError
        `format` is unknown.
    """
    source = Source(Path(path))
    _refuse_later_names(source)
    preview = source.preview()
    _refuse_later_contents(source, preview)
    options = ReadOptions(
        delimiter=preview.delimiter,
        sequence_column=sequence_column,
        id_column=id_column,
        missing=frozenset(missing),
        has_trait_table=trait_table is not None,
    )
    name = _recognise(source, preview, options) if format == "auto" else format
    samples = READERS[name].read(source, options)
    frames = _own_frames(samples, options.missing)
    dataset = Dataset(
        name=_short_name(source.path),
        ids=samples.ids,
        inputs=samples.inputs,
        traits=frames.traits,
        columns=frames.columns,
        files={str(source.path): source.sha256()},
        notes=(f"{source.path}: {_describe(samples.inputs)} (format {name})", *samples.notes),
        unusable=frames.unusable,
    )
    if trait_table is not None:
        if samples.made_ids:
            msg = (
                f"{source.path}: has no id column, so the rows of {trait_table} cannot be matched; name it (id_column)"
            )
            raise DataError(msg)
        dataset = _join(dataset, source.path, Source(Path(trait_table)), options)
    return dataset.with_notes(*_missing_notes(dataset.traits))


def _refuse_later_names(source: Source) -> None:
    suffixes = [suffix.lower() for suffix in source.path.suffixes if suffix.lower() not in (".gz", ".bgz")]
    kind = _LATER.get(suffixes[-1]) if suffixes else None
    if kind is not None:
        msg = (
            f"{source.path}: {kind} files are not supported yet; convert to a dosage table (samples x variants, 0 to 2)"
        )
        raise DataError(msg)


def _refuse_later_contents(source: Source, preview: Preview) -> None:
    for start, kind in (("##fileformat=VCF", "VCF"), ("@", "FASTQ")):
        if preview.first_line.startswith(start):
            msg = f"{source.path}: {kind} files are not supported yet; use a table, FASTA or a dosage table"
            raise DataError(msg)


def _recognise(source: Source, preview: Preview, options: ReadOptions) -> str:
    if options.sequence_column is not None and not preview.first_line.startswith(">"):
        return "table"
    for name, reader in READERS.items():
        if reader.recognises(preview, options.missing):
            return name
    if not preview.rows:
        msg = f"{source.path}: only a header and no rows of {len(preview.header)} columns"
        raise DataError(msg)
    shown = ", ".join(preview.header[:8]) + (", ..." if len(preview.header) > 8 else "")
    msg = (
        f"{source.path}: the format is not recognised: not FASTA, no column of DNA sequences, and the columns are not "
        f"dosages from 0 to 2 (columns: {shown}); a table of traits goes beside the inputs as the trait table"
    )
    raise DataError(msg)


def _own_frames(samples: Samples, missing: frozenset[str]) -> Frames:
    if samples.table is not None:
        return to_frames(samples.table, samples.ids, missing)
    index = pd.Index(samples.ids, name="id")
    return Frames(traits=pd.DataFrame(index=index), columns=pd.DataFrame(index=index), unusable={})


def _join(dataset: Dataset, path: Path, source: Source, options: ReadOptions) -> Dataset:
    """Return the samples that have a row in the trait table, with its columns."""
    preview = source.preview()
    if preview.first_line.startswith(">"):
        msg = f"{source.path}: is FASTA, not a trait table"
        raise DataError(msg)
    table = read_table(source, preview.delimiter)
    header = tuple(table.cells)
    asked = options.id_column if options.id_column in header else None
    column = find_id_column(header, asked, source.path)
    column = header[0] if column is None else column
    ids = check_ids(table.cells[column], table.lines, source.path, column)
    clash = sorted((set(header) - {column}) & set(map(str, dataset.columns.columns)))
    if clash:
        msg = f"{source.path}: column {clash[0]!r} is also in {path}; rename one of them"
        raise DataError(msg)
    frames = to_frames(table.without({column}), ids, options.missing)
    rows = pd.Index(ids).get_indexer(pd.Index(dataset.ids))
    matched = rows >= 0
    if not matched.any():
        raise DataError(_no_overlap(dataset, path, ids, source.path))
    notes = []
    lacking = dataset.ids[~matched]
    if len(lacking):
        notes.append(
            f"{len(lacking):,} of {len(dataset):,} samples of {path} have no row in {source.path} and are left out: "
            f"{_examples(lacking)}"
        )
    spare = ids[~np.isin(ids, dataset.ids)]
    if len(spare):
        notes.append(
            f"{len(spare):,} of {len(ids):,} rows of {source.path} have no sample in {path} and are left out: "
            f"{_examples(spare)}"
        )
    kept = dataset.take(matched)
    rows = rows[matched]
    return Dataset(
        name=kept.name,
        ids=kept.ids,
        inputs=kept.inputs,
        traits=pd.concat([kept.traits, frames.traits.iloc[rows]], axis=1),
        columns=pd.concat([kept.columns, frames.columns.iloc[rows]], axis=1),
        files=kept.files | {str(source.path): source.sha256()},
        notes=(*kept.notes, *notes),
        unusable=kept.unusable | frames.unusable,
    )


def _no_overlap(dataset: Dataset, path: Path, ids: StrArray, trait_path: Path) -> str:
    text = f"{path} and {trait_path} have no sample id in common: {_examples(dataset.ids)} against {_examples(ids)}"
    variants = dataset.inputs.variants
    if variants is not None and np.isin(variants["id"].to_numpy(dtype=np.str_), ids).any():
        text += f"; {path} seems to be transposed: samples must be rows and variants columns"
    return text


def _examples(ids: StrArray) -> str:
    shown = ", ".join(repr(str(name)) for name in ids[:_EXAMPLES])
    return shown + (", ..." if len(ids) > _EXAMPLES else "")


def _missing_notes(traits: pd.DataFrame) -> list[str]:
    counts = traits.isna().sum()
    counts = counts[counts > 0]
    if len(counts) > _MOST_MISSING_NOTES:
        return [f"{len(counts):,} of {traits.shape[1]:,} numeric columns have missing values"]
    n = len(traits)
    return [
        f"{name}: {n - lost:,} of {n:,} samples have a value, {lost:,} are missing" for name, lost in counts.items()
    ]


def _describe(inputs: Inputs) -> str:
    if inputs.kind == "sequence":
        return f"{len(inputs):,} sequences of up to {inputs.width:,} bp"
    return f"{len(inputs):,} samples x {inputs.width:,} variants"


def _short_name(path: Path) -> str:
    return path.name.split(".")[0] or path.name
