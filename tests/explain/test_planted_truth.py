"""A small network on planted motifs: explanations point at what was planted, and at nothing when nothing was learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from automl_pheno.data.dataset import Dataset, Examples
from automl_pheno.explain import explain, recovery
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.rng import generator
from automl_pheno.simulate import Truth, simulate_motifs
from automl_pheno.space import ModelConfig

pytestmark = pytest.mark.slow

SEED = 0
SAMPLES = 100
CONFIG = ModelConfig.model_validate(
    {
        "trunk": [
            {"block": "conv", "filters": 32, "kernel_size": 13, "activation": "exponential", "normalization": "batch",
             "pooling": "max", "pool_size": 4},
            {"block": "conv", "filters": 32, "kernel_size": 5, "pooling": "max"},
            {"block": "flatten"},
        ],
        "head": [{"block": "dense", "units": 64, "dropout": 0.1}],
        "fit": {"learning_rate": 2.0e-3, "schedule": "cosine", "max_epochs": 40, "patience": 40},
    }
)  # fmt: skip


class Case:
    """Data, truth and fitted networks of one seed."""

    def __init__(self) -> None:
        self.dataset: Dataset
        self.truth: Truth
        self.dataset, self.truth = simulate_motifs(n=9000, ceiling_r=1.0, seed=SEED)
        rows = generator(SEED, "test").permutation(len(self.dataset))
        self.train, self.validation, self.test = rows[:8000], rows[8000:8500], rows[8500:]
        self.y = self.dataset.y("trait")
        self.network = self.fit(self.y)

    def fit(self, y: np.ndarray, epochs: int | None = None) -> NetworkPredictor:
        def examples(rows: np.ndarray) -> Examples:
            return Examples(inputs=self.dataset.inputs.take(rows), y=y[rows], groups=np.arange(len(rows)))

        network = NetworkPredictor(CONFIG, metric="pearson_r", epochs=epochs)
        network.fit(examples(self.train), examples(self.validation), rng=generator(SEED, "fit"))
        return network

    def recovered(self, network: NetworkPredictor, method: str) -> dict[str, float]:
        attribution = explain(
            network, self.dataset.inputs.take(self.test), self.dataset.inputs.take(self.train), method=method,
            rng=generator(SEED, "explain"), max_samples=SAMPLES,
        )  # fmt: skip
        mask = self.truth.planted_positions(self.dataset.inputs.width)[self.test]
        return recovery(attribution, mask[attribution.rows])


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def test_the_network_has_learnt_most_of_the_truth(case: Case) -> None:
    predicted = case.network.predict(case.dataset.inputs.take(case.test))
    assert np.corrcoef(predicted, case.y[case.test])[0, 1] >= 0.95 * case.truth.ceiling_r


@pytest.mark.parametrize("method", ["deeplift", "ism"])
def test_planted_positions_are_found(case: Case, method: str) -> None:
    found = case.recovered(case.network, method)
    assert found["auroc"] >= 0.98
    assert found["aupr"] >= 0.90


@pytest.mark.parametrize("method", ["deeplift", "ism"])
def test_nothing_is_found_with_new_weights(case: Case, method: str) -> None:
    untrained = case.fit(case.y, epochs=1)
    rng = generator(SEED, "new weights")
    model: Any = untrained.model
    model.set_weights([
        rng.normal(scale=np.sqrt(2.0 / np.prod(w.shape[:-1])), size=w.shape) if w.ndim > 1 else w
        for w in model.get_weights()
    ])
    untrained._trained = []  # noqa: SLF001  # predict with the model from now on
    assert 0.40 <= case.recovered(untrained, method)["auroc"] <= 0.60


@pytest.mark.parametrize("method", ["deeplift", "ism"])
def test_nothing_is_found_after_permuted_labels(case: Case, method: str) -> None:
    network = case.fit(generator(SEED, "labels").permutation(case.y), epochs=5)
    assert 0.40 <= case.recovered(network, method)["auroc"] <= 0.60
