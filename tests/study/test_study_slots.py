"""What a slot's process gets, how many there are, and what a user sees."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from automl_pheno.errors import InfeasibleError, StudyError, TrainingError
from automl_pheno.study.slots import cluster, worker
from automl_pheno.study.progress import ConsoleProgress, Standing, duration
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.slots.cluster import THREAD_VARIABLES, Machine, count_slots, read_machine, slot_environment
from automl_pheno.study.slots.dask_executor import remote_executor

TWO_GPUS = Machine(cores=12, gpus=("3", "GPU-ab"), memory=2**34)
NO_GPU = Machine(cores=6, gpus=(), memory=2**34)


def test_one_slot_a_gpu_or_else_a_core():
    assert count_slots("auto", TWO_GPUS) == 2
    assert count_slots("auto", NO_GPU) == 6
    assert count_slots(4, TWO_GPUS) == 4


def test_each_slot_is_pinned_to_its_gpu_and_its_share_of_cores():
    environments = [slot_environment(slot, 4, TWO_GPUS, "jax") for slot in range(4)]
    assert [env["CUDA_VISIBLE_DEVICES"] for env in environments] == ["3", "GPU-ab", "3", "GPU-ab"]
    assert {env[name] for env in environments for name in THREAD_VARIABLES} == {"3"}
    assert environments[0]["KERAS_BACKEND"] == "jax"
    assert slot_environment(0, 8, NO_GPU, "tensorflow")["CUDA_VISIBLE_DEVICES"] == "-1"
    assert slot_environment(0, 8, NO_GPU, "tensorflow")["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("visible", "gpus"), [("", ()), ("-1", ()), ("2", ("2",)), ("0, GPU-ab", ("0", "GPU-ab"))])
def test_gpus_are_those_that_the_parent_may_see(monkeypatch, visible, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert read_machine().gpus == gpus


def test_gpus_are_counted_where_nothing_is_said(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: X (UUID: GPU-a)'\necho 'GPU 1: X (UUID: GPU-b)'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cluster._read_gpus() == ("0", "1")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert cluster._read_gpus() == ()


def run(error, monkeypatch):
    def function(task, report):
        raise error

    monkeypatch.setattr(worker, "_resolve", lambda name: function)
    return worker.run_task({"id": "a", "function": "x:y"}, lambda step, value: False)


@pytest.mark.parametrize(
    ("error", "state", "reason", "recycle"),
    [
        (InfeasibleError("too long"), "infeasible", "too long", False),
        (TrainingError("loss is nan"), "failed", "loss is nan", False),
        (MemoryError(), "failed", "MemoryError", True),
        (KeyError("x"), "failed", "KeyError: 'x'", False),
    ],
)
def test_whatever_a_trial_raises_becomes_an_outcome(monkeypatch, error, state, reason, recycle):
    outcome = run(error, monkeypatch)
    assert (outcome["state"], outcome["reason"], outcome["recycle"]) == (state, reason, recycle)
    assert outcome["rss"] > 2**20
    assert outcome["pid"] > 0


def test_a_process_that_has_grown_asks_to_be_recycled(monkeypatch):
    monkeypatch.setattr(worker, "_rss_after_first", [0])
    monkeypatch.setattr(worker, "_clean_up", lambda: int(1.4 * 2**30))
    assert not run(TrainingError("x"), monkeypatch)["recycle"]
    monkeypatch.setattr(worker, "_clean_up", lambda: int(1.6 * 2**30))
    assert run(TrainingError("x"), monkeypatch)["recycle"]


def test_no_scheduler_at_the_address(tmp_path):
    refusal = "no Dask scheduler answers at 'nonsense://x'"
    with pytest.raises(StudyError, match=refusal), remote_executor("nonsense://x", tmp_path):
        pass


RECORD = TrialRecord(kind="network", name="cnn-4", state="complete", trial=4, value=0.51234, epochs=12, seconds=3.2)


def listen(console):
    progress = ConsoleProgress(console)
    progress.begin(Standing(target=30, metric="pearson_r"), slots=2, time_limit=600.0)
    progress.started("cnn-4", "host:1")
    progress.started("cnn-5", "host:2")
    progress.reported("cnn-5", 7, 0.25)
    text = progress._render()
    progress.finished(
        "cnn-4", RECORD, Standing(target=30, metric="pearson_r", complete=1, fresh=1, best=0.51234, best_name="cnn-4")
    )
    header = progress._header()
    progress.end()
    return text, header


def test_log_lines_where_there_is_no_terminal():
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    listen(console)
    assert console.file.getvalue() == "[1/30] cnn-4 complete: pearson_r 0.5123, 12 epochs, 3.2 s\n"


def test_a_line_for_each_slot_and_a_header_in_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    shown, header = listen(console)
    lines = Console(file=io.StringIO(), width=200)
    lines.print(shown)
    head, columns, *slots = lines.file.getvalue().splitlines()
    assert head.startswith("0/30 trials | ")
    assert columns.split() == ["slot", "trial", "step", "value", "seconds"]
    assert [line.split()[:2] for line in slots] == [["host:1", "cnn-4"], ["host:2", "cnn-5"]]
    assert re.fullmatch(
        r"1/30 trials \| 1 done, 0 pruned, 0 failed \| pearson_r: best 0.5123 \(cnn-4\) \| \d+ trials/h \| .+ left",
        header,
    )
    assert "\x1b[" in console.file.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (61, "1 min"), (3900, "1 h 05 min")])
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text
