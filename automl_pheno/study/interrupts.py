"""Ctrl-C, SIGTERM and a closed terminal: the first is a wish to end cleanly, the second ends at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def on_interrupt(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt` at the first SIGINT, SIGTERM or SIGHUP within the block; the second raises `KeyboardInterrupt`.

    SIGHUP says that the terminal was closed: what is written to it from then on goes nowhere instead of failing. It
    stays ignored where it is (``nohup``). Outside the main thread, where Python delivers no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    terminals = _terminals()

    def first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
        for each in heard:
            signal.signal(each, signal.default_int_handler)
        if number not in (signal.SIGINT, signal.SIGTERM):
            # A shell that goes tells its jobs twice, and so may the kernel: that is not the second wish.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _leave(terminals)
        interrupt()

    before = {number: signal.signal(number, first) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminals() -> list[int]:
    """Return the descriptors of the output streams that go to a terminal; one that was closed cannot be told."""
    found = []
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if os.isatty(stream.fileno()):
                found.append(stream.fileno())
    return found


def _leave(terminals: list[int]) -> None:
    """Send what goes to a terminal nowhere: writing to one that is gone fails."""
    for descriptor in terminals:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
