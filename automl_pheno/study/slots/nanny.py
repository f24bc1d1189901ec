"""What watches a slot from within: loaded by Dask in the nanny of each slot (``preload_nanny``).

A slot dies with its supervisor, dies where it cannot start its process any more, and says of what its process died.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

DEATHS = "automl-pheno-deaths"
"""Topic of events: ``worker`` (address), ``rss`` (bytes, the last that were seen) and ``memory`` (whether it died of
the memory it took)."""

NEAR_LIMIT = 0.8
"""Part of its limit beyond which a process that was killed is taken to have died of its memory."""

LOOK_EVERY = 0.2
WITHOUT_PROCESS = 120.0
"""Seconds after which a nanny that could not start its process ends, so that the slot is started anew."""


def dask_setup(nanny: Any) -> None:
    """Start watching."""
    threading.Thread(target=_die_at_end_of_input, name="supervisor-watch", daemon=True).start()
    threading.Thread(target=_watch_process, args=(nanny,), name="process-watch", daemon=True).start()


def _die_at_end_of_input() -> None:
    # A supervisor killed by SIGKILL cannot say goodbye, but the kernel closes its end of the pipe at once. The slot
    # leads its own process group (start_new_session), so this takes the worker and all that it started along.
    while sys.stdin.buffer.read(1):
        pass
    _die()


def _die() -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _watch_process(nanny: Any) -> None:
    """Say of what each process died, since the exit code does not tell the kernel's OOM killer from other kills."""
    import psutil

    address, pid, rss, kills, missing = "", None, 0, _oom_kills(), 0.0
    while nanny.status.name != "closed":
        time.sleep(LOOK_EVERY)
        alive = nanny.pid
        if pid is not None and alive != pid:
            died_of_memory = _oom_kills() > kills or rss > NEAR_LIMIT * (
                nanny.memory_manager.memory_limit or float("inf")
            )
            nanny.loop.add_callback(
                nanny.log_event, DEATHS, {"worker": address, "rss": rss, "memory": bool(died_of_memory)}
            )
            pid, rss = None, 0
        if alive is None:
            missing += LOOK_EVERY
            if missing > WITHOUT_PROCESS and nanny.status.name in ("running", "failed"):
                _die()
            continue
        missing = 0.0
        if pid is None:
            kills = _oom_kills()
        pid, address = alive, nanny.worker_address or address
        try:
            rss = psutil.Process(alive).memory_info().rss
        except psutil.Error:
            continue


def _oom_kills() -> int:
    """Return how often the kernel has ended a process of this control group for its memory; 0 where it does not say."""
    try:
        group = Path("/proc/self/cgroup").read_text().splitlines()[-1].rpartition(":")[2].strip()
        lines = Path(f"/sys/fs/cgroup{group}/memory.events").read_text().splitlines()
    except (OSError, IndexError):
        lines = []
    try:
        lines += Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), default=0)
