"""An explanation as files: arrays, tables and a manifest that says how far to trust it."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import importance
from automl_pheno.explain.motifs.seqlets import FoundMotif, motif_summary, motif_table
from automl_pheno.explain.references import is_aligned


def write_explanation(
    attribution: Attribution,
    folder: Path,
    *,
    verdict: str,
    seed: int | None = None,
    extra: dict[str, Any] | None = None,
) -> list[Path]:
    """Write the explanation into `folder`, made if need be, and return the files.

    ``attributions.npz``: ``ids, values, base_value, predictions, completeness``; ``one_hot`` and ``hypothetical``
    (n, length, 4) for sequences; ``dosages`` for genotypes; ``deltas`` where the method has them.
    ``importance.csv``: see `importance`. Sequences also: ``motifs.csv`` and ``motifs.npz`` (``contributions_1``,
    ``frequencies_1`` ... , shape (width, 4)), see `motif_summary`.
    ``manifest.json``: the verdict first, then how contributions were made.

    Parameters
    ----------
    verdict
        Whether the explained predictor beats the baselines, in a sentence; it stands first in the manifest.
    seed
        From which the generator given to `explain` was derived.
    extra
        More entries for the manifest, for example ``{"recovery": recovery(...)}``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sequences = attribution.kind == "sequence"
    arrays: dict[str, Any] = {
        "ids": attribution.ids,
        "values": attribution.values.astype(np.float32),
        "base_value": attribution.base_value,
        "predictions": attribution.predictions,
        "completeness": attribution.completeness,
    }
    if sequences:
        arrays["one_hot"] = one_hot(attribution.inputs.values)
    else:
        arrays["dosages"] = attribution.inputs.values.astype(np.float32)
    if attribution.hypothetical is not None:
        arrays["hypothetical"] = attribution.hypothetical.astype(np.float32)
    if attribution.deltas is not None:
        arrays["deltas"] = attribution.deltas.astype(np.float32)
    found = motif_summary(attribution) if sequences else []
    manifest = {
        "verdict": verdict,
        "seed": seed,
        "aligned": is_aligned(attribution.inputs),
        **attribution.manifest,
        "motifs_found": len(found) if sequences else None,
        **(extra or {}),
    }
    contents = {
        "attributions.npz": _packed(arrays),
        "importance.csv": importance(attribution).to_csv(index=False).encode(),
        "manifest.json": (json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
    }
    if sequences:
        contents["motifs.csv"] = motif_table(found).to_csv(index=False).encode()
        contents["motifs.npz"] = _packed(_motif_arrays(found))
    for name, content in contents.items():
        _replace(folder / name, content)
    return [folder / name for name in contents]


def _motif_arrays(found: list[FoundMotif]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for number, motif in enumerate(found, start=1):
        arrays[f"contributions_{number}"] = motif.contributions
        arrays[f"frequencies_{number}"] = motif.frequencies
    return arrays


def _packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a killed process leaves the old file or the new one, never half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
