"""Make a split as a configuration asks: group, cut, assign, purge, audit, describe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.curation.sequences import sequence_notes
from automl_pheno.data import Dataset, FloatArray
from automl_pheno.errors import SplitError
from automl_pheno.rng import generator
from automl_pheno.splits.audit.rules import ALL_JUDGED, rules_for
from automl_pheno.splits.audit.run import Audit, audit_split
from automl_pheno.splits.balance import describe_split
from automl_pheno.splits.card import make_card
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.draw import Drawn, draw_split, is_whole
from automl_pheno.splits.purge import purge
from automl_pheno.splits.split import Split

_AUDITS = 3  # in the last nothing is purged any more
_FEW = 20  # below, a score is hardly worth reading


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MadeSplit:
    """A split and all that is known about it.

    Attributes
    ----------
    split
        The split.
    card
        ``split_card.json``: guarantees, audit, balance, hashes, as plain values.
    samples
        ``split_samples.csv``: one row a sample with what the pictures need.
    leaks
        What the audit found to lie on two sides, in sentences; empty where nothing does at the stated thresholds.
    config
        What was asked for, with what was decided: ``method`` and ``repeats``.
    """

    split: Split
    card: dict[str, Any]
    samples: pd.DataFrame
    leaks: tuple[str, ...]
    config: SplitConfig


def make_split(dataset: Dataset, trait: str | None, config: SplitConfig) -> MadeSplit:
    """Return a split of `dataset`, proven by the audit or with its leaks listed.

    Parameters
    ----------
    dataset
        All samples have a finite value of `trait` (``data.drop_missing``).
    trait
        By which the sides are balanced; None balances their sizes only.
    config
        What stays together and how it is cut. With ``fold_column`` the folds are the column's values in order, and
        only ``test_column`` makes a test set. With ``set_column`` lacking a validation set, one is cut from train.

    Raises
    ------
    SplitError
        A column is missing or breaks a group, a set would be empty, there are fewer groups than folds, or a purge
        would take too much of the training samples.
    """
    y = None if trait is None else dataset.y(trait)
    if y is not None and not np.isfinite(y).all():
        msg = f"trait {trait!r} is missing in {int((~np.isfinite(y)).sum()):,} samples; drop them before the split"
        raise SplitError(msg)
    drawn = draw_split(dataset, trait, config)
    config = drawn.config
    groups = drawn.groups
    audited = _audited(dataset, trait, drawn, config)
    split, audit = audited.split, audited.audit
    described = describe_split(
        dataset, trait, split.repeats()[0], generator(config.seed, "split", "describe"), _by_design(drawn, config)
    )
    card = make_card(
        dataset,
        trait,
        split,
        groups,
        config,
        (
            *_data_notes(dataset),
            *drawn.notes,
            *audited.notes,
            *_purge_notes(split),
            *_size_notes(split),
            *(() if trait is not None else ("no trait was named: the sides are balanced in size only",)),
        ),
        audit=audit,
        extra={
            **drawn.facts,
            "purged": {
                **drawn.purged,
                "after_audit": audited.purged,
                "samples": int((split.set == "purged").sum()),
                "from_folds": _purged_from_folds(split),
            },
            "distribution": described.facts(),
            "advice": described.advice,
        },
    )
    return MadeSplit(
        split=split,
        card=card,
        samples=_samples(dataset, y, split, described.samples, audit.samples),
        leaks=tuple(leak.sentence for leak in audit.leaks),
        config=config,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Audited:
    """A split whose audit has been acted on."""

    split: Split
    audit: Audit
    purged: int = 0
    notes: tuple[str, ...] = ()


def _audited(dataset: Dataset, trait: str | None, drawn: Drawn, config: SplitConfig) -> _Audited:
    """Audit the split; what the groupings have missed is purged, too, and the rest audited again."""
    # what was decided for the user is what the audit holds the split to
    decided = config.model_copy(update={"extrapolation": drawn.extrapolation})
    rules = rules_for(dataset, decided, drawn.groups)
    library = drawn.facts.get("library")
    if library is not None and library["kind"] == "dense":
        rules = replace(rules, reference=library["reference"])
    # of a library nobody can claim it; what its split asks is said instead
    independent = _claims_independence(config) and drawn.extrapolation == "none" and library is None
    if independent:
        rules = replace(rules, judged=ALL_JUDGED)
    split, lost, pairs = drawn.split, 0, 0
    for number in range(_AUDITS):
        audit = audit_split(dataset, trait, split, rules, generator(config.seed, "split", "audit", number))
        if audit.pairs is None or independent or number == _AUDITS - 1:
            break
        purged = purge(split, (audit.pairs,)).split
        if not is_whole(purged):
            break
        lost += _rows_lost(split, purged)
        pairs += len(audit.pairs)
        split = purged
    if not pairs:
        return _Audited(split=split, audit=audit)
    note = (
        f"the audit found {pairs:,} similar pairs across sides that the search for similar sequences had missed; "
        f"{lost:,} training samples were purged for them, and the split was audited again"
    )
    return _Audited(split=split, audit=audit, purged=lost, notes=(note,))


def _rows_lost(before: Split, after: Split) -> int:
    """Return how many samples are not trained on any more somewhere."""
    gone = after.set != before.set
    for one, other in zip(before.folds(), after.folds(), strict=False):
        gone[np.setdiff1d(one.train, other.train)] = True
    return int(gone.sum())


def _purged_from_folds(split: Split) -> list[int]:
    """Return how many samples are not trained on when each fold is validated on; empty where none is."""
    found = (one.purged_from for one in split.repeats())
    return [int(n) for purged in found if purged is not None for n in purged.sum(axis=0)]


def _purge_notes(split: Split) -> list[str]:
    """Return how many samples are purged in all, of the split as it is; no note where none is."""
    notes = []
    n, rows = len(split.ids), int((split.set == "purged").sum())
    if rows:
        notes.append(f"{rows:,} of {n:,} samples are purged: they are too much like a sample of another side")
    lost = _purged_from_folds(split)
    if lost:
        notes.append(
            f"of the training samples of a fold {min(lost):,} to {max(lost):,} are purged "
            f"(mean {sum(lost) / len(lost):.0f})"
        )
    return notes


def _data_notes(dataset: Dataset) -> tuple[str, ...]:
    return sequence_notes(dataset.inputs.values) if dataset.kind == "sequence" else ()


def _claims_independence(config: SplitConfig) -> bool:
    """Say whether nothing was to be kept together: then the samples must be independent, and the audit sees if so."""
    own = config.set_column is not None or config.fold_column is not None
    return config.groups == ("random",) or (own and not config.groups and config.regime is None)


def _by_design(drawn: Drawn, config: SplitConfig) -> str:
    """Return why the sides are meant to differ, as it was asked for; "" where they are not."""
    if drawn.extrapolation != "none":
        return f"extrapolation: {drawn.extrapolation}"
    return "regime: cross-population" if config.regime == "cross-population" else ""


def _size_notes(split: Split) -> list[str]:
    notes = []
    if not len(split.test):
        notes.append("there is no sealed test set: the best validation score is all there is, and it is optimistic")
    for name in ("validation", "test"):
        n = int((split.set == name).sum())
        if 0 < n < _FEW:
            notes.append(f"{name} has {n} samples only: its scores are very uncertain")
    return notes


def _samples(
    dataset: Dataset, y: FloatArray | None, split: Split, described: pd.DataFrame, nearest: pd.DataFrame
) -> Any:
    """Return one row a sample: id, set, fold, y, what it is like, and the most similar sample it is tested against."""
    table = pd.DataFrame({"id": dataset.ids, "set": split.set, "fold": split.fold})
    if y is not None:
        table["y"] = y
    table["fold"] = table["fold"].where(table["fold"] >= 0).astype("Int64")
    return table.merge(described, on="id", how="left").merge(
        nearest[["id", "nearest_id", "nearest_similarity"]], on="id", how="left"
    )
