"""Studies of 100 short trials on four slots under a random fault every few seconds: each must end with exactly 100.

The search is the real one (``run_search``: data, split, journal, records, slots, final test with a real network); only
what a trial does is made short: it sleeps and returns a number, so that a study takes a minute. The faults: SIGKILL of
a worker, of a nanny, of the supervisor (the same command is started again), SIGSTOP and SIGCONT of each and of all,
Ctrl-C, SIGTERM, out of memory and not-a-number in a trial, torn last lines of the journal and of the records, and a
disk that is full (a small tmpfs that is filled, and freed later; as root only).

Afterwards: 100 counted records, none of a trial or of parameters twice, none without the mark that a finished trial
leaves, no mark of a finished trial without a record or a repeat, the journal read by plain Optuna, every file read, and
the winner loaded.

    python benchmarks/chaos.py [--quick] [--seeds 10] [--trials 100] [--first 0] [--no-disk]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SLOTS = 4
TMPFS = "24m"
LIMIT = 600.0
"""Seconds after which a study is taken to hang."""
SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {min: 2, max: 33}
    kernel_size: {min: 3, max: 17, step: 2}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-3, max: 1.0e-2, log: true}
  batch_size: {values: [16, 32]}
  max_epochs: 2
  patience: 2
"""


# -- in the slots ----------------------------------------------------------------------------------------------------


def trial(task: Mapping[str, Any], report: Any) -> dict[str, Any]:
    """Sleep through three steps; leave a mark at the start and at the end; fail where the experimenter wants it."""
    import numpy as np

    from automl_pheno.study.out_of_fold import pack

    scene = Path(os.environ["CHAOS_SCENE"])
    name = f"{task['name']}.{time.monotonic_ns()}"
    (scene / "marks" / f"{name}.start").touch()
    if _takes(scene / "oom"):
        raise MemoryError
    config = task["candidate"]["config"]
    value = config["trunk"][0]["filters"] / 40 + config["fit"]["learning_rate"]
    for step in range(1, 4):
        time.sleep(0.15)
        if report(step, value):
            return {"state": "stopped"}
    if _takes(scene / "nan"):
        value = float("nan")
    (scene / "marks" / f"{name}.end").touch()
    held_out = pack(np.array([value, math.nan]))
    scores = {"pearson_r": value}
    return {
        "state": "complete", "value": value, "scores": scores, "epochs": 2, "best_epoch": 1, "held_out": held_out
    }  # fmt: skip


def _takes(order: Path) -> bool:
    """Return whether this process is the one that carries out the order."""
    try:
        order.unlink()
    except FileNotFoundError:
        return False
    return True


# -- the supervisor --------------------------------------------------------------------------------------------------


def search(scene: Path, trials: int) -> None:
    """Run, or resume, the study."""
    from automl_pheno.errors import AutoMLPhenoError
    from automl_pheno.simulate import SIMULATORS
    from automl_pheno.study import search as searching
    from automl_pheno.study.config import make_study
    from automl_pheno.study.progress import ConsoleProgress

    searching.EVALUATE = "chaos:trial"
    dataset, _ = SIMULATORS["motifs"](seed=1, n=120, length=50)
    config = make_study(
        name="chaos", space=scene / "space.yaml", trials=trials, baselines=(), finalists=1, members=1, workers=SLOTS,
        pruner="none", split={"groups": ("random",)}, leakage="report",
    )  # fmt: skip
    try:
        searching.run_search(config, scene / "run", ConsoleProgress(), dataset=dataset)
    except AutoMLPhenoError as error:
        print(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def verify(scene: Path, trials: int) -> None:
    """Read all that a study left behind; print what is wrong with it as one line of JSON."""
    import optuna
    import pandas as pd
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    import automl_pheno as ap
    from automl_pheno.study.records import COUNTED, read_records

    run, wrong = scene / "run", []
    records = [record for record in read_records(run / "trials.jsonl") if record.state in COUNTED]
    marks = [tuple(mark.name.rsplit(".", 2)) for mark in (scene / "marks").iterdir()]
    ended, names = {name for name, _, kind in marks if kind == "end"}, {record.name for record in records}
    if len(records) != trials:
        wrong.append(f"{len(records)} counted records")
    if len({record.trial for record in records}) != len(records):
        wrong.append("a trial has two records")
    if len({json.dumps(dict(record.params), sort_keys=True) for record in records}) != len(records):
        wrong.append("parameters were counted twice")
    if lacking := [record.name for record in records if record.state == "complete" and record.name not in ended]:
        wrong.append(f"complete without a mark: {lacking}")
    wrong += [f"held-out predictions of {record.name}" for record in records if not _has_held_out(run, record)]
    repeated = {f"toy-{number}" for record in records for number in record.retries}
    if lost := sorted(ended - names - repeated):
        wrong.append(f"finished, but neither recorded nor repeated: {lost}")
    storage = JournalStorage(JournalFileBackend(str(run / "journal.log")))
    told = optuna.load_study(study_name=None, storage=storage).get_trials(deepcopy=False)
    states = Counter(told[record.trial].state.name for record in records)
    if states["COMPLETE"] != sum(record.state == "complete" for record in records):
        wrong.append(f"the journal says {dict(states)}")
    if any(told.state.name == "RUNNING" for told in told):
        wrong.append("a trial runs for ever in the journal")
    board = pd.read_csv(run / "leaderboard.csv")
    if int((board["state"].isin(COUNTED) & (board["kind"] == "network")).sum()) != trials:
        wrong.append("the leaderboard has another number")
    best = ap.load(run)
    if len(best.predict(["ACGTT" * 10, "TTTTG" * 10])) != 2:
        wrong.append("the winner does not predict")
    winner = json.loads((run / "final.json").read_text())["winner"]["name"]
    if winner != max((r for r in records if r.state == "complete"), key=lambda record: record.value or 0.0).name:
        wrong.append(f"{winner} is not the best")
    facts = {"attempts": sum(kind == "start" for *_, kind in marks), "retried": sum(bool(r.retries) for r in records)}
    facts |= {"failed": sum(r.state == "failed" for r in records), "torn": _leftovers(run), "wrong": wrong}
    print(json.dumps(facts))


def _has_held_out(run: Path, record: Any) -> bool:
    """Return whether predictions are kept of a complete record, and of no other."""
    from automl_pheno.study.out_of_fold import read_predictions

    held_out = read_predictions(run, record.name, 2)
    return held_out is None if record.state != "complete" else held_out is not None and held_out[0] == record.value


def _leftovers(run: Path) -> int:
    return sum(1 for file in run.rglob("*.tmp"))


# -- the experimenter ------------------------------------------------------------------------------------------------


class Chaos:
    """One study and what is done to it."""

    def __init__(self, scene: Path, trials: int, seed: int, *, disk: bool) -> None:
        self.scene, self.trials, self.rng = scene, trials, random.Random(seed)
        self.run = scene / "run"
        self.faults: Counter[str] = Counter()
        self.starts = 0
        self.kinds = ["worker", "worker", "nanny", "supervisor", "torn", "ctrl-c", "sigterm", "oom", "nan"]
        self.kinds += ["stop worker", "stop nanny", "stop supervisor", "stop all"] + ["disk"] * disk
        self.supervisor: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start the same command."""
        self.starts += 1
        threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
        environment = {**os.environ, **threads, "CHAOS_SCENE": str(self.scene), "PYTHONPATH": str(HERE)}
        environment |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, "--search", str(self.scene), "--trials", str(self.trials)]
        with (self.scene / f"out-{self.starts}.txt").open("wb") as log:
            self.supervisor = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def said(self) -> str:
        """Return what the last start printed."""
        return (self.scene / f"out-{self.starts}.txt").read_text(errors="replace")

    def counted(self) -> int:
        """Return the number of whole lines of the records."""
        with contextlib.suppress(OSError):
            return (self.run / "trials.jsonl").read_bytes().count(b'"state": "') if self.run.exists() else 0
        return 0

    def marks(self) -> int:
        """Return the number of marks that trials have left."""
        return sum(1 for _ in (self.scene / "marks").iterdir())

    def processes(self) -> tuple[list[Any], list[Any]]:
        """Return the nannies and the workers."""
        import psutil

        nannies, workers = [], []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.supervisor.pid).children():
                with contextlib.suppress(psutil.Error):
                    nannies.append(child)
                    workers += [each for each in child.children() if "spawn_main" in " ".join(each.cmdline())]
        return nannies, workers

    def strike(self, kind: str) -> None:
        """Do one fault, and undo what has to be."""
        import psutil

        nannies, workers = self.processes()
        supervisor = psutil.Process(self.supervisor.pid)
        with contextlib.suppress(psutil.Error, IndexError):
            if kind in ("worker", "nanny"):
                self.rng.choice(workers if kind == "worker" else nannies).kill()
            elif kind in ("supervisor", "torn"):
                supervisor.kill()
                self.supervisor.wait()
                if kind == "torn":
                    self.tear()
            elif kind in ("ctrl-c", "sigterm"):
                supervisor.send_signal(signal.SIGINT if kind == "ctrl-c" else signal.SIGTERM)
                self.supervisor.wait(60)
            elif kind in ("oom", "nan"):
                (self.scene / kind).touch()
            elif kind == "disk":
                self.fill_disk()
            else:
                chosen = {"worker": workers, "nanny": nannies, "supervisor": [supervisor]}.get(kind[5:])
                several = [self.rng.choice(chosen)] if chosen else [supervisor, *nannies, *workers]
                self.pause(several)
            self.faults[kind] += 1

    def pause(self, processes: list[Any]) -> None:
        """Stop processes for some seconds."""
        import psutil

        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(self.rng.uniform(1.0, 6.0))

    def tear(self) -> None:
        """Leave half a line at the end of the journal and of the records."""
        for name, line in (("journal.log", b'{"op_code": 6, "wor'), ("trials.jsonl", b'{"kind": "network", "na')):
            if (self.run / name).exists():
                with (self.run / name).open("ab") as file:
                    file.write(line)

    def fill_disk(self) -> None:
        """Leave no room in the run folder until the search has ended, or some seconds have passed."""
        filler = self.run / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 2**12)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.supervisor.wait(self.rng.uniform(3.0, 15.0))
        filler.unlink()

    def go(self) -> dict[str, Any]:
        """Run the study to its end; return what was found."""
        began = time.monotonic()
        self.start()
        unexpected = []
        strike_at, seen = 0.0, 0
        while not (self.run / "final.json").exists() or self.supervisor.poll() is None:
            if time.monotonic() - began > LIMIT:
                unexpected.append(f"it hangs at {self.counted()}: {self.said()[-300:]}")
                self.supervisor.kill()
                break
            if (code := self.supervisor.poll()) is not None:
                if code not in (0, 2, 130, -signal.SIGKILL, -signal.SIGTERM) or "Traceback" in self.said():
                    unexpected.append(f"code {code}: {self.said()[-2000:]}")
                elif code == 2 and "No space left" not in self.said() and "disk is full" not in self.said():
                    unexpected.append(f"code 2: {self.said()[-600:]}")
                if len(unexpected) > 3:
                    break
                self.start()
                strike_at, seen = 0.0, self.marks()
            if not strike_at and self.marks() > seen:  # it has begun to train
                strike_at = time.monotonic() + self.rng.uniform(0.0, 3.0)
            if strike_at and time.monotonic() > strike_at and self.counted() < self.trials:
                self.strike(self.rng.choice(self.kinds))
                strike_at = time.monotonic() + self.rng.uniform(1.0, 4.0)
            time.sleep(0.05)
        seconds = time.monotonic() - began
        command = [sys.executable, __file__, "--verify", str(self.scene), "--trials", str(self.trials)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            facts = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            facts = {"attempts": 0, "retried": 0, "failed": 0, "wrong": [done.stderr[-500:]]}
        facts["wrong"] += unexpected
        return {**facts, "faults": dict(self.faults), "starts": self.starts, "seconds": seconds}


@contextlib.contextmanager
def small_disk(folder: Path, *, wanted: bool) -> Iterator[bool]:
    """Mount a small tmpfs at `folder` for the time of the block, where that is allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS}", "tmpfs", str(folder)]
    can = wanted and shutil.which("mount") is not None
    mounted = can and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def one(seed: int, trials: int, *, disk: bool) -> dict[str, Any]:
    """Run one study under faults."""
    with tempfile.TemporaryDirectory() as temporary:
        scene = Path(temporary)
        (scene / "marks").mkdir()
        (scene / "space.yaml").write_text(SPACE)
        with small_disk(scene / "run", wanted=disk) as mounted:
            chaos = Chaos(scene, trials, seed, disk=mounted)
            try:
                result = chaos.go()
            finally:
                if chaos.supervisor.poll() is None:
                    chaos.supervisor.kill()
                chaos.supervisor.wait()
            if result["wrong"] and (keep := os.environ.get("CHAOS_KEEP")):
                shutil.copytree(scene, Path(keep) / f"seed-{seed}", dirs_exist_ok=True)
            return result


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed with 30 trials")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--no-disk", action="store_true", help="without a full disk")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--verify", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search or options.verify:
        (search if options.search else verify)(options.search or options.verify, options.trials)
        return
    seeds, trials = (1, 30) if options.quick else (options.seeds, options.trials)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    exact = 0
    total: Counter[str] = Counter()
    for seed in range(options.first, options.first + seeds):
        result = one(seed, trials, disk=not options.no_disk)
        total.update(result["faults"])
        exact += not result["wrong"]
        print(
            f"seed {seed}: {sum(result['faults'].values())} faults "
            f"({', '.join(f'{kind} {count}' for kind, count in sorted(result['faults'].items()))}), "
            f"{result['starts'] - 1} restarts, {result['attempts']} attempts, {result['attempts'] - trials} wasted, "
            f"{result['failed']} failed, {result['retried']} repeated, {result['seconds']:.0f} s: "
            f"{'exact' if not result['wrong'] else '; '.join(result['wrong'])}",
            flush=True,
        )
    print(f"all seeds: {sum(total.values())} faults: {', '.join(f'{kind} {n}' for kind, n in sorted(total.items()))}")
    print(f"studies with exactly {trials} counted trials, none twice, none lost: {exact} of {seeds}")
    sys.exit(exact != seeds)


if __name__ == "__main__":
    main()
