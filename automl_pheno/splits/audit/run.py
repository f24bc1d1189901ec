"""The audit: what lies on two sides of a split and must not, counted by code that the splitter does not share.

Sides are compared as they meet: each validation sample with the samples that are trained on when it is validated on
(``Split.folds``, so purged ones do not count), and each test sample with all development samples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.splits.audit import exact
from automl_pheno.splits.audit.certificate import Certificate, certify
from automl_pheno.splits.audit.checks import Check, check_facts, leaks_of, rounded
from automl_pheno.splits.audit.genotypes import DEFAULT_THRESHOLDS, scan_genotypes
from automl_pheno.splits.audit.library import (
    MOST_DENSE,
    extrapolation_broken,
    find_ancestor,
    find_dense,
    nearest_in_training,
    sequences_across,
    take_ancestor,
)
from automl_pheno.splits.audit.rules import AuditRules, Leak
from automl_pheno.splits.audit.sequences import make_sequences, scan_sequences, set_frame_aside
from automl_pheno.splits.audit.sides import NONE, Scan, Sides, find_sides
from automl_pheno.splits.audit.words import statement
from automl_pheno.splits.pairs import Pairs, join_pairs
from automl_pheno.splits.split import Split
from automl_pheno.splits.thresholds import choose_estimator

MOST_BY_CHANCE = 0.05
"""Pairs of reverse complements among unrelated inserts of a constant frame from which on they are told, not judged."""


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
    framed = _framed_checks(dataset, sides) if found.facts["library"] is None else ()
    checks = [*_exact_checks(dataset, split, sides, rules), *framed, *found.checks]
    leaks = tuple(leak for check in checks for leak in leaks_of(check, sides, dataset.ids))
    members = {name: np.flatnonzero(sides.names == name) for name in _names(sides)}
    facts: dict[str, Any] = {
        "rules": rules.to_json(),
        "checks": [check_facts(check, sides, dataset.ids) for check in checks],
        "leaks": [leak.to_json() for leak in leaks],
        **found.facts,
        "sizes": {name: len(rows) for name, rows in members.items()},
        "purged": int((~sides.used()).sum()),
        "sha256": {name: hash_ids(dataset.ids[rows]) for name, rows in members.items()},
    }
    if why := exact.unchecked_intervals(dataset):
        facts["unchecked"] = {"overlap": why}
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
        lost = sum(cell is None for cell in exact.cells(dataset, column))
        what = f"values of {column}" + (f" ({lost:,} of {len(dataset):,} samples have none)" if lost else "")
        yield Check(kind=f"column {column}", what=what, judged=True, crossings=crossings)
    if len(np.unique(split.group)) < len(split.group):  # a split without groups cannot break one
        yield Check(kind="groups", what="groups", judged=True, crossings=exact.labels_across(split.group, sides))
    for pairs in rules.listed:
        kept = pairs.similarity >= pairs.threshold
        crossings = exact.listed_across(pairs.first[kept], pairs.second[kept], pairs.similarity[kept], sides)
        what = f"pairs listed ({pairs.measure})"
        yield Check(kind="listed", what=what, judged=True, threshold=pairs.threshold, crossings=crossings)


def _framed_checks(dataset: Dataset, sides: Sides) -> Iterator[Check]:
    """Yield what a constant frame hides: equal inserts and reverse ones, judged where chance does not make as many."""
    if dataset.kind != "sequence":
        return
    inner, flanks = set_frame_aside(dataset.inputs.values)
    if not any(flanks):
        return
    width = int((inner != 0).sum(axis=1).min())
    by_chance = len(inner) ** 2 / 2.0 / 4.0 ** min(width, 60)
    chance = f" (unrelated inserts of {width} bp make up to {by_chance:,.0f} pairs by chance)"
    found = zip(("sequences", "reverse_complements"), exact.sequences_across(inner, sides), strict=True)
    for kind, crossings in found:
        what = f"{'equal sequences' if kind == 'sequences' else 'reverse complements'} within the constant frame"
        judged = by_chance < MOST_BY_CHANCE
        yield Check(kind=kind, what=what if judged else f"{what}{chance}", judged=judged, crossings=crossings)


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
        codes = dataset.inputs.values
        ancestor = find_ancestor(codes)
        dense = None
        if ancestor is None:
            dense = find_dense(codes, rng, most=MOST_DENSE if rules.reference is None else codes.shape[1])
        if ancestor is None and dense is None and rules.extrapolation is None:
            return cls._of_sequences(dataset, sides, rules, rng)
        if rules.reference is not None or ancestor is None:
            ancestor = take_ancestor(codes, rules.reference)
        kind = "mutants" if dense is None else "dense"
        width = codes.shape[1] if dense is None else int(dense.sum())
        nearest, distance, facts = nearest_in_training(codes, sides, rng)
        scan = Scan(
            measure="identity",
            threshold=rules.identity,
            crossings={},
            nearest=nearest,
            similarity=np.where(nearest >= 0, 1.0 - distance / width, np.nan),
            leak_ratio=float("nan"),
            facts={},
        )
        checks = []
        if rules.extrapolation is not None:
            broken = extrapolation_broken(codes, ancestor, rules.extrapolation, sides)
            what = f"sequences without what was declared ({rules.extrapolation})"
            declared = {stage: one for stage, one in broken.items() if stage in rules.extrapolating}
            checks.append(Check(kind="extrapolation", what=what, judged=True, crossings=declared))
        elif "identity" in rules.judged:
            checks.append(_independence_check(scan, sides, rules.identity, kind))
        library = {
            "kind": kind,
            "length": codes.shape[1],
            "variable": width,
            "extrapolation": rules.extrapolation,
            "extrapolating": [stage for stage in rules.extrapolating if len(sides.rows(stage))],
            "nearest": facts,
        }
        told = {"similarity": None, "certificate": None, "library": library}
        return cls(checks=tuple(checks), facts=told, scan=scan)

    @classmethod
    def _of_genotypes(cls, dataset: Dataset, sides: Sides, rules: AuditRules) -> _Similarity:
        estimator = rules.estimator or choose_estimator(dataset.inputs).estimator
        threshold = DEFAULT_THRESHOLDS[estimator] if rules.relatedness is None else rules.relatedness
        scan = scan_genotypes(dataset.inputs, sides, estimator, threshold)
        if scan is None:
            return cls(checks=(), facts={"similarity": None, "certificate": None, "library": None}, scan=None)
        check = _similarity_check("relatedness", scan, "relatedness" in rules.judged)
        return cls(checks=(check,), facts=_facts(scan, sides, None), scan=scan)

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
            pairs_missed = certificate.missed
            found = sequences_across(sides, pairs_missed[:, 0], pairs_missed[:, 1], certificate.similarity)
            missed = replace(found.get(certificate.stage, NONE), worst=worst, compared=certificate.compared)
            what = f"of {certificate.compared:,} sequences compared with all"
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
        return cls(checks=tuple(checks), facts=_facts(scan, sides, certificate), scan=scan, pairs=kept)


def _independence_check(scan: Scan, sides: Sides, identity: float, kind: str) -> Check:
    """Count the sequences of a library that have a near copy in training, where they were said to be independent."""
    rows = sides.evaluated[scan.nearest[sides.evaluated] >= 0]
    alike = rows[scan.similarity[rows] >= identity]
    found = sequences_across(sides, alike, scan.nearest[alike], scan.similarity[alike])
    crossings = {}
    for stage, crossing in found.items():
        members = rows[sides.is_test(rows) == (stage == "test")]
        worst = float(scan.similarity[members].max()) if len(members) else math.nan
        crossings[stage] = replace(crossing, worst=worst, compared=len(members))
    of = "mutants of one sequence" if kind == "mutants" else "sequences of a dense library"
    where = "" if kind == "mutants" else " of the varying positions"
    what = f"{of} with another at identity >= {identity:g}{where}"
    return Check(kind="identity", what=what, judged=True, threshold=identity, crossings=crossings)


def _similarity_check(kind: str, scan: Scan, judged: bool) -> Check:  # noqa: FBT001 - a field of the rules
    what = f"pairs with {scan.measure} >= {scan.threshold:g}"
    return Check(kind=kind, what=what, judged=judged, threshold=scan.threshold, crossings=scan.crossings)


def _facts(scan: Scan, sides: Sides, certificate: Certificate | None) -> dict[str, Any]:
    told = None
    if certificate is not None:
        told = {
            "stage": certificate.stage,
            "compared": certificate.compared,
            "of": certificate.of,
            "trained": certificate.trained[1],
            "trained_least": certificate.trained[0],
            "leaking": certificate.leaking,
            "bound": rounded(certificate.bound),
            "confidence": 0.95,
            "seconds": round(certificate.seconds, 1),
        }
    similarity = {
        "measure": scan.measure,
        "threshold": scan.threshold,
        "leak_ratio": rounded(scan.leak_ratio),
        "leak_ratio_by_chance": None if (share := sides.crossing_share()) is None else rounded(share),
        **scan.facts,
    }
    return {"similarity": similarity, "certificate": told, "library": None}


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
