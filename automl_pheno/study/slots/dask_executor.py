"""Tasks on the workers of a Dask scheduler: one at a time on each, assigned by name, liveness watched."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from automl_pheno.errors import StudyError
from automl_pheno.study.slots.cluster import Machine, SlotCluster, start_cluster
from automl_pheno.study.slots.executor import Finished, OnReport, Reported, Task
from automl_pheno.study.slots.worker import TOPIC, run_on_dask, stop_task

LOOK_EVERY = 1.0
"""Seconds between two looks at which workers are alive."""

VANISHED_AFTER = 10.0
"""Seconds after which a task is lost whose worker is not known to the scheduler any more."""

START_TIMEOUT = 120.0
"""Seconds until the first worker must have come."""


class DaskExecutor:
    """Runs tasks on Dask workers. Use `local_executor` or `remote_executor` to make one."""

    def __init__(self, client: Client, *, cluster: SlotCluster | None, slots: int | None) -> None:
        self._client = client
        self._cluster = cluster
        self._wanted = slots
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._futures: dict[str, Future] = {}
        self._address: dict[str, str] = {}
        self._missing: dict[str, float] = {}
        self._retired: set[str] = set()
        self._live: tuple[str, ...] = ()
        self._looked = 0.0
        client.subscribe_topic(TOPIC, lambda event: self._events.put(("report", event[1])))
        self._look(force=True)

    @property
    def slots(self) -> int:
        """Number of workers that there should be; on a running scheduler, those that there are."""
        return self._wanted if self._wanted is not None else len(self._live)

    def wait_for_slot(self) -> None:
        """Wait for the first worker.

        Raises
        ------
        StudyError
            None came in `START_TIMEOUT` seconds.
        """
        end = time.monotonic() + START_TIMEOUT
        while not self._live:
            if time.monotonic() > end:
                msg = f"no worker came within {START_TIMEOUT:.0f} s; see the log files of the slots"
                raise StudyError(msg)
            time.sleep(0.05)
            self._look(force=True)

    def free(self) -> int:
        """Return the number of live workers without a task."""
        self._look()
        return len(self._free())

    def submit(self, task: Task) -> None:
        """Send the task to a free worker."""
        name = str(task["id"])
        address = self._free()[0]
        future = self._client.submit(
            run_on_dask, task, key=f"{name}-{time.monotonic_ns()}", pure=False, workers=[address], retries=0
        )
        self._futures[name] = future
        self._address[name] = address
        future.add_done_callback(lambda _: self._events.put(("done", name)))

    def poll(self, timeout: float, on_report: OnReport) -> list[Finished]:
        """See `Executor.poll`."""
        finished: list[Finished] = []
        end = time.monotonic() + timeout
        while True:
            wait = 0.0 if finished else max(0.0, min(end - time.monotonic(), LOOK_EVERY))
            try:
                what, content = self._events.get(timeout=wait) if wait else self._events.get_nowait()
            except queue.Empty:
                self._look()
                finished += self._collect_vanished()
                if finished or time.monotonic() >= end:
                    return finished
                continue
            if what == "done":
                finished += self._collect(content)
            elif content["task"] in self._futures:
                on_report(Reported(**{key: content[key] for key in ("task", "step", "value", "slot")}))
                end = time.monotonic()  # let the supervisor act on what came

    def stop(self, task: str) -> None:
        """Tell the worker that the task's next report is its last."""
        if (address := self._address.get(task)) in self._live:
            with contextlib.suppress(OSError, ValueError):  # it died a moment ago: `poll` will say so
                self._client.run(stop_task, task, workers=[address], wait=False, on_error="ignore")

    def kill(self, task: str) -> None:
        """Restart the worker of a task."""
        if (address := self._address.get(task)) is not None:
            self._restart(address)

    def recycle(self, task: str) -> None:
        """Restart the worker of a task that has ended."""
        if (address := self._address.get(task)) is not None:
            self._restart(address)

    def close(self) -> None:
        """End the client, and the workers if they are ours."""
        for future in self._futures.values():
            with contextlib.suppress(Exception):
                future.cancel()
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=10)

    def _free(self) -> list[str]:
        busy = {self._address[name] for name in self._futures}
        return [address for address in self._live if address not in busy and address not in self._retired]

    def _restart(self, address: str) -> None:
        self._retired.add(address)

        def restart() -> None:
            try:
                self._client.restart_workers([address], timeout=60, raise_for_error=False)
            except Exception as error:  # noqa: BLE001 - a worker without a nanny, or one that is gone already
                logging.getLogger("distributed").warning("worker %s was not restarted: %s", address, error)
                self._retired.discard(address)

        threading.Thread(target=restart, name="restart", daemon=True).start()

    def _look(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        try:
            self._live = tuple(self._client.nthreads())
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            msg = f"the Dask scheduler does not answer any more ({error}); the same command resumes the study"
            raise StudyError(msg) from error
        self._retired &= set(self._live)
        if self._cluster is not None:
            self._cluster.replace_dead()

    def _collect(self, name: str) -> list[Finished]:
        future = self._futures.pop(name, None)
        if future is None:
            return []
        try:
            return [Finished(task=name, outcome=future.result(timeout=60))]
        except KilledWorker:
            return [self._lost(name, "its process died")]
        except Exception as error:  # noqa: BLE001 - whatever Dask says, the trial has no result
            return [self._lost(name, f"no result came back: {type(error).__name__}: {error}")]
        finally:
            future.release()

    def _collect_vanished(self) -> list[Finished]:
        now = time.monotonic()
        vanished = []
        for name in list(self._futures):
            if self._address[name] in self._live:
                self._missing.pop(name, None)
            elif now - self._missing.setdefault(name, now) > VANISHED_AFTER:
                self._futures.pop(name).cancel()
                vanished.append(self._lost(name, "its worker vanished"))
        return vanished

    def _lost(self, name: str, reason: str) -> Finished:
        self._missing.pop(name, None)
        self._looked = 0.0
        return Finished(task=name, outcome={"state": "lost", "reason": reason})


@contextlib.contextmanager
def local_executor(slots: int, machine: Machine, backend: str, logs: Path) -> Iterator[DaskExecutor]:
    """Start `slots` workers on this machine for the time of the block; see `start_cluster`."""
    logs.mkdir(parents=True, exist_ok=True)
    with _log_to(logs / "scheduler.log"):
        cluster = start_cluster(slots, machine, backend, logs)
        try:
            client = Client(cluster, set_as_default=False)
            executor = DaskExecutor(client, cluster=cluster, slots=slots)
        except BaseException:
            cluster.close(timeout=10)
            raise
        try:
            executor.wait_for_slot()
            yield executor
        finally:
            executor.close()
            shutil.rmtree(logs / "dask-scratch-space", ignore_errors=True)


@contextlib.contextmanager
def remote_executor(address: str, logs: Path) -> Iterator[DaskExecutor]:
    """Use the workers of the scheduler at `address`, which see the run folder under the same path.

    Raises
    ------
    StudyError
        No scheduler answers there.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with _log_to(logs / "scheduler.log"):
        try:
            client = Client(address, set_as_default=False, timeout=30)
        except (OSError, TimeoutError, ValueError) as error:
            msg = f"scheduler: no Dask scheduler answers at {address!r} ({error})"
            raise StudyError(msg) from error
        executor = DaskExecutor(client, cluster=None, slots=None)
        try:
            executor.wait_for_slot()
            yield executor
        finally:
            executor.close()


@contextlib.contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Send the log of Dask in this process to a file rather than to the terminal."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "bokeh", "asyncio")]
    before = [(logger, logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for logger in loggers:
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, handlers, propagate, level in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        handler.close()
