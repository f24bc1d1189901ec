"""How good predictions are: scores and calibration with intervals, and network against baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from automl_pheno.data import FloatArray, IntArray
from automl_pheno.metrics import METRICS, bootstrap_calibration, bootstrap_difference, bootstrap_interval, score
from automl_pheno.rng import generator
from automl_pheno.study.verdict import JUDGED, comparison_sentence, verdict_of

FEWEST_GROUPS = 8
"""With fewer groups of samples whole groups cannot be resampled: of one group every resample is the same."""
_MOST_RESAMPLES, _FEWEST_RESAMPLES = 2000, 200
_CELLS = 100_000_000
"""Resampled values in all: validated samples may be a hundred times as many as test samples."""


def clusters_of(groups: IntArray) -> IntArray | None:
    """Return the groups where whole groups are to be resampled; None where samples are."""
    return groups if FEWEST_GROUPS <= len(np.unique(groups)) < len(groups) else None


def interval_note(groups: IntArray) -> str:
    """Return what must be said of the intervals of test samples of these groups; "" where there is nothing."""
    n, n_groups = len(groups), len(np.unique(groups))
    if n_groups >= min(FEWEST_GROUPS, n):
        return ""
    return (
        f"The {n:,} test samples are of {n_groups} group{'s' if n_groups > 1 else ''}, too few to draw "
        "groups anew: the intervals take samples as independent, so they are too narrow."
    )


def assess(y: FloatArray, predictions: FloatArray, groups: IntArray, *, seed: int, name: str) -> dict[str, Any]:
    """Return ``test`` (metric -> value), ``intervals`` (metric -> low, high) and ``calibration`` of a finalist.

    Parameters
    ----------
    y, predictions, groups
        Of the test samples, shape (n,).
    seed, name
        Of the study and of the finalist: they give the resamples.
    """
    clusters = clusters_of(groups)
    rng = generator(seed, "bootstrap", name)
    return {
        "test": score(y, predictions),
        "intervals": {
            metric: list(bootstrap_interval(y, predictions, metric, rng, groups=clusters)) for metric in METRICS
        },
        "calibration": bootstrap_calibration(y, predictions, rng, groups=clusters),
    }


def validation_calibration(
    y: FloatArray, predictions: FloatArray, groups: IntArray, *, seed: int, name: str
) -> dict[str, float]:
    """Return slope and intercept with intervals, from held-out predictions of development samples.

    Parameters
    ----------
    y, predictions, groups
        Of the development samples, shape (n,); a prediction is nan where the sample was never validated on.
    seed, name
        Of the study and of the candidate: they give the resamples.
    """
    rows = np.flatnonzero(np.isfinite(predictions))
    n = int(np.clip(_CELLS // max(len(rows), 1), _FEWEST_RESAMPLES, _MOST_RESAMPLES))
    rng = generator(seed, "bootstrap", "validation", name)
    return bootstrap_calibration(y[rows], predictions[rows], rng, n=n, groups=clusters_of(groups[rows]))


def compare(
    y: FloatArray, network: FloatArray, baseline: FloatArray, groups: IntArray, *, metric: str, seed: int
) -> dict[str, Any]:
    """Return ``metric(network) - metric(baseline)`` on the test samples with its interval, for each metric that counts.

    Parameters
    ----------
    y, network, baseline, groups
        Trait, predictions and groups of the test samples, shape (n,).
    metric
        Of the study; it is judged beside `verdict.JUDGED`.
    seed
        Of the study.
    """
    measures = {}
    for name in dict.fromkeys((metric, *JUDGED)):
        rng = generator(seed, "bootstrap", "difference")  # the same resamples for each
        difference, low, high = bootstrap_difference(y, network, baseline, name, rng, groups=clusters_of(groups))
        measures[name] = {"difference": difference, "low": low, "high": high}
    return {"metric": metric, **measures[metric], "measures": measures}


def in_words(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison with its ``verdict`` and ``sentence``."""
    return {**comparison, "verdict": verdict_of(comparison), "sentence": comparison_sentence(comparison)}
