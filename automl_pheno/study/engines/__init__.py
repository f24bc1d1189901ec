"""Engines and pruners by name. A module here registers what it offers; nothing heavy is imported until it is made."""

from automl_pheno.study.engines import keras_tuner as _keras_tuner  # noqa: F401 - registers its engines
from automl_pheno.study.engines import optuna as _optuna  # noqa: F401 - registers its engines
from automl_pheno.study.engines.protocol import (
    ALLOTS_EPOCHS,
    DEFAULT_ENGINE,
    ENGINES,
    Engine,
    EngineRequest,
    engine_name,
    make_engine,
)
from automl_pheno.study.engines.pruners import DEFAULT_PRUNER, PRUNERS, Steps, make_pruner

__all__ = [
    "ALLOTS_EPOCHS",
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
