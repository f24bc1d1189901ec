"""Figures and summary of run folders of every kind."""

from __future__ import annotations

import html
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from automl_pheno.errors import StudyError
from automl_pheno.explain.logo import draw_logo
from automl_pheno.metrics import METRICS
from automl_pheno.registry import Registry
from automl_pheno.report import FIGURES, RunFiles, read_run, write, write_figures, write_summary
from automl_pheno.report.explanation_figures import window
from automl_pheno.report.picture import PictureMaker, render
from automl_pheno.report.run_page import report_page
from automl_pheno.report.search_figures import (
    leaderboard_picture,
    learning_curve_picture,
    parting_epoch,
    search_history_picture,
)
from automl_pheno.report.write import draw_figures

MakeRun = Callable[..., Path]
ALWAYS = {"leaderboard", "search_history", "learning_curve", "parameter_slices", "phenotype"}
TESTED = ALWAYS | {"predicted_observed", "residuals"}
BOTH = TESTED | {"contribution_map", "stability", "counterpart", "epistasis", "interaction_null"}
SEQUENCE = BOTH | {
    "importance_position", "sequence_logos", "motifs", "motif_places", "motif_effects", "spacing", "filters",
    "mutagenesis", "mutation_profile", "surrogate",
}  # fmt: skip


def names(run: Path) -> set[str]:
    return {path.stem for path in (run / "figures").iterdir() if not path.stem.startswith("split_")}


def test_a_run_gets_the_figures_it_has_data_for(sequence_report: Path, genotype_report: Path) -> None:
    assert names(sequence_report) == SEQUENCE
    assert names(genotype_report) == BOTH | {"loci", "blocks", "dosage_effects"}
    for path in [*(sequence_report / "figures").iterdir(), *(genotype_report / "figures").iterdir()]:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 5000
        else:
            assert ET.fromstring(path.read_text()).tag.endswith("svg")


def test_a_run_that_is_not_explained_gets_the_others(make_run: MakeRun) -> None:
    run = make_run(tested=False, explained=False)
    files = write_figures(run)
    assert {path.stem for path in files} == names(run) == ALWAYS
    assert all(path.is_file() for path in files)


def test_without_association_variants_are_drawn_alone(make_run: MakeRun) -> None:
    run = read_run(make_run("genotype", parts=False))
    picture = FIGURES["importance_variant"](run)
    (axes,) = picture.axes
    points = axes.collections[0].get_offsets()
    assert len(points) == 90
    np.testing.assert_allclose(points[:, 1], run.explanation.importance["mean_abs"])  # type: ignore[union-attr]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "10"]  # in genome order
    assert FIGURES["loci"](run) is None


def test_the_same_data_give_the_same_bytes(make_run: MakeRun) -> None:
    run = read_run(make_run(explained=False))
    first, second = (render(FIGURES["phenotype"](run)) for _ in range(2))
    assert (first.plain, first.svg, first.png) == (second.plain, second.svg, second.png)


def test_files_carry_title_caption_and_warning(sequence_report: Path) -> None:
    file = sequence_report / "figures" / "motifs.svg"
    text = " ".join(file.read_text().split())
    assert "Motifs the predictor uses" in text
    assert "Patterns that recur" in text
    assert "Read first: Read with care &lt;b&gt;." in text
    assert "Read first" not in (sequence_report / "figures" / "leaderboard.svg").read_text()
    view = ET.fromstring(text).attrib
    _, top, _, height = map(float, view["viewBox"].split())
    assert top < 0  # room for the title
    assert float(view["height"].removesuffix("pt")) == pytest.approx(height)


def test_a_figure_that_fails_leaves_the_others_and_is_named(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run: RunFiles) -> None:
        msg = "nothing fits"
        raise ValueError(msg)

    chosen: Registry[PictureMaker] = Registry("figure")
    chosen.add("phenotype")(FIGURES["phenotype"])
    chosen.add("residuals")(fail)
    monkeypatch.setattr(write, "FIGURES", chosen)
    run = make_run(explained=False)
    drawn = draw_figures(read_run(run))
    assert drawn.failed == {"residuals": "ValueError: nothing fits"}
    assert set(drawn.pictures) == {"phenotype"}
    assert "The figure 'residuals' could not be drawn (ValueError: nothing fits)" in html.unescape(
        report_page(read_run(run), drawn, {})
    )


def test_variants_of_one_sequence_get_a_logo_by_position(make_run: MakeRun) -> None:
    picture = FIGURES["importance_position"](read_run(make_run(aligned=True, tested=False)))
    bars, logo = picture.axes
    assert len(bars.patches) == 60
    assert {patch.get_label() for patch in logo.patches} <= set("ACGT")
    assert logo.get_xlim() == bars.get_xlim()


def test_letters_fill_their_heights_and_negative_ones_hang() -> None:
    heights = np.zeros((4, 3))
    heights[:, 0] = [1.0, 2.0, -0.5, 0.0]  # the smaller letter stands nearer to the line
    heights[2, 2] = -3.0
    axes = Figure().subplots()
    draw_logo(axes, heights, first=5)
    boxes = {patch.get_label(): patch.get_path().get_extents() for patch in axes.patches}
    assert (boxes["A"].y0, boxes["A"].y1) == pytest.approx((0.0, 1.0))
    assert (boxes["C"].y0, boxes["C"].y1) == pytest.approx((1.0, 3.0))
    assert (boxes["G"].y0, boxes["G"].y1) == pytest.approx((-3.0, 0.0))
    assert (boxes["G"].x0, boxes["G"].x1) == pytest.approx((4.52, 7.48))
    assert "T" not in boxes


def test_the_window_holds_most_weight() -> None:
    weights = np.zeros(50)
    weights[[20, 24]] = 1.0
    inside = window(weights, 10)
    assert inside.start <= 20
    assert inside.stop > 24
    assert inside.stop - inside.start == 10
    assert window(weights, 60) == slice(0, 50)


def curve(train: list[float], validation: list[float]) -> list[dict[str, float]]:
    return [{"loss": a, "val_loss": b} for a, b in zip(train, validation, strict=True)]


def test_the_point_where_train_and_validation_part() -> None:
    epochs = np.arange(1, 41)
    train = (1.0 / epochs).tolist()
    parts = np.where(epochs < 15, 2.0 - epochs / 15, 1.0 + (epochs - 15) * 0.05).tolist()
    found = parting_epoch(curve(train, parts))
    assert found is not None
    assert abs(found - 15) <= 2
    assert parting_epoch(curve(train, (1.0 + 1.0 / epochs).tolist())) in range(20, 39)
    together = np.linspace(2.0, 0.5, 40).tolist()
    assert parting_epoch(curve(together, together)) is None
    stopped = [1.0] * 40  # neither falls any more
    assert parting_epoch(curve(stopped, stopped)) is None
    assert parting_epoch([{"loss": 1.0}] * 9) is None


def test_the_leaderboard_figure_shows_every_baseline_and_the_test_values(make_run: MakeRun) -> None:
    run = read_run(make_run(explained=False))
    figure = leaderboard_picture(run.leaderboard, run.metric)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"ridge", "random forest", "mean"} <= set(labels)
    assert sum(label.startswith("cnn") for label in labels) == 8
    drawn = np.concatenate([line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "D"])
    known = run.leaderboard["test_pearson_r"].dropna()
    assert set(np.round(drawn, 9)) <= set(np.round(known, 9))
    assert len(drawn) >= 3


def test_the_search_history_never_gets_worse(make_run: MakeRun) -> None:
    run = read_run(make_run(explained=False))
    networks = [record for record in run.records if record.kind == "network"]
    for name, sign in (("pearson_r", 1.0), ("rmse", -1.0)):
        figure = search_history_picture(networks, METRICS[name], 0.55)
        steps = next(line for line in figure.axes[0].lines if line.get_label() == "best so far")
        values = sign * np.asarray(steps.get_ydata(), dtype=float)
        assert (np.diff(values) >= 0).all()
        assert values[-1] == max(sign * r.value for r in networks if r.state == "complete")


def test_a_curve_without_validation_is_drawn() -> None:
    figure = learning_curve_picture([{"loss": 1.0}, {"loss": 0.5}], "cnn-1", None)
    assert [line.get_label() for line in figure.axes[0].lines] == ["training"]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    with pytest.raises(StudyError, match=r"has no leaderboard\.csv"):
        write_figures(tmp_path)
    run = make_run(explained=False)
    (run / "final.json").write_text("{")
    with pytest.raises(StudyError, match="damaged"):
        write_summary(run)


def first_lines(path: Path) -> str:
    return path.read_text().split("## What not to conclude")[0]


def test_the_summary_opens_with_the_answer(make_run: MakeRun) -> None:
    run = make_run()
    text = first_lines(write_summary(run))
    final = read_run(run).final
    assert final is not None
    assert text.startswith("# What predicts yield\n\n**The best predictor of yield is the network cnn-28**")
    assert f"Pearson r **{final['winner']['test']['pearson_r']:.3f}**" in text
    assert f"{final['winner']['low']:.3f} to {final['winner']['high']:.3f}" in text
    assert "**Deep learning helped.**" in text
    assert "**How safe is the split?** Leakage-free at" in text
    assert "ATGACGT" in text


def test_the_summary_says_when_deep_learning_does_not_help(make_run: MakeRun) -> None:
    text = first_lines(write_summary(make_run(noise={"ridge": 0.8, "cnn-28": 1.6})))
    assert "is the baseline ridge**" in text
    first = text.split("\n")[2]
    assert first.startswith("**The network does not beat the baseline: deep learning did not help.**")
    assert "is worse than ridge" in first


def test_the_summary_says_when_there_is_no_difference(make_run: MakeRun) -> None:
    text = first_lines(write_summary(make_run(noise={"ridge": 1.5, "cnn-28": 1.5})))
    assert text.split("\n")[2].startswith("**The network is not shown to beat the baseline: deep learning")


def test_a_weak_winner_and_a_sealed_test_are_said(make_run: MakeRun) -> None:
    run = make_run(noise={"cnn-28": 40.0, "ridge": 50.0})
    assert "predicts weakly" in write_summary(run).read_text()
    shutil.rmtree(run)
    text = write_summary(make_run(tested=False, explained=False)).read_text()
    assert "leads by validation so far" in text
    assert "still sealed" in text
    assert "| rank | name | kind | validation Pearson r | weights | seconds |" in text


def test_the_summary_names_loci(make_run: MakeRun) -> None:
    text = write_summary(make_run("genotype")).read_text()
    assert "largest mean contribution are `snp40` (2:10005)" in text
    assert "read a peak as a locus" in text


def test_the_table_has_all_baselines_and_counts_the_networks(make_run: MakeRun) -> None:
    text = write_summary(make_run(explained=False)).read_text()
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert sum("baseline" in line for line in table) == 3
    assert "Networks tried: 18 complete, 6 pruned, 6 failed." in text
