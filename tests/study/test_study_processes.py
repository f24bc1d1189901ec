"""Real processes: workers, supervisors, and what is left when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest
from study_wait import wait_for

from automl_pheno.study.records import read_records

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="slots are POSIX processes")

within_40_s = partial(wait_for, seconds=40.0)


@pytest.fixture
def start(tmp_path):
    """Start the driver on the run folder ``tmp_path/run``; everything is killed at the end."""
    started = []

    def start(trials, workers=2, sleep=0.1):
        command = [sys.executable, str(HERE / "study_driver.py"), str(tmp_path / "run")]
        with (tmp_path / f"out-{len(started)}.txt").open("w") as log:
            process = subprocess.Popen(
                [*command, *map(str, (trials, workers, sleep))],
                env={**os.environ, "PYTHONPATH": str(HERE)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        process.log = tmp_path / f"out-{len(started)}.txt"
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def finish(process):
    code = process.wait(timeout=60)
    return code, process.log.read_text()


def networks(run):
    return [record for record in read_records(run / "trials.jsonl") if record.kind == "network"]


def running_slots(run):
    """Return the ids of live processes that trained for this run."""
    ids = {int(text) for mark in (run / "marks").glob("*") if (text := mark.read_text())}
    return [pid for pid in ids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def assert_exact(run, trials):
    records = networks(run)
    assert [record.state for record in records] == ["complete"] * trials
    assert len({str(sorted(record.params.items())) for record in records}) == trials
    assert len({record.trial for record in records}) == trials
    baselines = [record for record in read_records(run / "trials.jsonl") if record.kind == "baseline"]
    assert [record.name for record in baselines] == ["mean"]


def test_a_killed_worker_loses_nothing(start, tmp_path):
    run = tmp_path / "run"
    process = start(6, sleep=0.15)
    mark = within_40_s(lambda: [mark for mark in (run / "marks").glob("toy-1.*") if mark.read_text()])[0]
    os.kill(int(mark.read_text()), signal.SIGKILL)
    code, output = finish(process)
    assert code == 0, output
    assert output.splitlines()[-1] == "finished"
    assert_exact(run, 6)
    retried = [record for record in networks(run) if record.retries]
    assert [record.retries for record in retried] == [(1,)]
    assert "toy-1: its process died; it is put back" in output
    wait_for(lambda: not running_slots(run), seconds=10)


def test_a_killed_supervisor_takes_its_slots_along_and_resumes_exactly(start, tmp_path):
    run = tmp_path / "run"
    process = start(6, sleep=0.2)
    within_40_s(lambda: len(networks(run)) >= 2 and running_slots(run))
    process.send_signal(signal.SIGSTOP)  # it must not end before the rival has tried
    code, output = finish(start(6))
    assert code == 2
    assert f"another search is running here (process {process.pid})" in output
    process.kill()
    process.wait()
    wait_for(lambda: not running_slots(run), seconds=10)
    before = networks(run)
    with (run / "journal.log").open("ab") as file:
        file.write(b'{"op_code": 6, "wor')
    with (run / "trials.jsonl").open("ab") as file:
        file.write(b'{"kind": "network", "na')
    code, output = finish(start(6, sleep=0.05))
    assert code == 0, output
    assert_exact(run, 6)
    assert networks(run)[: len(before)] == before


def test_ctrl_c_ends_cleanly_and_resumes_exactly(start, tmp_path):
    run = tmp_path / "run"
    process = start(6, sleep=0.5)
    within_40_s(lambda: networks(run))
    marks = set((run / "marks").glob("toy-*"))
    within_40_s(lambda: set((run / "marks").glob("toy-*")) - marks)  # a trial has just begun
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 0, output
    assert output.splitlines()[-1] == "interrupted"
    assert 1 <= len(networks(run)) < 6
    wait_for(lambda: not running_slots(run), seconds=10)
    code, output = finish(start(6, sleep=0.05))
    assert code == 0, output
    assert_exact(run, 6)
    assert any(record.retries for record in networks(run))
