"""Several machines, made of network namespaces: one is cut off, one loses a process, one leaves in good order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import dask
import pytest
from far_study import Hearing, Machines, assert_exact, hidden, make_run, meanwhile, search_far, show
from study_wait import wait_for

from automl_pheno.study.slots.dask_executor import remote_executor

pytestmark = pytest.mark.slow

NET = "10.213.77"
TCP = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}


def ip(*words, check=True):
    return subprocess.run(("ip", *words), check=check, capture_output=True, text=True)


def why_not():
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need root, ip (iproute2) and unshare"
    made = ip("netns", "add", "aph-try", check=False)
    ip("netns", "delete", "aph-try", check=False)
    return f"network namespaces cannot be made here: {made.stderr.strip()}" if made.returncode else ""


@pytest.fixture
def machines(tmp_path):
    """Yield machines on a network of five namespaces, named 1 to 5; the supervisor and the scheduler are outside."""
    if reason := why_not():
        pytest.skip(reason)
    bridge = "aph-br"
    found = Machines(tmp_path / "machines")
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{NET}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number in range(1, 6):
            space, outer, inner = f"aph-{number}", f"aph-o{number}", f"aph-i{number}"
            ip("netns", "add", space)
            ip("link", "add", outer, "type", "veth", "peer", "name", inner)
            ip("link", "set", outer, "master", bridge, "up")
            ip("link", "set", inner, "netns", space)
            ip("-n", space, "addr", "add", f"{NET}.{10 + number}/24", "dev", inner)
            ip("-n", space, "link", "set", inner, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield found
    finally:
        found.close()
        for number in range(1, 6):
            ip("netns", "delete", f"aph-{number}", check=False)
        ip("link", "delete", bridge, check=False)


def start(machines, address, number, *options, run=None):
    """Start a worker in a namespace; with `run` one that does not see that folder."""
    before = ("ip", "netns", "exec", f"aph-{number}", *(hidden(run) if run is not None else ()))
    cache = str(machines.logs / f"cache-{number}")
    return machines.worker(address, f"m{number}", *options, before=before, AUTOML_PHENO_CACHE=cache, **TCP)


def test_machines_are_cut_off_and_killed_and_no_trial_is_lost_or_done_twice(machines, tmp_path, capsys):
    run, heard = make_run(tmp_path / "run"), Hearing()
    address = machines.scheduler(f"{NET}.1", **TCP)
    start(machines, address, 1, run=run)
    start(machines, address, 2, "--nworkers", "2", run=run)
    start(machines, address, 3)
    start(machines, address, 4, "--nthreads", "4")
    start(machines, address, 5, "--no-nanny")

    def on(name, count):
        """Return the process that trains on a machine, once so many trials have ended."""
        wait_for(lambda: len(heard.records) >= count)
        return wait_for(lambda: slots(name))[0]

    def slots(name):
        return [slot.address for slot in seen["executor"]._workers.slots.values() if slot.name.startswith(name)]

    def busy(name):
        here = set(slots(name))
        return [flight for flight in seen["executor"]._flights.values() if flight.address in here]

    def blink():  # two seconds, as a switch that starts anew: nothing may come of it
        wait_for(lambda: len(heard.records) >= 4)
        ip("link", "set", "aph-o3", "down")
        subprocess.run(["sleep", "2"], check=True)
        ip("link", "set", "aph-o3", "up")

    def kill_process():
        wait_for(lambda: len(heard.records) >= 10 and busy("m4"))
        worker = [pid for pid in children(machines.processes["m4"].pid) if "spawn_main" in command(pid)]
        os.kill(worker[0], signal.SIGKILL)

    def cut():
        wait_for(lambda: len(heard.records) >= 16 and busy("m1"))
        ip("link", "set", "aph-o1", "down")

    def leave():
        wait_for(lambda: len(heard.records) >= 22 and busy("m2"))
        machines.processes["m2"].send_signal(signal.SIGTERM)

    seen = {}
    with (
        dask.config.set({"distributed.comm.timeouts.tcp": "12s"}),
        remote_executor(address, run, "tensorflow", run / "logs", heard.message) as executor,
    ):
        seen["executor"] = executor
        wait_for(lambda: executor.free() == 6)
        sent = dict(executor._supply.sent)
        with meanwhile(blink, kill_process, cut, leave):
            ending, records = search_far(run, executor, heard, trials=60, sleep=0.35)
        left = executor.slots
    assert ending == "finished"
    assert_exact(records, 60)
    put_back = [text for text in heard.messages if "it is put back" in text]
    died = [text for text in put_back if "its process died" in text]
    cut_off = [text for text in put_back if "cut off" in text]
    gone = [text for text in put_back if "its worker left" in text]
    show(capsys, f"60 trials on 6 slots of 5 machines; put back: {put_back}; bytes sent: {sent}; slots left: {left}")
    assert len(died) == 1
    assert len(cut_off) == 1
    assert 1 <= len(gone) <= 2
    assert len(put_back) == len(died) + len(cut_off) + len(gone)
    assert sum(len(record.retries) for record in records) == len(put_back)
    size = (run / "development.npz").stat().st_size + (run / "split.csv").stat().st_size
    assert sum(sent.values()) == 2 * size  # once to each of the two that do not see the folder
    assert left == 3


def test_a_lost_scheduler_ends_the_study_with_words_and_it_resumes(machines, tmp_path, monkeypatch):
    from automl_pheno.errors import StudyError
    from automl_pheno.study.slots import dispatch

    monkeypatch.setattr(dispatch, "RECONNECT", 5.0)
    run, heard = make_run(tmp_path / "run"), Hearing()
    address = machines.scheduler(f"{NET}.1", **TCP)
    start(machines, address, 1)

    def lose():
        wait_for(lambda: len(heard.records) >= 2)
        machines.end("scheduler")

    refusal = "the Dask scheduler does not answer any more .*; the same command resumes the study"

    def search():
        with remote_executor(address, run, "tensorflow", run / "logs", heard.message) as executor, meanwhile(lose):
            search_far(run, executor, heard, trials=8)

    with pytest.raises(StudyError, match=refusal):
        search()
    assert 2 <= len(heard.records) < 8
    machines.end("m1")
    address = machines.scheduler(f"{NET}.1", **TCP)
    start(machines, address, 1)
    with remote_executor(address, run, "tensorflow", run / "logs", heard.message) as executor:
        ending, records = search_far(run, executor, heard, trials=8)
    assert ending == "finished"
    assert_exact(records, 8)


def children(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def command(pid):
    import psutil

    return " ".join(psutil.Process(pid).cmdline())
