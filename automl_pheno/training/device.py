"""The GPU of this process: how much of its memory may be taken, and which it is."""

from __future__ import annotations

import os
import sys
from functools import cache

import keras

from automl_pheno.errors import TrainingError

GPU_MEMORY = "AUTOML_PHENO_GPU_MEMORY"
"""Environment variable: MiB that this process may take of its GPU; set where several slots share one."""


@cache
def limit_memory() -> None:
    """Hold TensorFlow to the memory in `GPU_MEMORY`, once; to be called before anything is put on the GPU.

    JAX reads variables of its own, which the slot sets.

    Raises
    ------
    TrainingError
        The GPU is in use already.
    """
    limit = os.environ.get(GPU_MEMORY)
    if not limit or keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        part = tf.config.LogicalDeviceConfiguration(memory_limit=int(limit))
        try:
            tf.config.set_logical_device_configuration(gpu, [part])
        except RuntimeError as error:
            msg = f"the memory of {gpu.name} cannot be held to {limit} MiB any more: {error}"
            raise TrainingError(msg) from error


def gpu_in_use() -> str | None:
    """Return the name of the GPU on which the backend computes, ``NVIDIA H100 80GB HBM3``; None on the CPU."""
    if keras.backend.backend() == "jax" and (jax := sys.modules.get("jax")) is not None:
        device = jax.devices()[0]
        return None if device.platform == "cpu" else str(device.device_kind)
    if keras.backend.backend() == "tensorflow" and (tf := sys.modules.get("tensorflow")) is not None:
        if not tf.config.list_logical_devices("GPU"):
            return None
        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        return str(details.get("device_name", "GPU"))
    return None
