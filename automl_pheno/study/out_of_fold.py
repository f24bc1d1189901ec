"""What candidates predicted of samples that were held out from them: ``out_of_fold/<name>.npy``, one file a candidate.

One value a development sample in the order of ``development.npz``, float64; nan where it was never validated on.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.data import FloatArray
from automl_pheno.files import write_bytes, writing

OUT_OF_FOLD = "out_of_fold"


def file_name(name: str) -> str:
    """Return the name of a candidate as one of a file or folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


def pack(predictions: FloatArray) -> dict[str, Any]:
    """Return predictions, shape (n,), as plain data that are small in JSON: what is nan is not sent."""
    known = np.isfinite(predictions)
    return {
        "n": len(predictions),
        "known": base64.b64encode(np.packbits(known).tobytes()).decode(),
        "values": base64.b64encode(predictions[known].astype("<f8").tobytes()).decode(),
    }


def unpack(packed: Mapping[str, Any]) -> FloatArray:
    """Return the predictions that `pack` packed.

    Raises
    ------
    ValueError, KeyError, TypeError
        It is not what `pack` returns.
    """
    bits = np.frombuffer(base64.b64decode(packed["known"]), dtype=np.uint8)
    known = np.unpackbits(bits, count=int(packed["n"])).astype(bool)
    predictions = np.full(len(known), np.nan)
    predictions[known] = np.frombuffer(base64.b64decode(packed["values"]), dtype="<f8")
    return predictions


def write_predictions(run: Path, name: str, predictions: FloatArray) -> None:
    """Keep the predictions of a candidate in the run folder, in one step.

    Raises
    ------
    OutputError
        The disk is full or cannot be written; what was there before is intact.
    """
    folder = run / OUT_OF_FOLD
    with writing(folder):
        folder.mkdir(exist_ok=True)
    stream = io.BytesIO()
    np.save(stream, predictions.astype(np.float64), allow_pickle=False)
    write_bytes(folder / f"{file_name(name)}.npy", stream.getvalue())


def read_predictions(run: Path, name: str, n: int) -> FloatArray | None:
    """Return the predictions of a candidate for `n` development samples; None where they are not kept, or damaged."""
    try:
        predictions = np.load(run / OUT_OF_FOLD / f"{file_name(name)}.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = predictions.shape == (n,) and predictions.dtype == np.float64
    return predictions if fits and np.isfinite(predictions).any() else None
