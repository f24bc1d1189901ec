"""Pictures of loci: importance along the genome, beside association, and by LD block with a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.report.picture import FIGURES, Picture, new_picture
from automl_pheno.report.read import ExplanationFiles, RunFiles
from automl_pheno.report.style import BASELINE, INK, MANY_POINTS, NETWORK, QUIET, SMALL, TEXT, WIDE, tidy

LABELLED = 6
BLOCKS = 30
_MOST_UNPLACED = 0.05
"""With a larger share of variants without a position the map is no map."""
_FAR = 0.02


@FIGURES.add("importance_variant")
def _variant(run: RunFiles) -> Picture | None:
    """Draw the importance of variants alone where there is no association to mirror it."""
    explanation = run.explanation
    if explanation is None or explanation.is_sequence or _associated(explanation):
        return None
    how = f"One point a variant: mean absolute contribution to the prediction, in {explanation.unit}. Neighbours share "
    how += "their importance through linkage, so a peak is a locus used by the predictor, not a causal variant."
    picture = new_picture("Importance of each variant", how, width=WIDE, height=3.0)
    axes = picture.figure.subplots()
    table = explanation.importance
    places, words = _along(axes, table)
    _points(axes, table, places, table["mean_abs"].to_numpy(dtype=np.float64), np.zeros(len(table), dtype=bool))
    tidy(axes, x=words, y="mean |contribution|")
    return picture


def _associated(explanation: ExplanationFiles) -> bool:
    table = explanation.table("loci")
    return table is not None and "minus_log10_p" in table and bool(table["minus_log10_p"].notna().any())


@FIGURES.add("loci")
def _loci(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table("loci")
    if explanation is None or table is None or not _associated(explanation):
        return None
    blocks = explanation.table("blocks")
    used: set[str] = set()
    if blocks is not None and "used" in blocks:
        used = set(blocks.loc[blocks["used"].astype(str) == "True", "block"].astype(str))
    facts = explanation.facts("loci")
    model = str(facts.get("association_model") or "")
    if facts.get("inflation") is not None:
        model += f"{', ' if model else ''}inflation {float(facts['inflation']):.2f}"
    return miami_picture(table, used, explanation.unit, model)


def miami_picture(table: pd.DataFrame, used: set[str], unit: str, model: str = "") -> Picture:
    """Return importance along the genome, and below it, mirrored, the association of each variant.

    Parameters
    ----------
    table
        ``id, chromosome, position, block, mean_abs, minus_log10_p``.
    used
        Blocks that pass the threshold of decoys.
    model
        By which the association was tested.
    """
    how = f"One point a variant. Above: mean absolute contribution to the prediction ({unit}); below, mirrored: -log10 "
    how += f"p of its association with the trait on the development samples{f' ({model})' if model else ''}. "
    how += "Orange diamonds: loci used by the model beyond decoys. " if used else ""
    how += "Peaks that face each other are seen by both; neighbours share a peak through linkage."
    what = "Loci used by the model" if used else "Importance of each variant"
    picture = new_picture(f"{what}, over association", how, width=WIDE, height=4.4)
    upper, lower = picture.figure.subplots(2, 1, sharex=True)
    places, words = _along(lower, table, upper)
    height = table["mean_abs"].to_numpy(dtype=np.float64)
    marked = table["block"].astype(str).isin(used).to_numpy() if "block" in table else np.zeros(len(table), dtype=bool)
    _points(upper, table, places, height, marked)
    tidy(upper, y="mean |contribution|").tick_params(labelbottom=False, bottom=False)
    association = table["minus_log10_p"].to_numpy(dtype=np.float64)
    _points(lower, table, places, association, marked, labelled=3)
    tidy(lower, x=words, y="-log10 p")
    low, high = lower.get_ylim()
    lower.set_ylim(high, low)
    lower.spines["top"].set_visible(False)
    return picture


def _along(axes: Any, table: pd.DataFrame, *more: Any) -> tuple[FloatArray, str]:
    """Return the place of each variant and the axis' label; chromosomes stand one after another, shaded in turn."""
    names = table["chromosome"].astype(str)
    position = pd.to_numeric(table["position"], errors="coerce").fillna(-1).to_numpy(dtype=np.float64)
    unplaced = position < 0
    if unplaced.mean() > _MOST_UNPLACED or (names == "").any():
        return np.arange(1, len(table) + 1, dtype=np.float64), "variant, in the order of the file (no map)"
    order = list(dict.fromkeys(names))
    for name in order:  # at the start of their chromosome, which is all that is known of them
        inside = (names == name).to_numpy()
        position[inside & unplaced] = position[inside & ~unplaced].min(initial=np.inf)
    position[~np.isfinite(position)] = 0.0
    spans = {name: position[(names == name).to_numpy()] for name in order}
    gap = _FAR * float(sum(np.ptp(span) for span in spans.values()))
    places, start = np.zeros(len(table)), 0.0
    ticks: list[float] = []
    for number, name in enumerate(order):
        inside = (names == name).to_numpy()
        places[inside] = start + position[inside] - spans[name].min()
        stop = start + float(np.ptp(spans[name]))
        if number % 2:
            for each in (axes, *more):
                each.axvspan(start - gap / 2, stop + gap / 2, color="0.955", zorder=0, lw=0)
        ticks.append((start + stop) / 2)
        start = stop + gap
    axes.set_xlim(-gap, start)
    step = 1 if len(order) <= 25 else -(-len(order) // 25)
    axes.set_xticks(ticks[::step], order[::step])
    return places, "chromosome" if len(order) > 1 else f"chromosome {order[0]}"


def _points(
    axes: Any,
    table: pd.DataFrame,
    places: FloatArray,
    height: FloatArray,
    marked: npt.NDArray[np.bool_],
    *,
    labelled: int = LABELLED,
) -> None:
    names = table["chromosome"].astype(str)
    parity = names.map({name: number % 2 for number, name in enumerate(dict.fromkeys(names))}).to_numpy()
    colours = np.where(parity == 1, QUIET, NETWORK)
    many = len(table) > MANY_POINTS
    axes.scatter(places, height, s=7 if many else 11, c=colours, linewidths=0, rasterized=many)
    axes.scatter(places[marked], height[marked], s=20, marker="D", c=BASELINE, linewidths=0, rasterized=many)
    top = max(float(np.nanmax(height, initial=0.0)), 1e-12)
    axes.set_ylim(0.0, top * 1.18)
    span = max(float(np.ptp(places)), 1.0)
    taken: list[float] = []
    for row in np.argsort(-np.nan_to_num(height), kind="stable"):
        if len(taken) == labelled or height[row] < 0.3 * top:
            break
        if any(abs(places[row] - other) < 0.05 * span for other in taken):
            continue  # a neighbour of the same peak is named
        taken.append(float(places[row]))
        right = places[row] > places.min() + 0.85 * span
        side = "right" if right else "left"
        axes.annotate(str(table["id"].iloc[row]), (places[row], height[row]), xytext=(-4 if right else 4, 3),
                      textcoords="offset points", ha=side, fontsize=SMALL, color=INK)  # fmt: skip


@FIGURES.add("blocks")
def _blocks(run: RunFiles) -> Picture | None:
    explanation = run.explanation
    table = None if explanation is None else explanation.table("blocks")
    if explanation is None or table is None:
        return None
    return blocks_picture(table, explanation.unit, dict(explanation.facts("loci")), explanation.table("decoys"))


def blocks_picture(
    table: pd.DataFrame, unit: str, facts: dict[str, Any], decoys: pd.DataFrame | None = None
) -> Picture:
    """Return the LD blocks with the largest contributions as bars, with the threshold of decoys.

    Parameters
    ----------
    table
        ``blocks.csv``.
    facts
        ``threshold`` and ``fdr``, where decoys were used.
    decoys
        ``decoys.csv``: what each block contributes in the model that is trained beside decoys, to which the threshold
        belongs.
    """
    shown = table.sort_values("mean_abs", ascending=False, kind="stable").head(BLOCKS).iloc[::-1]
    used = (shown["used"].astype(str) == "True").to_numpy() if "used" in shown else np.zeros(len(shown), dtype=bool)
    threshold = facts.get("threshold")
    how = f"Mean over samples of the size of a block's summed contribution ({unit}); named by the variant that "
    how += "contributes most. "
    if threshold is not None:
        rate = f", false discovery rate {float(facts['fdr']):.0%}" if facts.get("fdr") is not None else ""
        how += "Diamonds: the same in refits beside decoys that cannot matter; dashed: what decoys do not reach there"
        how += f"{rate}. "
        how += "Orange blocks pass it: loci used by the model. " if used.any() else "No block drawn here passes it. "
    elif used.any():
        how += "Orange: blocks that pass the test against decoys that cannot matter. "
    how += "A long block may add up many small contributions."
    picture = new_picture("LD blocks that contribute most", how, height=0.7 + 0.17 * len(shown))
    axes = tidy(picture.figure.subplots(), x=f"mean |contribution| ({unit})")
    axes.barh(range(len(shown)), shown["mean_abs"], color=np.where(used, BASELINE, NETWORK).tolist(), height=0.72)
    axes.set_yticks(range(len(shown)), [_block_name(row) for row in shown.to_dict("records")], fontsize=SMALL - 1)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    if threshold is not None and decoys is not None:
        beside = shown["block"].astype(str).map(decoys.set_index(decoys["block"].astype(str))["mean_abs"])
        axes.plot(beside, range(len(shown)), "D", ms=4, mfc="white", mec=INK, mew=0.9, ls="none")
    if threshold is not None and np.isfinite(float(threshold)):
        axes.axvline(float(threshold), color=INK, ls="--", lw=1.2)
        axes.text(float(threshold), len(shown) - 0.3, " decoys", fontsize=SMALL, va="bottom", color=INK)
    axes.set_xlim(left=0)
    axes.xaxis.label.set_fontsize(TEXT)
    return picture


def _block_name(row: dict[str, Any]) -> str:
    count = row.get("n_variants")
    several = f" +{int(count) - 1}" if count is not None and pd.notna(count) and count > 1 else ""
    place = f"{row['chromosome']}: " if str(row.get("chromosome", "")) else ""
    return f"{place}{row['lead']}{several}"
