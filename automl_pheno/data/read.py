"""Read a data set: recognise the format, match ids with a trait table, and note all that was noticed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from automl_pheno.data.cells import Frames, Table, to_frames
from automl_pheno.data.dataset import Dataset, Inputs, StrArray
from automl_pheno.data.options import READING_WORDS, Missing, Reading, ReadOptions
from automl_pheno.data.source import Preview, Source
from automl_pheno.errors import DataError
from automl_pheno.registry import Registry

__all__ = ["READERS", "ReadOptions", "Reader", "Samples", "read_dataset"]

_OTHERS = {
    ".pgen": "PLINK 2 files are not read; convert them (plink2 --make-bed)",
    ".bgen": "BGEN files are not read; convert them (plink2 --make-bed, or --export vcf for dosages)",
    ".lgen": "PLINK's long format is not read; convert it (plink --lfile NAME --make-bed)",
    ".gen": "Oxford's format is not read; convert it (plink2 --gen FILE --sample FILE --make-bed)",
}
_WRAPPINGS = (".gz", ".bgz", ".txt")
_OF_ANY_PLOIDY = ("dosage", "hapmap", "vcf")
_MOST_MISSING_NOTES = 10


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
    columns
        Ready columns that are never traits, index = ids, or None; a trait table's columns of the same name win.
    made_ids
        The file has no ids; they were made of row numbers.
    other_ids
        Form -> how other files may call the samples, str, shape (n,).
    not_loaded
        Ids of samples of the file that `ReadOptions.wanted` leaves out.
    files
        Files that were read beside the one named.
    notes
        What was noticed.
    """

    ids: StrArray
    inputs: Inputs
    table: Table | None = None
    columns: pd.DataFrame | None = None
    made_ids: bool = False
    other_ids: Mapping[str, StrArray] = field(default_factory=dict)
    not_loaded: StrArray = field(default_factory=lambda: np.array([], dtype=np.str_))
    files: tuple[Path, ...] = ()
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
"""Every reader of inputs, by the name of its format: ``table``, ``fasta``, ``vcf``, ``plink`` ..."""


def read_dataset(path: str | Path, reading: Reading | None = None, **words: Any) -> Dataset:
    """Read inputs, and traits from the same file or from a trait table.

    Parameters
    ----------
    path
        Table with a sequence column, FASTA, table of genotypes (dosages or letters), HapMap, VCF, BCF, PLINK (.bed,
        .ped, .tped or .raw, or their name without ending), or intervals (BED, or a table with chromosome, start and
        end); plain or gzip.
    reading, **words
        What is said about the files, as a value or as words of their own (``trait_table=``, ``missing=`` ...), which
        win; see `Reading`.

    Returns
    -------
    Dataset
        In the order of `path`; samples without a row in the trait table are left out with a note.

    Raises
    ------
    DataError
        The files break a rule; the message has file and line.
    UnknownNameError
        A format or a choice is unknown.
    """
    from automl_pheno.data.plink import find_bed
    from automl_pheno.data.trait_table import join_traits, open_trait_table

    reading = replace(Reading() if reading is None else reading, **words)
    trait_table, genome = reading.trait_table, reading.genome
    source = Source(find_bed(Path(path)))
    _refuse_other_names(source)
    preview = source.preview()
    traits = None if trait_table is None else open_trait_table(Source(trait_table), reading.id_column)
    options = ReadOptions(
        **{name: getattr(reading, name) for name in READING_WORDS},
        delimiter=preview.delimiter,
        has_trait_table=traits is not None,
        wanted=None if traits is None else traits.may_have,
    )
    name = _recognise(source, preview, options) if reading.format == "auto" else reading.format
    reader = READERS[name]
    if genome is not None and name != "intervals":
        msg = f"{source.path}: a genome is for intervals (BED), but this is of format {name}"
        raise DataError(msg)
    if reading.ploidy is not None and name not in _OF_ANY_PLOIDY:
        msg = f"{source.path}: a ploidy is for tables of genotypes and VCF, but this is of format {name}"
        raise DataError(msg)
    samples = reader.read(source, options)
    frames = _own_frames(samples, options.missing)
    columns = frames.columns if samples.columns is None else pd.concat([samples.columns, frames.columns], axis=1)
    dataset = Dataset(
        name=_short_name(source.path),
        ids=samples.ids,
        inputs=samples.inputs,
        traits=frames.traits,
        columns=columns,
        files={str(file): Source(file).sha256() for file in (source.path, *samples.files)},
        notes=(f"{source.path}: {_describe(samples.inputs)} (format {name})", *samples.notes, *frames.notes),
        unusable=frames.unusable,
    )
    if traits is not None:
        if samples.made_ids:
            msg = (
                f"{source.path}: has no id column, so the rows of {trait_table} cannot be matched; name it (id_column)"
            )
            raise DataError(msg)
        # inputs travel in the data set alone, so that the rows left out can be freed
        dataset = join_traits(dataset, replace(samples, inputs=_NOTHING), source.path, traits, options)
    return dataset.with_notes(*_missing_notes(dataset.traits))


def _refuse_other_names(source: Source) -> None:
    suffixes = [suffix.lower() for suffix in source.path.suffixes if suffix.lower() not in _WRAPPINGS]
    advice = _OTHERS.get(suffixes[-1]) if suffixes else None
    if advice is not None:
        msg = f"{source.path}: {advice}"
        raise DataError(msg)


def _recognise(source: Source, preview: Preview, options: ReadOptions) -> str:
    from automl_pheno.data.genotype_table import first_no_genotype

    if options.sequence_column is not None and preview.header:
        return "table"
    # with a genome, columns of small starts and ends are no dosages
    for name in sorted(READERS, key=lambda name: options.genome is None or name != "intervals"):
        if READERS[name].recognises(preview, options.missing):
            return name
    source.check()
    if preview.first_line.startswith("@"):
        msg = f"{source.path}: FASTQ files are not supported; use a table or FASTA"
        raise DataError(msg)
    if not preview.rows:
        msg = f"{source.path}: only a header and no rows of {len(preview.header)} columns"
        raise DataError(msg)
    first = first_no_genotype(source, preview.delimiter, options.missing)
    shown = ", ".join(preview.header[:8]) + (", ..." if len(preview.header) > 8 else "")
    msg = (
        f"{source.path}: the format is not recognised: not FASTA, VCF, PLINK, HapMap or intervals, no column of DNA "
        f"sequences, and the columns are not genotypes, like 0, 1, 2 or AA, AG, GG (columns: {shown}); a table of "
        "traits goes beside the inputs as the trait table (--trait-table)"
    )
    few = "; so few columns may be scores or genotypes: with a digit in each name they are variants"
    raise DataError(f"{msg}; {first}" if first else f"{msg}{few}")


_NOTHING = Inputs(kind="genotype", values=np.empty((0, 0), dtype=np.float32))


def _own_frames(samples: Samples, missing: Missing) -> Frames:
    if samples.table is not None:
        return to_frames(samples.table, samples.ids, missing)
    index = pd.Index(samples.ids, name="id")
    return Frames(traits=pd.DataFrame(index=index), columns=pd.DataFrame(index=index), unusable={})


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
