"""Planted epistasis in mutants of one reference: causal positions and interacting pairs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from planted import Planted
from planted_motifs import attributions, part_request

from automl_pheno.data.dataset import FloatArray, UInt8Array
from automl_pheno.explain import importance
from automl_pheno.explain.parts.run import run_parts
from automl_pheno.simulate.mutants import genetic_value

NOISE_SD = 3.0
"""An effect is above noise where its root mean square over the training sequences that carry the mutation (or both)
exceeds so many standard errors of a mean over so many sequences, given the planted noise."""
TOP = 10
SAMPLES = 500


def mutant_figures(found: Planted) -> dict[str, float]:
    """Return how many causal positions and interacting pairs above noise are found.

    Positions: those among the k of largest mean |contribution|, k being how many are above noise. Pairs: those among
    the ten strongest of ``interactions``.
    """
    truth = found.truth
    train = found.inputs("train").values
    reference = most_frequent(train)
    positions = [item.position for item in truth.causal]
    effects = np.array([effect_size(found, train, reference, (position,)) for position in positions])
    strong = np.array(positions)[effects[:, 0] > effects[:, 1]]
    attribution = attributions(found, found.predictor, "auto", SAMPLES)
    size = importance(attribution)["mean_abs"].to_numpy()
    order = np.argsort(-size)
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(1, len(order) + 1)
    figures = {
        "causal positions": float(len(positions)),
        "causal positions above noise": float(len(strong)),
        "positions found (share)": float((rank[strong] <= len(strong)).mean()),
        "worst rank of a position above noise": float(rank[strong].max()),
        "largest other position over the smallest found": float(np.delete(size, positions).max() / size[strong].min()),
    }
    parts = run_parts(part_request(found, attribution), ["interactions"], seed=truth.seed)
    if "interactions" not in parts.found:
        msg = f"part interactions: {parts.left_out.get('interactions') or parts.failed['interactions']}"
        raise RuntimeError(msg)
    table = parts.found["interactions"].tables["interactions"].sort_values("rank")
    ranks = {
        frozenset((int(a) - 1, int(b) - 1)): int(number)
        for a, b, number in zip(table["a"], table["b"], table["rank"], strict=True)
    }
    pairs = sorted({pair for term in truth.terms for pair in combinations(sorted(term.members), 2)})
    sizes = np.array([effect_size(found, train, reference, pair) for pair in pairs])
    above = [pair for pair, (effect, noise) in zip(pairs, sizes, strict=True) if effect > noise]
    places = [ranks.get(frozenset(pair), len(ranks) + 1) for pair in above]
    return figures | {
        "interacting pairs": float(len(pairs)),
        "interacting pairs above noise": float(len(above)),
        "pairs in the top 10 (share)": float(np.mean([place <= TOP for place in places])),
        "worst rank of a pair above noise": float(max(places)),
    }


def most_frequent(codes: UInt8Array) -> UInt8Array:
    """Return the most frequent base of each position, as codes, shape (length,)."""
    counts = np.stack([(codes == code).sum(axis=0) for code in (1, 2, 4, 8)])
    return (1 << counts.argmax(axis=0)).astype(np.uint8)


def effect_size(
    found: Planted, train: UInt8Array, reference: UInt8Array, places: tuple[int, ...]
) -> tuple[float, float]:
    """Return the root mean square of the true effect of mutating `places`, and what is noise.

    One place: g(x) - g(x with the reference base there); two: their double difference. Over the training sequences
    that are mutated at all of them. Noise: `NOISE_SD` x sd of the planted noise x sqrt(cells / carriers).
    """
    truth = found.truth
    carriers = train[(train[:, list(places)] != reference[list(places)]).all(axis=1)]
    if not len(carriers):
        return 0.0, np.inf

    def g(changed: tuple[int, ...]) -> FloatArray:
        codes = carriers.copy()
        codes[:, list(changed)] = reference[list(changed)]
        return genetic_value(codes, truth.causal, truth.terms)

    if len(places) == 1:
        effect = g(()) - g(places)
    else:
        effect = g(()) - g(places[:1]) - g(places[1:]) + g(places)
    noise = float((found.dataset.y("trait") - truth.genetic).std())
    return float(np.sqrt((effect**2).mean())), float(NOISE_SD * noise * np.sqrt(2 ** len(places) / len(carriers)))
