"""A prediction of 2.0 means 2.0: observed regressed on predicted has slope 1, of rows no fit has seen, on average.

Members of the registry and networks of both kinds, on simulated sequences and genotypes. `mean` predicts a constant and
has no slope. The network ``before_a_maximum`` is of the kind whose output was off: dropout and pooling by the maximum.
"""

from functools import lru_cache

import numpy as np
import pytest

import automl_pheno.predictors  # noqa: F401  # registers the baselines
from automl_pheno.data.dataset import Examples
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.predictors.protocol import PREDICTORS
from automl_pheno.simulate import simulate_genotypes, simulate_motifs, simulate_mutants
from automl_pheno.space.config import ModelConfig

FIT = {"batch_size": 32, "learning_rate": 0.003, "max_epochs": 40, "patience": 10}
NETWORKS = {
    "dense": {
        "sequence": ({"block": "flatten"},),
        "genotype": (
            {"block": "conv", "filters": 8, "kernel_size": 8, "stride": 4, "dropout": 0.2},
            {"block": "flatten"},
        ),
    },
    "before_a_maximum": {
        "sequence": (
            {"block": "conv", "filters": 16, "kernel_size": 5, "pooling": "max", "pool_size": 2, "dropout": 0.3},
            {"block": "conv", "filters": 16, "kernel_size": 3, "pooling": "max", "pool_size": 2, "dropout": 0.3},
            {"block": "flatten", "pooling": "max"},
        ),
    },
}
LEARNERS = tuple(name for name in PREDICTORS if name not in ("mean", "network"))
CASES = [(name, kind) for name in LEARNERS for kind in ("mutants", "genotypes")] + [
    ("dense", "mutants"),
    ("dense", "genotypes"),
    ("before_a_maximum", "motifs"),
]
SIMULATORS = {
    "mutants": lambda n, seed: simulate_mutants(n=n, length=40, seed=seed)[0],
    "motifs": lambda n, seed: simulate_motifs(n=n, length=60, seed=seed)[0],
    "genotypes": lambda n, seed: simulate_genotypes(n=n, n_variants=120, n_causal=20, heritability=0.6, seed=seed)[0],
}
TESTED = 2000


@lru_cache(maxsize=16)
def rows(simulator, n, seed):
    """Training rows, n, validation rows, n / 4, and test rows."""
    dataset = SIMULATORS[simulator](n + n // 4 + TESTED, seed)
    size = len(dataset)
    trait = str(dataset.traits.columns[0])
    every = Examples(inputs=dataset.inputs, y=dataset.y(trait), groups=np.arange(size, dtype=np.int64))
    order = np.random.default_rng(seed).permutation(size)
    return tuple(every.take(part) for part in np.split(order, [n, n + n // 4]))


def make(name, kind):
    if name in NETWORKS:
        config = {"input": kind, "trunk": NETWORKS[name][kind], "head": [{"block": "dense", "units": 32}], "fit": FIT}
        return NetworkPredictor(ModelConfig.model_validate(config))
    return PREDICTORS[name]()


def slope_and_shift(name, simulator, n, seed):
    """Slope of observed on predicted, and their mean difference in sd of the trait, over test rows."""
    train, validation, test = rows(simulator, n, seed)
    predictor = make(name, train.inputs.kind)
    predictor.fit(train, validation, rng=np.random.default_rng(seed))
    predicted = predictor.predict(test.inputs)
    slope = np.cov(predicted, test.y)[0, 1] / predicted.var(ddof=1)
    return slope, (test.y.mean() - predicted.mean()) / test.y.std()


def check(name, simulator, n, seeds):
    slopes, shifts = np.array([slope_and_shift(name, simulator, n, seed) for seed in range(seeds)]).T
    assert 0.9 <= slopes.mean() <= 1.1, f"slopes {slopes.round(2)}"
    assert abs(shifts.mean()) < 0.1, f"mean errors {shifts.round(2)}"


@pytest.mark.parametrize(("name", "simulator"), CASES)
def test_observed_on_predicted_has_slope_1(name, simulator):
    check(name, simulator, n=320, seeds=4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "simulator"), CASES)
def test_observed_on_predicted_has_slope_1_over_more_rows_and_seeds(name, simulator):
    check(name, simulator, n=1000, seeds=10)


def test_the_mean_is_right_in_level():
    train, _, test = rows("genotypes", 320, 0)
    predictor = PREDICTORS["mean"]()
    predictor.fit(train, rng=np.random.default_rng(0))
    assert abs(predictor.predict(test.inputs).mean() - test.y.mean()) < 0.15 * test.y.std()
