"""Fit and score on each fold of a split."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from automl_pheno.data.dataset import Dataset, Examples, FloatArray, IntArray
from automl_pheno.errors import TrainingError
from automl_pheno.metrics import METRICS, score
from automl_pheno.predictors.protocol import FitSummary, Predictor
from automl_pheno.rng import generator
from automl_pheno.splits.split import Split

StepReport = Callable[[int, float], bool]
"""``report(step, value) -> stop?``"""

OnFold = Callable[[Predictor, int], None]
"""``hear(predictor, number of the fold)``."""


FEWEST_IN_FOLD = 10
"""Of a fold with fewer validated samples a score is chance: the correlation of two samples is 1 or -1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossValidation:
    """Scores of one candidate on the folds it ran.

    Attributes
    ----------
    scores
        One mapping from metric to value a fold.
    summaries
        What each fit did.
    pruned
        True when `report` stopped it; the scores are then those so far.
    held_out
        Prediction of each sample by fits that were validated on it, their mean where there were several, phenotype
        units, shape (n,); nan where there was none.
    pooled
        Scores over all validated samples at once, where folds are too small for scores of their own (`are_pooled`); {}
        elsewhere. The training rows of each fold have a mean of their own, above that of all samples where those that
        were left out lie below it. So the pooled correlation of a predictor that knows little is below 0, and that of
        the mean -1 where single samples are left out: a chance level, not a finding.
    """

    scores: tuple[dict[str, float], ...]
    summaries: tuple[FitSummary, ...]
    pruned: bool
    held_out: FloatArray
    pooled: Mapping[str, float]

    def mean(self, metric: str) -> float:
        """Return the mean of `metric` over folds, or its value over all validated samples where they are `pooled`."""
        return self.pooled[metric] if self.pooled else statistics.fmean(fold[metric] for fold in self.scores)

    def sd(self, metric: str) -> float:
        """Return the standard deviation over folds; nan with fewer than two, and where they are `pooled`."""
        if self.pooled:
            return float("nan")
        values = [fold[metric] for fold in self.scores]
        return statistics.stdev(values) if len(values) > 1 else float("nan")

    @property
    def epochs(self) -> int:
        """Epochs trained, over all folds."""
        return sum(summary.epochs for summary in self.summaries)

    @property
    def best_epoch(self) -> int:
        """Median over folds of the epoch whose weights were kept: how long a refit should train."""
        return max(round(statistics.median(summary.best_epoch for summary in self.summaries)), 0)

    @property
    def weights(self) -> int:
        """Number of weights, mean over folds."""
        return round(statistics.fmean(summary.weights for summary in self.summaries))

    @property
    def seconds(self) -> float:
        """Seconds of all fits."""
        return sum(summary.seconds for summary in self.summaries)

    @property
    def chosen(self) -> Mapping[str, float | int | str]:
        """What the predictor chose inside, of the first fold."""
        return self.summaries[0].chosen if self.summaries else {}


def are_pooled(y: FloatArray, parts: Iterable[IntArray]) -> bool:
    """Return whether scores of single folds say nothing, so that all their validated samples are scored at once.

    Parameters
    ----------
    y
        Trait, shape (n,).
    parts
        Validated rows of each fold; one alone is never pooled.

    Returns
    -------
    bool
        True with several folds of which one has fewer than `FEWEST_IN_FOLD` samples, or a constant trait.
    """
    known = list(parts)
    return len(known) > 1 and any(len(rows) < FEWEST_IN_FOLD or np.ptp(y[rows]) == 0.0 for rows in known)


def examples(dataset: Dataset, y: FloatArray, split: Split, rows: IntArray) -> Examples:
    """Return the samples at `rows` with their trait and groups."""
    return Examples(inputs=dataset.inputs.take(rows), y=y[rows], groups=split.group[rows])


@dataclass(slots=True)
class _HeldOut:
    """Predictions of validated samples, fold by fold."""

    y: FloatArray
    rows: list[IntArray]
    predicted: list[FloatArray]

    @property
    def size(self) -> int:
        return sum(map(len, self.rows))

    def score(self) -> dict[str, float]:
        return score(self.y[np.concatenate(self.rows)], np.concatenate(self.predicted))

    def mean(self) -> FloatArray:
        rows, times = np.concatenate(self.rows), np.zeros(len(self.y))
        total = np.zeros(len(self.y))
        np.add.at(times, rows, 1.0)
        np.add.at(total, rows, np.concatenate(self.predicted))
        return np.where(times > 0.0, total / np.maximum(times, 1.0), np.nan)


def cross_validate(
    make: Callable[[], Predictor],
    dataset: Dataset,
    y: FloatArray,
    split: Split,
    *,
    metric: str,
    seed: int,
    report: StepReport | None = None,
    before: OnFold | None = None,
    after: OnFold | None = None,
) -> CrossValidation:
    """Fit a fresh predictor on each fold's training rows and score it on the validation rows.

    Parameters
    ----------
    make
        Returns an unfitted predictor.
    dataset, y, split
        n samples, their trait (finite), and the split made for them.
    metric
        Name in ``METRICS``: what `report` gets.
    seed
        Fold f uses the generator ``rng.generator(seed, "fold", f)``.
    report
        With one validation set: step = epoch from 1, value = best so far of the metric (pruning by the raw value would
        punish a late bad epoch that early stopping throws away). With K folds: step = fold from 1, value = mean so far,
        or where folds are pooled (`are_pooled`) the value over all samples so far, once these are `FEWEST_IN_FOLD`.
    before, after
        Hear of each predictor before and after its fit.

    Raises
    ------
    TrainingError
        A prediction is not finite.
    """
    better = max if METRICS[metric].higher_is_better else min
    folds = list(split.folds())
    pooled = are_pooled(y, (fold.validation for fold in folds))
    scores: list[dict[str, float]] = []
    summaries: list[FitSummary] = []
    held_out = _HeldOut(y, [], [])

    def result(*, pruned: bool) -> CrossValidation:
        return CrossValidation(
            scores=tuple(scores),
            summaries=tuple(summaries),
            pruned=pruned,
            held_out=held_out.mean(),
            pooled=held_out.score() if pooled else {},
        )

    for fold in folds:
        train = examples(dataset, y, split, fold.train)
        validation = examples(dataset, y, split, fold.validation)
        best: list[float] = []

        def by_epoch(epoch: int, values: Mapping[str, float], best: list[float] = best) -> bool:
            value = values.get(f"val_{metric}")
            if report is None or value is None:
                return False
            best.append(value if not best else better(best[-1], value))
            return report(epoch, best[-1])

        predictor = make()
        if before is not None:
            before(predictor, fold.number)
        summary = predictor.fit(
            train,
            validation,
            rng=generator(seed, "fold", fold.number),
            report=None if split.is_cross_validation else by_epoch,
        )
        if after is not None:
            after(predictor, fold.number)
        predicted = predictor.predict(validation.inputs)
        if not np.isfinite(predicted).all():
            msg = f"a prediction was not finite in fold {fold.number}"
            raise TrainingError(msg)
        held_out.rows.append(fold.validation)
        held_out.predicted.append(predicted)
        scores.append(score(validation.y, predicted))
        summaries.append(summary)
        if summary.stopped == "pruned":
            return result(pruned=True)
        last = len(scores) == len(folds)
        if split.is_cross_validation and report is not None and (last or not pooled or held_out.size >= FEWEST_IN_FOLD):
            value = held_out.score()[metric] if pooled else statistics.fmean(one[metric] for one in scores)
            if report(fold.number + 1, value) and not last:
                return result(pruned=True)
    return result(pruned=False)
