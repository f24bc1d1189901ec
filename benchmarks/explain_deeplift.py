"""The DeepLIFT half of `explain.py`: pairs of sample and reference a second, beside ``shap.DeepExplainer``.

Seconds are those of the processor, one thread for each side in one process, so that what else runs on the machine
counts little. The first call, which compiles, is reported apart.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

LENGTH, REFERENCES = 200, 20


def network(activation: str) -> Any:
    """Return a CNN of 75,000 weights."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH, 4))
    z = layers.Conv1D(64, 11, padding="same", activation=activation)(inputs)
    z = layers.MaxPooling1D(4)(z)
    z = layers.Conv1D(64, 5, padding="same", activation=activation)(z)
    z = layers.MaxPooling1D(2)(z)
    z = layers.Dense(32, activation=activation)(layers.Flatten()(z))
    return keras.Model(inputs, layers.Dense(1)(z))


def compare(activation: str, *, own: bool, fused: bool, samples: int, rounds: int) -> float:
    """Alternate the two sides, references of each sample's own or shared by all; print and return the ratio."""
    import shap
    from tensorflow.python.eager import execute

    from automl_pheno.explain.methods.deeplift import batch_size, compile_deeplift

    model = network(activation)
    rng = np.random.default_rng(1)
    x, shared = (np.eye(4, dtype=np.float32)[rng.integers(0, 4, (n, LENGTH))] for n in (samples, REFERENCES))
    references = np.stack([rng.permutation(z, axis=0) for z in np.repeat(x, REFERENCES, axis=0)])
    references = references.reshape(samples, REFERENCES, LENGTH, 4)
    batch = batch_size(model, samples, REFERENCES)
    compiled = compile_deeplift(model, REFERENCES, shared=not own, fused=fused)
    turn = iter(())

    def ours(n: int) -> np.ndarray:
        values = []
        for start in range(0, n, batch):
            stop = start + batch
            if stop > samples:
                start, stop = samples - batch, samples
            r = references[start:stop] if own else shared
            m, _, _ = compiled(x[start:stop], r)
            values.append((m * (x[start:stop, None] - (r if own else r[None]))).mean(axis=1))
        return np.concatenate(values)

    def own_of_the_next(_: Any) -> list[np.ndarray]:
        return [references[next(turn)]]

    explainer = shap.DeepExplainer(model, own_of_the_next if own else shared)

    def theirs(n: int) -> np.ndarray:
        nonlocal turn
        turn = iter(range(n))
        return np.asarray(explainer.shap_values(x[:n], check_additivity=False))[..., 0]

    good = execute.record_gradient
    try:
        first = {name: _seconds(side, batch) for name, side in (("automl-pheno", ours), ("shap", theirs))}
        values = theirs(batch)
        worst = float(np.abs(ours(batch) - values).max() / np.abs(values).max())
        if activation == "relu":  # shap takes secants of close points, which rounds where f is curved
            assert worst <= 1e-4, worst
        rates: dict[str, list[float]] = {"automl-pheno": [], "shap": []}
        for _ in range(rounds):
            rates["automl-pheno"].append(samples * REFERENCES / _seconds(ours, samples))
            rates["shap"].append(samples * REFERENCES / _seconds(theirs, samples))
    finally:  # a DeepExplainer that raises leaves TensorFlow patched
        execute.record_gradient = good
    a, b = (statistics.median(rates[name]) for name in ("automl-pheno", "shap"))
    print(
        f"{activation:11s} {'own' if own else 'shared'} references, {'XLA' if fused else 'no XLA'}: "
        f"automl-pheno {a:6.0f} pairs/s (first call {first['automl-pheno']:.1f} s), "
        f"shap.DeepExplainer {b:6.0f} ({first['shap']:.1f} s), ratio {a / b:.2f}, "
        f"largest relative difference of values {worst:.0e}",
        flush=True,
    )
    return a / b


def _seconds(function: Callable[[int], Any], n: int) -> float:
    start = time.process_time()
    function(n)
    return time.process_time() - start


def deeplift_speed(*, quick: bool) -> float:
    """Return pairs/s by those of shap, for relu, shuffles of each sequence and XLA as a default explanation uses it.

    That is 500 samples of 20 references each; compiling with XLA pays from 4,000 pairs on.
    """
    from automl_pheno.explain.methods.deeplift import FUSED_PAIRS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = {"samples": 40, "rounds": 3} if quick else {"samples": 200, "rounds": 3}
        headline = compare("relu", own=True, fused=FUSED_PAIRS <= 500 * REFERENCES, **size)
        compare("relu", own=True, fused=False, **size)
        if not quick:
            compare("relu", own=False, fused=True, **size)
            for activation in ("elu", "exponential", "tanh"):
                for fused in (False, True):
                    compare(activation, own=True, fused=fused, **size)
    return headline
