"""Which backend compiles, and what it must offer. The backend is Keras' own (``KERAS_BACKEND``)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import keras
import numpy as np

from automl_pheno.errors import UnknownNameError
from automl_pheno.keras_settings import BACKENDS
from automl_pheno.training.device import limit_memory
from automl_pheno.training.program import Program, State, Structure


class Epoch(Protocol):
    """A structure compiled on one backend: a pure function ``(state, hyper, key) -> (state, metrics)``."""

    def put(self, array: np.ndarray[Any, Any]) -> Any:
        """Return the array on the device."""
        ...

    def put_state(self, state: State) -> State:
        """Return the state on the device."""
        ...

    def epoch(
        self, state: State, hyper: dict[str, Any], rates: tuple[float, float], seed: int, x: Any, y: Any, chunks: Any
    ) -> tuple[State, float, np.ndarray[Any, Any]]:
        """Train one epoch; return the new state, the mean loss and the validation predictions, (n_chunks, chunk)."""
        ...

    def predict(self, state: State, chunks: Any) -> np.ndarray[Any, Any]:
        """Return predictions, (n_chunks, chunk)."""
        ...


@lru_cache(maxsize=4)
def compiled(structure: Structure) -> tuple[Program, Epoch]:
    """Return the compiled structure; folds, seeds and trials of one structure get the same one.

    Raises
    ------
    UnknownNameError
        Keras runs on a backend without an epoch.
    """
    name = keras.backend.backend()
    limit_memory()  # here, since building the network is the first use of the GPU
    if name == "tensorflow":
        from automl_pheno.training.tensorflow import TensorFlowEpoch as Backend
    elif name == "jax":
        from automl_pheno.training.jax import JaxEpoch as Backend  # type: ignore[assignment]
    else:
        kind = "training backend"
        raise UnknownNameError(kind, name, BACKENDS)
    program = Program(structure)
    return program, Backend(program)
