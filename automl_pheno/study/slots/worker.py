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

TOPIC = "automl-pheno"
EVALUATE = "automl_pheno.study.evaluate:evaluate"
REFIT = "automl_pheno.study.evaluate:refit"

GROWTH_LIMIT = 1.5 * 2**30
"""Bytes by which a process may grow over its first trial before the supervisor starts it anew: TensorFlow and XLA
keep compiled functions for ever (tensorflow issue 64170)."""

Report = Callable[[int, float], bool]
"""``report(step, value) -> stop?``"""

_stopped: set[str] = set()
_rss_after_first: list[int] = []


def run_task(task: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run ``task["function"]``, a ``module:name``, and turn whatever happens into an outcome.

    Parameters
    ----------
    task
        Plain data; the function gets it whole.
    report
        ``report(step, value) -> stop?``.

    Returns
    -------
    dict
        What the function returned (``state``: complete or pruned), or ``state`` failed or infeasible with
        ``reason`` and ``traceback``; always with ``seconds, host, pid, rss, recycle``.
    """
    started = time.monotonic()
    recycle = False
    try:
        outcome = dict(_resolve(str(task["function"]))(task, report))
    except InfeasibleError as error:
        outcome = {"state": "infeasible", "reason": str(error)}
    except TrainingError as error:
        outcome = {"state": "failed", "reason": str(error)}
    except AutoMLPhenoError as error:
        outcome = {"state": "failed", "reason": str(error), "traceback": traceback.format_exc()}
    except Exception as error:  # noqa: BLE001 - a trial must never take the study down
        outcome = {"state": "failed", "reason": _one_line(error), "traceback": traceback.format_exc()}
        recycle = isinstance(error, MemoryError) or type(error).__name__ in ("ResourceExhaustedError", "InternalError")
    rss = _clean_up()
    if not _rss_after_first:
        _rss_after_first.append(rss)
    outcome.setdefault("seconds", time.monotonic() - started)
    outcome.update(
        host=socket.gethostname(), pid=os.getpid(), rss=rss, recycle=recycle or rss - _rss_after_first[0] > GROWTH_LIMIT
    )
    return outcome


def run_on_dask(task: dict[str, Any]) -> dict[str, Any]:
    """Run a task inside a Dask worker; reports travel as events of the topic `TOPIC`."""
    from distributed import get_worker

    worker = get_worker()
    name = str(task["id"])
    slot = f"{socket.gethostname()}:{os.getpid()}"

    def report(step: int, value: float) -> bool:
        worker.log_event(TOPIC, {"task": name, "step": int(step), "value": float(value), "slot": slot})
        return name in _stopped

    report(0, float("nan"))
    try:
        return run_task(task, report)
    finally:
        _stopped.discard(name)


async def stop_task(name: str) -> None:
    """Make the next report of the task `name` in this process return True."""
    # A coroutine, because Dask sends only coroutines to a worker without waiting for the answer.
    _stopped.add(name)


def _resolve(function: str) -> Callable[[dict[str, Any], Report], dict[str, Any]]:
    module, _, name = function.partition(":")
    found: Callable[[dict[str, Any], Report], dict[str, Any]] = getattr(importlib.import_module(module), name)
    return found


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _clean_up() -> int:
    """Forget the last network and return the memory in use, in bytes."""
    if (keras := sys.modules.get("keras")) is not None:
        keras.utils.clear_session(free_memory=False)
    gc.collect()
    import psutil

    return int(psutil.Process().memory_info().rss)
