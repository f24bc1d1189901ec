"""Read the data that a study names."""

from __future__ import annotations

from automl_pheno.data import Dataset, read_dataset
from automl_pheno.study.config import DataConfig


def read_data(config: DataConfig) -> Dataset:
    """Return the data set of ``data:`` in a study file. Raises DataError."""
    return read_dataset(config.file, config.reading())
