"""Simulated data as files."""

from __future__ import annotations

import inspect
from pathlib import Path

from automl_pheno.data import Dataset
from automl_pheno.errors import DataError, known_names
from automl_pheno.simulate import SIMULATORS, Truth
from automl_pheno.simulate.write import write_simulation


def simulate(kind: str, folder: Path, *, seed: int = 0, **settings: float) -> tuple[Dataset, Truth, tuple[Path, ...]]:
    """Simulate data, write them into `folder` and return them with their truth and the files written.

    Raises
    ------
    UnknownNameError, DataError
        `kind` is unknown, or does not have such a setting, or its value breaks a rule.
    """
    make = SIMULATORS[kind]
    known = set(inspect.signature(make).parameters)
    for name, value in settings.items():
        if name not in known:
            msg = f"simulate {kind}: has no setting {name!r} (got {value}); {known_names(name, known)}"
            raise DataError(msg)
    dataset, truth = make(seed=seed, **settings)
    return dataset, truth, write_simulation(dataset, truth, folder)
