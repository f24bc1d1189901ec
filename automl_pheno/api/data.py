"""Data as files, data frames or data sets, all through the same readers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Union

import pandas as pd

from automl_pheno.data import Dataset, read_dataset
from automl_pheno.errors import DataError

Data = Union[str, Path, pd.DataFrame, Dataset]
"""A file (see `read`), a table with a sequence column or of dosages, or a data set."""

_FRAME = "DataFrame"


def read(
    data: Data,
    *,
    trait_table: str | Path | None = None,
    sequence_column: str | None = None,
    id_column: str | None = None,
    genome: str | Path | None = None,
    multiallelic: str = "split",
    genotype_field: str = "auto",
) -> Dataset:
    """Return a data set; what was noticed is in its ``notes``.

    Parameters
    ----------
    data
        Path of a table with a sequence column, of FASTA, a dosage table, VCF, BCF, PLINK or intervals (BED), plain or
        gzip; or a data frame laid out like one of the tables, whose index holds the ids where it is not just row
        numbers.
    trait_table
        Path of a table of traits, where `data` has none; several rows of one sample are averaged.
    sequence_column, id_column
        None is recognised.
    genome
        FASTA that intervals lie in.
    multiallelic
        Sites of a VCF with several alternate alleles: ``split`` or ``skip``.
    genotype_field
        Of a VCF: ``GT``, ``DS``, or ``auto``, which is DS where all sites have it.

    Raises
    ------
    DataError
        The data break a rule; the message has file and line.
    """
    if isinstance(data, Dataset):
        return data
    read_file = partial(
        read_dataset,
        trait_table=trait_table,
        sequence_column=sequence_column,
        id_column=id_column,
        genome=genome,
        multiallelic=multiallelic,
        genotype_field=genotype_field,
    )
    if not isinstance(data, pd.DataFrame):
        return read_file(data)
    numbered = isinstance(data.index, pd.RangeIndex)
    with tempfile.TemporaryDirectory() as folder:
        # Through the reader of tables, so that a data frame and the file it came from are the same data.
        path = Path(folder, f"{_FRAME}.csv")
        table = (
            data
            if numbered
            else data.rename_axis(index="id" if data.index.name is None else str(data.index.name)).reset_index()
        )
        table.to_csv(path, index=False)
        try:
            dataset = read_file(path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), _FRAME)) from None
        notes = tuple(note.replace(str(path), _FRAME) for note in dataset.notes)
        files = {name: digest for name, digest in dataset.files.items() if name != str(path)}
    return replace(dataset, name="data", notes=notes, files=files)
