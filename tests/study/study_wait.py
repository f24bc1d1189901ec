"""Waiting for other processes."""

from __future__ import annotations

import time


def wait_for(condition, seconds=60.0):
    """Return the first true value of ``condition()``; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return result
