"""What follows from how a task ended: kept, put back, tried again with a smaller batch, or the end of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from automl_pheno.study.running import INTERRUPTED, Running
from automl_pheno.study.slots.executor import Outcome

BATCH_DIVISOR = "batch_divisor"
"""User attribute of a trial: its batch is so many times smaller than its parameters say."""

MEMORY = "memory"
DISK = "disk"
GONE = "gone"
"""Values of ``outcome["fault"]``: out of memory (host or GPU); the disk is full; a worker that left in good order or
cannot be reached, for which its trial is not to blame."""

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
    if state == "lost" and not running.killed:
        return Verdict(action="put back", reason=reason, killed=fault != GONE)
    if running.stopped == INTERRUPTED and state != "complete":
        return Verdict(action="put back", reason=INTERRUPTED)
    if fault == DISK:
        return Verdict(action="stop", reason=reason)
    if fault == MEMORY and running.trial is not None and BATCH_DIVISOR not in running.attributes:
        return Verdict(action="put back", reason=reason, attributes={BATCH_DIVISOR: 2})
    return Verdict(action="record")


def with_smaller_batch(config: Mapping[str, Any], divisor: int) -> dict[str, Any]:
    """Return the model configuration with its batch size divided, at least 1."""
    fit = dict(config["fit"])
    fit["batch_size"] = max(1, int(fit["batch_size"]) // divisor)
    return {**config, "fit": fit}
