"""Random runs, as the report reads them: whatever a run's files can hold, with text that must not decide anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from automl_pheno.metrics import CALIBRATION, METRICS
from automl_pheno.report.read import ExplanationFiles, RunFiles
from automl_pheno.study.leaderboard import make_leaderboard
from automl_pheno.study.records import TrialRecord

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]
NETWORKS, BASELINES = ("net_a", "net_b", "net_c"), ("ridge", "random_forest", "gblup", "mean")
PARAMETERS = ("trunk.0.filters", "fit.learning_rate")
STALE = st.sampled_from([
    "The network net_a is better than ridge: a sentence of another day.",
    "The network net_a is worse than ridge: a sentence of another day.",
    "leakage-free at an unknown level", "",
])  # fmt: skip
"""Text that contradicts the numbers beside it: nothing may be concluded from it."""


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 1e4), round(high * 1e4)).map(lambda steps: steps / 1e4)


SHARE = number(0.0, 1.0)
RANK = st.sampled_from([0.79, 0.8]) | number(-1.0, 1.0)
Q = st.sampled_from([0.04, 0.05, 0.06]) | SHARE
"""Often beside the value from which on it is worded otherwise."""


def maybe(one: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | one


def ordered(draw: Any, low: float, high: float) -> tuple[float, float, float]:
    a, b, c = sorted(draw(st.tuples(*[number(low, high)] * 3)))
    return a, b, c


def value_of(draw: Any, metric: str) -> float:
    return float(draw(number(-1.0, 1.0) if METRICS[metric].higher_is_better else number(0.001, 500.0)))


@st.composite
def random_runs(draw: Any) -> RunFiles:
    """Draw a run: networks and baselines, tested or not, tied or not, of this version or an older one."""
    metric = draw(st.sampled_from(sorted(METRICS)))
    names = draw(st.lists(st.sampled_from([*NETWORKS, *BASELINES]), min_size=1, max_size=5, unique=True))
    folds = draw(st.sampled_from([1, 3]))
    records = [_record(draw, name, metric, folds) for name in names]
    sign = -1.0 if METRICS[metric].higher_is_better else 1.0
    complete = sorted((r for r in records if r.state == "complete"), key=lambda r: sign * (r.value or 0.0))
    final, predictions = None, None
    if complete and draw(st.integers(0, 3)):
        final, predictions = _final(draw, complete, metric)
    board = make_leaderboard(records, metric=metric, parameters=PARAMETERS, tests=(final or {}).get("finalists", ()))
    return RunFiles(
        path=Path("no such folder"),
        metric=METRICS[metric],
        leaderboard=board.astype(dict.fromkeys(("rank", "trial", "weights", "epochs"), "float64")),
        records=tuple(records),
        final=final,
        predictions=predictions,
        split=None,
        card=draw(maybe(_cards())),
        development=None,
        explanation=_explanation(draw, final) if final is not None and draw(st.integers(0, 3)) else None,
        parameters=draw(maybe(_parameters())),
    )


def _record(draw: Any, name: str, metric: str, folds: int) -> TrialRecord:
    network = name in NETWORKS
    state = draw(st.sampled_from(["complete", "complete", "complete", "failed"]))
    value = value_of(draw, metric) if state == "complete" else None
    curve = tuple({"loss": draw(SHARE), "val_loss": draw(SHARE)} for _ in range(draw(st.integers(0, 6))))
    return TrialRecord(
        kind="network" if network else "baseline",
        name=name,
        state=state,
        trial=NETWORKS.index(name) if network else None,
        value=value,
        sd=draw(number(0.0, 0.4)) if folds > 1 and value is not None else None,
        scores={} if value is None else {metric: value},
        fold_scores=({},) * folds if value is not None else (),
        weights=draw(st.integers(1, 10**7)),
        epochs=3 if network else 0,
        best_epoch=draw(st.integers(1, 6)) if network else None,
        seconds=1.0,
        curve=curve if network and value is not None else (),
        params={"trunk.0.filters": 8, "fit.learning_rate": 0.01} if network else {},
    )


def _choice(draw: Any, nets: list[dict[str, Any]], best: dict[str, Any], metric: str) -> dict[str, Any]:
    """Return why the first of the networks was chosen, of which another one may be the best."""
    chosen = nets[0]
    default = chosen if best is not chosen else draw(st.sampled_from([None, *nets]))
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    other = default is not None and default is not best
    difference = sign * (best["validation"] - default["validation"]) if other else None
    error = draw(st.floats(0.001, 0.5)) if other else None
    if best is not chosen and error is not None:  # else the best would have been chosen
        error = max(error, abs(difference or 0.0))
    return {
        "rule": "one-standard-error", "network": chosen["name"], "best": best["name"],
        "default": None if default is None else default["name"], "value": chosen["validation"],
        "of_best": best["validation"], "of_default": None if default is None else default["validation"],
        "difference": difference, "standard_error": error if best is not chosen or draw(st.booleans()) else None,
    }  # fmt: skip


def _final(draw: Any, complete: list[TrialRecord], metric: str) -> tuple[dict[str, Any], pd.DataFrame | None]:
    n_test = draw(st.sampled_from([2, 12, 2345]))
    old = draw(st.booleans())
    entries = [_entry(draw, record, metric, tested=n_test > 2, old=old) for record in complete]
    final: dict[str, Any] = {
        "metric": metric, "trait": "height", "n_test": n_test, "winner": entries[0], "finalists": entries,
        "comparison": None, "interval_note": "", "note": "" if n_test > 2 else "2 test samples are too few",
    }  # fmt: skip
    if not old:
        tied = draw(st.lists(st.sampled_from([e["name"] for e in entries]), unique=True))
        final["tied_with"] = [name for name in tied if name != entries[0]["name"]]
        final["tie_note"] = "It is one of several." if final["tied_with"] and draw(st.booleans()) else ""
        final["pooled"] = draw(st.booleans())
        nets = [entry for entry in entries if entry["kind"] == "network"]
        if nets:  # the rule of choice took the first, be it the best or not
            best = draw(st.sampled_from(nets))
            final["choice"] = _choice(draw, nets, best, metric)
    kinds = {kind: next((e["name"] for e in entries if e["kind"] == kind), None) for kind in ("network", "baseline")}
    if n_test > 2 and all(kinds.values()):
        final["comparison"] = {**kinds, **draw(_comparisons(metric, old)), "sentence": draw(STALE)}
    if n_test == 2:
        return final, None
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    table = pd.DataFrame({"id": [f"s{row}" for row in range(12)], "observed": rng.normal(5.0, 2.0, 12)})
    for entry in entries:
        noise = rng.normal(0.0, 1.0, 12)
        table[entry["name"]] = 5.0 if entry["name"] == "mean" else 2.0 + 0.7 * table["observed"] + noise
    return final, table


def _entry(draw: Any, record: TrialRecord, metric: str, *, tested: bool, old: bool) -> dict[str, Any]:
    low, _, high = ordered(draw, -1.0, 1.0)
    test = {name: value_of(draw, name) for name in METRICS} if tested else {}
    known = tested and draw(st.booleans())
    entry = {
        "name": record.name, "kind": record.kind, "validation": record.value, "test": test,
        "low": low if known else None, "high": high if known else None, "weights": draw(st.integers(1, 10**7)),
    }  # fmt: skip
    if not old:
        entry["calibration"] = draw(maybe(_calibrations())) if tested else None
    return entry


@st.composite
def _calibrations(draw: Any) -> dict[str, float | None]:
    slope_low, slope, slope_high = ordered(draw, 0.2, 3.0)
    low, intercept, high = ordered(draw, -9.0, 9.0)
    line = dict(zip(CALIBRATION, (slope, slope_low, slope_high, intercept, low, high), strict=True))
    return dict.fromkeys(CALIBRATION) if draw(st.integers(0, 4)) == 0 else line


@st.composite
def _comparisons(draw: Any, metric: str, old: bool) -> dict[str, Any]:
    def one() -> dict[str, float]:
        low, difference, high = ordered(draw, -1.0, 1.0)
        return {"difference": difference, "low": low, "high": high}

    if old:
        return {"metric": metric, **one()}
    measures = {name: one() for name in dict.fromkeys((metric, "pearson_r", "rmse"))}
    return {"metric": metric, **measures[metric], "measures": measures}


@st.composite
def _cards(draw: Any) -> dict[str, Any]:
    check = {"kind": "identity", "what": "alike", "judged": draw(st.booleans())}
    count = draw(st.integers(0, 1))
    card: dict[str, Any] = {
        "statement": draw(STALE), "regime": "", "sizes": {"train": 70, "test": 30}, "trait": "height", "samples": 100,
        "guarantees": [], "advice": [], "groups": 90,
    }  # fmt: skip
    if draw(st.booleans()):
        for stage in ("test", "validation"):
            check[stage] = {"count": count if check["judged"] else 0, "worst": None}
        card["audit"] = {
            "checks": [check] if draw(st.booleans()) else [],
            "leaks": [{"sentence": "one pair lies on two sides"}] if count else [],
            "library": None,
            "similarity": {"threshold": 0.8, "leak_ratio": None},
        }
    return card


@st.composite
def _parameters(draw: Any) -> pd.DataFrame:
    rows = [{"path": name, "importance": draw(SHARE), "chance": draw(SHARE)} for name in PARAMETERS]
    return pd.DataFrame(rows).assign(method="PED-ANOVA", n_trials=18, n_present=18)


def _explanation(draw: Any, final: dict[str, Any]) -> ExplanationFiles:
    make = draw(st.sampled_from([_of_sequences, _of_genotypes]))
    tables, parts, kind = make(draw)
    parts["stability"] = {
        "refits": 3, "source": draw(st.sampled_from(["members", "refits", "bootstrap"])),
        "spearman_mean": draw(maybe(RANK)), "top_share": draw(SHARE),
    }  # fmt: skip
    parts["interactions"] = {"q_level": 0.05, "product_r2": draw(maybe(SHARE))}
    tables["interactions"] = pd.DataFrame([
        {"rank": k + 1, "name_a": "a", "name_b": "b", "interaction": draw(number(-2.0, 2.0)), "q": draw(Q)}
        for k in range(draw(st.integers(0, 3)))
    ])  # fmt: skip
    warnings = draw(st.lists(st.just("1 of 9 sequences look the same after shuffling"), max_size=1))
    if final["comparison"] is not None:
        warnings += [f"{final['comparison']['sentence'] or 'The network net_a'} It may not be what matters."]
        warnings = warnings if final["comparison"]["sentence"] else warnings[:-1]
    manifest = {
        "verdict": draw(STALE), "warnings": warnings, "input": kind, "samples": 9, "width": 60, "units": "phenotype",
        "aligned": draw(st.booleans()), "method": "deeplift", "explained": final["winner"]["name"], "parts": parts,
        "completeness_error": {"max": draw(number(0.0, 1.0)), "prediction_spread": draw(number(0.5, 9.0))},
    }  # fmt: skip
    return ExplanationFiles(manifest=manifest, tables=tables, arrays={})


Made = tuple[dict[str, pd.DataFrame], dict[str, Any], str]


def _of_sequences(draw: Any) -> Made:
    size = [draw(number(0.01, 3.0)) for _ in range(12)]
    importance = pd.DataFrame({"position": range(1, 13), "mean_abs": size, "mean_signed": size})
    motifs = pd.DataFrame([
        {
            "motif": k + 1, "consensus": "TATAWAW", "effect": "raises", "mean_contribution": draw(number(0.01, 3.0)),
            "n_seqlets": 30, "n_sequences": 30, "positional": draw(st.booleans()),
            "anchor": draw(st.sampled_from(["first", "last"])), "mode_place": draw(number(1.0, 60.0)),
            "mode_from_end": draw(number(0.0, 60.0)), "median_from_end": draw(number(0.0, 60.0)),
            "share_near_mode": draw(SHARE),
        }
        for k in range(draw(st.integers(0, 3)))
    ])  # fmt: skip
    if len(motifs) and draw(st.booleans()):  # as of an older explanation
        motifs = motifs.drop(columns=["anchor"])
    parts = {"surrogate": {"id": "s_x", "r2_additive": draw(RANK)} if draw(st.booleans()) else {}}
    return {"importance": importance, "motifs": motifs}, parts, "sequence"


def _of_genotypes(draw: Any) -> Made:
    size = [draw(number(0.01, 3.0)) for _ in range(12)]
    ids = [f"snp_{chr(97 + k)}" for k in range(12)]
    importance = pd.DataFrame({"id": ids, "chromosome": "", "position": -1, "mean_abs": size, "dosage_slope": size})
    known = draw(st.sampled_from([0, 5, 12]))
    used = [draw(st.booleans()) for _ in range(4)]
    decoys = {"blocks": 4, "used": sum(used), "fdr": 0.1, "refits": 3}
    parts = {
        "loci": decoys if draw(st.booleans()) else {}, "mutagenesis": {
            "heterozygosity": draw(number(0.0, 0.5)), "expected_heterozygosity": draw(number(0.0, 0.5)),
            "highest_dosage": draw(st.sampled_from([1, 2])), "variants": 12, "variants_with_dominance": known,
        } if draw(st.booleans()) else {},
    }  # fmt: skip
    blocks = pd.DataFrame({"block": range(4), "lead": ids[:4], "mean_abs": size[:4], "used": used})
    blocks = blocks.assign(start=-1, end=-1)
    return {"importance": importance, "blocks": blocks}, parts, "genotype"
