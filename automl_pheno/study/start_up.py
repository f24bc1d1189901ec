"""Keras when it is loaded: on which backend, and what TensorFlow writes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from automl_pheno.errors import StudyError
from automl_pheno.keras_settings import load_keras, loaded_backend

_STDERR = 2  # the file descriptor


@contextlib.contextmanager
def without_start_up_chatter() -> Iterator[None]:
    """Keep what TensorFlow's C++ parts write to standard error when they are loaded from the user; errors raise."""
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


def need_backend(backend: str) -> None:
    """Load Keras on `backend`.

    Raises
    ------
    StudyError
        This process has it on another one.
    """
    refuse_other_backend(backend)
    load_keras(backend)


def refuse_other_backend(backend: str) -> None:
    """Raise a `StudyError` where this process has Keras on another backend, which it cannot change any more."""
    loaded = loaded_backend()
    if loaded not in ("", backend):
        msg = (
            f"backend: {backend} was asked for, but this process has Keras on {loaded}; use workers: 1 or more, "
            f"or import Keras on {backend} (KERAS_BACKEND={backend})"
        )
        raise StudyError(msg)
