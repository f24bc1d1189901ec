"""Set the machine up before anything is imported: one thread, no GPU, no window."""

from __future__ import annotations

import os

os.environ.update(
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1",
    TF_CPP_MIN_LOG_LEVEL="3",
    MPLBACKEND="Agg",
)
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if os.environ.get("AUTOML_PHENO_TEST_GPU") != "1":  # `pytest -m gpu` on a machine that has one
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["JAX_PLATFORMS"] = "cpu"

from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes depends on the machine and is no assertion
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

REPOSITORY = Path(__file__).resolve().parents[1]
DATA_FOLDER = Path(os.environ.get("AUTOML_PHENO_DATA", REPOSITORY.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine lacks, and say why."""
    for item in items:
        if item.get_closest_marker("data") and not DATA_FOLDER.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no real data at {DATA_FOLDER}"))
        if item.get_closest_marker("gpu") and os.environ.get("AUTOML_PHENO_TEST_GPU") != "1":
            item.add_marker(pytest.mark.skip(reason="set AUTOML_PHENO_TEST_GPU=1 on a machine with a GPU"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the folder of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of the real data sets; for tests marked `data`."""
    return DATA_FOLDER
