"""A worker's end of `lines`: loaded by Dask in each slot's process (``preload``), runs its tasks one after another."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback
from collections import deque
from functools import partial
from typing import Any

from automl_pheno.study.slots.lines import LINE, PIECE, TOKEN, Splitter, as_line
from automl_pheno.study.slots.reports import Reports
from automl_pheno.study.slots.worker import own_process, perform, slot_name


async def dask_setup(worker: Any) -> None:
    """Call the supervisor; called once the worker has its address."""
    own_process()
    threading.Thread(target=_live, args=(worker,), name="tasks", daemon=True).start()


def _live(worker: Any) -> None:
    """Serve until the supervisor says that it is over. A process that cannot be reached is of no use: it ends."""
    try:
        if _serve(worker):
            return
    except BaseException:  # noqa: BLE001 - whatever it was, the log of the slot says it
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


class Line:
    """A connection to the supervisor.

    Parameters
    ----------
    address
        ``host:port``.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writing = threading.Lock()
        self._incoming = Splitter()
        self._tasks: deque[dict[str, Any]] = deque()
        self._stopped: set[str] = set()
        self._gone = False
        self.is_over = False
        """Whether the supervisor said so before it hung up."""

    def say(self, content: dict[str, Any]) -> None:
        """Send one object, from any thread; a supervisor that has gone hears nothing."""
        try:
            with self._writing:
                self._socket.sendall(as_line(content))
        except OSError:
            self._gone = True

    def next(self) -> dict[str, Any] | None:
        """Wait for the next task; None when the supervisor has gone."""
        while not self._tasks and not self._gone:
            self._read(0)
        return self._tasks.popleft() if self._tasks and not self._gone else None

    def is_stopped(self, name: str) -> bool:
        """Return whether nobody wants the task any more."""
        while not self._gone and self._read(socket.MSG_DONTWAIT):
            pass
        return self._gone or name in self._stopped

    def ended(self, name: str) -> None:
        """Forget a task."""
        self._stopped.discard(name)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _read(self, flags: int) -> bool:
        """Take in what has come; False if nothing has and the flags say not to wait for it."""
        try:
            piece = self._socket.recv(PIECE, flags)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        if not piece:
            self._gone = True
            return True
        for content in self._incoming.split(piece):
            if "run" in content:
                self._tasks.append(content["run"])
            elif "stop" in content:
                self._stopped.add(content["stop"])
            else:
                self._gone = self.is_over = True
        return True


def _serve(worker: Any) -> bool:
    """Run tasks until the supervisor has gone; True if it said so."""
    line = Line(os.environ[LINE])
    line.say({"worker": worker.address, "token": os.environ[TOKEN]})
    slot = slot_name()
    while (task := line.next()) is not None:
        name = str(task["id"])
        reports = Reports(line.say, worker.loop, task=name, slot=slot)
        told = _failed("it ended its slot's thread")
        try:
            outcome = perform(task, reports, partial(line.is_stopped, name), _memory(worker))
            told = json.dumps(outcome)
        except (TypeError, ValueError) as error:
            told = _failed(f"its outcome is not plain data: {error}")
        except BaseException as error:  # noqa: BLE001 - such as SystemExit: the slot must go on
            told = _failed(f"{type(error).__name__}: {error}")
        finally:
            reports.send(told)
            line.ended(name)
    line.close()
    return line.is_over


def _failed(reason: str) -> str:
    return json.dumps({"state": "failed", "reason": reason})


def _memory(worker: Any) -> int | None:
    limit: int | None = worker.memory_manager.memory_limit
    return limit
