"""What the winner uses, in sentences: from the tables and facts of ``explain/``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from automl_pheno.explain.loci.blocks import loci_sentence
from automl_pheno.explain.motifs.places import place_words
from automl_pheno.explain.mutagenesis.dosages import dominance_sentence
from automl_pheno.report.motif_figures import matched_names
from automl_pheno.report.read import ExplanationFiles, RunFiles

TOP = 8
FEW = 4
EXACT = 1e-4
"""Up to this share of the range of predictions contributions add up to them."""
ALIKE = 0.8
"""From this rank correlation on two rankings are called alike, and from this R² on effects nearly a sum."""
_CURVED = 0.5
_REFITS = {
    "members": "the networks that the winner averages",
    "refits": "refits of the winner with other seeds",
    "bootstrap": "refits of the winner to samples drawn anew",
}
_Q = 0.05
"""In an older explanation."""


def drivers(run: RunFiles) -> Iterator[str]:
    """Yield what the winner uses; nothing where it was not explained."""
    explanation = run.explanation
    if explanation is None:
        return
    yield f"**What drives {explanation.manifest.get('explained') or run.winner}?**"
    yield from run.warnings_of_its_own
    if float(explanation.importance["mean_abs"].max()) == 0.0:
        yield "No position or variant contributes: the predictor is constant."
        return
    yield from _sequence_drivers(explanation) if explanation.is_sequence else _variant_drivers(explanation)
    yield from _pairs(explanation)
    yield from _trust(explanation)


def _sequence_drivers(explanation: ExplanationFiles) -> Iterator[str]:
    motifs = explanation.table("motifs")
    if motifs is not None:
        names = matched_names(explanation, "motif")
        named = [_motif(row, names.get(str(row["motif"]))) for row in motifs.head(TOP).to_dict("records")]
        yield f"Patterns that recur where contributions are largest: {', '.join(named)}."
    table = explanation.importance
    if bool(explanation.manifest.get("aligned")):
        top = table.sort_values("mean_abs", ascending=False, kind="stable").head(TOP)
        places = ", ".join(str(int(position)) for position in top["position"])
        share = float(top["mean_abs"].sum() / table["mean_abs"].sum())
        yield f"Positions with the largest mean contribution: {places}; together {share:.0%} of all importance."
    else:
        yield "The sequences are not variants of one sequence: the importance of a position averages over unlike bases."


def _motif(row: Mapping[str, Any], like: str | None) -> str:
    words = f"`{row['consensus']}` ({row['effect']} it by {abs(row['mean_contribution']):.2g}, {row['n_seqlets']:.0f} "
    words += "places"
    words += f", like {like}" if like else ""
    if place_words(row):
        words += f", bound to its place: {place_words(row)}"
        share = row.get("share_near_mode")
        words += f" with {float(share):.0%} of its contribution" if share is not None and not pd.isna(share) else ""
    return f"{words})"


def _variant_drivers(explanation: ExplanationFiles) -> Iterator[str]:
    table = explanation.importance
    top = table.sort_values("mean_abs", ascending=False, kind="stable").head(TOP)
    share = float(top["mean_abs"].sum() / table["mean_abs"].sum())
    names = [_variant(row) for row in top.to_dict("records")]
    yield (
        f"The variants with the largest mean contribution are {', '.join(names)}; "
        f"these {len(top)} of {len(table):,} carry {share:.0%} of all importance."
    )
    blocks = explanation.table("blocks")
    if blocks is None or "used" not in blocks:
        return
    used = blocks[blocks["used"].astype(str) == "True"].sort_values("mean_abs", ascending=False, kind="stable")
    yield loci(explanation) or f"{len(used):,} of {len(blocks):,} LD blocks pass decoys."
    if len(used):
        yield f"Those that the model uses most are led by {', '.join(f'`{name}`' for name in used['lead'].head(TOP))}."


def loci(explanation: ExplanationFiles) -> str:
    """Return how many loci the model uses; "" where that was not asked."""
    facts = explanation.facts("loci")
    return loci_sentence(facts) if "blocks" in facts else str(facts.get("sentence") or "")


def _variant(row: Mapping[str, Any]) -> str:
    known = str(row["chromosome"]) and pd.notna(row["position"]) and int(row["position"]) >= 0
    return f"`{row['id']}`" + (f" ({row['chromosome']}:{int(row['position'])})" if known else "")


def _pairs(explanation: ExplanationFiles) -> Iterator[str]:
    table = explanation.table("interactions")
    if table is None or "q" not in table:
        return
    facts = explanation.facts("interactions")
    level = q_level(facts)
    sure = table[table["q"] <= level]
    if sure.empty:
        yield f"Of {len(table):,} pairs that were listed none acts together beyond chance (q <= {level:g})."
        return
    named = ", ".join(
        f"`{row['name_a']}` with `{row['name_b']}` ({row['interaction']:+.2g})"
        for row in sure.head(FEW).to_dict("records")
    )
    yield f"Pairs that act together beyond the sum of both (q <= {level:g}): {len(sure):,}, the strongest {named}."
    curve = facts.get("product_r2")
    if curve is not None and float(curve) >= _CURVED:
        yield (
            f"Much of this (R² {float(curve):.2f}) is what a curved scale of one sum would give, where all that has an "
            "effect interacts: it need not be a mechanism of these pairs."
        )


def q_level(facts: Mapping[str, Any]) -> float:
    """Return the false discovery rate up to which pairs are said to act together."""
    return float(facts.get("q_level") or _Q)


def _trust(explanation: ExplanationFiles) -> Iterator[str]:
    manifest = explanation.manifest
    error = manifest["completeness_error"]
    spread = max(float(error["prediction_spread"]), 1e-300)
    share = float(error["max"]) / spread
    adds = "add up to the predictions" if share < EXACT else f"miss the predictions by up to {share:.1%} of their range"
    method = str(manifest["method"]).replace("_", " ")
    yield f"Contributions by {method} of {manifest['samples']:,} samples; they {adds}."
    if explanation.unit != "phenotype units":
        yield f"All contributions are in {explanation.unit}, not in phenotype units: that is what the model learnt."
    yield from stability(explanation.facts("stability"))
    other = explanation.facts("counterpart").get("sentence")
    if other:
        yield str(other)
    yield from surrogate(explanation.facts("surrogate"))
    of_dominance = dominance_sentence(explanation.facts("mutagenesis"))
    if of_dominance:
        yield of_dominance


def refits(facts: Mapping[str, Any]) -> str:
    """Return which fits of the winner were compared."""
    return _REFITS.get(str(facts.get("source")), "refits of the winner")


def surrogate(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield how far predictions around one sequence are a sum of single effects."""
    additive = facts.get("r2_additive")
    if additive is None:
        return
    how = "nearly the sum of single effects" if additive >= ALIKE else "not only a sum of single effects"
    yield f"Around {facts.get('id', 'one sequence')} the prediction is {how} (R² of such a sum {additive:.2f})."


def stability(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield whether refits rank importance alike."""
    rank = facts.get("spearman_mean")
    if rank is None:
        return
    who = refits(facts)
    words = f"How stable: {who} rank importance alike" if rank >= ALIKE else (
        f"**Not stable:** {who} rank importance differently, so single places are uncertain"
    )  # fmt: skip
    share = facts.get("top_share")
    top = f"; {float(share):.0%} of the most important tenth is the same in all" if share is not None else ""
    yield f"{words} (mean rank correlation {float(rank):.2f}{top})."
