"""Does an explanation find what was planted? Networks on simulated motifs, mutants and genotypes, against the truth.

Three kinds of data, three seeds each. A network of a shipped space is trained on each (see ``planted.py``: the
configuration was chosen by validation r), then asked, by the public functions, what it has learnt; the simulation
knows what it should have. Beside each figure stands its target, and beside the methods their controls: the same network
with weights drawn anew, and one trained on permuted labels, must find nothing.

A figure can be low because a method is poor or because the network has not learnt the truth: the test r of each
network is printed beside the ceiling.

    python benchmarks/interpretation.py [--quick] [--seeds 0 1 2] [--kinds motifs mutants genotypes] [--cache DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")  # these networks are too small for more
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from planted import DESIGNS, Planted, planted
from planted_genotypes import loci_figures
from planted_motifs import interaction_figures, motif_figures, position_figures
from planted_mutants import mutant_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure must reach: at least `low`, at most `high`."""

    low: float = -np.inf
    high: float = np.inf

    def met(self, value: float) -> bool:
        """Tell whether `value` does; NaN does not."""
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"{self.low:.2f} to {self.high:.2f}"
        return f">= {self.low:.2f}" if np.isfinite(self.low) else f"<= {self.high:.2f}"


GRADIENTS = ("expected_gradients", "integrated_gradients", "gradient_x_input", "smoothgrad")
NOTHING = Target(low=0.40, high=0.60)
TARGETS: Mapping[str, Mapping[str, Target]] = {
    "motifs": {
        **{f"{name} AUROC": Target(low=0.98) for name in ("deeplift", "ism")},
        **{f"{name} AUPR": Target(low=0.90) for name in ("deeplift", "ism")},
        **{f"{name} AUROC": Target(low=0.95) for name in GRADIENTS},
        **{f"{name} AUPR": Target(low=0.85) for name in GRADIENTS},
        **{
            f"{name} AUROC, {how}": NOTHING
            for name in ("deeplift", "ism")
            for how in ("new weights", "permuted labels")
        },
        **{f"{name} |Spearman| with new weights": Target(high=0.20) for name in ("deeplift", "ism")},
        "planted interaction: rank": Target(high=1.0),
        "other pairs over planted pair": Target(high=0.15),
        "motifs found (share)": Target(low=1.0),
        "found motifs: planted pair's rank": Target(high=1.0),
    },
    "mutants": {
        "positions above noise found (share)": Target(low=1.0),
        "pairs above noise in the top 10 (share)": Target(low=1.0),
    },
    "genotypes": {
        "share of the ceiling": Target(low=0.80),
        "causal blocks AUPR": Target(low=0.85),
        "precision of these (share causal or in its ancestral block)": Target(low=0.90),
        "decoy precision": Target(low=0.90),
    },
}
"""Figures without a target are shown and not judged."""


def figures(kind: str, cache: Path, *, quick: bool) -> Callable[[Planted], dict[str, float]]:
    """Return what measures one kind of planted truth."""
    if kind == "motifs":

        def measure(found: Planted) -> dict[str, float]:
            folder = cache / f"{'quick-' if quick else ''}motifs-{found.truth.seed}"
            return (
                position_figures(found, folder, ("deeplift", "ism", *GRADIENTS), samples=40 if quick else 200)
                | interaction_figures(found)
                | motif_figures(found, samples=150 if quick else 500)
            )

        return measure
    return mutant_figures if kind == "mutants" else loci_figures


def run(kind: str, seeds: Sequence[int], cache: Path, *, quick: bool) -> pd.DataFrame:
    """Return the figures of one kind, one column a seed."""
    columns = {}
    for seed in seeds:
        start = time.perf_counter()
        found = planted(kind, seed, cache, quick=quick)
        scores = found.scores
        trained = time.perf_counter() - start
        values = {
            "test r": scores["test_r"],
            "ceiling r": scores["ceiling_r"],
            "share of the ceiling": scores["test_r"] / scores["ceiling_r"],
        }
        columns[f"seed {seed}"] = values | figures(kind, cache, quick=quick)(found)
        print(
            f"{kind}, seed {seed}: test r {scores['test_r']:.3f} of at most {scores['ceiling_r']:.3f}; "
            f"{trained:.0f} s to train or load, {time.perf_counter() - start - trained:.0f} s to explain",
            flush=True,
        )
    table: pd.DataFrame = pd.DataFrame(columns)
    return table


def judged(kind: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the figures with mean, spread over seeds, target and the number of seeds that meet it."""
    shown: pd.DataFrame = table.round(3).astype(str)
    shown["mean"] = table.mean(axis=1).round(3).astype(str)
    if len(table.columns) > 1:
        shown["sd"] = table.std(axis=1).round(3).astype(str)
    wanted = TARGETS[kind]
    shown["target"] = [str(wanted[name]) if name in wanted else "" for name in table.index]
    shown["met"] = [
        f"{sum(wanted[name].met(value) for value in row)}/{len(row)}" if name in wanted else ""
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]
    return shown


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one seed, small data, networks half trained: shows that it runs, no more"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--cache", type=Path, help="keep data and fitted networks here, and take those that are there")
    options = parser.parse_args()
    seeds = options.seeds[:1] if options.quick else options.seeds
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, one thread; seeds {seeds}"
    )
    met = total = 0
    with tempfile.TemporaryDirectory() as scratch:
        for kind in options.kinds:
            table = run(kind, seeds, options.cache or Path(scratch), quick=options.quick)
            missing = [name for name in TARGETS[kind] if name not in table.index]
            if missing:
                sys.exit(f"{kind}: not measured: {', '.join(missing)}")
            print(judged(kind, table).to_string(), flush=True)
            for name, target in TARGETS[kind].items():
                met += sum(target.met(value) for value in table.loc[name])
                total += len(seeds)
    print(f"planted truth found, share of {total} targets met: {met / total:.3f}")


if __name__ == "__main__":
    main()
