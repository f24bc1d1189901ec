"""The run in sentences, for ``summary.md`` and ``report.html`` alike, with ``**bold**`` and code in backticks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from automl_pheno.report.motif_figures import matched_names
from automl_pheno.report.read import ExplanationFiles, RunFiles
from automl_pheno.study.final import WEAK
from automl_pheno.study.verdict import verdict_of

TOP = 8
FEW = 4
EXACT = 1e-4
ALIKE = 0.8
"""From this rank correlation on two rankings are called alike."""
_CURVED = 0.5
_NOTHING = 1e-6
"""Scores as small are 0 but for rounding."""
PARTS = {
    "motifs": "motifs", "modisco": "motifs by TF-MoDISco", "filters": "filters of the first layer",
    "matches": "matches with known motifs",
    "mutagenesis": "mutagenesis", "surrogate": "a simple stand-in", "interactions": "pairs that act together",
    "loci": "loci", "stability": "stability", "counterpart": "comparison with the other kind of model",
}  # fmt: skip
"""Part of an explanation -> what it is for a reader."""


def answer(run: RunFiles) -> list[str]:
    """Return the paragraphs with which a report begins; a network that does not beat the baseline is said first."""
    comparison = (run.final or {}).get("comparison")
    best = " ".join(_best(run))
    if comparison is None:
        note = str((run.final or {}).get("note") or "")
        alone = "Networks and baselines were not compared: the run has only one of the two."
        return [best] if run.final is None or note else [best, alone]
    helped = _deep_learning(comparison)
    return [best, helped] if is_better(comparison) else [helped, best]


def is_better(comparison: Mapping[str, Any]) -> bool:
    """Tell whether the network beats the baseline beyond chance."""
    return verdict_of(comparison) == "better"


def _best(run: RunFiles) -> Iterator[str]:
    if run.winner is None:
        yield "**Nothing was trained to the end**, so there is no winner; `leaderboard.csv` gives the reasons."
        return
    if run.final is None:
        yield (
            f"**{run.winner} leads by validation so far**; the test set is still sealed, so how well it predicts "
            f"{run.trait} on new samples is not known yet."
        )
        return
    winner = run.final["winner"]
    kind = "network" if winner["kind"] == "network" else "baseline"
    opening = f"**The best predictor of {run.trait} is the {kind} {winner['name']}**, chosen by validation "
    opening += f"({run.metric.label} {number(winner['validation'])})."
    score = winner["test"].get(run.metric.name)
    if score is None:
        yield f"{opening} It was not tested: {run.final.get('note') or 'there is no test set'}."
        return
    yield opening
    others = ", ".join(
        f"{name} {number(winner['test'][key])}"
        for key, name in (("pearson_r", "Pearson r"), ("r2", "R²"), ("rmse", "RMSE"))
        if key != run.metric.name and winner["test"].get(key) is not None
    )
    yield (
        f"On the sealed test set ({run.final['n_test']:,} samples, opened once) it reaches {run.metric.label} "
        f"**{number(score)}** (95 % interval {number(winner['low'])} to {number(winner['high'])}; {others})."
    )


def _deep_learning(comparison: Mapping[str, Any]) -> str:
    sentence = str(comparison["sentence"])
    if is_better(comparison):
        return f"**Deep learning helped.** {sentence}"
    if verdict_of(comparison) == "worse":
        return f"**The network does not beat the baseline: deep learning did not help.** {sentence}"
    said = "deep learning made no difference that these data can show"
    return f"**The network does not beat the baseline: {said}.** {sentence}"


def split(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield how safe the split is."""
    said = str(card.get("statement") or card.get("regime") or "not stated")
    sizes = ", ".join(f"{name} {size:,}" for name, size in card.get("sizes", {}).items())
    yield f"**How safe is the split?** {said[:1].upper()}{said[1:]}. Sizes: {sizes}."
    if not said.startswith("leakage-free at"):
        yield (
            "Test samples may still resemble training samples; for samples unlike these the score may be lower, "
            "so read it as prediction within this collection."
        )
    for sentence in card.get("advice", ()):
        yield str(sentence)


def drivers(run: RunFiles) -> Iterator[str]:
    """Yield what the winner uses; nothing where it was not explained."""
    explanation = run.explanation
    if explanation is None:
        return
    manifest = explanation.manifest
    known = str(((run.final or {}).get("comparison") or {}).get("sentence", ""))
    said = [warning for warning in explanation.warnings if not known or known not in warning]
    verdict = "" if manifest["verdict"] == known else f" {manifest['verdict']}"
    yield f"**What drives {manifest.get('explained') or run.winner}?**{verdict}"
    yield from said
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
    if str(row.get("positional")) == "True":
        words += f", bound to its place: {from_end(row):.0f} bp before the last base"
    return f"{words})"


def from_end(row: Mapping[str, Any]) -> float:
    """Return how far before the last base a motif gathers, bp; where that is not known, its median distance."""
    gathered = row.get("mode_from_end")
    return float(row["median_from_end"] if gathered is None or pd.isna(gathered) else gathered)


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
    yield str(explanation.facts("loci").get("sentence") or f"{len(used):,} of {len(blocks):,} LD blocks pass decoys.")
    if len(used):
        yield f"Those that the model uses most are led by {', '.join(f'`{name}`' for name in used['lead'].head(TOP))}."


def _variant(row: Mapping[str, Any]) -> str:
    known = str(row["chromosome"]) and pd.notna(row["position"]) and int(row["position"]) >= 0
    return f"`{row['id']}`" + (f" ({row['chromosome']}:{int(row['position'])})" if known else "")


def _pairs(explanation: ExplanationFiles) -> Iterator[str]:
    table = explanation.table("interactions")
    if table is None or "q" not in table:
        return
    sure = table[table["q"] < 0.05]
    if sure.empty:
        yield f"Of {len(table):,} pairs that were listed none acts together beyond chance (q < 0.05)."
        return
    named = ", ".join(
        f"`{row['name_a']}` with `{row['name_b']}` ({row['interaction']:+.2g})"
        for row in sure.head(FEW).to_dict("records")
    )
    yield f"Pairs that act together beyond the sum of both (q < 0.05): {len(sure):,}, the strongest {named}."
    curve = explanation.facts("interactions").get("product_r2")
    if curve is not None and float(curve) >= _CURVED:
        yield (
            f"Much of this (R² {float(curve):.2f}) is what a curved scale of one sum would give, where all that has an "
            "effect interacts: it need not be a mechanism of these pairs."
        )


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
    yield from _stability(explanation.facts("stability"))
    other = explanation.facts("counterpart").get("sentence")
    if other:
        yield str(other)
    surrogate = explanation.facts("surrogate").get("r2_additive")
    if surrogate is not None:
        how = "nearly the sum of single effects" if surrogate >= ALIKE else "more than the sum of single effects"
        where = explanation.facts("surrogate").get("id", "one sequence")
        yield f"Around {where} the prediction is {how} (R² {surrogate:.2f})."


def _stability(facts: Mapping[str, Any]) -> Iterator[str]:
    rank = facts.get("spearman_mean")
    if rank is None:
        return
    who = (
        "the networks that the winner averages rank"
        if facts.get("source") == "members"
        else "refits of the winner rank"
    )
    words = f"How stable: {who} importance alike" if rank >= ALIKE else (
        f"**Not stable:** {who} importance differently, so single places are uncertain"
    )  # fmt: skip
    share = facts.get("top_share")
    top = f"; {float(share):.0%} of the most important tenth is the same in all" if share is not None else ""
    yield f"{words} (mean rank correlation {float(rank):.2f}{top})."


def cautions(run: RunFiles) -> Iterator[str]:
    """Yield what not to conclude."""
    if run.final is None:
        yield "Validation scores choose the winner and flatter it; only the sealed test set says how well it predicts."
    else:
        yield (
            "The interval is for new samples drawn as these were. It says nothing about other populations, "
            "environments, assays or species."
        )
        if run.final.get("interval_note"):
            yield str(run.final["interval_note"])
        r = run.final["winner"]["test"].get("pearson_r")
        if r is not None and r < WEAK:
            yield f"The winner predicts weakly (test r = {number(r)}): what it uses may be chance."
        yield "The test set was opened once. Choosing another model by its test score would make that score worthless."
    explanation = run.explanation
    if explanation is None:
        return
    what = "position or motif" if explanation.is_sequence else "variant"
    yield (
        f"Contributions say what this predictor uses, not what causes the trait: a {what} may stand for another "
        "that it goes along with."
    )
    if not explanation.is_sequence:
        yield "Neighbouring variants share importance through linkage: read a peak as a locus. Kinship leaves traces."
        if explanation.facts("loci").get("disclaimer"):
            yield str(explanation.facts("loci")["disclaimer"])
    for fallback in explanation.manifest.get("fallback_from") or []:
        yield f"The first choice of method for contributions did not apply ({fallback})."
    omitted = explanation.manifest.get("samples_left_out_to_end_in_time")
    if omitted:
        yield f"{omitted:,} samples were left out of the explanation so that it ended in time."


def left_out(run: RunFiles) -> Iterator[str]:
    """Yield which questions the explanation leaves open, and why."""
    if run.explanation is None:
        if run.final is not None:
            yield "The winner was not explained yet: `automl-pheno explain` does it."
        return
    for name, reason in run.explanation.left_out().items():
        words = PARTS.get(name, name.replace("_", " "))
        yield f"{words[:1].upper()}{words[1:]}: {reason.rstrip('.')}."


def number(value: Any) -> str:
    """Return the number with three decimals where that says enough, else three significant digits."""
    if value is None or pd.isna(value):
        return "unknown"
    known = float(value)
    if abs(known) < _NOTHING:
        return "0.000"
    return f"{known:.3f}" if 0.05 <= abs(known) < 100 or known == 0 else f"{known:.3g}"
