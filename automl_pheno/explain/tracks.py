"""Importance along a genome as bedGraph text, where samples or variants have coordinates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from automl_pheno.data.encode import PADDING
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import genome_order, importance

_PLACES = ("chromosome", "start", "end")


def bedgraph(attribution: Attribution, columns: pd.DataFrame | None = None, *, name: str = "importance") -> str | None:
    """Return a bedGraph track (0-based, half-open), or None where there are no coordinates.

    Variants: the mean absolute contribution at the place of each. Sequences from intervals: the mean signed
    contribution of each base of the genome over the explained intervals that cover it; an interval on strand ``-``
    is read backwards.

    Parameters
    ----------
    columns
        ``chromosome, start, end`` and, if there is one, ``strand`` of each explained sample, in their order.
    """
    if attribution.kind == "genotype":
        rows = _of_variants(attribution)
    else:
        if columns is None or not set(_PLACES) <= set(columns.columns):
            return None
        rows = _of_intervals(attribution, columns)
    lines = [f"{chromosome}\t{start}\t{end}\t{value:.6g}" for chromosome, start, end, value in rows]
    if not lines:
        return None
    return "\n".join([f'track type=bedGraph name="{name}"', *lines]) + "\n"


def _of_variants(attribution: Attribution) -> Iterable[tuple[str, int, int, float]]:
    table = importance(attribution)
    known = (table["position"] > 0) & (table["chromosome"].astype(str) != "")
    placed = table[known].drop_duplicates(["chromosome", "position"])
    for row in placed.itertuples():
        yield str(row.chromosome), int(row.position) - 1, int(row.position), float(row.mean_abs)


def _of_intervals(attribution: Attribution, columns: pd.DataFrame) -> Iterable[tuple[str, int, int, float]]:
    contributions = attribution.contributions
    total: dict[tuple[str, int], float] = {}
    count: dict[tuple[str, int], int] = {}
    strands = columns["strand"].fillna("+") if "strand" in columns else pd.Series(["+"] * len(columns))
    known = columns[list(_PLACES)].notna().all(axis=1).to_numpy()
    for row in np.flatnonzero(known):
        chromosome, start = str(columns["chromosome"].iloc[row]), int(columns["start"].iloc[row])
        inside = attribution.inputs.values[row] != PADDING
        values = contributions[row, inside]
        for offset, value in enumerate(values[::-1] if strands.iloc[row] == "-" else values):
            place = (chromosome, start + offset)
            total[place] = total.get(place, 0.0) + float(value)
            count[place] = count.get(place, 0) + 1
    ranks = genome_order(pd.Series([place[0] for place in total], dtype=str)) if total else np.empty(0)
    ordered = sorted(zip(ranks, total, strict=True), key=lambda item: (int(item[0]), item[1][1]))
    for _, (chromosome, start) in ordered:
        yield chromosome, start, start + 1, total[chromosome, start] / count[chromosome, start]
