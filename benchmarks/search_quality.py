"""What a search finds in the same time: this package beside KerasTuner, random search and easyPheno's scheme.

Every search has the same rows, the same validation rows, one core (its affinity is set, TensorFlow has one thread) and
the same seconds. The clock starts when all is imported and TensorFlow has run once, and stops while a rival's
predictions are kept for the judge. At the end the judge scores the predictions of the best model that any trial had
reached, finished or not, on the validation rows: R2 in phenotype units (all sides minimise the squared error on these
rows). ``again`` is the configuration of that model trained anew with other seeds (--again) by one and the same code,
its R2 on the same rows, which takes out the luck of the best of many trainings.

ours            ``optuna/tpe`` and the default pruner, in process, with run folder and leaderboard
gp              ``optuna/gp`` and the default pruner, likewise; needs torch, so it runs only where it is named
random          random search without pruner in the same harness and space
kt-hyperband    ``keras_tuner.Hyperband`` (factor 3) over the same space, ``Model.fit``, early stopping by its patience
kt-random       ``keras_tuner.RandomSearch``, likewise
easypheno       easyPheno's CNN space and Optuna settings (TPESampler(seed), PercentilePruner(80,
                n_min_trials=20)) rebuilt on our compiled training: 1 to 3 convolutions of 4 filters, one-hot genotypes,
                its categories of epochs, rates and batches, early stopping after epoch 20. With one validation set its
                pruner hears of a trial only when it is over, as in the original. Not rebuilt: the order of activation
                and normalisation.

One JSON line a search goes to --out; searches found there are not run again.

    python benchmarks/search_quality.py [--quick] [--seconds 20] [--seeds 10] [--problems wheat jores mutants]
        [--sides ours ...] [--jobs 2] [--clock wall|cpu] [--again 3] [--out FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Queue
from typing import Any

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from problems import PROBLEMS, Problem, available, load_problem

ROWS = {"wheat": None, "jores": 1000, "mutants": 2000}
"""Samples, so that some tens of trainings fit into the seconds."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""``cpu`` counts the seconds in which the search had the core: for a machine that others use, too."""


class Watch:
    """Time of one search, and the best model that it reached."""

    def __init__(self, seconds: float, y: np.ndarray, clock: str) -> None:
        self._y = y
        self._seconds = seconds
        self.now = CLOCKS[clock]
        self._start = self.now()
        self.best: dict[str, Any] = {"value": float("-inf")}
        self.trials: list[list[float]] = []

    @property
    def left(self) -> float:
        """Seconds left."""
        return self._start + self._seconds - self.now()

    def keep(self, predictions: np.ndarray, config: Any) -> None:
        """Judge predictions of the validation rows in phenotype units; keep the best."""
        from automl_pheno.metrics import METRICS

        value = float(METRICS["r2"].function(self._y, predictions))
        if value > self.best["value"]:
            self.best = {
                "value": value, "pearson_r": float(METRICS["pearson_r"].function(self._y, predictions)),
                "after": round(self._seconds - self.left, 2), "config": config.model_dump(by_alias=True, mode="json"),
            }  # fmt: skip

    def pause(self, since: float) -> None:
        """Give back the time since `since`."""
        self._start += self.now() - since


# -- in our harness ------------------------------------------------------------------------------------------------


_WATCH: list[tuple[Watch, Problem]] = []


def trained(task: dict[str, Any], report: Any) -> dict[str, Any]:
    """Train the network of a trial as ``study.evaluate`` does; its predictions are kept for the judge."""
    from automl_pheno.evaluation import cross_validate
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.space.config import ModelConfig

    watch, problem = _WATCH[0]
    config = ModelConfig.model_validate(task["candidate"]["config"])

    class Kept(NetworkPredictor):
        def predict(self, inputs: Any) -> Any:
            predictions = super().predict(inputs)
            watch.keep(predictions, config)
            return predictions

    result = cross_validate(
        lambda: Kept(config, metric=problem.metric), problem.dataset, problem.dataset.y(problem.trait), problem.split,
        metric=problem.metric, seed=int(task["seed"]),
        report=lambda step, value: report(step, value) or watch.left <= 0,
    )  # fmt: skip
    watch.trials.append([round(watch.left, 2), result.epochs, round(result.mean(problem.metric), 4)])
    return {
        "state": "pruned" if result.pruned else "complete", "value": result.mean(problem.metric),
        "scores": {problem.metric: result.mean(problem.metric)}, "epochs": result.epochs,
        "best_epoch": result.best_epoch, "seconds": result.seconds, "weights": result.weights,
    }  # fmt: skip


def in_harness(problem: Problem, watch: Watch, seed: int, folder: Path, engine: str, pruner: str) -> None:
    """Search with the real supervisor, run folder included."""
    from automl_pheno.space import default_values, from_values, load_space, network_size, sample
    from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
    from automl_pheno.study.plan import Plan
    from automl_pheno.study.progress import Silent
    from automl_pheno.study.run_folder import JOURNAL, RunFolder
    from automl_pheno.study.slots.executor import InProcess
    from automl_pheno.study.storage.book import TrialBook
    from automl_pheno.study.storage.journal import open_study
    from automl_pheno.study.supervisor import Supervisor

    class Timed(InProcess):
        __slots__ = ()

        def free(self) -> int:
            if watch.left <= 0 and not self.waiting:
                raise _OverError
            return InProcess.free(self)

    space, width = load_space(problem.space), problem.dataset.inputs.width
    epochs = sample(space, from_values(default_values(space))).fit.max_epochs
    run = RunFolder(folder, metric=problem.metric, parameters=())
    request = EngineRequest(
        space=space, seed=seed, slots=1, folder=folder, higher_is_better=True, max_epochs=epochs, trials=10_000
    )
    made = make_engine(engine, request)
    study = open_study(
        folder / JOURNAL, "search", "maximize", sampler=made.sampler,
        pruner=make_pruner(pruner, Steps(last=epochs, folds=False, slots=1)),
    )  # fmt: skip
    plan = Plan(
        space=space, check=lambda config: network_size(config, width).weights, metric=problem.metric,
        higher_is_better=True, trials=10_000, seed=seed, common={"function": "search_quality:trained"}, in_process=True,
    )  # fmt: skip
    _WATCH[:] = [(watch, problem)]
    with contextlib.suppress(_OverError):
        Supervisor(plan, made, TrialBook(study, run, name="t", higher_is_better=True), Timed(), Silent()).run()


def ours(problem: Problem, watch: Watch, seed: int, folder: Path) -> None:
    """Search as this package does by default."""
    from automl_pheno.study.engines import DEFAULT_ENGINE, DEFAULT_PRUNER

    in_harness(problem, watch, seed, folder, DEFAULT_ENGINE, DEFAULT_PRUNER)


def at_random(problem: Problem, watch: Watch, seed: int, folder: Path) -> None:
    """Search at random, every trial to its end."""
    in_harness(problem, watch, seed, folder, "optuna/random", "none")


def gaussian(problem: Problem, watch: Watch, seed: int, folder: Path) -> None:
    """Search with the Gaussian process and the default pruner."""
    from automl_pheno.study.engines import DEFAULT_PRUNER

    in_harness(problem, watch, seed, folder, "optuna/gp", DEFAULT_PRUNER)


# -- KerasTuner ----------------------------------------------------------------------------------------------------


class _OverError(BaseException):
    """Time is over; leaves KerasTuner's search, too, which catches every ``Exception``."""


def keras_tuner(problem: Problem, watch: Watch, seed: int, folder: Path, kind: str) -> None:
    """Search with a tuner of KerasTuner as its users do, over the same space and the same rows."""
    import keras
    import keras_tuner as kt

    from automl_pheno.space import default_values, from_keras_tuner, from_values, load_space, sample

    space, rows = load_space(problem.space), _Rows(problem)
    active: list[Any] = []

    class Hyper(kt.HyperModel):  # type: ignore[misc] # keras_tuner has no type information
        def build(self, hp: Any) -> Any:
            config = sample(space, from_keras_tuner(hp, space))
            return _compiled(config, rows)

        def fit(self, hp: Any, model: Any, *words: Any, **options: Any) -> Any:
            active[:] = [sample(space, from_keras_tuner(hp, space))]
            return model.fit(*words, batch_size=active[0].fit.batch_size, **options)

    class Clock(keras.callbacks.Callback):  # type: ignore[misc] # keras has no type information
        best = float("inf")

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:  # noqa: ARG002
            if logs["val_mse"] < Clock.best:
                since = watch.now()
                Clock.best = logs["val_mse"]
                watch.keep(rows.units(self.model.predict(rows.x_validation, verbose=0)), active[0])
                watch.pause(since)
            if watch.left <= 0:
                raise _OverError

        def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
            watch.trials.append([round(watch.left, 2), len(self.model.history.epoch), 0.0])

    fit = sample(space, from_values(default_values(space))).fit
    common: dict[str, Any] = {
        "objective": kt.Objective("val_mse", "min"), "directory": str(folder), "seed": seed, "overwrite": True,
    }  # fmt: skip
    if kind == "hyperband":
        tuner = kt.Hyperband(Hyper(), max_epochs=fit.max_epochs, factor=3, hyperband_iterations=100, **common)
    else:
        tuner = kt.RandomSearch(Hyper(), max_trials=10_000, **common)
    stop = keras.callbacks.EarlyStopping("val_mse", patience=fit.patience)
    with contextlib.suppress(_OverError):
        tuner.search(
            rows.x, rows.y, validation_data=(rows.x_validation, rows.y_validation), epochs=fit.max_epochs, verbose=0,
            callbacks=[stop, Clock()],
        )  # fmt: skip


class _Rows:
    """What ``Model.fit`` wants: one-hot bases or standardised dosages, the trait in sd of the training rows."""

    def __init__(self, problem: Problem) -> None:
        from automl_pheno.data.encode import one_hot

        fold = next(problem.split.folds())
        y, values = problem.dataset.y(problem.trait), problem.dataset.inputs.values
        self.mean, self.sd = float(y[fold.train].mean()), float(y[fold.train].std())
        if problem.dataset.inputs.kind == "sequence":
            x = np.asarray(one_hot(values), np.float32)
        else:
            train = values[fold.train]
            sd = np.where(train.std(axis=0) > 0, train.std(axis=0), 1.0)
            x = (((values - train.mean(axis=0)) / sd).astype(np.float32))[:, :, None]
        scaled = ((y - self.mean) / self.sd).astype(np.float32)
        self.x, self.y = x[fold.train], scaled[fold.train]
        self.x_validation, self.y_validation = x[fold.validation], scaled[fold.validation]

    def units(self, outputs: np.ndarray) -> np.ndarray:
        """Return outputs in phenotype units."""
        return outputs[:, 0].astype(float) * self.sd + self.mean


def _compiled(config: Any, rows: _Rows) -> Any:
    """Return the network of `config` with the penalties and the schedule that Keras has for them."""
    import keras

    from automl_pheno.networks.build import build_for_training
    from automl_pheno.networks.twin import PositionGate

    fit, width = config.fit, rows.x.shape[1]
    model = build_for_training(config, width)
    for layer in model.layers:
        if isinstance(layer, PositionGate) and fit.gate_l1:
            layer.gamma_regularizer = keras.regularizers.L1(fit.gate_l1 / width)
        elif hasattr(layer, "kernel_regularizer") and fit.l2:
            layer.kernel_regularizer = keras.regularizers.L2(fit.l2)
    rate: Any = fit.learning_rate
    if fit.schedule == "cosine":
        steps = -(-len(rows.x) // fit.batch_size) * fit.max_epochs
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = (
        keras.optimizers.AdamW(rate, weight_decay=fit.weight_decay)
        if fit.optimizer == "adamw"
        else keras.optimizers.Adam(rate)
    )
    loss = keras.losses.Huber(fit.huber_delta) if fit.loss == "huber" else "mse"
    model.compile(optimizer, loss, metrics=["mse"])
    return model


# -- easyPheno -----------------------------------------------------------------------------------------------------


def easypheno(problem: Problem, watch: Watch, seed: int, folder: Path) -> None:  # noqa: ARG001
    """Search easyPheno's CNN space with its Optuna settings (its code was read, not copied)."""
    import optuna

    from automl_pheno.errors import InfeasibleError, TrainingError
    from automl_pheno.evaluation import cross_validate
    from automl_pheno.predictors.network import NetworkPredictor

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.PercentilePruner(80, n_min_trials=20),
    )
    y = problem.dataset.y(problem.trait)
    while watch.left > 0:
        trial = study.ask()
        try:
            config, patience = _easypheno_config(trial, problem)
            since: list[float] = []

            def report(epoch: int, value: float, since: list[float] = since, patience: int = patience) -> bool:
                if not since or value > since[0]:
                    since[:] = [value, epoch]
                return watch.left <= 0 or (epoch > 20 and epoch - since[1] >= patience)

            class Kept(NetworkPredictor):
                def predict(self, inputs: Any) -> Any:
                    predictions = super().predict(inputs)
                    watch.keep(predictions, self.config)
                    return predictions

            result = cross_validate(
                lambda config=config, kept=Kept: kept(config, metric="r2"), problem.dataset, y, problem.split,
                metric="r2", seed=seed + trial.number, report=report,
            )  # fmt: skip
        except (InfeasibleError, TrainingError):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        value = 1.0 - result.mean("r2")
        trial.report(value, 0)
        watch.trials.append([round(watch.left, 2), result.epochs, round(1.0 - value, 4)])
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)


def _easypheno_config(trial: Any, problem: Problem) -> tuple[Any, int]:
    from automl_pheno.space.config import ModelConfig
    from automl_pheno.space.size import network_size

    layers = trial.suggest_int("n_layers", 1, 3)
    activation = trial.suggest_categorical("act_function", ["relu", "tanh"])
    kernel = trial.suggest_int("kernel_size", 2, 8)
    stride = max(1, int(kernel * trial.suggest_float("stride_perc_of_kernel_size", 0.5, 1.0, step=0.1)))
    dropout = trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    share = trial.suggest_float("n_units_factor_linear_layer", 0.2, 1.0, step=0.05)
    batch = trial.suggest_categorical("batch_size", [4, 8, 16, 32, 64])
    epochs = trial.suggest_categorical("n_epochs", [100, 500, 1000, 5000, 10000])
    rate = trial.suggest_categorical("learning_rate", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    patience = trial.suggest_int("early_stopping_patience", 0, 20, step=5)
    genotype = problem.dataset.inputs.kind == "genotype"
    trunk: list[dict[str, Any]] = [
        {
            "block": "conv", "filters": 4 if number < 2 else 8, "kernel_size": kernel, "stride": stride,
            "padding": "valid", "normalization": "batch", "activation": activation, "dropout": dropout,
        }
        for number in range(layers)
    ]  # fmt: skip
    trunk[-1] |= {"pooling": "max", "pool_size": kernel}
    plain: dict[str, Any] = {
        "name": "easypheno", "input": problem.dataset.inputs.kind, "coding": "one_hot" if genotype else "additive",
        "trunk": [*trunk, {"block": "flatten"}],
        "fit": {
            "optimizer": "adam", "learning_rate": rate, "batch_size": batch, "max_epochs": epochs, "patience": 100_000,
        },
    }  # fmt: skip
    flat = network_size(ModelConfig.model_validate(plain), problem.dataset.inputs.width).table[-2].shape[0]
    dense = {
        "block": "dense", "units": max(1, int(flat * share)), "normalization": "batch", "activation": activation,
        "dropout": dropout,
    }  # fmt: skip
    return ModelConfig.model_validate({**plain, "head": [dense]}), patience


def _kt_hyperband(problem: Problem, watch: Watch, seed: int, folder: Path) -> None:
    keras_tuner(problem, watch, seed, folder, "hyperband")


def _kt_random(problem: Problem, watch: Watch, seed: int, folder: Path) -> None:
    keras_tuner(problem, watch, seed, folder, "random")


SIDES = {
    "ours": ours, "kt-hyperband": _kt_hyperband, "random": at_random, "easypheno": easypheno, "kt-random": _kt_random,
    "gp": gaussian,
}  # fmt: skip


# -- one search, and all of them -----------------------------------------------------------------------------------


def child(side: str, name: str, seed: int, seconds: float, clock: str, again: int) -> None:
    """Run one search in this process and print its JSON line."""
    import keras
    import keras_tuner as _tuner  # noqa: F401 # imports are on nobody's clock
    import optuna

    import automl_pheno.predictors.network  # noqa: F401

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = load_problem(name, ROWS[name])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.zeros((8, 3)), np.zeros(8), verbose=0)  # TensorFlow starts up
    y = problem.dataset.y(problem.trait)[next(problem.split.folds()).validation]
    with tempfile.TemporaryDirectory() as scratch:
        watch = Watch(seconds, y, clock)
        SIDES[side](problem, watch, seed, Path(scratch))
        took = seconds - watch.left
    line = {
        "side": side, "problem": name, "seed": seed, "seconds": seconds, "clock": clock,
        "took": round(took, 2), **watch.best,
        "trials": len(watch.trials), "log": watch.trials,
    }  # fmt: skip
    line["again"] = _again(problem, line.get("config"), y, again) if again else None
    print("LINE " + json.dumps(line), flush=True)


def _again(problem: Problem, config: Any, y: np.ndarray, times: int) -> float:
    """Return the mean R2 of the configuration trained with other seeds; 0, the mean's, where there is none."""
    from automl_pheno.errors import TrainingError
    from automl_pheno.evaluation.cross_validation import examples
    from automl_pheno.metrics import METRICS
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.rng import generator
    from automl_pheno.space.config import ModelConfig

    if config is None:
        return 0.0
    made = ModelConfig.model_validate(config)
    fit = made.fit.model_copy(
        update={"patience": min(made.fit.patience, 20), "max_epochs": min(made.fit.max_epochs, 100)}
    )
    made = made.model_copy(update={"fit": fit})
    fold = next(problem.split.folds())
    traits = problem.dataset.y(problem.trait)
    train, validation = (examples(problem.dataset, traits, problem.split, r) for r in (fold.train, fold.validation))
    values = []
    for number in range(times):
        predictor = NetworkPredictor(made, metric=problem.metric)
        try:
            predictor.fit(train, validation, rng=generator(99, "again", number))
            values.append(float(METRICS["r2"].function(y, predictor.predict(validation.inputs))))
        except TrainingError:
            values.append(0.0)
    return float(np.mean(values))


def run_all(jobs: list[tuple[str, str, int]], options: argparse.Namespace, cores: list[int], out: Path) -> None:
    """Run the searches, one a core."""
    seconds, clock, again = options.seconds, options.clock, options.again
    queue: Queue[tuple[str, str, int]] = Queue()
    for job in jobs:
        queue.put(job)
    lock = threading.Lock()

    def work(core: int) -> None:
        while not queue.empty():
            side, name, seed = queue.get()
            words = f"{side!r}, {name!r}, {seed}, {seconds}, {clock!r}, {again}"
            code = f"import search_quality; search_quality.child({words})"
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=False,
                cwd=Path(__file__).parent, preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )  # fmt: skip
            lines = [line[5:] for line in done.stdout.splitlines() if line.startswith("LINE ")]
            with lock:
                if done.returncode or not lines:
                    print(f"{side} on {name}, seed {seed} failed:\n{done.stderr[-2000:]}", flush=True)
                    continue
                with out.open("a") as file:
                    file.write(lines[0] + "\n")
                row = json.loads(lines[0])
                anew = "" if row["again"] is None else f"again {row['again']:7.4f}, "
                print(
                    f"{name:8s} seed {seed:2d} {side:13s} R2 {row['value']:7.4f} after {row.get('after', 0):5.1f} s, "
                    f"{anew}{row['trials']} trials",
                    flush=True,
                )

    threads = [threading.Thread(target=work, args=(core,)) for core in cores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def show(table: pd.DataFrame, column: str) -> dict[str, float]:
    """Print means and the paired differences of ours, with 95 % intervals; return the least of each problem."""
    from scipy.stats import t, wilcoxon

    worst = {}
    for name, part in table.groupby("problem", sort=False):
        wide = part.pivot(index="seed", columns="side", values=column)
        print(f"\n{name}: validation R2, {'best model' if column == 'value' else 'its configuration trained again'}")
        for side in [side for side in SIDES if side in wide]:
            text = f"  {side:13s} mean {wide[side].mean():7.4f}  sd {wide[side].std():6.4f}"
            if side != "ours" and "ours" in wide:
                differences = (wide["ours"] - wide[side]).dropna().to_numpy()
                mean, n = float(differences.mean()), len(differences)
                worst[str(name)] = min(mean, worst.get(str(name), float("inf")))
                if n > 1:
                    half = float(t.ppf(0.975, n - 1)) * float(differences.std(ddof=1)) / n**0.5
                    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
                    text += f"  ours - it {mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"
                    text += f"  wins {int((differences > 0).sum())} of {n}  p {p:.3f}"
            print(text)
    return worst


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="4 s, one seed, one problem, three sides")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--sides", nargs="+", default=[side for side in SIDES if side != "gp"], choices=list(SIDES))
    parser.add_argument("--jobs", type=int, default=2, help="searches at a time, each on a core of its own")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: for a busy machine")
    parser.add_argument("--again", type=int, default=3, help="trainings of each configuration found; 0: none")
    parser.add_argument("--out", type=Path, help="JSON lines; made, or gone on with")
    options = parser.parse_args()
    seconds, seeds, problems, sides = options.seconds, options.seeds, options.problems, options.sides
    if options.quick:
        options.seconds = seconds = 4.0
        seeds, problems, sides = 1, ["mutants"], ["ours", "kt-hyperband", "easypheno"]
    cores = sorted(os.sched_getaffinity(0))[: options.jobs]
    print(
        f"{platform.machine()}, Python {platform.python_version()}; {seconds:g} s a search, one core each", flush=True
    )
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch) / "searches.jsonl"

        def found() -> list[dict[str, Any]]:
            rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
            return [row for row in rows if (row["seconds"], row["clock"]) == (seconds, options.clock)]

        done = {(row["side"], row["problem"], row["seed"]) for row in found()}
        # seed by seed, the sides beside each other: what else the machine does hits all of them alike
        jobs = [(side, name, seed) for seed in range(seeds) for name in available(problems) for side in sides]
        run_all([job for job in jobs if job not in done], options, cores, out)
        table = pd.DataFrame([row for row in found() if (row["side"], row["problem"], row["seed"]) in jobs])
    table["value"] = table["value"].clip(lower=0.0)  # no model at all is the mean
    again = show(table, "again") if options.again else {}
    worst = show(table, "value")
    print(f"\nproblems on which ours is ahead of every rival: {sum(v > 0 for v in worst.values())} of {len(worst)}")
    if again:
        print(f"... with its configuration trained again: {sum(v > 0 for v in again.values())} of {len(again)}")
    print(f"least lead over a rival, R2: {min(worst.values(), default=float('nan')):.4f}")


if __name__ == "__main__":
    main()
