"""Slots on GPUs, with scripts in the place of nvidia-smi: no GPU is needed, and none was there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from automl_pheno.errors import StudyError
from automl_pheno.study.slots import device, machine
from automl_pheno.study.slots.device import device_name, planned_device
from automl_pheno.study.slots.machine import Gpu, Machine, count_slots, read_machine, slot_environment, slot_notes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="slots are POSIX processes")

H100 = "NVIDIA H100 80GB HBM3"
LISTING = f"GPU 0: {H100} (UUID: GPU-aa11)\nGPU 1: NVIDIA L4 (UUID: GPU-bb22)\n"
SPLIT = (
    "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa11)\n"
    "  MIG 3g.20gb     Device  0: (UUID: MIG-5150)\n"
    "  MIG 1g.5gb+me   Device  1: (UUID: MIG-GPU-aa11/7/0)\n"
    "GPU 1: NVIDIA L4 (UUID: GPU-bb22)\n"
)
MEMORY = "GPU-aa11, 81559\nGPU-bb22, [N/A]\n"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Return a function that makes the only program on the path a nvidia-smi with such a listing."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    def smi(listing=LISTING, memory=MEMORY, script=None):
        program = tmp_path / "nvidia-smi"
        told = f"#!/bin/sh\nif [ \"$1\" = -L ]; then printf '%s' '{listing}'; else printf '%s' '{memory}'; fi\n"
        program.write_text(told if script is None else script)
        program.chmod(0o755)

    return smi


def gpus(timeout=20.0):
    return read_machine(smi_timeout=timeout).gpus


def test_gpus_with_their_memory(smi):
    smi()
    assert gpus() == (
        Gpu(visible="0", number="0", model=H100, memory=81559 * 2**20),
        Gpu(visible="1", number="1", model="NVIDIA L4", memory=None),
    )


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        ("", []),
        ("-1", []),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        (" GPU-bb22 , 0", ["GPU-bb22", "0"]),
        ("GPU-bb", ["GPU-bb"]),
        ("0,-1,1", ["0"]),  # CUDA ends at the first that is not there
        ("0,,1", ["0"]),
        ("0,0", ["0"]),
    ],
)
def test_the_parents_choice_is_kept_in_its_order(smi, monkeypatch, visible, chosen):
    smi()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = gpus()
    assert [gpu.visible for gpu in found] == chosen
    assert {gpu.model for gpu in found} <= {H100, "NVIDIA L4"}


def test_a_gpu_that_is_not_there_ends_the_list_and_is_reported(smi, monkeypatch):
    smi()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,7,0")
    found = read_machine()
    assert [gpu.visible for gpu in found.gpus] == ["1"]
    (note,) = slot_notes(found, 1)
    assert "'7' and what follows is left out" in note
    assert "0 (GPU-aa11); 1 (GPU-bb22)" in note


def test_the_parts_of_a_split_gpu_are_the_gpus(smi, monkeypatch):
    smi(SPLIT)
    parts = (
        Gpu(visible="MIG-5150", number="0", model="NVIDIA A100-SXM4-40GB MIG 3g.20gb", memory=20 * 10**9),
        Gpu(visible="MIG-GPU-aa11/7/0", number="0", model="NVIDIA A100-SXM4-40GB MIG 1g.5gb+me", memory=5 * 10**9),
    )
    assert gpus() == (*parts, Gpu(visible="1", number="1", model="NVIDIA L4"))
    for visible, chosen in [
        ("0", parts),
        ("GPU-aa11", parts),
        ("MIG-5150", parts[:1]),
        ("MIG-GPU-aa11/7/0", parts[1:]),
    ]:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpus() == chosen
    assert parts[0].label(2) == "gpu 0 (NVIDIA A100-SXM4-40GB MIG 3g.20gb, 1/2)"


def test_an_nvidia_smi_that_fails_or_hangs_means_no_gpu_and_says_so(smi, monkeypatch):
    smi(script="#!/bin/sh\necho 'has failed because it could not communicate with the driver'\nexit 9\n")
    found = read_machine()
    assert found.gpus == ()
    assert found.notes == (
        "no GPU is used: nvidia-smi failed with code 9: has failed because it could not communicate with the driver",
    )
    smi(script="#!/bin/sh\n/bin/sleep 60\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # by a queue, on a node whose driver hangs
    started = time.monotonic()
    found = read_machine(smi_timeout=0.2)
    assert time.monotonic() - started < 5
    assert (found.gpus, found.notes) == ((), ("no GPU is used: nvidia-smi did not answer within 0.2 s",))
    smi(script="not a program")
    assert "could not be run" in read_machine().notes[0]


def test_without_nvidia_smi_the_environment_is_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-ab")
    assert gpus() == (Gpu(visible="2"), Gpu(visible="GPU-ab"))
    assert [gpu.label() for gpu in gpus()] == ["gpu 2", "gpu GPU-ab"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus() == ()


def made(count=2, gib=80):
    found = tuple(Gpu(visible=str(i), number=str(i), model=H100, memory=gib * 2**30) for i in range(count))
    return Machine(cores=12, gpus=found, memory=2**34)


def test_slots_are_as_many_as_the_gpus_hold():
    assert [count_slots("auto", made(), k) for k in (1, 2, 3)] == [2, 4, 6]
    assert [count_slots(n, made(), 2) for n in (1, 3, 4)] == [1, 3, 4]
    none = replace(made(), gpus=())
    assert (count_slots("auto", none, 2), count_slots(7, none, 2)) == (12, 7)
    assert slot_notes(none, 2) == ("slots_per_gpu: 2 has no effect: no GPU was found here",)
    assert slot_notes(made(), 2) == slot_notes(none, 1) == ()


@pytest.mark.parametrize(
    ("workers", "slots_per_gpu", "there", "complaint"),
    [
        (4, 1, made(), r"workers: 4 is more than 2 GPUs with slots_per_gpu: 1 hold \(2\); give slots_per_gpu: 2 "),
        (3, 2, made(1), r"workers: 3 is more than 1 GPU with slots_per_gpu: 2 hold \(2\); give slots_per_gpu: 3 "),
        ("auto", 2, replace(made(), gpus=(Gpu(visible="0"),)), "needs the memory of gpu 0, which nvidia-smi does not"),
        ("auto", 8, made(1, gib=4), "leaves each slot 512 MiB of gpu 0 .* give at most 5$"),
    ],
)
def test_workers_and_slots_per_gpu_must_agree(workers, slots_per_gpu, there, complaint):
    with pytest.raises(StudyError, match=complaint):
        count_slots(workers, there, slots_per_gpu)


def test_slots_are_dealt_round_over_the_gpus():
    environments = [slot_environment(slot, 4, made(), "tensorflow", 2) for slot in range(4)]
    assert [env["CUDA_VISIBLE_DEVICES"] for env in environments] == ["0", "1", "0", "1"]
    assert {env["CUDA_DEVICE_ORDER"] for env in environments} == {"PCI_BUS_ID"}
    assert environments[2][machine.DEVICE] == f"gpu 0 ({H100}, 1/2)"
    assert {env["OMP_NUM_THREADS"] for env in environments} == {"3"}


def test_a_slot_alone_on_its_gpu_grows_and_slots_that_share_are_capped():
    alone = slot_environment(0, 2, made(), "tensorflow")
    assert (alone["TF_FORCE_GPU_ALLOW_GROWTH"], alone[machine.GPU_MEMORY]) == ("true", "")
    for gib, slots in [(80, 2), (80, 7), (16, 4), (8, 8)]:
        shared = slot_environment(0, slots, made(1, gib), "tensorflow", slots)
        assert shared["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
        share, cap = gib * 1024 / slots, int(shared[machine.GPU_MEMORY])
        assert cap <= 0.9 * share
        assert cap == pytest.approx(share - max(0.1 * share, 512), abs=1)
    fraction = float(slot_environment(0, 2, made(), "jax", 2)["XLA_PYTHON_CLIENT_MEM_FRACTION"])
    assert fraction == 0.45


def test_jax_is_capped_by_its_own_variables_whatever_the_parent_has(monkeypatch):
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.95")  # with the older name beside it, JAX refuses to start
    shared = slot_environment(1, 4, made(), "jax", 2)
    assert shared["XLA_CLIENT_MEM_FRACTION"] == ""
    assert (shared["XLA_PYTHON_CLIENT_ALLOCATOR"], shared["XLA_PYTHON_CLIENT_PREALLOCATE"]) == ("bfc", "true")
    assert shared[machine.GPU_MEMORY] == ""
    assert "JAX_PLATFORMS" not in shared
    alone = slot_environment(0, 1, made(), "jax")
    assert alone["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in alone


def test_without_a_gpu_jax_looks_for_none(monkeypatch):
    none = replace(made(), gpus=())
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    environment = slot_environment(0, 3, none, "jax")
    assert (environment["JAX_PLATFORMS"], environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", "-1")
    assert environment["PJRT_NPROC"] == "4"
    assert environment[machine.DEVICE] == "cpu"
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    assert slot_environment(0, 3, none, "jax")["JAX_PLATFORMS"] == "tpu"


def test_a_device_is_what_the_backend_used_and_called_what_the_slot_was_given(monkeypatch):
    asked = []
    fake = types.ModuleType("automl_pheno.training.device")
    fake.gpu_in_use = lambda: asked.append(1) or used
    network, baseline = {"candidate": {"name": "network"}}, {"candidate": {"name": "ridge"}}
    monkeypatch.setitem(sys.modules, "automl_pheno.training", types.ModuleType("automl_pheno.training"))
    monkeypatch.setitem(sys.modules, "automl_pheno.training.device", fake)
    monkeypatch.setenv(machine.DEVICE, f"gpu 0 ({H100}, 1/2)")
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    assert device_name(network) == "cpu"
    assert not asked
    monkeypatch.setitem(sys.modules, "keras", types.ModuleType("keras"))
    used = H100
    assert device_name(baseline) == "cpu"
    assert device_name({}) == device_name(network) == planned_device() == f"gpu 0 ({H100}, 1/2)"
    used = None  # the slot has a GPU, but the backend was installed without CUDA
    assert device_name(network) == "cpu"
    monkeypatch.delenv(machine.DEVICE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    used = "Tesla T4"
    assert (device_name(network), planned_device()) == ("gpu 3 (Tesla T4)", "")

    def fail():
        raise RuntimeError

    fake.gpu_in_use = fail
    assert device_name(network) == "gpu (does not answer: RuntimeError)"
    monkeypatch.setenv(machine.DEVICE, device.CPU)
    assert planned_device() == ""


def test_training_reads_the_variable_that_the_slots_write():
    source = (Path(machine.__file__).parents[2] / "training" / "device.py").read_text()
    assert f'GPU_MEMORY = "{machine.GPU_MEMORY}"' in source


def environment_of_a_slot(task, report):
    names = (*machine.THREAD_VARIABLES, "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", machine.GPU_MEMORY, machine.DEVICE)
    names += ("TF_FORCE_GPU_ALLOW_GROWTH", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION")
    return {"state": "complete", "environment": {name: os.environ.get(name) for name in names}}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_real_slots_have_the_environment_and_show_their_gpu(smi, tmp_path, monkeypatch, backend):
    from automl_pheno.study.slots.dask_executor import local_executor

    path = os.environ["PATH"]
    smi(memory="GPU-aa11, 81559\nGPU-bb22, 23034\n")
    found = replace(read_machine(), cores=8)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.95")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    slots = count_slots("auto", found, 2)
    seen, reported = [], []
    with local_executor(slots, found, backend, tmp_path / "logs", 2) as executor:
        end = time.monotonic() + 60
        while executor.free() < slots:
            assert time.monotonic() < end, "the slots do not come"
            time.sleep(0.1)
        for number in range(slots):
            executor.submit({"id": str(number), "function": f"{__name__}:environment_of_a_slot"})
        while len(seen) < slots:
            assert time.monotonic() < end, "the tasks do not end"
            seen += [done.outcome["environment"] for done in executor.poll(1.0, reported.append)]
    shown = {report.slot.split(" ", 1)[1] for report in reported}
    assert sorted(environment["CUDA_VISIBLE_DEVICES"] for environment in seen) == ["0", "0", "1", "1"]
    assert {environment["CUDA_DEVICE_ORDER"] for environment in seen} == {"PCI_BUS_ID"}
    assert {environment["PJRT_NPROC"] for environment in seen} == {"2"}
    assert shown == {f"gpu 0 ({H100}, 1/2)", "gpu 1 (NVIDIA L4, 1/2)"}
    assert {environment[machine.DEVICE] for environment in seen} == shown
    limits = {environment["CUDA_VISIBLE_DEVICES"]: environment[machine.GPU_MEMORY] for environment in seen}
    if backend == "tensorflow":
        assert limits == {"0": str(int(0.9 * 81559 / 2)), "1": str(int(0.9 * 23034 / 2))}
        assert {environment["TF_FORCE_GPU_ALLOW_GROWTH"] for environment in seen} == {"false"}
    else:
        assert {environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] for environment in seen} == {"0.4500"}
        assert {environment["XLA_CLIENT_MEM_FRACTION"] for environment in seen} == {""}
        assert set(limits.values()) == {""}


def test_nvidia_smi_is_ended_with_all_that_it_started(smi, tmp_path):
    smi(script=f"#!/bin/sh\n/bin/sleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    with pytest.raises(subprocess.TimeoutExpired):
        machine._ask([str(tmp_path / "nvidia-smi")], 0.5)
    child = int((tmp_path / "child").read_text())
    end = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.02)
