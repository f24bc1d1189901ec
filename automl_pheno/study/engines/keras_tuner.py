"""KerasTuner's oracles as engines: its random, Bayesian, Hyperband and grid search, mirrored into the Optuna study.

The oracle proposes, the study holds: each trial of the oracle is a trial of the study, which knows it by the user
attribute ``oracle_trial``. Study and records are the truth. At each start the oracle is made anew from them, so a kill
at any moment costs nothing; its own files, in the folder ``keras_tuner`` of the run, are for KerasTuner's tools.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from automl_pheno.errors import StudyError
from automl_pheno.study.engines.protocol import ALLOTS_EPOCHS, ENGINES, EndState, EngineRequest, Readiness

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from automl_pheno.study.engines.mirror import Mirror

T = TypeVar("T")

ORACLES = ("random", "bayesian", "hyperband", "grid")
FACTOR = 3
"""Of Hyperband: so many times fewer trials get so many times more epochs."""


class KerasTunerEngine:
    """An oracle of KerasTuner. It is called from one thread, as its lock is not given back after an error.

    Parameters
    ----------
    kind
        One of `ORACLES`.
    request
        What it is made for.
    """

    def __init__(self, kind: str, request: EngineRequest) -> None:
        from optuna.samplers import RandomSampler

        for package in ("keras_tuner", "tensorboard"):
            if find_spec(package) is None:
                msg = f"engine keras-tuner/{kind} needs the package {package!r}: pip install keras-tuner tensorboard"
                raise StudyError(msg)
        self.sampler = RandomSampler(seed=request.seed % 2**32)
        # Where the oracle proposes the same again; in brackets and in a grid a stranger would have no place.
        self.draws_at_random = kind in ("random", "bayesian")
        self.notes = hyperband_notes(request.max_epochs, request.trials) if kind == "hyperband" else ()
        self._kind = kind
        self._request = request
        self._study: optuna.Study
        self._mirror: Mirror

    def restore(self, study: optuna.Study) -> None:
        """See `Engine`. KerasTuner is imported here: seconds, and memory, but none of a GPU."""
        from automl_pheno.keras_settings import load_keras
        from automl_pheno.study.start_up import without_start_up_chatter

        self._study = study
        with warnings.catch_warnings(), without_start_up_chatter():
            warnings.simplefilter("ignore")  # of packages that are loaded, which the user can do nothing about
            load_keras(self._request.backend)
            from automl_pheno.study.engines.oracles import mirror

            self._mirror = mirror(self._kind, self._request, study)

    def prepare(self, study: optuna.Study) -> Readiness:
        """See `Engine`."""
        from optuna.trial import TrialState

        if study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return "ready"  # put back, or the hand-made configuration
        proposed = self._call(lambda mirror: mirror.propose())
        if isinstance(proposed, str):
            return "wait" if proposed == "IDLE" else "exhausted"
        values, attributes = proposed
        study.enqueue_trial(values, user_attrs=attributes)
        return "ready"

    def finished(self, trial: FrozenTrial, state: EndState, value: float | None) -> None:
        """See `Engine`."""
        usable = value if state in ("complete", "pruned") and value is not None and math.isfinite(value) else None
        self._call(lambda mirror: mirror.settle(trial, state, usable))

    def _call(self, act: Callable[[Mirror], T]) -> T:
        """Let the mirror act; where KerasTuner raises, its oracle is made anew and asked once more."""
        from automl_pheno.study.engines.oracles import mirror

        with warnings.catch_warnings():
            # KerasTuner uses a deprecated name of threading; the Gaussian process says that its fit did not converge.
            warnings.simplefilter("ignore")
            try:
                return act(self._mirror)
            except Exception:  # noqa: BLE001 - another package's, of any kind
                try:
                    self._mirror = mirror(self._kind, self._request, self._study)
                    return act(self._mirror)
                except Exception as error:
                    msg = f"engine keras-tuner/{self._kind}: KerasTuner failed, {type(error).__name__}: {error}"
                    raise StudyError(msg) from error


def brackets(max_epochs: int) -> list[list[tuple[int, int]]]:
    """Return Hyperband's brackets in their order: each a list of rounds, (trials, epochs).

    As KerasTuner counts them (Li et al. 2018, with its own rounding).
    """
    count, left = 0, float(max_epochs)
    while left >= 1:
        count, left = count + 1, left / FACTOR
    end = math.ceil(1 + math.log(max_epochs, FACTOR))
    return [
        [
            (math.ceil(end / (number + 1) * FACTOR ** (number - i)), math.ceil(max_epochs / FACTOR ** (number - i)))
            for i in range(number + 1)
        ]
        for number in reversed(range(count))
    ]


def hyperband_notes(max_epochs: int, trials: int) -> tuple[str, ...]:
    """Return what the user of Hyperband should know: that nothing is pruned, and what the trials suffice for."""
    first = brackets(max_epochs)[0]
    needed = sum(size for size, _ in first)
    rounds = ", then ".join(f"{size} of {epochs}" for size, epochs in first)
    notes = ["engine keras-tuner/hyperband shares out the epochs itself: no pruner"]
    if trials < needed:
        notes.append(
            f"trials: {trials} end within the first bracket of Hyperband, which is {needed} trials ({rounds} epochs)"
        )
    return tuple(notes)


def _engine(kind: str, request: EngineRequest) -> KerasTunerEngine:
    return KerasTunerEngine(kind, request)


for _kind in ORACLES:
    ENGINES.add(f"keras-tuner/{_kind}")(partial(_engine, _kind))
ALLOTS_EPOCHS.add("keras-tuner/hyperband")
