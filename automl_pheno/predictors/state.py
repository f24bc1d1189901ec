"""The state of a baseline: what every fit checks, and arrays and values on disk without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import Examples
from automl_pheno.errors import PredictorError


def check_examples(train: Examples, kind: str) -> None:
    """Raise PredictorError unless `train` can be learnt from: 2 samples or more, a finite y for each."""
    n = len(train)
    if n < 2:
        msg = f"{kind}: needs at least 2 training samples, got {n}"
        raise PredictorError(msg)
    for what, size in (("y", train.y.shape), ("groups", train.groups.shape)):
        if size != (n,):
            msg = f"{kind}: {what} must have shape ({n},), got {size}"
            raise PredictorError(msg)
    bad = int((~np.isfinite(train.y)).sum())
    if bad:
        msg = f"{kind}: y must be finite, got {bad} values that are not"
        raise PredictorError(msg)
    check_weights(train, kind)


def check_weights(train: Examples, kind: str) -> None:
    """Raise PredictorError unless the weights of `train`, where it has any, are positive and finite, one a sample."""
    if train.weights is None:
        return
    if train.weights.shape != (len(train),):
        msg = f"{kind}: weights must have shape ({len(train)},), got {train.weights.shape}"
        raise PredictorError(msg)
    bad = int((~(np.isfinite(train.weights) & (train.weights > 0))).sum())
    if bad:
        msg = f"{kind}: weights must be positive and finite, got {bad} values that are not"
        raise PredictorError(msg)


def fitted(state: Any, kind: str) -> Any:
    """Return `state`, or raise PredictorError where it is None because nothing was fitted."""
    if state is None:
        msg = f"{kind}: fit or load before predict and save"
        raise PredictorError(msg)
    return state


def write_state(folder: Path, kind: str, arrays: dict[str, npt.NDArray[Any]], values: dict[str, Any]) -> None:
    """Write ``state.npz`` and ``state.json`` into the existing `folder`."""
    np.savez_compressed(folder / "state.npz", **arrays)  # type: ignore[arg-type]  # stub mixes up allow_pickle
    (folder / "state.json").write_text(json.dumps({"predictor": kind, **values}, indent=1) + "\n", encoding="utf-8")


def read_state(folder: Path, kind: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return what `write_state` wrote. Raises PredictorError where it is missing or of another predictor."""
    try:
        values = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        with np.load(folder / "state.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        msg = f"{folder}: no readable state of a {kind} predictor ({error})"
        raise PredictorError(msg) from error
    if values.get("predictor") != kind:
        msg = f"{folder / 'state.json'}: holds a {values.get('predictor')!r} predictor, not {kind!r}"
        raise PredictorError(msg)
    return arrays, values
