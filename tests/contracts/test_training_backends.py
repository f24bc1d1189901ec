import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

OTHER = {"tensorflow": "jax", "jax": "tensorflow"}


@pytest.mark.parametrize(
    "file", ["test_training.py", pytest.param("test_training_precision.py", marks=pytest.mark.slow)]
)
def test_the_contract_holds_on_the_other_backend_too(file: str) -> None:
    """Keras chooses its backend once a process, so the other one needs a process of its own."""
    other = OTHER[keras.backend.backend()]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "-m",
            "slow or not slow",
            str(Path(__file__).with_name(file)),
        ],
        env={**os.environ, "KERAS_BACKEND": other, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
