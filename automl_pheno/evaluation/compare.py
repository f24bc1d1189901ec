"""What honesty costs: the same predictors, and leak detectors, on a random split and on the one that is used."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, FloatArray, IntArray
from automl_pheno.errors import PredictorError, TrainingError
from automl_pheno.evaluation.cross_validation import are_pooled, cross_validate
from automl_pheno.evaluation.detectors import DETECTORS, detectors_for
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.progress import tick
from automl_pheno.rng import generator
from automl_pheno.splits.assign import assign
from automl_pheno.splits.groups import make_groups
from automl_pheno.splits.split import Split

RANDOM = "random"
THIS = "this_split"
"""Columns of the comparison; each has a neighbour ``<name>_sd``."""

_CORRELATIONS = ("pearson_r", "spearman")
_NOTABLE = 0.1  # correlation of a detector, or inflation, that is worth a sentence
_STRONG = 0.3
_FOLDS = "their scatter over folds"

Make = Callable[[], Predictor]


def development_of(dataset: Dataset, split: Split) -> tuple[Dataset, Split]:
    """Return the samples that are trained on or validated on, and their split; the test set stays sealed."""
    rows = split.development
    return dataset.take(rows), split.take(rows)


def random_like(dataset: Dataset, y: FloatArray, split: Split, seed: int) -> Split:
    """Return a random split of the same samples into parts of the same sizes; only duplicates stay together.

    Parameters
    ----------
    dataset, y, split
        Development samples (`development_of`), their trait, and the split to be compared with. As many samples as it
        purges from the training of a fold are left out at random here, too, so that as many are learnt from.
    seed
        Of the split.
    """
    rng = generator(seed, "random split")
    labels = make_groups(dataset, (RANDOM,)).labels
    if split.is_cross_validation:
        sizes = np.bincount(split.fold, minlength=split.n_folds)
        fold = assign(labels, y, sizes / sizes.sum(), rng)
        return replace(split, group=labels, fold=fold, purged_from=_thinned(split, fold, rng))
    sizes = np.array([(split.set == name).sum() for name in ("train", "validation")])
    part = assign(labels, y, sizes / sizes.sum(), rng)
    return replace(split, group=labels, set=np.where(part == 1, "validation", "train").astype(np.str_))


def _thinned(split: Split, fold: IntArray, rng: np.random.Generator) -> np.typing.NDArray[np.bool_] | None:
    if split.purged_from is None:
        return None
    purged = np.zeros_like(split.purged_from)
    for number in range(split.n_folds):
        lost = int((split.purged_from[:, number] & (split.fold != number)).sum())
        others = np.flatnonzero(fold != number)
        purged[rng.choice(others, size=min(lost, len(others) - 1), replace=False), number] = True
    return purged


def compare_splits(
    dataset: Dataset,
    trait: str,
    splits: Mapping[str, Split],
    predictors: Mapping[str, Make],
    *,
    metric: str,
    seed: int,
    detectors: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return predictors and leak detectors, scored on the folds of each of `splits`; test sets are not read.

    Parameters
    ----------
    dataset
        n samples.
    splits
        Name -> split of these samples; the first is the flattering one, the last the one that is used, whose groups
        ``group_mean`` reads.
    predictors
        Name -> maker of an unfitted predictor.
    metric
        Name in ``METRICS``.
    seed
        Of the fits.
    detectors
        Names in ``DETECTORS``; None takes those that apply.

    Returns
    -------
    DataFrame
        ``name, kind`` (baseline or detector), for each split ``<name>, <name>_sd`` (mean and sd over folds),
        ``inflation`` (by how much the first split looks better than the last, whatever the metric's direction),
        ``inflation_se`` (its standard error over folds), ``metric``, ``folds``,
        ``validated`` (samples in a fold, on average; where folds are pooled, in all), ``note``. Predictors come first,
        best on the last split first. A score that cannot be had is missing, and ``note`` says why.
    """
    y = dataset.y(trait)
    groups = list(splits.values())[-1].group
    chosen = detectors_for(dataset.inputs) if detectors is None else tuple(detectors)
    total = len(splits) * (len(predictors) + len(chosen))
    done = 0
    rows: list[dict[str, Any]] = []
    parts = [fold.validation for fold in list(splits.values())[-1].folds()]
    sizes = [len(rows) for rows in parts]
    validated = sum(sizes) if are_pooled(y, parts) else round(statistics.fmean(sizes))
    for kind, names in (("baseline", tuple(predictors)), ("detector", chosen)):
        for name in names:
            scores: dict[str, list[float]] = {}
            notes = []
            for key, split in splits.items():
                tick(f"comparing splits: {name}", done / total)
                done += 1
                try:
                    if kind == "baseline":
                        scores[key] = _fold_scores(predictors[name], dataset, y, split, metric, seed)
                    else:
                        scores[key] = list(_detect(name, dataset, y, split, groups, metric, seed))
                except (PredictorError, TrainingError) as error:
                    scores[key] = []
                    notes.append(f"{key}: {error}")
            rows.append({**_row(name, kind, scores, metric, notes), "validated": validated})
    tick("comparing splits", 1.0)
    return _ordered(pd.DataFrame(rows), list(splits)[-1], metric)


def _fold_scores(make: Make, dataset: Dataset, y: FloatArray, split: Split, metric: str, seed: int) -> list[float]:
    result = cross_validate(make, dataset, y, split, metric=metric, seed=seed)
    return [result.pooled[metric]] if result.pooled else [fold[metric] for fold in result.scores]


def _detect(
    name: str, dataset: Dataset, y: FloatArray, split: Split, groups: IntArray, metric: str, seed: int
) -> Iterator[float]:
    detect, function = DETECTORS[name].detect, METRICS[metric].function
    rows, predicted = [], []
    for fold in split.folds():
        rng = generator(seed, "detector", name, fold.number)
        rows.append(fold.validation)
        predicted.append(detect(dataset, y, fold.train, fold.validation, groups, rng))
    if are_pooled(y, rows):
        yield function(y[np.concatenate(rows)], np.concatenate(predicted))
        return
    for validated, one in zip(rows, predicted, strict=True):
        yield function(y[validated], one)


def _row(
    name: str, kind: str, scores: Mapping[str, Sequence[float]], metric: str, notes: Sequence[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "kind": kind}
    for key, values in scores.items():
        row[key] = statistics.fmean(values) if values else math.nan
        row[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else math.nan
    first, *_, last = scores
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    row["inflation"] = sign * (row[first] - row[last])
    folds = len(scores[last])
    row["inflation_se"] = math.sqrt((row[f"{first}_sd"] ** 2 + row[f"{last}_sd"] ** 2) / max(folds, 1))
    return row | {"metric": metric, "folds": folds, "note": "; ".join(notes)}


def _ordered(table: pd.DataFrame, last: str, metric: str) -> pd.DataFrame:
    """Return baselines, best on the last split first, then detectors in their own order."""
    ascending = not METRICS[metric].higher_is_better
    baselines = table[table["kind"] == "baseline"].sort_values(last, ascending=ascending, kind="stable")
    ordered: pd.DataFrame = pd.concat([baselines, table[table["kind"] == "detector"]], ignore_index=True)
    return ordered


def explain_comparison(table: pd.DataFrame) -> list[str]:
    """Return what a comparison of the splits ``random`` and ``this_split`` by `compare_splits` says, in sentences."""
    metric = METRICS[str(table["metric"].iloc[0])]
    baselines = table[(table["kind"] == "baseline") & table["inflation"].notna()]
    told = []
    if len(baselines):
        best = baselines.sort_values(RANDOM, ascending=not metric.higher_is_better).iloc[0].to_dict()
        told.append(_flattery(best, metric.label, correlation=metric.name in _CORRELATIONS))
        told += _on_average(baselines)
    if metric.name not in _CORRELATIONS:
        return told
    for row in table[table["kind"] == "detector"].to_dict("records"):
        means = DETECTORS[str(row["name"])].means
        if row["inflation"] > max(_NOTABLE, 2.0 * _standard_error(row)[0]):
            told.append(
                f"{row['name']} alone scores {row[RANDOM]:.2f} at random and {row[THIS]:.2f} here: at random, {means}."
            )
        elif row[THIS] > _STRONG:
            told.append(f"{row['name']} alone still scores {row[THIS]:.2f} on this split: {means}.")
    return told


def _flattery(best: Mapping[str, Any], label: str, *, correlation: bool) -> str:
    first, second = float(best[RANDOM]), float(best[THIS])
    scores = f"{best['name']}, the best at random, scores {label} {first:.3f} there and {second:.3f} on this split"
    by = float(best["inflation"])
    se, source = _standard_error(best) if correlation else (float(best["inflation_se"]), _FOLDS)
    if math.isnan(se):
        return f"A random split {'flatters' if by > 0 else 'does not flatter'}: {scores}, {abs(by):.3f} apart."
    if by > 2.0 * se:
        return f"A random split flatters: {scores}, {by:.3f} too good (standard error {se:.3f}, from {source})."
    if by < -2.0 * se:
        return f"A random split does not flatter here: {scores} (standard error {se:.3f}, from {source})."
    return f"Random and this split agree within noise: {scores} (standard error {se:.3f}, from {source})."


def _standard_error(row: Mapping[str, Any]) -> tuple[float, str]:
    """Return the standard error of the inflation of a correlation, and what it is taken from."""
    if not math.isnan(row["inflation_se"]):
        return float(row["inflation_se"]), _FOLDS
    n = int(row["validated"])
    variance = sum((1.0 - float(row[key]) ** 2) ** 2 for key in (RANDOM, THIS)) / max(n - 1, 1)  # in large samples
    return math.sqrt(variance), f"one validation set of {n:,} samples each"


def _on_average(baselines: pd.DataFrame) -> list[str]:
    """Return by how much the baselines that predict something are flattered on average; nothing for one alone."""
    shown = baselines[baselines["name"] != "mean"]
    if len(shown) < 2:
        return []
    mean = float(shown["inflation"].mean())
    way = "better" if mean >= 0 else "worse"
    return [f"On average the {len(shown)} baselines look {abs(mean):.3f} {way} at random than on this split."]
