"""Provenance, finding a trial to train again, and what is said of the result."""

from __future__ import annotations

import json

import pytest

from automl_pheno.errors import StudyError
from automl_pheno.study import provenance
from automl_pheno.study.config import make_study
from automl_pheno.study.provenance import describe, describe_slots, read_provenance, write_provenance
from automl_pheno.study.records import TrialRecord, append_record
from automl_pheno.study.replay import (
    Replay,
    _compare,
    _differences,
    _environment,
    _start_of,
    find_record,
    summary_lines,
)
from automl_pheno.study.slots.machine import Machine


def record(**fields):
    fields = {"state": "complete", "trial": 3, "value": 0.5, "candidate": {"name": "network"}, "seed": 1, **fields}
    return TrialRecord(kind="network", name=f"cnn-{fields['trial']}", **fields)


def test_provenance_keeps_every_start(tmp_path):
    write_provenance(tmp_path, {"seeds": {"study": 1}})
    write_provenance(tmp_path, {"seeds": {"study": 1}})
    starts = json.loads((tmp_path / "provenance.json").read_text())["starts"]
    assert len(starts) == 2
    assert starts[0]["packages"]["optuna"].startswith("5")
    assert starts[1]["seeds"] == {"study": 1}
    assert read_provenance(tmp_path) == tuple(starts)
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(StudyError, match=r"provenance\.json: is damaged"):
        read_provenance(tmp_path)
    assert read_provenance(tmp_path / "none") == ()


def test_provenance_says_what_changes_results(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.setenv("HOME_SWEET", "no")
    monkeypatch.setattr("sys.argv", ["automl-pheno", "search", "--storage", "postgresql://me:secret@db/x"])
    tools = tmp_path / "nvidia-smi"
    tools.write_text("#!/bin/sh\necho 'NVIDIA H100, GPU-1, 81559 MiB, 575.57, 9.0'\n")
    tools.chmod(0o755)
    monkeypatch.setattr(provenance.shutil, "which", lambda name: str(tools))
    told = describe()
    assert told["environment"]["TF_NUM_INTRAOP_THREADS"] == "3"
    assert "HOME_SWEET" not in told["environment"]
    assert told["command"][-1] == "postgresql://me@db/x"
    assert told["gpus"] == [
        {"name": "NVIDIA H100", "uuid": "GPU-1", "memory.total": "81559 MiB", "driver_version": "575.57",
         "compute_cap": "9.0"}
    ]  # fmt: skip
    assert told["memory"] > 2**20
    assert told["cpus_allowed"] >= 1
    assert told["packages"]["numpy"]


def test_provenance_says_what_a_slot_gets(tmp_path):
    study = make_study(space=tmp_path / "space.yaml", workers=2, backend="jax")
    told = describe_slots(study, (2, Machine(cores=6, gpus=(), memory=2**33)))
    assert told["slots"] == 2
    assert told["environment"]["TF_NUM_INTRAOP_THREADS"] == "3"
    assert told["environment"]["KERAS_BACKEND"] == "jax"
    assert describe_slots(make_study(space=tmp_path / "s.yaml", workers=0), None) == {"where": "this process"}


def test_a_trial_is_found_by_number_and_name_and_an_unknown_one_is_guessed(tmp_path):
    ridge = TrialRecord(kind="baseline", name="ridge", state="complete", candidate={"name": "ridge"}, seed=2)
    for one in (record(), record(trial=12, state="infeasible", candidate={}, seed=None, reason="too wide"), ridge):
        append_record(tmp_path / "trials.jsonl", one)
    assert find_record(tmp_path, 3) == find_record(tmp_path, "3") == find_record(tmp_path, "cnn-3")
    assert find_record(tmp_path, "ridge").kind == "baseline"
    with pytest.raises(StudyError, match=r"no finished trial 'cnn-33'; known: cnn-3, cnn-12, ridge; did you mean"):
        find_record(tmp_path, "cnn-33")
    with pytest.raises(StudyError, match=r"cnn-12 was never trained \(infeasible: too wide\)"):
        find_record(tmp_path, 12)


@pytest.mark.parametrize(
    ("was", "state", "value", "metric", "verdict"),
    [
        (record(), "complete", 0.5, "pearson_r", "identical"),
        (record(), "complete", 0.51, "pearson_r", "close"),
        (record(), "complete", 0.53, "pearson_r", "different"),
        (record(value=100.0), "complete", 101.5, "rmse", "close"),
        (record(value=0.01), "complete", 0.02, "rmse", "different"),
        (record(), "failed", None, "pearson_r", "different"),
        (record(state="failed", value=None), "failed", None, "pearson_r", "identical"),
        (record(state="failed", value=None), "complete", 0.5, "pearson_r", "different"),
        (record(), "complete", float("nan"), "pearson_r", "different"),
    ],
)
def test_what_is_the_same(was, state, value, metric, verdict):
    assert _compare(was, state, value, metric, 0.02) == verdict


def test_the_start_that_made_a_trial_and_what_has_changed_since(tmp_path):
    starts = [{"started": "2026-01-01T00:00:00+00:00"}, {"started": "2026-03-01T00:00:00+00:00"}]
    (tmp_path / "provenance.json").write_text(json.dumps({"starts": starts}))
    assert _start_of(tmp_path, record(finished="2026-02-01T00:00:00+00:00")) == starts[0]
    assert _start_of(tmp_path, record(finished="2026-04-01T00:00:00+00:00")) == starts[1]
    now = describe()
    assert list(_differences(now)) == []
    then = {**now, "processor": "Z80", "packages": {**now["packages"], "numpy": "0.9", "gone": "1"}}
    told = list(_differences(then))
    assert told[0].startswith("processor: Z80 in the search, ")
    assert told[1:] == [
        "gone: 1 in the search, missing now",
        f"numpy: 0.9 in the search, {now['packages']['numpy']} now",
    ]
    assert list(_differences({})) == ["versions and hardware of the search: not recorded"]


def test_a_replay_gets_the_environment_of_the_slot(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    start = {
        "environment": {"TF_ENABLE_ONEDNN_OPTS": "0"},
        "slots": {"where": "this machine", "environment": {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0"}},
    }
    environment, differences = _environment(record(device="cpu"), start, "jax")
    chosen = {name: environment[name] for name in ("OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND")}
    assert chosen == {"OMP_NUM_THREADS": "2", "TF_ENABLE_ONEDNN_OPTS": "0", "KERAS_BACKEND": "jax"}
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert differences == ()
    environment, differences = _environment(record(device="gpu 0 (T4)"), {}, "tensorflow")
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["OMP_NUM_THREADS"]) == ("1", "7")
    assert "not recorded" in differences[0]


def test_the_sentences():
    fields = {
        "name": "cnn-3", "metric": "pearson_r", "state": "complete", "recorded_state": "complete", "value": 0.5,
        "recorded": 0.5, "verdict": "identical", "tolerance": 0.02, "differences": ("numpy: 1 in the search, 2 now",),
        "notes": (), "scores": {}, "reason": "", "folder": None,
    }  # fmt: skip
    assert summary_lines(Replay(**fields)) == ["cnn-3: the same again, to the last bit: validation Pearson r 0.5."]
    close = summary_lines(Replay(**{**fields, "value": 0.51, "verdict": "close"}))
    assert close[0].startswith("cnn-3: the same within 0.02, not to the last bit: validation Pearson r 0.51, 0.5 in")
    assert close[-1] == "  numpy: 1 in the search, 2 now"
    other = Replay(**{**fields, "value": 0.6, "verdict": "different"})
    assert "not the same" in other.sentence
    failed = Replay(**{**fields, "value": None, "state": "failed", "verdict": "different", "reason": "loss is nan"})
    assert "failed now: loss is nan" in failed.sentence
