"""Surrogate benchmarks (Eggensperger et al. 2015): trainings done once for real, and forests that stand in for them.

    python benchmarks/surrogate.py --table DIR [--problems wheat jores mutants] [--configurations 150]

draws configurations of the shipped spaces at random, trains each (wheat: on 5 folds; jores and mutants: a subset with
one validation set) with the space's own early stopping, and appends one JSON line each: the parameters, the best value
so far after each epoch, CPU seconds of building and of each epoch. Every eighth is trained a second time with another
seed, for the noise. Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from problems import FOLDS, PROBLEMS, Problem, available, load_problem

from automl_pheno.errors import InfeasibleError, TrainingError
from automl_pheno.rng import derive_seed, generator
from automl_pheno.space import from_rng, load_space
from automl_pheno.space.sample import configuration, default_values, draw
from automl_pheno.space.tree import SearchSpace, parameters

ROWS = {"wheat": None, "jores": 1000, "mutants": 1600}
REPEAT_EVERY = 8
DIVERGED = -1.0
"""Value of a training that went wrong or worse than this; R2 of 0 is the mean."""


def train_table(name: str, folder: Path, configurations: int) -> None:
    """Train what the table of the problem still lacks."""
    problem = load_problem(name, ROWS[name])
    space = load_space(problem.space)
    rng = generator(0, "table", name)
    drawn = [default_values(space), *(draw(space, from_rng(rng)) for _ in range(configurations - 1))]
    jobs = [(number, 0) for number in range(configurations)]
    jobs += [(number, 1) for number in range(0, configurations, REPEAT_EVERY)]
    file = folder / f"{name}.jsonl"
    done = {(row["number"], row["seed"]) for row in read_table(file)} if file.exists() else set()
    with file.open("a") as out:
        for number, seed in jobs:
            if (number, seed) not in done:
                row = _train(problem, configuration(space, drawn[number]), derive_seed(seed, name, number))
                out.write(json.dumps({"number": number, "seed": seed, "params": drawn[number], **row}) + "\n")
                out.flush()


def _train(problem: Problem, config: Any, seed: int) -> dict[str, Any]:
    from automl_pheno.evaluation.cross_validation import examples
    from automl_pheno.metrics import METRICS
    from automl_pheno.predictors.network import NetworkPredictor

    split = problem.folds if problem.name == "wheat" else problem.split
    y, folds = problem.dataset.y(problem.trait), []
    for fold in split.folds():
        train, validation = (examples(problem.dataset, y, split, rows) for rows in (fold.train, fold.validation))
        curve: list[float] = []
        clock = [time.process_time()]

        def report(_: int, values: Any, curve: list[float] = curve, clock: list[float] = clock) -> bool:
            curve.append(max(values["val_r2"], curve[-1] if curve else DIVERGED))
            clock.append(time.process_time())
            return False

        try:
            predictor = NetworkPredictor(config, metric=problem.metric)
            predictor.fit(train, validation, rng=generator(seed, fold.number), report=report)
            value = METRICS["r2"].function(validation.y, predictor.predict(validation.inputs))
        except (TrainingError, InfeasibleError) as error:
            return {"failed": str(error)}
        epochs = np.diff(clock)
        # the first epoch holds the build and the compilation
        usual = float(np.median(epochs[1:])) if len(epochs) > 1 else float(epochs[0])
        folds.append(
            {
                "curve": [round(v, 5) for v in curve], "value": value, "epoch_seconds": usual,
                "start_seconds": max(float(epochs[0]) - usual, 0.0),
            }
        )  # fmt: skip
    return {"folds": folds}


def read_table(file: Path) -> list[dict[str, Any]]:
    """Return the trainings of a table; a last line that was cut off is left out."""
    lines = file.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


@dataclass(slots=True)
class Surrogate:
    """Forests fitted to a table. All curves are of the best value so far, in R2, one column an epoch (or a fold).

    ``curve`` (values), ``length`` (log epochs of each fold), ``cost`` (log CPU seconds of an epoch and of the start);
    ``noise`` holds half differences of trainings of one configuration with two seeds.
    """

    space: SearchSpace
    folds: bool
    last: int
    columns: list[str]
    curve: Any
    length: Any
    cost: Any
    noise: np.ndarray
    quality: dict[str, float]

    def features(self, drawn: list[dict[str, Any]]) -> np.ndarray:
        """Return one row a configuration; a parameter that is not active is -1, a choice its place in the list."""
        ranges = {parameter.name: parameter.range for parameter in parameters(self.space)}
        return np.array([[_number(ranges[name], values.get(name)) for name in self.columns] for values in drawn])

    def truth(self, drawn: list[dict[str, Any]]) -> np.ndarray:
        """Return the value of each configuration without noise."""
        curves = predict(self.curve, self.features(drawn))
        return curves.mean(axis=1) if self.folds else curves[:, -1]

    def play(self, values: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of each step of one training and the seconds that each takes."""
        row = self.features([values])
        curve = predict(self.curve, row)[0]
        curve = curve + rng.choice([-1.0, 1.0]) * self.noise[rng.integers(len(self.noise))]
        epoch, start = np.exp(predict(self.cost, row)[0])
        epochs = np.maximum(np.round(np.exp(predict(self.length, row)[0])), 1)
        if self.folds:
            seconds = epochs * epoch
            seconds[0] += start  # one compilation serves all folds
            return curve, seconds
        count = int(min(epochs[0], self.last))
        seconds = np.full(count, epoch)
        seconds[0] += start
        return np.maximum.accumulate(curve)[:count], seconds


def predict(forest: Any, x: np.ndarray) -> np.ndarray:
    """Return what the forest predicts, (rows, outputs); for one row much faster than its own ``predict``."""
    x = x.astype(np.float32)
    total = sum(tree.tree_.predict(x) for tree in forest.estimators_)
    return np.asarray(total).reshape(len(x), -1) / len(forest.estimators_)


def _number(limits: Any, value: Any) -> float:
    if value is None:
        return -1.0
    if hasattr(limits, "values"):
        return float(list(limits.values).index(value))
    return float(np.log(value)) if limits.log else float(value)


def fit_surrogate(name: str, folder: Path, *, folds: bool) -> Surrogate:
    """Fit the forests of a problem and judge them by 10-fold cross-validation over configurations."""
    from scipy.stats import spearmanr
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    table = [row for row in read_table(folder / f"{name}.jsonl") if "folds" in row]
    space = load_space(load_problem(name, 60).space)
    last = FOLDS if folds else max(len(row["folds"][0]["curve"]) for row in table)

    def each(row: dict[str, Any]) -> np.ndarray:
        """Return one curve a training."""
        steps = [np.array(fold["curve"]) for fold in row["folds"]]
        return np.array([np.concatenate([v, np.full(last - len(v), v[-1])]) for v in steps])

    def curve(row: dict[str, Any]) -> np.ndarray:
        # as if validated on one set: the mean over what folds there are, since one fold of wheat is mostly chance
        return np.array([fold["value"] for fold in row["folds"]]) if folds else each(row).mean(axis=0)

    first = {row["number"]: row for row in table if row["seed"] == 0}
    rows = list(first.values())
    # far below the mean's R2 of 0 all are alike; left as they are they would rule the forest
    curves = np.maximum(np.array([curve(row) for row in rows]), -0.2)
    lengths = np.log([[len(fold["curve"]) for fold in row["folds"]] for row in rows])
    costs = np.log(
        [[row["folds"][0]["epoch_seconds"], max(f["start_seconds"] for f in row["folds"]) + 0.05] for row in rows]
    )
    pairs = [(first[row["number"]], row) for row in table if row["seed"] and row["number"] in first]
    differences = [curve(a) - curve(b) for a, b in pairs] if folds else [d for a, b in pairs for d in each(a) - each(b)]
    noise = np.clip(np.array(differences) / np.sqrt(2.0), -0.2, 0.2)
    columns = [parameter.name for parameter in parameters(space)]
    made = Surrogate(space, folds, last, columns, None, None, None, noise, {})
    x = made.features([row["params"] for row in rows])

    def forest() -> Any:
        return RandomForestRegressor(100, min_samples_leaf=1, max_features=0.5, random_state=0)

    final = curves.mean(axis=1) if folds else curves[:, -1]
    guessed = cross_val_predict(forest(), x, curves, cv=KFold(10, shuffle=True, random_state=0))
    guess = guessed.mean(axis=1) if folds else guessed[:, -1]
    seconds = costs[:, 0] + lengths.mean(axis=1)
    guessed_seconds = cross_val_predict(forest(), x, seconds, cv=KFold(10, shuffle=True, random_state=0))
    noises = noise.mean(axis=1) if folds else noise[:, -1]
    made.quality = {
        "configurations": len(rows),
        "R2": 1.0 - float(((final - guess) ** 2).sum() / ((final - final.mean()) ** 2).sum()),
        "Spearman": float(spearmanr(final, guess)[0]),
        "Spearman seconds": float(spearmanr(seconds, guessed_seconds)[0]),
        "sd": float(final.std()),
        "noise sd": float(np.sqrt((noises**2).mean())),
        "best": float(final.max()),
    }
    targets = (curves, lengths if folds else lengths.mean(axis=1), costs)
    made.curve, made.length, made.cost = (forest().fit(x, target) for target in targets)
    for model in (made.curve, made.length, made.cost):
        model.n_jobs = 1
    return made


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--configurations", type=int, default=150)
    options = parser.parse_args()
    options.table.mkdir(parents=True, exist_ok=True)
    for name in available(options.problems):
        start = time.perf_counter()
        train_table(name, options.table, options.configurations)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
