"""What an audit says of a split, in a sentence that claims no more than was shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from automl_pheno.data import InputKind

_STAGES = ("test", "validation")


def number(value: float) -> str:
    """Return a similarity cut to four places, so that one below a threshold is never written as the threshold."""
    return f"{math.floor(value * 1e4 + 1e-6) / 1e4:g}"


def statement(facts: Mapping[str, Any], kind: InputKind) -> str:
    """Return what a split is free of, with thresholds and numbers.

    Parameters
    ----------
    facts
        Of an audit: ``checks``, ``leaks``, ``similarity``, ``certificate``, ``library``.
    kind
        ``sequence`` or ``genotype``.
    """
    leaks = facts["leaks"]
    if leaks:
        found = "; ".join(leak["sentence"] for leak in leaks[:3])
        more = f"; and {len(leaks) - 3} more" if len(leaks) > 3 else ""
        return f"not leakage-free: {found}{more}"
    kept = _kept(facts["checks"])
    if facts["library"] is not None:
        return f"{_library(facts['library'])}; {kept}"
    similarity = facts["similarity"]
    if similarity is None:
        return f"{kept}; relatedness could not be measured: no variant varies"
    check = next(one for one in facts["checks"] if one["kind"] in ("identity", "relatedness"))
    level = _level(similarity, kind)
    if not check["judged"]:
        return f"{check['kind']} was NOT checked when this split was made: {_found(check, level)}; {kept}"
    return f"leakage-free at {level}: {_compared(similarity, check, facts['certificate'], kind)}; {kept}"


def _level(similarity: Mapping[str, Any], kind: InputKind) -> str:
    level = f"{similarity['measure']} >= {similarity['threshold']:g}"
    return f"{level} over {similarity['coverage']:.0%} of the shorter sequence" if kind == "sequence" else level


def _kept(checks: list[dict[str, Any]]) -> str:
    """Return what is shared by no two sides: the exact checks."""
    measured = ("identity", "relatedness", "certificate", "extrapolation")
    words = [str(check["what"]) for check in checks if check["judged"] and check["kind"] not in measured]
    return f"shared across sides: 0 {', 0 '.join(words)}"


def _highest(check: Mapping[str, Any]) -> float | None:
    values = [check[stage]["worst"] for stage in _STAGES if check[stage] is not None]
    return max((value for value in values if value is not None), default=None)


def _found(check: Mapping[str, Any], level: str) -> str:
    counts = [f"{check[stage]['count']:,} in {stage}" for stage in _STAGES if check[stage] is not None]
    if all(check[stage]["count"] == 0 for stage in _STAGES if check[stage] is not None):
        return f"no pair across sides was found at {level}, which is no guarantee of its method"
    highest = _highest(check)
    return f"NOT leakage-free, pairs across sides at {level}: {', '.join(counts)} (highest {number(highest or 0.0)})"


def _compared(
    similarity: Mapping[str, Any], check: Mapping[str, Any], certificate: Mapping[str, Any] | None, kind: InputKind
) -> str:
    highest = _highest(check)
    if kind == "genotype":
        top = "" if highest is None else f", highest {number(highest)}"
        return f"{similarity['compared']} at {similarity['markers']:,} markers{top}"
    top = f"none above {0.7:g}" if highest is None else f"the highest is {number(highest)}"
    text = f"no pair across sides among the {similarity['aligned']:,} aligned ({top})"
    if certificate is None:
        return text
    stage, trained = certificate["stage"], certificate["trained"]
    if certificate["compared"] == certificate["of"]:
        of = f"all {certificate['of']:,} {stage} sequences"
        return f"{text}; certificate: {of} were compared with all {trained:,} trained on, and none is alike"
    return (
        f"{text}; certificate: {certificate['compared']:,} of {certificate['of']:,} {stage} sequences were compared "
        f"with all {trained:,} trained on and none is alike, so with 95 % confidence at most "
        f"{certificate['bound']:.1%} are"
    )


def _library(library: Mapping[str, Any]) -> str:
    nearest = library["nearest"]
    stage = next((one for one in _STAGES if one in nearest), None)
    median = (
        ""
        if stage is None
        else f" (the median {stage} sequence is {nearest[stage]['median']:g} substitutions from one)"
    )
    words = {
        "unseen": "each sequence that is evaluated has a mutation that no sequence it is trained with has",
        "mutations": "each sequence that is evaluated has more mutations than any that it is trained with",
        "position": "each sequence that is evaluated is mutated at a place where none that it is trained with is",
    }
    declared = library["extrapolation"]
    what = f"a library of mutants of one sequence, where similarity cannot be kept apart and is not checked{median}"
    if declared is None:
        return f"{what}: not leakage-free, and no split of it can be; what it asks of a model is to interpolate"
    return f"{what}: not leakage-free, but the declared extrapolation ({declared}) holds: {words[declared]}"
