"""Whether the best network beats the best baseline: from numbers, and then in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from automl_pheno.metrics import METRICS

Verdict = Literal["better", "worse", "unclear"]

WEAK = 0.3
"""Below this Pearson r on the test set an explanation is of little worth."""
JUDGED = ("pearson_r", "rmse")
"""Metrics that must agree, beside the one of the study: the order of the samples, and the scale."""
_WORDS: Mapping[Verdict, str] = {
    "better": "is better than",
    "worse": "is worse than",
    "unclear": "is not shown to be better than",
}
_IN_ONE_MEASURE: Mapping[Verdict, str] = {"better": "better", "worse": "worse", "unclear": "no clear difference"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """``metric(network) - metric(baseline)`` on the test set with its 95 % interval; None where it is not known."""

    metric: str
    difference: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> Verdict:
        if self.low is None or self.high is None:
            return "unclear"
        sign = 1.0 if METRICS[self.metric].higher_is_better else -1.0
        worst, best = sorted((sign * self.low, sign * self.high))
        return "better" if worst > 0.0 else "worse" if best < 0.0 else "unclear"


def verdict_of(comparison: Mapping[str, Any]) -> Verdict:
    """Return whether the network beats the baseline beyond chance.

    Parameters
    ----------
    comparison
        Of ``final.json``. Its ``measures`` must all agree: a network that orders the samples better and misses their
        scale by more is not better. An older one has only ``metric``, ``difference``, ``low`` and ``high``.

    Returns
    -------
    str
        ``better`` or ``worse`` only where the 95 % interval of every measure says so; else ``unclear``.
    """
    verdicts = {measure.verdict for measure in _measures(comparison)}
    return verdicts.pop() if len(verdicts) == 1 else "unclear"


def comparison_sentence(comparison: Mapping[str, Any]) -> str:
    """Return the verdict in words, with every difference and its interval; see `verdict_of`."""
    measures = list(_measures(comparison))
    verdict = verdict_of(comparison)
    head = f"The network {comparison['network']} {_WORDS[verdict]} {_spelt(str(comparison['baseline']))}"
    if verdict == "unclear" and {"better", "worse"} <= {measure.verdict for measure in measures}:
        parts = [f"{_IN_ONE_MEASURE[measure.verdict]} in {_told(measure)}" for measure in measures]
        return f"{head}, as the measures disagree: {', '.join(parts)}."
    return f"{head}: difference in {', in '.join(_told(measure) for measure in measures)}."


def finalist_warnings(final: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what must be read with an explanation of one finalist of ``final.json``."""
    said = (comparison_warning(final, entry), weakness_warning(entry))
    return tuple(warning for warning in said if warning)


def comparison_warning(final: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Return that a network is not shown to beat the baseline; "" for a baseline, and where it does."""
    comparison = final.get("comparison")
    if entry["kind"] != "network" or comparison is None or verdict_of(comparison) == "better":
        return ""
    so_what = "What a network uses that does not beat the baseline may not be what matters."
    return f"{comparison_sentence(comparison)} {so_what}"


def weakness_warning(entry: Mapping[str, Any]) -> str:
    """Return that a finalist predicts weakly on the test set; "" where it does not, or was not tested."""
    r = _number((entry.get("test") or {}).get("pearson_r"))
    if r is None or r >= WEAK:
        return ""
    return f"{entry['name']} predicts weakly (test r = {r:.3f}): what it uses may be chance."


def scale_sentence(finalist: Mapping[str, Any]) -> str:
    """Return in words that predictions of the test samples are off in scale; "" where that is not shown.

    Parameters
    ----------
    finalist
        Of ``final.json``; it is off where the 95 % interval of the slope of observed on predicted lacks 1.
    """
    found = finalist.get("calibration") or {}
    slope, low, high = (_number(found.get(key)) for key in ("slope", "slope_low", "slope_high"))
    if slope is None or low is None or high is None or low <= 1.0 <= high:
        return ""
    how = "less" if low > 1.0 else "more"
    return (
        f"Predictions of {finalist['name']} differ {how} than what they predict: where they differ by 1, the observed "
        f"test samples differ by {slope:.2f} (95 % interval {low:.2f} to {high:.2f})."
    )


def _measures(comparison: Mapping[str, Any]) -> Iterator[_Measure]:
    """Yield what is compared, the metric of the study first."""
    metric = str(comparison.get("metric") or JUDGED[0])
    measures = dict(comparison.get("measures") or {})
    measures.setdefault(metric, comparison)
    for name in sorted(measures, key=lambda name: name != metric):
        said = measures[name]
        yield _Measure(
            metric=name,
            difference=_number(said.get("difference")),
            low=_number(said.get("low")),
            high=_number(said.get("high")),
        )


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _told(measure: _Measure) -> str:
    label = METRICS[measure.metric].label
    if measure.difference is None:
        return f"{label} unknown"
    if measure.low is None or measure.high is None:
        return f"{label} {_signed(measure.difference)} (interval unknown)"
    return f"{label} {_signed(measure.difference)} (95 % interval {_signed(measure.low)} to {_signed(measure.high)})"


def _signed(value: float) -> str:
    """Return the number with its sign, in so many digits that no difference looks like none."""
    size = abs(value)
    if size >= 1000.0:
        return f"{value:+,.0f}"
    return f"{value:+.3f}" if size >= 0.0005 or value == 0.0 else f"{value:+.1g}"


def _spelt(baseline: str) -> str:
    return baseline.upper() if baseline in ("gblup", "rkhs") else baseline.replace("_", " ")
