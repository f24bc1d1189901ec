"""A small network on planted motifs: explanations point at what was planted, and at nothing when nothing was learnt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
METHODS = ("deeplift", "ism")
CONFIG = ModelConfig.model_validate(
    {
        "trunk": [
            {
                "block": "conv", "filters": 32, "kernel_size": 13, "normalization": "batch",
                "activation": "exponential", "pooling": "max", "pool_size": 4,
            },
            {"block": "conv", "filters": 32, "kernel_size": 5, "pooling": "max"},
            {"block": "flatten"},
        ],
        "head": [{"block": "dense", "units": 64, "dropout": 0.1}],
        "fit": {"learning_rate": 2.0e-3, "schedule": "cosine", "max_epochs": 25, "patience": 25},
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Data, truth, and rows to train, to validate and to test."""

    dataset: Dataset
    truth: Truth
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]

    def fit(self, y: np.ndarray, epochs: int | None = None) -> NetworkPredictor:
        """Return a network trained on the trait `y`."""
        train, validation = (
            Examples(inputs=self.dataset.inputs.take(rows), y=y[rows], groups=np.arange(len(rows)))
            for rows in self.rows[:2]
        )
        network = NetworkPredictor(CONFIG, epochs=epochs)
        network.fit(train, validation, rng=generator(SEED, "fit"))
        return network

    def recovered(self, network: NetworkPredictor, method: str) -> tuple[float, float]:
        """Return AUROC and AUPR of the planted positions in 100 test sequences."""
        test = self.rows[2]
        attribution = explain(
            network,
            self.dataset.inputs.take(test),
            self.dataset.inputs.take(self.rows[0]),
            method=method,
            rng=generator(SEED, "explain"),
            max_samples=100,
        )
        planted = self.truth.planted_positions(self.dataset.inputs.width)[test]
        found = recovery(attribution, planted[attribution.rows])
        return found["auroc"], found["aupr"]


@pytest.fixture(scope="module")
def case() -> Case:
    dataset, truth = simulate_motifs(n=17_000, length=60, ceiling_r=1.0, seed=SEED)
    rows = generator(SEED, "rows").permutation(len(dataset))
    return Case(dataset=dataset, truth=truth, rows=(rows[:16_000], rows[16_000:16_500], rows[16_500:]))


@pytest.fixture(scope="module")
def trained(case: Case) -> NetworkPredictor:
    return case.fit(case.dataset.y("trait"))


@pytest.fixture(scope="module")
def fooled(case: Case) -> NetworkPredictor:
    return case.fit(generator(SEED, "labels").permutation(case.dataset.y("trait")), epochs=4)


@pytest.fixture(scope="module")
def untrained(trained: NetworkPredictor, tmp_path_factory: pytest.TempPathFactory) -> NetworkPredictor:
    folder: Path = tmp_path_factory.mktemp("network")
    trained.save(folder)
    network = NetworkPredictor.load(folder)
    model: Any = network.model
    rng = generator(SEED, "new weights")
    fresh = []
    for weight in model.get_weights():
        fans = np.prod(weight.shape[:-1]) if weight.ndim > 1 else np.inf
        fresh.append(rng.normal(scale=np.sqrt(1.0 / fans), size=weight.shape) if weight.ndim > 1 else weight)
    model.set_weights(fresh)
    return network


def test_the_network_has_learnt_most_of_the_truth(case: Case, trained: NetworkPredictor) -> None:
    test = case.rows[2]
    predicted = trained.predict(case.dataset.inputs.take(test))
    assert np.corrcoef(predicted, case.dataset.y("trait")[test])[0, 1] >= 0.98


@pytest.mark.parametrize("method", METHODS)
def test_planted_positions_are_found(case: Case, trained: NetworkPredictor, method: str) -> None:
    auroc, aupr = case.recovered(trained, method)
    assert auroc >= 0.98
    assert aupr >= 0.90


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_found_with_new_weights(case: Case, untrained: NetworkPredictor, method: str) -> None:
    auroc, _ = case.recovered(untrained, method)
    assert 0.40 <= auroc <= 0.60


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_found_after_permuted_labels(case: Case, fooled: NetworkPredictor, method: str) -> None:
    auroc, _ = case.recovered(fooled, method)
    assert 0.40 <= auroc <= 0.60
