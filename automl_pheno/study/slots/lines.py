"""Tasks over a connection to each worker's process on this machine, without a scheduler between.

Of what a task cost the supervisor, Dask's graph and its messages by way of the scheduler were more than half (see
`benchmarks/overhead.py`). Dask still starts these workers, watches them and starts them anew; only the tasks and their
reports take this way: JSON, one object a line.

From the worker: once ``{"worker": address, "token": ...}``, then what `wires.Event` says of reports. To the worker:
``{"run": task}``, ``{"stop": name}`` and, as the last, ``{"over": true}``.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from automl_pheno.study.slots.executor import Task
from automl_pheno.study.slots.wires import Inbox

HOST = "127.0.0.1"
LINE, TOKEN = "AUTOML_PHENO_LINE", "AUTOML_PHENO_LINE_TOKEN"
"""Environment variables of a worker: ``host:port`` of its supervisor, and what proves that it may call there."""

NO_MOMENT = 0.0
"""Of a report: how long a process was silent says nothing where it dies or does not (`arrivals.Arrivals.judge`)."""
LONGEST_HELLO = 4096
"""Bytes after which a caller that has not said who it is, is none of ours."""
PIECE = 2**18


def as_line(content: Any) -> bytes:
    """Return what goes over a line for one object.

    Raises
    ------
    TypeError, ValueError
        The object is not plain data.
    """
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


@dataclass(slots=True)
class Splitter:
    """Makes objects of the bytes that come in pieces."""

    rest: bytearray = field(default_factory=bytearray)

    def split(self, piece: bytes) -> Iterator[Any]:
        """Yield the objects that are whole now; the rest is kept for the next piece."""
        start = len(self.rest)
        self.rest += piece
        if b"\n" not in piece:
            return
        end = self.rest.rindex(b"\n", start) + 1
        whole, self.rest = self.rest[:end], self.rest[end:]
        for line in whole.splitlines():
            yield json.loads(line)


@dataclass(slots=True)
class _Line:
    socket: socket.socket
    worker: str = ""
    """Address of the worker; "" until it has said who it is."""
    incoming: Splitter = field(default_factory=Splitter)
    outgoing: bytearray = field(default_factory=bytearray)
    waits: bool = False
    """Whether what is outgoing waits for the worker to read."""


class LineWire:
    """See `wires.Wire`. Listens on this machine only.

    Parameters
    ----------
    inbox
        Where reports are put; it watches the sockets.
    listener, environment
        What `listen` returned; the workers were started with these variables.
    """

    def __init__(self, inbox: Inbox, listener: socket.socket, environment: dict[str, str]) -> None:
        self._inbox = inbox
        self._listener = listener
        self._token = environment[TOKEN]
        self._lines: dict[str, _Line] = {}
        self._callers: list[_Line] = []
        listener.settimeout(0.0)
        inbox.watch(listener, self._accept)

    def open(self) -> None:
        """See `Wire.open`: it hears from the start."""

    def reaches(self, address: str) -> bool:
        """See `Wire.reaches`."""
        return address in self._lines

    def send(self, name: str, task: Task, address: str) -> None:  # noqa: ARG002 - the task has its name
        """See `Wire.send`."""
        if (line := self._lines.get(address)) is None:
            msg = f"{address} has gone"
            raise ConnectionError(msg)
        self._say(line, {"run": task})

    def stop(self, name: str, address: str) -> None:
        """See `Wire.stop`."""
        if (line := self._lines.get(address)) is not None:
            self._say(line, {"stop": name})

    def told(self, name: str) -> None:
        """See `Wire.told`: there is nothing else to wait for."""

    def fetch(self, name: str) -> None:
        """See `Wire.fetch`: every outcome comes with a report."""

    def drop(self, name: str, address: str) -> None:
        """See `Wire.drop`."""
        self.stop(name, address)

    def close(self) -> None:
        """See `Wire.close`."""
        for line in [*self._lines.values(), *self._callers]:
            self._say(line, {"over": True})
            self._hang_up(line)
        self._inbox.forget(self._listener)
        self._listener.close()

    # ----------------------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it hung up at once, or there is no descriptor left: it calls again
            caller, _ = self._listener.accept()
            caller.settimeout(0.0)
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = _Line(caller)
            self._callers.append(line)
            self._inbox.watch(caller, lambda: self._serve(line))

    def _serve(self, line: _Line) -> None:
        if line.outgoing:
            self._write(line)
        try:
            while True:
                piece = line.socket.recv(PIECE)
                if not piece:
                    self._hang_up(line)
                    return
                self._hear(line, piece)
                if len(piece) < PIECE:
                    return
        except BlockingIOError:
            return
        except (OSError, ValueError, RecursionError):  # the process died, or is none of ours
            self._hang_up(line)

    def _hear(self, line: _Line, piece: bytes) -> None:
        if not line.worker and len(line.incoming.rest) + len(piece) > LONGEST_HELLO:
            msg = "a caller that does not say who it is"
            raise ValueError(msg)
        for content in line.incoming.split(piece):
            if line.worker:
                self._inbox.say("report", (NO_MOMENT, content))
            else:
                self._greet(line, content)

    def _greet(self, line: _Line, content: Any) -> None:
        token = content.get("token") if isinstance(content, dict) else None
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), self._token.encode()):
            msg = "a caller without the token"
            raise ValueError(msg)
        line.worker = str(content["worker"])
        self._callers.remove(line)
        self._lines[line.worker] = line
        self._inbox.say("news", None)

    def _say(self, line: _Line, content: Any) -> None:
        line.outgoing += as_line(content)
        self._write(line)

    def _write(self, line: _Line) -> None:
        try:
            while line.outgoing:
                del line.outgoing[: line.socket.send(line.outgoing)]
        except BlockingIOError:
            pass
        except OSError:  # it died; Dask is about to say so
            line.outgoing.clear()
        if bool(line.outgoing) != line.waits:  # the process is stopped, or slow: the rest when it reads again
            line.waits = bool(line.outgoing)
            self._inbox.watch(line.socket, lambda: self._serve(line), writing=line.waits)

    def _hang_up(self, line: _Line) -> None:
        self._inbox.forget(line.socket)
        line.socket.close()
        if line in self._callers:
            self._callers.remove(line)
        if self._lines.get(line.worker) is line:
            del self._lines[line.worker]


def listen() -> tuple[socket.socket, dict[str, str]]:
    """Open a port of this machine for workers; return it with the environment variables that they need."""
    listener = socket.create_server((HOST, 0), backlog=128)
    port = listener.getsockname()[1]
    return listener, {LINE: f"{HOST}:{port}", TOKEN: secrets.token_hex(16)}
