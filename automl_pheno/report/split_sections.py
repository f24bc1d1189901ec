"""The parts of the page of a split, each from the card or a table: HTML without pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from automl_pheno.metrics import METRICS
from automl_pheno.report import html
from automl_pheno.report.html import Markup, Tone
from automl_pheno.splits.audit.words import compared_with, number

_STAGES = ("test", "validation")
_OF_PAIRS = ("similarity", "relatedness", "pairs")
_LIBRARIES = {"mutants": "A library of mutants of one sequence", "dense": "A dense library"}
_FLAGS: dict[str, tuple[Tone, str]] = {
    "ok": ("good", "alike"),
    "watch": ("watch", "watch"),
    "warn": ("bad", "differs"),
}


def answer(card: Mapping[str, Any]) -> Markup:
    """Return the plain answer: whether the split is safe, and as far as what."""
    audit = card.get("audit") or {}
    leaks = audit.get("leaks") or []
    lines: list[object] = [_sentence(card.get("statement") or card.get("regime"))]
    if audit and card.get("regime"):
        lines.append(_sentence(card["regime"]))
    if leaks:
        title = f"Not safe: the audit found {'a leak' if len(leaks) == 1 else f'leaks of {len(leaks)} kinds'}"
        return html.answer("bad", title, [*(_sentence(leak["sentence"]) for leak in leaks[:5]), *lines[1:]])
    if not audit:
        return html.answer("watch", "Safe only as far as checked: there was no audit", lines)
    if library := audit.get("library"):
        declared = library.get("extrapolation")
        title = f"{_LIBRARIES.get(library.get('kind'), _LIBRARIES['mutants'])}: no split of it is free of similarity"
        return html.answer("watch", f"{title}, but the declared extrapolation holds" if declared else title, lines)
    similarity = [check for check in audit.get("checks", ()) if check["kind"] in ("identity", "relatedness")]
    if not any(check["judged"] for check in similarity):
        found = any((check.get(stage) or {"count": 0})["count"] for check in similarity for stage in _STAGES)
        title = "What was asked to stay together does"
        title += ", but alike samples lie on two sides" if found else "; similarity was no criterion"
        return html.answer("watch", title, lines)
    if raised := _raised(card):
        low, high = (f"{value:g}" for value in raised)
        lines.append(
            f"It was raised from {low} to {high} because a purge would have taken too much of training (see the "
            f"notes): samples that are alike by {low} or more, but less than {high}, may lie on two sides."
        )
        return html.answer("watch", "The audit found no leak, at a threshold that had to be raised", lines)
    return html.answer("good", "The audit found no leak at the stated thresholds", lines)


def _raised(card: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the threshold that was wanted and the one that holds, where these differ."""
    holds = ((card.get("audit") or {}).get("similarity") or {}).get("threshold")
    for name, facts in (card.get("grouping_facts") or {}).items():
        wanted = facts.get("threshold") if name.partition(":")[0] in ("relatedness", "similarity") else None
        if wanted is not None and holds is not None and wanted < holds:
            return float(wanted), float(holds)
    return None


def _sentence(text: object) -> str:
    words = str(text or "")
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") or not words else ".")


def sizes(card: Mapping[str, Any]) -> Markup:
    """Return the samples and the trait of each side as a table."""
    rows = []
    for name, n in card["sizes"].items():
        y = (card.get("phenotype") or {}).get(name, {})
        cells = [_short(y[key]) if key in y else "" for key in ("mean", "sd", "min", "max")]
        share = (card.get("shares") or {}).get(name)
        rows.append([name, f"{n:,}", "" if share is None else f"{share:.1%}", *cells])
    if card["trait"] is None:
        return html.table(["side", "samples", "share"], [row[:3] for row in rows], numeric=(1, 2))
    header = ["side", "samples", "share", f"{card['trait']}: mean", "sd", "min", "max"]
    return html.table(header, rows, numeric=range(1, 7))


def cut_and_purged(card: Mapping[str, Any]) -> Markup:
    """Return what was kept whole, cut and purged."""
    lines = []
    groups, largest = card.get("groups"), card.get("largest_group")
    if groups is not None:
        text = f"{groups:,} groups of samples were kept whole"
        if isinstance(largest, Mapping):
            text += f"; the largest holds {_samples(largest['samples'])} ({largest['share']:.1%})"
        counted = card.get("groupings")
        if isinstance(counted, Mapping) and counted:
            several = {name: f" ({n:,} groups)" if n < card["samples"] else "" for name, n in counted.items()}
            text += "; kept together: " + ", ".join(f"{name}{n}" for name, n in several.items())
        lines.append(f"{text}.")
    lines += list(_cut(card.get("cut")))
    lines += list(_purged(card.get("purged"), apart=_kept_apart(card)))
    return html.bullets(lines) if lines else Markup("")


def _cut(counts: Any) -> Iterator[str]:
    """Yield which groups were too large to be kept whole."""
    if not isinstance(counts, Mapping) or "groups_cut" not in counts:
        yield from (f"Cut: {line}" for line in _sentences(counts))
        return
    connected = f"the largest set of connected samples has {counts['largest_connected']:,}"
    if counts["groups_cut"]:
        n = f"{counts['groups_cut']:,} group{'s' if counts['groups_cut'] > 1 else ''}"
        yield f"Cut: {n} larger than {counts['limit']:.0%} of the samples, where the fewest pairs cross; {connected}."
    else:
        yield f"Cut: no group had to be; {connected}."


def _kept_apart(card: Mapping[str, Any]) -> bool:
    """Say whether pairs of like samples were to be kept apart at all; where they were not, nothing is purged."""
    names = card.get("groupings")
    return names is None or any(name.partition(":")[0] in _OF_PAIRS for name in names)


def _purged(counts: Any, *, apart: bool) -> Iterator[str]:
    """Yield what was left out of training because it touched another side."""
    if not isinstance(counts, Mapping) or "test" not in counts:
        yield from (f"Purged: {line}" for line in _sentences(counts))
        return
    test = counts["test"]
    folds = counts.get("folds") or ([counts["validation"]] if "validation" in counts else [])
    lost = [fold["purged"] for fold in folds]
    missed = counts.get("after_audit", 0)
    if not test["purged"] and not any(lost) and not missed:
        why = "no training sample touches another side" if apart else "like samples were not to be kept apart"
        yield f"Purged: nothing had to be; {why}."
    if test["purged"]:
        pairs = f"{test['pairs']:,} pairs"
        yield f"Purged: {_purged_samples(test['purged'], 'the test set')} ({pairs})."
    if any(lost):
        where = "" if len(lost) == 1 else ", counted fold by fold"
        from_least = "" if min(lost) == max(lost) else f"{min(lost):,} to "
        yield f"Purged: {from_least}{_purged_samples(max(lost), 'those validated on')}{where}."
    if missed:
        yield f"Purged: {_purged_samples(missed, 'another side')}, as the audit found."
    if "samples" in counts and counts["samples"] and len(lost) <= 1:
        yield f"Purged in all: {_samples(counts['samples'])}, which are neither trained on nor scored."


def _samples(n: int) -> str:
    return f"{n:,} sample{'' if n == 1 else 's'}"


def _purged_samples(n: int, side: str) -> str:
    return f"{_samples(n)} that {'touches' if n == 1 else 'touch'} {side} {'is' if n == 1 else 'are'} not trained on"


def guarantees(card: Mapping[str, Any]) -> Markup:
    """Return what is certain, grouping by grouping."""
    given = card.get("guarantees") or []
    if isinstance(given, Mapping):
        given = [Markup(f"{html.tag('b', name)}: {html.escape(text)}") for name, text in given.items()]
    return html.bullets(given) if given else Markup("")


def audit(card: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield one row a check, what a certificate adds, and DataSAIL's leak ratio."""
    found = card.get("audit") or {}
    checks = found.get("checks") or []
    stages = [stage for stage in _STAGES if any(check.get(stage) is not None for check in checks)]
    if not checks:
        yield html.tag("p", "No audit was made of this split.")
        return
    rows = [_check(check, stages) for check in checks]
    against = {"test": "test and all that is developed on", "validation": "validation and training"}
    yield html.table(["across sides", "", *(against[stage] for stage in stages)], rows)
    if certificate := found.get("certificate"):
        yield html.tag(
            "p",
            f"Certificate: {certificate['compared']:,} of {certificate['of']:,} {certificate['stage']} sequences were "
            f"aligned with {compared_with(certificate)}, without any filter; {certificate['leaking']:,} "
            f"have a near copy there{_bound(certificate)}.",
        )
    if sentence := leak_ratio(found.get("similarity") or {}):
        yield html.tag("p", sentence)


def _bound(certificate: Mapping[str, Any]) -> str:
    """Return what a sample says of all; nothing where all were compared."""
    if certificate["compared"] == certificate["of"]:
        return ""
    return (
        f", so with {certificate['confidence']:.0%} confidence at most {certificate['bound']:.2%} of the "
        f"{certificate['stage']} sequences do"
    )


def leak_ratio(similarity: Mapping[str, Any]) -> str:
    """Return how much likeness below the threshold lies across sides, beside what chance gives; "" where unknown."""
    ratio, chance = similarity.get("leak_ratio"), similarity.get("leak_ratio_by_chance")
    if ratio is None or not ratio:
        return ""
    least = f" of {similarity['leak_ratio_from']:g} and more" if "leak_ratio_from" in similarity else ""
    text = (
        f"Samples are alike below the threshold, too: of the {similarity['measure']}{least}, summed over pairs of "
        f"which one sample at least is scored, {ratio:.1%} lies across sides (the leak ratio of DataSAIL)"
    )
    if chance is None:
        return f"{text}."
    return f"{text}; sides of these sizes, drawn at random, would have {chance:.1%}."


def _check(check: Mapping[str, Any], stages: Sequence[str]) -> list[object]:
    return [check["what"], _verdict(check, stages), *(_crossing(check.get(stage)) for stage in stages)]


def _verdict(check: Mapping[str, Any], stages: Sequence[str]) -> Markup:
    count = sum((check.get(stage) or {"count": 0})["count"] for stage in stages)
    if check["judged"]:
        return html.marked("bad", "leak") if count else html.marked("good", "none")
    return html.marked("watch", "some; not asked for") if count else html.marked("quiet", "none found; not asked for")


def _crossing(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    words = []
    if found["count"] and "rows" in found:
        words.append(f"{found['rows']:,} of {found['of']:,} rows")
    if found.get("worst") is not None:
        words.append(f"highest {number(found['worst'])}")
    if found.get("pair"):
        words.append(" and ".join(map(str, found["pair"])))
    return f"{found['count']:,}" + (f" ({': '.join(words)})" if words else "")


def differences(card: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield the table of differences between sides, how to read it, and what to do."""
    distribution = card.get("distribution") or {}
    rows = distribution.get("differences", []) if isinstance(distribution, Mapping) else distribution
    if rows:
        shown = [_difference(row) for row in rows]
        yield html.table(["what", "", "between", "D", "shift (sd)", "means"], shown, numeric=(3, 4))
        worst = ", of the fold that differs most" if any("worst_of" in row for row in rows) else ""
        yield html.tag(
            "p",
            "D is the largest distance between the two cumulative distributions: 0 where they agree, 1 where they do "
            f"not overlap{worst}. Up to 0.05 the sides are alike; “watch” is up to 0.1, or what chance gives with "
            "so few samples. Of allele frequencies Fst is shown (alike up to 0.01, different from 0.05).",
        )
    missingness = distribution.get("missingness") if isinstance(distribution, Mapping) else None
    if missingness and missingness["share"] > 0:
        tone: Tone = "bad" if missingness["suspect"] else "good"
        sentence = str(missingness["sentence"])
        yield html.tag("p", html.marked(tone, sentence[:1].upper() + sentence[1:] + "."))
    if card.get("advice"):
        yield html.tag("h3", "What to do")
        yield html.bullets(card["advice"])


def _difference(row: Mapping[str, Any]) -> list[object]:
    tone, words = _FLAGS[row["flag"]]
    between = " | ".join(row["between"])
    if row.get("ks") is None:
        at = f" ({row['variant']})" if row.get("variant") else ""
        gap = f"largest gap {row['max_difference']:.2f}{at}"
        return [row["name"], html.marked(tone, words), between, f"Fst {row['fst']:.3f}", "", gap]
    means = " | ".join(_short(value) for value in row.get("means", ()))
    return [row["name"], html.marked(tone, words), between, f"{row['ks']:.3f}", f"{row['wasserstein_sd']:.3f}", means]


def comparison(table: pd.DataFrame | None) -> Iterator[Markup]:
    """Yield what a random split would promise, in sentences and as a table."""
    if table is None or table.empty:
        return
    from automl_pheno.evaluation.compare import explain_comparison

    label = METRICS[str(table["metric"].iloc[0])].label
    for sentence in explain_comparison(table):
        yield html.tag("p", sentence)
    rows = []
    for row in table.to_dict("records"):
        scores = [_score(row[key], row[f"{key}_sd"]) for key in ("random", "this_split")]
        inflation = "" if pd.isna(row["inflation"]) else f"{row['inflation']:+.3f}"
        rows.append([str(row["name"]).replace("_", " "), *scores, inflation, row["kind"]])
    yield html.table([label, "random split", "this split", "too good by", ""], rows, numeric=(1, 2, 3))


def identity(card: Mapping[str, Any]) -> Markup:
    """Return by what the split is recognised: seed, configuration and the hashes of its ids."""
    hashes = [(f"sha256 of the ids of {name}", html.tag("code", text)) for name, text in card["sha256"].items()]
    config = json.dumps(card.get("config", {}), indent=2, ensure_ascii=False)
    return html.join(
        [
            html.facts([("seed", card.get("seed", ""))]),
            html.folded("Hashes", html.facts(hashes)),
            html.folded("Configuration", html.tag("pre", config)),
        ]
    )


def _short(value: float) -> str:
    return f"{value:.3g}"


def _score(value: float, sd: float) -> str:
    if math.isnan(value):
        return "none"
    return f"{value:.3f}" if math.isnan(sd) else f"{value:.3f} ± {sd:.3f}"


def _sentences(value: Any) -> list[str]:
    """Return what the card says of a matter, which may be a text, several, or numbers by name."""
    if not value:
        return []
    if isinstance(value, Mapping):
        if "sentence" in value or "notes" in value:
            return _sentences(value.get("sentence") or value.get("notes"))
        plain = {name: one for name, one in value.items() if isinstance(one, (int, float, str)) and one not in ("", 0)}
        return [", ".join(f"{str(name).replace('_', ' ')} {one}" for name, one in plain.items())] if plain else []
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]
