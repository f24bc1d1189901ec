"""What TensorFlow writes when it is loaded."""

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
