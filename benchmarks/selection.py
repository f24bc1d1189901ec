"""Does a search choose a better network than the hand-made configuration? Rules of choice, nested, on wheat.

For the published folds 6 to 10 the hand-made configuration and `--trials` drawn ones, of which each seed takes half,
are cross-validated on the lines of folds 1 to 5 alone (3 inner folds, drawn `--repeats` times, other ones for each
seed), and what a rule chooses is trained on all lines outside the test fold; for folds 1 to 5 the other way round.
So no line helps to choose what it is tested with. The rules: the best by validation; the best unless it is within one
standard error of the hand-made one (the default of a study); and the hand-made one always.

    python benchmarks/selection.py [--quick] [--trials 20] [--seeds 5] [--repeats 1] [--members 1] [--traits GY_E3 ...]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from wheat import TRAITS, data_folder, load

SPACE = Path(__file__).resolve().parents[1] / "search_spaces" / "cnn_genotype.yaml"
METRIC = "pearson_r"
RULES = ("one-standard-error", "best")


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
                groups=self.split.group, metric=METRIC, rng=generator(0, "choice"),
            )  # fmt: skip

        ordered = [record for record in self.ordered if record.name in names]
        choice = choose_network(ordered, metric=METRIC, rule=rule, default=default, standard_error=error)
        return next(record for record in ordered if record.name == choice.network)


def search(examples: Any, candidates: dict[str, tuple[dict[str, Any], Any]], repeats: int, seed: int) -> Searched:
    """Cross-validate the candidates (name -> parameters, configuration) on 3 folds of `examples`."""
    from automl_pheno.data.dataset import Dataset
    from automl_pheno.evaluation import cross_validate
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.splits.split import Split, join_repeats
    from automl_pheno.study.choice import order_candidates
    from automl_pheno.study.records import TrialRecord

    n = len(examples)
    ids = np.array([str(i) for i in range(n)])
    frame = pd.DataFrame(index=pd.Index(ids))
    dataset = Dataset(name="wheat", ids=ids, inputs=examples.inputs, traits=frame, columns=frame)
    rng = np.random.default_rng(seed)
    whole = Split(ids=ids, group=np.arange(n), set=np.full(n, "train"), fold=rng.permutation(n) % 3)
    more = [Split(ids=ids, group=whole.group, set=whole.set, fold=rng.permutation(n) % 3) for _ in range(repeats - 1)]
    split = join_repeats([whole, *more])
    records, held_out = [], {}
    for number, (name, (params, config)) in enumerate(candidates.items()):
        make = partial(NetworkPredictor, config)
        result = cross_validate(make, dataset, examples.y, split, metric=METRIC, seed=seed + number)
        held_out[name] = result.held_out
        records.append(
            TrialRecord(
                kind="network",
                name=name,
                trial=number,
                state="complete",
                params=params,
                value=result.mean(METRIC),
                best_epoch=result.best_epoch,
            )
        )
    configs = {name: config for name, (_, config) in candidates.items()}
    return Searched(
        ordered=order_candidates(records, metric=METRIC), configs=configs, held_out=held_out, split=split, y=examples.y
    )


def drawn_candidates(trials: int) -> dict[str, tuple[dict[str, Any], Any]]:
    """Return the hand-made configuration and `trials` drawn at random, by name."""
    from automl_pheno.space import default_values, from_rng, load_space
    from automl_pheno.space.sample import configuration, draw

    space, rng = load_space(SPACE), np.random.default_rng(1)
    values = [default_values(space), *(draw(space, from_rng(rng)) for _ in range(trials))]
    return {f"c{number}": (dict(drawn), configuration(space, drawn)) for number, drawn in enumerate(values)}


def run_half(trait: str, half: int, seed: int, options: argparse.Namespace, data: tuple[Any, Any]) -> list[Any]:
    """Search on one half of the folds, test on the other; return one row a rule and test fold."""
    from automl_pheno.data.dataset import Examples
    from automl_pheno.metrics import METRICS
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.rng import derive_seed, generator

    inputs, phenotypes = data
    fold_of = phenotypes["bglr_set"].to_numpy()
    examples = Examples(inputs=inputs, y=phenotypes[trait].to_numpy(float), groups=np.arange(len(inputs)))
    own = np.isin(fold_of, (1, 2, 3, 4, 5) if half == 0 else (6, 7, 8, 9, 10))
    candidates = drawn_candidates(options.trials)
    inner = derive_seed(seed, "selection", trait, half) % 2**31
    kept = set(np.random.default_rng(inner).permutation(list(candidates)[1:])[: max(options.trials // 2, 1)]) | {"c0"}
    found = search(
        examples.take(own), {name: one for name, one in candidates.items() if name in kept}, options.repeats, inner
    )
    chosen = {rule: found.choose(rule, kept, candidates["c0"][0]) for rule in RULES}
    chosen["hand-made"] = next(record for record in found.ordered if record.name == "c0")
    rows, tested = [], sorted(set(fold_of[~own].tolist()))[: 1 if options.quick else None]
    scores: dict[tuple[str, int], float] = {}
    for rule, record in chosen.items():
        for fold in tested:
            if (record.name, fold) not in scores:
                train, test = examples.take(fold_of != fold), examples.take(fold_of == fold)
                predicted = []
                for member in range(options.members):
                    predictor = NetworkPredictor(found.configs[record.name], epochs=max(record.best_epoch or 1, 1))
                    predictor.fit(train, rng=generator(inner, "refit", fold, member))
                    predicted.append(predictor.predict(test.inputs))
                scores[record.name, fold] = METRICS[METRIC].function(test.y, np.mean(predicted, axis=0))
            rows.append((trait, seed, half, fold, rule, record.name, scores[record.name, fold]))
    return rows


def summary(table: pd.DataFrame) -> float:
    """Print r of each rule, and paired differences from the hand-made one over traits, seeds and halves."""
    print(table.pivot_table(index="trait", columns="rule", values="r").round(3).to_string())
    searches = table.pivot_table(index=["trait", "seed", "half"], columns="rule", values="r")
    for rule in RULES:
        difference = searches[rule] - searches["hand-made"]
        spread = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else float("nan")
        print(f"{rule} less hand-made: {difference.mean():+.3f} +- {spread:.3f} over {len(difference)} searches")
    return float(searches[RULES[0]].mean() / searches["best"].mean())


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one trait and seed, 4 trials, one test fold a half")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--traits", nargs="+", default=list(TRAITS))
    parser.add_argument("--data", type=Path, default=data_folder())
    options = parser.parse_args()
    if options.quick:
        options.trials, options.seeds, options.traits = 4, 1, list(TRAITS[2:3])
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    data, rows = load(options.data), []
    for seed in range(options.seeds):
        for trait in options.traits:
            start = time.perf_counter()
            for half in (0, 1):
                rows += run_half(trait, half, seed, options, data)
            print(f"{trait}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    names = ["trait", "seed", "half", "fold", "rule", "network", "r"]
    ratio = summary(pd.DataFrame(rows, columns=names))
    print(f"selection, r of the default rule over that of the best by validation: {ratio:.3f}")


if __name__ == "__main__":
    main()
