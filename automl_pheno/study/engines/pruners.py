"""When to give up a trial, by name: Optuna's pruners with the defaults of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from automl_pheno.errors import StudyError
from automl_pheno.registry import Registry
from automl_pheno.study.engines.protocol import MOST_SLOTS

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial


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
        return PRUNERS[name](replace(steps, slots=min(steps.slots, MOST_SLOTS)))


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
    # Not Optuna's PatientPruner, which waits for a fall: the best value so far, which is reported here, never falls.
    from optuna.pruners import BasePruner

    patience, median = 1 if steps.folds else max(3, steps.last // 10), _median(steps)

    class Patient(BasePruner):
        """The median pruner, asked only about trials that did not get better for some steps."""

        def prune(self, study: Study, trial: FrozenTrial) -> bool:
            values = [value for _, value in sorted(trial.intermediate_values.items())]
            recent, before = values[-patience:], values[:-patience]
            best = max if study.direction.name == "MAXIMIZE" else min
            rises = not before or best([*recent, best(before)]) != best(before)
            return not rises and median.prune(study, trial)

    return Patient()


@PRUNERS.add("asha")
def _asha(steps: Steps) -> BasePruner:
    # Rungs at a ninth and a third of the steps, none near the end: a trial given up there would be lost for nothing.
    # No bootstrap, which gives up the first trials of every rung, the hand-made configuration among them.
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=steps.last // 9 + 1, reduction_factor=3)


@PRUNERS.add("hyperband")
def _hyperband(steps: Steps) -> BasePruner:
    from optuna.pruners import HyperbandPruner

    # As for asha, the last rung lies beyond the end: 27 times the first.
    return HyperbandPruner(min_resource=steps.last // 27 + 1, max_resource=max(1, steps.last), reduction_factor=3)


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
