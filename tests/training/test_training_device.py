"""The limit of a slot's GPU memory reaches TensorFlow; there is no GPU here, so its list of devices is made up."""

import keras
import pytest

from automl_pheno.errors import TrainingError
from automl_pheno.training import device
from automl_pheno.training.device import GPU_MEMORY, gpu_in_use, limit_memory

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has variables of its own"),
]


@pytest.fixture
def devices(monkeypatch):
    """Return what was set for two made-up GPUs."""
    import tensorflow as tf

    set_for = {}
    gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "set_logical_device_configuration", lambda gpu, parts: set_for.update({gpu: parts}))
    limit_memory.cache_clear()
    yield set_for
    limit_memory.cache_clear()


def test_each_gpu_is_held_to_the_memory_of_the_slot_once(devices, monkeypatch):
    monkeypatch.setenv(GPU_MEMORY, "36700")
    limit_memory()
    assert [[part.memory_limit for part in parts] for parts in devices.values()] == [[36700], [36700]]
    devices.clear()
    limit_memory()  # a GPU in use would refuse a second time
    assert devices == {}


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_limit_nothing_is_set(devices, monkeypatch, value):
    monkeypatch.delenv(GPU_MEMORY, raising=False)
    if value is not None:
        monkeypatch.setenv(GPU_MEMORY, value)
    limit_memory()
    assert devices == {}


def test_a_limit_that_comes_too_late_is_an_error(devices, monkeypatch):
    import tensorflow as tf

    def refuse(gpu, parts):
        msg = "Virtual devices cannot be modified after being initialized"
        raise RuntimeError(msg)

    monkeypatch.setenv(GPU_MEMORY, "100")
    monkeypatch.setattr(tf.config, "set_logical_device_configuration", refuse)
    with pytest.raises(TrainingError, match="cannot be held to 100 MiB any more: Virtual devices"):
        limit_memory()


def test_the_limit_is_set_before_the_first_network_is_built(monkeypatch):
    from automl_pheno.training import backend

    order = []
    monkeypatch.setattr(backend, "limit_memory", lambda: order.append("limit"))
    monkeypatch.setattr(backend, "Program", lambda structure: order.append("network"))
    monkeypatch.setattr("automl_pheno.training.tensorflow.TensorFlowEpoch", lambda program: None)
    backend.compiled.__wrapped__(None)
    assert order == ["limit", "network"]


def test_the_gpu_is_called_what_the_driver_calls_it(monkeypatch):
    import tensorflow as tf

    assert gpu_in_use() is None  # nothing but a CPU is here
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "Tesla T4"})
    assert gpu_in_use() == "Tesla T4"
    fake = type("Jax", (), {"devices": staticmethod(lambda: [type("D", (), {"platform": "gpu", "device_kind": "L4"})])})
    monkeypatch.setattr(device.keras.backend, "backend", lambda: "jax")
    monkeypatch.setitem(device.sys.modules, "jax", fake)
    assert gpu_in_use() == "L4"
