"""When to give up a trial, by name: Optuna's pruners with the defaults of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automl_pheno.errors import StudyError
from automl_pheno.registry import Registry

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a pruner must know of the study.

    Attributes
    ----------
    last
        Largest step: ``max_epochs`` with one validation set, the number of folds with K folds.
    folds
        True if a step is a fold, False if it is an epoch.
    slots
        Number of trials at the same time.
    """

    last: int
    folds: bool
    slots: int


PRUNERS: Registry[Callable[[Steps], BasePruner]] = Registry("pruner")
"""Every pruner: ``median`` and others."""

DEFAULT_PRUNER = "median"


def make_pruner(name: str, steps: Steps) -> BasePruner:
    """Return the pruner `name`.

    Raises
    ------
    UnknownNameError
        No such pruner.
    StudyError
        It does not fit the study's steps.
    """
    with warnings.catch_warnings():
        # Optuna marks some of these classes experimental; the choice is the user's and made by name.
        warnings.simplefilter("ignore")
        return PRUNERS[name](steps)


def _warmup(steps: Steps) -> int:
    return 2 if steps.folds else max(5, steps.last // 5)


@PRUNERS.add("median")
def _median(steps: Steps) -> BasePruner:
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=max(8, 2 * steps.slots), n_warmup_steps=_warmup(steps), n_min_trials=5)


@PRUNERS.add("percentile")
def _percentile(steps: Steps) -> BasePruner:
    # 75: keeps all but the worst quarter; of Optuna's pruners it cost least in its tabulation (issue 2906).
    from optuna.pruners import PercentilePruner

    return PercentilePruner(
        75.0, n_startup_trials=max(8, 2 * steps.slots), n_warmup_steps=_warmup(steps), n_min_trials=5
    )


@PRUNERS.add("patient")
def _patient(steps: Steps) -> BasePruner:
    from optuna.pruners import PatientPruner

    return PatientPruner(_median(steps), patience=1 if steps.folds else max(3, steps.last // 10))


@PRUNERS.add("asha")
def _asha(steps: Steps) -> BasePruner:
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(
        min_resource=max(1, steps.last // 9), reduction_factor=3, bootstrap_count=steps.slots
    )


@PRUNERS.add("hyperband")
def _hyperband(steps: Steps) -> BasePruner:
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(min_resource=max(1, steps.last // 27), max_resource=max(1, steps.last), reduction_factor=3)


@PRUNERS.add("wilcoxon")
def _wilcoxon(steps: Steps) -> BasePruner:
    if not steps.folds:
        msg = "pruner wilcoxon pairs the folds of two trials, so it needs a split with K folds"
        raise StudyError(msg)
    from optuna.pruners import WilcoxonPruner

    return WilcoxonPruner(p_threshold=0.1, n_startup_steps=2)


@PRUNERS.add("none")
def _none(steps: Steps) -> BasePruner:  # noqa: ARG001 - one signature for all
    from optuna.pruners import NopPruner

    return NopPruner()
