"""How reports travel from a Dask worker: as events, and those that come close together as one."""

from __future__ import annotations

import threading
import time
from typing import Any

SEND_EVERY = 0.25
"""Seconds between two events of one task at least. Of what a task costs the supervisor, messages are the most."""


class Reports:
    """Sends the reports of one task; a report waits for others up to `SEND_EVERY` seconds after the last event.

    Parameters
    ----------
    worker
        Dask's, in whose thread for tasks the task runs.
    topic
        Of the events.
    task, slot
        Said with every event.
    """

    def __init__(self, worker: Any, topic: str, *, task: str, slot: str) -> None:
        self._worker = worker
        self._topic = topic
        self._head = {"task": task, "slot": slot}
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, float]] = []
        self._sent = -float("inf")

    def add(self, step: int, value: float) -> None:
        """Send a report, soon."""
        with self._lock:
            self._waiting.append((int(step), float(value)))
            wait = self._sent + SEND_EVERY - time.monotonic()
            alone = len(self._waiting) == 1
        if wait <= 0.0:
            self.send()
        elif alone:
            self._worker.loop.add_callback(self._worker.loop.call_later, wait, self.send)

    def send(self, outcome: str = "") -> None:
        """Send what waits now, from any thread; with the outcome of the task as JSON, if it has ended."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if not waiting and not outcome:
                return
            self._sent = time.monotonic()
            end = {"outcome": outcome} if outcome else {}
            self._worker.log_event(self._topic, {**self._head, "reports": waiting, **end})
