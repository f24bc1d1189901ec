"""The executors on Dask: workers of this machine, of a running scheduler, or jobs of a batch system."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import Client

from automl_pheno.errors import StudyError
from automl_pheno.study.slots.cluster import start_cluster
from automl_pheno.study.slots.config import ClusterConfig
from automl_pheno.study.slots.dispatch import START_TIMEOUT, DaskExecutor
from automl_pheno.study.slots.graph import GraphWire
from automl_pheno.study.slots.lines import LineWire, listen
from automl_pheno.study.slots.machine import Machine
from automl_pheno.study.slots.supply import Say, Supply, silent
from automl_pheno.study.slots.wires import Inbox


@contextlib.contextmanager
def local_executor(
    slots: int, machine: Machine, backend: str, logs: Path, slots_per_gpu: int = 1
) -> Iterator[DaskExecutor]:
    """Start `slots` workers on this machine for the time of the block; see `start_cluster`."""
    logs.mkdir(parents=True, exist_ok=True)
    listener, environment = listen()
    with listener, contextlib.closing(Inbox()) as inbox, _log_to(logs / "scheduler.log"):
        cluster = start_cluster(slots, machine, backend, logs, slots_per_gpu, environment)
        try:
            client = Client(cluster, set_as_default=False)
            wire = LineWire(inbox, listener, environment)
            executor = DaskExecutor(client, wire, inbox, cluster=cluster, slots=slots)
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
def remote_executor(address: str, run: Path, backend: str, logs: Path, say: Say = silent) -> Iterator[DaskExecutor]:
    """Use the workers of the scheduler at `address` for the time of the block.

    Parameters
    ----------
    address
        ``tcp://HOST:PORT``, or ``tls://HOST:PORT`` with the certificates of Dask's own configuration.
    run
        Folder of the run; workers that do not see it get its samples over the network.
    backend
        Of Keras.
    logs
        Folder for a log file.
    say
        Hears what a user wants to know.

    Raises
    ------
    StudyError
        No scheduler answers there, or its workers do not fit.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with _log_to(logs / "scheduler.log"):
        try:
            client = Client(address, set_as_default=False, timeout=30)
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            msg = f"scheduler: no Dask scheduler answers at {address!r} ({error})"
            raise StudyError(msg) from error
        with (
            _supplied(client, run, backend, say) as supply,
            _by_graph(client, START_TIMEOUT, cluster=None, slots=None, supply=supply, say=say) as executor,
        ):
            yield executor


@contextlib.contextmanager
def job_executor(
    config: ClusterConfig, run: Path, backend: str, logs: Path, say: Say = silent
) -> Iterator[DaskExecutor]:
    """Use jobs of a batch system as slots for the time of the block; see `jobqueue.start_jobs`."""
    from automl_pheno.study.slots.jobqueue import start_jobs

    logs.mkdir(parents=True, exist_ok=True)
    with _log_to(logs / "scheduler.log"), start_jobs(config, backend, logs, say) as jobs:
        client = Client(jobs.cluster, set_as_default=False)
        slots = config.max_jobs
        with (
            _supplied(client, run, backend, say) as supply,
            _by_graph(client, None, cluster=jobs, slots=slots, supply=supply, elastic=jobs, say=say) as executor,
        ):
            yield executor


@contextlib.contextmanager
def _by_graph(client: Client, timeout: float | None, **options: Any) -> Iterator[DaskExecutor]:
    with contextlib.closing(Inbox()) as inbox:
        executor = DaskExecutor(client, GraphWire(client, inbox), inbox, **options)
        try:
            executor.wait_for_slot(timeout)
            yield executor
        finally:
            executor.close()


@contextlib.contextmanager
def _supplied(client: Client, run: Path, backend: str, say: Say) -> Iterator[Supply]:
    try:
        yield Supply(client, run, backend, say)
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=5)


class _Log(logging.FileHandler):
    """A log that gives up its lines where the disk is full: what fails for the same reason says so itself."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is Python's
        """Say nothing."""

    def close(self) -> None:
        """Close the file, with what of its last lines there is room for."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Send the log of Dask in this process to a file rather than to the terminal."""
    names = ("distributed", "dask_jobqueue", "tornado", "tornado.application", "bokeh", "asyncio", "automl_pheno")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    handler = _Log(path, delay=True)
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
