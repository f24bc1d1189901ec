"""Slots as Dask workers: one subprocess with a nanny a slot on this machine, or the workers of a running scheduler."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import IO, Any

import dask
from distributed import Scheduler, SpecCluster
from distributed.deploy.subprocess import SubprocessWorker

from automl_pheno.errors import StudyError
from automl_pheno.study.slots.machine import Machine, slot_environment

HOST = "127.0.0.1"

HEARTBEAT = 3.0
"""Seconds between two signs of life of a worker."""

SETTINGS: dict[str, Any] = {
    # The supervisor puts a dead worker's trial back itself, and counts; Dask must not run it again behind its back.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
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
        spec = json.dumps({"cls": self.worker_class, "opts": self.worker_kwargs})
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

    def __init__(self, slots: int, machine: Machine, backend: str, logs: Path, slots_per_gpu: int) -> None:
        self._slots = slots
        self._make_spec = partial(
            _slot_spec, slots=slots, machine=machine, backend=backend, logs=logs, slots_per_gpu=slots_per_gpu
        )
        self._generation = 0
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

    def replace_dead(self) -> None:
        """Start a slot anew whose nanny died; a nanny itself starts a dead worker anew."""
        dead = [
            name
            for name, slot in list(self.workers.items())
            if name in self.worker_spec and slot.process is not None and slot.process.returncode is not None
        ]
        if dead:
            for name in dead:
                self.worker_spec.pop(name)
            self.scale(self._slots)


def start_cluster(slots: int, machine: Machine, backend: str, logs: Path, slots_per_gpu: int = 1) -> SlotCluster:
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

    Raises
    ------
    StudyError
        This system has no such processes.
    """
    if sys.platform == "win32":
        msg = "workers as processes need Linux or macOS; use workers: 0 here"
        raise StudyError(msg)
    with dask.config.set(SETTINGS):
        return SlotCluster(slots, machine, backend, logs, slots_per_gpu)


def _slot_spec(
    slot: int, *, slots: int, machine: Machine, backend: str, logs: Path, slots_per_gpu: int
) -> dict[str, Any]:
    env = slot_environment(slot, slots, machine, backend, slots_per_gpu)
    # Dask sets the thread variables of a worker itself, from its configuration, so they are written there too.
    settings = {**SETTINGS, "distributed.nanny.pre-spawn-environ": {"MALLOC_TRIM_THRESHOLD_": "65536", **env}}
    with dask.config.set(settings):
        inherited: str = dask.config.serialize(dask.config.global_config)
    return {
        "cls": SlotProcess,
        "options": {
            "env": {**env, "DASK_INTERNAL_INHERIT_CONFIG": inherited},
            "log": str(logs / f"slot-{slot}.log"),
            "worker_kwargs": {
                "host": HOST,
                "nthreads": 1,
                "memory_limit": int(machine.memory / slots) if slots > 1 else machine.memory,
                "dashboard": False,
                "dashboard_address": f"{HOST}:0",
                "env": env,
                "preload_nanny": ["automl_pheno.study.slots.nanny"],
                "death_timeout": 60,
                "local_directory": str(logs),
            },
        },
    }
