"""automl-pheno: quantitative phenotypes from genomes, by models that are searched, honest and explained.

The public names resolve when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_pheno.api import Best, Run, load, read, search
    from automl_pheno.data.dataset import Dataset
    from automl_pheno.errors import AutoMLPhenoError
    from automl_pheno.study.tuner import hypermodel, hyperparameters, optuna_oracle

    __version__: str

_HOMES = {
    "AutoMLPhenoError": "automl_pheno.errors",
    "Best": "automl_pheno.api",
    "Dataset": "automl_pheno.data.dataset",
    "Run": "automl_pheno.api",
    "hypermodel": "automl_pheno.study.tuner",
    "hyperparameters": "automl_pheno.study.tuner",
    "load": "automl_pheno.api",
    "optuna_oracle": "automl_pheno.study.tuner",
    "read": "automl_pheno.api",
    "search": "automl_pheno.api",
}

__all__ = [
    "AutoMLPhenoError",
    "Best",
    "Dataset",
    "Run",
    "__version__",
    "hypermodel",
    "hyperparameters",
    "load",
    "optuna_oracle",
    "read",
    "search",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("automl-pheno")
    if name not in _HOMES:
        msg = f"module 'automl_pheno' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
