"""What a worker on another machine says of itself, keeps of a run's files, and does with a task: runs in the worker."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from automl_pheno.errors import StudyError
from automl_pheno.study.slots.reports import Reports
from automl_pheno.study.slots.worker import perform, slot_name

TOPIC = "automl-pheno"
"""Of the events that reports travel as."""

CACHE = "AUTOML_PHENO_CACHE"
"""Environment variable of a worker: folder for the files that are sent to it; left out, one below the temporary."""

KEPT_FOR = 7 * 24 * 3600.0
"""Seconds after which a file that no trial has used leaves the cache."""

DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly"),
    "jax": ("jax",),
}

# More than one thread a worker, or two studies on one scheduler: one trial at a time all the same.
_turn = threading.Lock()
_folders: dict[str, Path] = {}
_stopped: set[str] = set()


# -- what it is ------------------------------------------------------------------------------------------------------


def installed(backend: str) -> dict[str, str]:
    """Return package -> version of what a result depends on, and ``python``; "" for what is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    def find(*names: str) -> str:
        for name in names:
            with contextlib.suppress(PackageNotFoundError):
                return version(name)
        return ""

    return {
        "python": platform.python_version(),
        "automl-pheno": f"{find('automl-pheno')} (code {_code()})",
        "distributed": find("distributed"),
        "numpy": find("numpy"),
        "keras": find("keras"),
        backend: find(*DISTRIBUTIONS[backend]),
    }


def _code() -> str:
    """Return a short hash of this package's source: two checkouts of one version are not the same."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


def greet(question: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the supervisor's first question to a worker.

    Parameters
    ----------
    question
        ``backend``; ``run``, the folder of the run where the supervisor sees it, and ``token``, a file that is in it.

    Returns
    -------
    dict
        ``installed``; ``keras``, the backend that this process has loaded or ""; ``host``; ``shared``, whether this
        worker sees, and may write, the very folder of the run; ``node``, the same for all workers with one cache.
    """
    folder = Path(question["run"])
    with contextlib.suppress(OSError):
        shared = (folder / question["token"]).exists() and os.access(folder, os.W_OK)
        cache = cache_folder()
        place = cache.stat()
        return {
            "installed": installed(str(question["backend"])),
            "keras": sys.modules["keras"].config.backend() if "keras" in sys.modules else "",
            "host": socket.gethostname(),
            "shared": shared,
            "node": f"{socket.gethostname()}:{cache}:{place.st_dev}:{place.st_ino}",
        }
    msg = f"{socket.gethostname()}: no folder for files can be made; name one with {CACHE}"
    raise StudyError(msg)


# -- files that are sent to it ---------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder for files that are sent, made if need be; only this user may enter it.

    Raises
    ------
    StudyError
        The folder is another user's.
    """
    named = os.environ.get(CACHE)
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"automl-pheno-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        msg = f"{socket.gethostname()}: {folder} is not a folder of this user; name another with {CACHE}"
        raise StudyError(msg)
    return folder


def missing(files: Mapping[str, str]) -> list[str]:
    """Return the names of `files` (name -> SHA-256) that this node does not have, and mark the others as used."""
    return [name for name, digest in files.items() if not _touch(_place(name, digest))]


def receive(name: str, digest: str, sender: str, offset: int, content: bytes, size: int) -> None:
    """Take a piece of a file; with the last one it is checked and shown to all workers of the node at once.

    Parameters
    ----------
    name, digest
        Of the file; SHA-256.
    sender
        Unique name of this transfer.
    offset, content
        Where the piece belongs, in bytes.
    size
        Of the whole file, in bytes.

    Raises
    ------
    StudyError
        What came is not what was sent.
    """
    place = _place(name, digest)
    part = place.with_name(f".{digest}.{sender}.part")
    with part.open("r+b" if offset else "wb") as stream:
        stream.seek(offset)
        stream.write(content)
    if offset + len(content) < size:
        return
    with _alone():
        if hash_file(part) != digest:
            part.unlink()
            msg = f"{socket.gethostname()}: {name} arrived damaged"
            raise StudyError(msg)
        part.chmod(0o600)
        part.replace(place)
        _sweep()


def forget(files: Mapping[str, str]) -> None:
    """Remove files of this node's cache."""
    for name, digest in files.items():
        _place(name, digest).unlink(missing_ok=True)


def hash_file(file: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def _touch(file: Path) -> bool:
    try:
        os.utime(file)
    except OSError:
        return False
    return True


def _place(name: str, digest: str) -> Path:
    return cache_folder() / f"{digest}-{Path(name).name}"


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    import fcntl

    with (cache_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep() -> None:
    old = time.time() - KEPT_FOR
    for file in cache_folder().iterdir():
        with contextlib.suppress(OSError):
            if file.name == ".lock" or file.stat().st_mtime > old:
                continue
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink()


# -- tasks -----------------------------------------------------------------------------------------------------------


def run_on_node(task: dict[str, Any]) -> dict[str, Any]:
    """Run a task in a Dask worker, one at a time, on the run's own folder or on the files that were sent.

    ``task["files"]`` (name -> SHA-256) are put into a folder of this process that takes the place of the run's;
    ``task["keep"]`` names folders below it whose files come back as ``outcome["files"]``, path -> bytes, and
    ``task["sealed"]`` files that only this task may have in reach, ``task["once"]`` those of them that no other task
    will need. A file that is gone makes the task ``lost``, with ``missing`` true.
    """
    with _turn:
        if "files" not in task:
            return _run(task, tell=True)
        task = dict(task)
        files, keep, sealed = task.pop("files"), task.pop("keep"), task.pop("sealed")
        once = task.pop("once")
        if lacking := missing(files):
            reason = f"{', '.join(lacking)} left the cache of {socket.gethostname()}"
            return {"state": "lost", "fault": "gone", "reason": reason, "missing": True}
        folder = _folder(str(task["run"]), str(task["data"]))
        for name, digest in files.items():
            _link(_place(name, digest), folder / name)
        try:
            outcome = _run({**task, "run": str(folder)}, tell=False)
            outcome["files"] = {
                file.relative_to(folder).as_posix(): file.read_bytes()
                for kept in keep
                for file in sorted((folder / kept).rglob("*"))
                if file.is_file()
            }
            return outcome
        finally:
            for kept in keep:
                shutil.rmtree(folder / kept, ignore_errors=True)
            for name in sealed:
                (folder / name).unlink(missing_ok=True)
            forget({name: files[name] for name in once})


async def stop_task(name: str) -> None:
    """Make the next report of the task `name` in this process its last."""
    # A coroutine, because Dask sends only coroutines to a worker without waiting for the answer.
    _stopped.add(name)


def _run(task: dict[str, Any], *, tell: bool) -> dict[str, Any]:
    """Run a task as one of Dask's; reports travel as events of the topic `TOPIC`, with `tell` the outcome too.

    It is returned in any case: an event may be lost with a connection, but fetching a result costs more than an event.
    """
    from distributed import get_worker

    worker = get_worker()
    name, key = str(task["id"]), worker.get_current_task()
    reports = Reports(lambda content: worker.log_event(TOPIC, content), worker.loop, task=name, slot=slot_name())
    told = ""
    try:
        outcome = perform(
            task, reports, lambda: name in _stopped or not _is_wanted(worker, key), worker.memory_manager.memory_limit
        )
        if tell:
            with contextlib.suppress(TypeError):  # not plain data: it is fetched then
                told = json.dumps(outcome)
        return outcome
    finally:
        reports.send(told)
        _stopped.discard(name)


def _is_wanted(worker: Any, key: str) -> bool:
    """Return whether a supervisor still waits for this task; Dask marks it once that has gone or was cut off."""
    state = worker.state.tasks.get(key)
    return state is not None and state.state != "cancelled"


def _folder(run: str, digest: str) -> Path:
    key = f"{run}\0{digest}"
    if key not in _folders:
        # One for each process, since trials may write into it; the same from trial to trial, since the samples that
        # were read last are remembered by its name.
        _folders[key] = Path(tempfile.mkdtemp(prefix="run-", dir=cache_folder()))
        atexit.register(shutil.rmtree, _folders[key], ignore_errors=True)
    return _folders[key]


def _link(file: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(file)
