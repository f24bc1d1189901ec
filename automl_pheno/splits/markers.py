"""Which variants samples are compared at: common, well called, not on sex chromosomes. The trait is never asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data import FloatArray, Inputs, IntArray
from automl_pheno.errors import SplitError

MOST_MARKERS = 20_000
"""More are thinned evenly: kinship is known to about 0.005 by then, and time grows with their number."""

FEW_MARKERS = 500
"""With fewer, rarer and less well called variants are taken too."""

_STEPS = ((0.05, 0.95), (0.05, 0.8), (0.01, 0.8), (0.0, 0.0))  # least MAF, least call rate
_SEX_OR_ORGANELLE = frozenset({
    "x", "y", "xy", "w", "z", "par", "par1", "par2", "m", "mt", "mito", "mitochondrion", "pt", "cp", "chloroplast",
})  # fmt: skip
_BLOCK = 1 << 24  # dosages looked at together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Markers:
    """The variants that samples are compared at.

    Attributes
    ----------
    columns
        Positions among the variants, rising, int64, shape (p,).
    homozygote
        Dosage of a sample with two alternate alleles: 2, or 1 where the data are 0 and 1 throughout (presence and
        absence, or haploids).
    rule
        In words, for the card.
    facts
        Counts for the card.
    notes
        What was decided for the user.
    """

    columns: IntArray
    homozygote: float
    rule: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns)


def choose_markers(inputs: Inputs, most: int = MOST_MARKERS) -> Markers:
    """Return the variants by which relatedness and populations are told.

    Autosomal where chromosomes are known, minor allele frequency >= 0.05 and call rate >= 0.95, relaxed step by step
    where few would remain, and thinned evenly in the order of the file.

    Parameters
    ----------
    inputs
        Genotypes of n samples.
    most
        Thin to this many.

    Raises
    ------
    SplitError
        The inputs are sequences, or no variant varies.
    """
    if inputs.kind != "genotype":
        msg = f"relatedness and populations are told from genotypes; these data are {inputs.kind}s"
        raise SplitError(msg)
    total, called, highest, fractional = _column_sums(inputs.values)
    homozygote = 1.0 if 0.0 < highest <= 1.0 else 2.0
    frequency = total / (homozygote * np.maximum(called, 1))
    maf = np.minimum(frequency, 1.0 - frequency)
    rate = called / max(len(inputs), 1)
    autosomal = _autosomal(inputs.variants, inputs.width)
    varying = (maf > 0.0) & (called > 0)
    if not varying.any():
        msg = f"none of the {inputs.width:,} variants varies among the {len(inputs):,} samples: no relatedness"
        raise SplitError(msg)
    allowed = varying & autosomal
    notes: list[str] = []
    if not allowed.any():
        allowed = varying
        notes.append("every variant that varies lies on a sex chromosome or organelle; these are compared")
    wanted = min(FEW_MARKERS, int(allowed.sum()) // 2)
    least_maf, least_rate = _STEPS[0]
    kept = allowed
    for least_maf, least_rate in _STEPS:
        kept = allowed & (maf >= least_maf) & (rate >= least_rate)
        if kept.sum() >= max(wanted, 1):
            break
    if (least_maf, least_rate) != _STEPS[0]:
        notes.append(
            f"fewer than {max(wanted, 1):,} variants have MAF >= {_STEPS[0][0]} and call rate >= {_STEPS[0][1]}; "
            f"samples are compared at {int(kept.sum()):,} with MAF >= {least_maf} and call rate >= {least_rate}"
        )
    columns = np.flatnonzero(kept).astype(np.int64)
    facts = {
        "variants": inputs.width,
        "not_autosomal": int((~autosomal).sum()),
        "monomorphic": int((~varying).sum()),
        "eligible": len(columns),
        "least_maf": least_maf,
        "least_call_rate": least_rate,
    }
    rule = f"MAF >= {least_maf}, call rate >= {least_rate}" if least_maf else "all that vary"
    rule = rule if autosomal.all() else f"autosomal, {rule}"
    if len(columns) > most:
        columns = columns[np.linspace(0, len(columns) - 1, most).round().astype(np.int64)]
        rule = f"{rule}, evenly thinned to {most:,}"
    if homozygote == 1.0:
        notes.append("no dosage is above 1: 0 and 1 are taken for the two homozygotes (presence and absence)")
    if fractional:
        notes.append("fractional dosages are rounded to the nearest genotype for relatedness")
    return Markers(
        columns=columns,
        homozygote=homozygote,
        rule=rule,
        facts={**facts, "markers": len(columns), "homozygote_dosage": homozygote},
        notes=tuple(notes),
    )


def genotype_codes(inputs: Inputs, markers: Markers) -> npt.NDArray[np.int8]:
    """Return 0, 1, 2 (alternate alleles) or 3 (missing) at the markers, int8, shape (n, p); 0/1 data have no 1."""
    codes = np.empty((len(inputs), len(markers)), dtype=np.int8)
    step = max(1, _BLOCK // max(len(markers), 1))
    for start in range(0, len(inputs), step):
        some = inputs.values[start : start + step, markers.columns] * (2.0 / markers.homozygote)
        codes[start : start + step] = np.where(np.isnan(some), 3.0, np.rint(some))
    return codes


def _column_sums(values: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray, float, bool]:
    """Return sum of dosages and number of calls of each variant, the highest dosage, and if any is fractional."""
    n, m = values.shape
    total, called = np.zeros(m), np.zeros(m)
    highest, fractional = 0.0, False
    step = max(1, _BLOCK // max(m, 1))
    for start in range(0, n, step):
        some = values[start : start + step]
        known = ~np.isnan(some)
        filled = np.where(known, some, np.float32(0.0))
        total += filled.sum(axis=0, dtype=np.float64)
        called += known.sum(axis=0)
        highest = max(highest, float(filled.max(initial=0.0)))
        fractional = fractional or bool((filled != np.rint(filled)).any())
    return total, called, highest, fractional


def _autosomal(variants: pd.DataFrame | None, width: int) -> npt.NDArray[np.bool_]:
    """Say which variants do not lie on a sex chromosome or organelle; unknown and unplaced ones count as autosomal."""
    if variants is None or "chromosome" not in variants.columns:
        return np.ones(width, dtype=bool)
    names = variants["chromosome"].astype(str).str.strip().str.lower().str.replace(r"^chr", "", regex=True)
    present = set(names.unique())
    # in yeast and others X is the tenth
    out = set(_SEX_OR_ORGANELLE) - ({"x"} if {"ii", "iii"} <= present else set())
    numbers = {int(name) for name in present if name.isdecimal()}
    # PLINK writes human X, Y, XY, MT as 23 to 26; other species have more autosomes
    if set(range(1, 23)) <= numbers and max(numbers) <= 26:
        out |= {"23", "24", "25", "26"}
    return np.asarray(~names.isin(out), dtype=bool)
