"""Planted epistasis in mutants of one reference: causal positions and interacting pairs.

An effect is above noise where what it does to the trait has a larger standard deviation over the training sequences
than the noise that was added. Of a position that is g(x) - g(x with the reference base there), of a pair the double
difference g(x) - g(a back) - g(b back) + g(both back), g being the noise-free value.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from planted import Planted
from planted_motifs import attributions, part_request

from automl_pheno.data.dataset import FloatArray, UInt8Array
from automl_pheno.explain import importance
from automl_pheno.explain.parts.run import run_parts
from automl_pheno.simulate.mutants import genetic_value

TOP = 10
SAMPLES = 500


def mutant_figures(found: Planted) -> dict[str, float]:
    """Return which causal positions and interacting pairs are found.

    Positions: among the k of largest mean |contribution|, k being how many are causal. Pairs: among the ten strongest
    of ``interactions``.
    """
    truth = found.truth
    train = found.inputs("train").values
    reference = most_frequent(train)
    noise = float((found.dataset.y("trait") - truth.genetic).std())
    positions = np.array([item.position for item in truth.causal])
    effects = np.array([effect_size(found, train, reference, (int(position),)) for position in positions])
    attribution = attributions(found, found.predictor, "auto", SAMPLES)
    size = importance(attribution)["mean_abs"].to_numpy()
    rank = np.empty(len(size), dtype=int)
    rank[np.argsort(-size)] = np.arange(1, len(size) + 1)
    seen = rank[positions] <= len(positions)
    above = effects > noise
    figures = {
        "causal positions": float(len(positions)),
        "of these above noise": float(above.sum()),
        "positions above noise found (share)": float(seen[above].mean()),
        "all causal positions found (share)": float(seen.mean()),
        "largest effect missed / noise": float(effects[~seen].max(initial=0.0) / noise),
        "largest other position / smallest causal found": float(
            np.delete(size, positions).max() / size[positions][seen].min()
        ),
    }
    parts = run_parts(part_request(found, attribution), ["interactions"], seed=truth.seed)
    if "interactions" not in parts.found:
        msg = f"part interactions: {parts.left_out.get('interactions') or parts.failed['interactions']}"
        raise RuntimeError(msg)
    table = parts.found["interactions"].tables["interactions"].sort_values("rank")
    first = [frozenset((int(a) - 1, int(b) - 1)) for a, b in zip(table["a"], table["b"], strict=True)][:TOP]
    pairs = sorted({pair for term in truth.terms for pair in combinations(sorted(term.members), 2)})
    sizes = np.array([effect_size(found, train, reference, pair) for pair in pairs])
    seen = np.array([frozenset(pair) in first for pair in pairs])
    return figures | {
        "interacting pairs": float(len(pairs)),
        "of these pairs above noise": float((sizes > noise).sum()),
        "pairs above noise in the top 10 (share)": float(seen[sizes > noise].mean()),
        "all pairs in the top 10 (share)": float(seen.mean()),
        "largest pair missed / noise": float(sizes[~seen].max(initial=0.0) / noise),
    }


def most_frequent(codes: UInt8Array) -> UInt8Array:
    """Return the most frequent base of each position, as codes, shape (length,)."""
    counts = np.stack([(codes == code).sum(axis=0) for code in (1, 2, 4, 8)])
    return np.asarray(1 << counts.argmax(axis=0), dtype=np.uint8)


def effect_size(found: Planted, train: UInt8Array, reference: UInt8Array, places: tuple[int, ...]) -> float:
    """Return the standard deviation over training sequences of what the mutations at one or two `places` do."""
    truth = found.truth

    def g(changed: tuple[int, ...]) -> FloatArray:
        codes = train.copy()
        codes[:, list(changed)] = reference[list(changed)]
        return genetic_value(codes, truth.causal, truth.terms)

    effect = g(()) - g(places) if len(places) == 1 else g(()) - g(places[:1]) - g(places[1:]) + g(places)
    return float(effect.std())
