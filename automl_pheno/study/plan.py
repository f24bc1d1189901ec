"""What the supervisor needs to know of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_pheno.space.tree import SearchSpace
from automl_pheno.study.proposals import CheckSize, EstimateMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to search.

    Attributes
    ----------
    space
        The search space.
    check
        See `CheckSize`.
    metric, higher_is_better
        The validation metric.
    trials
        Networks to finish: complete, pruned and failed ones together.
    baselines
        Names of the baselines to fit.
    curation
        What every candidate, network or baseline, does to its training rows first; empty: nothing.
    seed
        Of the study.
    common
        What every task carries: ``function``, folder, trait ...
    time_limit, trial_timeout
        Seconds, or None.
    max_weights
        Larger networks are infeasible.
    memory, max_memory
        See `EstimateMemory`; networks whose training needs more bytes are infeasible.
    values_of_folds
        True if the pruner wants the value of each fold instead of the running mean.
    in_process
        True if trials run in the supervisor's own process, which one of them may have killed.
    after_record
        Called after each record, with the leaderboard on disk.
    stop_grace
        Seconds that a task has to end by itself once told to.
    then
        Tasks that follow the search, for which slots are kept.
    """

    space: SearchSpace
    check: CheckSize
    metric: str
    higher_is_better: bool
    trials: int
    seed: int
    common: Mapping[str, Any]
    baselines: tuple[str, ...] = ()
    curation: Mapping[str, Any] = field(default_factory=dict)
    time_limit: float | None = None
    trial_timeout: float | None = None
    max_weights: int | None = None
    memory: EstimateMemory | None = None
    max_memory: int | None = None
    values_of_folds: bool = False
    in_process: bool = False
    after_record: Callable[[], None] = lambda: None
    stop_grace: float = 60.0
    then: int = 0
