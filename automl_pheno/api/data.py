"""Data as files, data frames or data sets, all through the same readers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Union

import pandas as pd

from automl_pheno.data import Dataset, Reading, read_dataset, spelled_out
from automl_pheno.data.ids import is_id_name
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
        Path of a table with a sequence column, of FASTA, a table of genotypes (dosages or letters), HapMap, VCF, BCF,
        PLINK or intervals (BED), plain or gzip; or a data frame laid out like one of the tables, whose index holds the
        ids where it has a name or is not of whole numbers.
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
    ploidy
        Alleles of a call, where a file does not say: 4 of a table of 0 to 4.

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
    with tempfile.TemporaryDirectory() as folder:
        # Through the reader of tables, so that a data frame and the file it came from are the same data.
        path = Path(folder, f"{_FRAME}.csv")
        table = _with_ids(data)
        table.to_csv(path, index=False)
        try:
            dataset = read_file(path)
        except DataError as error:
            raise DataError(str(error).replace(str(path), _FRAME)) from None
        notes = tuple(note.replace(str(path), _FRAME) for note in dataset.notes)
        files = {name: digest for name, digest in dataset.files.items() if name != str(path)}
    return replace(dataset, name="data", notes=notes, files=files)


def _with_ids(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its ids as a column.

    The index holds them if it has a name or is no index of whole numbers; else it numbers the rows, also where rows
    were selected. A table of numbers that nothing else names gets ``row1``, ``row2`` ..., so that none of them is
    taken for an id.
    """
    if frame.index.nlevels > 1:
        msg = f"{_FRAME}: the index has {frame.index.nlevels} levels; it must be one of sample ids, or of row numbers"
        raise DataError(msg)
    names = [str(name) for name in frame.columns]
    name = "id" if frame.index.name is None else str(frame.index.name)
    if frame.index.name is not None or not pd.api.types.is_integer_dtype(frame.index.dtype):
        if name in names:
            msg = f"{_FRAME}: ids are in the index and in column {name!r}; name the index, or leave one of them out"
            raise DataError(msg)
        named: pd.DataFrame = frame.rename_axis(index=name).reset_index()
        return named
    if any(map(is_id_name, names)) or not all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes):
        return frame
    made = pd.Series([f"row{number}" for number in range(1, len(frame) + 1)], index=frame.index, name="id")
    return pd.concat([made, frame], axis=1)
