"""Runs a synthetic study, as a script without a ``__main__`` guard: PATH TRIALS WORKERS SLEEP."""

from __future__ import annotations

import sys
from pathlib import Path

from automl_pheno.errors import AutoMLPhenoError
from automl_pheno.space.load import parse_space
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import ConsoleProgress
from automl_pheno.study.run_folder import JOURNAL, LOGS, RunFolder, lock_run
from automl_pheno.study.slots.dask_executor import local_executor
from automl_pheno.study.slots.machine import Machine
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import open_study
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

path, trials, workers, sleep = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
marks = path / "marks"
marks.mkdir(parents=True, exist_ok=True)
try:
    with lock_run(path):
        folder = RunFolder(path, metric="pearson_r", parameters=("trunk.0.filters", "trunk.0.kernel_size"))
        space = parse_space(SPACE)
        request = EngineRequest(
            space=space, seed=len(folder.records()), slots=workers, folder=path, higher_is_better=True, max_epochs=3,
            trials=trials,
        )  # fmt: skip
        engine = make_engine("tpe", request)
        study = open_study(
            path / JOURNAL,
            "toy",
            "maximize",
            sampler=engine.sampler,
            pruner=make_pruner("none", Steps(last=3, folds=False, slots=workers)),
        )
        plan = Plan(
            space=space,
            check=lambda config: 1,
            metric="pearson_r",
            higher_is_better=True,
            trials=trials,
            seed=5,
            baselines=("mean",),
            common={"function": "study_trials:marked", "sleep": sleep, "marks": str(marks)},
        )
        with local_executor(
            workers, Machine(cores=workers, gpus=(), memory=8 * 2**30), "tensorflow", path / LOGS
        ) as slots:
            book = TrialBook(study, folder, name="toy", higher_is_better=True)
            ending = Supervisor(plan, engine, book, slots, ConsoleProgress()).run()
            sys.stdout.write(f"{ending}\n")
except AutoMLPhenoError as error:
    sys.stdout.write(f"{error}\n")
    sys.exit(2)
