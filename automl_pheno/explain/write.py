"""An explanation as files: arrays, tables and a manifest that says how far to trust it."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import importance
from automl_pheno.explain.parts.run import Parts
from automl_pheno.explain.references import is_aligned
from automl_pheno.explain.tracks import bedgraph
from automl_pheno.files import writing

MANIFEST = "manifest.json"


def write_explanation(
    attribution: Attribution,
    folder: Path,
    *,
    verdict: str,
    seed: int | None = None,
    parts: Parts | None = None,
    columns: pd.DataFrame | None = None,
    extra: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the explanation into `folder`, which takes the place of an older one in one step, and return the files.

    ``attributions.npz``: ``ids, values, base_value, predictions, completeness``; for sequences ``values``, ``one_hot``
    and ``hypothetical``, shape (n, 4, length); for genotypes ``values`` and ``dosages``, shape (n, n_variants);
    ``deltas`` where the method has them. ``modisco_one_hot.npz`` and ``modisco_hypothetical.npz`` hold ``arr_0`` as
    ``modisco motifs`` reads it. ``importance.csv``: see `importance`. ``importance.bedgraph`` where there are
    coordinates. Then what the parts found. Every table is also written as ``.parquet``.
    ``manifest.json``: the verdict and warnings first, then how contributions were made.

    Parameters
    ----------
    verdict
        Whether the explained predictor beats the baselines, in a sentence; it stands first in the manifest.
    seed
        From which the generators were derived.
    parts
        What else was found.
    columns
        Coordinates of the explained samples, see `bedgraph`.
    extra
        More entries for the manifest, for example ``{"recovery": recovery(...)}``.

    Raises
    ------
    OutputError
        The folder cannot be written; an older explanation is intact.
    """
    parts = Parts() if parts is None else parts
    contents = _of_attribution(attribution, columns)
    for part in parts.found.values():
        for name, table in part.tables.items():
            contents |= _table(name, table)
        for name, arrays in part.arrays.items():
            contents[f"{name}.npz"] = _packed(arrays)
        for name, text in part.texts.items():
            contents[name] = text.encode()
    manifest = {
        "verdict": verdict,
        "warnings": list(attribution.warnings),
        "seed": seed,
        "aligned": is_aligned(attribution.inputs),
        **attribution.manifest,
        "parts": {
            **{name: dict(part.facts) for name, part in parts.found.items()},
            **{name: {"not_applicable": reason} for name, reason in parts.left_out.items()},
            **{name: {"failed": trace.splitlines()[-1]} for name, trace in parts.failed.items()},
        },
        **(extra or {}),
    }
    contents[MANIFEST] = (json.dumps(_plain(manifest), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    for name, trace in parts.failed.items():
        contents[f"failed_{name}.txt"] = trace.encode()
    _replace_folder(folder, contents)
    return [folder / name for name in contents]


def _of_attribution(attribution: Attribution, columns: pd.DataFrame | None) -> dict[str, bytes]:
    sequences = attribution.kind == "sequence"
    values = attribution.values.astype(np.float32)
    arrays: dict[str, Any] = {
        "ids": attribution.ids,
        "values": _channels_first(values) if sequences else values,
        "base_value": attribution.base_value,
        "predictions": attribution.predictions,
        "completeness": attribution.completeness,
    }
    contents: dict[str, bytes] = {}
    if sequences:
        arrays["one_hot"] = _channels_first(one_hot(attribution.inputs.values))
        contents["modisco_one_hot.npz"] = _packed({"arr_0": arrays["one_hot"]})
    else:
        arrays["dosages"] = attribution.inputs.values.astype(np.float32)
    if attribution.hypothetical is not None:
        hypothetical = _channels_first(attribution.hypothetical.astype(np.float32))
        arrays["hypothetical"] = hypothetical
        contents["modisco_hypothetical.npz"] = _packed({"arr_0": hypothetical})
    if attribution.deltas is not None:
        arrays["deltas"] = attribution.deltas.astype(np.float32)
    contents["attributions.npz"] = _packed(arrays)
    contents |= _table("importance", importance(attribution))
    track = bedgraph(attribution, columns)
    if track is not None:
        contents["importance.bedgraph"] = track.encode()
    return contents


def _channels_first(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (n, length, 4) as (n, 4, length), the order in which motif tools read."""
    return np.ascontiguousarray(values.transpose(0, 2, 1))


def _table(name: str, table: pd.DataFrame) -> dict[str, bytes]:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return {f"{name}.csv": table.to_csv(index=False).encode(), f"{name}.parquet": buffer.getvalue()}


def _packed(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Return a value of a manifest as JSON has it: NumPy numbers as numbers, what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder beside and rename it, so that a killed process leaves the old one or the new one, never half."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    with writing(folder):
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            for name, content in contents.items():
                (fresh / name).write_bytes(content)
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
