"""Part ``interactions``: pairs of positions, motifs, variants or LD blocks whose effects do not add up."""

from __future__ import annotations

import math

import numpy as np

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.interactions.measure import Interactions, interactions_of_motifs, interactions_of_places
from automl_pheno.explain.interactions.motifs import MotifToInsert, motif_to_insert
from automl_pheno.explain.interactions.places import Places, genotype_places, position_places
from automl_pheno.explain.loci.blocks import ld_blocks
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.explain.references import is_aligned
from automl_pheno.explain.registry import LinearLike, NetworkLike
from automl_pheno.explain.scoring import inner_predictor
from automl_pheno.predictors.curated import CuratedPredictor

BACKGROUNDS, BACKGROUNDS_OF_WIDE = 40, 24
WIDE = 2000
FEWEST_BACKGROUNDS = 8
MOTIFS = 8
PREDICTIONS = 70_000
"""Of the full work."""
WORK = 1e11
"""Predictions x training samples x width that a kernel predictor makes in about ten seconds on two cores."""
SCREENED_SHARE = 0.25
SINGLES = 0.9
"""Variants are taken singly where there are nearly as many LD blocks."""
SIGNIFICANT = 0.05


@PARTS.add("interactions")
def find_interactions(request: PartRequest) -> Part:
    """Measure pairs: positions of aligned sequences, motifs of others, LD blocks (or variants) of genotypes.

    Raises
    ------
    NotApplicableError
        A predictor whose effects add up by its form, fewer than two motifs or places.
    """
    _refuse_additive(request)
    kind = request.attribution.kind
    if kind == "sequence" and not is_aligned(request.training.inputs):
        motifs = _motifs(request)
        if len(motifs) < 2:
            msg = (
                "interactions of sequences that are not aligned are measured between motifs; "
                f"{len(motifs)} found by the part 'motifs'"
            )
            raise NotApplicableError(msg)
        found = interactions_of_motifs(
            request.predictor, request.score, motifs, request.training.inputs, rng=request.rng
        )
    else:
        places = _positions(request) if kind == "sequence" else _genotypes(request)
        if len(places) < 2:
            msg = f"interactions need two places that vary in training, got {len(places)}"
            raise NotApplicableError(msg)
        found = interactions_of_places(
            request.predictor,
            request.score,
            places,
            _importance(request, places),
            rng=request.rng,
            **_sizes(request),
        )
    return Part(
        tables={"interactions": found.table},
        arrays={
            "interactions": {
                "matrix": found.matrix,
                "attribution_matrix": found.attribution_matrix,
                "strength": found.strength,
                "names": found.names,
                "null": found.null,
            }
        },
        facts=found.facts | {"significant": int((found.table["q"] <= SIGNIFICANT).sum()), "q_level": SIGNIFICANT},
        notes=_notes(found),
    )


def _refuse_additive(request: PartRequest) -> None:
    inner = inner_predictor(request.predictor)
    if inner.kind == "mean" or (isinstance(inner, LinearLike) and inner.linear_effects() is not None):
        msg = f"effects in a predictor of kind {inner.kind!r} add up by its form: every interaction is 0"
        raise NotApplicableError(msg)


def _motifs(request: PartRequest) -> list[MotifToInsert]:
    part = request.done.get("motifs")
    if part is None or "motifs" not in part.tables:
        return []
    table, arrays = part.tables["motifs"], part.arrays.get("motifs", {})
    places = part.tables.get("motif_places")
    found: list[MotifToInsert] = []
    for number, name in zip(table["motif"].tolist(), table["consensus"].tolist(), strict=True):
        frequencies = arrays.get(f"frequencies_{number}")
        if frequencies is None or len(found) == MOTIFS:
            continue
        starts = None
        if places is not None:
            here = places[(places["motif"] == number) & (places["strand"].astype(str) == "+")]
            starts = here["start"].to_numpy(dtype=np.int64) - 1
        found.append(motif_to_insert(int(number), str(name), frequencies, starts))
    return found


def _positions(request: PartRequest) -> Places:
    return position_places(
        request.attribution.inputs, request.training.inputs, backgrounds=_backgrounds(request), rng=request.rng
    )


def _genotypes(request: PartRequest) -> Places:
    training = request.training.inputs
    predictor = request.predictor
    columns: IntArray | None = predictor.curation.kept if isinstance(predictor, CuratedPredictor) else None
    labels = ld_blocks(training)
    return genotype_places(
        request.attribution.inputs,
        training,
        backgrounds=_backgrounds(request),
        rng=request.rng,
        labels=labels if len(np.unique(labels)) < SINGLES * len(labels) else None,
        columns=columns,
    )


def _share(request: PartRequest) -> float:
    """Return the share of the full work that is done, at most 1; of other predictors than networks less when large."""
    if isinstance(inner_predictor(request.predictor), NetworkLike):
        return 1.0
    training = request.training
    return min(1.0, WORK / (PREDICTIONS * len(training) * training.inputs.width))


def _backgrounds(request: PartRequest) -> int:
    full = BACKGROUNDS if request.training.inputs.width <= WIDE else BACKGROUNDS_OF_WIDE
    return max(FEWEST_BACKGROUNDS, int(full * math.sqrt(_share(request))))


def _sizes(request: PartRequest) -> dict[str, int]:
    """Return smaller numbers of places and pairs than the usual where predictions take long; backgrounds shrink too."""
    share = _share(request)
    if share == 1.0:
        return {}
    return {
        "most_places": max(16, round(40 * share**0.25)),
        "all_pairs_up_to": max(16, round(60 * share**0.25)),
        "n_null": max(150, round(600 * share**0.5)),
        "null_places": max(40, round(100 * share**0.5)),
        "screen_backgrounds": round(6 * share**0.5) if share >= SCREENED_SHARE else 0,
    }


def _importance(request: PartRequest, places: Places) -> FloatArray:
    size = np.abs(request.attribution.contributions).mean(axis=0)
    inside = places.label >= 0
    return np.bincount(places.label[inside], weights=size[inside], minlength=len(places)).astype(np.float64)


def _notes(found: Interactions) -> tuple[str, ...]:
    strong = found.table[found.table["q"] <= SIGNIFICANT]
    what = str(found.facts["kind"])
    others = "shuffled motifs" if what == "motifs" else f"ordinary pairs of {what} in this model"
    if not len(strong):
        return (f"no pair of {what} interacts more than {others} do (q <= {SIGNIFICANT})",)
    first = strong.iloc[0]
    return (
        f"{len(strong)} of {found.facts['pairs_with_importance']:,} pairs of {what} interact more than {others} do "
        f"(q <= {SIGNIFICANT}); first: {first['name_a']} with {first['name_b']} "
        f"({first['interaction']:+.3g} on average, {first['abs_interaction']:.3g} in size)",
    )
