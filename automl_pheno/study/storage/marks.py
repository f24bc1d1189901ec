"""What marks a shared study: attributes of the study and of its trials, and what they say of a trial."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from automl_pheno.study.records import COUNTED, TrialRecord
from automl_pheno.study.storage.book import OUTCOME

RECORD = "automl_pheno:record"
"""System attribute of an ended trial: the line of its record."""

CLAIMED = "automl_pheno:claimed"
"""System attribute of a trial that is, or was, trained."""

BASELINE = "automl_pheno:baseline:"
"""Of the study's system attributes, one a baseline: ``supervisor`` that fits it, then ``record``, its line."""

TEST = "automl_pheno:test"
"""System attribute of the study: ``supervisor`` and ``folder`` that open the test set, then ``result``."""


def is_kept(trial: FrozenTrial) -> bool:
    """Return whether the trial counts towards the number asked for, or will if it ends well; see `SharedBook`."""
    if trial.state == TrialState.RUNNING:
        return CLAIMED in trial.system_attrs
    return trial.state.is_finished() and RECORD in trial.system_attrs and trial.user_attrs.get(OUTCOME) in COUNTED


def state_of(record: TrialRecord | None, trial: FrozenTrial) -> tuple[TrialState, float | None]:
    """Return state and value as ``Study.tell`` would settle them: a pruned trial has its last finite report."""
    if record is not None and record.state == "complete" and record.value is not None:
        return TrialState.COMPLETE, float(record.value)
    if record is not None and record.state in ("pruned", "infeasible"):
        last = trial.intermediate_values[trial.last_step] if trial.last_step is not None else None
        return TrialState.PRUNED, last if last is not None and last == last else None
    return TrialState.FAIL, None
