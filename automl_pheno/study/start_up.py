"""What happens when Keras is loaded: its backend, and what TensorFlow writes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

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


def choose_backend(backend: str) -> str:
    """Set Keras' backend, which it reads once, when it is imported; return the one that it has."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        return backend
    return str(sys.modules["keras"].config.backend())
