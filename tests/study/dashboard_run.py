"""A small run folder, made by hand: three networks and a baseline, tested, with learning curves and a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.study.dashboard import name_metric, write_note
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import RunFolder
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import open_study

VALUES = (0.4, 0.7, 0.5)


def make_run(run: Path, *, tested: bool = True) -> Path:
    run.mkdir(parents=True)
    (run / "study.yaml").write_text("name: toy\nstorage: null\n")
    study = open_study(run / "journal.log", "toy", "maximize")
    name_metric(study, "pearson_r")
    folder = RunFolder(run, metric="pearson_r", parameters=("fit.learning_rate",))
    book = TrialBook(study, folder, name="toy", higher_is_better=True)
    for number, value in enumerate(VALUES):
        trial = book.ask()
        rate = trial.suggest_float("fit.learning_rate", 1e-4, 1e-1, log=True)
        for epoch in range(1, 5):
            book.report(trial, value * epoch / 4, epoch)
        curve = tuple(
            {"loss": 1 / epoch, "val_loss": 1.2 / epoch, "val_pearson_r": value * epoch / 4} for epoch in range(1, 5)
        )
        record = TrialRecord(
            kind="network", name=f"toy-{number}", state="complete", trial=number, params={"fit.learning_rate": rate},
            candidate={"name": "network", "config": {"fit": {"learning_rate": rate}}}, value=value, sd=0.1,
            scores={"pearson_r": value, "r2": value**2}, weights=10 * (number + 1), epochs=4, best_epoch=3,
            seconds=1.5, curve=curve, seed=number, device="cpu",
        )  # fmt: skip
        assert book.close(record, trial)
    ridge = TrialRecord(kind="baseline", name="ridge", state="complete", candidate={"name": "ridge"}, value=0.6, seed=9)
    book.close(ridge, None)
    if tested:
        observed = np.linspace(-1, 1, 20)
        table = {"id": [f"s{i}" for i in range(20)], "observed": observed, "toy-1": 0.7 * observed, "ridge": -observed}
        pd.DataFrame(table).to_csv(run / "test_predictions.csv", index=False)
        test = {"test": {"pearson_r": 0.7}, "low": 0.5, "high": 0.8}
        finalists = [
            {"name": "toy-1", "kind": "network", "trial": 1, **test},
            {"name": "ridge", "kind": "baseline", "trial": None, **test},
        ]
        tie_note = "toy-1 is first of two that validation cannot tell apart: toy-1 and ridge."
        final = {
            "tie_note": tie_note,
            "trait": "yield",
            "metric": "pearson_r",
            "winner": finalists[0],
            "finalists": finalists,
        }
        numbers = {"metric": "pearson_r", "difference": 0.2, "low": 0.1, "high": 0.3}
        comparison = {"network": "toy-1", "baseline": "ridge", **numbers}
        (run / "final.json").write_text(json.dumps({**final, "comparison": comparison}))
        (run / "report.html").write_text("<!DOCTYPE html><title>What predicts yield</title><h1>the report</h1>")
        write_note(study, run)
    folder.write_leaderboard()
    return run
