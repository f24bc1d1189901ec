"""From which similarity on two samples must not lie on two sides: the defaults, and which measure suits the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from automl_pheno.data import Inputs

IDENTITY = 0.8
"""Of two sequences: 1 - edits / length of the aligned part, on either strand."""

COVERAGE = 0.5
"""Share of the shorter sequence that the aligned part must have."""

SHORTEST_PART = 40
"""Bases that the aligned part of two sequences has at least where it is not the whole of the shorter: parts of fewer
bases are alike by chance."""

KINSHIP_LADDER = (0.0884, 0.177, 0.354)
"""Lower bounds of kinship of 2nd-degree relatives, 1st-degree relatives, and duplicates (Manichaikul et al. 2010)."""

IBS_LADDER = (0.95, 0.98, 0.99)
"""Share of alleles identical by state; inbred lines above it are near copies of one another."""

OUTBRED_HETEROZYGOSITY = 0.15
"""Median share of heterozygous calls a sample above which KING-robust is defined well enough."""

Estimator = Literal["king", "ibs", "grm"]
MEASURES: dict[Estimator, str] = {
    "king": "kinship (KING-robust)",
    "ibs": "IBS",
    "grm": "correlation of genotypes (GRM)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEstimator:
    """Which measure of relatedness suits the data, and why in words."""

    estimator: Estimator
    why: str


def choose_estimator(inputs: Inputs) -> ChosenEstimator:
    """Return KING-robust for outbred samples, else IBS.

    KING-robust needs heterozygotes; inbred lines and 0/1 markers have none (see ``OUTBRED_HETEROZYGOSITY``).
    """
    values = inputs.values
    step = max(1, values.shape[1] // 20_000)
    some = values[:, ::step]
    if some.size and float(np.fmax.reduce(some, axis=None)) <= 1.0:
        return ChosenEstimator(
            estimator="ibs",
            why="no dosage is above 1 (presence and absence, or haploids), where KING-robust is undefined",
        )
    called = np.maximum((~np.isnan(some)).sum(axis=1), 1)
    share = float(np.median(((some > 0.5) & (some < 1.5)).sum(axis=1) / called)) if some.size else 0.0
    if share > OUTBRED_HETEROZYGOSITY:
        return ChosenEstimator(
            estimator="king", why=f"the median sample is heterozygous at {share:.1%} of its calls (outbred)"
        )
    return ChosenEstimator(
        estimator="ibs",
        why=f"the median sample is heterozygous at {share:.1%} of its calls (inbred, haploid or 0/1 markers), where "
        "KING-robust is undefined",
    )
