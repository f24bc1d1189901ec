"""The parts of the report that are not about contributions: HTML from run files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from automl_pheno.report import driver_sentences, html, sentences, split_sections
from automl_pheno.report.facts import metric_label, outcome_of
from automl_pheno.report.html import Markup, Tone
from automl_pheno.report.read import RunFiles
from automl_pheno.report.sentences import number, with_interval
from automl_pheno.report.summary import files_of
from automl_pheno.study.choice import choice_sentence

Cell = tuple[object, object]
REPORT = "report.html"


def opening(run: RunFiles) -> Markup:
    """Return the answer in plain words, and what not to conclude."""
    paragraphs = sentences.answer(run)
    if run.card is not None:
        paragraphs.append(" ".join(sentences.split(run.card)))
    why, *what = [*driver_sentences.drivers(run)] or [""]
    body = html.join(html.tag("p", html.inline(line)) for line in (*paragraphs, why) if line)
    body = html.join([body, html.bullets(html.inline(line) for line in what) if what else ""])
    tone = _tone(run)
    box = Markup(f'<div class="answer {tone}">{body}</div>')
    cautions = html.bullets(html.inline(line) for line in sentences.cautions(run))
    return html.join([box, html.tag("h3", "What not to conclude"), cautions])


def _tone(run: RunFiles) -> Tone:
    if run.winner is None:
        return "bad"
    outcome = outcome_of(run)
    if outcome is None or outcome.comparison is None:
        return "quiet"
    return "good" if outcome.verdict == "better" and outcome.stands_alone else "watch"


def leaderboard(run: RunFiles) -> Iterator[Markup]:
    """Yield the leaderboard: what decides, and folded, with all metrics and parameters."""
    table, name, label = run.leaderboard, run.metric.name, run.metric.label
    columns: dict[str, tuple[str, Callable[[Mapping[Any, Any]], Cell]]] = {
        "rank": ("rank", lambda row: _whole(row["rank"])),
        "name": ("name", lambda row: _text(row["name"])),
        "kind": ("kind", lambda row: _text(row["kind"])),
        "state": ("state", lambda row: _text(row["state"])),
        f"val_{name}": (f"validation {label}", lambda row: _score(row[f"val_{name}"])),
        "val_sd": ("± sd", lambda row: _score(row["val_sd"])),
        f"test_{name}": (f"test {label} (95\u00a0%)", lambda row: _interval(row, f"test_{name}", "test")),
        "test_slope": ("slope (95\u00a0%)", lambda row: _interval(row, "test_slope", "test_slope")),
        "weights": ("weights", lambda row: _whole(row["weights"])),
        "epochs": ("epochs", lambda row: _whole(row["epochs"] if row["kind"] == "network" else None)),
        "seconds": ("seconds", lambda row: _seconds(row["seconds"])),
    }
    always = {"rank", "name", "kind", "state", f"val_{name}"}
    shown = [key for key in columns if key in always or (key in table and bool(table[key].notna().any()))]
    if (table["state"] == "complete").all():
        shown.remove("state")
    rows = [[columns[key][1](row) for key in shown] for row in table.to_dict("records")]
    numeric = {i for i, key in enumerate(shown) if key not in ("name", "kind", "state")}
    caption = "Networks and baselines, best first"
    yield html.tag(
        "p", html.inline(f"{sentences.tried(run)} Choose a heading to sort by it; the test decided nothing.")
    )
    if choice := (run.final or {}).get("choice"):
        yield html.tag("p", choice_sentence(choice, name))
    if "test_slope" in shown:
        line = "Slope: of observed on predicted test samples; 1 where the scale is right."
        yield html.tag("p", line)
    yield html.sortable([columns[key][0] for key in shown], rows, numeric=numeric, caption=caption)
    yield from _all_columns(run)


def _interval(row: Mapping[Any, Any], name: str, bounds: str) -> Cell:
    return with_interval(row, name, bounds), None if pd.isna(row[name]) else float(row[name])


def _all_columns(run: RunFiles) -> Iterator[Markup]:
    """Yield other metrics and the parameters of each network."""
    table = run.leaderboard[run.leaderboard["kind"] == "network"]
    others = [
        str(n) for n in table.columns if str(n).startswith("val_") and n not in ("val_sd", f"val_{run.metric.name}")
    ]
    names = [n for n in run.parameter_names if table[n].notna().any()]
    if not len(table) or not names:
        return
    rows = []
    for row in table.to_dict("records"):
        cells = [_text(row["name"]), _score(row[f"val_{run.metric.name}"]), *(_score(row[n]) for n in others)]
        cells += [_value(row[n]) for n in names]
        rows.append([*cells, _text(row["reason"] if pd.notna(row.get("reason")) else "")])
    header = ["name", run.metric.label, *(n.removeprefix("val_").replace("_", " ") for n in others), *names, "reason"]
    inner = html.sortable(header, rows, numeric=range(1, 2 + len(others)), caption="Networks and their parameters")
    yield html.folded("All metrics and parameters of each network", inner)


def _text(value: object) -> Cell:
    return value, value


def _whole(value: Any) -> Cell:
    return ("", None) if pd.isna(value) else (f"{int(value):,}", int(value))


def _score(value: Any) -> Cell:
    return ("", None) if value is None or pd.isna(value) else (number(value), float(value))


def _seconds(value: Any) -> Cell:
    return ("", None) if pd.isna(value) else (f"{value:,.1f}", float(value))


def _value(value: Any) -> Cell:
    if value is None or pd.isna(value):
        return "", None
    if isinstance(value, float):
        return f"{value:.4g}", value
    return str(value), value


def prediction(run: RunFiles) -> Iterator[Markup]:
    """Yield scores of the finalists on the test set, and how far predictions are to be trusted."""
    if run.final is None:
        return
    tested = [one for one in run.final["finalists"] if one.get("test")]
    if not tested:
        return
    metrics = [name for name in tested[0]["test"] if any(one["test"].get(name) is not None for one in tested)]
    rows = [[_text(one["name"]), _text(one["kind"]), *(_score(one["test"].get(m)) for m in metrics)] for one in tested]
    header = ["finalist", "kind", *(metric_label(m) for m in metrics)]
    lines = [one.get("calibration") or {} for one in tested]
    for name in ("slope", "intercept") if any(line.get("slope") is not None for line in lines) else ():
        header.append(f"{name} (95\u00a0%)")
        for row, line in zip(rows, lines, strict=True):
            row.append(_interval({name: None, **line}, name, name))
    yield html.sortable(header, rows, numeric=range(2, len(header)), caption="Finalists on the test set")
    for sentence in sentences.errors(run, str(run.final["winner"]["name"])):
        yield html.tag("p", sentence)


def split_card(run: RunFiles, pictures: Mapping[str, Markup]) -> Iterator[Markup]:
    """Yield the split card in short, with a link to the whole one where it lies beside the report."""
    card = run.card
    if card is None:
        return
    yield split_sections.answer(card)
    yield split_sections.sizes(card)
    yield split_sections.cut_and_purged(card)
    if "similarity" in pictures:
        yield html.figures([pictures[name] for name in ("similarity", "comparison") if name in pictures])
    details = [split_sections.guarantees(card), *split_sections.audit(card), *split_sections.differences(card)]
    yield html.folded("What is certain, what the audit found, and whether the sides are alike", *details)
    if (run.path / "split_card.html").is_file():
        link = html.link("split_card.html", "split_card.html")
        yield html.tag("p", Markup(f"All of the card, with more figures, is in {link} beside this page."))


def search(run: RunFiles) -> Iterator[Markup]:
    """Yield which parameters mattered."""
    yield from (html.tag("p", html.inline(sentence)) for sentence in sentences.mattered(run))


def provenance(run: RunFiles) -> Iterator[Markup]:
    """Yield how to get the same again: commands, versions, seeds, hashes, method and its errors, files."""
    if run.starts:
        last = run.starts[-1]
        yield html.facts(_of_start(last))
        if len(run.starts) > 1:
            times = html.bullets(
                f"{one.get('started', '')}: {shlex.join(one.get('command', []))}" for one in run.starts
            )
            yield html.folded(f"All {len(run.starts)} starts of the search", times)
        packages = last.get("packages") or {}
        yield html.folded("Versions at the last start", html.facts((k, v) for k, v in packages.items()))
        if last.get("notes"):
            yield html.folded("Notes on the data", html.bullets(last["notes"]))
    if run.explanation is not None:
        yield html.tag("h3", "Of the explanation")
        yield html.facts(_of_explanation(run.explanation.manifest))
        versions = run.explanation.manifest.get("versions") or {}
        shown = ((name, version) for name, version in versions.items() if version)
        yield html.folded("Versions that made the explanation", html.facts(shown))
    if run.card is not None and run.card.get("sha256"):
        yield html.folded("By what the split is recognised", split_sections.identity(run.card))
    yield html.tag("h3", "Files of the run")
    yield html.facts((html.tag("code", name), html.inline(what)) for name, what in files_of(run) if name != REPORT)


def _of_start(start: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    yield "command", html.tag("code", shlex.join(map(str, start.get("command", []))))
    yield "started", start.get("started", "")
    for name, value in (start.get("seeds") or {}).items():
        yield f"seed of the {name}", value
    for name in ("commit", "python", "platform", "processor", "cpu_count"):
        if start.get(name):
            yield name.replace("_", " "), start[name]
    for name in ("data_sha256", "development_sha256"):
        if start.get(name):
            yield f"sha256 of the {name.removesuffix('_sha256')}", html.tag("code", start[name])
    for name, value in (start.get("files") or {}).items():
        yield str(name), html.tag("code", value if isinstance(value, str) else str(value))


def _of_explanation(manifest: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    yield "method", str(manifest["method"]).replace("_", " ")
    for name in ("rule", "references", "references_per_sample", "background_samples", "samples", "seed", "units"):
        if manifest.get(name) is not None:
            yield name.replace("_", " "), manifest[name]
    if manifest.get("max_abs_delta") is not None:
        yield "largest delta of a sample and a reference", f"{float(manifest['max_abs_delta']):.3g}"
    error = manifest["completeness_error"]
    largest = f"{float(error['max']):.3g}, of a spread of {float(error['prediction_spread']):.3g}"
    yield "largest gap between contributions and predictions", largest
    if manifest.get("recovery"):
        found = manifest["recovery"]
        by_chance = f"by chance {found['base_rate']:.3f}"
        yield "planted positions found", f"AUROC {found['auroc']:.3f}, AUPR {found['aupr']:.3f} ({by_chance})"
    for note in ("units_note", "curation_note"):
        if manifest.get(note):
            yield "note", manifest[note]
