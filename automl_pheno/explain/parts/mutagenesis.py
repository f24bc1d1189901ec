"""What single changes do to the predictions, and what the motifs found do when put in, taken out and moved."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray
from automl_pheno.explain.mutagenesis.dosages import (
    dominance_sentence,
    dosage_classes,
    dosage_effects,
    known_effects,
)
from automl_pheno.explain.mutagenesis.motif_effects import (
    MotifEffect,
    Strand,
    ablate,
    marginalise,
    shuffled_backgrounds,
    spacing,
)
from automl_pheno.explain.mutagenesis.saturation import deletion_scores, saturation
from automl_pheno.explain.parts.protocol import PARTS, Part, PartRequest
from automl_pheno.explain.references import draw_rows, is_aligned
from automl_pheno.explain.registry import LinearLike, NetworkLike
from automl_pheno.explain.scoring import inner_inputs, inner_predictor

MOST_SEQUENCES, MOST_INDIVIDUALS, FEWEST_INDIVIDUALS = 100, 200, 8
NETWORK_MUTANTS, OTHER_MUTANTS = 300_000, 60_000
DELETED_BASES = 3_000_000
"""Bases read for deletions: these are whole predictions, of as many bases as the sequence is long."""
NETWORK_DOSAGES, OTHER_DOSAGES, OTHER_CELLS = 2_000_000, 60_000, 150_000_000
MOTIFS, PAIRED_MOTIFS = 8, 3
BACKGROUND_BASES = 17_000
DISTANCES = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
_ACTIONS: tuple[tuple[str, Strand], ...] = (("insert", 1), ("insert_reverse", -1))
_EFFECTS = ["motif", "consensus", "action", "effect", "sd", "n", "low", "high"]
_SPACING = ["motif_a", "motif_b", "order", "distance", "effect", "sd", "additive", "n"]


@PARTS.add("mutagenesis")
def mutagenesis(request: PartRequest) -> Part:
    """Change every base or dosage, one at a time; and motifs, where they were found."""
    if request.attribution.kind == "genotype":
        return _genotypes(request)
    return _sequences(request)


def _genotypes(request: PartRequest) -> Part:
    inputs = request.training.inputs
    inner = inner_predictor(request.predictor)
    missing = bool(np.isnan(inputs.values).any())
    tried = 3 if missing else 2
    columns: IntArray | None = None
    if isinstance(inner, NetworkLike):
        count = NETWORK_DOSAGES // (tried * inputs.width)
    elif isinstance(inner, LinearLike) and inner.linear_effects() is not None:
        count = MOST_INDIVIDUALS
    else:
        budget = min(OTHER_DOSAGES, OTHER_CELLS // inputs.width)
        most = max(1, budget // (tried * FEWEST_INDIVIDUALS))
        if inputs.width > most:
            strongest = np.argsort(-np.abs(request.attribution.contributions).mean(axis=0), kind="stable")
            columns = np.sort(strongest[:most])
        count = budget // (tried * min(inputs.width, most))
    rows = draw_rows(len(inputs), int(np.clip(count, FEWEST_INDIVIDUALS, MOST_INDIVIDUALS)), request.rng)
    found = dosage_effects(request.predictor, inputs.take(rows), missing=missing, columns=columns)
    note = f"Each variant was set to dosage 0, 1 and 2 in {len(rows)} training individuals, all others as they are."
    if columns is not None:
        note += f" Only the {len(columns):,} of {inputs.width:,} variants with the largest contributions were changed."
    classes = dosage_classes(inputs.values, columns)
    of_dominance = classes.facts()
    return Part(
        tables={"dosage_effects": known_effects(found.table, classes)},
        facts={
            "individuals": len(rows),
            "variants_in_all": inputs.width,
            "set_to_missing_too": missing,
            "how": found.how,
            **of_dominance,
        },
        notes=(note, dominance_sentence(of_dominance)),
    )


def _sequences(request: PartRequest) -> Part:
    attribution = request.attribution
    width = attribution.inputs.width
    budget = NETWORK_MUTANTS if isinstance(inner_predictor(request.predictor), NetworkLike) else OTHER_MUTANTS
    count = int(np.clip(budget // (3 * width), 1, MOST_SEQUENCES))
    rows = draw_rows(len(attribution), count, request.rng)
    highest = int(attribution.predictions.argmax())
    if highest not in rows:
        rows = np.sort(np.append(rows[1:], highest))
    inputs = attribution.inputs.take(rows)
    found = saturation(request.predictor, inputs, score=request.score)
    deletions = np.full(inputs.values.shape, np.nan)
    deleted = int(np.clip(DELETED_BASES // width**2, 1, len(rows)))
    progress.tick("deleting single bases", 0.0)
    deletions[:deleted] = deletion_scores(
        request.score, inner_inputs(request.predictor, inputs.take(np.arange(deleted))), found.predictions[:deleted]
    )
    facts: dict[str, Any] = {
        "sequences": len(rows),
        "sequences_with_deletions": deleted,
        "how": found.how,
        "deletion": "the base is removed, what follows moves one to the left, the end is padded",
    }
    notes = [
        f"Every base of {len(rows)} sequences was replaced by each other base; the sum of such effects is not the "
        "prediction."
    ]
    tables = {"mutations": found.table()}
    motifs = _motifs(request)
    if motifs and is_aligned(request.training.inputs):
        notes.append("Motifs were not put into shuffled sequences: these are variants of one sequence.")
    elif motifs:
        tables["motif_effects"], tables["spacing"], said = _of_motifs(request, motifs)
        facts |= said
        notes.append(
            f"Motifs were put into {said['backgrounds']} shuffled training sequences (same dinucleotides), and "
            "replaced by random bases where they were found."
        )
    return Part(
        tables=tables,
        arrays={
            "mutagenesis": {
                "ids": attribution.ids[rows],
                "scores": found.scores.transpose(0, 2, 1).astype(np.float32),
                "deletions": deletions.astype(np.float32),
                "predictions": found.predictions,
            }
        },
        facts=facts,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """A motif of the part ``motifs``, with its places: ``row, start, end`` (0-based) and ``strand``."""

    number: Any
    consensus: str
    frequencies: FloatArray
    places: pd.DataFrame


def _motifs(request: PartRequest) -> list[_Found]:
    part = request.done.get("motifs")
    if part is None or "motifs" not in part.tables or not len(part.tables["motifs"]):
        return []
    table, arrays = part.tables["motifs"], part.arrays.get("motifs", {})
    places = part.tables.get("motif_places", pd.DataFrame(columns=["motif", "id", "start", "end", "strand"]))
    rows = pd.Series(np.arange(len(request.attribution)), index=request.attribution.ids)
    found = []
    for number, consensus in zip(table["motif"], table["consensus"], strict=True):
        frequencies = arrays.get(f"frequencies_{number}")
        if frequencies is None or len(frequencies) > request.attribution.inputs.width:
            continue
        own = places[(places["motif"] == number) & places["id"].astype(str).isin(rows.index)]
        where = pd.DataFrame({
            "row": rows[own["id"].astype(str)].to_numpy(dtype=np.int64),
            "start": own["start"].to_numpy(dtype=np.int64) - 1,
            "end": own["end"].to_numpy(dtype=np.int64),
            "strand": own["strand"].to_numpy(),
        })  # fmt: skip
        where["start"] = where["start"].clip(lower=0)
        found.append(
            _Found(number=number, consensus=str(consensus), frequencies=np.asarray(frequencies, float), places=where)
        )
    return found[:MOTIFS]


def _of_motifs(request: PartRequest, motifs: list[_Found]) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    inputs, rng = request.attribution.inputs, request.rng
    count = int(np.clip(BACKGROUND_BASES // inputs.width, 20, 100))
    backgrounds = shuffled_backgrounds(request.training.inputs, count, rng)
    rows: list[dict[str, Any]] = []
    for number, motif in enumerate(motifs):
        progress.tick("putting motifs in and taking them out", number / len(motifs))
        starts = _starts(motif, backgrounds, rng)
        for action, strand in _ACTIONS:
            put = marginalise(request.score, motif.frequencies, backgrounds, rng=rng, starts=starts, strand=strand)
            rows.append(_row(motif, action, put))
        if len(motif.places):
            kept = draw_rows(int(motif.places["row"].nunique()), count, rng)
            chosen = np.unique(motif.places["row"])[kept]
            taken = motif.places[motif.places["row"].isin(chosen)]
            rows.append(_row(motif, "ablate", ablate(request.score, inputs, taken, rng=rng)))
    curves = []
    pairs = list(combinations(motifs[:PAIRED_MOTIFS], 2))
    for number, (a, b) in enumerate(pairs):
        progress.tick("moving motifs apart", number / len(pairs))
        curve = spacing(request.score, a.frequencies, b.frequencies, backgrounds, rng=rng, distances=DISTANCES)
        curve.insert(0, "motif_a", a.number)
        curve.insert(1, "motif_b", b.number)
        curves.append(curve)
    table = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=_SPACING)
    said = {
        "backgrounds": len(backgrounds),
        "motifs": len(motifs),
        "places": "a motif is put where it was found, the first of a pair in the middle",
        "interval": "bootstrap of the mean over sequences, 95 %",
    }
    return pd.DataFrame(rows, columns=_EFFECTS), table, said


def _starts(motif: _Found, backgrounds: Inputs, rng: np.random.Generator) -> IntArray | None:
    """Return a place for each background, drawn from those at which the motif was found."""
    if not len(motif.places):
        return None
    return np.asarray(rng.choice(motif.places["start"].to_numpy(), size=len(backgrounds)), dtype=np.int64)


def _row(motif: _Found, action: str, effect: MotifEffect) -> dict[str, Any]:
    return {
        "motif": motif.number, "consensus": motif.consensus, "action": action, "effect": effect.effect,
        "sd": effect.sd, "n": effect.n, "low": effect.low, "high": effect.high,
    }  # fmt: skip
