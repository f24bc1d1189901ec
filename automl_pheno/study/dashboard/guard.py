"""Who may ask for what: a dashboard has no password, so by default it only shows, and only to this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from automl_pheno.study.run_folder import LOCK

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

READING = ("GET", "HEAD", "OPTIONS")
_STUDY_NOTE = re.compile(r"/api/studies/\d+/note")

READ_ONLY = "This dashboard only shows: nothing can be changed or deleted. To write notes, start it with --editable."
RUNNING = "A search is running here, so nothing can be changed now."
NOT_OURS = "Refused: the request comes from another web page."
THE_NOTE = "The note of the study is the leaderboard; write your notes on trials."
FOR_ONE_STUDY = "This dashboard is of one run: studies can be neither made, renamed nor deleted, and files not added."


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server bound to `host`."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Return whether a server bound to `host` answers on every address of this machine."""
    try:
        return host == "" or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


class Guard:
    """Lets through what is allowed, and answers everything else with 403 and the reason.

    Parameters
    ----------
    app
        What is guarded.
    run
        Folder of the run.
    host
        That the server is bound to. A request must name it, or this machine, in its ``Host`` header: a page of
        another site whose name was made to lead to this machine (DNS rebinding) does not. Bound to every address the
        server cannot know its names, and takes any.
    editable
        Whether notes and the like may be written while no search runs.
    """

    def __init__(self, app: Wsgi, run: Path, *, host: str, editable: bool) -> None:
        self._app = app
        self._run = run
        self._host = host.lower()
        self._editable = editable

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not self._is_for_us(str(environ.get("HTTP_HOST", ""))):
            said = f"Refused: the request is for {environ['HTTP_HOST']!r}. Open the address that was printed."
            return refuse(environ, start_response, said)
        if environ.get("REQUEST_METHOD", "GET") in READING:
            return self._app(environ, start_response)
        if reason := self._refusal(environ):
            return refuse(environ, start_response, reason)
        with _no_search(self._run) as free:
            return self._app(environ, start_response) if free else refuse(environ, start_response, RUNNING)

    def _is_for_us(self, header: str) -> bool:
        if is_wildcard(self._host) or not header:
            return True
        try:
            name = (urlsplit(f"//{header}").hostname or "").lower()
        except ValueError:
            return False
        return name == self._host or is_loopback(name)

    def _refusal(self, environ: Environ) -> str:
        path = str(environ.get("PATH_INFO", "")).rstrip("/")
        if not self._editable:
            return READ_ONLY
        origin = str(environ.get("HTTP_ORIGIN", ""))
        if origin and urlsplit(origin).netloc != environ.get("HTTP_HOST", ""):
            return NOT_OURS
        if _STUDY_NOTE.fullmatch(path):
            return THE_NOTE
        about_trials = re.fullmatch(r"/api/(studies/\d+/\d+/note|trials/\d+/user-attrs)", path)
        return "" if about_trials else FOR_ONE_STUDY


def refuse(environ: Environ, start_response: StartResponse, reason: str) -> list[bytes]:
    """Answer 403 in the words that optuna-dashboard's pages show."""
    api = str(environ.get("PATH_INFO", "")).startswith("/api")
    body = (json.dumps({"reason": reason}) if api else reason + "\n").encode()
    kind = "application/json" if api else "text/plain; charset=utf-8"
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("X-Content-Type-Options", "nosniff")]
    start_response("403 Forbidden", headers)
    return [body]


@contextlib.contextmanager
def _no_search(run: Path) -> Iterator[bool]:
    """Keep a search from starting for the time of the block; False if one runs."""
    try:
        import fcntl

        handle = os.open(run / LOCK, os.O_RDONLY)
    except (FileNotFoundError, ImportError):  # copied without its lock; or a system without searches
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)
