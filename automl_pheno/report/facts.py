"""What the sentences of a report are made of: numbers of the run's files under names, and what follows from them.

Each number has one source, a file of the run. What words like "better", "weak" or "too close together" mean is decided
here or where the number is made, from numbers alone; a sentence is never read back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from automl_pheno.metrics import METRICS, Metric, calibration
from automl_pheno.report.read import RunFiles
from automl_pheno.study.verdict import Verdict, verdict_of

Scale = Literal["right", "narrow", "wide", "unknown"]
OTHERS = {"pearson_r": "Pearson r", "r2": "R²", "rmse": "RMSE"}
"""Metrics named beside the one of the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The line of observed on predicted test samples, with 95 % intervals where these are known."""

    slope: float
    intercept: float
    slope_low: float | None = None
    slope_high: float | None = None
    intercept_low: float | None = None
    intercept_high: float | None = None

    @property
    def scale(self) -> Scale:
        """Whether predictions spread as they should: ``narrow`` where the whole interval of the slope is above 1."""
        if self.slope_low is None or self.slope_high is None:
            return "unknown"
        return "narrow" if self.slope_low > 1.0 else "wide" if self.slope_high < 1.0 else "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The winner of a run that was tested, or whose test set was too small.

    Attributes
    ----------
    name, kind, trait, metric
        The winner, ``network`` or ``baseline``, what it predicts, and by what it was chosen.
    validation, pooled
        By which it won, and whether that is over all held-out samples at once, since folds were too small.
    n_test, score, low, high, others
        Of the test set; None and {} where it was not tested.
    calibration
        None where it is not known: not tested, or a constant prediction.
    tied_with, tie_note
        Candidates that validation cannot tell apart from the winner, and that in a sentence.
    passed_over
        The network that is better in validation, and its value, where by the rule of choice the winner stands for it.
    comparison
        Of the best network with the best baseline; None where one of the two is missing.
    note
        Why nothing was tested.
    """

    name: str
    kind: str
    trait: str
    metric: Metric
    validation: float | None
    pooled: bool = False
    n_test: int = 0
    score: float | None = None
    low: float | None = None
    high: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    calibration: Calibration | None = None
    tied_with: Sequence[str] = ()
    tie_note: str = ""
    passed_over: tuple[str, float] | None = None
    comparison: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """Whether the best network beats the best baseline; None where they were not compared."""
        return None if self.comparison is None else verdict_of(self.comparison)

    @property
    def is_below_the_mean(self) -> bool:
        """Whether errors on the test set are larger than those of one value for all, their mean."""
        r2 = self.score if self.metric.name == "r2" else self.others.get("r2")
        return r2 is not None and r2 < 0.0

    @property
    def is_contradicted(self) -> bool:
        """Whether the test set puts the other kind before the winner's, beyond chance."""
        return self.verdict == ("worse" if self.kind == "network" else "better")

    @property
    def stands_alone(self) -> bool:
        """Whether the winner may be called the best: nothing ties with it and the test set does not object."""
        if self.tied_with or self.is_contradicted:
            return False
        return self.verdict != "unclear" or self.kind == "baseline"


def outcome_of(run: RunFiles) -> Outcome | None:
    """Return how the run ended; None before its final test."""
    final = run.final
    if final is None:
        return None
    winner = final["winner"]
    test = winner.get("test") or {}
    return Outcome(
        name=str(winner["name"]),
        kind="network" if winner["kind"] == "network" else "baseline",
        trait=run.trait,
        metric=run.metric,
        validation=_known(winner.get("validation")),
        pooled=bool(final.get("pooled")),
        n_test=int(final.get("n_test") or 0),
        score=_known(test.get(run.metric.name)),
        low=_known(winner.get("low")),
        high=_known(winner.get("high")),
        others={key: test[key] for key in OTHERS if key != run.metric.name and _known(test.get(key)) is not None},
        calibration=calibration_of(final, run.predictions, str(winner["name"])),
        tied_with=tuple(map(str, final.get("tied_with") or ())),
        tie_note=str(final.get("tie_note") or ""),
        passed_over=_passed_over(final),
        comparison=final.get("comparison"),
        note=str(final.get("note") or ""),
    )


def _passed_over(final: Mapping[str, Any]) -> tuple[str, float] | None:
    choice = final.get("choice") or {}
    if choice.get("network") != final["winner"]["name"] or choice["best"] == choice["network"]:
        return None
    return str(choice["best"]), float(choice["of_best"])


def calibration_of(final: Mapping[str, Any] | None, predictions: pd.DataFrame | None, name: str) -> Calibration | None:
    """Return the calibration of a finalist on the test set, of an older run from its predictions and without intervals.

    None where it was not tested or predicts the same for every sample.
    """
    entry: Mapping[str, Any] = next((one for one in (final or {}).get("finalists", ()) if one["name"] == name), {})
    stated = entry.get("calibration")
    if stated is not None:
        known = {key: _known(stated.get(key)) for key in Calibration.__dataclass_fields__}
        if known["slope"] is None or known["intercept"] is None:
            return None
        return Calibration(**known)  # type: ignore[arg-type]  # both are known
    if predictions is None or name not in predictions:
        return None
    both = predictions[["observed", name]].dropna()
    slope, intercept = calibration(both["observed"].to_numpy(dtype=float), both[name].to_numpy(dtype=float))
    return None if math.isnan(slope) else Calibration(slope=slope, intercept=intercept)


def is_leakage_free(card: Mapping[str, Any]) -> bool:
    """Return whether the audit of the split proved that what is alike at the stated thresholds lies on one side."""
    audit = card.get("audit") or {}
    if not audit or audit.get("leaks") or audit.get("library"):
        return False
    alike = [check for check in audit.get("checks", ()) if check["kind"] in ("identity", "relatedness")]
    return bool(alike) and all(check["judged"] for check in alike) and audit.get("similarity") is not None


def _known(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def metric_label(name: str) -> str:
    """Return a metric as a reader knows it."""
    return METRICS[name].label if name in METRICS else name.replace("_", " ")
