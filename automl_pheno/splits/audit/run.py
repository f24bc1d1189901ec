"""The audit: what lies on two sides of a split and must not, counted by code that the splitter does not share.

Sides are compared as they meet: each validation sample with the samples that are trained on when it is validated on
(``Split.folds``, so purged ones do not count), and each test sample with all development samples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.audit import exact
from automl_pheno.splits.audit.certificate import Certificate, certify
from automl_pheno.splits.audit.genotypes import DEFAULT_THRESHOLDS, scan_genotypes
from automl_pheno.splits.audit.library import extrapolation_broken, find_ancestor, nearest_in_training, take_ancestor
from automl_pheno.splits.audit.rules import AuditRules, Leak
from automl_pheno.splits.audit.sequences import make_sequences, scan_sequences
from automl_pheno.splits.audit.sides import NONE, STAGES, Crossing, Scan, Sides, find_sides
from automl_pheno.splits.audit.words import number, statement
from automl_pheno.splits.pairs import Pairs, join_pairs
from automl_pheno.splits.split import Split
from automl_pheno.splits.thresholds import choose_estimator


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Audit:
    """What an audit found.

    Attributes
    ----------
    leaks
        Empty: clean at the stated thresholds, no more and no less.
    facts
        Plain values for JSON: ``statement``, ``rules``, ``checks`` (one a check: its numbers, and ``name``,
        ``found`` and ``verdict`` in words), ``leaks``,
        ``similarity``, ``certificate``, ``library``, ``sizes``, ``sha256``.
    samples
        One row a sample that is evaluated: ``id``, ``side``, ``nearest_id`` and ``nearest_similarity`` of the most
        alike sample that is trained on when it is evaluated; "" and NaN where none was found.
    pairs
        Pairs of similar sequences across sides, rows of the data, which a purge may take out; None where there are
        none, and of genotypes, which the splitter compares exhaustively itself.
    """

    leaks: tuple[Leak, ...]
    facts: dict[str, Any]
    samples: pd.DataFrame
    pairs: Pairs | None = None

    @property
    def statement(self) -> str:
        """What the split is free of, with its numbers; never more than was shown."""
        return str(self.facts["statement"])


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


def audit_split(
    dataset: Dataset, trait: str | None, split: Split, rules: AuditRules, rng: np.random.Generator
) -> Audit:
    """Compare the sides of a split, however it was made; of repeated folds those of each repeat.

    Parameters
    ----------
    dataset
        n samples.
    trait
        Only checked to be there, if one is named: no value of it is looked at.
    split
        Of these samples, in their order.
    rules
        What must not cross.
    rng
        Draws the samples of the certificate.

    Raises
    ------
    SplitError
        The split is of other samples, nothing is evaluated, or a column of the rules is missing.
    """
    if trait is not None:
        dataset.y(trait)
    _check_ids(dataset, split)
    return _joined([_audit(dataset, one, rules, rng) for one in split.repeats()])


def _joined(audits: Sequence[Audit]) -> Audit:
    """Return the audit of repeated folds: the leaks and pairs of all; the rest of the first repeat that leaks."""
    if len(audits) == 1:
        return audits[0]
    shown = next((audit for audit in audits if audit.leaks), audits[0])
    leaks = tuple({leak.sentence: leak for audit in audits for leak in audit.leaks}.values())
    found = [audit.pairs for audit in audits if audit.pairs is not None]
    facts = {
        **shown.facts,
        "leaks": [leak.to_json() for leak in leaks],
        "statement": f"{shown.statement}; the folds of each of {len(audits)} repeats were audited",
        "repeats": [{"statement": audit.statement, "leaks": len(audit.leaks)} for audit in audits],
    }
    return Audit(leaks=leaks, facts=facts, samples=shown.samples, pairs=join_pairs(found) if found else None)


def _audit(dataset: Dataset, split: Split, rules: AuditRules, rng: np.random.Generator) -> Audit:
    sides = find_sides(split)
    if not any(True for _ in sides.evaluations()):
        msg = "nothing to audit: no sample is evaluated by a model that is trained on another"
        raise SplitError(msg)
    found = _Similarity.of(dataset, sides, rules, rng)
    checks = [*_exact_checks(dataset, split, sides, rules), *found.checks]
    leaks = tuple(leak for check in checks for leak in _leaks(check, sides, dataset.ids))
    members = {name: np.flatnonzero(sides.names == name) for name in _names(sides)}
    facts: dict[str, Any] = {
        "rules": rules.to_json(),
        "checks": [_check_facts(check, sides, dataset.ids) for check in checks],
        "leaks": [leak.to_json() for leak in leaks],
        **found.facts,
        "sizes": {name: len(rows) for name, rows in members.items()},
        "purged": int((~sides.used()).sum()),
        "sha256": {name: hash_ids(dataset.ids[rows]) for name, rows in members.items()},
    }
    facts["statement"] = statement(facts, dataset.kind)
    return Audit(leaks=leaks, facts=facts, samples=_samples(dataset, sides, found.scan), pairs=found.pairs)


def hash_ids(ids: StrArray) -> str:
    """Return the sha256 of the sorted ids, one a line, so that the order of rows does not matter."""
    return hashlib.sha256("\n".join(sorted(ids.tolist())).encode()).hexdigest()


def _names(sides: Sides) -> list[str]:
    present = set(sides.names.tolist())
    folds = sorted((name for name in present if name.startswith("fold ")), key=lambda name: int(name[5:]))
    return [name for name in ("train", "validation", *folds, "test", "purged") if name in present]


def _check_ids(dataset: Dataset, split: Split) -> None:
    if len(split.ids) != len(dataset):
        msg = f"the split has {len(split.ids):,} samples, the data have {len(dataset):,}"
        raise SplitError(msg)
    other = np.flatnonzero(split.ids != dataset.ids)
    # an id that the split repeats is a leak to be told; any other difference is another set of samples
    repeated = len(np.unique(split.ids)) < len(split.ids)
    if len(other) and not (repeated and np.isin(split.ids, dataset.ids).all()):
        row = int(other[0])
        msg = f"sample {row + 1} of the split is {str(split.ids[row])!r}, of the data {str(dataset.ids[row])!r}"
        raise SplitError(msg)


def _exact_checks(dataset: Dataset, split: Split, sides: Sides, rules: AuditRules) -> Iterator[Check]:
    values = dataset.inputs.values
    yield Check(kind="ids", what="ids", judged=True, crossings=exact.ids_across(split.ids, sides))
    if dataset.kind == "sequence":
        same, turned = exact.sequences_across(values, sides)
        yield Check(kind="sequences", what="equal sequences", judged=True, crossings=same)
        yield Check(kind="reverse_complements", what="reverse complements", judged=True, crossings=turned)
    else:
        crossings = exact.genotypes_across(values, sides)
        yield Check(kind="genotypes", what="equal genotypes", judged=True, crossings=crossings)
    if exact.has_intervals(dataset):
        crossings = exact.bases_across(dataset, sides, rules.overlap, rules.genome)
        what = "bp of overlapping intervals" + (f" (within {rules.overlap} bp)" if rules.overlap else "")
        yield Check(kind="overlap", what=what, judged="overlap" in rules.judged, crossings=crossings)
    for column in rules.groups:
        crossings = exact.values_across(dataset, column, sides)
        yield Check(kind=f"column {column}", what=f"values of {column}", judged=True, crossings=crossings)
    yield Check(kind="groups", what="groups", judged=True, crossings=exact.labels_across(split.group, sides))
    for pairs in rules.listed:
        kept = pairs.similarity >= pairs.threshold
        crossings = exact.listed_across(pairs.first[kept], pairs.second[kept], pairs.similarity[kept], sides)
        what = f"pairs listed ({pairs.measure})"
        yield Check(kind="listed", what=what, judged=True, threshold=pairs.threshold, crossings=crossings)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Similarity:
    """The checks that measure how alike samples are."""

    checks: tuple[Check, ...]
    facts: dict[str, Any]
    scan: Scan | None
    pairs: Pairs | None = None

    @classmethod
    def of(cls, dataset: Dataset, sides: Sides, rules: AuditRules, rng: np.random.Generator) -> _Similarity:
        if dataset.kind == "genotype":
            return cls._of_genotypes(dataset, sides, rules)
        ancestor = find_ancestor(dataset.inputs.values)
        if ancestor is None and rules.extrapolation is not None:
            ancestor = take_ancestor(dataset.inputs.values)
        if ancestor is not None:
            nearest, distance, facts = nearest_in_training(dataset.inputs.values, sides, rng)
            length = dataset.inputs.width
            scan = Scan(
                measure="identity",
                threshold=rules.identity,
                crossings={},
                nearest=nearest,
                similarity=np.where(nearest >= 0, 1.0 - distance / length, np.nan),
                leak_ratio=float("nan"),
                facts={},
            )
            checks = []
            if rules.extrapolation is not None:
                broken = extrapolation_broken(dataset.inputs.values, ancestor, rules.extrapolation, sides)
                what = f"sequences without what was declared ({rules.extrapolation})"
                checks.append(Check(kind="extrapolation", what=what, judged=True, crossings=broken))
            elif "identity" in rules.judged:
                checks.append(_independence_check(scan, sides, rules.identity))
            told = {"library": {"length": length, "extrapolation": rules.extrapolation, "nearest": facts}}
            return cls(checks=tuple(checks), facts={"similarity": None, "certificate": None, **told}, scan=scan)
        return cls._of_sequences(dataset, sides, rules, rng)

    @classmethod
    def _of_genotypes(cls, dataset: Dataset, sides: Sides, rules: AuditRules) -> _Similarity:
        estimator = rules.estimator or choose_estimator(dataset.inputs).estimator
        threshold = DEFAULT_THRESHOLDS[estimator] if rules.relatedness is None else rules.relatedness
        scan = scan_genotypes(dataset.inputs, sides, estimator, threshold)
        if scan is None:
            return cls(checks=(), facts={"similarity": None, "certificate": None, "library": None}, scan=None)
        check = _similarity_check("relatedness", scan, "relatedness" in rules.judged)
        return cls(checks=(check,), facts=_facts(scan, None), scan=scan)

    @classmethod
    def _of_sequences(cls, dataset: Dataset, sides: Sides, rules: AuditRules, rng: np.random.Generator) -> _Similarity:
        judged = "identity" in rules.judged
        sequences = make_sequences(dataset.inputs.values, rules.coverage)
        scan = scan_sequences(sequences, sides, rules.identity, rng)
        scan.facts["coverage"] = rules.coverage
        checks = [_similarity_check("identity", scan, judged)]
        certificate = None
        # where the search has found leaks there is nothing left to certify
        if judged and not any(crossing.count for crossing in scan.crossings.values()):
            certificate = certify(sequences, sides, rules.identity, rules.budget, rng)
        if certificate is not None:
            worst = float(certificate.similarity.max()) if certificate.leaking else math.nan
            missed = Crossing(count=certificate.leaking, examples=certificate.missed[:3], worst=worst)
            what = f"of {certificate.compared} sequences compared with all"
            checks.append(
                Check(
                    kind="certificate",
                    what=what,
                    judged=True,
                    threshold=rules.identity,
                    crossings={certificate.stage: missed},
                )
            )
        pairs = scan.pairs
        if certificate is not None and certificate.leaking:
            pairs = certificate.pairs(rules.identity)
        kept = pairs if judged and pairs is not None and len(pairs) else None
        return cls(checks=tuple(checks), facts=_facts(scan, certificate), scan=scan, pairs=kept)


def _independence_check(scan: Scan, sides: Sides, identity: float) -> Check:
    """Count the sequences of a library that have a near copy in training, where they were said to be independent."""
    crossings = {}
    for stage in STAGES:
        rows = sides.rows(stage)
        rows = rows[scan.nearest[rows] >= 0]
        rows = rows[np.argsort(-scan.similarity[rows], kind="stable")]
        alike = rows[scan.similarity[rows] >= identity]
        crossings[stage] = Crossing(
            count=len(alike),
            examples=np.stack([alike[:3], scan.nearest[alike[:3]]], axis=1),
            worst=float(scan.similarity[rows[0]]) if len(rows) else math.nan,
        )
    what = f"mutants of one sequence with another at identity >= {identity:g}"
    return Check(kind="identity", what=what, judged=True, threshold=identity, crossings=crossings)


def _similarity_check(kind: str, scan: Scan, judged: bool) -> Check:  # noqa: FBT001 - a field of the rules
    what = f"pairs with {scan.measure} >= {scan.threshold:g}"
    return Check(kind=kind, what=what, judged=judged, threshold=scan.threshold, crossings=scan.crossings)


def _facts(scan: Scan, certificate: Certificate | None) -> dict[str, Any]:
    told = None
    if certificate is not None:
        told = {
            "stage": certificate.stage,
            "compared": certificate.compared,
            "of": certificate.of,
            "trained": certificate.trained,
            "leaking": certificate.leaking,
            "bound": _rounded(certificate.bound),
            "confidence": 0.95,
            "seconds": round(certificate.seconds, 1),
        }
    similarity = {
        "measure": scan.measure,
        "threshold": scan.threshold,
        "leak_ratio": _rounded(scan.leak_ratio),
        **scan.facts,
    }
    return {"similarity": similarity, "certificate": told, "library": None}


def _leaks(check: Check, sides: Sides, ids: StrArray) -> Iterator[Leak]:
    if not check.judged:
        return
    for stage in STAGES:
        crossing = check.crossings.get(stage)
        if crossing is None or not crossing.count:
            continue
        pairs = [(int(a), int(b)) for a, b in crossing.examples]
        between = tuple(str(sides.names[row]) for row in pairs[0]) if pairs else (stage, "train")
        worst = crossing.worst if check.threshold is not None and math.isfinite(crossing.worst) else None
        sentence = f"{crossing.count:,} {check.what} across {stage} and what is trained on"
        if pairs:
            first, second = (f"{str(ids[row])!r} ({sides.names[row]})" for row in pairs[0])
            sentence += f", for example {first} and {second}" + (f": {number(worst)}" if worst is not None else "")
        yield Leak(
            kind=check.kind,
            between=(between[0], between[1]),
            count=crossing.count,
            threshold=check.threshold,
            worst=worst,
            examples=tuple((str(ids[a]), str(ids[b])) for a, b in pairs),
            sentence=sentence,
        )


def _check_facts(check: Check, sides: Sides, ids: StrArray) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(check, name) for name in ("kind", "what", "judged", "threshold")}
    words = []
    for stage in STAGES:
        if not len(sides.rows(stage)):
            found[stage] = None
            continue
        crossing = check.crossings.get(stage, NONE)
        pair = [str(ids[row]) for row in crossing.examples[0]] if len(crossing.examples) else None
        worst = _rounded(crossing.worst) if check.threshold is not None and math.isfinite(crossing.worst) else None
        found[stage] = {"count": crossing.count, "worst": worst, "pair": pair}
        words.append(f"{stage} {crossing.count:,}" + (f" (highest {number(worst)})" if worst is not None else ""))
    leaks = any(crossing.count for crossing in check.crossings.values())
    verdict = "told only" if not check.judged else "leak" if leaks else "ok"
    return {**found, "name": check.what, "found": ", ".join(words), "verdict": verdict}


def _samples(dataset: Dataset, sides: Sides, scan: Scan | None) -> pd.DataFrame:
    rows = sides.evaluated
    nearest = np.full(len(sides), -1, dtype=np.int64) if scan is None else scan.nearest
    similarity = np.full(len(sides), np.nan) if scan is None else scan.similarity
    known = nearest[rows] >= 0
    table: pd.DataFrame = pd.DataFrame(
        {
            "id": dataset.ids[rows],
            "side": sides.names[rows],
            "nearest_id": np.where(known, dataset.ids[np.maximum(nearest[rows], 0)], ""),
            "nearest_similarity": similarity[rows],
        }
    )
    return table


def _rounded(value: float) -> float | None:
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
