"""Dask schedulers and workers as processes of their own, and a synthetic study on them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from automl_pheno.space.load import parse_space
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Silent
from automl_pheno.study.run_folder import JOURNAL, RunFolder
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import open_study
from automl_pheno.study.supervisor import Supervisor

HERE = Path(__file__).parent
SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {min: 1, max: 64}
    kernel_size: {min: 3, max: 99}
  - block: flatten
"""


class Hearing(Silent):
    """Keeps what it hears."""

    def __init__(self):
        self.messages = []
        self.records = []

    def message(self, text):
        self.messages.append(text)

    def finished(self, name, record, standing):
        self.records.append(record)


def make_run(path, size=200_000):
    """Make the folder of a run with what a worker would need of it."""
    (path / "logs").mkdir(parents=True)
    (path / "development.npz").write_bytes(os.urandom(size))
    (path / "split.csv").write_text("id,group,set,fold\n")
    return path


def search_far(run, executor, heard, trials, sleep=0.2, function="study_trials:marked", **common):
    """Run a synthetic study on an executor and return how it ended."""
    marks = run.parent / "marks"  # a worker may not see the run
    marks.mkdir(exist_ok=True)
    folder = RunFolder(run, metric="pearson_r", parameters=("trunk.0.filters", "trunk.0.kernel_size"))
    space = parse_space(SPACE)
    request = EngineRequest(
        space=space, seed=len(folder.records()), slots=executor.slots, folder=run, higher_is_better=True, max_epochs=3,
        trials=trials,
    )  # fmt: skip
    engine = make_engine("random", request)
    study = open_study(
        run / JOURNAL,
        "toy",
        "maximize",
        sampler=engine.sampler,
        pruner=make_pruner("none", Steps(last=3, folds=False, slots=4)),
    )
    plan = Plan(
        space=space, check=lambda config: 1, metric="pearson_r", higher_is_better=True, trials=trials, seed=5,
        common={
            "function": function, "sleep": sleep, "marks": str(marks), "run": str(run), "data": "none", **common
        },
        stop_grace=5.0,
    )  # fmt: skip
    book = TrialBook(study, folder, name="toy", higher_is_better=True)
    return Supervisor(plan, engine, book, executor, heard).run(), folder.records()


class Machines:
    """Starts processes and ends them, each with all that it started."""

    def __init__(self, logs):
        self.logs = logs
        self.processes = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name, *command, before=(), **environment):
        """Start a command under a name, `before` in front of it."""
        with (self.logs / f"{name}.txt").open("w") as log:
            process = subprocess.Popen(
                [*before, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(HERE), "CUDA_VISIBLE_DEVICES": "-1", **environment},
            )
        self.processes[name] = process
        return process

    def scheduler(self, host="127.0.0.1", protocol="tcp", **options):
        """Start a scheduler and return its address."""
        with socket.socket() as free:
            free.bind((host, 0))
            port = free.getsockname()[1]
        self.start(
            "scheduler", *dask("scheduler"), "--host", host, "--port", str(port), "--protocol", protocol,
            "--no-dashboard", **options,
        )  # fmt: skip
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
                return f"{protocol}://{host}:{port}"
            assert time.monotonic() < end, (self.logs / "scheduler.txt").read_text()
            time.sleep(0.1)

    def worker(self, address, name, *options, before=(), **environment):
        """Start a worker of a scheduler."""
        return self.start(
            name, *dask("worker"), address, "--name", name, "--no-dashboard", "--local-directory",
            str(self.logs / name), *options, before=before, **environment,
        )  # fmt: skip

    def end(self, name, number=signal.SIGKILL):
        """End one process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, number)
        self.processes[name].wait(20)

    def close(self):
        """End all."""
        for name in self.processes:
            self.end(name)


def dask(what):
    """Return the command of a Dask scheduler or worker of this interpreter."""
    return (sys.executable, "-m", "dask", what)


def hidden(folder):
    """Return what to put before a command so that it does not see the folder (root only)."""
    return (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        f'mount -t tmpfs none {folder} && exec "$@"',
        "-",
    )


@contextlib.contextmanager
def meanwhile(*acts):
    """Do the acts one after the other, beside the block; each waits for what it needs itself."""
    failed = []

    def run():
        try:
            for act in acts:
                act()
        except Exception as error:  # noqa: BLE001 - raised anew in the test
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive(), "what was to happen meanwhile did not"
    if failed:
        raise failed[0]


def show(capsys, text):
    """Print figures of a slow test."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")


def assert_exact(records, trials):
    """Assert that there are so many trials, none twice."""
    assert [record.state for record in records] == ["complete"] * trials
    assert len({record.trial for record in records}) == trials
    assert len({str(sorted(record.params.items())) for record in records}) == trials
