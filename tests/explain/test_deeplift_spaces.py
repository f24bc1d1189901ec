"""DeepLIFT is complete for random configurations of every shipped search space, on both backends."""

from __future__ import annotations

import os
import subprocess
import sys
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
OTHER = {"tensorflow": "jax", "jax": "tensorflow"}
TOLERANCE = 1e-4


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


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_few_configurations_of_each_space_are_complete(path: Path) -> None:
    for seed, (config, width) in enumerate(drawn(path, FEW)):
        assert error(config, width, seed) <= TOLERANCE, config


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


def test_an_ensemble_is_complete_and_the_mean_of_its_members() -> None:
    config, width = drawn(SPACES[0], 1)[0]
    members = [build(config, width) for _ in range(2)]
    for seed, member in enumerate(members):
        randomize(member, seed)
    model = average(members)
    assert worst_delta(model, encoded(config, 3, width, 0), encoded(config, 4, width, 1)) <= TOLERANCE


def on_the_other_backend(*words: str) -> None:
    other = OTHER[keras.backend.backend()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *words],
        env={**os.environ, "KERAS_BACKEND": other, "JAX_PLATFORMS": "cpu", "AUTOML_PHENO_OTHER_BACKEND": "1"},
        capture_output=True, text=True, timeout=2900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


HERE = pytest.mark.skipif("AUTOML_PHENO_OTHER_BACKEND" in os.environ, reason="this is the other backend")


@HERE
def test_the_spaces_are_complete_on_the_other_backend_too() -> None:
    on_the_other_backend(__file__, "-k", "ensemble or (few and (mlp or genotype or global))")


@HERE
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_many_configurations_and_every_layer_are_complete_on_the_other_backend_too() -> None:
    on_the_other_backend(__file__, "-m", "slow", "-k", "many")
    on_the_other_backend(str(Path(__file__).with_name("test_deeplift_layers.py")), "-m", "slow or not slow")
