"""The verdict on network and baseline: from numbers, and in words that say what the numbers say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_pheno.metrics import METRICS
from automl_pheno.study.verdict import comparison_sentence, scale_sentence, verdict_of

WORDS = {"better": "is better than", "worse": "is worse than", "unclear": "is not shown to be better than"}


def old(metric, difference, low, high):
    return {
        "network": "cnn-3", "baseline": "rkhs", "metric": metric, "difference": difference, "low": low, "high": high,
        "sentence": "The network cnn-3 is not better than RKHS: what an older version wrote.",
    }  # fmt: skip


def new(metric="pearson_r", **measures):
    numbers = {name: dict(zip(("difference", "low", "high"), three, strict=True)) for name, three in measures.items()}
    return {"network": "cnn-3", "baseline": "random_forest", "metric": metric, **numbers[metric], "measures": numbers}


@pytest.mark.parametrize(
    ("metric", "difference", "low", "high", "verdict"),
    [
        ("pearson_r", 0.037, -0.003, 0.077, "unclear"),
        ("pearson_r", -0.02, -0.05, 0.01, "unclear"),
        ("pearson_r", 0.02, 0.01, 0.03, "better"),
        ("pearson_r", -0.02, -0.03, -0.01, "worse"),
        ("rmse", -0.02, -0.03, -0.01, "better"),
        ("rmse", 0.02, 0.01, 0.03, "worse"),
    ],
)
def test_an_older_final_json_has_one_measure(metric, difference, low, high, verdict):
    comparison = old(metric, difference, low, high)
    assert verdict_of(comparison) == verdict
    assert comparison_sentence(comparison) == (
        f"The network cnn-3 {WORDS[verdict]} RKHS: difference in {METRICS[metric].label} {difference:+.3f} "
        f"(95 % interval {low:+.3f} to {high:+.3f})."
    )


def test_a_network_that_ranks_better_and_is_off_in_scale_is_not_called_better():
    comparison = new(pearson_r=(0.008, 0.004, 0.012), rmse=(1.97, 1.8, 2.1))
    assert verdict_of(comparison) == "unclear"
    assert comparison_sentence(comparison) == (
        "The network cnn-3 is not shown to be better than random forest, as the measures disagree: "
        "better in Pearson r +0.008 (95 % interval +0.004 to +0.012), "
        "worse in RMSE +1.970 (95 % interval +1.800 to +2.100)."
    )


def test_better_is_better_in_rank_and_in_scale():
    comparison = new(pearson_r=(0.05, 0.01, 0.09), rmse=(-0.4, -0.6, -0.2))
    assert verdict_of(comparison) == "better"
    assert comparison_sentence(comparison) == (
        "The network cnn-3 is better than random forest: difference in Pearson r +0.050 (95 % interval +0.010 to "
        "+0.090), in RMSE -0.400 (95 % interval -0.600 to -0.200)."
    )


def test_the_metric_of_the_study_must_agree_too():
    both = {"pearson_r": (0.05, 0.01, 0.09), "rmse": (-0.4, -0.6, -0.2)}
    assert verdict_of(new("mae", **both, mae=(-0.3, -0.5, -0.1))) == "better"
    assert verdict_of(new("mae", **both, mae=(-0.3, -0.5, 0.1))) == "unclear"
    assert comparison_sentence(new("mae", **both, mae=(-0.3, -0.5, 0.1))).count("interval") == 3


def test_numbers_that_are_not_known_show_nothing():
    comparison = new(pearson_r=(0.05, None, None), rmse=(None, None, None))
    assert verdict_of(comparison) == "unclear"
    assert comparison_sentence(comparison).endswith("in Pearson r +0.050 (interval unknown), in RMSE unknown.")
    assert verdict_of(old("pearson_r", math.nan, math.nan, math.nan)) == "unclear"


def test_a_difference_that_counts_is_never_written_as_none():
    sentence = comparison_sentence(old("rmse", -0.00002, -0.00004, -0.00001))
    assert "is better than" in sentence
    assert "-2e-05 (95 % interval -4e-05 to -1e-05)" in sentence
    assert "+12,346 (95 % interval +9,000.0" not in (large := comparison_sentence(old("rmse", 12345.6, 9000, 2e4)))
    assert "RMSE +12,346 (95 % interval +9,000 to +20,000)" in large


bounds = st.tuples(*[st.floats(-5, 5)] * 3).map(lambda three: (sorted(three)[1], sorted(three)[0], sorted(three)[2]))


@given(st.dictionaries(st.sampled_from(list(METRICS)), bounds, min_size=1), st.data())
def test_the_words_say_what_the_numbers_say(measures, data):
    comparison = new(data.draw(st.sampled_from(list(measures))), **measures)
    good = [low > 0 if METRICS[name].higher_is_better else high < 0 for name, (_, low, high) in measures.items()]
    bad = [high < 0 if METRICS[name].higher_is_better else low > 0 for name, (_, low, high) in measures.items()]
    expected = "better" if all(good) else "worse" if all(bad) else "unclear"
    sentence = comparison_sentence(comparison)
    assert verdict_of(comparison) == expected
    assert [words for words in WORDS.values() if words in sentence] == [WORDS[expected]]
    assert ("disagree" in sentence) == (any(good) and any(bad))


@given(st.tuples(*[st.floats(-3, 3, allow_subnormal=False)] * 3).map(sorted), st.booleans())
def test_a_scale_that_is_off_is_said_where_its_interval_lacks_one(bounds, known):
    low, slope, high = bounds
    entry = {"name": "cnn-3", "calibration": {"slope": slope, "slope_low": low, "slope_high": high} if known else None}
    sentence = scale_sentence(entry)
    assert bool(sentence) == (known and not low <= 1 <= high)
    if sentence:
        assert ("differ less than" in sentence) == (low > 1)
        assert f"{slope:.2f} (95 % interval {low:.2f} to {high:.2f})" in sentence


def test_a_scale_that_is_not_known_is_not_off():
    assert scale_sentence({"name": "mean", "calibration": {"slope": None, "slope_low": None, "slope_high": None}}) == ""
