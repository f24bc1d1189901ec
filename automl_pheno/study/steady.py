"""Time as the search feels it: no clock of the wall, and nothing charged for time in which the search stood still."""

from __future__ import annotations

import threading
import time

LONGEST_GAP = 5.0
"""Seconds charged at most for the time between two ticks in which this process did not run."""

TICK = 1.0


class SteadyClock:
    """Seconds in which this process was able to run; for time limits and time-outs.

    ``time.monotonic`` does not jump with the wall clock, and stands still on Linux while the machine sleeps, but it
    runs on while this process is stopped (SIGSTOP, Ctrl-Z, a frozen container or virtual machine). A thread ticks once
    a second; of a longer gap between two ticks only `LONGEST_GAP` is charged, or the processor time that this process
    used in it, if that is more: then it was at work and only kept the thread from ticking.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._felt = 0.0
        self._last = time.monotonic()
        self._used = time.process_time()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def now(self) -> float:
        """Return seconds since the clock was made."""
        with self._lock:
            now, used = time.monotonic(), time.process_time()
            gap = max(0.0, now - self._last)
            self._felt += gap if gap <= LONGEST_GAP else min(gap, max(LONGEST_GAP, used - self._used))
            self._last, self._used = now, used
            return self._felt

    def start(self) -> None:
        """Tick until `stop`, so that a caller that is busy for long is charged for it."""
        if self._thread is None:
            self._over.clear()
            self._thread = threading.Thread(target=self._tick, name="steady-clock", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop ticking."""
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self.now()
