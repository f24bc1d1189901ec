"""Trials per hour against KerasTuner's ``GridSearch`` with ``Model.fit``: the same configurations, epochs and rows.

Both sides run as fresh processes in alternation, each with all cores of the machine: KerasTuner the way it is used on
one machine (one process, TensorFlow spreads over the cores), automl-pheno with ``workers: auto``. Neither prunes, stops
early, nor trains baselines. Time counts from the call of the search to its end, with the start of the workers and, on
our side, the refit and test of the winner; imports in the main process count on neither side.

Then one search as a user would run it (TPE, median pruner, early stopping, the space's own epochs): seconds until it
has a validation R2 as good as the best of KerasTuner's list, beside the seconds KerasTuner took until then.

    python benchmarks/throughput.py [--quick] [--data motifs|wheat|both] [--rounds 3] [--trials 24] [--epochs 15]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
WHEAT = Path(os.environ.get("AUTOML_PHENO_DATA", REPOSITORY.parent / "shared" / "data")) / "bglr_wheat"
SPACES = {"motifs": "cnn.yaml", "wheat": "cnn_genotype.yaml"}
SEED = 11


def prepare(folder: Path, data: str, trials: int, epochs: int) -> None:
    """Write the space with fixed epochs, the data, and the list of configurations."""
    from automl_pheno.rng import generator
    from automl_pheno.space import from_rng, load_space, network_size
    from automl_pheno.space.sample import configuration, draw

    text = (REPOSITORY / "search_spaces" / SPACES[data]).read_text()
    lines = []
    for line in text.splitlines():
        key = line.strip().split(":")[0]
        fixed = {"max_epochs": f"  max_epochs: {epochs}", "patience": "  patience: 100000"}
        lines.append(fixed.get(key, line))
    (folder / "space.yaml").write_text("\n".join(lines) + "\n")
    dataset, trait = load(data)
    space = load_space(folder / "space.yaml")
    rng = generator(SEED, "configurations")
    drawn: list[dict[str, Any]] = []
    while len(drawn) < trials:
        values = draw(space, from_rng(rng))
        if network_size(configuration(space, values), dataset.inputs.width).weights and values not in drawn:
            drawn.append(values)
    (folder / "list.json").write_text(json.dumps({"data": data, "trait": trait, "epochs": epochs, "list": drawn}))


def load(data: str) -> tuple[Any, str]:
    """Return the data set and its trait."""
    if data == "wheat":
        from automl_pheno.data import read_dataset

        return read_dataset(WHEAT / "genotypes.csv.gz", trait_table=WHEAT / "phenotypes.csv.gz"), "GY_E1"
    from automl_pheno.simulate import SIMULATORS

    dataset, _ = SIMULATORS["motifs"](seed=SEED)
    return dataset, str(dataset.traits.columns[0])


def ours(folder: Path) -> float:
    """Run the list as a study; return seconds."""
    from automl_pheno.study.config import make_study
    from automl_pheno.study.engines.optuna import make_sampler
    from automl_pheno.study.search import run_search
    from automl_pheno.study.storage.journal import open_study

    plan = json.loads((folder / "list.json").read_text())
    dataset, trait = load(plan["data"])
    out = folder / f"run-{time.time_ns()}"
    out.mkdir()
    study = open_study(
        out / "journal.log", "throughput", "maximize", sampler=make_sampler("random", seed=0, slots=1), pruner=None
    )
    for values in plan["list"]:
        study.enqueue_trial(values)
    config = make_study(
        name="throughput", space=folder / "space.yaml", trials=len(plan["list"]), baselines=(), finalists=1,
        pruner="none", engine="random", metric="r2", split={"groups": ("random",), "seed": SEED}, leakage="report",
    )  # fmt: skip
    start = time.perf_counter()
    run_search(config, out, dataset=dataset, trait=trait)
    seconds = time.perf_counter() - start
    import pandas as pd

    table = pd.read_csv(out / "leaderboard.csv")
    done = table[table["state"] == "complete"]
    assert len(done) == len(plan["list"]), table["state"].value_counts().to_dict()
    assert (done["epochs"] == plan["epochs"]).all()
    print(json.dumps({"seconds": seconds, "best": float(done["val_r2"].max())}))
    return seconds


def until(folder: Path, target: float) -> float:
    """Search with pruning; return the seconds from the call until a trial had `target`, or infinity."""
    from datetime import datetime, timezone

    from automl_pheno.study.config import make_study
    from automl_pheno.study.records import read_records
    from automl_pheno.study.search import run_search

    plan = json.loads((folder / "list.json").read_text())
    dataset, trait = load(plan["data"])
    out = folder / f"until-{time.time_ns()}"
    config = make_study(
        name="until", space=REPOSITORY / "search_spaces" / SPACES[plan["data"]], trials=2 * len(plan["list"]),
        baselines=(), finalists=1, metric="r2", split={"groups": ("random",), "seed": SEED}, leakage="report",
    )  # fmt: skip
    start = datetime.now(timezone.utc)
    run_search(config, out, dataset=dataset, trait=trait)
    times = [
        (datetime.fromisoformat(record.finished) - start).total_seconds()
        for record in read_records(out / "trials.jsonl")
        if record.kind == "network" and (record.value or -1.0) >= target
    ]
    print(json.dumps({"seconds": min(times, default=float("inf"))}))
    return min(times, default=float("inf"))


def keras_tuner(folder: Path) -> float:
    """Run the same list by KerasTuner; return seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import keras_tuner

    from automl_pheno.data import drop_missing
    from automl_pheno.data.encode import one_hot
    from automl_pheno.networks import build
    from automl_pheno.space import from_values, load_space, sample
    from automl_pheno.splits import SplitConfig, draw_split

    plan = json.loads((folder / "list.json").read_text())
    dataset, trait = load(plan["data"])
    dataset = drop_missing(dataset, trait)
    space = load_space(folder / "space.yaml")
    configs = [sample(space, from_values(values)) for values in plan["list"]]
    split = draw_split(dataset, trait, SplitConfig(groups=("random",), seed=SEED)).split
    fold = next(split.folds())
    values, y = dataset.inputs.values, dataset.y(trait)
    x = one_hot(values) if dataset.kind == "sequence" else values[:, :, None]
    if dataset.kind == "genotype":
        x = (x - x[fold.train].mean(axis=0)) / np.maximum(x[fold.train].std(axis=0), 1e-6)
    y = (y - y[fold.train].mean()) / y[fold.train].std()
    x, y = x.astype("float32"), y.astype("float32")
    optimizers = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}

    seen: list[tuple[float, float]] = []

    class Listed(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            config = configs[hp.Choice("configuration", list(range(len(configs))))]
            model = build(config, dataset.inputs.width)
            for layer in model.layers:
                if hasattr(layer, "kernel_regularizer") and config.fit.l2:
                    layer.kernel_regularizer = keras.regularizers.L2(config.fit.l2)
            fit = config.fit
            extra = {"weight_decay": fit.weight_decay} if fit.optimizer == "adamw" else {}
            model.compile(optimizers[fit.optimizer](fit.learning_rate, **extra), fit.loss)
            return model

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            size = configs[hp.get("configuration")].fit.batch_size
            history = model.fit(*args, batch_size=size, **kwargs)
            seen.append((min(history.history["val_loss"]), time.perf_counter() - start))
            return history

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        tuner = keras_tuner.GridSearch(
            Listed(), objective="val_loss", max_trials=len(configs), directory=scratch, overwrite=True
        )
        tuner.search(
            x[fold.train], y[fold.train], validation_data=(x[fold.validation], y[fold.validation]),
            epochs=plan["epochs"], verbose=0,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        trials = [t for t in tuner.oracle.trials.values() if t.status == "COMPLETED"]
        assert len(trials) == len(configs)
        loss = min(t.score for t in trials)
    best = 1.0 - loss / float(np.var(y[fold.validation]))
    print(json.dumps({"seconds": seconds, "best": best, "best_after": min(seen)[1]}))
    return seconds


def run_side(side: str, folder: Path, *words: str) -> dict[str, float]:
    """Run one side in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, "--folder", str(folder), *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def compare(data: str, rounds: int, trials: int, epochs: int) -> float:
    """Alternate the two sides; print and return the ratio of their median trials per hour."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        prepare(folder, data, trials, epochs)
        rates: dict[str, list[float]] = {"automl-pheno": [], "keras-tuner": []}
        rival: dict[str, float] = {}
        for number in range(rounds):
            for side in rates:
                result = run_side(side, folder)
                rival = result if side == "keras-tuner" else rival
                rates[side].append(3600 * trials / result["seconds"])
                print(
                    f"{data:7s} round {number + 1} {side:13s} {result['seconds']:7.1f} s "
                    f"{rates[side][-1]:8.0f} trials/h   best validation R2 {result['best']:.3f}",
                    flush=True,
                )
        matched = run_side("until", folder, str(rival["best"]))["seconds"]
    print(
        f"{data:7s} validation R2 {rival['best']:.3f}: KerasTuner after {rival['best_after']:.0f} s, "
        f"a search with pruning after {matched:.0f} s, ratio {rival['best_after'] / matched:.2f}"
    )
    ratio = statistics.median(rates["automl-pheno"]) / statistics.median(rates["keras-tuner"])
    print(f"{data:7s} ratio of medians {ratio:.2f}")
    return ratio


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small round within about a minute")
    parser.add_argument("--data", choices=["motifs", "wheat", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--side", choices=["automl-pheno", "keras-tuner", "until"], help=argparse.SUPPRESS)
    parser.add_argument("target", type=float, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        if options.side == "until":
            until(options.folder, options.target)
        else:
            (ours if options.side == "automl-pheno" else keras_tuner)(options.folder)
        return
    names = [name for name in SPACES if options.data in (name, "both")]
    if not WHEAT.is_dir():
        names = [name for name in names if name != "wheat"]
    rounds, trials, epochs = (1, 6, 4) if options.quick else (options.rounds, options.trials, options.epochs)
    if options.quick:
        names = names[:1]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    ratios = [compare(name, rounds, trials, epochs) for name in names]
    print(f"trials per hour against KerasTuner: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
