"""A slot's process dies with its supervisor: loaded by Dask in the nanny of each slot (``preload_nanny``)."""

from __future__ import annotations

import os
import signal
import sys
import threading


def dask_setup(nanny: object) -> None:  # noqa: ARG001 - the name and the argument are Dask's
    """Start watching standard input, whose other end only the supervisor holds."""
    threading.Thread(target=_die_at_end_of_input, name="supervisor-watch", daemon=True).start()


def _die_at_end_of_input() -> None:
    # A supervisor killed by SIGKILL cannot say goodbye, but the kernel closes its end of the pipe at once. The slot
    # leads its own process group (start_new_session), so this takes the worker and all that it started along.
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)
