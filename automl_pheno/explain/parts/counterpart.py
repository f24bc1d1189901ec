"""The part ``counterpart``: whether the best predictor of the other kind looks at the same places."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.importance import importance
from automl_pheno.explain.loci.blocks import ld_blocks
from automl_pheno.explain.loci.threshold import block_importance
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.explain.run import explain
from automl_pheno.progress import tick

TOP = 0.1
"""Share of the places that count as the most important ones."""
AGREES, DISAGREES = 0.7, 0.3
SPELT = {"gblup": "GBLUP", "rkhs": "RKHS"}


@PARTS.add("counterpart")
def explain_counterpart(request: PartRequest) -> Part:
    """Table ``counterpart``: what the best predictor of the other kind makes of the same places in the same samples.

    Columns ``position``, or ``id, chromosome, position``, then ``mean_abs, mean_signed`` of the counterpart and
    ``winner_mean_abs``.

    Raises
    ------
    NotApplicableError
        There is no counterpart.
    ExplainError
        No method explains it.
    """
    other = request.counterpart
    if other is None:
        reason = "there is no finalist of the other kind to compare with"
        raise NotApplicableError(reason)
    ours = request.attribution
    tick(f"explaining {other.name}", 0.0)
    theirs = explain(
        other.predictor,
        ours.inputs,
        request.training.inputs,
        rng=request.rng,
        ids=ours.ids,
        max_samples=len(ours),
    )
    table = importance(theirs)
    columns = ["id", "chromosome", "position"] if ours.kind == "genotype" else ["position"]
    table = table[[*columns, "mean_abs", "mean_signed"]].assign(winner_mean_abs=importance(ours)["mean_abs"])
    pair = _sizes(ours.contributions), _sizes(theirs.contributions)
    facts: dict[str, Any] = {
        "name": other.name,
        "kind": other.predictor.kind,
        "method": theirs.method,
        "samples": len(theirs),
        **_agreement(*pair),
    }
    place = "positions"
    if ours.kind == "genotype":
        blocks = ld_blocks(request.training.inputs)
        by_block = _agreement(
            block_importance(ours.contributions, blocks), block_importance(theirs.contributions, blocks)
        )
        facts |= {f"{name}_of_blocks": value for name, value in by_block.items()}
        facts["agreement"] = by_block["spearman"]
        place = "LD blocks"
    else:
        facts["agreement"] = facts["spearman"]
    shared = facts["top_share_of_blocks"] if ours.kind == "genotype" else facts["top_share"]
    theirs_is = other.name if other.predictor.kind == "network" else _spelt(other.name)
    sentence = agreement_sentence(_spelt(request.predictor.kind), theirs_is, place, facts["agreement"], shared)
    return Part(tables={"counterpart": table}, facts={**facts, "sentence": sentence}, notes=(sentence,))


def _sizes(contributions: FloatArray) -> FloatArray:
    return np.asarray(np.abs(contributions).mean(axis=0))


def _agreement(ours: FloatArray, theirs: FloatArray) -> dict[str, float | None]:
    """Return Spearman's correlation, None where one is constant, and the share of the top tenth that both have."""
    from scipy.stats import rankdata

    k = max(1, round(TOP * len(ours)))
    constant = np.ptp(ours) == 0 or np.ptp(theirs) == 0
    top = [set(np.argsort(-one, kind="stable")[:k].tolist()) for one in (ours, theirs)]
    return {
        "spearman": None if constant else float(np.corrcoef(rankdata(ours), rankdata(theirs))[0, 1]),
        "top_share": None if constant else len(top[0] & top[1]) / k,
    }


def agreement_sentence(ours: str, theirs: str, place: str, spearman: float | None, shared: float | None) -> str:
    """Return in words whether two predictors look at the same places, by rank correlation and shared top tenth."""
    pair = f"{ours[0].upper()}{ours[1:]} and {theirs}"
    if spearman is None or shared is None:
        return f"{pair} cannot be compared: one of them uses nothing."
    verb = "agree" if spearman >= AGREES else "disagree" if spearman < DISAGREES else "agree in part"
    share = f"{shared:.0%}".replace("%", " %")
    return (
        f"{pair} {verb} on which {place} matter: rank correlation {spearman:.2f}, and {share} of the most important "
        f"tenth are the same."
    )


def _spelt(name: str) -> str:
    """Return a kind of predictor in words; the name of a network is its own."""
    if name == "network":
        return "the network"
    return SPELT.get(name, name.replace("_", " "))
