"""A whole search with KerasTuner's Hyperband on real data: killed, taken up, and what its weights are worth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(900)]

SPACE = {
    "schema": 1, "name": "tiny", "input": "genotype",
    "trunk": [
        {"block": "conv", "filters": {"values": [2, 4]}, "kernel_size": {"values": [3, 9]}, "stride": 8},
        {"block": "flatten"},
    ],
    "head": [{"block": "dense", "units": {"values": [4, 8, 16]}, "dropout": {"min": 0.0, "max": 0.4}}],
    "fit": {
        "optimizer": {"values": ["adam", "sgd"]},
        "momentum": {"min": 0.0, "max": 0.9, "when": {"fit.optimizer": "sgd"}},
        "learning_rate": {"min": 1e-4, "max": 1e-2, "log": True}, "schedule": "cosine", "max_epochs": 9,
    },
}  # fmt: skip
TRIALS = 17


def command(folder: Path, data: Path) -> list[str]:
    return [
        sys.executable, "-c", "import sys; from automl_pheno.cli import main; sys.exit(main(sys.argv[1:]))", "search",
        "--space", str(folder / "tiny.yaml"), "--data", str(data / "genotypes.csv.gz"), "--trait-table",
        str(data / "phenotypes.csv.gz"), "--trait", "GY_E1",
        "--trials", str(TRIALS), "--engine", "keras-tuner/hyperband", "--baselines", "ridge", "--no-explain",
        "--workers", "1", "--out", str(folder / "run"),
    ]  # fmt: skip


def records(run: Path) -> list[dict]:
    file = run / "trials.jsonl"
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


def test_hyperband_killed_and_taken_up_on_wheat(tmp_path: Path, data_folder: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SPACE, sort_keys=False))
    data = data_folder / "bglr_wheat"
    run = tmp_path / "run"
    for wanted in (6, 11):  # killed with kill -9, in mid-trial, with all that it started
        process = subprocess.Popen(
            command(tmp_path, data), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while len(records(run)) < wanted and process.poll() is None:
            time.sleep(0.1)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command(tmp_path, data), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [r for r in records(run) if r["kind"] == "network"]
    assert len(found) == TRIALS
    assert len({r["trial"] for r in found}) == TRIALS
    assert {r["budget"] for r in found} == {None, 1, 3, 9}
    by_trial = {r["trial"]: r for r in found}
    for record in found:
        assert record["state"] == "complete"
        if record["budget"] in (3, 9) and record["chosen"]["initial_epoch"]:
            parent = min(
                (
                    r
                    for r in found
                    if r["params"] == record["params"] and r["budget"] == record["chosen"]["initial_epoch"]
                ),
                key=lambda r: r["trial"],
            )
            assert record["curve"][: len(parent["curve"])] == parent["curve"]
            assert record["seed"] == parent["seed"]
            assert record["epochs"] == len(record["curve"]) > parent["epochs"]
    assert any(r["chosen"].get("initial_epoch") for r in found)
    leaderboard = pd.read_csv(run / "leaderboard.csv")
    assert {"rank", "trial", "state", "val_pearson_r", "epochs", "fit.learning_rate"} <= set(leaderboard)
    final = json.loads((run / "final.json").read_text())
    assert {entry["kind"] for entry in final["finalists"]} == {"network", "baseline"}
    best = next(entry for entry in final["finalists"] if entry["kind"] == "network")
    assert best["epochs"] == max(by_trial[best["trial"]]["best_epoch"], 1)
    assert not (run / "weights").exists()
