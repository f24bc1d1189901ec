"""Data as files, data frames or data sets, all through the same readers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Union

import pandas as pd

from automl_pheno.data import Dataset, Reading, read_dataset, spelled_out
from automl_pheno.errors import DataError

Data = Union[str, Path, pd.DataFrame, Dataset]
"""A file (see `read`), a table with a sequence column or of dosages, or a data set."""

_FRAME = "DataFrame"


@spelled_out
def read(data: Data, **reading: Any) -> Dataset:
    """Return a data set; what was noticed is in its ``notes``.

    Parameters
    ----------
    data
        Path of a table with a sequence column, of FASTA, a dosage table, VCF, BCF, PLINK or intervals (BED), plain or
        gzip; or a data frame laid out like one of the tables, whose index holds the ids where it is not just row
        numbers.
    trait_table
        Path of a table of traits, where `data` has none; several rows of one sample are averaged.
    format
        Name of a reader; ``auto`` recognises it.
    sequence_column, id_column
        None is recognised.
    missing
        Cells that mean "no value" besides ``NA`` and the like: ``-9``, ``["-9", "-"]``; ``value:-9`` says that -9 is
        a value.
    genome
        FASTA that intervals lie in.
    multiallelic
        Sites of a VCF with several alternate alleles: ``split`` or ``skip``.
    genotype_field
        Of a VCF: ``GT``, ``DS``, or ``auto``, which is DS and, call by call, GT where none is stated.

    Raises
    ------
    DataError
        The data break a rule; the message has file and line.
    """
    if isinstance(data, Dataset):
        return data
    read_file = partial(read_dataset, reading=Reading.of(**reading))
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
