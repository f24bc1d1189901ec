"""The parts of the report that are not about contributions: HTML from run files."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from automl_pheno.report import html, sentences, split_sections
from automl_pheno.report.html import Markup, Tone
from automl_pheno.report.prediction_figures import calibration_slope
from automl_pheno.report.read import RunFiles
from automl_pheno.report.sentences import number
from automl_pheno.report.summary import files_of, tried
from automl_pheno.study.choice import choice_sentence

Cell = tuple[object, object]
REPORT = "report.html"


def opening(run: RunFiles) -> Markup:
    """Return the answer in plain words, and what not to conclude."""
    paragraphs = sentences.answer(run)
    if run.card is not None:
        paragraphs.append(" ".join(sentences.split(run.card)))
    why, *what = [*sentences.drivers(run)] or [""]
    body = html.join(html.tag("p", html.inline(line)) for line in (*paragraphs, why) if line)
    body = html.join([body, html.bullets(html.inline(line) for line in what) if what else ""])
    tone = _tone(run)
    box = Markup(f'<div class="answer {tone}">{body}</div>')
    cautions = html.bullets(html.inline(line) for line in sentences.cautions(run))
    return html.join([box, html.tag("h3", "What not to conclude"), cautions])


def _tone(run: RunFiles) -> Tone:
    comparison = (run.final or {}).get("comparison")
    if run.winner is None:
        return "bad"
    if comparison is None:
        return "quiet"
    return "good" if sentences.is_better(comparison) else "watch"


def leaderboard(run: RunFiles) -> Iterator[Markup]:
    """Yield the leaderboard: what decides, and folded, with all metrics and parameters."""
    table, name, label = run.leaderboard, run.metric.name, run.metric.label
    tested = f"test_{name}" in table and bool(table[f"test_{name}"].notna().any())
    header = ["rank", "name", "kind", "state", f"validation {label}", "± sd"]
    header += [f"test {label}", "95 % interval"] if tested else []
    header += ["weights", "epochs", "seconds"]
    rows = []
    for row in table.to_dict("records"):
        cells = [_whole(row["rank"]), _text(row["name"]), _text(row["kind"]), _text(row["state"])]
        cells += [_score(row[f"val_{name}"]), _score(row["val_sd"])]
        if tested:
            low, high = row["test_low"], row["test_high"]
            interval = f"{number(low)} to {number(high)}" if pd.notna(low) else ""
            cells += [_score(row[f"test_{name}"]), (interval, low if pd.notna(low) else None)]
        rows.append([*cells, _whole(row["weights"]), _whole(row["epochs"]), _seconds(row["seconds"])])
    numeric = {0, *range(4, len(header))} - ({7} if tested else set())
    caption = "Networks and baselines, best first"
    yield html.tag("p", html.inline(f"{tried(run)} Choose a heading to sort by it; the test decided nothing."))
    if choice := (run.final or {}).get("choice"):
        yield html.tag("p", choice_sentence(choice, name))
    yield html.sortable(header, rows, numeric=numeric, caption=caption)
    yield from _all_columns(run)


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
    header = ["finalist", "kind", *(m.replace("_", " ") for m in metrics)]
    yield html.sortable(header, rows, numeric=range(2, len(header)), caption="Finalists on the test set")
    name = str(run.final["winner"]["name"])
    if run.predictions is None or name not in run.predictions:
        return
    both = run.predictions[["observed", name]].dropna()
    slope = calibration_slope(both["observed"].to_numpy(dtype=float), both[name].to_numpy(dtype=float))
    if slope is not None:
        spread = float((both["observed"] - both[name]).std())
        yield html.tag(
            "p",
            f"Half of the predictions of {name} are within {_half(both, name):.3g} of what was observed (sd of "
            f"residuals {spread:.3g}); observed values rise by {slope:.2f} for each 1 that predictions rise.",
        )


def _half(both: pd.DataFrame, name: str) -> float:
    return float((both["observed"] - both[name]).abs().median())


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
    """Yield what the search did and which parameters mattered."""
    table = run.parameters
    complete = sum(record.state == "complete" for record in run.networks)
    if table is None or table.empty:
        if run.networks:
            yield html.tag(
                "p",
                f"With {complete} complete network{'' if complete == 1 else 's'} it cannot be told which parameters "
                "mattered: that takes at least 8.",
            )
        return
    sure = [row["path"] for row in table.to_dict("records") if row["importance"] > row.get("chance", 0.0)]
    named = html.join((html.tag("code", name) for name in sure[:6]), ", ")
    if sure:
        yield html.tag("p", Markup(f"Parameters that mattered beyond what shuffled scores give: {named}."))
    else:
        yield html.tag("p", f"With {complete} trials no parameter stands out from what shuffled scores give.")


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
