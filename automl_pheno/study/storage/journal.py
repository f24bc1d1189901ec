"""The Optuna study of a run: one journal file, repaired when torn, and the trials that a dead supervisor left."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.study._tell import _tell_with_warning
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.errors import StudyError
from automl_pheno.files import writing
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.running import INTERRUPTED
from automl_pheno.study.storage.backend import open_journal
from automl_pheno.study.storage.quiet import quiet_optuna

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

Direction = Literal["maximize", "minimize"]

MAX_KILLS = 2
"""A configuration whose process died this often is not tried again: it is the configuration that kills."""

MAX_LOSSES = 20
"""A trial that so often lost its slot without being blamed is not tried again: it may outlast whatever it is given."""

KILLS = "kills"
LOSSES = "losses"
REASON = "reason"
FIXED_PARAMS = "fixed_params"  # Optuna's own name for the values of an enqueued trial

_OF_THE_END = ("outcome", REASON, "weights", "epochs", "best_epoch", "seconds", "device", "supervisor", "settled_by")
"""User attributes that say how a trial ended; a repeat inherits the others."""


def open_study(
    path: Path,
    name: str,
    direction: Direction,
    *,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> optuna.Study:
    """Return the study `name` of the journal file at `path`, made if need be. Call it with the run's lock held.

    Raises
    ------
    StudyError
        The journal is damaged in another place than its last line, or cannot be written.
    """
    repair_journal(path)
    # The lock of a killed process would make Optuna wait for 30 s; the run's own lock says that nobody else writes.
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    try:
        with quiet_optuna(), writing(path):
            storage = open_journal(path)
            return optuna.create_study(
                storage=storage,
                study_name=name,
                direction=direction,
                load_if_exists=True,
                sampler=sampler,
                pruner=pruner,
            )
    except (ValueError, KeyError) as error:
        msg = f"{path}: the journal is damaged ({error}); move it away to start the search anew"
        raise StudyError(msg) from error


def repair_journal(path: Path) -> bool:
    """Cut off a last line that a killed process left half-written; True if there was one.

    Optuna would write on into that line and lose what it writes. What the line would have said `reap` makes up for.
    """
    if not path.exists():
        return False
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end == len(content) and _is_json(content[content.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end]):
        return False
    if end == len(content):  # a whole line that is no JSON: the tail of a torn write
        end = content.rfind(b"\n", 0, end - 1) + 1
    with writing(path), path.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    return True


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line or b"null")
    except ValueError:
        return False
    return True


def reap(study: optuna.Study, records: Mapping[int, TrialRecord], *, killed: bool) -> list[tuple[FrozenTrial, str]]:
    """Settle each trial that is still running although no supervisor lives.

    One with a record was finished, only Optuna was not told: it is told now. Any other was in flight and goes back
    into the queue. Left alone, such zombies would mislead the constant liar of TPE for ever.

    Parameters
    ----------
    study
        Opened by `open_study`.
    records
        Trial number -> record.
    killed
        True where the trial ran in the supervisor's own process and may have been what killed it.

    Returns
    -------
    list
        The trials that were put back too often and are to be recorded as failed, with the reason.
    """
    beyond = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if (record := records.get(trial.number)) is not None:
            tell_record(study, trial.number, record)
        elif (reason := put_back(study, trial, reason="the supervisor died", killed=killed)) is not None:
            beyond.append((trial, reason))
    return beyond


def put_back(
    study: optuna.Study,
    trial: FrozenTrial,
    *,
    reason: str,
    killed: bool,
    attributes: Mapping[str, Any] | None = None,
) -> str | None:
    """End a running trial as FAIL and put its parameters back into the queue.

    The new trial carries ``failed_trial`` and ``retry_history`` as Optuna's own retry callback writes them.

    Parameters
    ----------
    study, trial
        The study and a trial that is running there.
    reason
        For the trial's attribute of that name.
    killed
        True if the process died that ran it; see `count_loss` for when it is not put back.
    attributes
        User attributes of the new trial, beside those that it inherits.

    Returns
    -------
    str or None
        The reason for which it was not put back, or None. Its state in the study is settled either way.
    """
    counts, beyond = count_loss(trial.user_attrs, reason=reason, killed=killed)
    _set_attr(study, trial, REASON, reason)
    if beyond is not None:
        study.tell(trial.number, state=TrialState.FAIL)
        return beyond
    if (repeat := make_repeat(trial, {**(attributes or {}), **counts})) is not None:
        study.add_trial(repeat)
    # Last, so that a process killed between the two leaves the trial twice rather than not at all: the second one is
    # then recognised as a duplicate.
    study.tell(trial.number, state=TrialState.FAIL)
    return None


def count_loss(attributes: Mapping[str, Any], *, reason: str, killed: bool) -> tuple[dict[str, int], str | None]:
    """Count once more that something was lost while it ran.

    Parameters
    ----------
    attributes
        Hold the counts so far, `KILLS` and `LOSSES`.
    reason
        Of the loss; to be interrupted is none.
    killed
        Whether a process died of it.

    Returns
    -------
    dict, str or None
        The counts now, and why it is not to be tried again after `MAX_KILLS` or `MAX_LOSSES` of them.
    """
    kills = int(attributes.get(KILLS, 0)) + int(killed)
    losses = int(attributes.get(LOSSES, 0)) + int(not killed and reason != INTERRUPTED)
    counts = {name: count for name, count in ((KILLS, kills), (LOSSES, losses)) if count}
    if kills >= MAX_KILLS:
        return counts, f"killed {kills} workers ({reason})"
    if losses >= MAX_LOSSES:
        return counts, f"lost its slot {losses} times ({reason})"
    return counts, None


def make_repeat(trial: FrozenTrial, attributes: Mapping[str, Any] | None = None) -> FrozenTrial | None:
    """Return the waiting trial that repeats this one; None if nothing was drawn or enqueued of it yet.

    Parameters
    ----------
    trial
        Running, or ended without a result.
    attributes
        User attributes of the repeat, beside those that it inherits.
    """
    fixed = trial.system_attrs.get(FIXED_PARAMS)
    if not trial.params and not fixed:
        return None
    system_attrs: dict[str, Any] = {
        "failed_trial": trial.system_attrs.get("failed_trial", trial.number),
        "retry_history": [*trial.system_attrs.get("retry_history", []), trial.number],
        # What was not drawn yet of an enqueued trial when it broke off is still to be what was enqueued.
        FIXED_PARAMS: {**(fixed or {}), **trial.params},
    }
    user_attrs = {
        key: value for key, value in trial.user_attrs.items() if key not in _OF_THE_END and not key.startswith("val_")
    }
    user_attrs |= attributes or {}
    return optuna.create_trial(state=TrialState.WAITING, user_attrs=user_attrs, system_attrs=system_attrs)


def retry_history(trial: FrozenTrial) -> tuple[int, ...]:
    """Return the numbers of the earlier trials that this one repeats."""
    return tuple(trial.system_attrs.get("retry_history", ()))


def tell_record(study: optuna.Study, number: int, record: TrialRecord) -> None:
    """Tell Optuna how a trial ended, unless it knows."""
    # What `Study.tell` calls, which returns a deep copy of the trial on top: a tenth of what a trial costs.
    if record.state == "complete" and record.value is not None:
        _tell_with_warning(study, number, record.value, skip_if_finished=True)
    elif record.state in ("pruned", "infeasible"):
        _tell_with_warning(study, number, state=TrialState.PRUNED, skip_if_finished=True)
    else:
        _tell_with_warning(study, number, state=TrialState.FAIL, skip_if_finished=True)


def _set_attr(study: optuna.Study, trial: FrozenTrial, key: str, value: Any) -> None:
    study._storage.set_trial_user_attr(trial._trial_id, key, value)
