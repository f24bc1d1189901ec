"""Locks, identity and the leaderboard of a run folder."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest

from automl_pheno.errors import StudyError
from automl_pheno.study.leaderboard import make_leaderboard
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import RunFolder, check_identity, lock_run

IDENTITY = {"space": {"trunk": [{"filters": {"values": [16, 32]}}]}, "data": {"sha256": "ab", "samples": 5}, "seed": 0}


def test_a_held_folder_is_refused_with_the_process_and_free_again_afterwards(tmp_path):
    run = tmp_path / "run"
    refusal = f"another search is running here .process {os.getpid()}"
    with lock_run(run), pytest.raises(StudyError, match=refusal), lock_run(run):
        pass
    with lock_run(run):
        pass


def test_the_same_identity_resumes_and_another_is_refused_with_each_difference(tmp_path):
    assert check_identity(tmp_path, IDENTITY)
    assert not check_identity(tmp_path, IDENTITY)
    changed = json.loads(json.dumps(IDENTITY))
    changed["space"]["trunk"][0]["filters"]["values"].append(64)
    changed["data"]["samples"] = 6
    changed["metric"] = "r2"
    del changed["seed"]
    with pytest.raises(StudyError) as caught:
        check_identity(tmp_path, changed)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[1:] == [
        "space.trunk.0.filters.values: was [16, 32], now [16, 32, 64]",
        "data.samples: was 5, now 6",
        "seed: was 0, now left out",
        'metric: was left out, now "r2"',
    ]
    assert not check_identity(tmp_path, IDENTITY)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "trials.jsonl").write_text("")
    with pytest.raises(StudyError, match="not the folder of a run"):
        check_identity(tmp_path, IDENTITY)


def make(name, state, value=None, trial=None, **fields):
    kind = "baseline" if trial is None else "network"
    return TrialRecord(kind=kind, name=name, state=state, value=value, trial=trial, **fields)


RECORDS = [
    make("toy-0", "complete", 0.5, 0, params={"a.b": 3}, weights=7, scores={"r2": 0.2}),
    make("toy-1", "failed", None, 1, reason="loss is nan"),
    make("ridge", "complete", 0.6, sd=0.1),
    make("toy-2", "pruned", 0.9, 2),
    make("toy-3", "complete", 0.7, 3, params={"a.b": 4}, device="gpu 0 (T4)"),
    make("toy-4", "infeasible", None, 4, reason="too wide"),
]


def test_leaderboard_ranks_complete_ones_and_lists_the_others_after_them():
    tests = [{"name": "ridge", "test": {"pearson_r": 0.55}, "low": 0.4, "high": 0.7}]
    table = make_leaderboard(RECORDS, metric="pearson_r", parameters=("a.b",), tests=tests)
    fixed = "rank name kind trial state val_pearson_r val_sd test_pearson_r test_low test_high weights epochs seconds"
    assert list(table.columns)[:13] == fixed.split()
    assert list(table.columns)[-3:] == ["device", "reason", "a.b"]
    assert table["device"].tolist()[:2] == ["gpu 0 (T4)", ""]
    assert {"val_spearman", "val_r2", "val_rmse", "val_mae"} < set(table.columns)
    assert table["name"].tolist() == ["toy-3", "ridge", "toy-0", "toy-2", "toy-1", "toy-4"]
    assert table["rank"].tolist()[:3] == [1, 2, 3]
    assert table["rank"].isna().tolist()[3:] == [True] * 3
    assert table.loc[1, "test_pearson_r"] == 0.55
    assert table.loc[0, "a.b"] == 4


def test_errors_rank_the_other_way():
    table = make_leaderboard(RECORDS, metric="rmse", parameters=())
    assert table["name"].tolist()[:3] == ["toy-0", "ridge", "toy-3"]


def test_leaderboard_file_follows_each_record(tmp_path):
    folder = RunFolder(tmp_path, metric="pearson_r", parameters=("a.b",))
    for number, record in enumerate(RECORDS, start=1):
        folder.append(record)
        folder.keep_up(now=True)
        assert len(pd.read_csv(tmp_path / "leaderboard.csv")) == number
    text = (tmp_path / "leaderboard.csv").read_text()
    assert "1,toy-3,network,3,complete,0.7" in text
    assert text.splitlines()[1].endswith(",4")
    again = RunFolder(tmp_path, metric="pearson_r", parameters=("a.b",))
    assert list(again.records()) == RECORDS
