"""Whether a worker fits the supervisor, and what it needs of the run's files: runs beside the supervisor."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client

from automl_pheno.errors import StudyError
from automl_pheno.files import write_bytes, writing
from automl_pheno.study.continuation import WEIGHTS
from automl_pheno.study.run_folder import DEVELOPMENT, FINALISTS, SEALED, SPLIT
from automl_pheno.study.slots import nodes
from automl_pheno.study.slots.executor import Outcome, Task
from automl_pheno.study.slots.worker import REFIT

PIECE = 4 * 2**20
"""Bytes of a file that travel in one message."""

EXACT = ("automl-pheno",)
"""Packages whose versions must be the same; of the others the first two numbers."""

Say = Callable[[str], None]


def silent(text: str) -> None:
    """Say nothing."""


def check_versions(here: Mapping[str, str], there: Mapping[str, str], worker: str) -> None:
    """Compare what is installed here and on a worker; patch levels may differ.

    Raises
    ------
    StudyError
        The first difference that matters, with the worker, the package and both versions.
    """
    for package, version in here.items():
        found = there.get(package, "")
        if not version:  # not needed here, so nothing is known to be asked for
            continue
        if not found:
            msg = f"{worker}: {package} is not installed there; this supervisor has {version}"
            raise StudyError(msg)
        same = found == version if package in EXACT else _series(found) == _series(version)
        if not same:
            msg = (
                f"{worker}: has {package} {found}, this supervisor {version}; results would not be comparable, so "
                f"install the same version in both places"
            )
            raise StudyError(msg)


def _series(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


@dataclass(slots=True)
class Node:
    """Workers with one folder for files; they see the run folder, or files are sent to one of them for all."""

    shared: bool
    name: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    has: set[str] = field(default_factory=set)


class Supply:
    """Greets workers and brings them the files of one run.

    Parameters
    ----------
    client
        Of the scheduler.
    run
        Folder of the run, with its samples and its split.
    backend
        Of Keras.
    say
        Hears what a user wants to know.
    """

    def __init__(self, client: Client, run: Path, backend: str, say: Say) -> None:
        self._client = client
        self._run = run
        self._backend = backend
        self._say = say
        self._token = f".seen-{uuid.uuid4().hex}"
        self._nodes: dict[str, Node] = {}
        self._at: dict[str, Node] = {}
        self._here = nodes.installed(backend)
        self._guard = threading.Lock()
        self._sealed_at: set[str] = set()
        self.sent: dict[str, int] = {}
        """Node -> bytes that were sent to it."""
        self._files = {name: nodes.hash_file(run / name) for name in (DEVELOPMENT, SPLIT) if (run / name).exists()}
        self._sealed: dict[str, str] = {}
        with writing(run):
            (run / self._token).touch()

    def greet(self, address: str, name: str) -> str:
        """Ask a worker what it is; to be called before it gets a task, in any thread.

        Returns
        -------
        str
            ``ready``, or ``restart`` where its process has Keras on another backend.

        Raises
        ------
        StudyError
            It does not fit; the message names the worker.
        OSError
            It cannot be reached.
        """
        question = {"run": str(self._run), "token": self._token, "backend": self._backend}
        worker = f"worker {name} ({address})" if name != address else f"worker {address}"
        try:
            answer = self._ask(address, nodes.greet, question)
        except StudyError as error:
            msg = f"{worker}: {error}"
            raise StudyError(msg) from error
        except Exception as error:
            if not any(kind in repr(error) for kind in ("ModuleNotFoundError", "ImportError", "AttributeError")):
                raise
            # Of what a worker cannot even unpickle Dask says only the text.
            msg = (
                f"{worker}: cannot import this version of automl_pheno ({error}); this supervisor has "
                f"{self._here['automl-pheno']}: install the same there"
            )
            raise StudyError(msg) from error
        check_versions(self._here, answer["installed"], worker)
        if answer["keras"] not in ("", self._backend):
            return "restart"
        with self._guard:
            key = f"{answer['node']}:{answer['shared']}"
            node = self._nodes.setdefault(key, Node(shared=answer["shared"], name=str(answer["host"])))
            self._at[address] = node
        if not node.shared:
            self._bring(address, node, self._files)
        return "ready"

    def prepare(self, address: str, task: Task) -> Task:
        """Return the task as this worker needs it, after sending what it lacks; in any thread.

        Raises
        ------
        OSError
            It cannot be reached.
        """
        node = self._at[address]
        if node.shared:
            return task
        function, sealed, once = task["function"], {}, {}
        keep: list[str] = []
        if function == REFIT:
            sealed, keep = self._seal(), [f"{FINALISTS}/{task['folder']}"]
        elif "budget" in task:
            once = self._weights(str(task.get("continues", "")))
            keep = [f"{WEIGHTS}/{task['name']}"]
        self._bring(address, node, {**self._files, **sealed, **once}, frozenset(once))
        if sealed:
            self._sealed_at.add(address)
        return {
            **task, "files": {**self._files, **sealed, **once}, "keep": keep, "sealed": [*sealed, *once],
            "once": list(once),
        }  # fmt: skip

    def accept(self, address: str, outcome: Outcome) -> Outcome:
        """Write the files that came with an outcome into the run folder, and return the outcome without them."""
        if outcome.get("missing") and address in self._at:
            self._at[address].has.clear()
        files: Mapping[str, bytes] = outcome.pop("files", {})
        write_files(self._run, files)
        return outcome

    def close(self) -> None:
        """Take the sealed test samples back from where they were sent."""
        (self._run / self._token).unlink(missing_ok=True)
        for address in self._sealed_at:
            with contextlib.suppress(Exception):
                self._ask(address, nodes.forget, self._sealed)

    def _seal(self) -> dict[str, str]:
        if not self._sealed and (self._run / SEALED).exists():
            self._sealed = {SEALED: nodes.hash_file(self._run / SEALED)}
        return self._sealed

    def _weights(self, trial: str) -> dict[str, str]:
        """Return what a trial left for the one that goes on with it."""
        files = sorted((self._run / WEIGHTS / trial).glob("*.npz")) if trial else []
        return {file.relative_to(self._run).as_posix(): nodes.hash_file(file) for file in files}

    # ----------------------------------------------------------------------------------------------------------------

    def _bring(self, address: str, node: Node, files: Mapping[str, str], once: frozenset[str] = frozenset()) -> None:
        with node.lock:
            if node.has >= set(files):
                return
            lacking = self._ask(address, nodes.missing, dict(files))
            sent = sum((self._run / name).stat().st_size for name in lacking)
            try:
                for name in lacking:
                    self._send(address, name, files[name])
                node.has |= set(files) - once
            finally:
                self._account(node, lacking, sent)

    def _account(self, node: Node, names: Sequence[str], sent: int) -> None:
        if sent:
            with self._guard:
                self.sent[node.name] = self.sent.get(node.name, 0) + sent
            text = f"{node.name} does not see the run folder: sent it {sent:,} bytes"
            logging.getLogger("automl_pheno").info("%s (%s)", text, ", ".join(names))
            self._say(text)

    def _send(self, address: str, name: str, digest: str) -> None:
        file, sender, offset = self._run / name, uuid.uuid4().hex[:12], 0
        size = file.stat().st_size
        with file.open("rb") as stream:
            while True:
                content = stream.read(PIECE)
                self._ask(address, nodes.receive, name, digest, sender, offset, content, size)
                offset += len(content)
                if offset >= size or not content:
                    return

    def _ask(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        answers = self._client.run(function, *arguments, workers=[address], on_error="return")
        answer = answers.get(address, ConnectionError(f"{address} is gone"))
        if isinstance(answer, BaseException):
            raise answer
        return answer


def write_files(run: Path, files: Mapping[str, bytes]) -> None:
    """Write files that a task has made elsewhere, each in one step.

    Raises
    ------
    StudyError
        A path leads elsewhere than into ``finalists/`` or ``weights/``, or the disk is full.
    """
    paths: Sequence[Path] = [Path(name) for name in files]
    for path in paths:
        if path.is_absolute() or ".." in path.parts or len(path.parts) < 3 or path.parts[0] not in (FINALISTS, WEIGHTS):
            msg = f"a worker sent the file {path}, which has no place in the run folder"
            raise StudyError(msg)
    for folder in {Path(*path.parts[:2]) for path in paths}:
        shutil.rmtree(run / folder, ignore_errors=True)
    for name, content in files.items():
        file = run / name
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, content)
