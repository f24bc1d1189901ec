"""What to do about sides that differ, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from automl_pheno.data import FloatArray, InputKind
from automl_pheno.splits.missingness import Missingness

_SKEWED = 1.0
_COMPOSITION = ("GC content", "ambiguous bases", "length (bp)")


def advice(
    differences: Sequence[dict[str, Any]],
    y: FloatArray | None,
    *,
    kind: InputKind,
    missingness: Missingness | None = None,
    by_design: str = "",
) -> list[str]:
    """Return what to do about the differences that are flagged ``warn``, and about a skewed trait; may be empty.

    Parameters
    ----------
    differences
        Of ``distribution_differences``.
    y
        Trait, finite, shape (n,); None where there is none.
    kind, missingness
        Of the inputs.
    by_design
        Why the sides are meant to differ, as it was asked for; "" where they are not.
    """
    worst: dict[str, list[dict[str, Any]]] = {}
    for row in differences:
        if row["flag"] == "warn":
            worst.setdefault(row["name"], []).append(row)
    told = []
    if by_design and (meant := [row for name, rows in worst.items() if name != "missing calls" for row in rows]):
        told.append(
            f"{_said(meant)}. That is what was asked for ({by_design}): the score is one of predicting unlike samples."
        )
        worst = {name: rows for name, rows in worst.items() if name == "missing calls"}
    if rows := worst.get("phenotype"):
        told.append(
            f"{_said(rows)}. The score then speaks of other phenotypes than the model was trained on. Try another "
            "seed or more, smaller groups; where samples with rare phenotypes are few, weight or repeat them in "
            "training (curation: weights: label_density, or resample: over)."
        )
    if rows := [row for name in _COMPOSITION for row in worst.get(name, [])]:
        told.append(
            f"{_said(rows)}. A model may read composition instead of sequence signals: compare with the detector "
            "gc_length, and group by what causes it (species, chromosome, library) to test for it deliberately."
        )
    components = [row for name in worst for row in worst[name] if name.startswith("PC ")]
    if kind == "genotype" and (
        rows := [*worst.get("allele frequency", []), *components, *worst.get("heterozygosity", [])]
    ):
        told.append(
            f"{_said(rows)}. Populations lie unevenly on the sides. To predict within populations, balance them "
            "(split: regime: unrelated); if new populations are meant to be predicted, keep this and say so "
            "(split: regime: cross-population)."
        )
    elif components:
        told.append(
            f"{_said(components)}. Kinds of sequences lie unevenly on the sides; the score is one of predicting "
            "unlike sequences. More and smaller groups (largest_group) or another seed even it out."
        )
    if rows := worst.get("missing calls"):
        told.append(
            f"{_said(rows)}. That points to batches of genotyping: group by the batch (groups: column:NAME), and drop "
            "variants with many missing calls (curation: min_call_rate)."
        )
    if missingness is not None and missingness.is_suspect:
        told.append(
            f"Missing calls tell of the trait: {missingness.sentence}. They follow families or batches, and a model "
            "can score by them without any genetics. Group by family or batch, drop variants with many missing calls "
            "(curation: min_call_rate), and compare with the detector missingness."
        )
    skew = 0.0 if y is None else _skewness(y)
    if abs(skew) > _SKEWED:
        told.append(
            f"The trait is skewed (skewness {skew:.1f}): a few extreme samples decide the score. Consider ranks "
            "turned to normal scores (curation: trait: rank_normal), and read Spearman's rho beside Pearson's r."
        )
    return told


def _said(rows: Sequence[dict[str, Any]]) -> str:
    """Return the largest difference in words, and how many more there are."""
    first, *others = sorted(rows, key=lambda row: -(row["ks"] if row["ks"] is not None else 1.0))
    more = f"; so {'does' if len(others) == 1 else 'do'} {len(others)} more of the table" if others else ""
    return _one(first) + more


def _one(row: dict[str, Any]) -> str:
    a, b = row["between"]
    if row["name"] == "allele frequency":
        return f"Allele frequencies differ between {a} and {b} (Fst {row['fst']:.3f})"
    name = str(row["name"])
    name = name if name.startswith(("GC", "PC")) else name.capitalize()
    first, second = row["means"]
    return f"{name} differs between {a} and {b} (means {first:.3g} and {second:.3g}, KS D {row['ks']:.2f})"


def _skewness(y: FloatArray) -> float:
    centred = y - y.mean()
    return float((centred**3).mean() / max(float(np.sqrt((centred**2).mean())) ** 3, 1e-300))
