"""A small web server for one run: on this machine, in threads, on a socket that may be inherited."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from automl_pheno.errors import StudyError
from automl_pheno.study.dashboard.app import make_app
from automl_pheno.study.dashboard.guard import Wsgi, is_loopback, is_wildcard

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_NICE = 10


def listen(host: str = HOST, port: int = DEFAULT_PORT) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises
    ------
    StudyError
        The port is taken, or the address is none of this machine.
    """
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=32)
    except OSError as error:  # socket.gaierror is one
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} is taken; choose another one with --port, or a free one with --port 0"
        elif error.errno == errno.EACCES:
            msg = f"port {port} may not be used by this user; choose one above 1023 with --port"
        else:
            msg = f"host {host!r}: no server can listen there: {error.strerror or error}"
        raise StudyError(msg) from error


def address_of(listening: socket.socket) -> str:
    """Return the URL at which a listening socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    shown = HOST if is_wildcard(host) else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def warning_of(host: str, *, editable: bool) -> str:
    """Return what must be said before a server is opened on `host`; "" where only this machine reaches it."""
    if is_loopback(host):
        return ""
    who = "everybody who reaches this machine" if is_wildcard(host) else f"everybody who reaches {host}"
    can = "see the whole run, sample names and trait among it"
    if editable:
        can += ", and change what stands in it"
    return (
        f"there is no password: {who} can {can}. Safer: leave --host out, and on your own computer run "
        f"ssh -L 8080:127.0.0.1:8080 {socket.gethostname()}"
    )


def make_server(app: Wsgi, listening: socket.socket) -> WSGIServer:
    """Return a server of `app` on a listening socket; ``serve_forever`` runs it."""
    server = _Server(listening.getsockname()[:2], _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = listening.getsockname()[:2]
    server.setup_environ()
    server.set_app(app)
    return server


def serve(run: Path, listening: socket.socket, *, host: str = HOST, editable: bool = False) -> None:
    """Serve the dashboard of a run until Ctrl-C.

    Raises
    ------
    StudyError
        There is no study to show.
    """
    server = make_server(make_app(run, host=host, editable=editable), listening)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def serve_beside(run: Path, handle: int) -> None:
    """Serve the dashboard of a search that starts, until standard input ends: its other end is the search's.

    Parameters
    ----------
    run
        Folder of the run; it need not be there yet.
    handle
        File descriptor of a listening socket.
    """
    if hasattr(os, "nice"):
        os.nice(_NICE)  # the trials come first
    listening = socket.socket(fileno=handle)
    server = make_server(make_app(run, waiting=True), listening)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is Python's
        logging.getLogger(__name__).debug("%s: a request broke off", client_address)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is Python's
        logging.getLogger(__name__).debug(format, *args)
