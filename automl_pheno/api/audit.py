"""Audit a split, ours or another program's, against the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.api.data import Data, read
from automl_pheno.data import Dataset
from automl_pheno.data.copies import check_copies
from automl_pheno.errors import SplitError
from automl_pheno.files import write_json
from automl_pheno.rng import generator
from automl_pheno.splits import Split
from automl_pheno.splits.audit.rules import AuditRules, parse_relatedness, rules_from_json, rules_with
from automl_pheno.splits.audit.run import Audit, audit_split, hash_ids
from automl_pheno.splits.imported import read_any_split
from automl_pheno.splits.imported_pairs import pairs as listed_pairs
from automl_pheno.study.run_folder import SPLIT_CARD


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuditedSplit:
    """A split that was audited.

    Attributes
    ----------
    audit
        What was found.
    notes
        What was read, matched and decided.
    files
        Written.
    """

    audit: Audit
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def audit_file(
    split: str | Path,
    *,
    data: Data,
    trait: str | None = None,
    identity: float | None = None,
    relatedness: str | None = None,
    groups: Sequence[str] | None = None,
    extrapolation: str | None = None,
    budget: float | None = None,
    json_file: str | Path | None = None,
    seed: int = 0,
    **reading: Any,
) -> AuditedSplit:
    """Compare the sides of a split from a file.

    Thresholds are those of ``split_card.json`` beside the split where it is of this split, else the defaults: identity
    0.8 over half of the shorter sequence, 2nd-degree relatives (or IBS 0.95), overlapping intervals. What is given
    here wins.

    Parameters
    ----------
    split
        Our ``split.csv``, GraphPart, DataSAIL, hashFrag, or a table of an id and a set or a fold.
    data
        See `automl_pheno.read`.
    trait
        Only samples with a value of it are in the split; None does not ask.
    identity
        From which on two sequences are alike.
    relatedness
        From which on two genotypes are alike: ``0.177``, ``king=0.0884``, ``ibs=0.95``, ``grm=0.5``.
    groups
        What must not be shared besides: ``column:NAME``, ``chromosome``, ``family``, ``overlap:50``, ``pairs:FILE`` ...
    extrapolation
        What the test set of a library of mutants must hold: ``unseen``, ``mutations`` or ``position``.
    budget
        Seconds for the sampled certificate of sequences.
    json_file
        Where to write the facts.
    seed
        Of the certificate.
    **reading
        ``trait_table``, ``sequence_column``, ``id_column``, ``genome`` ...: see `automl_pheno.read`.

    Raises
    ------
    AutoMLPhenoError
        A file breaks a rule, or the split is of other samples.
    """
    path = Path(split)
    dataset = read(data, **reading)
    if trait is not None:
        dataset = dataset.with_notes(*check_copies(dataset, trait))
    imported = read_any_split(path, dataset)
    rows = np.flatnonzero(imported.named)
    used, made = dataset.take(rows), imported.split.take(rows)
    rules, notes = _rules(path, made)
    _refuse_unused(used, identity, extrapolation, budget, groups or ())
    if identity is not None and rules.extrapolation is not None:
        notes += (
            f"--identity asks for independence, so the extrapolation of the card ({rules.extrapolation}) is left",
        )
        rules = replace(rules, extrapolation=None)
    changes: dict[str, Any] = {"identity": identity, "extrapolation": extrapolation, "budget": budget}
    rules = replace(rules, **{name: value for name, value in changes.items() if value is not None})
    if identity is not None:
        rules = _judge(rules, used, "identity", "sequence")
    if relatedness is not None:
        rules = _judge(replace(rules, **parse_relatedness(relatedness)), used, "relatedness", "genotype")
    asked = list(groups or ())
    files = [text for text in asked if text.partition(":")[0] == "pairs"]
    rules = rules_with(rules, used, [text for text in asked if text not in files])
    for text in files:
        found = listed_pairs(used, text.partition(":")[2] or None)
        rules = replace(rules, listed=(*rules.listed, *([found.pairs] if found.pairs is not None else [])))
        notes += found.notes
    audit = audit_split(used, trait, made, rules, generator(seed, "audit"))
    written: tuple[Path, ...] = ()
    if json_file is not None:
        written = (Path(json_file),)
        write_json(written[0], {"split": str(path), "source": imported.source, **audit.facts})
    return AuditedSplit(audit=audit, notes=(*dataset.notes, *imported.notes, *notes), files=written)


def _refuse_unused(
    dataset: Dataset, identity: float | None, extrapolation: str | None, budget: float | None, groups: Sequence[str]
) -> None:
    """Raise SplitError where something is asked for that is not looked at in such data."""
    asked = {"extrapolation": extrapolation, "budget": budget}
    for name, value in asked.items():
        if value is not None and dataset.kind != "sequence":
            msg = f"audit: {name} is of sequences, and the data are {dataset.kind}s"
            raise SplitError(msg)
    similar = identity is not None or any(text.partition(":")[0] == "similarity" for text in groups)
    if extrapolation is not None and similar:
        msg = (
            f"audit: a library that is judged by its extrapolation ({extrapolation}) is not judged by similarity; "
            "give one of the two"
        )
        raise SplitError(msg)


def _judge(rules: AuditRules, dataset: Dataset, what: str, kind: str) -> AuditRules:
    if dataset.kind != kind:
        msg = f"audit: {what} is of {kind}s, and the data are {dataset.kind}s"
        raise SplitError(msg)
    return replace(rules, judged=tuple(dict.fromkeys([*rules.judged, what])))


def _rules(path: Path, split: Split) -> tuple[AuditRules, tuple[str, ...]]:
    """Return the rules of the card beside a split, or the default ones, and which."""
    source = path.parent / SPLIT_CARD
    if not source.is_file():
        return AuditRules(), ()
    try:
        card = json.loads(source.read_text(encoding="utf-8"))
        told = (card.get("audit") or {}).get("rules")
        hashes = card.get("sha256") or {}
    except (OSError, ValueError, AttributeError) as error:
        msg = f"{source}: cannot be read as a split card: {error}"
        raise SplitError(msg) from None
    if not told or not _is_of(hashes, split):
        return AuditRules(), (f"{source.name} beside the split is not of this split; default thresholds are taken",)
    rules = rules_from_json(told)
    lists = [str(listed["measure"]) for listed in told.get("listed", ())]
    more = [f"{name} were kept apart, too; give them as --group-by pairs:FILE to audit that" for name in lists]
    return rules, (f"thresholds are those of {source.name}", *more)


def _is_of(hashes: Mapping[str, str], split: Split) -> bool:
    test = split.ids[split.set == "test"]
    return bool(hashes) and (hashes.get("test") or hash_ids(test[:0])) == hash_ids(test)
