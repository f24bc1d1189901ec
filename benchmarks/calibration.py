"""Does a prediction of 2.0 mean 2.0? Slope, intercept, r and RMSE on the sealed test set, network and baselines.

A small search of the shipped space on each data set, one test; observed regressed on predicted. A calibrated
prediction has slope 1 and intercept 0 (given in sd of the tested trait, like RMSE). The network is the one that
validation chose. Sets that are not there are left out; to measure another version, put its folder on PYTHONPATH.

    python benchmarks/calibration.py [--quick] [--only demo,mutants,jores,mice,wheat] [--trials 6] [--rows 2000]
                                     [--metric pearson_r] [--baselines gblup,forest] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, drop_missing, read_dataset
from automl_pheno.simulate import SIMULATORS
from automl_pheno.study.config import make_study
from automl_pheno.study.search import run_search

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("AUTOML_PHENO_DATA", REPOSITORY.parent / "shared" / "data"))
RANDOM: dict[str, Any] = {"split": {"groups": ("random",)}, "leakage": "report"}
Case = tuple[str, Dataset, str, dict[str, Any]]


def demo(rows: int) -> Iterator[Case]:
    """Planted motifs, the set of a search without data."""
    yield "demo", SIMULATORS["motifs"](n=2 * rows, seed=0)[0], "trait", {}


def mutants(rows: int) -> Iterator[Case]:
    """Mutants of one reference: three seeds, extrapolation (the default) and random."""
    for seed in range(3):
        dataset = SIMULATORS["mutants"](n=rows, seed=seed)[0]
        yield f"mutants {seed}", dataset, "trait", {"leakage": "report"}
        yield f"mutants {seed} random", dataset, "trait", RANDOM


def jores(rows: int) -> Iterator[Case]:
    """Plant promoters, every n-th row."""
    trait = "leaf_enrichment"
    data = drop_missing(read_dataset(DATA / "jores_promoters" / "promoters.csv.gz"), trait)
    yield "jores", data.take(np.arange(0, len(data), max(len(data) // rows, 1))), trait, {"leakage": "report"}


def mice(rows: int) -> Iterator[Case]:
    """Heterogeneous-stock mice, every fourth variant."""
    data = read_dataset(DATA / "bglr_mice" / "mice.bed", trait_table=DATA / "bglr_mice" / "phenotypes.csv.gz")
    trait = next(str(name) for name in data.traits.columns if str(name).endswith("EndNormalBW"))
    data = _thinned(drop_missing(data, trait), 4)
    yield "mice", data.take(np.arange(min(rows, len(data)))), trait, {"leakage": "report"}


def wheat(rows: int) -> Iterator[Case]:
    """Wheat lines, two environments."""
    folder = DATA / "bglr_wheat"
    data = read_dataset(folder / "genotypes.csv.gz", trait_table=folder / "phenotypes.csv.gz")
    for trait in ("GY_E1", "GY_E3"):
        yield f"wheat {trait}", data.take(np.arange(min(rows, len(data)))), trait, RANDOM


SETS = {"demo": demo, "mutants": mutants, "jores": jores, "mice": mice, "wheat": wheat}
FOLDER = {"jores": "jores_promoters", "mice": "bglr_mice", "wheat": "bglr_wheat"}


def _thinned(data: Dataset, step: int) -> Dataset:
    keep = np.arange(0, data.inputs.width, step)
    variants = None if data.inputs.variants is None else data.inputs.variants.iloc[keep].reset_index(drop=True)
    return replace(data, inputs=replace(data.inputs, values=data.inputs.values[:, keep], variants=variants))


def measure(name: str, dataset: Dataset, trait: str, fields: dict[str, Any], out: Path, **options: Any) -> pd.DataFrame:
    """Search one set; return a row for each finalist: validation, r, R2, RMSE, slope and intercept of the test."""
    space = "cnn.yaml" if dataset.kind == "sequence" else "cnn_genotype.yaml"
    start = time.perf_counter()
    config = make_study(
        name="calibration",
        space=REPOSITORY / "search_spaces" / space,
        seed=1,
        workers=0,
        finalists=1,
        **options,
        **fields,
    )
    run_search(config, out, dataset=dataset, trait=trait)
    final = json.loads((out / "final.json").read_text())
    table = pd.read_csv(out / "test_predictions.csv")
    observed = table["observed"].to_numpy()
    rows = []
    for entry in final["finalists"]:
        if entry["name"] not in table:
            continue
        predicted = table[entry["name"]].to_numpy()
        spread = predicted.var(ddof=1)
        slope = float(np.cov(predicted, observed)[0, 1] / spread) if spread > 0 else float("nan")
        rows.append(
            {
                "set": name,
                "name": "network" if entry["kind"] == "network" else entry["name"],
                "validation": entry["validation"],
                "r": entry["test"]["pearson_r"],
                "r2": entry["test"]["r2"],
                "rmse": entry["test"]["rmse"] / observed.std(),
                "slope": slope,
                "intercept": (observed.mean() - (0.0 if slope != slope else slope) * predicted.mean()) / observed.std(),
                "n_test": len(observed),
            }
        )
    found = pd.DataFrame(rows)
    print(found.round(3).to_string(index=False))
    print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return found


def main() -> None:
    """Print a table a set, and the mean distance of the networks' slopes from 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the demo and wheat alone, 2 trials")
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--metric", default="pearson_r")
    parser.add_argument("--baselines", help="left out: all that suit the data")
    parser.add_argument("--out", type=Path, help="keep the runs and the table here")
    options = parser.parse_args()
    baselines = None if options.baselines is None else tuple(options.baselines.split(","))
    names = ["demo", "wheat"] if options.quick else options.only.split(",")
    trials, rows = (2, 600) if options.quick else (options.trials, options.rows)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {trials} trials", flush=True
    )
    parts: list[pd.DataFrame] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        for number, name in enumerate(names):
            if name in FOLDER and not (DATA / FOLDER[name]).exists():
                print(f"{name}: no data")
                continue
            for case in SETS[name](rows):
                run = folder / f"{number}-{case[0].replace(' ', '-')}"
                parts.append(measure(*case, run, trials=trials, metric=options.metric, baselines=baselines))
        table = pd.concat(parts, ignore_index=True)
        if options.out is not None:
            table.to_csv(folder / "calibration.csv", index=False)
    print(table.pivot_table(index="name", columns="set", values="slope").round(2).to_string())
    networks = table.loc[table["name"] == "network", "slope"]
    print(f"calibration: {statistics.fmean((networks - 1.0).abs()):.3f}")


if __name__ == "__main__":
    main()
