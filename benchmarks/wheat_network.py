"""The searched network on wheat, beside GBLUP and RKHS: 40 trials a search, selection that never sees the test fold.

For the published folds 6 to 10 the configuration is searched on the lines of folds 1 to 5 alone (3 inner folds), then
trained on all lines outside the test fold; for folds 1 to 5 the other way round. So no line helps to choose the
configuration that it is tested with, at the price of a search on half of the lines. 8 searches, 40 trainings x seeds
for each of: the configuration that a study would choose (`study/choice.py`), the best by validation, the hand-made one.

    python benchmarks/wheat_network.py [--quick] [--trials 40] [--seeds 3] [--searches 1] [--traits GY_E3]
        [--space search_spaces/cnn_genotype.yaml]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"  # one process a core
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from wheat import PUBLISHED, TRAITS, data_folder, load

SHOWN = ("one seed", "mean of seeds", "its half alone")
RULES = ("one-standard-error", "best")
SPACE = Path(__file__).resolve().parents[1] / "search_spaces" / "cnn_genotype.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Candidates of one search: their records, best first, and their configurations by name."""

    ordered: list[Any]
    configs: dict[str, Any]
    held_out: dict[str, np.ndarray]
    split: Any
    y: np.ndarray

    def choose(self, rule: str, names: set[str], default: dict[str, Any]) -> Any:
        """Return the record that `rule` chooses of those that are named."""
        from automl_pheno.rng import generator
        from automl_pheno.study.choice import choose_network
        from automl_pheno.study.ties import chance, parts_of

        def error(one: Any, other: Any) -> float | None:
            return chance(
                self.held_out[one.name], self.held_out[other.name], y=self.y, parts=parts_of(self.y, self.split),
                groups=self.split.group, metric="pearson_r", rng=generator(0, "choice"),
            )  # fmt: skip

        ordered = [record for record in self.ordered if record.name in names]
        choice = choose_network(ordered, metric="pearson_r", rule=rule, default=default, standard_error=error)
        return next(record for record in ordered if record.name == choice.network)


def search(space_file: Path, examples: Any, trials: int, seed: int) -> dict[str, Any]:
    """Search on `examples` with 3 inner folds; return the records that each rule chooses, by the rule, and configs."""
    import optuna

    from automl_pheno.data.dataset import Dataset
    from automl_pheno.evaluation import cross_validate
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.space import default_values, from_optuna, load_space, sample
    from automl_pheno.splits import Split
    from automl_pheno.study.choice import order_candidates
    from automl_pheno.study.engines.optuna import make_sampler
    from automl_pheno.study.engines.pruners import Steps, make_pruner
    from automl_pheno.study.records import TrialRecord

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = load_space(space_file)
    n = len(examples)
    ids = np.array([str(i) for i in range(n)])
    frame = pd.DataFrame(index=pd.Index(ids))
    dataset = Dataset(name="wheat", ids=ids, inputs=examples.inputs, traits=frame, columns=frame)
    fold = np.random.default_rng(seed).permutation(n) % 3
    split = Split(ids=ids, group=np.arange(n), set=np.full(n, "train"), fold=fold)
    study = optuna.create_study(
        direction="maximize",
        sampler=make_sampler("tpe", seed=seed, slots=1),
        pruner=make_pruner("median", Steps(last=3, folds=True, slots=1)),
    )
    study.enqueue_trial(default_values(space))
    records, configs, held_out = [], {}, {}
    for _ in range(trials):
        trial = study.ask()
        config = sample(space, from_optuna(trial))

        def report(step: int, value: float, trial: Any = trial) -> bool:
            trial.report(value, step)
            return bool(trial.should_prune())

        result = cross_validate(
            lambda config=config: NetworkPredictor(config), dataset, examples.y, split, metric="pearson_r",
            seed=seed + trial.number, report=report,
        )  # fmt: skip
        if result.pruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        study.tell(trial, result.mean("pearson_r"))
        name = f"cnn-{trial.number}"
        configs[name], held_out[name] = config, result.held_out
        record = TrialRecord(
            kind="network", name=name, trial=trial.number, state="complete", params=dict(trial.params),
            value=result.mean("pearson_r"), best_epoch=result.best_epoch,
        )  # fmt: skip
        records.append(record)
    ordered = order_candidates(records, metric="pearson_r")
    found = Searched(ordered=ordered, configs=configs, held_out=held_out, split=split, y=examples.y)
    chosen = {rule: found.choose(rule, set(configs), default_values(space)) for rule in RULES}
    return {**chosen, "hand-made": next(one for one in ordered if one.trial == 0), "configs": configs}


def refit_on_half(found: dict[str, Any], examples: Any, mine: Any, seed: int, seeds: int) -> dict[str, float]:
    """Return r in the other half, by rule, of what was searched on one half and trained on that half, as a study does.

    Trained on nine tenths instead, a network has three times the lines and steps for which its epochs were chosen.
    """
    from automl_pheno.metrics import METRICS
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.rng import generator

    train, test, scores = examples.take(mine), examples.take(~mine), {}
    for rule in (*RULES, "hand-made"):
        record = found[rule]
        if record.name not in scores:
            predictions = []
            for number in range(seeds):
                predictor = NetworkPredictor(found["configs"][record.name], epochs=max(record.best_epoch or 1, 1))
                predictor.fit(train, rng=generator(seed, "half", number))
                predictions.append(predictor.predict(test.inputs))
            scores[record.name] = METRICS["pearson_r"].function(test.y, np.mean(predictions, axis=0))
    return {rule: scores[found[rule].name] for rule in (*RULES, "hand-made")}


def run_half(job: tuple[int, str, int, Path, Path, int, int, bool]) -> list[dict[str, Any]]:
    """Search on one half of the folds and test on the other; return one row a test fold."""
    from automl_pheno.data.dataset import Examples
    from automl_pheno.metrics import METRICS
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.rng import derive_seed, generator

    number_of_search, trait, half, folder, space_file, trials, seeds, quick = job
    inputs, phenotypes = load(folder)
    fold_of = phenotypes["bglr_set"].to_numpy()
    examples = Examples(inputs=inputs, y=phenotypes[trait].to_numpy(float), groups=np.arange(len(inputs)))
    own = (1, 2, 3, 4, 5) if half == 0 else (6, 7, 8, 9, 10)
    tested = [fold for fold in range(1, 11) if fold not in own][: 2 if quick else None]
    start = time.perf_counter()
    seed = derive_seed(number_of_search, "wheat network", trait, half) % 2**31
    found = search(space_file, examples.take(np.isin(fold_of, own)), trials, seed)
    r = METRICS["pearson_r"].function
    apart, rows = refit_on_half(found, examples, np.isin(fold_of, own), seed, seeds), []
    for fold in tested:
        train, test = examples.take(fold_of != fold), examples.take(fold_of == fold)
        scores: dict[str, tuple[float, float]] = {}
        for rule in (*RULES, "hand-made"):
            record = found[rule]
            if record.name not in scores:
                predictions = []
                for number in range(seeds):
                    predictor = NetworkPredictor(found["configs"][record.name], epochs=max(record.best_epoch or 1, 1))
                    predictor.fit(train, rng=generator(seed, "refit", int(fold), number))
                    predictions.append(predictor.predict(test.inputs))
                scores[record.name] = r(test.y, predictions[0]), r(test.y, np.mean(predictions, axis=0))
            one, mean = scores[record.name]
            about = {"search": number_of_search, "trait": trait, "fold": fold, "rule": rule}
            rows.append({**about, "one seed": one, "mean of seeds": mean, "its half alone": apart[rule]})
    told = ", ".join(f"{rule} {found[rule].name} {found[rule].value:.3f}" for rule in (*RULES, "hand-made"))
    spent = time.perf_counter() - start
    print(f"{trait} folds {tested[0]} to {tested[-1]}: inner r of {told}, {spent:.0f} s", flush=True)
    return rows


def print_differences(table: pd.DataFrame) -> None:
    """Print by how much each rule's mean of seeds differs from that of the hand-made configuration, over searches."""
    for values in ("mean of seeds", "its half alone"):
        r = table.pivot_table(index=["trait", "search"], columns="rule", values=values)
        for rule in RULES:
            paired = (r[rule] - r["hand-made"]).groupby("trait").agg(["mean", "sem"])
            told = ", ".join(f"{trait} {row['mean']:+.3f} ({row['sem']:.3f})" for trait, row in paired.iterrows())
            print(f"{values}: {rule} less hand-made, r (standard error over searches): {told}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one trait, 4 trials, 4 test folds")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3, help="networks of a refit")
    parser.add_argument("--searches", type=int, default=1, help="searches of each half, with seeds of their own")
    parser.add_argument("--space", type=Path, default=SPACE)
    parser.add_argument("--traits", nargs="+", default=list(TRAITS))
    parser.add_argument("--data", type=Path, default=data_folder())
    options = parser.parse_args()
    traits, trials = (TRAITS[:1], 4) if options.quick else (options.traits, options.trials)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {trials} trials a search")
    jobs = [
        (number, trait, half, options.data, options.space, trials, options.seeds, options.quick)
        for trait in traits
        for number in range(options.searches)
        for half in (0, 1)
    ]
    with multiprocessing.get_context("spawn").Pool(min(os.cpu_count() or 1, len(jobs))) as pool:
        rows = [row for part in pool.imap_unordered(run_half, jobs, chunksize=1) for row in part]
    table = pd.DataFrame(rows)
    shown = table.groupby(["rule", "trait"])[list(SHOWN)].mean().unstack("trait")
    shown = pd.concat({name: shown[name] for name in SHOWN})
    shown.index = [f"{rule}, {name}" for name, rule in shown.index]
    for name in ("BLUP", "M-RKHS"):
        shown.loc[f"{name} (Crossa 2010)"] = [PUBLISHED[name][TRAITS.index(trait)] for trait in shown.columns]
    print(shown.round(3).to_string())
    if options.searches > 1:
        print_differences(table)
    ratio = float((shown.loc[f"{RULES[0]}, mean of seeds"] / shown.loc["M-RKHS (Crossa 2010)"]).mean())
    print(f"wheat, network r over the published M-RKHS, mean over traits: {ratio:.3f}")


if __name__ == "__main__":
    main()
