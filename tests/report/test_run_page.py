"""The report of a run: the answer first, every part that the run has, nothing from the network, words by the units."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_pheno.errors import StudyError
from automl_pheno.report import FIGURES, html, read_run, write_report
from automl_pheno.report.read import read_table
from automl_pheno.report.run_page import report_page
from automl_pheno.report.write import Drawn, draw_figures

MakeRun = Callable[..., Path]
VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """Checks the nesting; collects text, ids, links and the cells of tables."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.keys: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        known = dict(attrs)
        if "id" in known:
            assert known["id"] not in self.ids
            self.ids.add(known["id"])
        if tag == "a":
            self.links.append(known["href"])
        if tag == "img":
            self.images.append(known)
        if "data-sort" in known:
            self.keys.append(known["data-sort"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def read(path: Path) -> tuple[Page, str]:
    source = path.read_text()
    page = Page()
    page.feed(source)
    assert page.open == []
    outside = re.sub(r"base64,[^\"]+", "", source)
    assert not re.search(r"https?://|<link|url\(|@import|src=\"(?!data:)", outside)
    assert "could not be drawn" not in source
    return page, " ".join(" ".join(page.text).split())


def without_figures(run: Path) -> str:
    """Return the text of the page without figures, which take time."""
    nothing = Drawn(pictures={}, plain={}, files=(), failed={})
    (run / "report.html").write_text(report_page(read_run(run), nothing, {}))
    return read(run / "report.html")[1]


def test_the_report_of_sequences_answers_first_and_shows_every_part(sequence_report: Path) -> None:
    page, text = read(sequence_report / "report.html")
    order = [
        "The best predictor of yield is the network cnn-28", "Deep learning helped.", "How safe is the split?",
        "What drives cnn-28?", "like bZIP910", "bound to its place: 34 bp before the last base", "What not to conclude",
        "Networks and baselines", "Networks tried: 18 complete", "Observed against predicted", "Residuals of cnn-28",
        "The audit found", "How the winner learnt", "Learning curve of cnn-28", "Search history", "Score by parameter",
        "Importance of each position", "Contributions in all samples", "Motifs the predictor uses",
        "Where the motifs lie", "What a motif does by itself", "Filters of the first layer",
        "What every mutation would do", "A simple stand-in", "additive R² 0.71", "Which pairs act together?",
        "How stable is the importance?", "Loci : the samples are sequences".replace(" :", ":"),
        "automl-pheno search 'a b.yaml'", "c0ffee", "leaderboard.csv",
    ]  # fmt: skip
    place = -1
    for fragment in order:
        place = text.find(fragment, place + 1)
        assert place >= 0, fragment
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    assert "split_card.html" in page.links
    assert all(image["src"].startswith("data:image/svg+xml;base64,") and image["alt"] for image in page.images)  # type: ignore[union-attr]
    assert (sequence_report / "report.html").stat().st_size < 10_000_000


def test_the_report_of_genotypes_shows_loci_beside_association(genotype_report: Path) -> None:
    _, text = read(genotype_report / "report.html")
    for fragment in (
        "Loci used by the model, over association", "LD blocks that contribute most", "false discovery rate 10%",
        "most are led by snp40",
        "1 of 18 LD blocks is a locus used by the model", "inflation 1.04",
        "not shown to be causal", "What a change of dosage does", "All contributions are in normal scores",
        "Not stable: refits of the winner with other seeds rank importance differently",
        "Network and GBLUP agree on which LD blocks matter",
        "Motifs: motifs are of sequences", "A simple stand-in: ValueError: singular",
        "mean absolute contribution to the prediction (normal scores)",
    ):  # fmt: skip
        assert fragment in text, fragment
    assert "(phenotype units)" not in text


def test_a_network_that_does_not_win_is_the_first_sentence(make_run: MakeRun) -> None:
    text = without_figures(make_run(noise={"ridge": 1.5, "cnn-28": 1.5}, parts=False))
    body = text.split("What predicts yield", 2)[2].strip()
    assert body.startswith("The network is not shown to beat the baseline")


def test_where_a_baseline_won_the_curve_is_said_to_be_of_the_best_network(make_run: MakeRun) -> None:
    run = make_run(noise={"ridge": 0.8, "cnn-28": 1.6}, explained=False)
    write_report(run)
    _, text = read(run / "report.html")
    best = json.loads((run / "final.json").read_text())["comparison"]["network"]
    assert "The best predictor of yield is the baseline ridge" in text
    assert f"How the network {best} learnt Learning curve of {best}" in text
    assert "How the winner learnt" not in text


def test_an_older_run_is_reported_from_its_numbers(make_run: MakeRun) -> None:
    run = make_run(explained=False, noise={"ridge": 1.5, "cnn-28": 1.5})
    final = json.loads((run / "final.json").read_text())
    final["comparison"]["sentence"] = "The network cnn-28 is better than ridge, as another version put it."
    (run / "final.json").write_text(json.dumps(final))
    text = without_figures(run)
    assert "another version" not in text
    assert "Deep learning helped" not in text
    both = pd.read_csv(run / "test_predictions.csv")
    slope = np.polyfit(both[final["winner"]["name"]], both["observed"], 1)[0]
    assert f"Observed values rise by {slope:.3f}" in text
    assert "1 is calibrated" in text  # no interval, so no more than that


def test_warnings_stand_before_contributions(sequence_report: Path) -> None:
    _, text = read(sequence_report / "report.html")
    section = text.index("What drives the predictions", text.index("Score by parameter"))
    assert text.index("Read with care <b>.", section) < text.index("Importance of each position", section)


def test_html_and_markdown_say_the_same(sequence_report: Path) -> None:
    page, _ = read(sequence_report / "report.html")
    shown = "".join("".join(page.text).split())
    lines = (sequence_report / "summary.md").read_text().split("## Leaderboard")[0].splitlines()
    assert len(lines) > 20
    for line in lines:
        assert "".join(re.sub(r"\*\*|`|^- |^#+ ", "", line).split()) in shown, line


def test_a_run_that_is_not_tested_or_explained_makes_a_page(make_run: MakeRun) -> None:
    text = without_figures(make_run(tested=False, explained=False))
    assert "leads by validation so far" in text
    for absent in ("Residuals", "Motifs and filters", "What acts together", "How well it predicts Predicted"):
        assert absent not in text


def test_few_trials_give_no_importance_of_parameters_and_say_so(make_run: MakeRun) -> None:
    text = without_figures(make_run(explained=False, complete=4))
    assert "With 3 complete networks it cannot be told which parameters mattered" in text


def test_parameters_that_pass_chance_are_named(make_run: MakeRun) -> None:
    run = make_run(explained=False)
    rows = [("fit.learning_rate", 0.7, 0.2), ("trunk.0.filters", 0.3, 0.4)]
    pd.DataFrame([{"path": path, "importance": share, "method": "PED-ANOVA", "n_trials": 18, "n_present": 18,
                   "chance": chance} for path, share, chance in rows]
                 ).to_csv(run / "parameter_importance.csv", index=False)  # fmt: skip
    text = without_figures(run)
    assert "Parameters that mattered beyond what shuffled scores give: fit.learning_rate ." in text
    picture = FIGURES["parameter_importance"](read_run(run))
    assert picture is not None
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == ["trunk.0.filters", "fit.learning_rate"]


def test_dollars_and_markup_in_names_are_text(make_run: MakeRun) -> None:
    run = make_run(explained=False)
    final = json.loads((run / "final.json").read_text())
    final["trait"] = "US$ <i>per</i> $\\frac"
    (run / "final.json").write_text(json.dumps(final))
    card = json.loads((run / "split_card.json").read_text())
    (run / "split_card.json").write_text(json.dumps(card | {"trait": "yield"}))
    (run / "development.npz").unlink()
    assert "US$ <i>per</i> $\\frac" in without_figures(run)
    assert draw_figures(read_run(run)).failed == {}
    assert "<i>per" not in (run / "report.html").read_text()


def test_the_page_is_the_same_each_time(make_run: MakeRun) -> None:
    run = make_run(tested=False, explained=False)
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_a_folder_that_is_no_run_or_damaged_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    with pytest.raises(StudyError, match=r"has no leaderboard\.csv"):
        write_report(tmp_path)
    run = make_run(explained=True, parts=False)
    (run / "explain" / "importance.csv").unlink()
    with pytest.raises(StudyError, match="damaged"):
        write_report(run)


def test_tables_of_explanations_keep_names_that_look_like_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,chromosome,value,used,note\n001,01,1.5,True,\nNA,X,,False,nan\n")
    table = read_table(path)
    assert table["id"].tolist() == ["001", "NA"]
    assert table["chromosome"].tolist() == ["01", "X"]
    assert table["value"].tolist()[0] == 1.5
    assert table["value"].isna().tolist() == [False, True]
    assert table["used"].tolist() == [True, False]


# --- the pieces


def test_inline_marks_become_html_and_the_rest_is_escaped() -> None:
    assert html.inline("**a < b** and `c & d`") == "<strong>a &lt; b</strong> and <code>c &amp; d</code>"


def test_cells_keep_what_they_are_sorted_by() -> None:
    page = Page()
    page.feed(html.sortable(["n", "name"], [[("1,000", 1000), ("<x>", "<x>")], [("", None), ("b", "b")]], numeric=[0]))
    assert page.open == []
    assert page.keys == ["1000.0", "<x>", "", "b"]
    assert [text for text in page.text if text.strip()] == ["n", "name", "1,000", "<x>", "b"]
