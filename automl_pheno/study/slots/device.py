"""What a trial was trained on, in the words of records and leaderboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from automl_pheno.study.slots.machine import DEVICE

CPU = "cpu"


def planned_device() -> str:
    """Return what the supervisor gave to this slot, ``gpu 0 (NVIDIA H100 80GB HBM3, 1/2)``; "" if nothing or no GPU."""
    given = os.environ.get(DEVICE, "")
    return "" if given == CPU else given


def device_name(task: Mapping[str, Any]) -> str:
    """Return ``cpu`` or the GPU that `task` has used in this process, as its own backend saw it.

    Keras is not loaded by asking; a baseline never uses it. Where no supervisor named the slot's GPU (a worker that
    others started) it is called by its number in ``CUDA_VISIBLE_DEVICES``.
    """
    if "keras" not in sys.modules:
        return CPU
    from automl_pheno.study.baselines import BASELINES

    if (task.get("candidate") or {}).get("name") in BASELINES:
        return CPU
    from automl_pheno.training.device import gpu_in_use

    try:
        model = gpu_in_use()
    except Exception as error:  # noqa: BLE001 - a GPU that failed must not hide why the trial did
        return f"{planned_device() or 'gpu'} (does not answer: {type(error).__name__})"
    if model is None:
        return CPU
    number = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"
    return planned_device() or f"gpu {number} ({model})"
