"""Jobs of a real SLURM as slots."""

from __future__ import annotations

import json
import sys
import time

import pytest
import slurm_here
from far_study import HERE, Hearing, assert_exact, make_run, meanwhile, search_far, show
from study_wait import wait_for

from automl_pheno.errors import StudyError
from automl_pheno.study.config import make_study
from automl_pheno.study.search import run_search
from automl_pheno.study.slots import jobqueue
from automl_pheno.study.slots.config import ClusterConfig
from automl_pheno.study.slots.dask_executor import job_executor

pytestmark = pytest.mark.slow

SPACE = """
schema: 1
name: toy
input: genotype
trunk:
  - block: conv
    filters: {values: [2, 3, 4, 5, 6, 7, 8]}
    kernel_size: 3
  - block: flatten
fit:
  max_epochs: 3
"""
SECTION = {"kind": "slurm", "cores": 1, "python": sys.executable, "prologue": (f"export PYTHONPATH={HERE}",)}


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    if reason := slurm_here.why_not():
        pytest.skip(reason)
    with slurm_here.slurm(tmp_path_factory.mktemp("slurm")):
        yield


def jobs():
    return slurm_here.call("squeue", "--noheader", "--states=R", "--format=%i").split()


def test_a_search_in_two_jobs_of_which_one_is_cancelled(batch, tmp_path, capsys):
    from study_data import make_dataset

    (tmp_path / "space.yaml").write_text(SPACE)
    study = make_study(
        space=tmp_path / "space.yaml", name="toy", trials=5, baselines=("mean", "ridge"), finalists=1, members=1,
        cluster={**SECTION, "max_jobs": 2, "memory": "3GB", "walltime": "00:20:00"},
    )  # fmt: skip
    heard, cancelled = Hearing(), []

    def cancel():
        wait_for(lambda: len(heard.records) >= 3 and len(jobs()) == 2, 120)
        cancelled.append(jobs()[0])
        slurm_here.call("scancel", cancelled[0])

    started = time.monotonic()
    with meanwhile(cancel):
        run = run_search(study, tmp_path / "run", heard, dataset=make_dataset())
    networks = [record for record in heard.records if record.kind == "network"]
    put_back = [text for text in heard.messages if "it is put back" in text]
    show(capsys, f"{time.monotonic() - started:.0f} s with job {cancelled} cancelled; put back: {put_back}")
    assert len(networks) == len({record.trial for record in networks}) == 5
    assert {record.state for record in networks} <= {"complete", "pruned"}
    assert all("its worker left" in text for text in put_back)
    assert json.loads((run / "final.json").read_text())["winner"]["test"]["pearson_r"] > 0.5
    assert (run / "best" / "predictor.json").is_file()
    assert list((run / "logs").glob("automl-pheno-*.err"))
    assert not any("encrypted" in text for text in heard.messages)
    slurm_here.wait_for(lambda: not slurm_here.call("squeue", "--noheader"), 30)


def test_slots_leave_before_the_wall_time_and_no_trial_is_blamed(batch, tmp_path, capsys):
    run, heard = make_run(tmp_path / "run"), Hearing()
    config = ClusterConfig(**SECTION, max_jobs=1, memory="1GB", walltime="00:01:00")
    with job_executor(config, run, "tensorflow", run / "logs", heard.message) as executor:
        ending, records = search_far(run, executor, heard, trials=12, sleep=1.0)
        used = len(list((run / "logs").glob("automl-pheno-*.err")))
    put_back = [text for text in heard.messages if "it is put back" in text]
    show(capsys, f"12 trials of 3 s in {used} jobs of one minute; put back: {put_back}")
    assert ending == "finished"
    assert_exact(records, 12)
    assert used >= 2
    assert all("its worker came to the end of its time" in text for text in put_back)
    assert not any("TIME LIMIT" in log.read_text() for log in (run / "logs").glob("automl-pheno-*.err"))


def test_jobs_that_end_at_once_stop_the_study_with_the_end_of_their_log(batch, tmp_path, monkeypatch):
    monkeypatch.setattr(jobqueue, "ASK_EVERY", 1.0)
    run = make_run(tmp_path / "run")
    section = {**SECTION, "prologue": ("echo module: command not found >&2", "exit 127")}
    config = ClusterConfig(**section, max_jobs=2, memory="1GB", walltime="00:10:00")
    refusal = r"jobs in a row ended before their slots came(.|\n)*command not found"
    with pytest.raises(StudyError, match=refusal), job_executor(config, run, "tensorflow", run / "logs"):
        pass


def test_a_job_that_slurm_does_not_take_stops_the_study_with_its_words(batch, tmp_path):
    run = make_run(tmp_path / "run")
    config = ClusterConfig(**SECTION, memory="900GB")
    refusal = "sbatch does not take the job: .*Memory specification can not be satisfied"
    with pytest.raises(StudyError, match=refusal), job_executor(config, run, "tensorflow", run / "logs"):
        pass
