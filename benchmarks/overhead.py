"""What the runner itself costs: synthetic trials of half a second in eight slots, beside other runners.

A trial sleeps for 0.5 s in ten steps and reports a value after each. All sides draw at random, prune nothing, keep what
they are told on the disk where they can, and write the start and the end of each trial into one file; from it come the
share of slot time spent in trials (slots x time from the first start to the last end is 100 %) and, with the start of
the workers, the share from the call on. The processor time is that of the process that supervises, all its threads, its
children left out; the loop of threads has no such process of its own, so there it is of all.

Sides: automl-pheno (Dask workers; also with TPE and the median pruner, as a search has them), Optuna with
``optimize(n_jobs=8)`` (threads of one process), Optuna with eight processes on one journal (ask and tell), KerasTuner
with a chief and eight workers (its own way to be parallel, gRPC), Ray Tune with eight actors (where it is installed:
``--ray-python`` names an interpreter that has it).

    python benchmarks/overhead.py [--quick] [--trials 400] [--slots 8] [--seconds 0.5] [--sides ours,ours-tpe,...]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
REPORTS = 10
SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {min: 1, max: 512}
    kernel_size: {min: 3, max: 199}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-5, max: 1.0e-1, log: true}
"""


def synthetic(task: dict[str, Any], report: Callable[[int, float], bool]) -> dict[str, Any]:
    """Sleep, report, and note when it began and ended; the trial of every side."""
    begin = time.monotonic()
    config = task["candidate"]["config"]
    value = 1.0 - (config["trunk"][0]["filters"] / 512 - 0.3) ** 2
    state = "complete"
    for step in range(1, REPORTS + 1):
        time.sleep(max(0.0, begin + task["seconds"] * step / REPORTS - time.monotonic()))
        if report(step, value - (REPORTS - step) * 0.01):
            state = "pruned"
            break
    with Path(task["log"]).open("a") as log:
        log.write(f"{begin} {time.monotonic()}\n")
    return {"state": state, "value": value, "scores": {"pearson_r": value}, "epochs": REPORTS, "weights": 10}


def sleep_trial(arguments: argparse.Namespace, filters: int, report: Callable[[int, float], Any]) -> float:
    """Run `synthetic` for the runners that have functions of their own."""
    task = {
        "seconds": arguments.seconds,
        "log": arguments.log,
        "candidate": {"config": {"trunk": [{"filters": filters}]}},
    }
    return float(synthetic(task, lambda step, value: report(step, value) and False)["value"])


# -- the sides, each in a process of its own -------------------------------------------------------------------------


def run_ours(arguments: argparse.Namespace, engine_name: str = "random", pruner: str = "none") -> float:
    """Run the supervisor with Dask workers as a search does; return its processor seconds."""
    from automl_pheno.space.load import parse_space
    from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
    from automl_pheno.study.plan import Plan
    from automl_pheno.study.progress import Silent
    from automl_pheno.study.run_folder import JOURNAL, LOGS, RunFolder, lock_run
    from automl_pheno.study.slots.dask_executor import local_executor
    from automl_pheno.study.slots.machine import Machine
    from automl_pheno.study.storage.book import TrialBook
    from automl_pheno.study.storage.journal import open_study
    from automl_pheno.study.supervisor import Supervisor

    os.environ["PYTHONPATH"] = str(HERE.parent)
    path = Path(arguments.folder)
    space = parse_space(SPACE)
    with lock_run(path):
        folder = RunFolder(
            path, metric="pearson_r", parameters=("trunk.0.filters", "trunk.0.kernel_size", "fit.learning_rate")
        )
        request = EngineRequest(
            space=space, seed=0, slots=arguments.slots, folder=path, higher_is_better=True, max_epochs=REPORTS,
            trials=arguments.trials,
        )  # fmt: skip
        engine = make_engine(engine_name, request)
        study = open_study(
            path / JOURNAL, "toy", "maximize", sampler=engine.sampler,
            pruner=make_pruner(pruner, Steps(last=REPORTS, folds=False, slots=arguments.slots)),
        )  # fmt: skip
        plan = Plan(
            space=space,
            check=lambda _: 1,
            metric="pearson_r",
            higher_is_better=True,
            trials=arguments.trials,
            seed=5,
            common={"function": "overhead:synthetic", "seconds": arguments.seconds, "log": arguments.log},
        )
        machine = Machine(cores=arguments.slots, gpus=(), memory=16 * 2**30)
        with local_executor(arguments.slots, machine, "tensorflow", path / LOGS) as executor:
            while executor.free() < arguments.slots:
                time.sleep(0.1)
            book = TrialBook(study, folder, name="toy", higher_is_better=True)
            before = time.process_time()
            Supervisor(plan, engine, book, executor, Silent()).run()
            return time.process_time() - before


def run_ours_tpe(arguments: argparse.Namespace) -> float:
    """Run ours with the sampler and the pruner of a search."""
    return run_ours(arguments, "tpe", "median")


def objective(arguments: argparse.Namespace) -> Callable[[Any], float]:
    """Return the trial as Optuna's objective."""

    def run(trial: Any) -> float:
        filters = trial.suggest_int("trunk.0.filters", 1, 512)
        trial.suggest_int("trunk.0.kernel_size", 3, 199)
        trial.suggest_float("fit.learning_rate", 1e-5, 1e-1, log=True)

        def report(step: int, value: float) -> None:
            trial.report(value, step)
            trial.should_prune()

        return sleep_trial(arguments, filters, report)

    return run


def optuna_study(arguments: argparse.Namespace) -> Any:
    """Open the study on a journal file."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(Path(arguments.folder) / "journal.log")))
    return optuna.create_study(
        storage=storage, study_name="toy", direction="maximize", load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(), pruner=optuna.pruners.NopPruner(),
    )  # fmt: skip


def run_threads(arguments: argparse.Namespace) -> float:
    """Run Optuna's own loop of threads."""
    study = optuna_study(arguments)
    before = time.process_time()
    study.optimize(objective(arguments), n_trials=arguments.trials, n_jobs=arguments.slots)
    return time.process_time() - before


def run_processes(arguments: argparse.Namespace) -> float:
    """Run eight processes that ask and tell one journal; there is no supervisor, so it is what all of them use."""
    optuna_study(arguments)
    share = arguments.trials // arguments.slots
    command = [sys.executable, str(HERE), *sys.argv[1:], "--member", str(share)]
    members = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(arguments.slots)]
    return sum(float(member.communicate()[0].split()[-1]) for member in members)


def member_of_processes(arguments: argparse.Namespace) -> None:
    """Ask and tell `arguments.member` trials; print the processor seconds."""
    study, run = optuna_study(arguments), objective(arguments)
    before = time.process_time()
    for _ in range(arguments.member):
        trial = study.ask()
        study.tell(trial, run(trial))
    print(time.process_time() - before)


def run_kerastuner(arguments: argparse.Namespace) -> float:
    """Run a chief and its workers; return the processor seconds of the chief."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    command = [sys.executable, str(HERE), *sys.argv[1:], "--member", "1"]
    names = ["chief", *(f"worker-{slot}" for slot in range(arguments.slots))]
    members = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True,
            env={**environment, "KERASTUNER_TUNER_ID": name},
        )
        for name in names
    ]  # fmt: skip
    import psutil

    chief, used = psutil.Process(members[0].pid), 0.0
    while any(member.poll() is None for member in members[1:]):
        if Path(arguments.log).exists():  # before the first trial it only imports
            before = used or sum(chief.cpu_times()[:2])
            used = before
        time.sleep(0.2)
    after = sum(chief.cpu_times()[:2])  # the chief leaves 20 s later
    members[0].kill()
    return after - used


def member_of_kerastuner() -> None:
    """Be the chief or a worker, as the environment says."""
    import keras_tuner as kt

    arguments = parse()

    class Tuner(kt.RandomSearch):  # type: ignore[misc] # published without types
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - KerasTuner's signature
            filters = trial.hyperparameters.Int("trunk.0.filters", 1, 512)
            return sleep_trial(
                arguments,
                filters,
                lambda step, value: self.oracle.update_trial(trial.trial_id, {"r": value}, step=step),
            )

    def declare(hp: Any) -> None:
        hp.Int("trunk.0.filters", 1, 512)
        hp.Int("trunk.0.kernel_size", 3, 199)
        hp.Float("fit.learning_rate", 1e-5, 1e-1, sampling="log")

    hp = kt.HyperParameters()
    declare(hp)
    tuner = Tuner(
        declare, objective=kt.Objective("r", "max"), max_trials=arguments.trials, hyperparameters=hp,
        directory=arguments.folder, project_name="toy", tune_new_entries=False,
    )  # fmt: skip
    tuner.search(verbose=0)


def run_ray(arguments: argparse.Namespace) -> float:
    """Run Ray Tune with one actor a slot, used again from trial to trial; return the driver's processor seconds."""
    import ray
    from ray import tune

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(num_cpus=arguments.slots, include_dashboard=False, log_to_driver=False, logging_level="error")
    fields = argparse.Namespace(seconds=arguments.seconds, log=arguments.log)

    class Trainable(tune.Trainable):  # type: ignore[misc] # published without types
        """A class, since only these let Ray use an actor again; one step a report."""

        def setup(self, config: dict[str, Any]) -> None:
            self.filters, self.begin, self.steps = config["filters"], 0.0, 0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

        def step(self) -> dict[str, Any]:
            self.begin = self.begin or time.monotonic()
            self.steps += 1
            time.sleep(max(0.0, self.begin + fields.seconds * self.steps / REPORTS - time.monotonic()))
            done = self.steps == REPORTS
            if done:
                with Path(fields.log).open("a") as log:
                    log.write(f"{self.begin} {time.monotonic()}\n")
            value = 1.0 - (self.filters / 512 - 0.3) ** 2 - (REPORTS - self.steps) * 0.01
            return {"r": value, "done": done}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: Any) -> None:
            pass

    space = {"filters": tune.randint(1, 513), "kernel_size": tune.randint(3, 200), "rate": tune.loguniform(1e-5, 1e-1)}
    tuner = tune.Tuner(
        Trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            num_samples=arguments.trials, max_concurrent_trials=arguments.slots, metric="r", mode="max",
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=arguments.folder, verbose=0),
    )  # fmt: skip
    before = time.process_time()
    tuner.fit()
    used = time.process_time() - before
    ray.shutdown()
    return used


SIDES: dict[str, tuple[str, Callable[[argparse.Namespace], float]]] = {
    "ours": ("automl-pheno", run_ours),
    "ours-tpe": ("automl-pheno, TPE + median", run_ours_tpe),
    "threads": ("Optuna optimize(n_jobs)", run_threads),
    "processes": ("Optuna, processes + journal", run_processes),
    "kerastuner": ("KerasTuner, chief + workers", run_kerastuner),
    "ray": ("Ray Tune, actors used again", run_ray),
}


# -- the comparison --------------------------------------------------------------------------------------------------


def measure(side: str, arguments: argparse.Namespace) -> dict[str, float] | None:
    """Run one side in a fresh process; None where its package is not installed."""
    python = arguments.ray_python if side == "ray" else sys.executable
    package = {"ray": "ray", "kerastuner": "keras_tuner"}.get(side, "optuna")
    if subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "trials.log"
        command = [
            python, str(HERE), "--side", side, "--folder", folder, "--log", str(log), "--trials", str(arguments.trials),
            "--slots", str(arguments.slots), "--seconds", str(arguments.seconds),
        ]  # fmt: skip
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow"),
            "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3",
        }  # fmt: skip
        called = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return None
        used = float(json.loads(done.stdout.splitlines()[-1])["used"])
        times = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    busy = sum(end - begin for begin, end in times)
    first, last = min(begin for begin, _ in times), max(end for _, end in times)
    return {
        "trials": len(times),
        "share": busy / arguments.slots / (last - first),
        "with_start": busy / arguments.slots / (last - called),
        "per_hour": len(times) / (last - first) * 3600,
        "cpu": used / (last - first),
        "per_trial": used / len(times) * 1000,
    }


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="80 trials, without KerasTuner and Ray")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--sides", default=None)
    parser.add_argument("--ray-python", default=sys.executable)
    for hidden in ("--side", "--folder", "--log"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--member", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.trials = 10 * arguments.slots
    return arguments


def main() -> None:
    """Measure all sides in turn and print them side by side."""
    arguments = parse()
    if arguments.side:
        if arguments.member:
            member_of_kerastuner() if arguments.side == "kerastuner" else member_of_processes(arguments)
            return
        print(json.dumps({"used": SIDES[arguments.side][1](arguments)}))
        return
    sides = arguments.sides.split(",") if arguments.sides else list(SIDES)
    if arguments.quick and not arguments.sides:
        sides = ["ours", "ours-tpe", "threads", "processes"]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}; {arguments.trials} trials of "
          f"{arguments.seconds:g} s with {REPORTS} reports in {arguments.slots} slots")  # fmt: skip
    print(
        f"{'':30} {'slot time in trials':>20} {'with start-up':>14} {'trials/h':>9} {'supervisor':>11} {'ms/trial':>9}"
    )
    found = {}
    for side in sides:
        label = SIDES[side][0]
        if (result := measure(side, arguments)) is None:
            print(f"{label:30} {'not installed here':>20}")
            continue
        found[side] = result
        print(f"{label:30} {result['share']:20.1%} {result['with_start']:14.1%} {result['per_hour']:9.0f} "
              f"{result['cpu']:11.1%} {result['per_trial']:9.1f}", flush=True)  # fmt: skip
    if "ours" not in found:
        return
    ours = found["ours"]
    for side, result in found.items():
        if not side.startswith("ours"):
            ratio = ours["share"] / result["share"]
            print(f"trials per slot hour against {SIDES[side][0]}: {ratio:.3f}; "
                  f"processor time: {result['cpu'] / ours['cpu']:.2f} of theirs to one of ours")  # fmt: skip
    print(f"overhead_slot_share: {ours['share'] / 0.90:.3f}")


if __name__ == "__main__":
    main()
