"""A running Dask scheduler: a worker that does not see the run, one that does not fit, one that hangs, and TLS."""

from __future__ import annotations

import os
import shutil
import subprocess

import dask
import pandas as pd
import pytest
from far_study import Hearing, Machines, assert_exact, hidden, make_run, search_far
from study_data import make_dataset
from study_wait import wait_for

import automl_pheno as ap
from automl_pheno.errors import StudyError
from automl_pheno.study.config import make_study
from automl_pheno.study.search import run_search
from automl_pheno.study.slots.dask_executor import remote_executor

pytestmark = pytest.mark.slow

SPACE = """
schema: 1
name: toy
input: genotype
trunk:
  - block: conv
    filters: {values: [2, 3, 4, 5]}
    kernel_size: 3
  - block: flatten
fit:
  max_epochs: 2
"""


@pytest.fixture
def machines(tmp_path):
    found = Machines(tmp_path / "machines")
    yield found
    found.close()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounts need root and unshare")
def test_a_worker_that_does_not_see_the_run_gives_the_same_results(machines, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    address = machines.scheduler()
    runs = {}
    for name in ("seen", "hidden"):
        run, heard = tmp_path / name, Hearing()
        before = hidden(run) if name == "hidden" else ()
        run.mkdir()
        cache = tmp_path / f"cache-{name}"
        machines.worker(address, name, before=before, AUTOML_PHENO_CACHE=str(cache), OMP_NUM_THREADS="1")
        study = make_study(
            space=tmp_path / "space.yaml", name="toy", trials=2, baselines=("mean", "ridge"), finalists=1, members=1,
            scheduler=address,
        )  # fmt: skip
        runs[name] = run_search(study, run, heard, dataset=make_dataset())
        sent = [text for text in heard.messages if "does not see the run folder" in text]
        assert len(sent) == (2 if name == "hidden" else 0)  # the samples and, for the refits, the sealed ones
        kept = {file.name.partition("-")[2] for file in cache.glob("*-*.*")}
        assert kept == ({"development.npz", "split.csv"} if name == "hidden" else set())
        machines.end(name)
    seen, far = (pd.read_csv(runs[name] / "leaderboard.csv") for name in ("seen", "hidden"))
    same = [column for column in seen if column not in ("seconds", "device")]
    pd.testing.assert_frame_equal(seen[same], far[same], check_exact=True)
    assert (runs["seen"] / "test_predictions.csv").read_text() == (runs["hidden"] / "test_predictions.csv").read_text()
    assert {path.name for path in (runs["seen"] / "finalists").iterdir()} == {
        path.name for path in (runs["hidden"] / "finalists").iterdir()
    }
    held_out = [{file.name: file.read_bytes() for file in (runs[name] / "out_of_fold").iterdir()} for name in runs]
    assert held_out[0] == held_out[1]
    assert set(held_out[0]) == {"mean.npy", "ridge.npy", "toy-0.npy", "toy-1.npy"}
    inputs = make_dataset().inputs
    assert (ap.load(runs["hidden"]).predict(inputs) == ap.load(runs["seen"]).predict(inputs)).all()


def test_a_worker_without_this_package_is_refused_by_name(machines, tmp_path):
    run = make_run(tmp_path / "run")
    address = machines.scheduler()
    (tmp_path / "other" / "automl_pheno").mkdir(parents=True)
    (tmp_path / "other" / "automl_pheno" / "__init__.py").write_text("raise ModuleNotFoundError('automl_pheno')\n")
    elsewhere = ("env", "-C", str(tmp_path), f"PYTHONPATH={tmp_path / 'other'}")
    process = machines.worker(address, "stranger", before=elsewhere)
    refusal = r"worker stranger \(tcp://.*\): cannot import this version of automl_pheno .*0\.1\.0.*install the same"
    with pytest.raises(StudyError, match=refusal), remote_executor(address, run, "tensorflow", run / "logs"):
        pass
    assert process.poll() is None


def test_a_hung_trial_on_a_worker_without_a_nanny_is_given_up_with_it(machines, tmp_path):
    run, heard = make_run(tmp_path / "run"), Hearing()
    address = machines.scheduler()
    machines.worker(address, "bare", "--no-nanny")
    machines.worker(address, "kept")
    with remote_executor(address, run, "tensorflow", run / "logs", heard.message) as executor:
        wait_for(lambda: executor.free() == 2)
        bare = next(slot.address for slot in executor._workers.slots.values() if slot.name == "bare")
        for number in range(2):
            executor.submit(
                {"id": f"a#{number}", "name": "a", "function": "study_trials:quadratic", "sleep": 5.0, "epochs": 1,
                 "run": str(run), "data": "d"}
            )  # fmt: skip
        hung = next(name for name, flight in executor._flights.items() if flight.address == bare)
        executor.poll(1.0, lambda reported: None)
        executor.kill(hung)
        (lost,) = executor.poll(1.0, lambda reported: None)
        assert (lost.task, lost.outcome["state"]) == (hung, "lost")
        assert sum("has no nanny" in text for text in heard.messages) == 1
        assert executor.slots == 1
        ending, records = search_far(run, executor, heard, trials=3, sleep=0.05)
    assert ending == "finished"
    assert_exact(records, 3)
    assert {record.pid for record in records} != {machines.processes["bare"].pid}


def test_a_trial_that_nobody_waits_for_any_more_ends_at_its_next_report(machines, tmp_path):
    run = make_run(tmp_path / "run")
    address = machines.scheduler()
    machines.worker(address, "one")
    task = {"id": "a#1", "name": "a", "function": "study_trials:quadratic", "sleep": 0.5, "epochs": 200, "data": "d"}
    with remote_executor(address, run, "tensorflow", run / "logs") as executor:
        executor.submit({**task, "run": str(run)})
        executor.poll(5.0, lambda reported: None)
    with remote_executor(address, run, "tensorflow", run / "logs") as executor:
        executor.submit({**task, "id": "b#1", "epochs": 1, "run": str(run)})
        ended = wait_for(lambda: executor.poll(1.0, lambda reported: None), 15)
    assert ended[0].outcome["state"] == "complete"


def test_tls_by_the_configuration_of_dask(machines, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by openssl")
    run = make_run(tmp_path / "run")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = {f"distributed.comm.tls.{role}": {"cert": str(certificate), "key": str(key)} for role in (
        "scheduler", "worker", "client",
    )}  # fmt: skip
    settings = {"distributed.comm.tls.ca-file": str(certificate), "distributed.comm.require-encryption": True, **tls}
    environment = {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate),
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        **{
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__{what}": str(file)
            for role in ("SCHEDULER", "WORKER", "CLIENT")
            for what, file in (("CERT", certificate), ("KEY", key))
        },
    }
    address = machines.scheduler(protocol="tls", **environment)
    machines.worker(address, "safe", "--protocol", "tls", **environment)
    with dask.config.set(settings), remote_executor(address, run, "tensorflow", run / "logs") as executor:
        ending, records = search_far(run, executor, Hearing(), trials=2, sleep=0.05)
    assert ending == "finished"
    assert_exact(records, 2)
    plain = address.replace("tls://", "tcp://")
    refused = pytest.raises(StudyError, match="no Dask scheduler answers")
    with refused, remote_executor(plain, run, "tensorflow", run / "logs"):
        pass
