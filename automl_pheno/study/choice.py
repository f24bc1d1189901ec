"""Which candidates are refitted and tested, and which network stands for the search.

The best of many trials is best in part by chance, and on few samples mostly so. The hand-made configuration, which the
search tries first, was chosen before anything was seen: its value is not the best of anything. So the rule of one
standard error (Breiman et al. 1984, section 3.4.3) is turned towards it: a configuration that was searched must be
better than it by more than the standard error of the difference, or the hand-made one stands for the search.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from automl_pheno.metrics import METRICS
from automl_pheno.registry import Registry
from automl_pheno.study.records import TrialRecord, finite


def order_candidates(records: Iterable[TrialRecord], *, metric: str) -> list[TrialRecord]:
    """Return all complete networks and baselines, best first by validation."""
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    complete = [record for record in records if record.state == "complete" and record.value is not None]
    return _distinct(sorted(complete, key=lambda record: sign * (record.value or 0.0)))


def choose_finalists(
    records: Sequence[TrialRecord],
    *,
    metric: str,
    networks: int,
    baselines: int | None = None,
    choice: Choice | None = None,
) -> list[TrialRecord]:
    """Return the best complete networks and baselines, in the order in which they win: best first by validation.

    Parameters
    ----------
    records
        Of all trials and baselines.
    metric
        Of the validation.
    networks, baselines
        How many of each at most; None: all baselines.
    choice
        Of `choose_network`: the network that was chosen comes before all others, and the hand-made configuration is
        among the networks where these are two or more.
    """
    ordered = order_candidates(records, metric=metric)
    if choice is not None:
        ordered = _chosen_first(ordered, choice.network)
    named = [record.name for record in ordered if record.kind == "network"]
    best = named[:networks]
    if choice is not None and choice.default is not None and networks > 1 and choice.default not in best:
        best[-1] = choice.default
    best += [record.name for record in ordered if record.kind == "baseline"][:baselines]
    return [record for record in ordered if record.name in best]


def _chosen_first(ordered: Sequence[TrialRecord], network: str) -> list[TrialRecord]:
    """Return the candidates with the networks that come before the chosen one right behind it."""
    place = next(number for number, record in enumerate(ordered) if record.name == network)
    before, behind = ordered[:place], ordered[place + 1 :]
    passed = [record for record in before if record.kind == "network"]
    return [*(record for record in before if record.kind != "network"), ordered[place], *passed, *behind]


def find_default(records: Iterable[TrialRecord], default: Mapping[str, Any] | None) -> TrialRecord | None:
    """Return the first network with the parameters of the hand-made configuration; None where there is none."""
    return next((one for one in records if default and one.kind == "network" and _same(one.params, default)), None)


def _same(params: Mapping[str, Any], default: Mapping[str, Any]) -> bool:
    if params.keys() != default.keys():
        return False
    pairs = [(params[name], default[name]) for name in params]
    # An engine may have rounded a number on its grid.
    return all(a == b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b)) for a, b in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which of the networks stands for the search, and why.

    Attributes
    ----------
    rule
        Name in ``RULES``.
    network, best, default
        Names: of the network that was chosen, of the best by validation, and of the hand-made configuration (None
        where it is not complete).
    value, of_best, of_default
        Their values in validation.
    difference, standard_error
        Of the best from the hand-made one, above 0 where better, and by how much chance moves it; None where unknown.
    """

    rule: str
    network: str
    best: str
    default: str | None
    value: float
    of_best: float
    of_default: float | None
    difference: float | None
    standard_error: float | None

    def to_json(self, metric: str) -> dict[str, Any]:
        """Return it as plain values, with the rule in a sentence."""
        return {**asdict(self), "sentence": choice_sentence(asdict(self), metric)}


def choose_network(
    ordered: Sequence[TrialRecord],
    *,
    metric: str,
    rule: str,
    default: Mapping[str, Any] | None,
    standard_error: Callable[[TrialRecord, TrialRecord], float | None],
) -> Choice | None:
    """Return which network stands for the search; None where none is complete.

    Parameters
    ----------
    ordered
        Of `order_candidates`.
    metric
        Of the validation.
    rule
        Name in ``RULES``.
    default
        Parameters of the hand-made configuration.
    standard_error
        Of the difference of two candidates in validation; None where it is not known.
    """
    best = next((record for record in ordered if record.kind == "network"), None)
    if best is None:
        return None
    hand_made = find_default(ordered, default)
    difference = error = None
    chosen = best
    if hand_made is not None and hand_made is not best:
        sign = 1.0 if METRICS[metric].higher_is_better else -1.0
        difference = sign * ((best.value or 0.0) - (hand_made.value or 0.0))
        error = standard_error(best, hand_made)
        chosen = best if RULES[rule](difference, error) else hand_made
    return Choice(
        rule=rule,
        network=chosen.name,
        best=best.name,
        default=None if hand_made is None else hand_made.name,
        value=chosen.value or 0.0,
        of_best=best.value or 0.0,
        of_default=None if hand_made is None else hand_made.value,
        difference=difference,
        standard_error=error,
    )


RULES: Registry[Callable[[float, float | None], bool]] = Registry("choice")
"""``(difference of the best from the hand-made configuration, its standard error) -> is the best chosen?``"""

DEFAULT_RULE = "one-standard-error"


@RULES.add(DEFAULT_RULE)
def _one_standard_error(difference: float, error: float | None) -> bool:
    return error is None or difference > error


@RULES.add("best")
def _best(difference: float, error: float | None) -> bool:  # noqa: ARG001 - the signature of a rule
    return True


def choice_sentence(choice: Mapping[str, Any], metric: str) -> str:
    """Return which network stands for the search and why, from the numbers of a `Choice`, or of ``final.json``."""
    label, best, default = METRICS[metric].label, choice["best"], choice["default"]
    if default is None:
        return f"{best} is the best network by validation; the hand-made configuration is not complete."
    if default == best:
        return f"{best}, the hand-made configuration of the space, is the best network by validation."
    gap = f"{label} {choice['of_best']:.3f} against {choice['of_default']:.3f} of the hand-made configuration {default}"
    error = choice["standard_error"]
    if error is None:
        return f"{best} is the best network by validation: {gap}; by how much chance moves that is not known."
    measured = f"one standard error of the difference ({error:.3f})"
    if choice["network"] == default:
        return (
            f"{default}, the hand-made configuration of the space, stands for the search: {best} is better in "
            f"validation by no more than {measured}, {gap}."
        )
    if choice["difference"] > error:
        return f"{best} is the best network by validation, by more than {measured}: {gap}."
    return f"{best} is the best network by validation, though by no more than {measured}: {gap}."


def _distinct(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return of a network that was trained on and on, with growing budgets, only the first of its records."""
    found: dict[str, TrialRecord] = {}
    for record in records:
        key = record.name if record.budget is None else json.dumps(finite(record.params), sort_keys=True)
        found.setdefault(key, record)
    return list(found.values())
