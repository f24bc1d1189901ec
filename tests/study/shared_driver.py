"""Runs one of several supervisors of a synthetic study: PATH URL TRIALS WORKERS SLEEP LEASE PATIENCE."""

from __future__ import annotations

import sys
from pathlib import Path

from automl_pheno.errors import AutoMLPhenoError
from automl_pheno.rng import derive_seed
from automl_pheno.space.load import parse_space
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import ConsoleProgress
from automl_pheno.study.run_folder import LOGS, RunFolder, lock_run
from automl_pheno.study.slots.executor import InProcess
from automl_pheno.study.storage.opening import open_shared
from automl_pheno.study.storage.shared import SharedBook
from automl_pheno.study.supervisor import Supervisor

SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {min: 1, max: 64}
    kernel_size: {min: 3, max: 99}
  - block: flatten
"""

path, url = Path(sys.argv[1]), sys.argv[2]
trials, workers = int(sys.argv[3]), int(sys.argv[4])
sleep, lease, patience = map(float, sys.argv[5:8])
marks = path.parent / "marks"
marks.mkdir(parents=True, exist_ok=True)
progress = ConsoleProgress()


def run(executor):
    space = parse_space(SPACE)
    folder = RunFolder(path, metric="pearson_r", parameters=("trunk.0.filters", "trunk.0.kernel_size"))
    shared = open_shared(
        url, "toy", "maximize", path, {"space": space.tree()}, patience=patience, hear=progress.message
    )
    request = EngineRequest(
        space=space, seed=derive_seed(5, "sampler", shared.ordinal), slots=workers, folder=path, higher_is_better=True,
        max_epochs=3, trials=trials,
    )  # fmt: skip
    engine = make_engine("tpe", request)
    pruner = make_pruner("none", Steps(last=3, folds=False, slots=workers))
    book = SharedBook(
        shared.study(sampler=engine.sampler, pruner=pruner), shared.storage, folder, name="toy", higher_is_better=True,
        folder=path, previous=shared.previous, lease=lease,
    )  # fmt: skip
    plan = Plan(
        space=space,
        check=lambda config: 1,
        metric="pearson_r",
        higher_is_better=True,
        trials=trials,
        seed=5,
        baselines=("mean", "ridge"),
        common={"function": "study_trials:marked", "sleep": sleep, "marks": str(marks)},
        in_process=workers == 0,
    )
    ending = Supervisor(plan, engine, book, executor, progress).run()
    folder.write_leaderboard()
    sys.stdout.write(f"{ending}\n")


try:
    with lock_run(path):
        if workers == 0:
            run(InProcess())
        else:
            from automl_pheno.study.slots.dask_executor import local_executor
            from automl_pheno.study.slots.machine import Machine

            machine = Machine(cores=workers, gpus=(), memory=8 * 2**30)
            with local_executor(workers, machine, "tensorflow", path / LOGS) as slots:
                run(slots)
except AutoMLPhenoError as error:
    sys.stdout.write(f"{error}\n")
    sys.exit(2)
