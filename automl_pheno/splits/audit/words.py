"""What an audit says of a split, in a sentence that claims no more than was shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from automl_pheno.data import InputKind
from automl_pheno.splits.thresholds import COVERAGE, SHORTEST_PART

if TYPE_CHECKING:
    from automl_pheno.splits.audit.rules import Leak

_STAGES = ("test", "validation")


def number(value: float) -> str:
    """Return a similarity cut to four places, so that one below a threshold is never written as the threshold."""
    return f"{math.floor(value * 1e4 + 1e-6) / 1e4:g}"


def found_words(found: Mapping[str, Any]) -> str:
    """Return what was found at a stage: ``61 in 58 of 1,000 rows (highest 0.97)``.

    Parameters
    ----------
    found
        Of a check at a stage: ``count``, ``rows``, ``of``, ``worst``.
    """
    worst = "" if found["worst"] is None else f" (highest {number(found['worst'])})"
    rows = f" in {found['rows']:,} of {found['of']:,} rows" if found["count"] and "rows" in found else ""
    return f"{found['count']:,}{rows}{worst}"


def leak_sentence(leak: Leak, what: str, stage: str, example: Sequence[str]) -> str:
    """Return a leak in a sentence: what is counted, between which sides, which rows are concerned, an example.

    Parameters
    ----------
    leak
        With its numbers.
    what
        Is counted.
    stage
        ``test`` or ``validation``.
    example
        The two samples with their sides, worst first; may be empty.
    """
    sets = ", ".join(f"{count:,} with {name}" for name, count in leak.parts.items())
    text = f"{leak.count:,} {what} across {stage} and what is trained on"
    text += f" ({sets if len(leak.parts) > 1 else leak.between[1]}): {leak.rows:,} of {leak.of:,} {stage} rows"
    if example:
        text += f", for example {' and '.join(example)}"
    return text + (f" at {number(leak.worst)}" if leak.worst is not None else "")


def statement(facts: Mapping[str, Any], kind: InputKind) -> str:
    """Return what a split is free of, with thresholds and numbers.

    Parameters
    ----------
    facts
        Of an audit: ``checks``, ``leaks``, ``similarity``, ``certificate``, ``library``, ``unchecked``.
    kind
        ``sequence`` or ``genotype``.
    """
    unchecked = "".join(f"; {what} was NOT checked: {why}" for what, why in facts.get("unchecked", {}).items())
    return _claim(facts, kind) + unchecked


def _claim(facts: Mapping[str, Any], kind: InputKind) -> str:
    leaks = facts["leaks"]
    if leaks:
        found = "; ".join(leak["sentence"] for leak in leaks[:3])
        more = f"; and {len(leaks) - 3} more" if len(leaks) > 3 else ""
        why = f"; {_LIBRARIES[facts['library']['kind']]}" if facts["library"] is not None else ""
        return f"not leakage-free: {found}{more}{why}"
    kept = _kept(facts["checks"])
    if facts["library"] is not None:
        return f"{_library(facts)}; {kept}"
    similarity = facts["similarity"]
    if similarity is None:
        return f"{kept}; relatedness could not be measured: no variant varies"
    check = next(one for one in facts["checks"] if one["kind"] in ("identity", "relatedness"))
    level = _level(similarity, kind)
    if not check["judged"]:
        return f"{_unasked(similarity, check, level, kind)}; {kept}"
    return f"leakage-free at {level}: {_compared(similarity, check, facts['certificate'], kind)}; {kept}"


def _level(similarity: Mapping[str, Any], kind: InputKind) -> str:
    level = f"{similarity['measure']} >= {similarity['threshold']:g}"
    part = f" over {similarity.get('coverage', COVERAGE):.0%} of the shorter sequence"
    return f"{level}{part}" if kind == "sequence" else level


def _kept(checks: list[dict[str, Any]]) -> str:
    """Return what is shared by no two sides: the exact checks."""
    measured = ("identity", "relatedness", "certificate", "extrapolation")
    words = [str(check["what"]) for check in checks if check["judged"] and check["kind"] not in measured]
    return f"shared across sides: 0 {', 0 '.join(words)}"


def _highest(check: Mapping[str, Any]) -> float | None:
    values = [check[stage]["worst"] for stage in _STAGES if check[stage] is not None]
    return max((value for value in values if value is not None), default=None)


def _unasked(similarity: Mapping[str, Any], check: Mapping[str, Any], level: str, kind: InputKind) -> str:
    """Return what was measured of a similarity that nobody asked to be kept apart."""
    what = "similarity" if kind == "sequence" else "relatedness"
    counted = {stage: check[stage] for stage in _STAGES if check[stage] is not None}
    if any(found["count"] for found in counted.values()):
        found = ", ".join(f"{stage} {found_words(found)}" for stage, found in counted.items())
        return (
            f"NOT leakage-free: {what} was no criterion of this split, and pairs at {level} lie across sides: {found}"
        )
    searched = _compared(similarity, check, None, kind)
    limit = "" if kind == "genotype" else "; that is a search and no proof"
    return f"{what} was no criterion of this split, but was measured at {level}: {searched}{limit}"


def compared_with(certificate: Mapping[str, Any]) -> str:
    """Return with how many sequences each of a certificate was compared: ``all 850 trained on``."""
    most = certificate["trained"]
    least = certificate.get("trained_least", most)
    return f"all {most:,} trained on" if least == most else f"all {least:,} to {most:,} trained on with it"


def _compared(
    similarity: Mapping[str, Any], check: Mapping[str, Any], certificate: Mapping[str, Any] | None, kind: InputKind
) -> str:
    highest = _highest(check)
    if kind == "genotype":
        top = "" if highest is None else f", highest {number(highest)}"
        undefined = similarity.get("undefined", 0)
        lost = f"; of {undefined:,} of these pairs it is undefined and nothing is known" if undefined else ""
        return f"no pair among {similarity['compared']} at {similarity['markers']:,} markers{top}{lost}"
    top = f"none above {0.7:g}" if highest is None else f"the highest is {number(highest)}"
    part = f"a part has {SHORTEST_PART} bp at least"
    text = f"no pair across sides among the {similarity['aligned']:,} aligned ({top}; {part})"
    if similarity.get("not_aligned"):
        text += f", {similarity['not_aligned']:,} more that share words were too many to align"
    if certificate is None:
        return text
    stage, trained = certificate["stage"], compared_with(certificate)
    if certificate["compared"] == certificate["of"]:
        of = f"all {certificate['of']:,} {stage} sequences"
        return f"{text}; certificate: {of} were compared with {trained}, and none is alike"
    return (
        f"{text}; certificate: {certificate['compared']:,} of {certificate['of']:,} {stage} sequences were compared "
        f"with {trained} and none is alike, so with 95 % confidence at most "
        f"{certificate['bound']:.1%} are"
    )


_LIBRARIES = {
    "mutants": "a library of mutants of one sequence, of which no split keeps near copies apart",
    "dense": "a dense library, of which no split keeps neighbours apart",
}
_DECLARED = {
    "unseen": "each sequence that is evaluated has a mutation that no sequence it is trained with has",
    "mutations": "each sequence that is evaluated has more mutations than any that it is trained with",
    "position": "each sequence that is evaluated is mutated at a place where none that it is trained with is",
}


def _library(facts: Mapping[str, Any]) -> str:
    library = facts["library"]
    nearest, declared = library["nearest"], library["extrapolation"]
    stage = next((one for one in _STAGES if one in nearest), None)
    median = ""
    if stage is not None:
        step = nearest[stage]["median"]
        median = (
            f" (the median {stage} sequence is {step:g} substitution{'' if step == 1 else 's'} from one trained on)"
        )
    kind = _LIBRARIES[library["kind"]]
    if declared is not None:
        stages = [name for name in _STAGES if name in nearest]
        only = [name for name in stages if name in library.get("extrapolating", stages)]
        of = "" if only == stages else f" of the {' and '.join(only)} set"
        holds = f"the declared extrapolation ({declared}){of} holds: {_DECLARED[declared]}"
        if of:
            holds = holds.replace("that is evaluated", f"of the {' and '.join(only)} set") + (
                "; the folds are drawn at random and interpolate"
            )
        return f"{kind}{median}: not leakage-free, but {holds}"
    judged = [check for check in facts["checks"] if check["kind"] == "identity" and check["judged"]]
    if judged:
        # asked, and none found: the sides do lie apart
        return f"{_LIBRARIES[library['kind']].partition(',')[0]}{median}, whose sides lie apart: 0 {judged[0]['what']}"
    return (
        f"{kind}{median}: not leakage-free; what can be claimed is interpolation within this library, from sequences "
        "that were measured to their neighbours, and nothing of sequences outside it"
    )
