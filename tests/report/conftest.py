"""Run folders like those that a search leaves, made with the study's own writers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_files import write_explanation_files

from automl_pheno.data.dataset import Dataset, Inputs
from automl_pheno.data.store import save_dataset
from automl_pheno.files import write_json, write_text
from automl_pheno.metrics import bootstrap_difference, bootstrap_interval, score
from automl_pheno.report import write_report, write_split_page, write_summary
from automl_pheno.splits import SplitConfig, make_split, write_split
from automl_pheno.study.leaderboard import make_leaderboard
from automl_pheno.study.records import TrialRecord, append_record
from automl_pheno.study.verdict import comparison_sentence

MakeRun = Callable[..., Path]
PARAMETERS = ["trunk.0.filters", "fit.learning_rate", "fit.momentum"]


def make_dataset(kind: str, n: int = 240) -> Dataset:
    rng = np.random.default_rng(0)
    if kind == "sequence":
        inputs = Inputs(kind="sequence", values=(1 << rng.integers(0, 4, (n, 60))).astype(np.uint8))
    else:
        variants = pd.DataFrame({
            "id": [f"snp{i}" for i in range(90)], "chromosome": np.repeat(["1", "2", "10"], 30),
            "position": np.tile(np.arange(30) * 1000 + 5, 3), "ref": "A", "alt": "G",
        })  # fmt: skip
        values = rng.integers(0, 3, (n, 90)).astype(np.float32)
        inputs = Inputs(kind="genotype", values=values, variants=variants)
    ids = np.array([f"s{i:03d}" for i in range(n)])
    traits = pd.DataFrame({"yield": rng.normal(5.0, 2.0, n)}, index=pd.Index(ids))
    return Dataset(name="toy", ids=ids, inputs=inputs, traits=traits, columns=pd.DataFrame(index=pd.Index(ids)))


def make_records(n_trials: int = 30) -> list[TrialRecord]:
    rng = np.random.default_rng(1)
    records = []
    for trial in range(n_trials):
        state: Any = ["complete", "complete", "pruned", "complete", "failed"][trial % 5] if trial else "complete"
        value = None if state == "failed" else float(0.8 - 0.5 * np.exp(-trial / 8) * rng.random())
        if state == "pruned" and value is not None:
            value = -0.9 if trial == 2 else value - 0.2
        curve = tuple(
            {
                "loss": float(np.exp(-e / 4) + 0.1),
                "val_loss": float(np.exp(-e / 4) + 0.2 + 0.01 * max(e - 10, 0)),
                "val_pearson_r": float(0.8 * (1 - np.exp(-e / 4)) - 0.01 * max(e - 10, 0)),
            }
            for e in range(20)
        )
        records.append(
            TrialRecord(
                kind="network",
                name=f"cnn-{trial}",
                trial=trial,
                state=state,
                value=value,
                weights=1000 + trial,
                epochs=20,
                best_epoch=11,
                seconds=3.0,
                curve=curve,
                params={"trunk.0.filters": 8 * (1 + trial % 3), "fit.learning_rate": 0.0003 * 1.2**trial}
                | ({"fit.momentum": 0.1 * trial} if trial % 2 else {}),
                scores={} if value is None else {"pearson_r": value, "r2": value**2},
                reason="loss was not finite" if state == "failed" else "",
            )
        )
    for name, value in (("ridge", 0.55), ("random_forest", 0.48), ("mean", 0.0)):
        records.append(
            TrialRecord(
                kind="baseline",
                name=name,
                state="complete",
                value=value,
                sd=0.03,
                weights=60,
                seconds=1.0,
                scores={"pearson_r": value},
            )
        )
    return records


def test_predictions(y: np.ndarray, noise: dict[str, float]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {name: 5.0 + 0.7 * (y - 5.0) + rng.normal(0.0, sd, len(y)) for name, sd in noise.items()}


test_predictions.__test__ = False  # type: ignore[attr-defined]  # a helper, not a test


def write_final(run: Path, dataset: Dataset, test: np.ndarray, noise: dict[str, float]) -> list[dict[str, Any]]:
    y = dataset.y("yield")[test]
    predicted = test_predictions(y, noise)
    finalists = []
    for name, values in predicted.items():
        low, high = bootstrap_interval(y, values, "pearson_r", np.random.default_rng(3))
        finalists.append({
            "name": name, "kind": "network" if name.startswith("cnn") else "baseline", "validation": 0.7,
            "test": score(y, values), "low": low, "high": high,
        })  # fmt: skip
    network = next(f["name"] for f in finalists if f["kind"] == "network")
    baseline = next(f["name"] for f in finalists if f["kind"] == "baseline")
    difference, low, high = bootstrap_difference(
        y, predicted[network], predicted[baseline], "pearson_r", np.random.default_rng(4)
    )
    comparison = {
        "network": network, "baseline": baseline, "metric": "pearson_r", "difference": difference, "low": low,
        "high": high,
    }  # fmt: skip
    comparison["sentence"] = comparison_sentence(comparison)
    write_json(run / "final.json", {
        "metric": "pearson_r", "trait": "yield", "n_test": len(test), "winner": finalists[0],
        "comparison": comparison, "finalists": finalists, "note": "",
    })  # fmt: skip
    table = pd.DataFrame({"id": dataset.ids[test], "observed": y, **predicted})
    write_text(run / "test_predictions.csv", table.to_csv(index=False))
    return finalists


def build_run(
    folder: Path,
    kind: str = "sequence", *, tested: bool = True, explained: bool = True, aligned: bool = False,
    noise: dict[str, float] | None = None, parts: bool = True, unit: str = "phenotype", complete: int = 30,
    warnings: tuple[str, ...] = (),
) -> Path:  # fmt: skip
    run = folder / "run"
    run.mkdir()
    dataset = make_dataset(kind)
    made = make_split(dataset, "yield", SplitConfig())
    split, card = made.split, made.card
    write_split(split, run / "split.csv")
    write_json(run / "split_card.json", card)
    save_dataset(dataset.take(split.development), run / "development.npz")
    records = make_records(complete)
    for record in records:
        append_record(run / "trials.jsonl", record)
    names = noise or {"cnn-28": 0.8, "ridge": 1.6, "random_forest": 2.0, "mean": 3.0}
    tests = write_final(run, dataset, split.test, names) if tested else []
    write_json(run / "provenance.json", {"starts": [{
        "started": "2026-01-01T00:00:00+00:00", "command": ["automl-pheno", "search", "a b.yaml"],
        "packages": {"numpy": "2.1"}, "data_sha256": "ab" * 32, "seeds": {"study": 11}, "commit": "c0ffee",
    }]})  # fmt: skip
    table = make_leaderboard(records, metric="pearson_r", parameters=PARAMETERS, tests=tests)
    write_text(run / "leaderboard.csv", table.to_csv(index=False))
    if explained:
        verdict = "Not tested."
        if tested:
            verdict = json.loads((run / "final.json").read_text())["comparison"]["sentence"]
        write_explanation_files(
            dataset, run / "explain", verdict=verdict, aligned=aligned, parts=parts,
            unit=unit, warnings=warnings,
        )  # fmt: skip
    return run


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    return partial(build_run, tmp_path)


@pytest.fixture(scope="session")
def sequence_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of sequences with all that an explanation can hold, and its reports; drawn once, not to be changed."""
    return reported(build_run(tmp_path_factory.mktemp("sequence"), warnings=("Read with care <b>.",)))


@pytest.fixture(scope="session")
def genotype_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of genotypes, in normal scores."""
    return reported(build_run(tmp_path_factory.mktemp("genotype"), "genotype", unit="normal score"))


def reported(run: Path) -> Path:
    write_split_page(run)
    write_report(run)
    write_summary(run)
    return run
