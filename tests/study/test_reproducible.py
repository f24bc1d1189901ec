"""The same seed and one slot give the same leaderboard, however late a slot hears that its trial was given up."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import optuna
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.cli import main
from automl_pheno.space.load import parse_space
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Silent
from automl_pheno.study.run_folder import RunFolder
from automl_pheno.study.slots import worker
from automl_pheno.study.slots.executor import Finished, InProcess, Reported
from automl_pheno.study.slots.machine import read_machine, slot_environment
from automl_pheno.study.slots.worker import run_task
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.supervisor import Supervisor

SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {min: 4, max: 64}
    kernel_size: {min: 3, max: 9, step: 2}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-4, max: 1.0e-1, log: true}
"""
EPOCHS, FOLDS = 12, 4
CLOCK = ["seconds", "device"]
"""Columns that no two runs need to share."""


def by_epochs(task, report):
    """Stand in for a training with one validation set: best value so far after each epoch, scores of the best one."""
    rng = np.random.default_rng(task["seed"])
    aim = 1 - abs(np.log10(task["candidate"]["config"]["fit"]["learning_rate"]) + 2)
    curve, best = [], -np.inf
    for epoch in range(1, EPOCHS + 1):
        value = aim * (1 - np.exp(-epoch / 4)) + 0.05 * rng.normal()
        best = max(best, value)
        curve.append({"loss": -value, "val_pearson_r": value})
        if report(epoch, best) and epoch < EPOCHS:
            break
    state = "pruned" if epoch < EPOCHS else "complete"
    scores = {"pearson_r": best, "r2": best**2 + epoch}
    return {"state": state, "value": best, "scores": scores, "fold_scores": [scores], "epochs": epoch, "curve": curve,
            "best_epoch": epoch, "weights": 7, "fold_epochs": []}  # fmt: skip


def by_folds(task, report):
    """Stand in for a training with K folds: mean so far after each fold."""
    rng = np.random.default_rng(task["seed"])
    aim = 1 - abs(np.log10(task["candidate"]["config"]["fit"]["learning_rate"]) + 2)
    scores, epochs, pruned = [], [], False
    for fold in range(1, FOLDS + 1):
        scores.append({"pearson_r": aim + 0.1 * rng.normal(), "r2": rng.normal()})
        epochs.append(int(rng.integers(3, 20)))
        mean = float(np.mean([score["pearson_r"] for score in scores]))
        if report(fold, mean) and fold < FOLDS:
            pruned = True
            break
    means = {name: float(np.mean([score[name] for score in scores])) for name in ("pearson_r", "r2")}
    return {"state": "pruned" if pruned else "complete", "value": means["pearson_r"], "scores": means, "weights": 7,
            "fold_scores": scores, "epochs": sum(epochs), "fold_epochs": epochs, "curve": []}  # fmt: skip


class Late(InProcess):
    """A slot that is far away: some reports come late or only with the outcome, and no stop comes in time."""

    def poll(self, timeout, on_report):
        if not self.waiting:
            return []
        task, reports = self.waiting.popleft(), []
        outcome = run_task(task, lambda step, value: reports.append((step, value)))
        name = task["id"]
        on_report(Reported(task=name, step=0, value=float("nan"), slot="far"))
        for step, value in reports[: len(reports) * (hash(name) % 3) // 2]:
            on_report(Reported(task=name, step=step, value=value, slot="far"))
        return [Finished(task=name, outcome=outcome)]


def search(path, executor, function, folds):
    space = parse_space(SPACE)
    path.mkdir()
    folder = RunFolder(path, metric="pearson_r", parameters=("trunk.0.filters", "fit.learning_rate"))
    last = FOLDS if folds else EPOCHS
    request = EngineRequest(space=space, seed=5, slots=1, folder=path, higher_is_better=True, max_epochs=EPOCHS,
                            trials=24)  # fmt: skip
    engine = make_engine("optuna/tpe", request)
    pruner = make_pruner("median", Steps(last=last, folds=folds, slots=1))
    study = optuna.create_study(direction="maximize", sampler=engine.sampler, pruner=pruner)  # in memory: no waiting
    plan = Plan(space=space, check=lambda config: 1, metric="pearson_r", higher_is_better=True, trials=24, seed=5,
                common={"function": f"test_reproducible:{function}"})  # fmt: skip
    book = TrialBook(study, folder, name="toy", higher_is_better=True)
    assert Supervisor(plan, engine, book, executor, Silent()).run() == "finished"
    return folder.leaderboard().drop(columns=CLOCK, errors="ignore")


@pytest.mark.parametrize(("function", "folds"), [("by_epochs", False), ("by_folds", True)])
def test_the_leaderboard_does_not_depend_on_when_reports_arrive(function, folds, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "_clean_up", lambda: 0)  # after each task; slow beside all that pytest has loaded
    near = search(tmp_path / "near", InProcess(), function, folds)
    far = search(tmp_path / "far", Late(), function, folds)
    assert (near["state"] == "pruned").sum() >= 3
    pd.testing.assert_frame_equal(near, far, check_exact=True)


REAL = """
schema: 1
name: tiny
input: sequence
trunk:
  - block: conv
    filters: {values: [4, 8]}
    kernel_size: {values: [3, 7]}
    dropout: {min: 0.0, max: 0.4}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-3, max: 3.0e-2, log: true}
  max_epochs: 8
  patience: 4
"""


def board(run):
    return pd.read_csv(run / "leaderboard.csv", dtype=str).drop(columns=CLOCK, errors="ignore")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_search_is_the_same_in_this_process_and_in_a_slot_and_each_trial_can_be_trained_again(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text(REAL)
    assert main(["simulate", "motifs", "-o", "made", "--n", "250"]) == 0
    common = ["search", "--space", "space.yaml", "--data", "made/data.csv", "--trials", "12", "--seed", "3",
              "--baselines", "ridge,forest", "--no-explain"]  # fmt: skip
    program = [sys.executable, "-c", "import sys; from automl_pheno.cli import main; sys.exit(main())"]
    threads = {**os.environ, **slot_environment(0, 1, read_machine(), "tensorflow")}  # those of a slot, for both
    for workers in ("0", "1"):
        command = [*program, *common, "--workers", workers, "--out", f"run{workers}"]
        done = subprocess.run(command, env=threads, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(board(tmp_path / "run0"), board(tmp_path / "run1"), check_exact=True)
    assert (tmp_path / "run0/test_predictions.csv").read_bytes() == (
        tmp_path / "run1/test_predictions.csv"
    ).read_bytes()

    capsys.readouterr()
    states = board(tmp_path / "run1").set_index("name")["state"]
    names = [states[states == state].index[0] for state in ("complete", "pruned") if (states == state).any()]
    for name in {*names, "tiny-0", "forest"}:
        assert main(["replay", "run1", name]) == 0
        assert f"{name}: the same again, to the last bit" in capsys.readouterr().out
    assert main(["replay", "run1", "0", "-o", "kept"]) == 0
    sequences = pd.read_csv("made/data.csv")["sequence"].head(5).tolist()
    assert np.isfinite(ap.load("kept").predict(sequences)).all()
    assert main(["replay", "run1", "0", "-o", "kept"]) == 2

    lines = (tmp_path / "run1/trials.jsonl").read_text().splitlines()
    changed = [json.loads(line) for line in lines]
    for record in changed:
        record["value"] = 0.99
    (tmp_path / "run1/trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in changed))
    capsys.readouterr()
    assert main(["replay", "run1", "forest"]) == 4
    assert "not the same" in capsys.readouterr().out
