"""In-silico mutagenesis beside ``model.predict``: all single substitutions of a sequence, sequences per second.

The rival is what one writes without a library: for each sequence, its 3 x length mutants as one array, given to
``model.predict`` as one batch. Networks are the middle configurations of shipped spaces, three members averaged as the
refit of a winner has them, weights drawn at random. Both sides run in one process with the same threads, in
alternation; compilation is not counted on either side but printed. Both must give the same numbers.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

SPACES = Path(__file__).resolve().parents[1] / "search_spaces"
CASES = (("cnn_small.yaml", 80, 1), ("cnn_global.yaml", 80, 3), ("cnn.yaml", 170, 3), ("cnn.yaml", 500, 1))
ROUNDS, SEQUENCES = 5, 16


def network(space: str, length: int, members: int) -> Any:
    """Return an untrained network predictor: the middle configuration of a space."""
    import keras

    from automl_pheno.networks import average, build
    from automl_pheno.predictors.network import NetworkPredictor
    from automl_pheno.space import default_values, from_values, load_space, sample

    keras.utils.set_random_seed(1)
    loaded = load_space(SPACES / space)
    config = sample(loaded, from_values(default_values(loaded)))
    models = [build(config, length) for _ in range(members)]
    predictor = NetworkPredictor(config, members=members)
    predictor._width = length
    predictor._model = average(models) if members > 1 else models[0]
    return predictor


def rival(model: Any, x: np.ndarray) -> np.ndarray:
    """Return f(mutant) - f(sequence), shape (n, length, 4), by ``model.predict`` a sequence."""
    n, length, _ = x.shape
    places = np.repeat(np.arange(length), 3)
    others = (x.argmax(axis=2)[:, :, None] + np.arange(1, 4)) % 4
    scores = np.zeros(x.shape)
    for row in range(n):
        mutants = np.repeat(x[row][None], 3 * length, axis=0)
        mutants[np.arange(3 * length), places] = np.eye(4, dtype=np.float32)[others[row].ravel()]
        found = model.predict(mutants, batch_size=3 * length, verbose=0)[:, 0]
        scores[row, places, others[row].ravel()] = found
    own = model.predict(x, verbose=0)[:, 0]
    return np.where(x > 0, 0.0, scores - own[:, None, None])


def compare(space: str, length: int, members: int, rounds: int) -> float:
    """Print sequences per second of both sides, and return the median ratio."""
    from automl_pheno.data.dataset import Inputs
    from automl_pheno.data.encode import one_hot
    from automl_pheno.explain.mutagenesis.compiled import CompiledMutants
    from automl_pheno.explain.mutagenesis.saturation import mutant_outputs

    predictor = network(space, length, members)
    draw = np.random.default_rng(2)
    inputs = Inputs(kind="sequence", values=(1 << draw.integers(0, 4, (SEQUENCES, length))).astype(np.uint8))
    x = one_hot(inputs.values)
    start = time.perf_counter()
    mutants = CompiledMutants(predictor.model, choices=3)
    mutant_outputs(mutants, inputs.take(np.arange(1)))
    compiled = time.perf_counter() - start
    few = 4
    rival(predictor.model, x[:1])
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        found = mutant_outputs(mutants, inputs)
        ours.append(SEQUENCES / (time.perf_counter() - start))
        start = time.perf_counter()
        truth = rival(predictor.model, x[:few])
        theirs.append(few / (time.perf_counter() - start))
    own = predictor.predict(inputs)[:few]
    difference = np.where(x[:few] > 0, 0.0, found[:few] - own[:, None, None]) - truth
    assert np.abs(difference).max() < 1e-5, np.abs(difference).max()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(
        f"{space:16} {length:4} bp x {members}   ours {statistics.median(ours):8.1f}/s   model.predict "
        f"{statistics.median(theirs):7.1f}/s   ratio {ratio:5.1f}   (compiled in {compiled:.1f} s, "
        f"largest difference {np.abs(difference).max():.0e})"
    )
    return ratio


def mutant_speed(*, quick: bool) -> float:
    """Print one line a network, and return the lowest ratio: how many times as fast as ``model.predict``."""
    cases = CASES[1:3] if quick else CASES
    return min(compare(*case, rounds=3 if quick else ROUNDS) for case in cases)
