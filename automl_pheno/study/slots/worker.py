"""What a slot runs: one task, plain data in and plain data out. Knows neither Optuna nor the run's storage."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from automl_pheno.errors import AutoMLPhenoError, InfeasibleError, TrainingError
from automl_pheno.study.slots.device import device_name, planned_device
from automl_pheno.study.slots.reports import Reports
from automl_pheno.study.slots.symptoms import FRESH_PROCESS, fault_of

EVALUATE = "automl_pheno.study.evaluate:evaluate"
REFIT = "automl_pheno.study.evaluate:refit"

GROWTH_LIMIT = 1.5 * 2**30
"""Bytes by which a process may grow over its first trial before the supervisor starts it anew: TensorFlow and XLA
keep compiled functions for ever (tensorflow issue 64170)."""
GROWN = 0.6
"""Part of the slot's memory beyond which a process is started anew as well, so that the next trial has room."""
LEAST_GROWTH = 0.25 * 2**30
"""Bytes that are left to any process, as a new one would soon have grown as much."""

Report = Callable[[int, float], bool]
"""``report(step, value) -> stop?``"""

_rss_after_first: dict[bool, int] = {}
"""Whether Keras is loaded -> memory after the first task since then; a baseline needs no Keras."""
_is_ours = False
_settled: set[bool] = set()
"""Whether Keras was loaded when what is alive in this process was taken out of the garbage collector's sight."""


def run_task(task: dict[str, Any], report: Report, memory: int | None = None) -> dict[str, Any]:
    """Run ``task["function"]``, a ``module:name``, and turn whatever happens into an outcome.

    Parameters
    ----------
    task
        Plain data; the function gets it whole.
    report
        ``report(step, value) -> stop?``.
    memory
        Bytes that the slot has; None if there is no limit.

    Returns
    -------
    dict
        What the function returned (``state``: complete or pruned), or ``state`` failed or infeasible with
        ``reason``, ``traceback`` where nobody foresaw it, and ``fault`` where `symptoms.fault_of` knows one; always
        with ``seconds, reports, host, pid, rss, device, recycle``.
    """
    started = time.monotonic()
    said: list[tuple[int, float]] = []

    def hear(step: int, value: float) -> bool:
        said.append((int(step), float(value)))
        return report(step, value)

    try:
        outcome = dict(_resolve(str(task["function"]))(task, hear))
    except InfeasibleError as error:
        outcome = {"state": "infeasible", "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - a trial must never take the study down
        outcome = _failed(error)
    rss = _clean_up()
    first = _rss_after_first.setdefault("keras" in sys.modules, rss)
    outcome.setdefault("seconds", time.monotonic() - started)
    outcome["reports"] = said
    outcome["device"] = device_name(task)
    recycle = outcome.get("fault") in FRESH_PROCESS or rss - first > allowed_growth(first, memory)
    outcome.update(host=socket.gethostname(), pid=os.getpid(), rss=rss, recycle=recycle)
    return outcome


def allowed_growth(first: int, memory: int | None) -> float:
    """Return the bytes by which a process may grow that had `first` bytes after its first task.

    Parameters
    ----------
    first
        Bytes.
    memory
        Bytes that the slot has; None if there is no limit.
    """
    return GROWTH_LIMIT if memory is None else min(GROWTH_LIMIT, max(LEAST_GROWTH, GROWN * memory - first))


def _failed(error: Exception) -> dict[str, Any]:
    """Return the outcome of a task that raised; its traceback only where it helps."""
    fault = fault_of(error)
    outcome: dict[str, Any] = {"state": "failed", "reason": _one_line(error)}
    if fault is not None:
        outcome["fault"] = fault
    elif not isinstance(error, TrainingError):
        outcome["traceback"] = traceback.format_exc()
    return outcome


def perform(
    task: dict[str, Any], reports: Reports, is_stopped: Callable[[], bool], memory: int | None
) -> dict[str, Any]:
    """Run a task in a worker and send its reports; its outcome is for the caller to send.

    Parameters
    ----------
    task, memory
        See `run_task`.
    reports
        Of this task.
    is_stopped
        Asked at each report: whether it is to be the last.
    """

    def report(step: int, value: float) -> bool:
        reports.add(step, value)
        return is_stopped()

    report(0, float("nan"))
    outcome = run_task(task, report, memory)
    if _is_ours and (loaded := "keras" in sys.modules) not in _settled:
        # Modules and their objects stay: 0.2 s of each later collection, one after every trial, would go into them.
        _settled.add(loaded)
        gc.freeze()
    return outcome


def own_process() -> None:
    """Say that nobody else works in this process, as of the slots that the supervisor or its batch system starts."""
    global _is_ours
    _is_ours = True


def slot_name() -> str:
    """Return ``host:pid`` of this process and the GPU that it was given."""
    return f"{socket.gethostname()}:{os.getpid()} {planned_device()}".rstrip()


def _resolve(function: str) -> Callable[[dict[str, Any], Report], dict[str, Any]]:
    module, _, name = function.partition(":")
    found: Callable[[dict[str, Any], Report], dict[str, Any]] = getattr(importlib.import_module(module), name)
    return found


def _one_line(error: BaseException) -> str:
    if isinstance(error, AutoMLPhenoError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _clean_up() -> int:
    """Forget the last network and return the memory in use, in bytes."""
    if (keras := sys.modules.get("keras")) is not None:
        policy = keras.config.dtype_policy()  # of the program that searches in its own process
        keras.utils.clear_session(free_memory=False)
        keras.config.set_dtype_policy(policy)
    gc.collect()
    import psutil

    return int(psutil.Process().memory_info().rss)
