"""Fit and score on each fold of a split."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from automl_pheno.data.dataset import Dataset, Examples, FloatArray, IntArray
from automl_pheno.errors import TrainingError
from automl_pheno.metrics import METRICS, score
from automl_pheno.predictors.calibration import Calibration
from automl_pheno.predictors.protocol import FitSummary, Predictor
from automl_pheno.rng import generator
from automl_pheno.splits.split import Split

StepReport = Callable[[int, float], bool]
"""``report(step, value) -> stop?``"""

_CALIBRATION_ROWS = 500
"""At r = 0.5 the slope of so many rows has a standard error of 0.08."""
_CALIBRATION_FOLDS = 5

OnFold = Callable[[Predictor, int], None]
"""``hear(predictor, number of the fold)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """

    scores: tuple[dict[str, float], ...]
    summaries: tuple[FitSummary, ...]
    pruned: bool

    def mean(self, metric: str) -> float:
        """Return the mean of `metric` over folds."""
        return statistics.fmean(fold[metric] for fold in self.scores)

    def sd(self, metric: str) -> float:
        """Return the standard deviation over folds; nan with fewer than two."""
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


def examples(dataset: Dataset, y: FloatArray, split: Split, rows: IntArray) -> Examples:
    """Return the samples at `rows` with their trait and groups."""
    return Examples(inputs=dataset.inputs.take(rows), y=y[rows], groups=split.group[rows])


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
        punish a late bad epoch that early stopping throws away). With K folds: step = fold from 1, value = mean so far.
    before, after
        Hear of each predictor before and after its fit.

    Raises
    ------
    TrainingError
        A score is not finite.
    """
    better = max if METRICS[metric].higher_is_better else min
    scores: list[dict[str, float]] = []
    summaries: list[FitSummary] = []
    for fold in split.folds():
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
        validated = summary.validated
        result = score(validation.y, predictor.predict(validation.inputs) if validated is None else validated)
        if any(value != value for value in result.values()):
            msg = f"a prediction was not finite in fold {fold.number}"
            raise TrainingError(msg)
        scores.append(result)
        summaries.append(summary)
        if summary.stopped == "pruned":
            return CrossValidation(scores=tuple(scores), summaries=tuple(summaries), pruned=True)
        if split.is_cross_validation and report is not None:
            value = statistics.fmean(fold_scores[metric] for fold_scores in scores)
            if report(fold.number + 1, value) and fold.number + 1 < split.n_folds:
                return CrossValidation(scores=tuple(scores), summaries=tuple(summaries), pruned=True)
    return CrossValidation(scores=tuple(scores), summaries=tuple(summaries), pruned=False)


def held_out_calibration(
    make: Callable[[], Predictor], dataset: Dataset, y: FloatArray, split: Split, *, seed: int
) -> Calibration | None:
    """Return what validation rows say of the scale of a predictor that is fitted as a finalist is.

    That of the trial would not do: it chose its epoch by these rows, and the mean of several networks varies less than
    one of them, so its slope is steeper (planted motifs: 0.9 against 0.5). Folds are fitted until they hold
    enough rows.

    Parameters
    ----------
    make
        Returns an unfitted predictor that needs no validation rows.
    dataset, y, split, seed
        As for `cross_validate`.
    """
    found: list[Calibration] = []
    rows = 0
    for fold in split.folds():
        if rows >= _CALIBRATION_ROWS or fold.number >= _CALIBRATION_FOLDS:
            break
        train = examples(dataset, y, split, fold.train)
        try:
            summary = make().fit(
                train,
                examples(dataset, y, split, fold.validation),
                rng=generator(seed, "calibration", fold.number),
            )
        except TrainingError:  # of one start; the refit itself has another
            continue
        rows += len(fold.validation)
        if summary.calibration is not None:
            found.append(summary.calibration)
    return Calibration.pooled(found)
