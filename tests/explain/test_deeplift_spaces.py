"""DeepLIFT is complete for random configurations of every shipped search space, on both backends."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from deeplift_networks import bases, randomize, worst_delta

from automl_pheno.errors import InfeasibleError
from automl_pheno.networks import average, build
from automl_pheno.rng import generator
from automl_pheno.space import ModelConfig, from_rng, load_space, network_size, sample
from automl_pheno.space.size import channels

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
FEW, MANY = 2, 100
WIDTHS = {"sequence": (64, 80, 101), "genotype": (96, 150, 203)}
TOLERANCE = 1e-4
TWICE = {"cnn_small"}
"""Spaces of which a few configurations are run on the other backend as well; `slow` tests run all of them."""


def encoded(config: ModelConfig, n: int, width: int, seed: int) -> np.ndarray:
    if config.input == "sequence":
        return bases(n, width, seed)
    return np.random.default_rng(seed).normal(size=(n, width, channels(config))).astype(np.float32)


def drawn(path: Path, count: int) -> list[tuple[ModelConfig, int]]:
    """Return random configurations of a space, each with the width of its inputs."""
    rng = generator(7, path.stem)
    space = load_space(path)
    found: list[tuple[ModelConfig, int]] = []
    while len(found) < count:
        config = sample(space, from_rng(rng))
        width = int(rng.choice(WIDTHS[config.input]))
        try:
            network_size(config, width)
        except InfeasibleError:  # a kernel wider than what pooling has left: a search passes over it too
            continue
        found.append((config, width))
    return found


def error(config: ModelConfig, width: int, seed: int) -> float:
    """Return the completeness error of a network with random weights, drawn anew should its output be constant."""
    model = build(config, width)
    for attempt in range(5):
        randomize(model, 100 * attempt + seed)
        r = encoded(config, 4, width, 1) if seed % 2 else np.stack([encoded(config, 4, width, 2 + i) for i in range(3)])
        worst = worst_delta(model, encoded(config, 3, width, 0), r)
        if np.isfinite(worst):
            return worst
    pytest.fail(f"no random weights make the output vary: {config}")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.backend) if path.stem in TWICE else path for path in SPACES],
    ids=lambda path: path.stem,
)
def test_a_few_configurations_of_each_space_are_complete(path: Path) -> None:
    for seed, (config, width) in enumerate(drawn(path, FEW)):
        assert error(config, width, seed) <= TOLERANCE, config


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_many_configurations_of_each_space_are_complete(path: Path, record_property: pytest.FixtureRequest) -> None:
    errors = []
    for seed, (config, width) in enumerate(drawn(path, MANY)):
        errors.append(error(config, width, seed))
        assert errors[-1] <= TOLERANCE, config
        keras.backend.clear_session()
    record_property("max_delta_by_spread", max(errors))


@pytest.mark.backend
def test_an_ensemble_is_complete_and_the_mean_of_its_members() -> None:
    config, width = drawn(SPACES[0], 1)[0]
    members = [build(config, width) for _ in range(2)]
    for seed, member in enumerate(members):
        randomize(member, seed)
    model = average(members)
    assert worst_delta(model, encoded(config, 3, width, 0), encoded(config, 4, width, 1)) <= TOLERANCE
