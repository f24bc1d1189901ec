"""Which candidates are refitted and tested."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from automl_pheno.metrics import METRICS
from automl_pheno.study.records import TrialRecord, finite


def order_candidates(records: Iterable[TrialRecord], *, metric: str) -> list[TrialRecord]:
    """Return all complete networks and baselines, best first by validation."""
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    complete = [record for record in records if record.state == "complete" and record.value is not None]
    return _distinct(sorted(complete, key=lambda record: sign * (record.value or 0.0)))


def choose_finalists(
    records: Sequence[TrialRecord], *, metric: str, networks: int, baselines: int | None = None
) -> list[TrialRecord]:
    """Return the best complete networks and baselines, best first by validation; the first is the winner.

    Parameters
    ----------
    records
        Of all trials and baselines.
    metric
        Of the validation.
    networks, baselines
        How many of each at most; None: all baselines.
    """
    ordered = order_candidates(records, metric=metric)
    best = [record for record in ordered if record.kind == "network"][:networks]
    best += [record for record in ordered if record.kind == "baseline"][:baselines]
    chosen = {record.name for record in best}
    return [record for record in ordered if record.name in chosen]


def _distinct(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return of a network that was trained on and on, with growing budgets, only the first of its records."""
    found: dict[str, TrialRecord] = {}
    for record in records:
        key = record.name if record.budget is None else json.dumps(finite(record.params), sort_keys=True)
        found.setdefault(key, record)
    return list(found.values())
