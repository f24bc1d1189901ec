"""All networks and baselines of a run in one table, best first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from automl_pheno.metrics import CALIBRATION, METRICS
from automl_pheno.study.records import TrialRecord

_STATES = ("complete", "pruned", "failed", "infeasible")


def make_leaderboard(
    records: Iterable[TrialRecord],
    *,
    metric: str,
    parameters: Sequence[str],
    tests: Iterable[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Return the leaderboard.

    Parameters
    ----------
    records
        Of networks and baselines, in any order.
    metric
        Name of the validation metric that ranks.
    parameters
        Parameter paths: one column each, in this order.
    tests
        Of the finalists, as ``final.json`` has them: ``name``, ``test`` (metric -> value), ``low``, ``high``,
        ``calibration`` and ``weights``.

    Returns
    -------
    DataFrame
        ``rank, name, kind, trial, state, val_<metric>, val_sd, test_<metric>, test_low, test_high, weights, epochs,
        seconds``, the other validation metrics, ``pooled`` (see `TrialRecord`), ``val_slope, val_intercept`` and
        ``test_slope`` to ``test_intercept_high`` (observed on predicted), ``device``, ``reason``, and the parameters.
        Complete ones come first and are ranked by the validation metric, then pruned, failed and infeasible ones. The
        weights of a finalist are those of the saved model with all its members, of others those of one training.
    """
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    ordered = sorted(
        records,
        key=lambda record: (
            _STATES.index(record.state),
            sign * record.value if record.value is not None else float("inf"),
            -1 if record.trial is None else record.trial,
            record.name,
        ),
    )
    tested = {str(test["name"]): test for test in tests}
    others = [name for name in METRICS if name != metric]
    rows = []
    rank = 0
    for record in ordered:
        rank += record.state == "complete"
        test = tested.get(record.name, {})
        rows.append(
            {
                "rank": rank if record.state == "complete" else None,
                "name": record.name,
                "kind": record.kind,
                "trial": record.trial,
                "state": record.state,
                f"val_{metric}": record.value,
                "val_sd": record.sd,
                f"test_{metric}": test.get("test", {}).get(metric),
                "test_low": test.get("low"),
                "test_high": test.get("high"),
                "weights": test.get("weights") or record.weights,
                "epochs": record.epochs,
                "seconds": record.seconds,
                **{f"val_{name}": record.scores.get(name) for name in others},
                "pooled": record.pooled if record.state == "complete" else None,
                **{f"val_{name}": record.validation_calibration.get(name) for name in ("slope", "intercept")},
                **{f"test_{name}": (test.get("calibration") or {}).get(name) for name in CALIBRATION},
                "device": record.device,
                "reason": record.reason,
                **{name: record.params.get(name) for name in parameters},
            }
        )
    # Objects, so that a whole number beside a baseline's empty cell stays whole.
    return _typed(pd.DataFrame(rows, columns=_columns(metric, others, parameters), dtype=object), metric, others)


def _columns(metric: str, others: Sequence[str], parameters: Sequence[str]) -> list[str]:
    return [
        "rank", "name", "kind", "trial", "state", f"val_{metric}", "val_sd", f"test_{metric}", "test_low", "test_high",
        "weights", "epochs", "seconds", *(f"val_{name}" for name in others), "pooled", "val_slope", "val_intercept",
        *(f"test_{name}" for name in CALIBRATION), "device", "reason", *parameters,
    ]  # fmt: skip


def _typed(table: pd.DataFrame, metric: str, others: Sequence[str]) -> pd.DataFrame:
    for name in ("rank", "trial", "weights", "epochs"):
        table[name] = table[name].astype("Int64")
    decimals = [f"val_{metric}", "val_sd", f"test_{metric}", "test_low", "test_high", "seconds"]
    decimals += ["val_slope", "val_intercept", *(f"test_{name}" for name in CALIBRATION)]
    for name in [*decimals, *(f"val_{other}" for other in others)]:
        table[name] = table[name].astype("float64")
    return table
