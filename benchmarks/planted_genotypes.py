"""Planted loci: causal LD blocks by importance, beside single-variant association, and what decoys let through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from planted import Planted
from planted_motifs import attributions, part_request
from sklearn.metrics import average_precision_score, roc_auc_score

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.parts.run import run_parts

SAMPLES = 500
SMALL = 0.002
"""Share of the trait's variance below which a causal variant counts as small."""


def loci_figures(found: Planted) -> dict[str, float]:
    """Return how well importance, and association, rank the LD blocks that hold a causal variant.

    All causal variants count, also those of hardly any effect; beside it stands the same without them. Precision: the
    share of the blocks above the decoy threshold that hold a causal variant, or variants of the same simulated
    ancestral block as one, which nothing could tell from it but recombination.
    """
    truth = found.truth
    attribution = attributions(found, found.predictor, "auto", SAMPLES)
    parts = run_parts(part_request(found, attribution, refits=True), ["loci"], seed=truth.seed)
    if "loci" not in parts.found:
        msg = f"part loci: {parts.left_out.get('loci') or parts.failed['loci']}"
        raise RuntimeError(msg)
    tables = parts.found["loci"].tables
    loci, blocks = tables["loci"], tables["blocks"].set_index("block")
    variants = found.dataset.inputs.variants
    if variants is None:
        msg = "simulated genotypes have a map"
        raise RuntimeError(msg)
    label = loci.set_index("id")["block"].reindex(variants["id"]).to_numpy(dtype=np.int64)
    shares = causal_shares(found)
    causal = np.isin(blocks.index, label[list(shares)])
    size = blocks["mean_abs"].to_numpy(dtype=float)
    evidence = loci.groupby("block")["minus_log10_p"].max().reindex(blocks.index).fillna(0.0).to_numpy(dtype=float)
    large = np.isin(blocks.index, label[[column for column, share in shares.items() if share >= SMALL]])
    fair = large | ~causal
    ancestral = np.arange(len(label)) // int(truth.parameters["block"])
    linked = np.isin(blocks.index, label[np.isin(ancestral, ancestral[list(shares)])])
    if "decoys" not in tables:
        msg = f"part loci: no decoys: {parts.found['loci'].facts}"
        raise RuntimeError(msg)
    used = blocks["used"].to_numpy(dtype=bool)
    own = average_precision_score(causal, size)
    rival = average_precision_score(causal, evidence)
    return {
        "LD blocks": float(len(blocks)),
        "causal blocks": float(causal.sum()),
        "causal blocks AUROC": float(roc_auc_score(causal, size)),
        "causal blocks AUPR": float(own),
        "association AUPR": float(rival),
        "gain over association (AUPR)": float(own - rival),
        "causal blocks AUPR, small effects set aside": float(average_precision_score(large[fair], size[fair])),
        "association AUPR, small effects set aside": float(average_precision_score(large[fair], evidence[fair])),
        "ancestral blocks AUPR": ancestral_aupr(attribution.contributions, ancestral, list(shares)),
        "blocks above the decoy threshold": float(used.sum()),
        "precision of these (share causal or in its ancestral block)": share(linked, used),
        "precision of these, causal alone": share(causal, used),
        "causal blocks among them (share)": share(used, causal),
        "decoy precision": float(parts.found["loci"].facts["decoy_precision"]),
        "decoy precision, as many as causal": decoy_precision(tables["decoys"], int(causal.sum())),
    }


def causal_shares(found: Planted) -> dict[int, float]:
    """Return the share of the trait's variance that each causal variant has by itself and in its pairs, by column."""
    x = np.asarray(found.dataset.inputs.values, dtype=np.float64)
    total = float(found.dataset.y("trait").var())
    centred = x - x.mean(axis=0)
    shares = {}
    for item in found.truth.causal:
        additive, dominance = item.effects
        here = x[:, item.position]
        value = float((additive * here + dominance * (here == 1.0)).var())
        for term in found.truth.terms:
            if item.position in term.members:
                value += float((term.coefficient * centred[:, term.members[0]] * centred[:, term.members[1]]).var())
        shares[item.position] = value / total
    return shares


def ancestral_aupr(contributions: FloatArray, ancestral: IntArray, causal: list[int]) -> float:
    """Return the AUPR of the simulated ancestral blocks: mean over samples of |sum in block|."""
    sums = np.stack([contributions[:, ancestral == block].sum(axis=1) for block in np.unique(ancestral)], axis=1)
    return float(average_precision_score(np.isin(np.unique(ancestral), ancestral[causal]), np.abs(sums).mean(axis=0)))


def share(wanted: npt.NDArray[np.bool_], among: npt.NDArray[np.bool_]) -> float:
    """Return the share of `among` that is `wanted`; NaN of none."""
    return float(wanted[among].mean()) if among.any() else float("nan")


def decoy_precision(decoys: pd.DataFrame, count: int) -> float:
    """Return 1 - decoys / real among the `count` most important of real blocks and decoys together."""
    real, decoy = (decoys[name].to_numpy(dtype=float) for name in decoys.columns[1:3])
    order = np.argsort(-np.concatenate([real, decoy]), kind="stable")[:count]
    above = int((order >= len(real)).sum())
    return 1.0 - above / max(count - above, 1)
