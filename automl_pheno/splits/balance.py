"""Are the sides of a split alike? Differences in trait, composition, genotypes and missing calls; what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, FloatArray, Inputs, IntArray
from automl_pheno.splits.advice import advice
from automl_pheno.splits.describe import FEATURES, describe_samples
from automl_pheno.splits.distance import ks_by_chance, ks_distance, wasserstein_distance
from automl_pheno.splits.missingness import Missingness, missingness_check
from automl_pheno.splits.split import Split

Flag = Literal["ok", "watch", "warn"]

KS_LIMITS = (0.05, 0.10)
FST_LIMITS = (0.01, 0.05)
"""Below 0.05 populations count as little differentiated (Wright 1978)."""

_BLOCK_CELLS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """How the samples of a split are distributed, over all rows; for the report only, nothing is learnt from it.

    Attributes
    ----------
    samples
        See `describe_samples`.
    differences
        See `distribution_differences`.
    missingness
        Of genotypes.
    advice
        What to do, in sentences; empty where all is well.
    """

    samples: pd.DataFrame
    differences: list[dict[str, Any]]
    missingness: Missingness | None
    advice: list[str]

    def facts(self) -> dict[str, Any]:
        """Return plain values for the card: ``differences`` and ``missingness``."""
        found = self.missingness
        shown = None
        if found is not None:
            shown = {"share": _rounded(found.share), "r": _rounded(found.r), "p": _rounded(found.p),
                     "suspect": found.is_suspect, "sentence": found.sentence}  # fmt: skip
        return {"differences": self.differences, "missingness": shown}


def describe_split(
    dataset: Dataset, trait: str | None, split: Split, rng: np.random.Generator, by_design: str = ""
) -> Distribution:
    """Return the features of all samples, how they differ between the sides of `split`, and what to do.

    Where the sides differ `by_design`, as in ``regime: cross-population``, nothing is to be done about that.
    """
    y = None if trait is None else dataset.y(trait)
    samples = describe_samples(dataset, rng)
    differences = distribution_differences(samples, y, split, dataset.inputs)
    missingness = None
    if dataset.kind == "genotype" and y is not None:
        used = np.flatnonzero(split.set != "purged")
        missingness = missingness_check(dataset.inputs.take(used), y[used], split.group[used], rng)
    told = advice(differences, y, kind=dataset.kind, missingness=missingness, by_design=by_design)
    return Distribution(samples=samples, differences=differences, missingness=missingness, advice=told)


def distribution_differences(
    samples: pd.DataFrame, y: FloatArray | None, split: Split, inputs: Inputs | None = None
) -> list[dict[str, Any]]:
    """Return one row a feature and a pair of sides; of K folds only the one that differs most from the others.

    Test and validation set are compared with each other by the phenotype only.

    Parameters
    ----------
    samples
        Of ``describe_samples``, in the order of the split.
    y
        Trait, finite, shape (n,); None where there is none.
    split
        Purged samples are on no side.
    inputs
        Genotypes, for the row ``allele frequency``.

    Returns
    -------
    list
        ``name`` (``phenotype``, ``GC content``, ``PC 1`` ...), ``between`` (two sides), ``ks`` (Kolmogorov-Smirnov D),
        ``chance`` (the D that one of the features of so many independent samples reaches in 1 of 20 cases),
        ``wasserstein_sd`` (in sd of all samples), ``means`` of the two sides, ``flag``: ``ok`` (D up to 0.05),
        ``watch`` (up to 0.1, or up to what chance gives) or ``warn``. Of ``allele frequency`` instead ``fst``
        (Hudson, ratio of averages), flagged by 0.01 and 0.05, ``max_difference`` and the ``variant`` that has it.
        Features that do not vary are left out.
    """
    features = {name: samples[name].to_numpy(dtype=np.float64) for name in samples if name in FEATURES and name != "y"}
    values = features if y is None else {"y": y, **features}
    alleles = _count_alleles(inputs, split) if inputs is not None and inputs.kind == "genotype" else None
    rows = []
    for comparison in _comparisons(split):
        of_test_and_validation = comparison[0][:2] == ("test", "validation")
        for name, feature in values.items():
            if of_test_and_validation and name != "y":
                continue  # both are compared with what they are predicted from
            sd = float(feature.std())
            if sd > 1e-12 * max(float(np.abs(feature).max()), 1e-12):
                looks = len(comparison) * len(values)
                found = [_difference(FEATURES[name], pair, feature, sd, looks) for pair in comparison]
                rows.append(max(found, key=lambda row: row["ks"]) | _worst(comparison))
        if alleles is not None and not of_test_and_validation:
            frequencies = [_allele_frequencies(pair, alleles) for pair in comparison]
            rows.append(max(frequencies, key=lambda row: row["fst"]) | _worst(comparison))
    order = ["phenotype", "allele frequency", *FEATURES.values()]
    return sorted(rows, key=lambda row: order.index(row["name"]))


_Pair = tuple[str, str, IntArray, IntArray]


def _comparisons(split: Split) -> Iterator[list[_Pair]]:
    """Yield pairs of sides; those of one list are alternatives of which the worst is told."""
    if split.is_cross_validation:
        yield [(f"fold {fold.number}", "other folds", fold.validation,
                np.setdiff1d(split.development, fold.validation)) for fold in split.folds()]  # fmt: skip
        if len(split.test):
            yield [("test", "all folds", split.test, split.development)]
        return
    rows = {name: np.flatnonzero(split.set == name) for name in ("train", "validation", "test")}
    for a, b in (("validation", "train"), ("test", "train"), ("test", "validation")):
        if len(rows[a]) and len(rows[b]):
            yield [(a, b, rows[a], rows[b])]


def _worst(comparison: Sequence[_Pair]) -> dict[str, Any]:
    return {"worst_of": len(comparison)} if len(comparison) > 1 else {}


def _difference(name: str, pair: _Pair, values: FloatArray, sd: float, looks: int) -> dict[str, Any]:
    a, b, rows, others = pair
    ks = ks_distance(values[rows], values[others])
    chance = ks_by_chance(len(rows), len(others), looks)
    flag = _flag(ks, KS_LIMITS)
    return {
        "name": name,
        "between": [a, b],
        "ks": _rounded(ks),
        "chance": _rounded(chance),
        "wasserstein_sd": _rounded(wasserstein_distance(values[rows], values[others]) / sd),
        "means": [_rounded(values[rows].mean()), _rounded(values[others].mean())],
        "flag": "watch" if flag == "warn" and ks <= chance else flag,
    }


def _flag(value: float, limits: tuple[float, float]) -> Flag:
    return "ok" if value <= limits[0] else "watch" if value <= limits[1] else "warn"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Alleles:
    """Alternate alleles and alleles called on each side, counted in one pass over the genotypes."""

    side: IntArray  # of each sample; -1 for purged ones, (n,)
    alternate: FloatArray  # (sides, p)
    called: FloatArray  # (sides, p)
    names: list[str]  # of the variants

    def frequencies(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return frequency of the alternate allele and number of alleles called, each (p,); `rows` are whole sides."""
        sides = np.unique(self.side[rows])
        called = self.called[sides].sum(axis=0)
        return self.alternate[sides].sum(axis=0) / np.maximum(called, 1), called


def _count_alleles(inputs: Inputs, split: Split) -> _Alleles:
    keys = np.where(split.fold >= 0, split.fold.astype(np.str_), split.set)
    names, side = np.unique(keys, return_inverse=True)
    side = np.where(split.set == "purged", -1, side).astype(np.int64)
    alternate, called = (np.zeros((len(names), inputs.width)) for _ in range(2))
    step = max(1, _BLOCK_CELLS // max(inputs.width, 1))
    for number in range(len(names)):
        rows = np.flatnonzero(side == number)
        for start in range(0, len(rows), step):
            values = inputs.values[rows[start : start + step]]
            alternate[number] += np.nansum(values, axis=0, dtype=np.float64)
            called[number] += 2 * (len(values) - np.isnan(values).sum(axis=0))
    variants = [] if inputs.variants is None else [str(name) for name in inputs.variants["id"]]
    return _Alleles(side=side, alternate=alternate, called=called, names=variants)


def _allele_frequencies(pair: _Pair, alleles: _Alleles) -> dict[str, Any]:
    """Compare allele frequencies: Hudson's Fst in the form of Bhatia et al. 2013, ratio of averages over variants."""
    a, b, rows, others = pair
    (p, n), (q, m) = (alleles.frequencies(side) for side in (rows, others))
    usable = (n > 1) & (m > 1)
    p, q, n, m = p[usable], q[usable], n[usable], m[usable]
    between = (p - q) ** 2 - p * (1 - p) / (n - 1) - q * (1 - q) / (m - 1)
    total = float((p * (1 - q) + q * (1 - p)).sum())
    fst = float(between.sum()) / total if total > 0 else 0.0
    gaps = np.abs(p - q)
    largest = int(np.flatnonzero(usable)[int(np.argmax(gaps))]) if len(gaps) else -1
    return {
        "name": "allele frequency",
        "between": [a, b],
        "ks": None,
        "wasserstein_sd": None,
        "fst": _rounded(fst),
        "max_difference": _rounded(float(gaps.max(initial=0.0))),
        "variant": alleles.names[largest] if alleles.names and largest >= 0 else "",
        "flag": _flag(fst, FST_LIMITS),
    }


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}") if math.isfinite(value) else 0.0
