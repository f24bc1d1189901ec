"""How tasks travel to workers and reports come back: the interface of the ways there are, and where all arrives."""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from automl_pheno.study.slots.executor import Task

Event = tuple[str, Any]
"""What it is, and its content. A wire puts in ``report`` with ``(moment, content)``, where `moment` is by the
scheduler's clock, 0 where it does not matter, and `content` has ``task, slot, reports`` and, of a task that has ended,
``outcome`` as JSON; ``done`` with the name of a task that `Wire.fetch` is to be asked for; and then ``outcome`` with
``(name, outcome)``, or ``error`` with ``(name, exception)``: of Dask's kinds, or whatever the task raised."""


class Wire(Protocol):
    """Takes tasks to the workers of one scheduler. Called from the supervisor's thread alone."""

    def open(self) -> None:
        """Begin to hear; again whenever the connection to the scheduler has been made anew."""
        ...

    def reaches(self, address: str) -> bool:
        """Whether a task can be sent to the worker at `address` now."""
        ...

    def send(self, name: str, task: Task, address: str) -> None:
        """Send a task.

        Raises
        ------
        OSError, RuntimeError, ValueError
            The connection broke.
        """
        ...

    def stop(self, name: str, address: str) -> None:
        """Make the next report of the task its last; without waiting for an answer."""
        ...

    def told(self, name: str) -> None:
        """Hear that the outcome of a task came with its last report."""
        ...

    def fetch(self, name: str) -> None:
        """Have the outcome of a task that is done put in, without waiting for it; unless it was told."""
        ...

    def drop(self, name: str, address: str) -> None:
        """Give a task up."""
        ...

    def close(self) -> None:
        """Give all tasks up, and hear no more."""
        ...


class Inbox:
    """What has come, for the one thread that reads it: from other threads, and from sockets that it watches.

    What came over a socket is handed out first: a process that ends has said its last word before anybody can notice
    its end.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._said: deque[Event] = deque()
        self._noticed: deque[Event] = deque()
        self._ear, self._bell = socket.socketpair()
        for end in (self._ear, self._bell):
            end.settimeout(0.0)
        self._selector.register(self._ear, selectors.EVENT_READ, self._wake)

    def put(self, what: str, content: Any) -> None:
        """Put in what another thread noticed; from any thread."""
        self._noticed.append((what, content))
        with contextlib.suppress(OSError):  # full of rings: it is awake; or closed
            self._bell.send(b"\0")

    def say(self, what: str, content: Any) -> None:
        """Put in what came over a watched socket."""
        self._said.append((what, content))

    def watch(self, line: socket.socket, ready: Callable[[], None], *, writing: bool = False) -> None:
        """Call `ready` whenever the socket can be read or, with `writing`, written; in the reader's thread."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if line in self._selector.get_map():
            self._selector.modify(line, mask, ready)
        else:
            self._selector.register(line, mask, ready)

    def forget(self, line: socket.socket) -> None:
        """Watch this socket no more."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(line)

    def pump(self, timeout: float = 0.0) -> None:
        """Take in what sockets have, after waiting for up to `timeout` s if none has anything."""
        for key, _ in self._selector.select(timeout):
            key.data()

    def get(self, timeout: float) -> Event:
        """Return the next event, after waiting for up to `timeout` s.

        Raises
        ------
        queue.Empty
            There is none.
        """
        self.pump(0.0 if self._said or self._noticed else timeout)
        for events in (self._said, self._noticed):
            if events:
                return events.popleft()
        raise queue.Empty

    def close(self) -> None:
        """Release the sockets of its own."""
        self._selector.close()
        self._ear.close()
        self._bell.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass
