"""Figures and summary of run folders of every kind."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from automl_pheno.errors import StudyError
from automl_pheno.metrics import METRICS
from automl_pheno.report import FIGURES, read_run, write_figures, write_summary
from automl_pheno.report.figures import leaderboard_figure, learning_curve_figure, search_history_figure
from automl_pheno.report.write import render

MakeRun = Callable[..., Path]
ALWAYS = {"leaderboard", "search_history", "learning_curve", "phenotype"}
TESTED = ALWAYS | {"predicted_observed"}
SEQUENCE = TESTED | {"importance_position", "sequence_logos", "motifs"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kind": "sequence"}, SEQUENCE),
        ({"kind": "genotype"}, TESTED | {"importance_variant"}),
        ({"tested": False, "explained": False}, ALWAYS),
    ],
)
def test_a_run_gets_the_figures_it_has_data_for(
    make_run: MakeRun, options: dict[str, object], expected: set[str]
) -> None:
    files = write_figures(make_run(**options))
    assert {path.stem for path in files} == expected
    for path in files:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
            assert path.stat().st_size > 5000
        else:
            assert ET.fromstring(path.read_text()).tag.endswith("svg")


def test_the_same_data_give_the_same_bytes(make_run: MakeRun) -> None:
    run = read_run(make_run(explained=False))
    for kind in ("png", "svg"):
        assert render(FIGURES["phenotype"](run), kind) == render(FIGURES["phenotype"](run), kind)


def test_variants_of_one_sequence_get_a_logo_by_position(make_run: MakeRun) -> None:
    figure = FIGURES["importance_position"](read_run(make_run(aligned=True, tested=False)))
    bars, logo = figure.axes
    assert len(bars.patches) == 60
    assert len(logo.patches) >= 7  # one letter a position of the motif
    assert logo.get_xlim() == bars.get_xlim()


def test_the_leaderboard_figure_shows_every_baseline_and_the_test_values(make_run: MakeRun) -> None:
    run = read_run(make_run(explained=False))
    figure = leaderboard_figure(run.leaderboard, run.metric)
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
        figure = search_history_figure(networks, METRICS[name], 0.55)
        steps = next(line for line in figure.axes[0].lines if line.get_label() == "best so far")
        values = sign * np.asarray(steps.get_ydata(), dtype=float)
        assert (np.diff(values) >= 0).all()
        assert values[-1] == max(sign * r.value for r in networks if r.state == "complete")


def test_a_curve_without_validation_is_drawn() -> None:
    figure = learning_curve_figure([{"loss": 1.0}, {"loss": 0.5}], "cnn-1", None)
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
    assert "**Deep learning did not help.**" in text
    assert text.index("is worse than ridge") < text.index("What drives")


def test_the_summary_says_when_there_is_no_difference(make_run: MakeRun) -> None:
    text = first_lines(write_summary(make_run(noise={"ridge": 1.5, "cnn-28": 1.5})))
    assert "made no difference that these data can show" in text


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
