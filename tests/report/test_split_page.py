"""The page of a split: plain answer first, every number of the card, nothing from the network, escaped, redrawable."""

from __future__ import annotations

import html as standard
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import StepPatch

from automl_pheno.errors import StudyError
from automl_pheno.report import html
from automl_pheno.report import split_sections as sections
from automl_pheno.report.split_figures import comparison_figure, components_figure, similarity_figure
from automl_pheno.report.split_page import write_split_page

N = 120
BARE = {"samples": False, "compared": False}  # without pictures, which take time
VOID = {"meta", "img", "br", "hr", "link"}


def card(sides: list[str], **changes: Any) -> dict[str, Any]:
    check = {"kind": "relatedness", "what": "pairs with IBS >= 0.95", "judged": True, "threshold": 0.95,
             "test": {"count": 0, "worst": 0.91, "pair": ["s1", "s2"]},
             "validation": {"count": 0, "worst": 0.93, "pair": ["s3", "s4"]}}  # fmt: skip
    ids = {"kind": "ids", "what": "ids", "judged": True, "threshold": None,
           "test": {"count": 0, "worst": None, "pair": None}, "validation": None}  # fmt: skip
    row = {"name": "phenotype", "between": ["test", "all folds"], "ks": 0.031, "chance": 0.2, "wasserstein_sd": 0.04,
           "means": [1.0, 1.1], "flag": "ok"}  # fmt: skip
    return {
        "schema": 2, "statement": "leakage-free at IBS >= 0.95: all 7,000 pairs", "regime": "relatedness kept together",
        "guarantees": {"relatedness": "every pair was compared"}, "trait": "yield", "samples": N, "groups": 100,
        "groupings": {"duplicates": N, "relatedness": N}, "largest_group": {"samples": 5, "share": 0.04},
        "sizes": dict.fromkeys(sides, 20), "shares": dict.fromkeys(sides, 0.167),
        "phenotype": {name: {"mean": 1.5, "sd": 1.0, "min": -1.0, "max": 3.0} for name in sides},
        "cut": None, "purged": {"test": {"pairs": 3, "purged": 2}, "folds": [{"pairs": 0, "purged": 0}] * 5},
        "audit": {"leaks": [], "checks": [ids, check], "library": None, "certificate": None,
                  "similarity": {"measure": "IBS", "threshold": 0.95, "leak_ratio": 0.31}},
        "distribution": {"differences": [row, {**row, "name": "PC 1", "ks": 0.42, "flag": "warn"},
                                         {"name": "allele frequency", "between": ["test", "all folds"], "ks": None,
                                          "wasserstein_sd": None, "fst": 0.072, "max_difference": 0.3,
                                          "variant": "snp7", "flag": "warn"}],
                         "missingness": {"share": 0.1, "r": 0.7, "p": 0.005, "suspect": True, "sentence": "they tell"}},
        "advice": ["Balance the populations."], "sha256": dict.fromkeys(sides, "ab" * 32), "seed": 3,
        "config": {"groups": ["relatedness"]}, "notes": ["a note"], **changes,
    }  # fmt: skip


def write(folder: Path, *, folds: bool = True, samples: bool = True, compared: bool = True, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    part = np.arange(N) % 6
    if folds:
        sets, fold = np.where(part == 5, "test", "train"), np.where(part == 5, "", part.astype(str))
        sides = [*(f"fold {k}" for k in range(5)), "test"]
    else:
        sets, fold = np.where(part == 5, "test", np.where(part == 4, "validation", "train")), np.full(N, "")
        sides = ["train", "validation", "test"]
    table = pd.DataFrame({"id": [f"s{i}" for i in range(N)], "group": range(N), "set": sets, "fold": fold})
    table.to_csv(folder / "split.csv", index=False)
    if samples:
        table = table.drop(columns="group")
        table["y"] = rng.normal(size=N)
        table["nearest_id"] = "s0"
        table["nearest_similarity"] = np.where(sets == "train", rng.uniform(0.5, 0.9, N) if folds else np.nan, 0.8)
        table["pc1"], table["pc2"] = rng.normal(size=(2, N))
        table.to_csv(folder / "split_samples.csv", index=False)
    if compared:
        rows = [("gblup", "baseline", 0.53, 0.29), ("group_mean", "detector", 0.4, 0.0)]
        pd.DataFrame([{"name": name, "kind": kind, "random": a, "random_sd": 0.05, "this_split": b,
                       "this_split_sd": 0.06, "inflation": a - b, "inflation_se": 0.03, "metric": "pearson_r",
                       "folds": 5, "note": "", "validated": 20} for name, kind, a, b in rows]
                     ).to_csv(folder / "comparison.csv", index=False)  # fmt: skip
    (folder / "split_card.json").write_text(json.dumps(card(sides, **changes)))
    return folder


class Balance(HTMLParser):
    """Collects what is wrong with the nesting, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(path: Path) -> tuple[str, str]:
    source = path.read_text()
    parser = Balance()
    parser.feed(source)
    assert parser.open == []
    return source, " ".join(" ".join(parser.text).split())


@pytest.mark.parametrize("folds", [True, False])
def test_the_page_answers_first_and_shows_every_part(tmp_path: Path, folds: bool) -> None:
    source, text = read(write_split_page(write(tmp_path, folds=folds)))
    assert text.index("The audit found no leak at the stated thresholds") < text.index("Sides")
    order = (
        "Leakage-free at IBS >= 0.95|every pair was compared|pairs with IBS >= 0.95|highest 0.93: s3 and s4|DataSAIL|"
        "phenotype|Fst 0.072|snp7|They tell|What to do|Balance the populations.|A random split flatters: gblup|"
        f"0.530 ± 0.050|group mean|a note|{'ab' * 32}"
    ).split("|")
    places = [text.index(fragment) for fragment in order]
    assert places == sorted(places)
    assert "2 samples that touch the test set are not trained on (3 pairs)" in text
    assert source.count("<figure") == 4
    assert not re.search(r"https?://(?!www\.w3\.org)|<script|<link|url\(", re.sub(r"base64,[^\"]+", "", source))


def test_figures_are_written_and_the_page_is_the_same_each_time(tmp_path: Path) -> None:
    folder = write(tmp_path)
    first = write_split_page(folder).read_bytes()
    names = {path.name for path in (folder / "figures").iterdir()}
    kinds = ("similarity", "phenotype", "components", "comparison")
    assert names == {f"split_{name}.{kind}" for name in kinds for kind in ("png", "svg")}
    for name in names:
        content = (folder / "figures" / name).read_bytes()
        assert content.startswith(b"\x89PNG") if name.endswith("png") else ET.fromstring(content).tag.endswith("svg")
    assert write_split_page(folder).read_bytes() == first


def test_a_leak_is_said_first(tmp_path: Path) -> None:
    leak = {"kind": "ids", "sentence": "3 ids across test and what is trained on, for example 's1' and 's1'"}
    audit = {**card(["test"])["audit"], "leaks": [leak]}
    _, text = read(write_split_page(write(tmp_path, **BARE, audit=audit, statement="not leakage-free: 3 ids")))
    assert text.index("Not safe: the audit found a leak") < text.index("3 ids across test") < text.index("Sides")
    assert "found no leak" not in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"judged": False}, "similarity was no criterion"),
        ({"judged": False, "test": {"count": 9, "worst": 0.99, "pair": None}}, "alike samples lie on two sides"),
    ],
)
def test_what_was_not_asked_for_is_no_promise(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    audit = card(["test"])["audit"]
    audit["checks"][1] |= change
    _, text = read(write_split_page(write(tmp_path, **BARE, audit=audit)))
    assert expected in text
    assert "found no leak" not in text
    assert "not asked for" in text


def test_libraries_and_splits_without_an_audit_are_no_promise(tmp_path: Path) -> None:
    audit = card(["test"])["audit"] | {"library": {"length": 75, "extrapolation": "unseen"}}
    _, text = read(write_split_page(write(tmp_path, **BARE, audit=audit)))
    assert "no split of it is free of similarity, but the declared extrapolation holds" in text
    _, text = read(write_split_page(write(tmp_path, **BARE, audit=None)))
    assert "there was no audit" in text


def test_a_raised_threshold_is_said(tmp_path: Path) -> None:
    facts = {"relatedness": {"threshold": 0.9}}
    _, text = read(write_split_page(write(tmp_path, **BARE, grouping_facts=facts)))
    assert "at a threshold that had to be raised" in text
    assert "raised from 0.9 to 0.95" in text
    facts = {"relatedness": {"threshold": 0.95}, "column:x": {"threshold": 0.1}}
    _, text = read(write_split_page(write(tmp_path, **BARE, grouping_facts=facts)))
    assert "had to be raised" not in text


def test_what_was_cut_and_purged_is_said(tmp_path: Path) -> None:
    cut = {"groups_cut": 2, "limit": 0.2, "largest_connected": 90}
    purged = {"test": {"pairs": 0, "purged": 0}, "validation": {"pairs": 4, "purged": 3}}
    _, text = read(write_split_page(write(tmp_path, **BARE, folds=False, cut=cut, purged=purged)))
    assert "Cut: 2 groups larger than 20% of the samples" in text
    assert "Purged: 3 samples that touch those validated on are not trained on." in text


def test_a_card_alone_makes_a_page(tmp_path: Path) -> None:
    folder = write(tmp_path, **BARE, distribution=None, advice=None, guarantees={}, purged=None)
    source, text = read(write_split_page(folder))
    assert "<figure" not in source
    for heading in ("What honesty costs", "Are the sides alike?", "What is certain"):
        assert heading not in text


def test_names_from_the_data_are_escaped(tmp_path: Path) -> None:
    source, text = read(
        write_split_page(write(tmp_path, **BARE, trait="<b>yield & 'x'", notes=["<script>alert(1)</script>"]))
    )
    assert "<script>" not in source
    assert "<b>yield" in text


@pytest.mark.parametrize("missing", ["split.csv", "split_card.json"])
def test_a_folder_without_a_split_is_refused(tmp_path: Path, missing: str) -> None:
    write(tmp_path, **BARE)
    (tmp_path / missing).unlink()
    with pytest.raises(StudyError, match=missing.replace(".", r"\.")):
        write_split_page(tmp_path)


def test_a_damaged_card_is_refused(tmp_path: Path) -> None:
    write(tmp_path, **BARE)
    (tmp_path / "split_card.json").write_text("{")
    with pytest.raises(StudyError, match="damaged"):
        write_split_page(tmp_path)


# --- the pieces


def test_markup_is_not_escaped_twice() -> None:
    inner = html.tag("b", "a < b & 'c'")
    assert inner == "<b>a &lt; b &amp; &#x27;c&#x27;</b>"
    assert html.tag("p", inner) == f"<p>{inner}</p>"
    assert standard.unescape(html.bullets(["<x>"])).count("<x>") == 1
    assert html.section("Empty", "") == ""


def test_tones_have_shapes_of_their_own() -> None:
    assert len(set(html.MARKS.values())) == len(html.MARKS)


# --- the figures


def test_similarity_is_drawn_as_shares_of_all_samples_and_unknown_ones_are_counted() -> None:
    values = np.array([0.5] * 6 + [0.7] * 2 + [np.nan] * 2)
    figure = similarity_figure({"test": values}, "identity", 0.8)
    (axes,) = figure.axes
    (stairs,) = axes.patches
    heights = stairs.get_data().values
    assert sorted(heights[heights > 0]) == pytest.approx([0.2, 0.6])
    assert axes.get_legend().get_texts()[0].get_text() == "test (8 of 10)"
    assert [line.get_xdata()[0] for line in axes.lines] == [0.8]
    low, high = axes.get_xlim()
    assert low < 0.5
    assert high > 0.8


def test_each_side_has_its_panel() -> None:
    rng = np.random.default_rng(0)
    sides = [f"fold {k}" for k in range(10)] + ["test"]
    side = np.repeat(sides, 7)
    samples = pd.DataFrame({"side": side, "pc1": rng.normal(size=77), "pc2": rng.normal(size=77)})
    figure = components_figure(samples, sides)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"{name} (7)" for name in sides]
    for name, axes in zip(sides, shown, strict=True):
        others, own = axes.collections
        assert len(others.get_offsets()) == 70
        np.testing.assert_allclose(own.get_offsets(), samples.loc[side == name, ["pc1", "pc2"]].to_numpy())


def test_a_row_without_a_score_is_left_out_of_the_comparison() -> None:
    columns = ["name", "kind", "random", "random_sd", "this_split", "this_split_sd", "metric"]
    rows = [
        ("gblup", "baseline", 0.5, 0.1, 0.3, 0.1, "pearson_r"),
        ("rkhs", "baseline", np.nan, np.nan, 0.2, 0.1, "pearson_r"),
        ("group_mean", "detector", 0.4, np.nan, 0.0, np.nan, "pearson_r"),
    ]
    table = pd.DataFrame(rows, columns=columns)
    (axes,) = comparison_figure(table).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gblup", "group mean"]


@settings(max_examples=60, deadline=None)
@given(
    test=st.integers(0, 3),
    lost=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    missed=st.integers(0, 2),
)
def test_what_is_purged_is_said_once_and_never_denied(test: int, lost: list[int], missed: int) -> None:
    where = "folds" if len(lost) > 1 else "validation"
    counted = [{"pairs": n, "purged": n} for n in lost]
    purged = {"test": {"pairs": test, "purged": test}, where: counted if len(lost) > 1 else counted[0],
              "after_audit": missed, "samples": test + missed + (lost[0] if len(lost) == 1 else 0)}  # fmt: skip
    lines = sections.cut_and_purged({"purged": purged})
    nothing = "nothing had to be" in lines
    assert nothing == (not test and not any(lost) and not missed)
    assert ("as the audit found" in lines) == bool(missed)
    assert "1 samples" not in lines
    assert ("Purged in all" in lines) == (len(lost) == 1 and bool(test + missed + lost[0]))


@pytest.mark.parametrize(("ratio", "chance", "said"), [
    (0.9, 0.895, "90.0% lies across sides (the leak ratio of DataSAIL); sides of these sizes, drawn at random, would "
     "have 89.5%"),
    (0.1, None, "10.0% lies across sides (the leak ratio of DataSAIL)."),
    (0.0, 0.9, ""),
])  # fmt: skip
def test_likeness_below_the_threshold_stands_beside_what_chance_gives(
    ratio: float, chance: float | None, said: str
) -> None:
    similarity = {"leak_ratio": ratio, "leak_ratio_by_chance": chance, "leak_ratio_from": 0.7, "measure": "identity"}
    text = sections.leak_ratio(similarity)
    assert said in text
    assert "leak" not in text.replace("the leak ratio of DataSAIL", "")
    assert bool(text) == bool(ratio)


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), threshold=st.floats(0.1, 0.9))
def test_no_bar_lies_on_both_sides_of_the_threshold(values: list[float], threshold: float) -> None:
    found = np.array(values)
    picture = similarity_figure({"test": found}, "identity", threshold)
    stairs = next(patch for patch in picture.figure.axes[0].patches if isinstance(patch, StepPatch))
    heights, edges, _ = stairs.get_data()
    right = float(heights[edges[:-1] >= threshold - 1e-9].sum()) * len(found)
    clear = found[np.abs(found - threshold) > 1e-9]
    assert (clear > threshold).sum() - 1e-6 <= right <= (clear > threshold).sum() + len(found) - len(clear) + 1e-6


def test_where_nothing_was_to_be_kept_apart_nothing_is_said_to_be() -> None:
    purged = {"test": {"pairs": 0, "purged": 0}, "validation": {"pairs": 0, "purged": 0}}
    for groupings, said in (
        ({"duplicates": 9}, "like samples were not to be kept apart"),
        ({"duplicates": 9, "similarity:0.9": 5}, "no training sample touches another side"),
    ):
        lines = sections.cut_and_purged({"purged": purged, "groupings": groupings, "samples": 9})
        assert f"Purged: nothing had to be; {said}." in lines
