"""How to choose among candidates on few samples: one validation set, folds, folds drawn again; the best, or a rule.

Of wheat and maize so many lines are drawn for development, and the rest measures what was chosen. A search is GBLUP,
the hand-made candidate, beside kernels drawn at random (linear or Gaussian, of all or of some markers, with any ridge),
which cost milliseconds, so that a hundred searches fit into a minute. They are compared on one validation set (15 % of
all), and on 5 folds drawn once or several times; and the default rule of a study (`study/choice.py`: the hand-made one
unless the best is better by more than one standard error) is set beside the best. `--poor` makes the hand-made
candidate one of the random ones: does the rule throw a gain away?

    python benchmarks/selection.py [--quick] [--searches 10] [--candidates 15] [--sizes 120 240 400] [--poor]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pandas as pd
from wheat import TRAITS, data_folder, load

from automl_pheno.api import read
from automl_pheno.data import FloatArray, IntArray
from automl_pheno.metrics import METRICS
from automl_pheno.study.choice import DEFAULT_RULE, choose_network, order_candidates
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.ties import chance

METRIC = "pearson_r"
DRAWS = (1, 2, 3)
FOLDS = 5
Candidate = tuple[FloatArray, float]


def traits_of(folder: Path) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Yield name, dosages and trait of each trait of wheat and maize."""
    inputs, phenotypes = load(folder)
    for trait in TRAITS:
        yield f"wheat {trait}", inputs.values.astype(float), phenotypes[trait].to_numpy(float)
    maize = folder / "maize_mdp"
    lines = read(maize / "maize_mdp.vcf.gz", trait_table=maize / "phenotypes.csv", id_column="vcf_sample")
    values = np.nan_to_num(lines.inputs.values.astype(float), nan=1.0)
    for trait in ("EarHT", "dpoll", "EarDia"):
        y = lines.traits[trait].to_numpy(float)
        yield f"maize {trait}", values[np.isfinite(y)], y[np.isfinite(y)]


def linear(values: FloatArray) -> FloatArray:
    """Return a relationship matrix with a mean diagonal of 1."""
    centred = values - values.mean(axis=0)
    product = centred @ centred.T
    return product / (np.trace(product) / len(product))


def distances(kernel: FloatArray) -> FloatArray:
    """Return squared distances, of median 1."""
    diagonal = np.diag(kernel)
    squared = diagonal[:, None] + diagonal - 2.0 * kernel
    return squared / np.median(squared)


def drawn(values: FloatArray, gblup: FloatArray, n: int, rng: np.random.Generator) -> Iterator[Candidate]:
    """Yield `n` random candidates: kernel and ridge."""
    for _ in range(n):
        kernel = gblup
        if rng.random() < 0.35:
            share = np.exp(rng.uniform(np.log(0.02), 0.0))
            kernel = linear(
                values[:, rng.choice(values.shape[1], max(20, int(share * values.shape[1])), replace=False)]
            )
        if rng.random() < 0.5:
            kernel = np.exp(-np.exp(rng.uniform(np.log(0.1), np.log(6.0))) * distances(kernel))
        yield kernel, float(np.exp(rng.uniform(np.log(0.02), np.log(20.0))))


def predict(candidate: Candidate, y: FloatArray, train: IntArray, rows: IntArray) -> FloatArray:
    """Return kernel ridge predictions of `rows`."""
    kernel, ridge = candidate
    mean = y[train].mean()
    weights = np.linalg.solve(kernel[np.ix_(train, train)] + ridge * np.eye(len(train)), y[train] - mean)
    return kernel[np.ix_(rows, train)] @ weights + mean


def validate(
    candidates: Sequence[Candidate], y: FloatArray, dev: IntArray, ways: Sequence[list[IntArray]]
) -> Iterator[tuple[list[float], list[FloatArray], list[IntArray]]]:
    """Yield for each way to draw the validated parts: values, held-out predictions of all rows, and the parts."""
    r = METRICS[METRIC].function
    for parts in ways:
        values, predictions = [], []
        for candidate in candidates:
            total, times, scores = np.zeros(len(y)), np.zeros(len(y)), []
            for part in parts:
                predicted = predict(candidate, y, np.setdiff1d(dev, part), part)
                scores.append(r(y[part], predicted))
                total[part] += predicted
                times[part] += 1
            values.append(float(np.mean(scores)))
            predictions.append(np.where(times > 0, total / np.maximum(times, 1), np.nan))
        yield values, predictions, parts


def search(
    values: FloatArray, y: FloatArray, n: int, options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, float]:
    """Return the test r of what each way of choosing chooses."""
    gblup = linear(values)
    hand_made = drawn(values, gblup, 1, rng) if options.poor else iter([(gblup, 1.0)])
    candidates = [*hand_made, *drawn(values, gblup, options.candidates, rng)]
    order = rng.permutation(len(y))
    dev, test = np.sort(order[:n]), order[n:]
    r = METRICS[METRIC].function
    tested = [r(y[test], predict(candidate, y, dev, test)) for candidate in candidates]
    found = {"hand-made": tested[0], "mean of all": float(np.mean(tested)), "best of all": max(tested)}
    folds = [np.array_split(rng.permutation(dev), FOLDS) for _ in range(max(DRAWS))]
    names = ["one validation set", *(f"{FOLDS} folds x {draws}" for draws in DRAWS)]
    ways = [
        [rng.permutation(dev)[: round(0.15 / 0.85 * n)]],
        *([part for one in folds[:k] for part in one] for k in DRAWS),
    ]
    for name, (validated, predictions, parts) in zip(names, validate(candidates, y, dev, ways), strict=True):
        records = [
            TrialRecord(kind="network", name=str(i), trial=i, state="complete", value=value, params={"i": i})
            for i, value in enumerate(validated)
        ]
        scored = parts if len(parts) <= FOLDS else [dev]

        def error(one: Any, other: Any, known: Any = predictions, scored: Any = scored) -> float | None:
            first, second = known[int(one.name)], known[int(other.name)]
            groups = np.arange(len(y))
            return chance(first, second, y=y, parts=scored, groups=groups, metric=METRIC, rng=np.random.default_rng(0))

        for rule in ("best", DEFAULT_RULE):
            ordered = order_candidates(records, metric=METRIC)
            choice = choose_network(ordered, metric=METRIC, rule=rule, default={"i": 0}, standard_error=error)
            found[f"{name}, {rule}"] = tested[int(choice.network)] if choice is not None else float("nan")
    return found


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one search of each trait and size, 8 candidates")
    parser.add_argument("--searches", type=int, default=10, help="of each trait and size")
    parser.add_argument("--candidates", type=int, default=15)
    parser.add_argument("--sizes", type=int, nargs="+", default=[120, 240, 400])
    parser.add_argument("--poor", action="store_true", help="the hand-made candidate is a random one, too")
    parser.add_argument("--data", type=Path, default=data_folder())
    options = parser.parse_args()
    if options.quick:
        options.searches, options.candidates, options.sizes = 1, 8, [120, 180]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    start, rows = time.perf_counter(), []
    for number, (name, values, y) in enumerate(traits_of(options.data)):
        for n in (size for size in options.sizes if len(y) - size >= 60):
            for seed in range(options.searches):
                found = search(values, y, n, options, np.random.default_rng([seed, n, number]))
                rows.append({"data": name.split()[0], "n": n, **found})
    table = pd.DataFrame(rows)
    print(table.groupby(["data", "n"]).mean().round(3).T.to_string())
    one_set = "one validation set, best"
    for name in table.columns[6:]:
        difference = table[name] - table[one_set]
        half_width = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
        print(f"{name} less {one_set}: {difference.mean():+.4f} +- {half_width:.4f} over {len(table)} searches")
    print(f"{time.perf_counter() - start:.0f} s")
    ratio = table[f"{FOLDS} folds x 2, {DEFAULT_RULE}"].mean() / table[one_set].mean()
    print(f"selection, test r by repeated folds and the default rule over one validation set and the best: {ratio:.3f}")


if __name__ == "__main__":
    main()
