"""What held-out predictions of the development samples say of the finalists: which are tied, and off in scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_pheno.data import FloatArray, IntArray, load_dataset
from automl_pheno.evaluation.cross_validation import are_pooled
from automl_pheno.metrics import CALIBRATION, METRICS, resamples
from automl_pheno.rng import generator
from automl_pheno.splits import Split, read_split
from automl_pheno.study.assessment import FEWEST_GROUPS, clusters_of, validation_calibration
from automl_pheno.study.choice import order_candidates
from automl_pheno.study.out_of_fold import read_predictions
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import DEVELOPMENT, SPLIT

LEVEL = 0.95
MOST_COMPARED = 20
"""Candidates that are compared with the winner beside the finalists: the best by validation."""
_MOST_RESAMPLES, _FEWEST_RESAMPLES = 1000, 200
_CELLS = 40_000_000
"""Resampled values in all, so that large data take seconds and not minutes."""
_NAMED = 6
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """Candidates that are as good as the winner, as far as validation shows.

    Attributes
    ----------
    names
        Of these candidates, in the order in which they were given.
    samples, candidates
        Held-out samples, and candidates, that were compared.
    grouped
        Whether whole groups were resampled.
    few_groups
        Groups of the samples, where these are too few to be resampled; 0 elsewhere.
    """

    names: tuple[str, ...]
    samples: int
    candidates: int
    grouped: bool
    few_groups: int = 0


def find_ties(
    winner: str,
    predictions: Mapping[str, FloatArray],
    *,
    y: FloatArray,
    parts: Sequence[IntArray],
    groups: IntArray,
    metric: str,
    rng: np.random.Generator,
) -> Ties:
    """Compare the winner with the other candidates by a paired bootstrap of their held-out predictions.

    The score is the mean of the metric over `parts`, on the same resamples for all candidates. A candidate is tied
    where its difference from the winner lies within the simultaneous 95 % interval of all differences (the maximum of
    the studentized bootstrap differences; Romano & Wolf 2005, Econometrica 73:1237): since the winner is the best of
    many, one interval for each would tell too many apart.

    Parameters
    ----------
    winner
        Its name.
    predictions
        Name -> held-out predictions, shape (n,), finite at the rows of `parts`; the winner's among them.
    y, groups
        Trait and groups, shape (n,).
    parts
        Rows that are scored together: those of each fold, or of all folds where they are pooled.
    metric
        Name in ``METRICS``.
    rng
        Draws the resamples.
    """
    rows = np.concatenate(parts)
    clusters = [clusters_of(groups[part]) for part in parts]
    if len(parts) > 1 and any(one is None for one in clusters) and (whole := clusters_of(groups[rows])) is not None:
        parts, clusters = [rows], [whole]  # few groups a fold, but enough in all
    names = [winner, *(name for name in predictions if name != winner)]
    cells = max(len(rows) * len(names), 1)
    n = int(np.clip(_CELLS // cells, _FEWEST_RESAMPLES, _MOST_RESAMPLES))
    chosen = METRICS[metric]
    values, drawn = np.zeros(len(names)), np.zeros((len(names), n))
    for part, one in zip(parts, clusters, strict=True):
        observed = y[part]
        predicted = [predictions[name][part] for name in names]
        values += [chosen.function(observed, each) / len(parts) for each in predicted]
        at = 0
        for sample in resamples(len(part), n, one, rng):
            sampled = observed[sample]
            for number, each in enumerate(predicted):
                drawn[number, at : at + len(sample)] += chosen.rowwise(sampled, each[sample]) / len(parts)
            at += len(sample)
    tied = _tied(values[0] - values[1:], drawn[0] - drawn[1:])
    return Ties(
        names=tuple(name for name, is_tied in zip(names[1:], tied, strict=True) if is_tied),
        samples=len(rows),
        candidates=len(names),
        grouped=any(one is not None for one in clusters),
        few_groups=0 if all(one is not None for one in clusters) else _few_groups(groups[rows]),
    )


def _few_groups(groups: IntArray) -> int:
    found = len(np.unique(groups))
    return found if found < min(FEWEST_GROUPS, len(groups)) else 0


def _tied(differences: FloatArray, drawn: FloatArray) -> list[bool]:
    """Return for each difference, and its resamples in a row of `drawn`, whether it may be 0."""
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    if len(differences) == 0 or drawn.shape[1] < 2:
        return [True] * len(differences)  # nothing can be told
    spread = drawn.std(axis=1, ddof=1)
    varies = spread > 1e-12 * np.abs(drawn).max(axis=1)
    studentized = np.abs(drawn - differences[:, None])[varies] / spread[varies][:, None]
    limit = float(np.quantile(studentized.max(axis=0), LEVEL)) if varies.any() else 0.0
    return [bool(one) for one in np.abs(differences) <= np.where(varies, limit * spread, 0.0)]


def tie_sentence(winner: str, ties: Ties, *, is_first: bool, unknown: int) -> str:
    """Return what the winner is worth as one, in a sentence; "" where validation tells it apart from all others.

    Parameters
    ----------
    winner
        Its name.
    ties
        See `find_ties`.
    is_first
        Whether it has the best value by validation of those that are tied.
    unknown
        Candidates whose held-out predictions are not kept here, so that they were not compared.
    """
    left = "candidate" if unknown == 1 else "candidates"
    missing = f" {unknown} {left} without held-out predictions in this folder could not be compared." if unknown else ""
    if not ties.names:
        return missing.strip()
    names = [winner, *ties.names]
    shown = names if len(names) <= _NAMED else [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    count = _NUMBERS[len(names)] if len(names) < len(_NUMBERS) else str(len(names))
    rank = "first of" if is_first else "one of"
    unit = "groups" if ties.grouped else "samples"
    if ties.few_groups:
        of = "1 group" if ties.few_groups == 1 else f"{ties.few_groups} groups"
        missing = f" These are of {of}, too few to draw groups anew, so more may be tied.{missing}"
    return (
        f"{winner} is {rank} {count} that validation cannot tell apart: {', '.join(shown[:-1])} and {shown[-1]} "
        f"({LEVEL:.0%} paired bootstrap of {unit} over {ties.samples:,} held-out predictions, jointly for "
        f"{ties.candidates} candidates).{missing}"
    )


class HeldOut:
    """The development samples of a run, and what its candidates predicted of those that were held out from them.

    Parameters
    ----------
    run
        Folder of the run.
    trait
        Name of the trait.
    seed
        Of the study.
    """

    def __init__(self, run: Path, trait: str, *, seed: int) -> None:
        split = read_split(run / SPLIT)
        self._run = run
        self._seed = seed
        self._split = split.take(split.development)
        self._y = load_dataset(run / DEVELOPMENT).y(trait)

    def calibration(self, record: TrialRecord) -> Mapping[str, float | None] | None:
        """Return slope and intercept on held-out samples, without intervals where only the record has them."""
        predictions = self._predictions(record.name)
        if predictions is None:
            known = record.validation_calibration
            return {key: known.get(key) for key in CALIBRATION} if known else None
        return validation_calibration(self._y, predictions, self._split.group, seed=self._seed, name=record.name)

    def ties(
        self, winner: TrialRecord, finalists: Iterable[TrialRecord], records: Iterable[TrialRecord], *, metric: str
    ) -> tuple[tuple[str, ...], str]:
        """Return the names of the candidates that are tied with the winner, best first by validation, and a sentence.

        Parameters
        ----------
        winner, finalists
            Of the run.
        records
            All: beside the finalists the best `MOST_COMPARED` could have won.
        metric
            Of the validation.
        """
        ordered = order_candidates(records, metric=metric)
        names = {record.name for record in (winner, *finalists, *ordered[:MOST_COMPARED])}
        compared = [record for record in ordered if record.name in names]
        parts = parts_of(self._y, self._split)
        known = {
            record.name: predictions
            for record in compared
            if (predictions := self._predictions(record.name)) is not None
            and all(np.isfinite(predictions[part]).all() for part in parts)
        }
        if winner.name not in known:
            said = (
                f"Held-out predictions of {winner.name} are not in this folder, so it is not known who is tied with it."
            )
            return (), said if len(compared) > 1 else ""
        ties = find_ties(
            winner.name,
            known,
            y=self._y,
            parts=parts,
            groups=self._split.group,
            metric=metric,
            rng=generator(self._seed, "bootstrap", "ties"),
        )
        first = next(record.name for record in compared if record.name in {winner.name, *ties.names})
        unknown = len(compared) - len(known)
        return ties.names, tie_sentence(winner.name, ties, is_first=first == winner.name, unknown=unknown)

    def _predictions(self, name: str) -> FloatArray | None:
        return read_predictions(self._run, name, len(self._y))


def parts_of(y: FloatArray, split: Split) -> list[IntArray]:
    """Return the validated rows that are scored together: of each fold, or all where folds are pooled or repeated.

    Parameters
    ----------
    y, split
        Of the development samples.
    """
    parts = [fold.validation for fold in split.folds()]
    rows = np.unique(np.concatenate(parts))
    is_repeated = len(rows) < sum(map(len, parts))
    return [rows] if is_repeated or are_pooled(y, parts) else parts
