"""Which supervisors of a shared study live: each counts in the study, and who stops counting is dead. No clock counts.

A supervisor adds one to its counter every few seconds. Another one takes it for dead once it has seen the counter
unchanged for `LEASE` seconds of its own. No time is written or compared, so clocks may differ and jump. The seconds
are added up from look to look, each gap as at most one beat: a supervisor that slept, or whose whole machine slept,
does not take its own sleep for the silence of others.

To be wrong costs time only: a trial is ended, or taken away, by one transaction that asks whom it belongs to (see
`SharedStorage.settle`), so that a supervisor that comes back finds its trials taken and drops their results.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from automl_pheno.study.storage.database import SharedStorage, StudyRow

LEASE = 60.0
"""Seconds without a sign of life after which a supervisor is given up."""

PREFIX = "automl_pheno:supervisor:"
"""Of the study's system attributes, one a supervisor: ``{"beat": 7, "doing": "searching", "in_process": false}``."""

Doing = Literal["searching", "testing", "ended"]

_BEATS = 6  # a lease


def new_supervisor() -> str:
    """Return an id that no other supervisor has: host, process and a random word."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Leases:
    """The supervisors of a study as this one sees them.

    Parameters
    ----------
    me
        Id of this supervisor.
    lease
        Seconds.
    clock
        Seconds that never go back.
    """

    def __init__(self, me: str, *, lease: float = LEASE, clock: Callable[[], float] = time.monotonic) -> None:
        self._me = me
        self._lease = lease
        self._clock = clock
        self._last: float | None = None
        self._said: dict[str, Mapping[str, Any]] = {}
        self._silent: dict[str, float] = {}

    def look(self, attributes: Mapping[str, Any]) -> None:
        """Take in the study's system attributes, which must be fresh."""
        now = self._clock()
        gap = 0.0 if self._last is None else min(max(now - self._last, 0.0), self._lease / _BEATS)
        self._last = now
        for key, said in attributes.items():
            if not key.startswith(PREFIX):
                continue
            name = key.removeprefix(PREFIX)
            before = self._said.get(name)
            same = before is not None and before["beat"] == said["beat"]
            self._silent[name] = self._silent[name] + gap if same else 0.0
            self._said[name] = said

    def is_alive(self, supervisor: str) -> bool:
        """Return whether it may still be at work; one that never announced itself is not."""
        if supervisor == self._me:
            return True
        said = self._said.get(supervisor)
        return said is not None and said["doing"] != "ended" and self._silent[supervisor] < self._lease

    def is_given_up(self, supervisor: str) -> bool:
        """Return whether it announced itself and is dead now; one that nobody heard of may have begun just now."""
        return supervisor in self._said and not self.is_alive(supervisor)

    def others(self, doing: Doing) -> list[str]:
        """Return the ids of the other living supervisors that do this."""
        return [
            name
            for name, said in self._said.items()
            if name != self._me and said["doing"] == doing and self.is_alive(name)
        ]

    def in_process(self, supervisor: str) -> bool:
        """Return whether its trials ran in its own process, which one of them may have killed."""
        return bool(self._said.get(supervisor, {}).get("in_process"))


class Heart:
    """Beats from a thread of its own, since a trial, a refit or a slow sampler may hold up the supervisor's loop.

    Parameters
    ----------
    storage, study_id
        Where it beats.
    lease
        Seconds; it beats six times as often.
    """

    def __init__(self, storage: SharedStorage, study_id: int, *, lease: float = LEASE) -> None:
        self._storage = storage
        self._study_id = study_id
        self._pause = lease / _BEATS
        self._said: dict[str, Any] = {"beat": 0, "doing": "searching", "in_process": False}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, doing: Doing, *, in_process: bool = False) -> None:
        """Announce this supervisor and go on beating until `end`."""
        self._say(doing=doing, in_process=in_process)
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Say that this supervisor has ended, so that nobody waits for its lease; no error if that cannot be said."""
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join()
        self._thread = None
        with contextlib.suppress(Exception), self._storage.once():
            self._say(doing="ended")

    def _say(self, **changes: Any) -> None:
        with self._lock:
            self._said = {**self._said, **changes, "beat": self._said["beat"] + 1}
            self._storage.set_study_system_attr(self._study_id, f"{PREFIX}{self._storage.supervisor}", self._said)

    def _beat(self) -> None:
        with self._storage.once():
            while not self._stopped.wait(self._pause):
                # A beat that the database did not take is made up for by the next one.
                with contextlib.suppress(Exception):
                    self._say()
        self._storage.remove_session()


def end_of(storage: SharedStorage, study_id: int, supervisor: str) -> None:
    """Say for a supervisor that is known to be dead that it has ended."""

    def change(row: StudyRow) -> None:
        key = f"{PREFIX}{supervisor}"
        if (said := row.get(key)) is not None and said["doing"] != "ended":
            row.set(key, {**said, "doing": "ended"})

    storage.change(study_id, change)
