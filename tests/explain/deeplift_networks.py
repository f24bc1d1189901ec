"""What the tests of DeepLIFT share: random weights, and the largest completeness error."""

from __future__ import annotations

import keras
import numpy as np

from automl_pheno.explain.methods.deeplift import deeplift_multipliers


def bases(n: int, length: int, seed: int) -> np.ndarray:
    """Return one-hot sequences, shape (n, length, 4)."""
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(0, 4, (n, length))]


def randomize(model: keras.Model, seed: int = 0) -> None:
    """Give every weight a random value, so that nothing is off, constant or linear by chance of its start."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if not str(variable.dtype).startswith(("float", "bfloat")):
            continue
        shape = tuple(variable.shape)
        fan = max(int(np.prod(shape[:-1])), 1)
        value = rng.normal(0.0, 1.5 / np.sqrt(fan) if len(shape) > 1 else 0.5, shape)
        if "variance" in variable.name:
            value = rng.uniform(0.5, 2.0, shape)
        elif variable.name in ("gamma", "scale", "alpha", "concat_score_weight"):
            value = rng.uniform(0.3, 1.5, shape)
        variable.assign(value.astype(np.float32))


def worst_delta(model: keras.Model, x: np.ndarray, r: np.ndarray) -> float:
    """Return the largest completeness error by the output spread, after checking the outputs.

    Nan where the outputs hardly differ.
    """
    m, fx, fr = deeplift_multipliers(model, x, r)
    truth = np.asarray(keras.ops.convert_to_numpy(model(x)))[:, 0].astype(np.float64)
    spread = float(np.ptp(np.concatenate([fx, fr.ravel()])))
    if spread < 1e-3:
        return float("nan")
    np.testing.assert_allclose(fx, truth, atol=1e-4 * spread, rtol=1e-5)
    own = r if r.ndim == x.ndim + 1 else r[None]
    delta = (m.astype(np.float64) * (x[:, None] - own)).sum(axis=(2, 3)) - (fx[:, None].astype(np.float64) - fr)
    return float(np.abs(delta).max()) / spread
