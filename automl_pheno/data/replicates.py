"""Several rows of one id in a trait table: their mean, number and sd."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.cells import Frames
from automl_pheno.data.dataset import FloatArray, IntArray, StrArray
from automl_pheno.errors import DataError

_EXAMPLES = 3


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
        whole = not differs and bool(np.all(np.abs(mean) < 2**53) and np.all(mean == np.rint(mean)))
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


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_EXAMPLES])
    return f"{shown}, ... ({len(names)} columns)" if len(names) > _EXAMPLES else shown
