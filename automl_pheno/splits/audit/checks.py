"""One check of the audit: what was found, as leaks in sentences and as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from automl_pheno.data import StrArray
from automl_pheno.splits.audit.rules import Leak
from automl_pheno.splits.audit.sides import NONE, STAGES, Crossing, Sides
from automl_pheno.splits.audit.words import found_words, leak_sentence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """One check.

    Attributes
    ----------
    kind
        As in `Leak`.
    what
        In words with the unit, as ``sequences that are equal``.
    judged
        Whether anything found is a leak.
    threshold
        From which on pairs count; None where nothing may be shared.
    crossings
        Stage -> what was found.
    """

    kind: str
    what: str
    judged: bool
    crossings: Mapping[str, Crossing]
    threshold: float | None = None


def leaks_of(check: Check, sides: Sides, ids: StrArray) -> Iterator[Leak]:
    """Yield a leak for each stage at which a judged check has found something."""
    if not check.judged:
        return
    for stage in STAGES:
        crossing = check.crossings.get(stage)
        if crossing is None or not crossing.count:
            continue
        pairs = [(int(a), int(b)) for a, b in crossing.examples]
        worst = crossing.worst if check.threshold is not None and math.isfinite(crossing.worst) else None
        leak = Leak(
            kind=check.kind,
            between=crossing.between,
            count=crossing.count,
            threshold=check.threshold,
            worst=worst,
            examples=tuple((str(ids[a]), str(ids[b])) for a, b in pairs),
            sentence="",
            rows=len(crossing.rows),
            of=len(sides.rows(stage)) if crossing.compared is None else crossing.compared,
            parts={name: count for name, (count, _) in crossing.parts.items()},
        )
        first = [f"{str(ids[row])!r} ({sides.names[row]})" for row in (pairs[0] if pairs else ())]
        yield replace(leak, sentence=leak_sentence(leak, check.what, stage, first))


def check_facts(check: Check, sides: Sides, ids: StrArray) -> dict[str, Any]:
    """Return a check in plain values, and in words: ``name``, ``found`` and ``verdict``."""
    found: dict[str, Any] = {name: getattr(check, name) for name in ("kind", "what", "judged", "threshold")}
    words = []
    for stage in STAGES:
        if not len(sides.rows(stage)) or (stage not in check.crossings and check.kind == "extrapolation"):
            found[stage] = None
            continue
        crossing = check.crossings.get(stage, NONE)
        parts = {name: {"count": count, "rows": rows} for name, (count, rows) in crossing.parts.items()}
        pair = [str(ids[row]) for row in crossing.examples[0]] if len(crossing.examples) else None
        worst = rounded(crossing.worst) if check.threshold is not None and math.isfinite(crossing.worst) else None
        found[stage] = {
            "count": crossing.count,
            "worst": worst,
            "pair": pair,
            "rows": len(crossing.rows),
            "of": len(sides.rows(stage)) if crossing.compared is None else crossing.compared,
            "with": parts,
        }
        words.append(f"{stage} {found_words(found[stage])}")
    leaks = any(crossing.count for crossing in check.crossings.values())
    verdict = "told only" if not check.judged else "leak" if leaks else "ok"
    return {**found, "name": check.what, "found": ", ".join(words), "verdict": verdict}


def rounded(value: float) -> float | None:
    """Return a number to six digits, None where there is none."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
