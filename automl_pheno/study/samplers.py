"""Which configuration to try next, by name: Optuna's samplers with the defaults of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from automl_pheno.errors import StudyError
from automl_pheno.registry import Registry

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

MakeSampler = Callable[[int, int], "BaseSampler"]
"""``make(seed, slots) -> sampler``."""

ENGINES: Registry[MakeSampler] = Registry("engine")
"""Every engine: ``optuna/tpe`` and others."""

DEFAULT_ENGINE = "optuna/tpe"


def make_sampler(engine: str, *, seed: int, slots: int) -> BaseSampler:
    """Return the sampler of `engine`.

    Parameters
    ----------
    engine
        Name in `ENGINES`; see `engine_name` for the short forms.
    seed
        Different at each start of a study: a sampler that started over would propose its first trials again.
    slots
        Number of trials at the same time.

    Raises
    ------
    UnknownNameError
        No such engine.
    StudyError
        It needs a package that is not installed.
    """
    make = ENGINES[engine_name(engine)]
    with warnings.catch_warnings():
        # Optuna marks some of these classes experimental; the choice is the user's and made by name.
        warnings.simplefilter("ignore")
        return make(seed % 2**32, slots)


def engine_name(text: str) -> str:
    """Return the full name of an engine: ``optuna`` is ``optuna/tpe`` and ``gp`` is ``optuna/gp``."""
    if text == "optuna":
        return DEFAULT_ENGINE
    name = text if "/" in text else f"optuna/{text}"
    return name if name in ENGINES else text


@ENGINES.add("optuna/tpe")
def _tpe(seed: int, slots: int) -> BaseSampler:
    # Multivariate and the constant liar, which keeps parallel trials apart, are the defaults since Optuna 5.
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=max(10, 2 * slots), warn_independent_sampling=False)


@ENGINES.add("optuna/random")
def _random(seed: int, slots: int) -> BaseSampler:  # noqa: ARG001 - one signature for all
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


@ENGINES.add("optuna/qmc")
def _qmc(seed: int, slots: int) -> BaseSampler:  # noqa: ARG001 - one signature for all
    from optuna.samplers import QMCSampler

    return QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False)


@ENGINES.add("optuna/gp")
def _gp(seed: int, slots: int) -> BaseSampler:
    _require("torch", "optuna/gp")
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=max(10, 2 * slots), warn_independent_sampling=False)


@ENGINES.add("optuna/cmaes")
def _cmaes(seed: int, slots: int) -> BaseSampler:
    _require("cmaes", "optuna/cmaes")
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed, n_startup_trials=max(10, 2 * slots), warn_independent_sampling=False)


def _require(package: str, engine: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        msg = f"engine {engine} needs the package {package!r}: pip install {package}"
        raise StudyError(msg)
