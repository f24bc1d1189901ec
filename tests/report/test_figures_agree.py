"""What a figure shows and what its title, its caption and the text say are one number."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.explain.motifs.places import Places, place_words, whereabouts
from automl_pheno.explain.mutagenesis.dosages import dosage_classes, known_effects
from automl_pheno.metrics import calibration
from automl_pheno.report import FIGURES, read_run
from automl_pheno.report.driver_sentences import stability
from automl_pheno.report.explanation_figures import stability_picture
from automl_pheno.report.facts import Calibration, calibration_of
from automl_pheno.report.loci_figures import blocks_picture, miami_picture
from automl_pheno.report.motif_figures import motif_places_picture
from automl_pheno.report.mutation_figures import dosage_effects_picture
from automl_pheno.report.prediction_figures import predicted_observed_picture, residual_picture
from automl_pheno.report.sentences import errors


def motif(seed: int, start: np.ndarray, length: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return motifs.csv and motif_places.csv of one motif of 6 bp."""
    rng = np.random.default_rng(seed)
    n = len(start)
    places = Places(
        sample=np.arange(n), start=start, end=start + 5, forward=np.ones(n, bool), contribution=rng.gamma(2.0, size=n),
        length=length,
    )  # fmt: skip
    found = whereabouts(places, rng)
    row = {name: getattr(found, name) for name in ("positional", "anchor", "mode_place", "mode_from_end")}
    table = pd.DataFrame({"motif": 1, "start": places.start, "end": places.end, "from_end": places.from_end,
                          "contribution": places.contribution})  # fmt: skip
    return pd.DataFrame([{"motif": 1, "consensus": "TATAAA", **row}]), table


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000), at=st.integers(5, 90), spread=st.integers(0, 3), scattered=st.integers(0, 150),
    padded=st.booleans(), from_first=st.booleans(),
)  # fmt: skip
def test_the_highest_bar_stands_where_title_and_text_say(
    seed: int, at: int, spread: int, scattered: int, padded: bool, from_first: bool
) -> None:
    rng = np.random.default_rng(seed)
    length = rng.integers(100, 171, 50 + scattered) if padded else np.full(50 + scattered, 170)
    start = np.array([rng.integers(1, size - 5) for size in length])
    jitter = rng.integers(-spread, spread + 1, 50)
    start[:50] = at + jitter if from_first else length[:50] - at + jitter - 5
    start = np.clip(start, 1, length - 5)
    motifs, places = motif(seed, start, length)
    picture = motif_places_picture(places, motifs, 170)
    axes = picture.axes[0]
    words = place_words(motifs.iloc[0])
    if not motifs["positional"].iloc[0]:
        assert "bound to no place" in axes.get_title(loc="left")
        assert "No motif here is bound to a place" in picture.caption
        assert not axes.lines
        return
    assert f"bound to its place: {words}" in axes.get_title(loc="left")
    assert "No motif" not in picture.caption
    bar = max(axes.patches, key=lambda patch: patch.get_height())
    first = motifs["anchor"].iloc[0] == "first"
    named = motifs["mode_place"].iloc[0] if first else -motifs["mode_from_end"].iloc[0]
    assert bar.get_x() <= named <= bar.get_x() + bar.get_width()
    assert axes.lines[0].get_xdata()[0] == named
    assert abs(float(words.split(" bp")[0].removeprefix("at base ")) - abs(named)) <= 0.5
    drawn = sum(patch.get_height() for patch in axes.patches)
    np.testing.assert_allclose(drawn, places["contribution"].sum())  # none lies beside the axis


def dosage_effects(dosages: np.ndarray) -> pd.DataFrame:
    p = dosages.shape[1]
    table = pd.DataFrame({"id": [f"m{k}" for k in range(p)], "effect_0": -1.0, "effect_1": 0.9, "effect_2": 1.0,
                          "additive": 1.0, "dominance": 0.9})  # fmt: skip
    return known_effects(table, dosage_classes(dosages))


def test_dominance_is_drawn_of_variants_with_heterozygotes_alone() -> None:
    rng = np.random.default_rng(0)
    dosages = rng.integers(0, 3, (200, 6)).astype(np.float64)
    dosages[:, 3:] = 2 * rng.integers(0, 2, (200, 3))  # inbred at these
    picture = dosage_effects_picture(dosage_effects(dosages), "phenotype units")
    assert "Only the 3 of 6 variants with heterozygotes enough" in picture.caption
    assert len(picture.axes[0].collections[0].get_offsets()) == 3
    steps = picture.axes[1].lines
    assert sorted(len(line.get_xdata()) for line in steps) == [2, 2, 2, 3, 3, 3]  # 1 occurs in the outbred ones alone


def test_of_inbred_lines_no_dominance_is_drawn() -> None:
    rng = np.random.default_rng(1)
    dosages = 2.0 * rng.integers(0, 2, (600, 4))
    dosages[rng.random(dosages.shape) < 0.01] = 1.0  # residual heterozygosity
    table = dosage_effects(dosages)
    assert table["dominance"].isna().all()
    picture = dosage_effects_picture(table, "phenotype units")
    assert [axes.get_ylabel() for axes in picture.axes] == ["change of the mean prediction"]
    assert "Dominance is not drawn" in picture.caption


def test_of_presence_and_absence_the_step_is_from_0_to_1() -> None:
    dosages = np.random.default_rng(2).integers(0, 2, (90, 3)).astype(np.float64)
    table = dosage_effects(dosages)
    assert table["additive"].tolist() == [1.9] * 3
    for line in dosage_effects_picture(table, "phenotype units").axes[0].lines:
        assert list(line.get_xdata()) == [0, 1]


def test_the_dashed_line_is_the_slope_that_the_title_names() -> None:
    rng = np.random.default_rng(3)
    predicted = rng.normal(size=60)
    table = pd.DataFrame({"observed": 1.4 * predicted + 2.0 + rng.normal(0, 0.1, 60), "net": predicted})
    slope, intercept = np.polyfit(predicted, table["observed"], 1)
    line = calibration_of(None, table, "net")
    assert line is not None
    np.testing.assert_allclose([line.slope, line.intercept], [slope, intercept])
    np.testing.assert_allclose(calibration(table["observed"], predicted), [slope, intercept])
    axes = predicted_observed_picture(table, ["net"], "height", {"net": line}).axes[0]
    assert f"slope {slope:.2f}" in axes.get_title()
    dashed = next(one for one in axes.lines if one.get_linestyle() == "--")
    (x0, x1), (y0, y1) = dashed.get_data()
    assert abs((y1 - y0) / (x1 - x0) - slope) < 1e-9
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted height", "observed height")


def test_the_spread_of_residuals_is_the_same_in_figure_and_text(make_run: Callable[..., Path]) -> None:
    run = read_run(make_run(explained=False))
    name = run.winner
    assert name is not None
    (words, _) = errors(run, name)
    found = re.search(r"sd of residuals ([\d.]+)", words)
    picture = FIGURES["residuals"](run)
    assert found is not None
    assert picture is not None
    shown = picture.axes[1].get_title().split("sd ")[1]
    assert abs(float(shown) - float(found[1])) <= 0.005 * float(found[1])
    small = residual_picture(np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]), "net", "height")
    assert small.axes[1].get_title().split("sd ")[1] == f"{np.std([0, 0, 1, -1], ddof=1):.3g}"


@pytest.mark.parametrize("used", [False, True])
def test_loci_are_called_used_only_where_one_passes_decoys(used: bool) -> None:
    table = pd.DataFrame({"id": ["a", "b", "c"], "chromosome": "1", "position": [1, 2, 3], "block": ["0", "0", "1"],
                          "mean_abs": [0.3, 0.2, 0.1], "minus_log10_p": [2.0, 1.0, 0.5]})  # fmt: skip
    picture = miami_picture(table, {"1"} if used else set(), "phenotype units")
    assert ("Loci used by the model" in picture.title) == used
    assert ("Orange diamonds" in picture.caption) == used
    blocks = pd.DataFrame({"block": ["0", "1"], "lead": ["a", "c"], "chromosome": "1", "mean_abs": [0.5, 0.1],
                           "n_variants": [2, 1], "used": [used, False]})  # fmt: skip
    how = blocks_picture(blocks, "phenotype units", {"threshold": 0.4, "fdr": 0.1}).caption
    assert ("Orange blocks pass it" in how) == used
    assert ("No block drawn here passes it" in how) != used


@pytest.mark.parametrize(
    ("source", "words"), [("members", "averages"), ("refits", "with other seeds"), ("bootstrap", "samples drawn anew")]
)
def test_the_figure_of_stability_names_the_fits_that_the_text_names(source: str, words: str) -> None:
    facts = {"source": source, "refits": 3, "spearman_mean": 0.9, "top_share": 0.5}
    table = pd.DataFrame({"position": [1, 2, 3], "mean": [0.1, 0.2, 0.1], "sd": [0.0, 0.1, 0.0]})
    assert words in stability_picture(table, "phenotype units", facts).caption
    assert words in next(stability(facts))


def test_calibration_is_that_of_the_final_file_where_it_has_one() -> None:
    stated = {"slope": 1.3, "intercept": 0.1, "slope_low": 1.1, "slope_high": 1.5}
    final = {"finalists": [{"name": "net", "calibration": stated}]}
    table = pd.DataFrame({"observed": [1.0, 2.0, 3.0, 4.0], "net": [1.0, 2.0, 3.0, 5.0], "mean": 2.5})
    assert calibration_of(final, table, "net") == Calibration(**stated)
    assert calibration_of(None, table, "mean") is None
    assert [Calibration(**{**stated, "slope_low": low, "slope_high": high}).scale
            for low, high in ((1.1, 1.5), (0.9, 1.5), (0.2, 0.9), (None, None))
            ] == ["narrow", "right", "wide", "unknown"]  # fmt: skip
