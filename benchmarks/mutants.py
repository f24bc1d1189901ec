"""Mutants of one reference (9,000 x 200 bp, epistatic): what a search over ``cnn_aligned.yaml`` reaches by itself.

A hand-tuned CNN of the literature reached R2 0.900 on such a set, where additive ridge regression gave 0.81 and the
noise ceiling was 0.986. How much of the variance is additive differs from draw to draw, so ridge and the ceiling of
each seed stand beside the search. The test set is sealed; the finalist with the best validation score is reported.

    python benchmarks/mutants.py [--quick] [--seeds 0 1 2] [--trials 40] [--out DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd

from automl_pheno.simulate import SIMULATORS
from automl_pheno.study.config import make_study
from automl_pheno.study.search import run_search

SPACE = Path(__file__).resolve().parents[1] / "search_spaces" / "cnn_aligned.yaml"


def search(seed: int, n: int, trials: int, out: Path) -> tuple[float, float, float]:
    """Search one simulated set; print its line and return test R2 of the network, of ridge, and the ceiling."""
    dataset, truth = SIMULATORS["mutants"](n=n, seed=seed)
    config = make_study(
        name=f"mutants-{seed}", space=SPACE, trials=trials, metric="r2", baselines=("ridge", "boosting"), seed=seed,
        split={"groups": ("random",), "seed": seed}, leakage="report",
    )  # fmt: skip
    start = time.perf_counter()
    run_search(config, out, dataset=dataset, trait="trait")
    seconds = time.perf_counter() - start
    table = pd.read_csv(out / "leaderboard.csv")
    best = table[table["kind"] == "network"].iloc[0]
    ridge = table[table["name"] == "ridge"].iloc[0]
    counts = table[table["kind"] == "network"]["state"].value_counts().to_dict()
    print(
        f"seed {seed}: network {best['name']} validation R2 {best['val_r2']:.4f}, test R2 {best['test_r2']:.4f} "
        f"({best['test_low']:.4f} to {best['test_high']:.4f}); ridge {ridge['test_r2']:.4f}; "
        f"ceiling {truth.ceiling_r2:.4f}; {counts}; {seconds:.0f} s",
        flush=True,
    )
    return float(best["test_r2"]), float(ridge["test_r2"]), truth.ceiling_r2


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,500 sequences, 4 trials: shows that it runs, no more")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--out", type=Path, help="keep the runs here")
    options = parser.parse_args()
    n, trials, seeds = (1500, 4, [0]) if options.quick else (9000, options.trials, options.seeds)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {n} x 200 bp")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        results = [search(seed, n, trials, folder / f"mutants-{seed}") for seed in seeds]
    networks = [network for network, _, _ in results]
    spread = f" +- {statistics.stdev(networks):.3f}" if len(networks) > 1 else ""
    print(f"mean test R2 of the searched network: {statistics.fmean(networks):.3f}{spread}")
    share = statistics.fmean(network / ceiling for network, _, ceiling in results)
    print(f"share of the noise ceiling: {share:.3f}")


if __name__ == "__main__":
    main()
