"""What a run was made with: ``provenance.json`` has one entry for each start of its search."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from automl_pheno.errors import StudyError
from automl_pheno.files import write_json
from automl_pheno.study.config import StudyConfig
from automl_pheno.study.run_folder import PROVENANCE
from automl_pheno.study.slots.machine import Machine, slot_environment
from automl_pheno.study.storage.address import redact

RESULT_VARIABLES = (
    # threads: sums are rounded in another order
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "PJRT_NPROC", "NPROC",
    # which instructions and kernels
    "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE", "TF_XLA_FLAGS", "XLA_FLAGS", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE", "NVIDIA_TF32_OVERRIDE", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64", "JAX_PLATFORMS",
    # which device and backend
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "KERAS_BACKEND", "KERAS_FLOATX",
)  # fmt: skip
"""Environment variables that change results, if only in the last digits."""

IN_PROCESS = "this process"

_PACKAGES = (
    "automl-pheno", "numpy", "scipy", "pandas", "scikit-learn", "joblib", "optuna", "optuna-dashboard", "keras-tuner",
    "dask", "distributed", "keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "ml-dtypes", "h5py", "shap",
    "pydantic", "pyyaml", "matplotlib", "bed-reader", "cyvcf2", "pyfaidx", "edlib", "sqlalchemy", "psycopg",
    "dask-jobqueue", "nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-cudnn-cu13", "nvidia-cublas",
    "jax-cuda12-plugin", "jax-cuda13-plugin",
)  # fmt: skip

_INSTRUCTIONS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve")
"""By which numerical libraries choose their kernels."""


def write_provenance(path: Path, facts: Mapping[str, Any]) -> None:
    """Add this start of the run to ``provenance.json``: versions, machine, environment, times and `facts`."""
    write_json(path / PROVENANCE, {"starts": [*_starts(path / PROVENANCE), {**describe(), **facts}]})


def read_provenance(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the starts of a run, oldest first; none where the file is missing.

    Raises
    ------
    StudyError
        The file is damaged.
    """
    file = path / PROVENANCE
    try:
        return tuple(json.loads(file.read_text(encoding="utf-8"))["starts"])
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{file}: is damaged ({error})"
        raise StudyError(msg) from error


def describe() -> dict[str, Any]:
    """Return what this process is: command, versions, hardware, and the environment variables that change results."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [redact(str(word)) for word in sys.argv],
        "host": socket.gethostname(),
        **describe_software(),
        **describe_hardware(),
        "environment": {name: os.environ[name] for name in RESULT_VARIABLES if name in os.environ},
    }


def describe_software() -> dict[str, Any]:
    """Return the versions of Python, this package and what it stands on."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _commit(),
        "packages": _versions(),
        "blas": _blas(),
    }


def describe_hardware() -> dict[str, Any]:
    """Return processor, cores, memory and GPUs of this machine."""
    import psutil

    model, instructions = _processor()
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model,
        "instructions": instructions,
        "cpu_count": os.cpu_count(),
        "cores": psutil.cpu_count(logical=False),
        "cpus_allowed": affinity,
        "memory": psutil.virtual_memory().total,
        "gpus": _gpus(),
    }


def describe_slots(config: StudyConfig, local: tuple[int, Machine] | None) -> dict[str, Any]:
    """Return where trials run and what of their environment changes results.

    Parameters
    ----------
    config
        The study.
    local
        Number of slots of this machine, and the machine; None where trials run in this process or elsewhere.
    """
    if local is None:
        return {"where": IN_PROCESS if config.workers == 0 else "elsewhere"}
    slots, machine = local
    environment = slot_environment(0, slots, machine, config.backend, config.slots_per_gpu)
    kept = {name: value for name, value in environment.items() if name in RESULT_VARIABLES}
    return {"where": "this machine", "slots": slots, "environment": kept}


def file_sha256(file: Path) -> str | None:
    """Return the SHA-256 of a file; None if it is not there."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def _starts(file: Path) -> list[Any]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return list(json.loads(file.read_text(encoding="utf-8"))["starts"])
    return []


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _blas() -> str:
    import numpy as np

    with contextlib.suppress(AttributeError, KeyError, TypeError):
        about = np.__config__.CONFIG["Build Dependencies"]["blas"]
        return f"{about['name']} {about['version']}"
    return ""


def _processor() -> tuple[str, list[str]]:
    """Return the model of the processor and which instructions it has of those that matter."""
    model, flags = platform.processor(), set[str]()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
            if not line.strip() and flags:  # the first processor is enough
                break
    return model, [name for name in _INSTRUCTIONS if name in flags]


def _gpus() -> list[dict[str, str]]:
    """Return name, memory and driver of each GPU that nvidia-smi lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    fields = ("name", "uuid", "memory.total", "driver_version", "compute_cap")
    query = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=15, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = ([part.strip() for part in line.split(",")] for line in answer.splitlines() if line.strip())
    return [dict(zip(fields, row, strict=False)) for row in rows]


def _commit() -> str | None:
    """Return the commit of the package's own checkout, with ``-dirty`` if it was changed; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    return None
