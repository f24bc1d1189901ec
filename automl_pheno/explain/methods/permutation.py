"""Permutation SHAP of any predictor: positions or variants are exchanged between a sample and training samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray
from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.methods.groups import CLUSTERED, player_groups
from automl_pheno.explain.references import draw_rows
from automl_pheno.explain.registry import EXPLAINERS, ExplainRequest
from automl_pheno.predictors.protocol import Predictor

MOST_PLAYERS = 300
MOST_WIDE_PLAYERS = 150
"""Above 3,000 variants or positions."""
EVALUATIONS = 200_000
ENTRIES = 200_000_000
"""Predictions times width."""
CELLS = 100_000_000_000
"""Predictions times columns times training samples, which is what a kernel predictor computes."""
MOST_TRAINING = 10_000
FEWEST_SAMPLES = 50
CHUNK = 4096


@EXPLAINERS.add("permutation")
def explain_by_permutation(request: ExplainRequest) -> Contributions:
    """Explain by antithetic permutation sampling (Strumbelj & Kononenko 2014; Mitchell et al. 2022).

    Each sample walks to several training samples and back in random orders, one player a step; players in which
    the two do not differ contribute exactly 0 and cost nothing. Contributions add up exactly. Above 3,000
    variants those of one player share its contribution evenly. The number of predictions is bounded by the sizes of
    the data, about 10 s on one core: when more are needed, fewer training samples a sample and then fewer samples are
    used; the manifest says how many.
    """
    inputs, background, rng = request.inputs, request.background, request.rng
    wide = inputs.width > CLUSTERED
    groups, how = player_groups(background, MOST_WIDE_PLAYERS if wide else MOST_PLAYERS)
    budget = _budget(background)
    cost = _rows_of_a_pair(inputs, background, groups, rng)
    pairs = min(8, len(background))
    while pairs > 2 and budget < pairs * cost * min(len(inputs), FEWEST_SAMPLES):
        pairs //= 2
    affordable = max(1, int(budget // max(pairs * cost, 1.0)))
    rows = draw_rows(len(inputs), affordable, rng)
    values = np.zeros((len(rows), inputs.width))
    base = np.zeros(len(rows))
    for number, row in enumerate(rows):
        chosen = background.values[rng.choice(len(background), size=pairs, replace=False)]
        values[number], base[number] = _explain_one(request.predictor, inputs, inputs.values[row], chosen, groups, rng)
    return Contributions(
        values=values,
        base_value=base,
        rows=rows,
        notes={
            "references": "training",
            "references_per_sample": pairs,
            "players": how,
            "n_players": int(groups.max()) + 1,
            "predictions_budget": budget,
            "within_players": "shared evenly" if wide else "told apart one at a time",
            "samples_left_out_to_end_in_time": len(inputs) - len(rows),
        },
    )


def _budget(background: Inputs) -> int:
    """Return how many predictions may be made."""
    columns = background.width * (4 if background.kind == "sequence" else 1)
    cells = columns * min(len(background), MOST_TRAINING)
    return max(1000, min(EVALUATIONS, ENTRIES // max(background.width, 1), CELLS // max(cells, 1)))


def _differ(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    both_missing = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else False
    return np.asarray((a != b) & ~np.asarray(both_missing))


def _rows_of_a_pair(inputs: Inputs, background: Inputs, groups: IntArray, rng: np.random.Generator) -> float:
    """Return the mean number of predictions one pair of sample and training sample needs."""
    counts = []
    for _ in range(20):
        x = inputs.values[rng.integers(len(inputs))]
        differ = _differ(x, background.values[rng.integers(len(background))])
        walk = _Walk.plan(differ, groups, rng)
        counts.append(2 * len(walk.order) + 2 * len(walk.shared))
    return float(np.mean(counts))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Walk:
    """One random order of the players in which sample and reference differ.

    Attributes
    ----------
    order
        Players, each as the positions in which the two differ.
    shared
        Positions that share a player with another and are told apart one at a time; none above 3,000 positions.
    """

    order: list[IntArray]
    shared: IntArray

    @classmethod
    def plan(cls, differ: npt.NDArray[np.bool_], groups: IntArray, rng: np.random.Generator) -> _Walk:
        positions = np.flatnonzero(differ).astype(np.int64)
        labels = groups[positions]
        players = [positions[labels == label] for label in rng.permutation(np.unique(labels))]
        several = [player for player in players if len(player) > 1 and len(groups) <= CLUSTERED]
        return cls(order=players, shared=np.concatenate(several) if several else np.empty(0, dtype=np.int64))

    def states(self, x: npt.NDArray[Any], r: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return r, the walk to x, x, the walk with players in the same order taken back to r; then exchanges."""
        out = [r]
        for start, goal in ((r, x), (x, r)):
            current = start.copy()
            for player in self.order:
                current = current.copy()
                current[player] = goal[player]
                out.append(current)
        for start, goal in ((r, x), (x, r)):
            changed = np.repeat(start[None], len(self.shared), axis=0)
            changed[np.arange(len(self.shared)), self.shared] = goal[self.shared]
            out.extend(changed)
        return np.stack(out)

    def read(self, predicted: FloatArray, width: int) -> FloatArray:
        """Return the contributions of all positions from the predictions of `states`."""
        n = len(self.order)
        forward = np.diff(predicted[: n + 1])
        backward = -np.diff(predicted[n : 2 * n + 1])
        single = np.zeros(width)
        if len(self.shared):
            alone = predicted[2 * n + 1 :].reshape(2, -1)
            single[self.shared] = (alone[0] - predicted[0] + predicted[n] - alone[1]) / 2
        values = np.zeros(width)
        for number, player in enumerate(self.order):
            total = (forward[number] + backward[number]) / 2
            values[player] = single[player] + (total - single[player].sum()) / len(player)
        return values


def _explain_one(
    predictor: Predictor,
    inputs: Inputs,
    x: npt.NDArray[Any],
    references: npt.NDArray[Any],
    groups: IntArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, float]:
    walks = [_Walk.plan(_differ(x, r), groups, rng) for r in references]
    states = [walk.states(x, r) for walk, r in zip(walks, references, strict=True)]
    predicted = _predict(predictor, inputs, np.concatenate(states))
    parts = np.split(predicted, np.cumsum([len(part) for part in states])[:-1])
    values = np.mean([walk.read(part, len(x)) for walk, part in zip(walks, parts, strict=True)], axis=0)
    return np.asarray(values), float(np.mean([part[0] for part in parts]))


def _predict(predictor: Predictor, inputs: Inputs, values: npt.NDArray[Any]) -> FloatArray:
    chunks = [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]
    return np.concatenate([predictor.predict(replace(inputs, values=chunk)) for chunk in chunks])
