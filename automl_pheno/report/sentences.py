"""The run in sentences, for ``summary.md`` and ``report.html`` alike, with ``**bold**`` and code in backticks.

Each is made from the numbers of `facts` by one function, which is tested against these numbers on random runs
(``tests/report/test_sentences.py``). What the winner uses is in `driver_sentences`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from automl_pheno.report.facts import OTHERS, Calibration, Outcome, Scale, calibration_of, is_leakage_free, outcome_of
from automl_pheno.report.read import RunFiles
from automl_pheno.study.parameters import FEWEST_TRIALS
from automl_pheno.study.verdict import comparison_sentence, weakness_warning

_NOTHING = 1e-6
"""Scores as small are 0 but for rounding."""
_SCALES: Mapping[Scale, str] = {
    "right": "1, which is calibrated, lies within the interval",
    "narrow": "more than 1, so predictions lie too close together",
    "wide": "less than 1, so predictions lie too far apart",
    "unknown": "1 is calibrated",
}
PARTS = {
    "motifs": "motifs", "modisco": "motifs by TF-MoDISco", "filters": "filters of the first layer",
    "matches": "matches with known motifs",
    "mutagenesis": "mutagenesis", "surrogate": "a simple stand-in", "interactions": "pairs that act together",
    "loci": "loci", "stability": "stability", "counterpart": "comparison with the other kind of model",
}  # fmt: skip
"""Part of an explanation -> what it is for a reader."""


def answer(run: RunFiles) -> list[str]:
    """Return the paragraphs with which a report begins; a network that does not beat the baseline is said first."""
    outcome = outcome_of(run)
    if outcome is None:
        return [leading(run.winner, run.trait)]
    won = " ".join(winner(outcome))
    if outcome.comparison is None:
        alone = "Networks and baselines were not compared: the run has only one of the two."
        return [won] if outcome.note else [won, alone]
    helped = deep_learning(outcome)
    return [won, helped] if outcome.verdict == "better" and not outcome.is_contradicted else [helped, won]


def leading(name: str | None, trait: str) -> str:
    """Return what is known before the final test."""
    if name is None:
        return "**Nothing was trained to the end**, so there is no winner; `leaderboard.csv` gives the reasons."
    return (
        f"**{name} leads by validation so far**; the test set is still sealed, so how well it predicts {trait} on new "
        "samples is not known yet."
    )


def winner(outcome: Outcome) -> Iterator[str]:
    """Yield which predictor won, among whom, and how well it does on the test set."""
    who = f"the {outcome.kind} {outcome.name}"
    pooled = " over all held-out samples at once, as folds are too small for scores of their own"
    at_once = pooled if outcome.pooled else ""
    chosen = f"chosen by validation ({outcome.metric.label} {number(outcome.validation)}{at_once})"
    if outcome.stands_alone:
        yield f"**The best predictor of {outcome.trait} is {who}**, {chosen}."
    else:
        yield f"**The winner for {outcome.trait} is {who}**, {chosen}."
    if outcome.passed_over is not None:
        best, value = outcome.passed_over
        yield (
            f"It is the hand-made configuration: {best} is better in validation ({number(value)}), but by no more than "
            "the rule of choice asks."
        )
    yield from ties(outcome)
    if outcome.score is None:
        yield f"It was not tested: {outcome.note or 'there is no test set'}."
        return
    words = [interval(outcome.low, outcome.high, "95 % interval ")]
    words.append(", ".join(f"{OTHERS[key]} {number(value)}" for key, value in outcome.others.items()))
    inside = "; ".join(word for word in words if word)
    yield (
        f"On the sealed test set ({outcome.n_test:,} samples, opened once) it reaches {outcome.metric.label} "
        f"**{number(outcome.score)}**{f' ({inside})' if inside else ''}."
    )
    if outcome.is_below_the_mean:
        yield "R² is below 0: one value for all test samples, their mean, would have smaller errors."
    if outcome.calibration is not None:
        yield scale(outcome.name, outcome.calibration)
    if outcome.is_contradicted:
        yield (
            f"Validation chose it, and on the test set the best {_other(outcome.kind)} does better; to choose by the "
            "test set now would make that score worthless."
        )


def _other(kind: str) -> str:
    return "baseline" if kind == "network" else "network"


def ties(outcome: Outcome) -> Iterator[str]:
    """Yield what the winner is worth as one: whether it is one of several that validation cannot tell apart."""
    if outcome.tied_with:
        yield "**Validation does not single it out.**"
    others = ", ".join(outcome.tied_with)
    count = len(outcome.tied_with) + 1
    known = f"{outcome.name} is one of {count} that validation cannot tell apart, with {others}." if others else ""
    if outcome.tie_note or known:
        yield outcome.tie_note or known


def deep_learning(outcome: Outcome) -> str:
    """Return whether the best network beats the best baseline."""
    sentence = comparison_sentence(outcome.comparison or {})
    if outcome.verdict == "better":
        return f"**Deep learning helped.** {sentence}"
    if outcome.verdict == "worse":
        return f"**The network does not beat the baseline: deep learning did not help.** {sentence}"
    said = "deep learning made no difference that these data can show"
    return f"**The network is not shown to beat the baseline: {said}.** {sentence}"


def scale(name: str, line: Calibration) -> str:
    """Return by how much observed values rise with the predictions of `name`."""
    slope = interval(line.slope_low, line.slope_high, "95 % interval ")
    intercept = interval(line.intercept_low, line.intercept_high, ", ")
    inside = f"{slope}{'; ' if slope else ''}intercept {number(line.intercept)}{intercept}"
    return (
        f"Observed values rise by {number(line.slope)} for each 1 that predictions of {name} rise ({inside}): "
        f"{_SCALES[line.scale]}."
    )


def errors(run: RunFiles, name: str) -> Iterator[str]:
    """Yield how far predictions of `name` are off on the test set."""
    if run.predictions is None or name not in run.predictions:
        return
    residual = (run.predictions["observed"] - run.predictions[name]).dropna()
    if len(residual) < 2:
        return
    yield (
        f"Half of the predictions of {name} are within {number(residual.abs().median())} of what was observed (sd of "
        f"residuals {number(residual.std())})."
    )
    line = calibration_of(run.final, run.predictions, name)
    if line is not None:
        yield scale(name, line)


def split(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield how safe the split is."""
    said = str(card.get("statement") or card.get("regime") or "not stated")
    sizes = ", ".join(f"{name} {size:,}" for name, size in card.get("sizes", {}).items())
    yield f"**How safe is the split?** {said[:1].upper()}{said[1:].rstrip('.')}. Sizes: {sizes}."
    if not is_leakage_free(card):
        yield (
            "Test samples may still resemble training samples; for samples unlike these the score may be lower, "
            "so read it as prediction within this collection."
        )
    for sentence in card.get("advice", ()):
        yield str(sentence)


def tried(run: RunFiles) -> str:
    """Return how many networks were tried, by state."""
    states = run.leaderboard.loc[run.leaderboard["kind"] == "network", "state"].value_counts()
    counts = ", ".join(f"{count:,} {state}" for state, count in states.items())
    return f"Networks tried: {counts or 'none'}. All of them are in `leaderboard.csv`."


def mattered(run: RunFiles) -> Iterator[str]:
    """Yield which parameters of the search mattered, from ``parameter_importance.csv``."""
    table = run.parameters
    if table is None or table.empty:
        complete = sum(record.state == "complete" for record in run.networks)
        if run.networks and complete < FEWEST_TRIALS:
            yield (
                f"With {complete} complete network{'' if complete == 1 else 's'} it cannot be told which parameters "
                f"mattered: that takes at least {FEWEST_TRIALS}."
            )
        return
    sure = [row["path"] for row in table.to_dict("records") if row["importance"] > row.get("chance", 0.0)]
    if sure:
        named = ", ".join(f"`{name}`" for name in sure[:6])
        yield f"Parameters that mattered beyond what shuffled scores give: {named}."
    else:
        trials = int(table["n_trials"].iloc[0])
        yield f"With {trials} trials no parameter stands out from what shuffled scores give."


def learning_title(run: RunFiles) -> str:
    """Return whose learning curve is shown: the winner's, or a network's where a baseline won."""
    record = run.trained()
    if record is None or record.name == run.winner:
        return "How the winner learnt"
    return f"How the network {record.name} learnt"


def cautions(run: RunFiles) -> Iterator[str]:
    """Yield what not to conclude."""
    flattered = "Validation scores choose the winner and flatter it"
    if run.final is None:
        yield f"{flattered}; only the sealed test set says how well it predicts."
    elif not run.final["winner"].get("test"):
        yield f"{flattered}, and no test set says how well it predicts new samples."
    else:
        yield (
            "The interval is for new samples drawn as these were. It says nothing about other populations, "
            "environments, assays or species."
        )
        if run.final.get("interval_note"):
            yield str(run.final["interval_note"])
        weak = weakness_warning(run.final["winner"])
        if weak and run.explanation is None:  # otherwise it stands before what the winner uses
            yield weak
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
    return f"{known:.3f}" if 0.01 <= abs(known) < 100 or known == 0 else f"{known:.3g}"


def interval(low: float | None, high: float | None, before: str = "") -> str:
    """Return an interval in words behind `before`; "" where it is not known."""
    if low is None or high is None or math.isnan(low + high):
        return ""
    return f"{before}{number(low)} to {number(high)}"


def with_interval(row: Mapping[Any, Any], name: str, bounds: str) -> str:
    """Return a number of the leaderboard with the interval of its columns ``<bounds>_low`` and ``_high``."""
    if row.get(name) is None or pd.isna(row[name]):
        return ""
    inside = interval(row.get(f"{bounds}_low"), row.get(f"{bounds}_high"))
    return f"{number(row[name])}{f' ({inside})' if inside else ''}"
