"""How the supervisor scales: a thousand slots in virtual time, and a run of 100,000 trials taken up again.

The real supervisor, engine, book of trials, journal and records work against an executor without processes: a trial
takes 60 virtual seconds, more or less, and reports ten times, and the next thing that happens happens at once. So the
time that passes is the supervisor's own. The messages of Dask are not in it; ``benchmarks/overhead.py`` has them.

Printed are reports and trials a second that one core sustains, processor time of each, bytes that each trial leaves
behind, and memory; then the seconds from a fresh process to its first proposal in a run of 100,000 trials (made from
the files of the simulated run), the first time, in which the journal is rewritten, and from then on, beside plain
Optuna that opens the same journal and asks TPE.

    python benchmarks/scale.py [--quick] [--slots 1000] [--trials 6000] [--resume 100000] [--engine tpe]
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPORTS = 10
PARAMETERS = (
    "trunk.0.filters",
    "trunk.0.kernel_size",
    "fit.learning_rate",
    "fit.l2",
    "fit.batch_size",
    "trunk.0.dropout",
)
SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {min: 1, max: 512}
    kernel_size: {min: 3, max: 199}
    dropout: {min: 0.0, max: 0.5}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-5, max: 1.0e-1, log: true}
  l2: {min: 1.0e-7, max: 1.0e-2, log: true}
  batch_size: {values: [32, 64, 128]}
"""


class Virtual:
    """An executor whose trials take virtual time."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.reports = 0
        self.now = 0.0
        self._random = random.Random(1)
        self._events: list[tuple[float, int, str, int]] = []
        self._values: dict[str, float] = {}
        self._stopped: set[str] = set()
        self._count = 0

    def free(self) -> int:
        """Return the number of free slots."""
        return self.slots - len(self._values)

    def expect(self, tasks: int) -> None:
        """Do nothing."""

    def submit(self, task: dict[str, Any]) -> None:
        """Plan what the trial will report, and when."""
        name, config = str(task["id"]), task["candidate"]["config"]
        filters, rate = config["trunk"][0]["filters"], config["fit"]["learning_rate"]
        self._values[name] = 1.0 - (filters / 512 - 0.3) ** 2 - rate + 0.02 * self._random.gauss(0.0, 1.0)
        takes = 60.0 * self._random.uniform(0.5, 1.5)
        for step in range(1, REPORTS + 1):
            self._plan(self.now + takes * step / REPORTS, name, step)

    def _plan(self, moment: float, name: str, step: int) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, name, step))

    def poll(self, timeout: float, on_report: Any) -> list[Any]:  # noqa: ARG002 - never waits
        """Let a tenth of a virtual second pass, at least until something happens."""
        from automl_pheno.study.slots.executor import Finished, Reported

        finished: list[Any] = []
        end = self._events[0][0] + 0.1 if self._events else 0.0
        while self._events and self._events[0][0] <= end:
            self.now, _, name, step = heapq.heappop(self._events)
            if name not in self._values:
                continue
            value = self._values[name] - (REPORTS - step) * 0.01
            on_report(Reported(task=name, step=step, value=value, slot="virtual:1"))
            self.reports += 1
            if step == REPORTS or name in self._stopped:
                del self._values[name]
                finished.append(Finished(task=name, outcome=outcome(name in self._stopped, value, step)))
        return finished

    def stop(self, task: str) -> None:
        """End the trial at its next report."""
        self._stopped.add(task)

    def kill(self, task: str) -> None:
        """End the trial at its next report."""
        self._stopped.add(task)

    def recycle(self, task: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def outcome(stopped: bool, value: float, step: int) -> dict[str, Any]:  # noqa: FBT001 - local
    """Return what a trial brings back, as long as one of a network with 30 epochs."""
    curve = [
        {"epoch": epoch, "loss": 1.0 / epoch, "val_loss": 1.1 / epoch, "val_pearson_r": value} for epoch in range(1, 31)
    ]
    scores = {"pearson_r": value, "spearman_r": value, "r2": value, "rmse": 1.0 - value, "mae": 0.5}
    return {
        "state": "pruned" if stopped else "complete", "value": value, "scores": scores, "fold_scores": (scores,),
        "weights": 12345, "epochs": step, "best_epoch": step, "seconds": 60.0, "curve": curve, "host": "node",
        "pid": 1, "rss": 1, "device": "cpu",
    }  # fmt: skip


def open_run(path: Path, slots: int, trials: int, engine_name: str) -> tuple[Any, Any, Any, Any, Any]:
    """Open a run as the search does; return space, folder, engine, study and book."""
    from automl_pheno.space.load import parse_space
    from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
    from automl_pheno.study.run_folder import JOURNAL, RunFolder
    from automl_pheno.study.storage.book import TrialBook
    from automl_pheno.study.storage.journal import open_study

    space = parse_space(SPACE)
    folder = RunFolder(path, metric="pearson_r", parameters=PARAMETERS)
    request = EngineRequest(
        space=space, seed=len(folder.records()), slots=slots, folder=path, higher_is_better=True, max_epochs=REPORTS,
        trials=trials,
    )  # fmt: skip
    engine = make_engine(engine_name, request)
    pruner = make_pruner("none" if engine_name == "random" else "median", Steps(last=REPORTS, folds=False, slots=slots))
    study = open_study(path / JOURNAL, "toy", "maximize", sampler=engine.sampler, pruner=pruner)
    return space, folder, engine, study, TrialBook(study, folder, name="toy", higher_is_better=True)


def simulate(path: Path, slots: int, trials: int, engine_name: str) -> dict[str, float]:
    """Run a search in virtual time and return what it took."""
    from automl_pheno.study.plan import Plan
    from automl_pheno.study.progress import Silent
    from automl_pheno.study.supervisor import Supervisor

    space, _, engine, _, book = open_run(path, slots, trials, engine_name)
    plan = Plan(
        space=space, check=lambda _: 1, metric="pearson_r", higher_is_better=True, trials=trials, seed=5,
        common={"function": "none:none"},
    )  # fmt: skip
    executor = Virtual(slots)
    before, started = time.process_time(), time.monotonic()
    Supervisor(plan, engine, book, executor, Silent()).run()
    cpu, wall = time.process_time() - before, time.monotonic() - started
    return {
        "cpu": cpu, "wall": wall, "reports": executor.reports, "virtual": executor.now,
        "journal": (path / "journal.log").stat().st_size / trials,
        "records": (path / "trials.jsonl").stat().st_size / trials,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def grow(path: Path, trials: int, wanted: int) -> None:
    """Make the run `wanted` trials long by repeating its trials under new numbers."""
    logs = [json.loads(line) for line in (path / "journal.log").read_text().splitlines()]
    records = [json.loads(line) for line in (path / "trials.jsonl").read_text().splitlines()]
    count = 1 + max(log.get("trial_id", -1) for log in logs)
    of_trials = [log for log in logs if log["op_code"] >= 4]
    with (path / "journal.log").open("a") as journal, (path / "trials.jsonl").open("a") as file:
        for block in range(1, wanted // trials):
            for log in of_trials:
                moved = {**log, "trial_id": log["trial_id"] + block * count} if "trial_id" in log else log
                journal.write(json.dumps(moved, separators=(",", ":")) + "\n")
            for record in records:
                number = record["trial"] + block * count
                file.write(json.dumps({**record, "trial": number, "name": f"toy-{number}"}) + "\n")


def resume(path: Path, slots: int) -> dict[str, float]:
    """Take up the run in this fresh process and return the seconds of each step."""
    from automl_pheno.study.proposals import Proposals

    started = time.process_time()
    space, folder, engine, study, book = open_run(path, slots, 10**6, "tpe")
    opened = time.process_time()
    book.start(killed=False)
    proposals = Proposals(
        book, engine, space, check=lambda _: 1, max_weights=None, seed=1, on_infeasible=lambda *_: None
    )
    proposals.next()
    proposed = time.process_time()
    proposals.next()
    again = time.process_time()
    folder.write_leaderboard()
    return {
        "trials": len(study.get_trials(deepcopy=False)), "open": opened - started, "first proposal": proposed - opened,
        "next proposal": again - proposed, "leaderboard": time.process_time() - again,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def resume_plainly(path: Path, slots: int) -> dict[str, float]:
    """Open the journal with plain Optuna and ask TPE."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.process_time()
    study = optuna.load_study(
        study_name="toy", storage=JournalStorage(JournalFileBackend(str(path / "journal.log"))),
        sampler=optuna.samplers.TPESampler(n_startup_trials=max(10, 2 * slots)),
    )  # fmt: skip
    opened = time.process_time()
    trial = study.ask()
    for name, distribution in study.get_trials(deepcopy=False)[0].distributions.items():
        trial._suggest(name, distribution)
    return {
        "trials": len(study.get_trials(deepcopy=False)), "open": opened - started,
        "first proposal": time.process_time() - opened, "next proposal": float("nan"), "leaderboard": float("nan"),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def fresh(what: str, path: Path, arguments: argparse.Namespace, engine: str = "tpe") -> dict[str, float]:
    """Do `what` in a process of its own."""
    command = [
        sys.executable, __file__, "--do", what, "--path", str(path), "--engine", engine, "--slots",
        str(arguments.slots), "--trials", str(arguments.trials),
    ]  # fmt: skip
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Simulate, take up, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1500 trials, taken up at 6000")
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=6000)
    parser.add_argument("--resume", type=int, default=100_000)
    parser.add_argument("--engine", default=None, help="only this one")
    parser.add_argument("--do", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.trials, arguments.resume = 1500, 6000
    if arguments.do == "simulate":
        print(json.dumps(simulate(arguments.path, arguments.slots, arguments.trials, arguments.engine)))
        return
    if arguments.do:
        take_up = {"resume": resume, "plain": resume_plainly}[arguments.do]
        print(json.dumps(take_up(arguments.path, arguments.slots)))
        return
    slots, trials = arguments.slots, arguments.trials
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}; {slots} slots, {trials} trials "
        f"of about 60 s with {REPORTS} reports, {len(PARAMETERS)} parameters")  # fmt: skip
    capacity = float("nan")
    with tempfile.TemporaryDirectory() as temporary:
        for engine in [arguments.engine] if arguments.engine else ["random", "tpe"]:
            path = Path(temporary) / engine
            path.mkdir()
            found = fresh("simulate", path, arguments, engine)
            demand = found["cpu"] / found["virtual"]
            capacity = 1.0 / demand
            each = found["cpu"] / trials
            print(
                f"{engine}: {found['reports'] / found['cpu']:.0f} reports and {1 / each:.0f} trials a CPU second; "
                f"{each * 1e3:.1f} ms a trial, {found['cpu'] / found['reports'] * 1e6:.0f} us a report all in;\n"
                f"  {demand:.1%} of a core at {slots} slots; a trial leaves {found['journal']:.0f} B of journal and "
                f"{found['records']:.0f} B of records; {found['memory']:.0f} MB",
                flush=True,
            )
        run = Path(temporary) / (arguments.engine or "tpe")
        grow(run, trials, arguments.resume)
        shutil.copytree(run, plain := Path(temporary) / "plain")
        print(
            f"{'processor seconds':30} {'trials':>8} {'open':>7} {'first':>7} {'next':>7} {'table':>7} {'MB':>6} "
            f"{'journal':>9}"
        )
        for label, what, path in (
            ("the first time, rewriting", "resume", run),
            ("from then on", "resume", run),
            ("plain Optuna, as it was", "plain", plain),
            ("plain Optuna, rewritten", "plain", run),
        ):
            found = fresh(what, path, arguments)
            size = (path / "journal.log").stat().st_size / 1e6
            print(
                f"{label:30} {found['trials']:8.0f} {found['open']:7.1f} {found['first proposal']:7.2f} "
                f"{found['next proposal']:7.2f} {found['leaderboard']:7.2f} {found['memory']:6.0f} {size:6.0f} MB",
                flush=True,
            )
    print(f"scale_cores_to_spare: {capacity:.2f}")


if __name__ == "__main__":
    main()
