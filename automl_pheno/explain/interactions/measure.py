"""From a predictor and its data to a table of interacting pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, StrArray
from automl_pheno.explain.interactions.attributions import attribution_rows, network_gradient
from automl_pheno.explain.interactions.motifs import (
    MotifToInsert,
    motif_attributions,
    motif_squares,
    null_pairs,
    place_pair,
    shuffled_backgrounds,
)
from automl_pheno.explain.interactions.places import Places
from automl_pheno.explain.interactions.screen import choose_places, screen_by_gradients, screen_by_groups
from automl_pheno.explain.interactions.significance import benjamini_hochberg, null_p
from automl_pheno.explain.interactions.squares import Squares, Table
from automl_pheno.explain.registry import ExplainError
from automl_pheno.explain.scoring import Score
from automl_pheno.predictors.protocol import Predictor

FLOOR = 1e-5
"""Interactions up to this share of the spread of predictions count as none: single precision makes as much."""
NOTHING = 1e-3
"""Places with a smaller share of the largest importance count as not read by the predictor."""
COLUMNS = (
    "rank", "kind", "a", "b", "name_a", "name_b", "interaction", "abs_interaction", "sd", "se", "n", "p", "q",
    "attribution_interaction", "distance", "effect_a", "effect_b",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Interactions:
    """Pairs of places of a predictor and how far their effects do not add up.

    Attributes
    ----------
    table
        One row a pair, the strongest first: ``rank, kind (positions | motifs | variants | blocks), a, b, name_a,
        name_b, interaction`` (mean of f(ab) - f(a) - f(b) + f(0) over backgrounds, see `Squares.interaction` for units
        and signs), ``abs_interaction`` (mean of its absolute value), ``sd`` and ``se`` over ``n`` backgrounds,
        ``p, q, attribution_interaction`` (DFIM, NaN where the predictor is no network), ``distance`` (bp; of motifs,
        the median), ``effect_a, effect_b`` (mean effects of one alone).
    matrix, attribution_matrix
        ``interaction`` and ``attribution_interaction`` of the places measured in all pairs, symmetric, NaN on the
        diagonal, shape (k, k).
    strength
        What the pairs are ranked and tested by, shape (k, k).
    names
        Of these places, shape (k,).
    null
        Strengths of the null pairs, shape (m,).
    facts
        JSON-ready: numbers of places, pairs, backgrounds and predictions, what the null is.
    """

    table: pd.DataFrame
    matrix: FloatArray
    attribution_matrix: FloatArray
    strength: FloatArray
    names: StrArray
    null: FloatArray
    facts: dict[str, Any] = field(default_factory=dict)


def interactions_of_places(
    predictor: Predictor,
    score: Score,
    places: Places,
    importance: FloatArray,
    *,
    rng: np.random.Generator,
    most_places: int = 40,
    all_pairs_up_to: int = 60,
    most_screened: int = 1000,
    screen_backgrounds: int = 6,
    null_places: int = 100,
    n_null: int = 600,
) -> Interactions:
    """Measure the pairs of positions, variants or blocks of a predictor; ranked by the mean absolute interaction.

    Up to `all_pairs_up_to` places with any importance (a thousandth of the largest) are measured in all pairs. Of more,
    the `most_screened` most important are screened
    (`screen_by_gradients` for a network, `screen_by_groups` otherwise), and `most_places` are measured in all pairs:
    half of them from the strongest pairs of the screen, the others by importance.

    The null is `n_null` pairs among `null_places` places, half of them the most important ones, half random, drawn
    before any were chosen for their interactions and measured in the same backgrounds. `p` says how often such a pair
    is as strong, or as strong for effects as large, see `null_p`; `q` counts all pairs of places that have any
    importance, so that the choice of the strongest is paid for. A small q says that the pair stands out from ordinary
    pairs of this predictor; up to a tenth of these may truly interact, which makes p rather too large. It does not say
    that the interaction is one of nature; where nearly all pairs of a predictor interact alike, none stands out; and a
    curved scale makes two places of large effect interact without a mechanism of their own (`Squares.product_r2`). A
    t-test over backgrounds would reject for nearly every pair of a network, as hardly any interaction is exactly 0.

    Predictions needed: backgrounds x (pairs measured + places in them), of about 1,500 pairs at most, besides the
    screen: `most_screened` x `screen_backgrounds` backward passes, or about 3,600 x `screen_backgrounds` predictions.

    Parameters
    ----------
    predictor, score
        Fitted, and its fast predictions.
    places
        See `position_places` and `genotype_places`.
    importance
        Of each place, shape (k,).
    screen_backgrounds
        Backgrounds of the screen; 0 goes without one and measures the most important places.

    Raises
    ------
    ExplainError
        Fewer than two places.
    """
    count = len(places)
    if count < 2:
        msg = f"interactions need two places that can be changed, got {count}"
        raise ExplainError(msg)
    table = Table(score, places)
    gradient = network_gradient(predictor)
    order = np.argsort(-importance, kind="stable")
    live = order[importance[order] > NOTHING * max(float(importance.max()), 1e-300)]
    live = live if len(live) >= 2 else order
    drawn = live[: null_places // 2]
    drawn = np.sort(np.concatenate([drawn, rng.permutation(live[len(drawn) :])[: null_places - len(drawn)]]))
    candidates = _all_pairs(drawn)
    random_pairs = table.squares(candidates[rng.permutation(len(candidates))[:n_null]], "measuring random pairs")
    facts: dict[str, Any] = {
        "kind": places.kind,
        "places": count,
        "places_with_importance": len(live),
        "backgrounds": places.backgrounds,
    }
    if len(live) <= all_pairs_up_to:
        chosen = np.sort(live)
        facts["screen"] = "none: all pairs of places with any importance were measured"
    elif not screen_backgrounds:
        chosen = choose_places(importance, None, most_places)
        facts["screen"] = "none: the most important places were measured"
    elif gradient is not None:
        rows = np.sort(live[:most_screened])
        screened = screen_by_gradients(gradient, places, rows, backgrounds=screen_backgrounds)
        chosen = choose_places(importance, screened, most_places)
        facts["screen"] = f"changes of gradients when each of {len(rows)} places is mutated"
        facts["backward_passes"] = len(rows) * min(screen_backgrounds, places.backgrounds)
    else:
        screened, asked = screen_by_groups(score, places, backgrounds=screen_backgrounds, rng=rng)
        chosen = choose_places(importance, screened, most_places)
        facts["screen"] = "groups of places against groups, the strongest halved down to single places"
        table.evaluations += asked
    squares = table.squares(_all_pairs(chosen), "measuring pairs")
    attributions = np.full((len(chosen), len(chosen)), np.nan)
    if gradient is not None:
        signed, _ = attribution_rows(gradient, places, chosen, "attributions of places beside mutations")
        attributions = (signed[:, chosen] + signed[:, chosen].T) / 2
    facts |= {
        "measured_places": len(chosen),
        "measured_pairs": len(squares.pairs),
        "pairs_with_importance": len(live) * (len(live) - 1) // 2,
        "null": f"{len(random_pairs.pairs)} pairs drawn among {len(drawn)} places, the most important and random ones",
        "predictions": table.evaluations,
        "product_r2": _number(squares.product_r2()),
        "attribution_interaction": None if gradient is None else "change of gradient x mutation",
        "ranked_by": "abs_interaction",
    }
    position = np.zeros(count, dtype=np.int64)
    position[chosen] = np.arange(len(chosen))
    return _assemble(
        kind=places.kind,
        squares=squares,
        strength=squares.size,
        p=null_p(
            squares.size,
            random_pairs.size,
            floor=FLOOR * table.spread,
            observed_size=squares.product_of_sizes(table.spread * FLOOR),
            null_size=random_pairs.product_of_sizes(table.spread * FLOOR),
        ),
        null=random_pairs.size,
        tests=len(live) * (len(live) - 1) // 2,
        attributions=attributions,
        local=position[squares.pairs],
        keys=places.keys[chosen],
        names=places.names[chosen],
        distance=places.distance(squares.pairs),
        facts=facts,
    )


def interactions_of_motifs(
    predictor: Predictor,
    score: Score,
    motifs: list[MotifToInsert],
    training: Inputs,
    *,
    rng: np.random.Generator,
    backgrounds: int = 48,
    n_null: int = 100,
) -> Interactions:
    """Measure the pairs of motifs in dinucleotide-shuffled training sequences; ranked by the absolute mean.

    Each pair is inserted at places where its motifs were found, up to 30 bp apart where such places are drawn, the same
    for one alone and both. Background places differ, so that the mean is over distances and orders.

    The null is `n_null` pairs of which one or both motifs are column-shuffled (same bases, another order), inserted in
    the same backgrounds. It says what inserting such letters beside each other does; a shuffled motif has no effect of
    its own, so two real motifs under a curved scale (saturation) stand out too: see ``product_r2`` of the facts. Motifs
    of few different letters have shuffles that are still much like them, which makes p too large.

    Predictions needed: 3 x backgrounds x (pairs + `n_null`).

    Raises
    ------
    ExplainError
        Fewer than two motifs, or no room for two.
    """
    shuffled = shuffled_backgrounds(training, backgrounds, rng)
    placed = [
        place_pair(motifs[i], motifs[j], shuffled, rng) for i in range(len(motifs)) for j in range(i + 1, len(motifs))
    ]
    pairs = [pair for pair in placed if pair is not None]
    if not pairs:
        msg = f"interactions of motifs need two motifs and room for both in each sequence; got {len(motifs)} motifs"
        raise ExplainError(msg)
    squares = motif_squares(score, shuffled, pairs, "inserting pairs of motifs")
    null_of = null_pairs(motifs, shuffled, n_null, rng)
    null = np.abs(motif_squares(score, shuffled, null_of, "inserting pairs of shuffled motifs").signed)
    numbers = [motif.number for motif in motifs]
    local = np.array([(numbers.index(pair.a.number), numbers.index(pair.b.number)) for pair in pairs])
    attributions = np.full((len(motifs), len(motifs)), np.nan)
    gradient = network_gradient(predictor)
    if gradient is not None:
        found, how = motif_attributions(gradient, shuffled, pairs, rng)
        attributions[local[:, 0], local[:, 1]] = attributions[local[:, 1], local[:, 0]] = found
    else:
        how = ""
    gaps = [np.median(np.abs((p.start_a + len(p.a.codes) / 2) - (p.start_b + len(p.b.codes) / 2))) for p in pairs]
    facts = {
        "kind": "motifs",
        "motifs": len(motifs),
        "backgrounds": len(shuffled),
        "measured_pairs": len(pairs),
        "pairs_with_importance": len(pairs),
        "null": f"{len(null)} pairs of which one or both motifs are column-shuffled",
        "predictions": len(shuffled) * (1 + 3 * len(pairs) + 1 + 3 * len(null_of)),
        "product_r2": _number(squares.product_r2()),
        "attribution_interaction": how or None,
        "ranked_by": "|interaction|",
    }
    return _assemble(
        kind="motifs",
        squares=squares,
        strength=np.abs(squares.signed),
        p=null_p(np.abs(squares.signed), null),
        null=null,
        tests=len(pairs),
        attributions=attributions,
        local=local,
        keys=np.array(numbers, dtype=np.int64),
        names=np.array([motif.name for motif in motifs], dtype=str),
        distance=np.array(gaps, dtype=np.float64),
        facts=facts,
    )


def _all_pairs(places: IntArray) -> IntArray:
    first, second = np.triu_indices(len(places), 1)
    return np.stack([places[first], places[second]], axis=1)


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _assemble(
    *,
    kind: Literal["positions", "variants", "blocks", "motifs"],
    squares: Squares,
    strength: FloatArray,
    p: FloatArray,
    null: FloatArray,
    tests: int,
    attributions: FloatArray,
    local: IntArray,
    keys: IntArray,
    names: StrArray,
    distance: FloatArray,
    facts: dict[str, Any],
) -> Interactions:
    count = squares.interaction.shape[1]
    a, b = local[:, 0], local[:, 1]
    frame = pd.DataFrame(
        {
            "kind": kind,
            "a": keys[a],
            "b": keys[b],
            "name_a": names[a],
            "name_b": names[b],
            "interaction": squares.signed,
            "abs_interaction": squares.size,
            "sd": squares.sd,
            "se": squares.sd / np.sqrt(count),
            "n": count,
            "p": p,
            "q": benjamini_hochberg(p, tests),
            "attribution_interaction": attributions[a, b],
            "distance": distance,
            "effect_a": squares.effect_a.mean(axis=1),
            "effect_b": squares.effect_b.mean(axis=1),
        }
    )
    order = np.argsort(-strength, kind="stable")
    table: pd.DataFrame = frame.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    np.fill_diagonal(attributions, np.nan)
    return Interactions(
        table=table[list(COLUMNS)],
        matrix=_matrix(squares.signed, local, len(names)),
        attribution_matrix=attributions,
        strength=_matrix(strength, local, len(names)),
        names=names,
        null=np.asarray(null),
        facts=facts,
    )


def _matrix(values: FloatArray, local: npt.NDArray[np.int64], size: int) -> FloatArray:
    matrix = np.full((size, size), np.nan)
    matrix[local[:, 0], local[:, 1]] = matrix[local[:, 1], local[:, 0]] = values
    return matrix
