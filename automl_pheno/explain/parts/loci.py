"""The part ``loci``: which loci the model uses, beside association and decoys."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_pheno.data.dataset import IntArray
from automl_pheno.errors import AutoMLPhenoError
from automl_pheno.explain.loci.association import Association, associate
from automl_pheno.explain.loci.blocks import R2, blocks_rule, ld_blocks, loci_sentence, neighbour_r2
from automl_pheno.explain.loci.decoys import MOST_CELLS
from automl_pheno.explain.loci.table import block_table, decoy_table, loci_table
from automl_pheno.explain.loci.threshold import Threshold, block_importance, decoy_threshold
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.progress import tick

MOST_REFITS = 3
DISCLAIMER = (
    "A locus used by the model is one its predictions change with; it is not shown to be causal: it may stand for "
    "variants linked to it, on the same block or, among relatives, far from it."
)


@PARTS.add("loci")
def find_loci(request: PartRequest) -> Part:
    """Tables ``loci``, ``blocks`` and, where the predictor could be refitted, ``decoys``.

    Raises
    ------
    NotApplicableError
        Sequences.
    """
    attribution, training = request.attribution, request.training
    if attribution.kind != "genotype":
        reason = "loci are of genotypes; these samples are sequences"
        raise NotApplicableError(reason)
    tick("grouping variants into LD blocks", 0.0)
    blocks = ld_blocks(training.inputs)
    tick("testing variants for association", 0.2)
    association = associate(training, rng=request.rng)
    threshold, why_not = _threshold(request, blocks)
    tables = {
        "loci": loci_table(attribution, blocks, association),
        "blocks": block_table(attribution, blocks, association, threshold),
    }
    if threshold is not None:
        tables["decoys"] = decoy_table(threshold)
    size = block_importance(attribution.contributions, blocks)
    facts = {
        "disclaimer": DISCLAIMER,
        "blocks": int(blocks.max()) + 1,
        "blocks_rule": blocks_rule(training.inputs),
        "block_r2": R2,
        "neighbour_r2": _finite(neighbour_r2(training.inputs)),
        **_association_facts(association),
        "rank_agreement_with_association": _agreement(size, blocks, association),
        **_threshold_facts(threshold, why_not),
    }
    sentence = loci_sentence(facts)
    return Part(tables=tables, facts={"sentence": sentence, **facts}, notes=(sentence,))


def _threshold(request: PartRequest, blocks: IntArray) -> tuple[Threshold | None, str]:
    """Return the threshold, or None and why there is none."""
    refits = min(request.refits, MOST_REFITS)
    if request.fresh is None:
        return None, "the configuration of the model is not known, so it cannot be trained beside decoys"
    if refits < 1:
        return None, "no refits were asked for, and decoys need them"
    if len(request.training) * request.training.inputs.width > MOST_CELLS:
        return None, f"decoys are made of at most {MOST_CELLS:,} calls"
    try:
        return decoy_threshold(request.fresh, request.training, blocks, rng=request.rng, refits=refits), ""
    except AutoMLPhenoError as error:
        return None, f"the model cannot be trained beside decoys: {error}"


def _threshold_facts(threshold: Threshold | None, why_not: str) -> dict[str, Any]:
    if threshold is None:
        return {"threshold": None, "how": None, "no_threshold": why_not}
    k, precision = threshold.precision()
    return {
        "threshold": threshold.value,
        "fdr": threshold.fdr,
        "used": int(threshold.used.sum()),
        "refits": len(threshold.real),
        "decoy_method": threshold.method,
        "decoy_precision": precision,
        "decoy_precision_of_top": k,
        "how": (
            "the same configuration trained on the real variants followed by decoys of them, made anew for each refit; "
            "decoys keep calls, LD and how much of a variant runs in families, but not which samples carry it; share "
            "of false ones = blocks x share of decoys at or above (beyond their largest tenth by an exponential tail) "
            "/ real blocks at or above"
        ),
    }


def _association_facts(association: Association) -> dict[str, Any]:
    return {
        "association_model": association.model,
        "association_samples": association.samples,
        "inflation": _finite(association.inflation),
        "inflation_unadjusted": _finite(association.inflation_unadjusted),
        "heritability": _finite(association.heritability),
    }


def _agreement(size: Any, blocks: IntArray, association: Association) -> float | None:
    """Return Spearman's correlation of block importance and the strongest association in the block."""
    from scipy.stats import rankdata

    strongest = np.zeros(len(size))
    np.maximum.at(strongest, blocks, np.nan_to_num(association.minus_log10_p))
    if len(size) < 3 or np.ptp(size) == 0 or np.ptp(strongest) == 0:
        return None
    return float(np.corrcoef(rankdata(size), rankdata(strongest))[0, 1])


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
