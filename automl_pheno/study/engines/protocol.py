"""What proposes configurations: the small interface of every engine, and their registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from automl_pheno.registry import Registry
from automl_pheno.space.tree import SearchSpace

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Readiness = Literal["ready", "wait", "exhausted"]

EndState = Literal["complete", "pruned", "failed", "infeasible", "duplicate"]

MOST_SLOTS = 250
"""Samplers and pruners are told of no more slots. Several wait for twice as many trials before they begin, which with a
thousand slots is too long, and of a long study they see no more than four times as many (`storage/view.py`)."""

BUDGET = "budget"
"""User attribute of a trial: epochs that it may train, where the engine shares them out."""

CONTINUES = "continues"
"""User attribute of a trial: number of the trial whose weights it starts from."""

ORIGIN = "origin"
"""User attribute of a trial: number of the first trial of those that it continues, whose random numbers it has."""

ALLOTS_EPOCHS: set[str] = set()
"""Names of engines that share out epochs themselves, so that no pruner may end a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """What an engine is made for.

    Attributes
    ----------
    space
        The search space.
    seed
        Different at each start of a study: a sampler that started over would propose its first trials again.
    slots
        Number of trials at the same time.
    folder
        The run's; an engine with a state of its own keeps it in a folder below, made when it is first written.
    higher_is_better
        Direction of the study.
    max_epochs
        Of the space, for engines that share out epochs.
    trials
        Asked for by the study.
    backend
        Of Keras, for engines that import it.
    """

    space: SearchSpace
    seed: int
    slots: int
    folder: Path
    higher_is_better: bool
    max_epochs: int
    trials: int
    backend: str = "tensorflow"


class Engine(Protocol):
    """Proposes configurations by way of the Optuna study, which holds every trial whatever the engine."""

    @property
    def sampler(self) -> BaseSampler:
        """The study's sampler: draws what an enqueued trial leaves open."""
        ...

    @property
    def draws_at_random(self) -> bool:
        """Whether a random configuration may stand in when the engine proposes nothing new."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of it."""
        ...

    def restore(self, study: optuna.Study) -> None:
        """Take up a study, new or resumed; called once, when no trial runs and before any other method."""
        ...

    def prepare(self, study: optuna.Study) -> Readiness:
        """See that the next ``ask`` of the study gives a trial of this engine.

        ``wait`` says that trials in flight must end first, ``exhausted`` that there is no other configuration.
        """
        ...

    def finished(self, trial: FrozenTrial, state: EndState, value: float | None) -> None:
        """Hear how a trial ended. Not called for one that was put back: the repeat carries its user attributes."""
        ...


MakeEngine = Callable[[EngineRequest], Engine]

ENGINES: Registry[MakeEngine] = Registry("engine")
"""Every engine: ``optuna/tpe``, ``keras-tuner/hyperband`` and others."""

DEFAULT_ENGINE = "optuna/tpe"


def engine_name(text: str) -> str:
    """Return the full name of an engine: ``optuna`` is ``optuna/tpe`` and ``gp`` is ``optuna/gp``."""
    if text == "optuna":
        return DEFAULT_ENGINE
    name = text if "/" in text else f"optuna/{text}"
    return name if name in ENGINES else text


def make_engine(name: str, request: EngineRequest) -> Engine:
    """Return the engine `name`; see `engine_name` for the short forms.

    Raises
    ------
    UnknownNameError
        No such engine.
    StudyError
        It needs a package that is not installed.
    """
    return ENGINES[engine_name(name)](request)
