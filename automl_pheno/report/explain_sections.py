"""The tables and sentences of the report that stand beside pictures of contributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from automl_pheno.explain.motifs.places import place_words
from automl_pheno.report import driver_sentences, html, sentences
from automl_pheno.report.html import Markup
from automl_pheno.report.motif_figures import matched_names, most_needed
from automl_pheno.report.read import ExplanationFiles, RunFiles

MOST = 15
Cell = tuple[object, object]


def warnings(run: RunFiles) -> Iterator[Markup]:
    """Yield what must be read with every contribution, in a box; nothing where there is no warning."""
    if run.explanation is not None and run.warnings:
        yield html.answer("bad", "Read this before the contributions", run.warnings)


def left_out(run: RunFiles) -> Iterator[Markup]:
    """Yield which questions stay open and why."""
    lines = [html.inline(line) for line in sentences.left_out(run)]
    if lines:
        yield html.tag("h3", "What is left open")
        yield html.bullets(lines)


def importance(explanation: ExplanationFiles) -> Iterator[Markup]:
    """Yield the places with the largest mean contribution as a table."""
    top = explanation.importance.sort_values("mean_abs", ascending=False, kind="stable").head(MOST)
    if explanation.is_sequence:
        columns = {"position": _whole, "mean_abs": _number, "mean_signed": _number}
        columns |= dict.fromkeys("ACGT", _number)
        names = {"mean_abs": "mean |contribution|", "mean_signed": "mean contribution"}
    else:
        columns = {"id": _text, "chromosome": _text, "position": _whole, "mean_abs": _number, "dosage_slope": _number}
        names = {"mean_abs": "mean |contribution|", "dosage_slope": "per alternative allele"}
    inner = _table(top, columns, names, "Places with the largest contributions")
    yield html.folded(f"The {len(top)} places that contribute most, as a table", inner)


def motifs(explanation: ExplanationFiles) -> Iterator[Markup]:
    """Yield motifs with what is known of each."""
    table = explanation.table("motifs")
    if table is None:
        return
    names = matched_names(explanation, "motif")
    shown = table.head(MOST)
    shown = shown.assign(
        like=[names.get(str(motif), "") for motif in shown["motif"]],
        place=[place_words(row) or "no" for row in shown.to_dict("records")],
    )
    columns = {"motif": _text, "consensus": _code, "like": _text, "effect": _text, "mean_contribution": _number,
               "n_seqlets": _whole, "n_sequences": _whole, "place": _text, "forward_share": _share}  # fmt: skip
    titles = {"mean_contribution": "mean contribution", "n_seqlets": "places", "n_sequences": "sequences",
              "place": "bound to its place",
              "forward_share": "on the given strand"}  # fmt: skip
    if not names:
        columns.pop("like")
    yield _table(shown, columns, titles, "Motifs")


def filters(explanation: ExplanationFiles) -> Iterator[Markup]:
    """Yield the filters that matter most."""
    table = explanation.table("filters")
    if table is None:
        return
    names = matched_names(explanation, "filter")
    shown = most_needed(table).head(MOST)
    shown = shown.assign(like=[names.get(str(one), "") for one in shown["filter"]])
    columns = {"filter": _text, "consensus": _code, "like": _text, "information": _number, "nullification": _number,
               "group": _text, "group_size": _whole, "group_nullification": _number}  # fmt: skip
    titles = {"information": "bits", "nullification": "drop of R²", "group_size": "filters in group",
              "group_nullification": "drop of R², whole group"}  # fmt: skip
    yield html.folded(
        f"The {len(shown)} filters that matter most, as a table", _table(shown, columns, titles, "Filters")
    )


def pairs(explanation: ExplanationFiles) -> Iterator[Markup]:
    """Yield the pairs that interact most."""
    table = explanation.table("interactions")
    if table is None:
        return
    shown = table.sort_values("rank", kind="stable").head(MOST) if "rank" in table else table.head(MOST)
    columns = {"rank": _whole, "name_a": _text, "name_b": _text, "interaction": _number, "sd": _number, "n": _whole,
               "p": _small, "q": _small, "attribution_interaction": _number, "distance": _whole}  # fmt: skip
    titles = {"name_a": "first", "name_b": "second", "n": "backgrounds", "distance": "bp apart",
              "attribution_interaction": "by attributions"}  # fmt: skip
    yield _table(shown, columns, titles, "Pairs that act together most")


def blocks(explanation: ExplanationFiles) -> Iterator[Markup]:
    """Yield the LD blocks that contribute most, and what was tested how."""
    table = explanation.table("blocks")
    if table is None:
        return
    facts = explanation.facts("loci")
    if facts.get("how"):
        yield html.tag("p", f"{str(facts['how'])[:1].upper()}{str(facts['how'])[1:].rstrip('.')}.")
    shown = table.sort_values("mean_abs", ascending=False, kind="stable").head(MOST)
    if (shown["start"] < 0).all():  # variants without a map
        shown = shown.drop(columns=["start", "end"])
    columns = {"lead": _text, "chromosome": _text, "start": _whole, "end": _whole, "n_variants": _whole,
               "mean_abs": _number, "mean_signed": _number, "association_p": _small, "decoy_q": _small,
               "used": _yes}  # fmt: skip
    titles = {"lead": "led by", "n_variants": "variants", "mean_abs": "mean |contribution|",
              "mean_signed": "mean contribution", "association_p": "association p", "decoy_q": "q against decoys",
              "used": "used by the model"}  # fmt: skip
    yield _table(shown, columns, titles, "Blocks of linked variants")


def said_by(explanation: ExplanationFiles, *parts: str) -> Iterator[Markup]:
    """Yield the sentences with which parts describe themselves."""
    for part in parts:
        sentence = driver_sentences.loci(explanation) if part == "loci" else explanation.facts(part).get("sentence")
        if sentence:
            yield html.tag("p", str(sentence))


def _table(
    table: pd.DataFrame, columns: Mapping[str, Callable[[Any], Cell]], titles: Mapping[str, str], caption: str
) -> Markup:
    """Return the columns that the table has, sortable."""
    present = [name for name in columns if name in table and not (table[name].astype(str).isin(["", "nan"])).all()]
    rows = [[columns[name](row[name]) for name in present] for row in table.to_dict("records")]
    header = [titles.get(name, name.replace("_", " ")) for name in present]
    numeric = [i for i, name in enumerate(present) if columns[name] in (_whole, _number, _small, _share)]
    return html.sortable(header, rows, numeric=numeric, caption=caption)


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value)) or value == ""


def _text(value: Any) -> Cell:
    return ("", None) if _missing(value) else (value, value)


def _code(value: Any) -> Cell:
    return ("", None) if _missing(value) else (html.tag("code", value), value)


def _whole(value: Any) -> Cell:
    return ("", None) if _missing(value) else (f"{float(value):,.0f}", float(value))


def _number(value: Any) -> Cell:
    return ("", None) if _missing(value) else (f"{float(value):.3g}", float(value))


def _small(value: Any) -> Cell:
    return ("", None) if _missing(value) else (f"{float(value):.2g}", float(value))


def _share(value: Any) -> Cell:
    return ("", None) if _missing(value) else (f"{float(value):.0%}", float(value))


def _yes(value: Any) -> Cell:
    return ("", None) if _missing(value) else ("yes", 1) if str(value) == "True" else ("no", 0)
