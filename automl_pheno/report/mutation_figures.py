"""Pictures of what changes do: every mutation of a sequence, dosage by dosage, a surrogate, and pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.data.encode import BASES
from automl_pheno.explain.logo import draw_logo
from automl_pheno.explain.mutagenesis.dosages import dosage_classes, known_effects
from automl_pheno.report.driver_sentences import q_level
from automl_pheno.report.explanation_figures import ROW, limit, window
from automl_pheno.report.picture import FIGURES, Picture, new_picture
from automl_pheno.report.read import ExplanationFiles, RunFiles
from automl_pheno.report.style import (
    BASELINE,
    DIVERGING,
    INK,
    MANY_POINTS,
    NETWORK,
    SMALL,
    TEXT,
    WIDE,
    colour_bar,
    legend_above,
    tidy,
)

SEQUENCES = 2
LISTED = 8
MOST_TICKS = 40


@FIGURES.add("mutagenesis")
def _mutagenesis(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    arrays = {} if explanation is None else explanation.arrays.get("mutagenesis", {})
    if explanation is None or not explanation.is_sequence or "scores" not in arrays:
        return None
    ids = [str(one) for one in arrays["ids"]]
    scores, bases = np.asarray(arrays["scores"], dtype=np.float64), _bases(explanation, ids)
    if explanation.manifest.get("aligned") and len(scores) > 1:
        known = scores if bases is None else np.where(bases, np.nan, scores)
        count = np.isfinite(known).sum(axis=0)
        mean = np.where(count > 0, np.nansum(known, axis=0) / np.maximum(count, 1), 0.0)
        frequent = None if bases is None else bases.mean(axis=0) > 0.5
        return mutagenesis_picture(mean[None], [f"mean of {len(scores)} sequences"], frequent, explanation.unit)
    strongest = np.argsort(-np.abs(scores).max(axis=(1, 2)), kind="stable")[:SEQUENCES]
    shown = None if bases is None else bases[strongest]
    return mutagenesis_picture(scores[strongest], [ids[row] for row in strongest], shown, explanation.unit)


def _bases(explanation: ExplanationFiles, ids: list[str]) -> npt.NDArray[np.bool_] | None:
    """Return which base stands where in these sequences, shape (n, 4, length); None where that is not known."""
    arrays = explanation.arrays["attributions"]
    rows = {str(one): row for row, one in enumerate(arrays["ids"])}
    if "one_hot" not in arrays or not set(ids) <= set(rows):
        return None
    return np.asarray(arrays["one_hot"][[rows[one] for one in ids]] > 0.5)


def mutagenesis_picture(
    scores: FloatArray, names: list[str], bases: npt.NDArray[np.bool_] | None, unit: str
) -> Picture:
    """Return what each substitution does to the prediction, as colours, one panel a sequence.

    Parameters
    ----------
    scores
        Change of the prediction, shape (n, 4, length).
    bases
        What stands there now, marked by a dot; shape (n, 4, length) or (4, length).
    """
    how = f"Column: position; row: the base put there. Orange raises the prediction, purple lowers it ({unit}); a dot "
    how += "is the base that is there. A dark run of columns is a stretch that no other base can replace."
    if scores.shape[2] > ROW:
        how += f" The {ROW} neighbouring positions with the largest changes."
    picture = new_picture("What every mutation would do", how, width=WIDE, height=0.5 + 1.15 * len(scores))
    panels = picture.figure.subplots(len(scores), 1, squeeze=False)[:, 0]
    end = limit(scores)
    image: Any = None
    for number, (axes, score, name) in enumerate(zip(panels, scores, names, strict=True)):
        part = window(np.abs(score).max(axis=0), ROW)
        extent = (part.start + 0.5, part.start + score[:, part].shape[1] + 0.5, 3.5, -0.5)
        image = axes.imshow(score[:, part], aspect="auto", cmap=DIVERGING, vmin=-end, vmax=end, extent=extent,
                            interpolation="nearest")  # fmt: skip
        if bases is not None:
            own = bases if bases.ndim == 2 else bases[number]
            rows, columns = np.nonzero(own[:, part])
            axes.plot(columns + part.start + 1, rows, ".", ms=2.2, color=INK)
            axes.set_xlim(extent[0], extent[1])
        tidy(axes, x="position (bp)" if number == len(scores) - 1 else "")
        axes.set_yticks(range(4), list(BASES))
        axes.set_title(name, fontsize=SMALL, loc="left")
    colour_bar(picture.figure, image, list(panels), "change")
    return picture


@FIGURES.add("mutation_profile")
def _mutation_profile(run: RunFiles) -> Picture | None:
    """Draw the mean size of the change at each position."""
    explanation = run.explanation
    table = None if explanation is None else explanation.table("mutations")
    if explanation is None or table is None:
        return None
    how = f"Mean size of the change of the prediction ({explanation.unit}) over the explained sequences and the three "
    how += "other bases. Grey: the largest single change. Named: the strongest mutations."
    picture = new_picture("Where mutations change the prediction", how, width=WIDE, height=2.7)
    axes = tidy(picture.figure.subplots(), x="position (bp)", y="mean |change|")
    named = ("position", "mean_abs", "max_abs")
    x, mean, most = (np.nan_to_num(table[name].to_numpy(dtype=np.float64)) for name in named)
    edges = np.concatenate([x - 0.5, x[-1:] + 0.5])
    right = axes.twinx()
    right.stairs(most, edges, color="0.72", lw=1.0)
    right.set_ylim(0, max(float(most.max()) * 1.25, 1e-12))
    right.set_ylabel("largest |change|", fontsize=TEXT, color="#666666")
    right.tick_params(labelsize=SMALL, colors="#666666")
    right.spines["top"].set_visible(False)
    axes.stairs(mean, edges, fill=True, color=NETWORK, lw=0)
    axes.set_xlim(x.min() - 0.5, x.max() + 0.5)
    axes.set_ylim(0, max(float(mean.max()) * 1.25, 1e-12))
    if "strongest" in table:
        taken: list[float] = []
        for row in np.argsort(-most, kind="stable"):
            if len(taken) == 5:
                break
            if all(abs(x[row] - other) > 0.06 * len(x) for other in taken):
                taken.append(float(x[row]))
                right.annotate(str(table["strongest"].iloc[row]), (x[row], most[row]), xytext=(0, 2), ha="center",
                               textcoords="offset points", fontsize=SMALL,
                               bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.8})  # fmt: skip
    return picture


@FIGURES.add("dosage_effects")
def _dosage_effects(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table("dosage_effects")
    if explanation is None or table is None or not {"additive", "dominance"} <= set(table.columns):
        return None
    return dosage_effects_picture(_judged(table, run), explanation.unit)


def _judged(table: pd.DataFrame, run: RunFiles) -> pd.DataFrame:
    """Return the table without dominance that cannot be known; an older one is judged by the explained samples."""
    if "n_0" in table or run.explanation is None or run.variants is None:
        return table
    column = {name: number for number, name in enumerate(run.variants)}
    dosages = run.explanation.arrays["attributions"].get("dosages")
    if dosages is None or not set(table["id"]) <= set(column):
        return table
    return known_effects(table, dosage_classes(dosages, np.array([column[name] for name in table["id"]])))


def dosage_effects_picture(table: pd.DataFrame, unit: str) -> Picture:
    """Return the steps of the strongest variants, beside dominance against additive effects where that is known.

    Parameters
    ----------
    table
        ``dosage_effects.csv``: ``id, effect_0, effect_1, effect_2, additive, dominance``, and ``n_0, n_1, n_2``, the
        training individuals with that dosage; an older one lacks these.
    """
    additive, dominance = (table[name].to_numpy(dtype=np.float64) for name in ("additive", "dominance"))
    known = np.isfinite(dominance)
    counted = "n_0" in table
    how = ""
    if known.any():
        how = f"Left: change of the mean prediction ({unit}) per alternative allele, against how far the heterozygote "
        how += "lies off the middle (dominance); points on the line are additive. Right: "
        if not known.all():
            how = f"{how[:-7]}Only the {int(known.sum()):,} of {len(table):,} variants with heterozygotes enough are "
            how += "drawn. Right: "
    how += f"{'mean' if how else 'Mean'} prediction ({unit}) when all samples get one dosage, for the variants with "
    how += "the largest effects"
    how += "; only dosages that training individuals have." if counted else "."
    if not known.any():
        how += " Dominance is not drawn: no variant has heterozygotes enough to know it."
    picture = new_picture("What a change of dosage does", how, width=WIDE, height=3.3)
    if known.any():
        cloud, steps = picture.figure.subplots(1, 2, width_ratios=[1.2, 1.0])
        _dominance(cloud, additive[known], dominance[known])
    else:
        steps = picture.figure.subplots()
    tidy(steps, x="dosage", y="change of the mean prediction")
    strongest = table.iloc[np.argsort(-np.nan_to_num(np.abs(additive)), kind="stable")[:LISTED]]
    for number, row in enumerate(strongest.to_dict("records")):
        dosages = [dosage for dosage in range(3) if not counted or row[f"n_{dosage}"] > 0]
        heights = [row[f"effect_{dosage}"] for dosage in dosages]
        steps.plot(dosages, heights, ("-o", "--s", "-.D", ":v")[number % 4], ms=3.5, lw=1.3, label=row["id"],
                   color=["#0072B2", "#E69F00", "#009E73", "#CC79A7"][number // 2 % 4])  # fmt: skip
    steps.set_xticks([0, 1, 2])
    steps.legend(fontsize=SMALL - 1, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return picture


def _dominance(axes: Any, additive: FloatArray, dominance: FloatArray) -> None:
    tidy(axes, x="additive effect", y="dominance effect")
    axes.axhline(0.0, color=INK, lw=0.8)
    many = len(additive) > MANY_POINTS
    axes.scatter(additive, dominance, s=4 if many else 12, color=NETWORK, alpha=0.5, linewidths=0, rasterized=many)
    end = 1.1 * max(float(np.nanmax(np.abs(additive))), 1e-12)
    axes.set_xlim(-end, end)
    tall = max(float(np.nanmax(np.abs(dominance))) * 1.1, 0.25 * end)
    axes.set_ylim(-tall, tall)


@FIGURES.add("surrogate")
def _surrogate(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table("surrogate")
    if explanation is None or table is None or not set(BASES) <= set(table.columns):
        return None
    return surrogate_picture(table, dict(explanation.facts("surrogate")), explanation.unit)


def surrogate_picture(table: pd.DataFrame, facts: dict[str, Any], unit: str) -> Picture:
    """Return the additive effects of a simple model that stands for the predictor around one sequence.

    Parameters
    ----------
    table
        ``position, reference, A, C, G, T``: effects against the reference base.
    """
    known = [
        f"{words} {float(facts[name]):.2f}"
        for name, words in (("r2_additive", "additive R²"), ("r2_pairwise", "with pairs R²"))
        if facts.get(name) is not None
    ]
    how = f"A simple additive model of the predictor around {facts.get('id', 'one sequence')}: what each base adds "
    how += f"({unit}), centred at each position. "
    how += f"On mutants it had not seen: {', '.join(known)}. " if known else ""
    how += "It stands for the predictor only as far as R² says, and only near this sequence."
    effects = np.nan_to_num(table[list(BASES)].to_numpy(dtype=np.float64)).T
    centred = effects - effects.mean(axis=0)
    part = window(np.abs(centred).max(axis=0), ROW)
    if effects.shape[1] > ROW:
        how += f" The {ROW} neighbouring positions with the largest effects."
    picture = new_picture("A simple stand-in for the predictor", how, width=WIDE, height=2.4)
    axes = picture.figure.subplots()
    first = int(table["position"].iloc[part.start])
    draw_logo(axes, centred[:, part], first=first)
    tidy(axes, x="position (bp)", y="effect")
    return picture


@FIGURES.add("epistasis")
def _epistasis(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    arrays = {} if explanation is None else explanation.arrays.get("interactions", {})
    if explanation is None or "matrix" not in arrays or len(arrays["matrix"]) < 2:
        return None
    matrix = np.array(arrays["matrix"], dtype=np.float64)
    other = arrays.get("attribution_matrix")
    if other is not None and other.shape == matrix.shape and np.isfinite(other).any():
        upper = np.triu_indices(len(matrix), 1)
        matrix[upper] = np.asarray(other, dtype=np.float64)[upper]
    else:
        other = None
    names = [str(name) for name in arrays["names"]]
    return epistasis_picture(matrix, names, explanation.unit, attributions=other is not None)


def epistasis_picture(matrix: FloatArray, names: list[str], unit: str, *, attributions: bool) -> Picture:
    """Return the interaction of each pair as colours.

    Parameters
    ----------
    matrix
        Shape (k, k), 0 where a pair was not tested.
    attributions
        The upper triangle holds the interaction as attributions tell it.
    """
    how = f"Colour: how much the effect of two changes together differs from the sum of their single effects ({unit}). "
    how += "Orange: more than the sum, purple: less; white: no interaction, or not tested. "
    how += "Below the diagonal by mutating pairs, above it by how attributions change." if attributions else ""
    picture = new_picture("Which pairs act together?", how.strip(), height=4.3)
    axes = tidy(picture.figure.subplots())
    shown = np.where(np.isfinite(matrix), matrix, 0.0)
    off = shown[~np.eye(len(shown), dtype=bool)]
    end = max(float(np.abs(off).max(initial=0.0)), 1e-12) if len(shown) < 30 else limit(off[off != 0])
    np.fill_diagonal(shown, 0.0)
    image = axes.imshow(shown, cmap=DIVERGING, vmin=-end, vmax=end, interpolation="nearest")
    step = max(1, -(-len(names) // MOST_TICKS))
    ticks = range(0, len(names), step)
    size = SMALL if len(ticks) < 16 else SMALL - 2.5
    axes.set_xticks(ticks, [names[tick] for tick in ticks], rotation=90, fontsize=size)
    axes.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=size)
    colour_bar(picture.figure, image, axes, f"interaction ({unit})")
    return picture


@FIGURES.add("interaction_null")
def _interaction_null(run: RunFiles) -> Picture | None:
    """Draw the sizes of the strongest interactions beside those of pairs by chance."""
    explanation = run.explanation
    table = None if explanation is None else explanation.table("interactions")
    arrays = {} if explanation is None else explanation.arrays.get("interactions", {})
    null = np.asarray(arrays.get("null", np.zeros(0)), dtype=np.float64)
    null = np.abs(null[np.isfinite(null)])
    if table is None or explanation is None or len(null) < 10:
        return None
    sizes = _strengths(table, arrays.get("strength"))
    how = f"Grey: sizes that pairs reach by chance; blue: the pairs that were tested ({explanation.unit}). Only pairs "
    how += "that lie well to the right of the grey ones interact."
    picture = new_picture("Interactions beside chance", how, height=2.6)
    axes = tidy(picture.figure.subplots(), x="|interaction|", y="density")
    edges = np.linspace(0.0, max(float(null.max()), float(np.nanmax(sizes)), 1e-12), 40)
    axes.hist(null, bins=edges, density=True, color="0.8", label=f"chance ({len(null):,})")
    axes.hist(sizes, bins=edges, density=True, histtype="step", color=NETWORK, lw=1.6, label=f"tested ({len(sizes):,})")
    level = q_level(explanation.facts("interactions"))
    if "q" in table and (table["q"] <= level).any():
        least = float(sizes[(table["q"] <= level).to_numpy()].min())
        axes.axvline(least, color=BASELINE, ls="--", lw=1.2, label=f"q <= {level:g} from here")
    legend_above(axes)
    return picture


def _strengths(table: pd.DataFrame, strength: npt.NDArray[Any] | None) -> FloatArray:
    """Return by what each row of the table was ranked and compared with chance, in the order of the rows."""
    listed = table["abs_interaction"].to_numpy(dtype=np.float64)
    if strength is None:
        return np.asarray(listed)
    known = np.asarray(strength, dtype=np.float64)[np.triu_indices(len(strength), 1)]
    ranked = np.sort(known[np.isfinite(known)])[::-1]
    return ranked if len(ranked) == len(listed) else np.asarray(listed)
