"""Engines and pruners by name. A module here registers what it offers; nothing heavy is imported until it is made."""

from automl_pheno.study.engines import optuna as _optuna  # noqa: F401 - registers its engines
from automl_pheno.study.engines.protocol import (
    DEFAULT_ENGINE,
    ENGINES,
    Engine,
    EngineRequest,
    engine_name,
    make_engine,
)
from automl_pheno.study.engines.pruners import DEFAULT_PRUNER, PRUNERS, Steps, make_pruner

__all__ = [
    "DEFAULT_ENGINE",
    "DEFAULT_PRUNER",
    "ENGINES",
    "PRUNERS",
    "Engine",
    "EngineRequest",
    "Steps",
    "engine_name",
    "make_engine",
    "make_pruner",
]
