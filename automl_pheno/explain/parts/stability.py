"""Part ``stability``: how far refits of the predictor give the same importances."""

from __future__ import annotations

import numpy as np

from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.explain.references import draw_rows
from automl_pheno.explain.stability import Source, members_of, refit, stability
from automl_pheno.predictors.protocol import Predictor

SAMPLES = 64
SLOW_SAMPLES = 16
"""Samples where a method asks for thousands of predictions each."""
REFERENCES = 10
WORDS: dict[Source, str] = {
    "members": "the networks that the winner averages, fitted to the same samples from different starts",
    "refits": "refits to the same samples with other seeds",
    "bootstrap": "refits to samples drawn with replacement, as the predictor has no randomness of its own",
}


@PARTS.add("stability")
def measure_stability(request: PartRequest) -> Part:
    """Explain several fits on the same samples; members of an average of networks need no training.

    Raises
    ------
    NotApplicableError
        A constant predictor, or no fit to compare with.
    """
    fits, source = _fits(request)
    if not np.abs(request.attribution.values).sum():
        msg = "no position or variant contributes anything: there is nothing to compare between refits"
        raise NotApplicableError(msg)
    seed = int(request.rng.integers(2**31))
    count = SLOW_SAMPLES if request.attribution.method == "permutation" else SAMPLES
    rows = draw_rows(len(request.attribution), count, request.rng)
    found = stability(fits, request.attribution, request.training.inputs, seed=seed, rows=rows, n_references=REFERENCES)
    facts = found.facts()
    facts |= {"source": source, "what": WORDS[source], "samples": len(rows), "method": request.attribution.method}
    return Part(
        tables={"stability": found.table},
        arrays={"stability": {"importances": found.importances, "names": np.array(found.names, dtype=str)}},
        facts=facts,
        notes=_notes(facts),
    )


def _fits(request: PartRequest) -> tuple[list[Predictor], Source]:
    members = members_of(request.predictor)
    if members:
        return members, "members"
    if request.predictor.kind == "mean":
        msg = "the mean has no importances that could be stable"
        raise NotApplicableError(msg)
    if request.fresh is None or request.refits < 2:
        why = "its configuration is not known" if request.fresh is None else f"{request.refits} refits were asked for"
        msg = f"stability needs an average of networks, or two refits or more; the predictor is a single fit and {why}"
        raise NotApplicableError(msg)
    probe = request.attribution.inputs
    return refit(request.predictor, request.fresh, request.training, probe, refits=request.refits, rng=request.rng)


def _notes(facts: dict[str, object]) -> tuple[str, ...]:
    agreement = facts["spearman_mean"]
    if not isinstance(agreement, float):
        return ()
    return (
        f"importances of {facts['refits']} fits ({facts['what']}) agree by rank correlation {agreement:.2f} "
        f"on average; {facts['top_share']:.0%} of the most important tenth is the same in all",
    )
