"""A data set as one ``.npz`` file, without pickle: how data travel to worker processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import Dataset, Inputs
from automl_pheno.errors import DataError
from automl_pheno.files import replacing

_FORMAT = 1
_Arrays = dict[str, npt.NDArray[Any]]


def save_dataset(dataset: Dataset, path: str | Path) -> None:
    """Write `dataset` to `path`, whole or not at all.

    Raises
    ------
    DataError
        A column holds values other than numbers, text and missing.
    """
    path = Path(path)
    arrays: _Arrays = {"ids": dataset.ids, "values": dataset.inputs.values}
    meta: dict[str, Any] = {
        "format": _FORMAT,
        "name": dataset.name,
        "kind": dataset.inputs.kind,
        "files": dataset.files,
        "notes": list(dataset.notes),
        "unusable": dataset.unusable,
        "index": [dataset.traits.index.name, dataset.columns.index.name],
        "traits": _pack(dataset.traits, "traits", arrays),
        "columns": _pack(dataset.columns, "columns", arrays),
        "variants": None if dataset.inputs.variants is None else _pack(dataset.inputs.variants, "variants", arrays),
    }
    arrays["meta"] = np.array(json.dumps(meta))
    with replacing(path) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def load_dataset(path: str | Path) -> Dataset:
    """Return what `save_dataset` wrote.

    Raises
    ------
    DataError
        No such file, or not written by `save_dataset`.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: _Arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays["meta"]))
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise DataError(msg) from None
    except (OSError, ValueError, KeyError, EOFError) as error:
        msg = f"{path}: is not a stored data set ({error})"
        raise DataError(msg) from None
    if meta["format"] != _FORMAT:
        msg = f"{path}: format {meta['format']} is not known, only {_FORMAT}"
        raise DataError(msg)
    index = [pd.Index(arrays["ids"], name=name) for name in meta["index"]]
    variants = None if meta["variants"] is None else _unpack(meta["variants"], "variants", arrays, None)
    return Dataset(
        name=meta["name"],
        ids=arrays["ids"],
        inputs=Inputs(kind=meta["kind"], values=arrays["values"], variants=variants),
        traits=_unpack(meta["traits"], "traits", arrays, index[0]),
        columns=_unpack(meta["columns"], "columns", arrays, index[1]),
        files=meta["files"],
        notes=tuple(meta["notes"]),
        unusable=meta["unusable"],
    )


def _pack(frame: pd.DataFrame, prefix: str, arrays: _Arrays) -> list[list[str]]:
    """Put each column into `arrays`; return names and types. Columns that are not plain numbers go as JSON."""
    described = []
    for number, name in enumerate(frame.columns):
        column = frame[name]
        dtype = str(column.dtype)
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
            arrays[f"{prefix}.{number}"] = column.to_numpy()
        else:
            cells = [None if missing else cell for cell, missing in zip(column, column.isna(), strict=True)]
            try:
                arrays[f"{prefix}.{number}"] = np.array(json.dumps(cells, default=_item))
            except TypeError as error:
                msg = f"column {name!r} cannot be stored: {error}"
                raise DataError(msg) from None
        described.append([str(name), dtype])
    return described


def _item(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    msg = f"{type(value).__name__} is neither number nor text"
    raise TypeError(msg)


def _unpack(described: list[list[str]], prefix: str, arrays: _Arrays, index: pd.Index[Any] | None) -> pd.DataFrame:
    columns: dict[str, pd.Series[Any]] = {}
    for number, (name, dtype) in enumerate(described):
        stored = arrays[f"{prefix}.{number}"]
        values = json.loads(str(stored)) if stored.dtype.kind == "U" else stored
        columns[name] = pd.Series(values, index=index, dtype=dtype)
    frame: pd.DataFrame = pd.DataFrame(columns, index=index)
    return frame
