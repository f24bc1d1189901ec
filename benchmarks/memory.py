"""Memory of a slot's process over 200 trials of different networks, with and without starting it anew as it grows.

One slot with one thread trains configurations drawn at random from ``cnn.yaml`` on a small data set, two epochs each,
so that what stays behind in the process (graphs, compiled functions, fragments of the heap) outweighs the data. The
process's resident memory is read after each trial (by the slot) and ten times a second (by the benchmark). The second
side is the same study whose requests for a new process are not granted.

    python benchmarks/memory.py [--quick] [--trials 200] [--rows 300] [--side both|held|free] [--backend tensorflow]
                                [--growth MIB]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from automl_pheno.study.progress import Silent

REPOSITORY = Path(__file__).resolve().parents[1]
SEED = 29
MB = 2**20


class Clock(Silent):
    """Notes when trials start and end, and the resident memory of the slot's process in between."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.peak = 0
        self._pid = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def begin(self, *_: Any, **__: Any) -> None:
        """Note when the search starts."""
        self.ends.append(time.monotonic())

    def started(self, _: str, slot: str) -> None:
        """Note which process trains."""
        self._pid = int(slot.rpartition(":")[2].split()[0])

    def finished(self, _: str, record: Any, __: Any) -> None:
        """Note when a trial ended."""
        if record.state != "infeasible":
            self.ends.append(time.monotonic())

    def message(self, text: str) -> None:
        """Pass it on."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Stop watching."""
        self._over.set()

    def _watch(self) -> None:
        import psutil

        while not self._over.wait(0.1):
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, psutil.Process(self._pid).memory_info().rss if self._pid else 0)


def evaluate(task: dict[str, Any], report: Any) -> dict[str, Any]:
    """Train as a study does, in a process that is to be started anew once it has grown by ``MEMORY_GROWTH`` MiB."""
    from automl_pheno.study import evaluate as tasks
    from automl_pheno.study.slots import worker

    worker.GROWTH_LIMIT = float(os.environ["MEMORY_GROWTH"]) * MB
    return tasks.evaluate(task, report)


def run(folder: Path, side: str, trials: int, rows: int, backend: str) -> None:
    """Run one side and print what was measured as one line of JSON."""
    from automl_pheno.simulate import SIMULATORS
    from automl_pheno.study import search
    from automl_pheno.study.config import make_study
    from automl_pheno.study.records import read_records
    from automl_pheno.study.slots.dask_executor import DaskExecutor

    if side == "free":
        DaskExecutor.recycle = lambda *_: None  # type: ignore[method-assign]
    search.run_final = lambda *_: {"winner": {"name": "none; no test"}, "comparison": None}  # type: ignore[assignment]
    if "MEMORY_GROWTH" in os.environ:
        search.EVALUATE = "memory:evaluate"
    text = (REPOSITORY / "search_spaces" / "cnn.yaml").read_text()
    text = text.replace("max_epochs: 60", "max_epochs: 2").replace("patience: 12", "patience: 2")
    (folder / "space.yaml").write_text(text)
    dataset, _ = SIMULATORS["motifs"](seed=SEED, n=rows, length=80)
    config = make_study(
        name="memory", space=folder / "space.yaml", trials=trials, baselines=(), finalists=1, members=1, workers=1,
        pruner="none", engine="random", split={"groups": ("random",), "seed": SEED}, leakage="report", backend=backend,
    )  # fmt: skip
    clock = Clock()
    search.run_search(config, folder / "run", clock, dataset=dataset)
    records = [record for record in read_records(folder / "run" / "trials.jsonl") if record.state != "infeasible"]
    wall = [after - before for before, after in zip(clock.ends, clock.ends[1:], strict=False)]
    lost = [seconds - (record.seconds or 0.0) for seconds, record in zip(wall, records, strict=True)]
    fresh = [0, *(i + 1 for i, record in enumerate(records[:-1]) if record.pid != records[i + 1].pid)]
    print(
        json.dumps(
            {
                "structures": len({_structure(record.candidate["config"]) for record in records}),
                "states": {record.state: sum(r.state == record.state for r in records) for record in records},
                "rss": [round((record.rss or 0) / MB) for record in records],
                "peak": round(clock.peak / MB),
                "asked": sum(record.recycled for record in records),
                "processes": len({record.pid for record in records}),
                "retries": sum(bool(record.retries) for record in records),
                "after": [lost[i] for i in fresh],
                "between": [seconds for i, seconds in enumerate(lost) if i not in fresh],
                "seconds": clock.ends[-1] - clock.ends[0],
            }
        )
    )


def _structure(config: dict[str, Any]) -> str:
    """Return what makes two networks share their compiled function: all but rates, which are variables."""
    rates = ("dropout", "learning_rate", "l2", "gate_l1", "weight_decay", "schedule")
    fit = {key: value for key, value in config["fit"].items() if key not in rates}
    blocks = [{key: value for key, value in block.items() if key not in rates} for block in config["trunk"]]
    return json.dumps([blocks, [{**block, "dropout": 0} for block in config["head"]], fit], sort_keys=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few trials within about a minute")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--growth", type=float, help="MiB after which a process is started anew, instead of the limit")
    parser.add_argument("--side", choices=["both", "held", "free"], default="both")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        run(options.folder, options.side, options.trials, options.rows, options.backend)
        return
    trials = 8 if options.quick else options.trials
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    results = {}
    for side in ("held", "free") if options.side == "both" else (options.side,):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--folder", folder, "--side", side, "--backend", options.backend]
            command += ["--trials", str(trials), "--rows", str(options.rows)]
            threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
            environment = {**os.environ, **threads, "CUDA_VISIBLE_DEVICES": "-1"}
            if options.growth:
                environment |= {"MEMORY_GROWTH": str(options.growth), "PYTHONPATH": str(Path(__file__).parent)}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        result = results[side] = json.loads(done.stdout.splitlines()[-1])
        rss = result["rss"]
        tenth = max(1, len(rss) // 10)
        print(
            f"{side}: {len(rss)} trials {result['states']} of {result['structures']} structures, "
            f"{result['seconds']:.0f} s, {result['processes']} processes ({result['asked']} asked to be started anew), "
            f"{result['retries']} put back\n"
            f"  MiB after a trial: first {rss[0]}, median {statistics.median(rss):.0f}, largest {max(rss)}; "
            f"in tenths {[max(rss[i : i + tenth]) for i in range(0, len(rss), tenth)]}; largest during a trial "
            f"{result['peak']}\n"
            f"  growth {(rss[-1] - rss[0]) / max(1, len(rss) - 1):.1f} MiB a trial from the first to the last\n"
            f"  seconds beside training: {statistics.mean(result['after']):.1f} for the first trial of a process, "
            f"{statistics.mean(result['between'] or [0.0]):.2f} for another",
            flush=True,
        )
    if len(results) == 2:
        print(f"largest memory without over with recycling: {results['free']['peak'] / results['held']['peak']:.2f}")
    else:
        print(f"largest memory of the slot's process, MiB: {next(iter(results.values()))['peak']}")


if __name__ == "__main__":
    main()
