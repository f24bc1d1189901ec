"""What is marked ``backend`` holds on the other backend of Keras too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

OTHER = {"tensorflow": "jax", "jax": "tensorflow"}
HERE = Path(__file__).parent


def on_the_other_backend(which: str, seconds: int, *files: str) -> None:
    """Keras chooses its backend once a process, so the other one needs a process of its own."""
    where = [str(HERE / file) for file in files] or [str(HERE)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-m", which, *where],
        env={**os.environ, "KERAS_BACKEND": OTHER[keras.backend.backend()], "JAX_PLATFORMS": "cpu"},
        cwd=HERE.parents[1], capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_deeplift_holds_on_the_other_backend_too() -> None:
    on_the_other_backend("backend and not slow", 280, "test_deeplift_spaces.py")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_all_explanations_hold_on_the_other_backend_too() -> None:
    on_the_other_backend("backend", 2900)
