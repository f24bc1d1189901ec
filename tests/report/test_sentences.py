"""Each sentence of a report agrees with the number it is about, whatever these are: on random runs.

What is right is worked out here from the files alone, by other code than that of the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_runs import BASELINES, random_runs

from automl_pheno.metrics import METRICS
from automl_pheno.report import RunFiles, html
from automl_pheno.report.run_page import report_page
from automl_pheno.report.search_figures import learning_caption
from automl_pheno.report.summary import summary_lines
from automl_pheno.report.write import Drawn


@dataclass(frozen=True, kw_only=True)
class Words:
    """Of a run: its summary, that without the leaderboard, and its page without figures, tags and white space."""

    whole: str
    prose: str
    page: str


Check = Callable[[RunFiles, Words], None]
CHECKS: list[Check] = []


def check(one: Check) -> Check:
    CHECKS.append(one)
    return one


def words_of(run: RunFiles) -> Words:
    whole = "\n".join(summary_lines(run))
    curve = {} if run.trained() is None else {"learning_curve": SimpleNamespace(title="", caption="", inches=5.0)}
    drawn = Drawn(pictures=curve, plain=dict.fromkeys(curve, b""), files=(), failed={})  # type: ignore[arg-type]
    body = report_page(run, drawn, {}).split("<body>")[1]
    return Words(whole=whole, prose=whole.split("## Leaderboard")[0], page=squeezed(re.sub(r"<[^>]+>", "", body)))


def squeezed(text: str) -> str:
    for mark, letter in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"), ("&amp;", "&")):
        text = text.replace(mark, letter)
    return "".join(text.split())


def signed(name: str, low: float, high: float) -> tuple[float, float]:
    """Return an interval of a difference so that above 0 is better."""
    return (low, high) if METRICS[name].higher_is_better else (-high, -low)


def oracle_verdict(comparison: Mapping[str, Any]) -> str:
    measures = comparison.get("measures") or {comparison["metric"]: comparison}
    bounds = [signed(name, one["low"], one["high"]) for name, one in measures.items()]
    if all(low > 0 for low, _ in bounds):
        return "better"
    return "worse" if all(high < 0 for _, high in bounds) else "unclear"


def is_near(shown: str, value: float) -> bool:
    """Tell whether a number in a text is `value`, rounded to the digits that are shown."""
    digits = len(shown.partition(".")[2])
    return abs(float(shown.replace(",", "")) - value) <= 0.5000001 * 10.0**-digits + 1e-9


def numbers_in(value: Any) -> Iterator[float]:
    """Yield every number in files, however deep."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from numbers_in(one)
    elif isinstance(value, pd.DataFrame):
        for name in value.select_dtypes("number"):
            yield from value[name].dropna().astype(float)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for one in value:
            yield from numbers_in(one)


def derived(run: RunFiles) -> Iterator[float]:
    """Yield what may be worked out from the numbers of the files: shares and errors."""
    explanation = run.explanation
    if explanation is not None:
        size = np.sort(explanation.importance["mean_abs"].to_numpy())[::-1]
        yield 100 * float(size[:8].sum() / size.sum())
        error = explanation.manifest["completeness_error"]
        yield 100 * error["max"] / error["prediction_spread"]
    if run.predictions is not None:
        for name in run.predictions.columns[2:]:
            observed, predicted = run.predictions["observed"], run.predictions[name]
            residual = observed - predicted
            yield from (float(residual.abs().median()), float(residual.std()))
            if predicted.std() > 0:
                slope, intercept = np.polyfit(predicted, observed, 1)
                yield from (float(slope), float(intercept))


# --- numbers


@check
def each_number_of_the_text_is_one_of_the_files(run: RunFiles, words: Words) -> None:
    explanation = run.explanation
    files: list[Any] = [run.final or {}, run.card or {}, run.leaderboard]
    if explanation is not None:
        files += [explanation.manifest, *explanation.tables.values()]
    known = np.array([*numbers_in(files), *derived(run)])
    known = np.concatenate([known, 100 * known, -known])
    known = known[np.isfinite(known)]
    for line in words.whole.splitlines():
        for shown in re.findall(r"(?<![\w.])-?\d[\d,]*\.\d+(?!\w)", line):
            assert any(is_near(shown, value) for value in known), (shown, line)


@check
def what_stands_on_the_page_stands_in_the_summary(run: RunFiles, words: Words) -> None:
    for line in words.prose.splitlines():
        assert squeezed(re.sub(r"\*\*|`|^- |^#+ ", "", line)) in words.page, line
    for row in words.whole.splitlines():
        if row.startswith("| ") and not row.startswith("| rank"):
            for cell in row.strip("| ").split(" | ")[1:-2]:
                assert squeezed(cell.partition(" ± ")[0]) in words.page, row


@check
def the_winner_is_named_with_its_own_numbers(run: RunFiles, words: Words) -> None:
    text = words.prose
    if run.final is None:
        assert "opened once" not in text
        return
    winner = run.final["winner"]
    found = re.search(r"(?:best predictor of|winner for) height is the (\w+) (\w+)\*\*, .*?\(.*? (-?[\d.e+-]+)", text)
    assert found is not None
    assert (found[1], found[2]) == (winner["kind"], winner["name"])
    assert abs(float(found[3]) - winner["validation"]) <= 0.000501 + 0.005 * abs(winner["validation"])
    assert ("over all held-out samples at once" in text) == bool(run.final.get("pooled"))
    if not winner["test"]:
        assert "It was not tested: 2 test samples are too few." in text
        assert "sealed test set" not in text
        assert "was opened once" not in text
        return
    score = re.search(r"it reaches .*? \*\*(-?[\d.e+-]+)\*\*", text)
    assert score is not None
    truth = winner["test"][run.metric.name]
    assert abs(float(score[1]) - truth) <= 0.000501 + 0.005 * abs(truth)
    assert ("R² is below 0" in text) == (winner["test"]["r2"] < 0)
    assert ("95 % interval" in text.split("it reaches")[1].split("\n")[0].split("Observed values")[0]) == (
        winner["low"] is not None
    )


@check
def weights_are_those_of_the_final_file(run: RunFiles, words: Words) -> None:
    if run.final is None:
        return
    rows = {row.split(" | ")[1]: row for row in words.whole.splitlines() if row.startswith("| ")}
    for entry in run.final["finalists"]:
        assert f"| {entry['weights']:,} |" in rows[entry["name"]]


# --- words


@check
def the_verdict_follows_from_every_measure_and_never_from_a_sentence(run: RunFiles, words: Words) -> None:
    text = words.prose
    comparison = (run.final or {}).get("comparison")
    verdict = None if comparison is None else oracle_verdict(comparison)
    assert ("**Deep learning helped.**" in text) == (verdict == "better")
    assert ("deep learning did not help" in text) == (verdict == "worse")
    assert ("is not shown to beat the baseline" in text) == (verdict == "unclear")
    assert " is not better than " not in text
    # the card quotes itself; a stale verdict must not be
    assert "a sentence of another day" not in text.replace(str((run.card or {}).get("statement")), "")


@check
def a_winner_is_called_the_best_only_where_nothing_objects(run: RunFiles, words: Words) -> None:
    if run.final is None:
        return
    text, final = words.prose, run.final
    kind, comparison = final["winner"]["kind"], final["comparison"]
    verdict = None if comparison is None else oracle_verdict(comparison)
    objects = verdict in ("worse", "unclear") if kind == "network" else verdict == "better"
    tied = bool(final.get("tied_with"))
    assert ("The best predictor of" in text) == (not tied and not objects)
    assert ("Validation does not single it out" in text) == tied
    for name in final.get("tied_with", ()):
        assert name in text or final["tie_note"] in text
    choice = final.get("choice") or {"network": "", "best": ""}
    stands_in = choice["network"] == final["winner"]["name"] and choice["best"] != choice["network"]
    assert (f"It is the hand-made configuration: {choice['best']} is better" in text) == stands_in
    if choice.get("standard_error") is not None:
        compared = f"{choice['of_best']:.3f} against {choice['of_default']:.3f} of the hand-made configuration"
        assert compared in words.page
        assert f"({choice['standard_error']:.3f})" in words.page
    contradicted = verdict == ("worse" if kind == "network" else "better")
    assert ("on the test set the best" in text) == contradicted


@check
def the_scale_of_predictions_is_judged_by_the_interval_of_the_slope(run: RunFiles, words: Words) -> None:
    text = words.prose
    if run.final is None or not run.final["winner"]["test"]:
        assert "Observed values rise" not in text
        return
    winner = run.final["winner"]
    line = winner.get("calibration")
    if line is None or line["slope"] is None:
        for words in ("close together", "far apart", "lies within the interval"):
            assert words not in text
        return
    assert ("predictions lie too close together" in text) == (line["slope_low"] > 1)
    assert ("predictions lie too far apart" in text) == (line["slope_high"] < 1)
    found = re.search(r"rise by (-?[\d.e+-]+) .*95 % interval (-?[\d.e+-]+) to (-?[\d.e+-]+); intercept", text)
    assert found is not None
    for shown, key in zip(found.groups(), ("slope", "slope_low", "slope_high"), strict=True):
        assert abs(float(shown) - line[key]) <= 0.000501


@check
def nothing_is_said_of_how_a_forest_learnt(run: RunFiles, words: Words) -> None:
    text = words.page
    if run.winner in BASELINES:
        assert "Howthewinnerlearnt" not in text
    rival = ((run.final or {}).get("comparison") or {}).get("network")
    for name in re.findall(r"Howthenetwork(net_\w)learnt", text):
        assert run.winner in BASELINES
        assert rival in (None, name)
    shown = run.trained()
    assert (shown is not None) == ("Howthewinnerlearnt" in text or "Howthenetworknet_" in text)


@check
def only_an_audit_without_a_leak_takes_the_caution_away(run: RunFiles, words: Words) -> None:
    if run.card is None:
        return
    audit = run.card.get("audit") or {}
    proven = bool(audit) and not audit["leaks"] and [c["judged"] for c in audit["checks"]] == [True]
    assert ("may still resemble training samples" in words.prose) == (not proven)


@check
def a_weak_winner_is_called_weak_once_and_no_other(run: RunFiles, words: Words) -> None:
    r = ((run.final or {}).get("winner") or {}).get("test", {}).get("pearson_r")
    assert words.prose.count("predicts weakly") == (1 if r is not None and r < 0.3 else 0)


@check
def parameters_that_matter_pass_chance(run: RunFiles, words: Words) -> None:
    text, table = words.page, run.parameters
    if table is None:
        return
    sure = table.loc[table["importance"] > table["chance"], "path"].tolist()
    said = f"Parametersthatmatteredbeyondwhatshuffledscoresgive:{','.join(sure)}."
    assert (said if sure else "With18trialsnoparameterstandsout") in text


# --- what drives it


@check
def a_motif_has_a_place_only_where_it_is_bound_and_one_place(run: RunFiles, words: Words) -> None:
    if run.explanation is None or not run.explanation.is_sequence:
        assert "bound to its place" not in words.prose
        return
    table = run.explanation.tables["motifs"]
    bound = [] if table.empty else [row for row in table.to_dict("records") if row["positional"]]
    text = words.prose
    assert text.count("bound to its place") == len(bound)
    for row in bound:
        first = row.get("anchor") == "first"
        place = f"at base {row['mode_place']:.0f}" if first else f"{row['mode_from_end']:.0f} bp before the last base"
        assert f"bound to its place: {place} with {row['share_near_mode']:.0%} of its contribution" in text
        assert squeezed(place) in words.page.split("Motifsandfilters")[-1]  # the table says the same


@check
def stability_and_sums_are_worded_by_their_numbers(run: RunFiles, words: Words) -> None:
    text, explanation = words.prose, run.explanation
    if explanation is None:
        assert "How stable" not in text
        return
    rank = explanation.facts("stability").get("spearman_mean")
    assert ("How stable:" in text) == (rank is not None and rank >= 0.8)
    assert ("**Not stable:**" in text) == (rank is not None and rank < 0.8)
    if rank is not None:
        source = explanation.facts("stability")["source"]
        assert ("that the winner averages" in text) == (source == "members")
        assert ("with other seeds" in text) == (source == "refits")
        assert ("to samples drawn anew" in text) == (source == "bootstrap")
    additive = explanation.facts("surrogate").get("r2_additive")
    assert ("nearly the sum" in text) == (additive is not None and additive >= 0.8)
    assert ("not only a sum" in text) == (additive is not None and additive < 0.8)
    error = explanation.manifest["completeness_error"]
    assert ("they add up to the predictions" in text) == (error["max"] / error["prediction_spread"] < 1e-4)


@check
def pairs_and_blocks_are_counted(run: RunFiles, words: Words) -> None:
    text, explanation = words.prose, run.explanation
    if explanation is None:
        return
    pairs = explanation.tables["interactions"]
    if len(pairs):
        sure = int((pairs["q"] <= 0.05).sum())
        assert (f"(q <= 0.05): {sure:,}, the strongest" in text) == (sure > 0)
        assert (f"Of {len(pairs)} pairs that were listed none acts together" in text) == (sure == 0)
    if not explanation.is_sequence:
        used = int(explanation.tables["blocks"]["used"].sum())
        known = explanation.facts("loci").get("used") is not None
        said = "none of the 4 LD blocks is used more" if known and not used else f"{used} of 4 LD blocks "
        assert said in text
        assert said.replace(" ", "") in words.page.split("Whatdrivesthepredictions")[-1] or not known
        assert ("Those that the model uses most" in text) == (used > 0)


@check
def of_dominance_nothing_is_said_without_heterozygotes(run: RunFiles, words: Words) -> None:
    text, explanation = words.prose, run.explanation
    facts = {} if explanation is None else explanation.facts("mutagenesis")
    if not facts:
        assert "dominance" not in text
        return
    inbred = facts["highest_dosage"] > 1 and facts["heterozygosity"] <= 0.25 * facts["expected_heterozygosity"]
    assert ("These are inbred lines" in text) == inbred
    known = facts["highest_dosage"] > 1 and facts["variants_with_dominance"] > 0
    assert ("Dominance is given for" in text) == (known and not inbred)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(random_runs())
def test_every_sentence_agrees_with_the_numbers_of_the_run(run: RunFiles) -> None:
    words = words_of(run)
    for one in CHECKS:
        one(run, words)


@given(st.none() | st.integers(1, 99), st.none() | st.integers(1, 99), st.integers(1, 9))
def test_the_caption_of_a_learning_curve_says_which_epochs_and_folds(
    parted: int | None, best: int | None, folds: int
) -> None:
    said = learning_caption(parted, best, folds=folds)
    assert ("Grey" in said) == (parted is not None)
    assert parted is None or f"from epoch {parted} on" in said
    assert ("Dotted" in said) == (best is not None)
    assert (f"in the first of {folds} folds" in said) == (folds > 1)
    assert ("median of the epochs" in said) == (folds > 1 and best is not None)


def test_markup_of_the_summary_is_that_of_the_page() -> None:
    assert html.inline("**a** `b`") == "<strong>a</strong> <code>b</code>"
