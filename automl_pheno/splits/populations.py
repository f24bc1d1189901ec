"""Populations: clusters of samples along the leading principal components of their genotypes; two regimes by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from automl_pheno.data import Dataset, FloatArray, Inputs, IntArray
from automl_pheno.errors import SplitError
from automl_pheno.rng import generator
from automl_pheno.splits.components import learn_components
from automl_pheno.splits.groups import GROUPINGS, Found, number_in_order
from automl_pheno.splits.markers import choose_markers

Regime = Literal["unrelated", "cross-population"]

MOST_POPULATIONS = 100
GAP = 1.4
"""Ratio of the variances of two successive components from which on those before it are taken for structure. Without
structure the ratio stays below 1.3, among families too; three populations at F_ST 0.1 have 3 to 4."""

_AXES = 11  # components looked at for the gap
_MARKERS = 5_000
_STARTS = 10
_SCORED = 2_000  # samples a silhouette is computed from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Populations:
    """Populations of n samples.

    Attributes
    ----------
    labels
        int64, shape (n,), numbered in order of first appearance.
    facts
        Number, sizes, variances of the components, silhouette: plain values for the card.
    notes
        What was decided for the user.
    """

    labels: IntArray
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def populations(inputs: Inputs, k: int | None, rng: np.random.Generator) -> Populations:
    """Cluster samples by k-means on the leading components of standardised, mean-imputed genotypes.

    The trait is never seen. Left out, `k` is one more than the number of components before the largest gap, that is
    the largest ratio of the variances of two successive ones among the first 11; below a ratio of 1.4 it is 1.
    K populations span K - 1 axes (Patterson, Price & Reich 2006), and so many are clustered on.

    Parameters
    ----------
    inputs
        Genotypes of n samples.
    k
        Number of populations, 2 to 100; None chooses.
    rng
        Of the decomposition and the starts of k-means.

    Raises
    ------
    SplitError
        Sequences, `k` out of bounds, or not enough different samples for `k`.
    """
    if k is not None and not 2 <= k <= min(MOST_POPULATIONS, len(inputs)):
        msg = f"populations must be from 2 to {MOST_POPULATIONS} and at most the {len(inputs):,} samples, got {k}"
        raise SplitError(msg)
    markers = choose_markers(inputs, _MARKERS)
    chosen = replace(inputs, values=inputs.values[:, markers.columns], variants=None)
    scores = learn_components(chosen, "genotype", max(_AXES, (k or 1) - 1), rng).scores(chosen)
    spread = scores.var(axis=0)
    n_axes, gap = _axes(spread)
    facts: dict[str, Any] = {
        "markers": len(markers),
        "variances": [round(float(one), 4) for one in spread[:_AXES]],
        "largest_gap": round(gap, 3),
        "chosen": k is None,
    }
    if k is None and not n_axes:
        note = f"the genotypes show one population (no component stands out: largest gap {gap:.2f}, needed {GAP})"
        return Populations(
            labels=np.zeros(len(inputs), dtype=np.int64), facts={**facts, "populations": 1}, notes=(note,)
        )
    wanted = n_axes + 1 if k is None else k
    used = scores[:, : max(min(wanted - 1, scores.shape[1]), 1)]
    if not used.shape[1] or len(np.unique(used, axis=0)) < wanted:
        msg = f"the genotypes differ too little to make {wanted} populations of {len(inputs):,} samples"
        raise SplitError(msg)
    labels, silhouette = _clustered(used, wanted, rng)
    sizes = np.sort(np.bincount(labels))[::-1].tolist()
    facts |= {"populations": wanted, "sizes": sizes, "silhouette": round(silhouette, 4)}
    why = f"chosen from {n_axes} component{'s' if n_axes > 1 else ''} before the largest gap ({gap:.2f})"
    shown = ", ".join(f"{size:,}" for size in sizes[:10]) + (", ..." if len(sizes) > 10 else "")
    note = f"{wanted} populations of {shown} samples, {why if k is None else 'as asked'} (silhouette {silhouette:.2f})"
    return Populations(labels=labels, facts=facts, notes=(note,))


@GROUPINGS.add("clusters")
def clusters(dataset: Dataset, argument: str | None = None) -> Found:
    """Group by population; ``clusters:5`` asks for five.

    Raises
    ------
    SplitError
        Sequences, a malformed number, or only one population.
    """
    if dataset.kind != "genotype":
        msg = "groups: 'clusters' needs genotypes, and these data are sequences; for these use similarity"
        raise SplitError(msg)
    if argument is not None and not argument.strip().isdecimal():
        msg = f"groups: clusters takes a number of populations, as in clusters:5, got {argument!r}"
        raise SplitError(msg)
    found = populations(dataset.inputs, None if argument is None else int(argument), generator(0, "populations"))
    if not found.labels.any():
        msg = (
            f"groups: clusters: {found.notes[0]}, so none can be held out; group by relatedness, or state a number, as "
            "in clusters:3"
        )
        raise SplitError(msg)
    return Found(labels=found.labels, facts=found.facts, notes=found.notes)


def regime_groups(
    dataset: Dataset, regime: Regime, n_populations: int | None, rng: np.random.Generator
) -> tuple[tuple[str, ...], IntArray | None, tuple[str, ...]]:
    """Return what a regime means: groupings, labels that are to be balanced over the parts, and notes.

    ``unrelated``: relatives never cross, and populations are balanced. ``cross-population``: whole populations are
    held out. The two answer different questions and are never mixed.

    Parameters
    ----------
    dataset
        Genotypes of n samples.
    regime
        Its name.
    n_populations
        None chooses.
    rng
        Of the populations that are balanced.

    Raises
    ------
    SplitError
        Sequences, an unknown regime, or a number of populations that cannot be.
    """
    if dataset.kind != "genotype":
        msg = f"regime {regime!r} is about populations and needs genotypes; these data are sequences"
        raise SplitError(msg)
    if regime == "cross-population":
        return ("clusters" if n_populations is None else f"clusters:{n_populations}",), None, ()
    if regime != "unrelated":
        msg = f"regime must be unrelated or cross-population, got {regime!r}"
        raise SplitError(msg)
    found = populations(dataset.inputs, n_populations, rng)
    if not found.labels.any():
        return ("relatedness",), None, (*found.notes, "there are no populations to balance over the parts")
    return ("relatedness",), found.labels, (*found.notes, "populations are balanced over the parts")


def _axes(spread: FloatArray) -> tuple[int, float]:
    """Return how many components stand out, 0 for none, and the largest gap."""
    first = spread[:_AXES]
    if len(first) < 2:
        return 0, 1.0
    ratios = first[:-1] / np.maximum(first[1:], 1e-12)
    gap = float(ratios.max())
    return (int(np.argmax(ratios)) + 1 if gap >= GAP else 0), gap


def _clustered(scores: FloatArray, k: int, rng: np.random.Generator) -> tuple[IntArray, float]:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    seed = int(rng.integers(2**31 - 1))
    labels = number_in_order(KMeans(k, n_init=_STARTS, random_state=seed).fit_predict(scores).astype(np.int64))
    some = np.sort(rng.choice(len(scores), size=min(_SCORED, len(scores)), replace=False))
    n_labels = len(np.unique(labels[some]))
    silhouette = silhouette_score(scores[some], labels[some]) if 1 < n_labels < len(some) else 0.0
    return labels, float(silhouette)
