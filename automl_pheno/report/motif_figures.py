"""Pictures of motifs and filters: their logos, where they lie, what they do, and at which distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.logo import draw_logo
from automl_pheno.explain.motifs.places import SHARP, fullest_bin, place_of, place_words
from automl_pheno.report.picture import FIGURES, Picture, new_picture
from automl_pheno.report.read import ExplanationFiles, RunFiles
from automl_pheno.report.style import (
    BASELINE,
    INK,
    LINES,
    NARROW,
    NETWORK,
    QUIET,
    SMALL,
    TEXT,
    WIDE,
    legend_above,
    tidy,
)

MOTIFS = 8
FILTERS = 12
PANELS = 6
_ACTIONS = {
    "insert": ("o", NETWORK, "put in"),
    "insert_reverse": ("s", "#56B4E9", "put in, other strand"),
    "ablate": ("X", BASELINE, "taken out"),
}


def matched_names(explanation: ExplanationFiles, kind: str) -> dict[str, str]:
    """Return the name of the best accepted match of each motif or filter in a public collection."""
    table = explanation.table("matches")
    if table is None or not {"kind", "query", "accepted"} <= set(table.columns):
        return {}
    accepted = table[(table["kind"] == kind) & (table["accepted"].astype(str) == "True")]
    order = [name for name in ("q", "p") if name in accepted]
    best = accepted.sort_values(order, kind="stable").drop_duplicates("query") if order else accepted
    return {str(row["query"]): str(row["target_name"]) for row in best.to_dict("records")}


def _channels_first(matrix: FloatArray) -> FloatArray:
    """Return (width, 4) as (4, width)."""
    return np.ascontiguousarray(np.transpose(matrix), dtype=np.float64)


@FIGURES.add("motifs")
def _motifs(run: RunFiles) -> Picture | None:
    return _found(run, "motifs", "motif", "Motifs the predictor uses")


@FIGURES.add("modisco")
def _modisco(run: RunFiles) -> Picture | None:
    return _found(run, "modisco", "modisco", "Motifs by TF-MoDISco")


def _found(run: RunFiles, part: str, kind: str, title: str) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table(part)
    if explanation is None or table is None:
        return None
    names = matched_names(explanation, kind)
    return motif_picture(table, explanation.arrays.get(part, {}), explanation.unit, names, title)


def motif_picture(
    table: pd.DataFrame, arrays: Mapping[str, npt.NDArray[Any]], unit: str, names: Mapping[str, str],
    title: str = "Motifs the predictor uses",
) -> Picture | None:  # fmt: skip
    """Return a logo of each motif found.

    Parameters
    ----------
    table
        ``motifs.csv``.
    arrays
        ``contributions_1`` ..., mean contributions, shape (width, 4).
    names
        Motif -> name of what it is like in a public collection.
    """
    shown = table[[f"contributions_{name}" in arrays for name in table["motif"]]].head(MOTIFS)
    if shown.empty:
        return None
    how = f"Patterns that recur where contributions are largest. Height of a letter: its mean contribution in {unit}; "
    how += "a motif below the line lowers the prediction. Both strands are pooled."
    if names:
        how += " After “like”: the motif of a public collection that it matches better than shuffled ones do."
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    picture = new_picture(title, how, height=0.2 + 1.55 * rows)
    panels = picture.figure.subplots(rows, columns, squeeze=False).ravel()
    widest = max(len(arrays[f"contributions_{name}"]) for name in shown["motif"])
    for axes, motif in zip(panels, shown.to_dict("records"), strict=False):
        draw_logo(axes, _channels_first(arrays[f"contributions_{motif['motif']}"]))
        tidy(axes)
        axes.set_xlim(0.5, widest + 0.5)
        axes.set_xticks([])
        like = f"\nlike {names[str(motif['motif'])]}" if str(motif["motif"]) in names else ""
        words = f"{motif['motif']}: {_short(motif['consensus'])}\n{motif['effect']} by "
        words += f"{abs(motif['mean_contribution']):.2g}, {motif['n_seqlets']:.0f} places{like}"
        axes.set_title(words, fontsize=SMALL, loc="left", color=INK)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    picture.figure.supylabel("mean contribution", fontsize=TEXT)
    return picture


def _short(text: object) -> str:
    words = str(text)
    return words if len(words) <= 18 else f"{words[:17]}…"


@FIGURES.add("motif_places")
def _motif_places(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    places = None if explanation is None else explanation.table("motif_places")
    motifs = None if explanation is None else explanation.table("motifs")
    if explanation is None or places is None or motifs is None:
        return None
    return motif_places_picture(places, motifs, int(explanation.manifest["width"]))


def motif_places_picture(places: pd.DataFrame, motifs: pd.DataFrame, length: int) -> Picture:
    """Return where the places of motifs lie; of those that are bound to a place with that place, these alone if any is.

    Parameters
    ----------
    places
        ``motif, start, end, contribution, from_end``; places from 1. An older table lacks ``from_end``.
    motifs
        ``motifs.csv``.
    length
        Of the sequences, bp.
    """
    rows = [row for row in motifs.to_dict("records") if (places["motif"] == row["motif"]).any()]
    bound = [row for row in rows if place_of(row) is not None]
    shown = (bound or rows)[:PANELS]
    anchors = [(place_of(row) or (0.0, "last"))[1] for row in shown]
    picture = new_picture(
        "Where the motifs lie", _how_places(len(bound), len(motifs)), height=0.3 + 1.6 * -(-len(shown) // 2)
    )
    columns = min(2, len(shown))
    alike = len(set(anchors)) == 1
    panels = picture.figure.subplots(-(-len(shown) // columns), columns, sharex=alike, squeeze=False).ravel()
    for axes, motif, anchor in zip(panels, shown, anchors, strict=False):
        own = places[places["motif"] == motif["motif"]]
        middle = (own["start"].to_numpy(dtype=np.float64) + own["end"].to_numpy(dtype=np.float64)) / 2
        distance = middle if anchor == "first" else own["from_end"].to_numpy() if "from_end" in own else length - middle
        contribution = own["contribution"].to_numpy(dtype=np.float64)
        first, last = fullest_bin(distance, contribution, length)
        width = last - first + 1
        edges = np.arange(first - 0.5 - width * -(-first // width), length + width, width)
        sign = 1 if anchor == "first" else -1
        tidy(axes).hist(sign * np.round(distance), bins=np.sort(sign * edges), color=NETWORK,
                        weights=np.abs(contribution))  # fmt: skip
        place = place_of(motif)
        if place is not None:
            axes.axvline(sign * place[0], color=INK, ls=":", lw=1.2)
        words = f"bound to its place: {place_words(motif)}" if place is not None else "bound to no place"
        title = f"{motif['motif']}: {_short(motif['consensus'])} ({len(own):,} places)\n{words}"
        axes.set_title(title, fontsize=SMALL, loc="left")
        axes.set_xlim((0.5, length + 0.5) if anchor == "first" else (-length, 0.5))
        if not alike:
            axes.set_xlabel(_AXES[anchor], fontsize=SMALL)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    if alike:
        picture.figure.supxlabel(_AXES[anchors[0]], fontsize=TEXT)
    picture.figure.supylabel("sum of |contribution|", fontsize=TEXT)
    return picture


_AXES = {"first": "base of the sequence", "last": "bp from the last base"}


def _how_places(bound: int, motifs: int) -> str:
    """Return how to read the figure, where `bound` of so many motifs are bound to a place."""
    how = "What the motif contributes in all sequences together by where its middle lies, in steps of "
    how += f"{2 * SHARP + 1} bp. "
    if not bound:
        return f"{how}No motif here is bound to a place: each contributes wherever it stands."
    how += "Dotted: the place to which it is bound, as a TATA box is to a distance from the start site. "
    if bound < motifs:
        how += f"Only the motifs that are bound to a place are drawn, {min(bound, PANELS)} of {motifs}."
    return how.strip()


@FIGURES.add("motif_effects")
def _motif_effects(run: RunFiles) -> Picture | None:
    """Draw what a motif does when it is put into backgrounds or taken out of sequences."""
    explanation = run.explanation
    table = None if explanation is None else explanation.table("motif_effects")
    if explanation is None or table is None:
        return None
    names = list(dict.fromkeys(table["motif"]))[: MOTIFS + 4]
    how = f"Mean change of the prediction ({explanation.unit}) when a motif is put into sequences, on either strand, "
    how += "or taken out by random bases in its place; lines: interval of the mean. An effect that needs no other "
    how += "context shows in both; one only when taken out depends on its surroundings."
    picture = new_picture("What a motif does by itself", how, height=0.8 + 0.38 * len(names))
    axes = tidy(picture.figure.subplots(), x=f"change of the prediction ({explanation.unit})")
    axes.axvline(0.0, color=INK, lw=0.8)
    for shift, (action, (marker, colour, label)) in enumerate(_ACTIONS.items()):
        part = table[(table["action"] == action) & table["motif"].isin(names)]
        if part.empty:
            continue
        place = np.array([names.index(name) for name in part["motif"]]) + 0.24 * (shift - 1)
        effect = part["effect"].to_numpy(dtype=np.float64)
        low, high = (part[name].to_numpy(dtype=np.float64) for name in ("low", "high"))
        axes.hlines(place, low, high, color=colour, lw=1.6)
        axes.plot(effect, place, marker, ms=5.5, color=colour, label=label)
    consensus = dict(zip(table["motif"], table["consensus"], strict=True))
    axes.set_yticks(range(len(names)), [f"{name}: {_short(consensus[name])}" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    legend_above(axes)
    return picture


@FIGURES.add("spacing")
def _spacing(run: RunFiles) -> Picture | None:
    """Draw the effect of two motifs against the distance between them, beside the sum of their single effects."""
    explanation = run.explanation
    table = None if explanation is None else explanation.table("spacing")
    if explanation is None or table is None:
        return None
    pairs = list(dict.fromkeys(zip(table["motif_a"], table["motif_b"], strict=True)))
    strongest = {
        pair: float((part["effect"] - part["additive"]).abs().mean())
        for pair in pairs
        for part in [table[(table["motif_a"] == pair[0]) & (table["motif_b"] == pair[1])]]
    }
    shown = sorted(pairs, key=lambda pair: -strongest[pair])[:PANELS]
    motifs = explanation.table("motifs")
    named = {} if motifs is None else dict(zip(motifs["motif"], motifs["consensus"].map(_short), strict=True))
    how = f"Change of the prediction ({explanation.unit}) when two motifs stand at this distance. Grey: the sum of "
    how += "what each does alone. A line above or below it says that they act together, and at which distance."
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    picture = new_picture("Do two motifs act together?", how, height=0.5 + 1.7 * rows)
    panels = picture.figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (a, b) in zip(panels, shown, strict=False):
        part = table[(table["motif_a"] == a) & (table["motif_b"] == b)]
        tidy(axes)
        axes.axhline(float(part["additive"].mean()), color=QUIET, lw=1.6, label="sum of both")
        for number, (order, own) in enumerate(part.groupby("order", sort=True)):
            line = own.sort_values("distance")
            axes.plot(line["distance"], line["effect"], ("-o", "--s", "-.D", ":v")[number % 4], ms=3, lw=1.4,
                      color=LINES[number % len(LINES)], label=str(order))  # fmt: skip
        axes.set_title(f"{a}: {named.get(a, '')}\n{b}: {named.get(b, '')}", fontsize=SMALL, loc="left")
        axes.legend(fontsize=SMALL - 1, frameon=False)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    picture.figure.supxlabel("bp between the motifs", fontsize=TEXT)
    picture.figure.supylabel("change", fontsize=TEXT)
    return picture


def most_needed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the most needed filter of each group, the most needed group first."""
    order = ["group_nullification", "nullification"]
    ordered: pd.DataFrame = table.sort_values(order, ascending=False, kind="stable").drop_duplicates("group")
    return ordered


@FIGURES.add("filters")
def _filters(run: RunFiles) -> Picture | None:
    """Draw the logos of the filters that matter most, as information."""
    explanation = run.explanation
    table = None if explanation is None else explanation.table("filters")
    arrays = {} if explanation is None else explanation.arrays.get("filters", {})
    if explanation is None or table is None:
        return None
    known = table[[f"frequencies_{name}" in arrays for name in table["filter"]]]
    shown = most_needed(known).head(FILTERS)
    if shown.empty:
        return None
    names = matched_names(explanation, "filter")
    how = "Patterns that switch on filters of the first layer, one for each group of filters that are alike, the group "
    how += "that matters most first. Height: information in bits. “drop”: what R² loses when the filter is set to its "
    how += "mean; the others of its group may stand in for it, so look at what is lost without all that are alike."
    columns = 3 if len(shown) > 4 else min(2, len(shown))
    rows = -(-len(shown) // columns)
    width = WIDE if columns == 3 else NARROW
    picture = new_picture("Filters of the first layer", how, width=width, height=0.2 + 1.4 * rows)
    panels = picture.figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, row in zip(panels, shown.to_dict("records"), strict=False):
        draw_logo(axes, _information(_channels_first(arrays[f"frequencies_{row['filter']}"])))
        tidy(axes)
        axes.set_ylim(0, 2)
        axes.set_xticks([])
        like = f", like {names[str(row['filter'])]}" if str(row["filter"]) in names else ""
        title = f"{row['filter']}: {_short(row['consensus'])}{like}\ndrop {row['nullification']:.2g}"
        if row["group_size"] > 1:
            title += f", its {row['group_size']:.0f} alike {row['group_nullification']:.2g}"
        axes.set_title(title, fontsize=SMALL, loc="left")
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    picture.figure.supylabel("bits", fontsize=TEXT)
    return picture


def _information(frequencies: FloatArray) -> FloatArray:
    """Return the height of each letter in bits, shape (4, width)."""
    share = frequencies / np.maximum(frequencies.sum(axis=0, keepdims=True), 1e-12)
    bits = 2.0 + (share * np.log2(np.maximum(share, 1e-12))).sum(axis=0)
    return np.asarray(share * bits)
