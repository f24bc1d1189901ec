"""How reports leave a slot: those that come close together as one message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

SEND_EVERY = 0.25
"""Seconds between two messages of one task at least. Of what a task costs the supervisor, messages are the most."""
GATHER = 0.02
"""Seconds that a report waits in any case: with the last one the outcome comes."""


class Reports:
    """Sends the reports of one task; a report waits for others up to `SEND_EVERY` seconds after the last message.

    Parameters
    ----------
    send
        Sends one message; called from any thread.
    loop
        Of Dask's worker: sends what has waited, while the task works.
    task, slot
        Said with every message.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Any], loop: Any, *, task: str, slot: str) -> None:
        self._send = send
        self._loop = loop
        self._head = {"task": task, "slot": slot}
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, float]] = []
        self._sent = time.monotonic()

    def add(self, step: int, value: float) -> None:
        """Send a report, soon."""
        with self._lock:
            self._waiting.append((int(step), float(value)))
            alone = len(self._waiting) == 1
        if alone:
            wait = max(GATHER, self._sent + SEND_EVERY - time.monotonic())
            self._loop.add_callback(self._loop.call_later, wait, self.send)

    def send(self, outcome: str = "") -> None:
        """Send what waits now, from any thread; with the outcome of the task as JSON, if it has ended."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if not waiting and not outcome:
                return
            self._sent = time.monotonic()
            end = {"outcome": outcome} if outcome else {}
            self._send({**self._head, "reports": waiting, **end})
