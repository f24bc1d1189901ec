"""In-silico mutagenesis as an explainer: what the prediction loses when a base or a dosage is replaced."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.mutagenesis.dosages import change_dosages
from automl_pheno.explain.mutagenesis.saturation import saturation
from automl_pheno.explain.references import draw_rows
from automl_pheno.explain.registry import EXPLAINERS, ExplainRequest, NetworkLike

PREDICTIONS = 200_000
"""Mutants at most; fewer samples are explained where these do not suffice."""
BASE_SAMPLES = 500


@EXPLAINERS.add("ism")
def explain_by_mutagenesis(request: ExplainRequest) -> Contributions:
    """Explain by single replacements.

    Sequences: f(x) less the mean of f over the other three bases at the position (over all four where an ambiguous base
    stands); ``hypothetical`` is the score of each base less the mean over the four. Genotypes: f(x) - f(x with the
    variant at its mean training dosage). Contributions need not add up: what two positions do together is counted at
    each of them, or at none. The base value of sequences is the mean prediction of training samples (500 at most are
    drawn), of genotypes that of an individual with all variants at their means, where those of a linear predictor
    do add up.
    """
    inputs, background = request.inputs, request.background
    mutants = inputs.width * (3 if inputs.kind == "sequence" else 1)
    most = PREDICTIONS if isinstance(request.predictor, NetworkLike) else PREDICTIONS // 2
    rows = draw_rows(len(inputs), max(1, most // mutants), request.rng)
    notes = {
        "references": "none",
        "additive": False,
        "samples_left_out_to_end_in_time": len(inputs) - len(rows),
    }
    chosen = inputs.take(rows)
    if inputs.kind == "sequence":
        found = saturation(request.predictor, chosen)
        drawn = background.take(draw_rows(len(background), BASE_SAMPLES, request.rng))
        base = float(np.mean(request.predictor.predict(drawn)))
        notes |= {"contribution": "f(x) - mean of f over the other bases", "mutants": found.how}
        return Contributions(
            values=found.contributions,
            base_value=np.full(len(rows), base),
            rows=rows,
            hypothetical=found.mean_centred,
            notes=notes,
        )
    dosage = background.values.astype(np.float64)
    called = np.isfinite(dosage)
    mean = np.where(called, dosage, 0.0).sum(axis=0) / np.maximum(called.sum(axis=0), 1)
    changed = change_dosages(request.predictor, chosen, mean[None])
    typical = replace(inputs, values=mean[None].astype(np.float32))
    base = float(np.asarray(request.predictor.predict(typical))[0])
    notes |= {"contribution": "f(x) - f(x with the variant at its mean training dosage)", "mutants": changed.how}
    return Contributions(values=-changed.changes[:, :, 0], base_value=np.full(len(rows), base), rows=rows, notes=notes)
