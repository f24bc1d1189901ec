"""What this machine offers, how many slots that makes, and what each slot's process may use of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

from automl_pheno.errors import StudyError
from automl_pheno.keras_settings import own_environment

SMI_TIMEOUT = 30.0
"""Seconds that nvidia-smi may take; without the persistence mode it wakes one GPU after another."""

MIB = 2**20

GPU_MEMORY = "AUTOML_PHENO_GPU_MEMORY"
"""Environment variable of a slot: MiB that it may take of its GPU; read by ``training/device.py`` under this name."""

DEVICE = "AUTOML_PHENO_DEVICE"
"""Environment variable of a slot: what its device is called in records, like ``gpu 0 (NVIDIA H100 80GB HBM3, 1/2)``."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "LOKY_MAX_CPU_COUNT",
    # XLA's CPU client, which JAX uses, listens to nothing else; older ones know only the second name.
    "PJRT_NPROC",
    "NPROC",
)

_RESERVE_SHARE = 0.1
_RESERVE_BYTES = 512 * MIB
"""Of its share a slot leaves this to what no allocator counts: CUDA's context and the kernels of cuDNN and cuBLAS."""

_LEAST_BYTES = 256 * MIB

_WHOLE = re.compile(r"GPU (\d+): (.+?) \(UUID: (GPU-[^)]+)\)")
_PART = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)]+)\)")
_PROFILE_GB = re.compile(r"(\d+)gb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU, or one part of a GPU that is split (MIG).

    Attributes
    ----------
    visible
        Its name in ``CUDA_VISIBLE_DEVICES``: index, or UUID.
    number
        Index of the GPU as nvidia-smi counts; where nvidia-smi is missing, the same as `visible`.
    model
        ``NVIDIA H100 80GB HBM3``, of a part with its profile; "" where nvidia-smi is missing.
    memory
        Bytes; None where unknown. Of a part the size in its profile, which is a little less than it has.
    """

    visible: str
    number: str = ""
    model: str = ""
    memory: int | None = None

    def label(self, slots: int = 1) -> str:
        """Return what records call it when `slots` share it: ``gpu 0 (NVIDIA H100 80GB HBM3, 1/2)``."""
        details = ", ".join(part for part in (self.model, f"1/{slots}" if slots > 1 else "") if part)
        return f"gpu {self.number or self.visible}" + (f" ({details})" if details else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine offers.

    Attributes
    ----------
    cores
        Physical cores that this process may use.
    gpus
        GPUs that this process may use.
    memory
        Bytes.
    notes
        What the user should know: why there are fewer GPUs than he may expect.
    """

    cores: int
    gpus: tuple[Gpu, ...]
    memory: int
    notes: tuple[str, ...] = ()


def read_machine(smi_timeout: float = SMI_TIMEOUT) -> Machine:
    """Return the cores, GPUs and memory that this process may use.

    GPUs are those of ``nvidia-smi``; of a GPU that is split (MIG), its parts. ``CUDA_VISIBLE_DEVICES`` of this process
    chooses among them; where there is no nvidia-smi it is believed as it stands.

    Parameters
    ----------
    smi_timeout
        Seconds after which nvidia-smi hangs: then there is no GPU, and a note says so.
    """
    import psutil
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    physical = psutil.cpu_count(logical=False) or allowed
    gpus, notes = _read_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), smi_timeout)
    cores = max(1, min(allowed, physical, CPU_COUNT))
    return Machine(cores=cores, gpus=gpus, memory=int(MEMORY_LIMIT), notes=notes)


def count_slots(workers: int | str, machine: Machine, slots_per_gpu: int = 1) -> int:
    """Return the number of slots: `slots_per_gpu` a GPU, or else one a physical core, for ``auto``.

    Raises
    ------
    StudyError
        More workers than slots, or slots too small to train in.
    """
    gpus = len(machine.gpus)
    if not gpus:
        return machine.cores if workers == "auto" else int(workers)
    for gpu in machine.gpus:
        _check_share(gpu, slots_per_gpu)
    most = gpus * slots_per_gpu
    if workers == "auto":
        return most
    if int(workers) > most:
        there = f"{gpus} GPU{'s' if gpus > 1 else ''}"
        msg = (
            f"workers: {workers} is more than {there} with slots_per_gpu: {slots_per_gpu} hold ({most}); "
            f"give slots_per_gpu: {-(-int(workers) // gpus)} (--slots-per-gpu), fewer workers, "
            "or hide the GPUs (CUDA_VISIBLE_DEVICES=) to train on the CPU"
        )
        raise StudyError(msg)
    return int(workers)


def slot_notes(machine: Machine, slots_per_gpu: int) -> tuple[str, ...]:
    """Return what a user should hear about the slots of this machine."""
    if slots_per_gpu > 1 and not machine.gpus:
        return (*machine.notes, f"slots_per_gpu: {slots_per_gpu} has no effect: no GPU was found here")
    return machine.notes


def slot_environment(slot: int, slots: int, machine: Machine, backend: str, slots_per_gpu: int = 1) -> dict[str, str]:
    """Return the environment variables of one slot; they must be there before Keras or numpy are imported.

    Slots are dealt round over the GPUs. A slot that has a GPU for itself takes memory as it needs it; slots that share
    one get each its part at the start and never more, so that no slot can take another's.
    """
    gpu = machine.gpus[slot % len(machine.gpus)] if machine.gpus else None
    environment = {
        # As nvidia-smi counts: CUDA would put the fastest GPU first.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "-1" if gpu is None else gpu.visible,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        **own_environment(backend),
        GPU_MEMORY: "",
        DEVICE: "cpu" if gpu is None else gpu.label(slots_per_gpu),
        **dict.fromkeys(THREAD_VARIABLES, str(max(1, machine.cores // slots))),
    }
    if gpu is None:
        # Else JAX looks for a GPU or TPU that it was not given, and warns.
        environment["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")
    elif slots_per_gpu > 1:
        environment.update(_shared(gpu, slots_per_gpu, backend))
    return environment


def _shared(gpu: Gpu, slots: int, backend: str) -> dict[str, str]:
    """Return the variables that hold a slot to its part of a GPU."""
    if backend == "jax":
        # The fraction bounds XLA's allocator with and without preallocation (its CreateBFCAllocator); other
        # allocators it does not bound. Both names of it together are an error, so the newer one is emptied.
        fraction = _cap(gpu.memory, slots) / gpu.memory if gpu.memory else (1 - _RESERVE_SHARE) / slots
        return {
            "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{fraction:.4f}",
            "XLA_CLIENT_MEM_FRACTION": "",
            "XLA_PYTHON_CLIENT_ALLOCATOR": "bfc",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "true",
        }
    # TensorFlow's own switch: a limit and growth exclude each other, and the asynchronous allocator knows no limit.
    memory = 0 if gpu.memory is None else _cap(gpu.memory, slots)
    return {GPU_MEMORY: str(memory // MIB), "TF_FORCE_GPU_ALLOW_GROWTH": "false", "TF_GPU_ALLOCATOR": ""}


def _cap(memory: int, slots: int) -> int:
    share = memory // slots
    return share - max(int(_RESERVE_SHARE * share), _RESERVE_BYTES)


def _check_share(gpu: Gpu, slots: int) -> None:
    if slots == 1:
        return
    if gpu.memory is None:
        msg = (
            f"slots_per_gpu: {slots} needs the memory of {gpu.label()}, which nvidia-smi does not tell; "
            "leave slots_per_gpu out"
        )
        raise StudyError(msg)
    if _cap(gpu.memory, slots) < _LEAST_BYTES:
        most = max(k for k in range(1, slots) if k == 1 or _cap(gpu.memory, k) >= _LEAST_BYTES)
        msg = (
            f"slots_per_gpu: {slots} leaves each slot {gpu.memory / slots / MIB:.0f} MiB of {gpu.label()}, of which "
            f"CUDA itself takes some {_RESERVE_BYTES // MIB}; give at most {most}"
        )
        raise StudyError(msg)


def _read_gpus(visible: str | None, timeout: float) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    entries = None if visible is None else _entries(visible)
    if entries == []:
        return (), ()
    program = shutil.which("nvidia-smi")
    if program is None:
        return tuple(Gpu(visible=name) for name in entries or ()), ()
    try:
        listing = _ask([program, "-L"], timeout)
        memory = _ask([program, "--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"], timeout)
    except (OSError, subprocess.SubprocessError) as error:
        return (), (f"no GPU is used: {_why(error)}",)
    gpus = _parse(listing, _parse_memory(memory))
    if entries is None:
        return tuple(gpu for parts in gpus.values() for gpu in parts), ()
    return _choose(entries, gpus)


def _entries(visible: str) -> list[str]:
    """Return the names in ``CUDA_VISIBLE_DEVICES``, each once; as CUDA does, those before the first empty one or -1."""
    names = []
    for entry in visible.split(","):
        name = entry.strip()
        if not name or name == "-1":
            break
        names.append(name)
    return list(dict.fromkeys(names))


def _parse(listing: str, memory: Mapping[str, int]) -> dict[Gpu, list[Gpu]]:
    """Return from the lines of ``nvidia-smi -L`` each GPU, with its UUID as `visible`, and what of it can be used."""
    gpus: dict[Gpu, list[Gpu]] = {}
    split: set[Gpu] = set()
    whole = None
    for line in listing.splitlines():
        if found := _WHOLE.match(line):
            number, model, uuid = found.groups()
            whole = Gpu(visible=uuid, number=number, model=model, memory=memory.get(uuid))
            gpus[whole] = [replace(whole, visible=number)]
        elif (found := _PART.match(line)) and whole is not None:
            profile, _, uuid = found.groups()
            if whole not in split:
                split.add(whole)
                gpus[whole] = []
            size = _PROFILE_GB.search(profile)
            gpus[whole].append(
                Gpu(
                    visible=uuid,
                    number=whole.number,
                    model=f"{whole.model} MIG {profile}",
                    memory=int(size[1]) * 10**9 if size else None,
                )
            )
    return gpus


def _parse_memory(answer: str) -> dict[str, int]:
    pairs = (line.rpartition(",") for line in answer.splitlines())
    return {uuid.strip(): int(size) * MIB for uuid, _, size in pairs if size.strip().isdigit()}


def _choose(entries: list[str], gpus: Mapping[Gpu, list[Gpu]]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return what the entries of ``CUDA_VISIBLE_DEVICES`` name; as CUDA does, those before the first unknown one."""
    chosen: list[Gpu] = []
    for entry in entries:
        found: list[Gpu] = []
        for whole, parts in gpus.items():
            if entry == whole.number or (entry.startswith("GPU-") and whole.visible.startswith(entry)):
                # by the name that was given, unless the GPU is split
                found = [part if part.visible.startswith("MIG-") else replace(part, visible=entry) for part in parts]
            elif entry.startswith("MIG-"):
                found += [part for part in parts if part.visible.startswith(entry)]
        if not found:
            there = "; ".join(f"{whole.number} ({whole.visible})" for whole in gpus) or "none"
            note = (
                f"CUDA_VISIBLE_DEVICES: {entry!r} and what follows is left out: nvidia-smi lists no such GPU ({there})"
            )
            return tuple(dict.fromkeys(chosen)), (note,)
        chosen += found
    return tuple(dict.fromkeys(chosen)), ()


def _ask(command: list[str], timeout: float) -> str:
    # Not subprocess.run, which waits for ever for a process that hangs in the driver and cannot be killed.
    with tempfile.TemporaryFile("w+") as answer:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            raise
        answer.seek(0)
        text = answer.read()
    if code:
        raise subprocess.CalledProcessError(code, command, output=text)
    return text


def _why(error: OSError | subprocess.SubprocessError) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"nvidia-smi did not answer within {error.timeout:g} s"
    if isinstance(error, subprocess.CalledProcessError):
        said = " ".join((error.output or "").split())[:200]
        return f"nvidia-smi failed with code {error.returncode}" + (f": {said}" if said else "")
    return f"nvidia-smi could not be run: {error}"
