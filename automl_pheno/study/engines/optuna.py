"""Which configuration to try next, by name: Optuna's samplers with the defaults of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from automl_pheno.errors import StudyError
from automl_pheno.registry import Registry
from automl_pheno.study.engines.protocol import ENGINES, MOST_SLOTS, EndState, EngineRequest, Readiness

if TYPE_CHECKING:
    import optuna
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState

MakeSampler = Callable[[int, int], "BaseSampler"]
"""``make(seed, slots) -> sampler``."""

SAMPLERS: Registry[MakeSampler] = Registry("sampler")
"""Every sampler: ``tpe`` and others; the engine is called ``optuna/<name>``."""


def make_sampler(name: str, *, seed: int, slots: int) -> BaseSampler:
    """Return the sampler `name`; `seed` and `slots` as in `EngineRequest`.

    Raises
    ------
    UnknownNameError
        No such sampler.
    StudyError
        It needs a package that is not installed.
    """
    with warnings.catch_warnings():
        # Optuna marks some of these classes experimental; the choice is the user's and made by name.
        warnings.simplefilter("ignore")
        return SAMPLERS[name](seed % 2**32, min(slots, MOST_SLOTS))


class SamplerEngine:
    """A sampler of Optuna: the study asks it, so that there is nothing else to do."""

    draws_at_random = True
    notes = ()

    def __init__(self, sampler: BaseSampler) -> None:
        self.sampler = sampler

    def restore(self, study: optuna.Study) -> None:
        """See `Engine`."""

    def prepare(self, study: optuna.Study) -> Readiness:  # noqa: ARG002 - one signature for all
        """See `Engine`."""
        return "ready"

    def finished(self, trial: FrozenTrial, state: EndState, value: float | None) -> None:
        """See `Engine`."""


@SAMPLERS.add("tpe")
def _tpe(seed: int, slots: int) -> BaseSampler:
    # Multivariate and the constant liar, which keeps parallel trials apart, are the defaults since Optuna 5.
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=max(10, 2 * slots), warn_independent_sampling=False)


@SAMPLERS.add("tpe-group")
def _tpe_group(seed: int, slots: int) -> BaseSampler:
    # Parameters that exist together have a model together; without it those under a condition are drawn each by itself.
    from optuna.samplers import TPESampler

    return TPESampler(
        seed=seed, n_startup_trials=max(10, 2 * slots), multivariate=True, group=True, warn_independent_sampling=False
    )


@SAMPLERS.add("tpe-independent")
def _tpe_independent(seed: int, slots: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=max(10, 2 * slots), multivariate=False)


@SAMPLERS.add("random")
def _random(seed: int, slots: int) -> BaseSampler:  # noqa: ARG001 - one signature for all
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


@SAMPLERS.add("qmc")
def _qmc(seed: int, slots: int) -> BaseSampler:  # noqa: ARG001 - one signature for all
    from optuna.samplers import QMCSampler

    return QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False, warn_asynchronous_seeding=False)


@SAMPLERS.add("nsgaii")
def _nsgaii(seed: int, slots: int) -> BaseSampler:
    # A generation of Optuna's 50 would be all that a usual study has.
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(population_size=max(20, 2 * slots), seed=seed)


@SAMPLERS.add("gp")
def _gp(seed: int, slots: int) -> BaseSampler:
    _require("torch", "gp")
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=max(10, 2 * slots), warn_independent_sampling=False)


@SAMPLERS.add("cmaes")
def _cmaes(seed: int, slots: int) -> BaseSampler:
    _require("cmaes", "cmaes")
    from optuna.samplers import CmaEsSampler

    class Unconstrained(CmaEsSampler):
        """Says nothing of the constraints, which every trial has and this sampler does not read."""

        def after_trial(
            self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
        ) -> None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Constraints have been set")
                super().after_trial(study, trial, state, values)

    return Unconstrained(seed=seed, n_startup_trials=max(10, 2 * slots), warn_independent_sampling=False)


def _require(package: str, sampler: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        msg = f"engine optuna/{sampler} needs the package {package!r}: pip install {package}"
        raise StudyError(msg)


def _engine(name: str, request: EngineRequest) -> SamplerEngine:
    return SamplerEngine(make_sampler(name, seed=request.seed, slots=request.slots))


for _name in SAMPLERS:
    ENGINES.add(f"optuna/{_name}")(partial(_engine, _name))
