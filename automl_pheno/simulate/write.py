"""A simulation as files that the readers read again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from automl_pheno.data.dataset import Dataset
from automl_pheno.data.encode import decode
from automl_pheno.simulate.truth import Truth


def write_simulation(dataset: Dataset, truth: Truth, folder: Path) -> tuple[Path, ...]:
    """Write data and truth into `folder`, which is made if need be, and return the paths of the data files.

    Sequences: ``data.csv`` (``id, sequence``, other columns, traits). Genotypes: ``dosages.csv.gz`` (``id`` and one
    column a variant; a missing call is empty), ``traits.csv`` (``id``, other columns, traits) and ``variants.csv``.
    Both: ``truth.json`` and ``truth.npz``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = dataset.columns.join(dataset.traits)
    described.insert(0, "id", dataset.ids)
    if dataset.kind == "sequence":
        described.insert(1, "sequence", decode(dataset.inputs.values))
        data = folder / "data.csv"
        described.to_csv(data, index=False)
        written: tuple[Path, ...] = (data,)
    else:
        written = _write_genotypes(dataset, described, folder)
    truth.save(folder)
    return written


def _write_genotypes(dataset: Dataset, described: pd.DataFrame, folder: Path) -> tuple[Path, ...]:
    variants = dataset.inputs.variants
    names = [f"variant_{i}" for i in range(dataset.inputs.width)] if variants is None else variants["id"].tolist()
    table = pd.DataFrame(dataset.inputs.values, columns=names)
    # whole dosages as 0, 1, 2: the file is smaller and reads as genotypes do elsewhere
    whole = (table.isna() | (table == table.round())).all(axis=None)
    table = table.astype("Int8") if whole else table
    table.insert(0, "id", dataset.ids)
    paths = (folder / "dosages.csv.gz", folder / "traits.csv", folder / "variants.csv")
    table.to_csv(paths[0], index=False, compression={"method": "gzip", "mtime": 0})
    described.to_csv(paths[1], index=False)
    if variants is None:
        return paths[:2]
    variants.to_csv(paths[2], index=False)
    return paths
