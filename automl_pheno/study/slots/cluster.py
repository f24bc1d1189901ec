"""Slots as Dask workers: one subprocess with a nanny a slot on this machine, or the workers of a running scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import dask
from distributed import Scheduler, SpecCluster
from distributed.deploy.subprocess import SubprocessWorker

from automl_pheno.errors import OutputError, StudyError
from automl_pheno.study.slots.lines import HOST
from automl_pheno.study.slots.machine import Machine, slot_environment

MAX_FAILED_STARTS = 5
"""A slot that ends so often in a row before its worker came is broken, and so is what it starts from."""

SHOWN_LINES = 20
LEAST_DISK = 2**20
"""Bytes without which a slot cannot start."""

HEARTBEAT = 3.0
"""Seconds between two signs of life of a worker."""

SETTINGS: dict[str, Any] = {
    # The supervisor puts a dead worker's trial back itself, and counts; Dask must not run it again behind its back.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    # By the clock of the wall: one that jumps, or a supervisor that was stopped for a while, would make all workers
    # look dead. A dead process closes its connection, and a trial that hangs has its time-out.
    "distributed.scheduler.worker-ttl": None,
    "distributed.admin.tick.limit": "1h",
    "distributed.worker.daemon": False,
    # Keras holds a trial's memory until it ends: pausing or spilling cannot help, only the nanny's limit protects.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # What the scheduler does all the time is done in the supervisor's process, and nobody looks at these figures.
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.enabled": False,
}


class SlotProcess(SubprocessWorker):  # type: ignore[misc] # distributed is published without types
    """A nanny in a process group of its own, which ends when the supervisor's end of its input closes."""

    def __init__(self, scheduler: str, *, env: dict[str, str], log: str, **options: Any) -> None:
        super().__init__(scheduler, **options)
        self.env = env
        self.log = log

    async def _start(self) -> None:
        # The name by which the cluster knows it, so that a worker can be told from its address.
        spec = json.dumps({"cls": self.worker_class, "opts": {**self.worker_kwargs, "name": str(self.name)}})
        command = [sys.executable, "-m", "dask", "spec", self.scheduler, "--spec", spec]
        log: IO[bytes]
        with Path(self.log).open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then decides.
            self.process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.env},
                start_new_session=True,
            )


class _CalmScheduler(Scheduler):  # type: ignore[misc] # distributed is published without types
    """A scheduler whose workers say less often that they live; of one that dies on this machine it hears at once."""

    def heartbeat_worker(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super().heartbeat_worker(*args, **kwargs)
        if "heartbeat-interval" in answer:
            answer["heartbeat-interval"] = max(HEARTBEAT, answer["heartbeat-interval"])
        return answer


class SlotCluster(SpecCluster):  # type: ignore[misc] # distributed is published without types
    """A scheduler in this process and one `SlotProcess` a slot."""

    def __init__(self, slots: int, make_spec: Callable[[int], dict[str, Any]], logs: Path) -> None:
        self._slots = slots
        self._make_spec = make_spec
        self._generation = 0
        self._logs = logs
        self._have_come: set[str] = set()
        self._never_came: dict[str, int] = {}
        scheduler = {
            "cls": _CalmScheduler,
            "options": {"host": HOST, "port": 0, "dashboard": False, "dashboard_address": f"{HOST}:0"},
        }
        workers = {f"slot-{slot}": self._make_spec(slot) for slot in range(slots)}
        super().__init__(workers=workers, scheduler=scheduler, name="automl-pheno", silence_logs=False)

    def new_worker_spec(self) -> dict[str, dict[str, Any]]:
        """Return the specification of the first slot that is not there; Dask asks when it scales up."""
        present = {str(name).split(".")[0] for name in self.worker_spec}
        slot = next(i for i in range(self._slots) if f"slot-{i}" not in present)
        self._generation += 1
        return {f"slot-{slot}.{self._generation}": self._make_spec(slot)}

    def kill(self, name: str) -> bool:
        """End a slot at once, worker and nanny; False if it has ended. A nanny alone would ask a hung worker first."""
        slot = self.workers.get(name)
        if slot is None or slot.process is None or slot.process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(slot.process.pid, signal.SIGKILL)  # it leads its group
        return True

    def replace_dead(self) -> None:
        """Start a slot anew whose nanny died; a nanny itself starts a dead worker anew.

        Raises
        ------
        StudyError
            A slot ended `MAX_FAILED_STARTS` times in a row before its worker came; the message has the log's tail.
        """
        for worker in list(self.scheduler.workers.values()):
            self._have_come.add(str(worker.name))
            self._never_came.pop(str(worker.name).split(".")[0], None)
        dead = [
            name
            for name, slot in list(self.workers.items())
            if name in self.worker_spec and slot.process is not None and slot.process.returncode is not None
        ]
        for name in dead:
            self.worker_spec.pop(name)
            if name not in self._have_come:
                self._give_up_if_broken(str(name).split(".")[0])
        if dead:
            self.scale(self._slots)

    def _give_up_if_broken(self, slot: str) -> None:
        self._never_came[slot] = failed = self._never_came.get(slot, 0) + 1
        if failed < MAX_FAILED_STARTS:
            return
        log = self._logs / f"{slot}.log"
        with contextlib.suppress(OSError):
            if shutil.disk_usage(self._logs).free < LEAST_DISK:
                msg = f"{self._logs}: the disk is full, so {slot} cannot start; make room and run it again"
                raise OutputError(msg)
        msg = f"{slot} ended {failed} times in a row while it started; its log, {log}, ends with:\n{_tail(log)}"
        raise StudyError(msg)


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "  (it cannot be read)"
    return "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:]) or "  (nothing)"


def start_cluster(
    slots: int, machine: Machine, backend: str, logs: Path, slots_per_gpu: int, environment: Mapping[str, str]
) -> SlotCluster:
    """Start a scheduler in this process and `slots` workers on this machine, all bound to 127.0.0.1.

    Parameters
    ----------
    slots
        Number of workers, at least 1.
    machine
        See `machine.read_machine`.
    backend
        ``KERAS_BACKEND`` of the workers.
    logs
        Existing folder for one log file a slot.
    slots_per_gpu
        Slots that share a GPU, each with its part of the memory.
    environment
        Variables for all workers, see `lines.listen`.

    Raises
    ------
    StudyError
        This system has no such processes.
    """
    if sys.platform == "win32":
        msg = "workers as processes need Linux or macOS; use workers: 0 here"
        raise StudyError(msg)
    with dask.config.set(SETTINGS):
        make_spec = partial(
            _slot_spec, slots=slots, machine=machine, backend=backend, logs=logs, slots_per_gpu=slots_per_gpu,
            environment=environment,
        )  # fmt: skip
        return SlotCluster(slots, make_spec, logs)


def _slot_spec(
    slot: int, *, slots: int, machine: Machine, backend: str, logs: Path, slots_per_gpu: int,
    environment: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    env = slot_environment(slot, slots, machine, backend, slots_per_gpu)
    # Dask sets the thread variables of a worker itself, from its configuration, so they are written there too.
    settings = {**SETTINGS, "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": "65536", **env}}
    with dask.config.set(settings):
        inherited: str = dask.config.serialize(dask.config.global_config)
    return {
        "cls": SlotProcess,
        "options": {
            # What is secret stays out of "worker_kwargs", which anybody may read on the command line.
            "env": {**env, **environment, "DASK_INTERNAL_INHERIT_CONFIG": inherited},
            "log": str(logs / f"slot-{slot}.log"),
            "worker_kwargs": {
                "host": HOST,
                "nthreads": 1,
                "memory_limit": int(machine.memory / slots) if slots > 1 else machine.memory,
                "dashboard": False,
                "dashboard_address": f"{HOST}:0",
                "env": env,
                "preload": ["automl_pheno.study.slots.line"],
                "preload_nanny": ["automl_pheno.study.slots.nanny"],
                "death_timeout": 60,
                "local_directory": str(logs),
            },
        },
    }
