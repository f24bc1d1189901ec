"""Slots as Dask workers: one subprocess with a nanny a slot on this machine, or the workers of a running scheduler."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import dask
from distributed import Scheduler, SpecCluster
from distributed.deploy.subprocess import SubprocessWorker

from automl_pheno.errors import StudyError

HOST = "127.0.0.1"

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
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine offers.

    Attributes
    ----------
    cores
        Physical cores that this process may use.
    gpus
        Names of the GPUs as ``CUDA_VISIBLE_DEVICES`` takes them.
    memory
        Bytes.
    """

    cores: int
    gpus: tuple[str, ...]
    memory: int


def read_machine() -> Machine:
    """Return the cores, GPUs and memory that this process may use."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    physical = psutil.cpu_count(logical=False) or allowed
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    cores = max(1, min(allowed, physical, CPU_COUNT))
    return Machine(cores=cores, gpus=_read_gpus(), memory=int(MEMORY_LIMIT))


def _read_gpus() -> tuple[str, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return tuple(name for name in names if name and name != "-1")
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(str(i) for i, _ in enumerate(line for line in answer.splitlines() if line.startswith("GPU ")))


def count_slots(workers: int | str, machine: Machine) -> int:
    """Return the number of slots: one a GPU, or else one a physical core, for ``auto``."""
    if workers == "auto":
        return len(machine.gpus) or machine.cores
    return int(workers)


def slot_environment(slot: int, slots: int, machine: Machine, backend: str) -> dict[str, str]:
    """Return the environment variables of one slot; they must be there before Keras or numpy are imported."""
    threads = str(max(1, machine.cores // slots))
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": machine.gpus[slot % len(machine.gpus)] if machine.gpus else "-1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "KERAS_BACKEND": backend,
        **dict.fromkeys(THREAD_VARIABLES, threads),
    }


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


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


class SlotCluster(SpecCluster):  # type: ignore[misc] # distributed is published without types
    """A scheduler in this process and one `SlotProcess` a slot."""

    def __init__(self, slots: int, machine: Machine, backend: str, logs: Path) -> None:
        self._slots = slots
        self._make_spec = partial(_slot_spec, slots=slots, machine=machine, backend=backend, logs=logs)
        self._generation = 0
        scheduler = {
            "cls": Scheduler,
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


def start_cluster(slots: int, machine: Machine, backend: str, logs: Path) -> SlotCluster:
    """Start a scheduler in this process and `slots` workers on this machine, all bound to 127.0.0.1.

    Parameters
    ----------
    slots
        Number of workers, at least 1.
    machine
        See `read_machine`.
    backend
        ``KERAS_BACKEND`` of the workers.
    logs
        Existing folder for one log file a slot.

    Raises
    ------
    StudyError
        This system has no such processes.
    """
    if sys.platform == "win32":
        msg = "workers as processes need Linux or macOS; use workers: 0 here"
        raise StudyError(msg)
    with dask.config.set(SETTINGS):
        return SlotCluster(slots, machine, backend, logs)


def _slot_spec(slot: int, *, slots: int, machine: Machine, backend: str, logs: Path) -> dict[str, Any]:
    env = slot_environment(slot, slots, machine, backend)
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
