"""What follows from how a task ended: kept, put back, tried again with a smaller batch, or the end of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from automl_pheno.study.records import TrialRecord
from automl_pheno.study.running import BATCH_DIVISOR, INTERRUPTED, Running
from automl_pheno.study.slots.executor import Outcome
from automl_pheno.study.slots.symptoms import DEVICE, DISK, GONE, MEMORY

MAX_CONSECUTIVE_FAILURES = 5
"""So many trials in a row that fail with an error nobody foresaw end the study: the fault is not theirs."""

MAX_CONSECUTIVE_KNOWN = 20
"""So many in a row that fail in any way, out of memory or with a loss that is not a number, end it as well."""

Action = Literal["record", "put back", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done with a task that ended.

    Attributes
    ----------
    action
        ``record`` its outcome, ``put back`` the trial, or put it back and ``stop`` the study.
    reason
        Why.
    killed
        Whether a process died of it.
    attributes
        User attributes of the repeat.
    """

    action: Action
    reason: str = ""
    killed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)


def judge(running: Running, outcome: Outcome) -> Verdict:
    """Return what is to be done with a task that ended with `outcome`."""
    state, fault = str(outcome["state"]), outcome.get("fault")
    reason = str(outcome.get("reason") or "")
    smaller = {BATCH_DIVISOR: 2} if fault == MEMORY and _can_be_smaller(running) else {}
    if state == "lost" and not running.killed:
        return Verdict(action="put back", reason=reason, killed=fault != GONE, attributes=smaller)
    if running.stopped == INTERRUPTED and state != "complete":
        return Verdict(action="put back", reason=INTERRUPTED)
    if fault == DISK:
        return Verdict(action="stop", reason=reason)
    if smaller:
        return Verdict(action="put back", reason=reason, attributes=smaller)
    if fault == DEVICE:  # elsewhere; twice is enough
        return Verdict(action="put back", reason=reason, killed=True)
    return Verdict(action="record")


def with_smaller_batch(config: Mapping[str, Any], divisor: int) -> dict[str, Any]:
    """Return the model configuration with its batch size divided, at least 1."""
    fit = dict(config["fit"])
    fit["batch_size"] = max(1, int(fit["batch_size"]) // divisor)
    return {**config, "fit": fit}


def hopeless(failures: Sequence[TrialRecord]) -> str:
    """Return why the study is to be given up after these failures in a row; "" if it is not.

    An error that nobody foresaw has a traceback: five of these in a row are a fault of the data, the installation or
    the program. Trials that run out of memory, give no number or take too long may be what the space is like, and are
    given more.
    """
    unforeseen = [record for record in failures if record.traceback]
    if len(unforeseen) >= MAX_CONSECUTIVE_FAILURES or len(failures) >= MAX_CONSECUTIVE_KNOWN:
        last = unforeseen[-1] if unforeseen else failures[-1]
        return (
            f"{len(failures)} trials failed in a row, so the search was given up; the last one ({last.name}): "
            f"{last.reason}" + (f"\n{last.traceback}" if last.traceback else "")
        )
    return ""


def _can_be_smaller(running: Running) -> bool:
    if running.trial is None or BATCH_DIVISOR in running.attributes:
        return False
    config = running.task["candidate"].get("config", {})
    return int(config.get("fit", {}).get("batch_size", 2)) > 1
