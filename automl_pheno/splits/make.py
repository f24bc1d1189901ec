"""Make a split as a configuration asks: group, cut, assign, purge, audit, describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from automl_pheno.curation.sequences import sequence_notes
from automl_pheno.data import Dataset, FloatArray, IntArray, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.rng import generator
from automl_pheno.splits.audit import Audit, audit_split
from automl_pheno.splits.audit_rules import ALL_JUDGED, rules_for
from automl_pheno.splits.balance import describe_split
from automl_pheno.splits.card import make_card
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.cut import cut_groups
from automl_pheno.splits.groups import Groups, make_groups, union
from automl_pheno.splits.library import Library, extrapolate, find_library
from automl_pheno.splits.own import check_whole, chosen_test, own_folds, own_sets
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.parts import cut_parts, wanted_parts
from automl_pheno.splits.populations import regime_groups
from automl_pheno.splits.purge import Purged, purge
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
    """

    split: Split
    card: dict[str, Any]
    samples: pd.DataFrame
    leaks: tuple[str, ...]


def make_split(dataset: Dataset, trait: str, config: SplitConfig) -> MadeSplit:
    """Return a split of `dataset`, proven by the audit or with its leaks listed.

    Parameters
    ----------
    dataset
        All samples have a finite value of `trait` (``data.drop_missing``).
    config
        What stays together and how it is cut. With ``fold_column`` the folds are the column's values in order, and
        only ``test_column`` makes a test set. With ``set_column`` lacking a validation set, one is cut from train.

    Raises
    ------
    SplitError
        A column is missing or breaks a group, a set would be empty, there are fewer groups than folds, or a purge
        would take too much of the training samples.
    """
    y = dataset.y(trait)
    if not np.isfinite(y).all():
        msg = f"trait {trait!r} is missing in {int((~np.isfinite(y)).sum()):,} samples; drop them before the split"
        raise SplitError(msg)
    drawn = draw_split(dataset, trait, config)
    groups = drawn.groups
    audited = _audited(dataset, trait, drawn, config)
    split, audit = audited.split, audited.audit
    described = describe_split(dataset, trait, split, generator(config.seed, "split", "describe"))
    card = make_card(
        dataset,
        trait,
        split,
        groups,
        config,
        (
            *(sequence_notes(dataset.inputs.values) if dataset.kind == "sequence" else ()),
            *drawn.notes,
            *_size_notes(split),
        ),
        audit=audit,
        extra={
            **drawn.facts,
            "purged": {**drawn.purged, "after_audit": audited.purged},
            "distribution": described.facts(),
            "advice": described.advice,
        },
    )
    return MadeSplit(
        split=split,
        card=card,
        samples=_samples(dataset, y, split, described.samples, audit.samples),
        leaks=tuple(leak.sentence for leak in audit.leaks),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Audited:
    """A split whose audit has been acted on."""

    split: Split
    audit: Audit
    purged: int = 0
    notes: tuple[str, ...] = ()


def _audited(dataset: Dataset, trait: str, drawn: Drawn, config: SplitConfig) -> _Audited:
    """Audit the split; what the groupings have missed is purged, too, and the rest audited again."""
    # what was decided for the user is what the audit holds the split to
    decided = config.model_copy(update={"extrapolation": drawn.extrapolation})
    rules = rules_for(dataset, decided, drawn.groups)
    independent = _claims_independence(config) and drawn.extrapolation == "none"
    if independent:
        rules = replace(rules, judged=ALL_JUDGED)
    split, lost, pairs = drawn.split, 0, 0
    for number in range(_AUDITS):
        audit = audit_split(dataset, trait, split, rules, generator(config.seed, "split", "audit", number))
        if audit.pairs is None or independent or number == _AUDITS - 1:
            break
        purged = purge(split, (audit.pairs,)).split
        if not _is_whole(purged):
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


def _data_notes(dataset: Dataset) -> tuple[str, ...]:
    return sequence_notes(dataset.inputs.values) if dataset.kind == "sequence" else ()


def _claims_independence(config: SplitConfig) -> bool:
    """Say whether nothing was to be kept together: then the samples must be independent, and the audit sees if so."""
    own = config.set_column is not None or config.fold_column is not None
    return config.groups == ("random",) or (own and not config.groups and config.regime is None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A split before its audit.

    Attributes
    ----------
    split, groups
        The groups as they were kept together, after cutting.
    extrapolation
        What the test set of a library of mutants was chosen by; ``none`` elsewhere.
    purged
        How many samples were purged from what, for the card.
    facts
        For the card.
    notes
        What was decided for the user.
    """

    split: Split
    groups: Groups
    purged: Mapping[str, Any]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]
    extrapolation: Literal["unseen", "mutations", "position", "none"] = "none"


def draw_split(dataset: Dataset, trait: str, config: SplitConfig) -> Drawn:
    """Return the split without audit and card; see `make_split`."""
    y = dataset.y(trait)
    own = next((f for f in ("set_column", "fold_column", "test_column") if getattr(config, f) is not None), None)
    library = _library(dataset, config) if own is None else None
    sets = np.full(len(dataset), "", dtype="<U10")
    fold = np.full(len(dataset), -1, dtype=np.int64)
    facts: dict[str, Any] = {}
    notes: list[str] = []
    strata: IntArray | None = None
    asked = config.groups
    if library is not None:
        notes.append(library.describe())
        facts["library"] = library.facts()
    if library is not None and config.extrapolation != "none":
        sets[:], facts["extrapolation"] = _extrapolate(dataset, library, y, config, notes)
    elif own == "set_column":
        sets[:] = own_sets(dataset, config)
    elif config.test_column is not None:
        sets[chosen_test(dataset, config)] = "test"
    if config.regime is not None:
        rng = generator(config.seed, "split", "populations")
        asked, strata, more = regime_groups(dataset, config.regime, config.populations, rng)
        notes += more
    groups = make_groups(dataset, asked, automatic=own in (None, "test_column") and library is None)
    if config.fold_column is not None:
        fold[:] = own_folds(dataset, config, sets == "test")
        sets[fold >= 0] = "train"
    task = _Task(dataset=dataset, y=y, config=config, sets=sets.astype("<U10"), fold=fold, strata=strata)
    if own is not None:
        check_whole(dataset, groups.labels, task.sides, f"{own} {getattr(config, own)!r}")
    drawn = _climb(task, groups, notes, facts)
    return replace(drawn, extrapolation=_extrapolated(config) if "extrapolation" in facts else "none")


def _extrapolated(config: SplitConfig) -> Literal["unseen", "mutations", "position", "none"]:
    return "unseen" if config.extrapolation == "auto" else config.extrapolation


def _extrapolate(
    dataset: Dataset, library: Library, y: FloatArray, config: SplitConfig, notes: list[str]
) -> tuple[StrArray, Mapping[str, Any]]:
    """Return the sets of a library's samples, and facts; with folds the development samples are still to be cut."""
    kind = _extrapolated(config)
    if kind == "none":
        msg = "extrapolation: none asks for an ordinary split"
        raise SplitError(msg)
    folds = config.method == "kfold"
    rng = generator(config.seed, "split", "extrapolate")
    found = extrapolate(dataset, library, kind, y, config.test, 0.0 if folds else config.validation, rng)
    notes += found.notes
    if folds:
        notes.append("the folds are drawn at random among the development samples; only the test set extrapolates")
    return np.where((found.sets == "train") & folds, "", found.sets).astype(np.str_), found.facts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    """What is to be cut: `sets` is "" and `fold` -1 where nothing is decided yet."""

    dataset: Dataset
    y: FloatArray
    config: SplitConfig
    sets: StrArray
    fold: IntArray
    strata: IntArray | None

    @property
    def sides(self) -> StrArray:
        """Side of each sample as the user has decided it; "" where he has not."""
        return np.where(self.fold >= 0, self.fold.astype(np.str_), self.sets).astype(np.str_)


def _climb(task: _Task, groups: Groups, notes: list[str], facts: dict[str, Any]) -> Drawn:
    """Assign and purge; where that takes too much of training, try again at the next threshold of the ladder."""
    most = task.config.most_purged
    while True:
        kept, cut_notes, cut_facts = _cut_giants(task, groups)
        split, part_notes = _assign(task, kept)
        purged = purge(split, kept.pairs)
        if purged.share <= most and _is_whole(purged.split):
            break
        higher = [pairs.ladder[0] if pairs.ladder else None for pairs in kept.pairs]
        if all(step is None for step in higher):
            raise SplitError(_too_much(purged, kept, most))
        pairs = tuple(one if step is None else one.at_least(step) for one, step in zip(kept.pairs, higher, strict=True))
        notes.append(
            "; ".join(
                f"{old.measure} >= {old.threshold:g} would purge {purged.share:.0%} of the training samples "
                f"(most_purged: {most:.0%}); the threshold was raised to {new.threshold:g}"
                for old, new in zip(kept.pairs, pairs, strict=True)
                if old.threshold != new.threshold
            )
        )
        groups = replace(groups, pairs=pairs, guarantees=_after_climb(groups, pairs))
    return Drawn(
        split=purged.split,
        groups=kept,
        purged={**purged.counts, "share_of_training": round(purged.share, 6)},
        facts={**facts, "cut": cut_facts},
        notes=(*notes, *cut_notes, *part_notes, *_purge_notes(purged, len(task.y))),
    )


def _after_climb(groups: Groups, pairs: tuple[Pairs, ...]) -> dict[str, str]:
    """Return the guarantees with the thresholds that are left of them."""
    raised = [new for old, new in zip(groups.pairs, pairs, strict=True) if old.threshold != new.threshold]
    said = ", ".join(f"{one.measure} >= {one.threshold:g}" for one in raised)
    more = f"; the threshold was then raised, so that the sides are kept apart at {said} only"
    return {
        name: text.partition("; the threshold was then raised")[0] + more
        if name.partition(":")[0] in ("relatedness", "similarity")
        else text
        for name, text in groups.guarantees.items()
    }


def _is_whole(split: Split) -> bool:
    """Say whether every fold still has samples to train on and to be judged by."""
    return all(len(fold.train) and len(fold.validation) for fold in split.folds())


def _too_much(purged: Purged, groups: Groups, most: float) -> str:
    thresholds = ", ".join(f"{pairs.measure} >= {pairs.threshold:g}" for pairs in groups.pairs)
    return (
        f"keeping sides apart at {thresholds} would purge {purged.share:.0%} of the training samples "
        f"(most_purged: {most:.0%}); state a higher threshold, hold out whole groups (column:NAME, family, clusters), "
        "or raise most_purged"
    )


def _purge_notes(purged: Purged, n: int) -> list[str]:
    notes = []
    rows = int((purged.split.set == "purged").sum())
    if rows:
        notes.append(f"{rows:,} of {n:,} samples are purged: they are too much like a sample of another side")
    if purged.split.purged_from is not None:
        lost = purged.split.purged_from.sum(axis=0)
        notes.append(
            f"of the training samples of a fold {lost.min():,} to {lost.max():,} are purged (mean {lost.mean():.0f})"
        )
    return notes


def _cut_giants(task: _Task, groups: Groups) -> tuple[Groups, list[str], dict[str, Any]]:
    """Join what is alike into groups, and cut those that are too large to be placed; labels are then final.

    Where the user has decided the side of a sample, pairs across sides join nothing: they are purged.
    """
    hard, config = groups.labels, task.config
    n = len(hard)
    sides = np.unique(task.sides, return_inverse=True)[1]
    joining = [pairs.among(sides[pairs.first] == sides[pairs.second]) for pairs in groups.pairs]
    whole = union([hard, *(pairs.components(n) for pairs in joining)])
    open_rows = (task.sets == "") & (task.fold < 0)
    if not open_rows.any():
        return replace(groups, labels=whole), [], {}
    _, shares = wanted_parts(config, n, int(open_rows.sum()))
    smallest = float(shares.min())
    limit = min(config.largest_group, smallest) if config.method == "kfold" else config.largest_group
    sizes = np.bincount(whole, weights=open_rows)
    giants = np.flatnonzero(sizes > limit * open_rows.sum())
    facts: dict[str, Any] = {"largest_connected": int(sizes.max()), "limit": round(limit, 6), "groups_cut": len(giants)}
    if not len(giants) or not joining:
        return replace(groups, labels=whole), [], facts
    inside = np.isin(whole, giants)
    cap = max(int(min(limit, smallest) * open_rows.sum()), 1)
    rng = generator(config.seed, "split", "cut")
    pieces, cut_notes = cut_groups(hard, [pairs.among(inside[pairs.first]) for pairs in joining], cap, rng)
    labels = union([pieces, *(pairs.among(~inside[pairs.first]).components(n) for pairs in joining)])
    facts |= {"largest_after": int(np.bincount(labels).max()), "pieces_at_most": cap}
    note = (
        f"the largest connected group holds {int(sizes.max()):,} of {n:,} samples; {len(giants)} such "
        f"{'group was' if len(giants) == 1 else 'groups were'} cut into pieces of at most {cap:,}, and what still "
        "touches another side is purged from training"
    )
    return replace(groups, labels=labels), [note, *cut_notes], facts


def _assign(task: _Task, groups: Groups) -> tuple[Split, list[str]]:
    """Give the samples without a side to the parts that are asked for."""
    sets, fold = task.sets.copy(), task.fold.copy()
    notes: list[str] = []
    if task.config.fold_column is None:
        notes = cut_parts(groups, task.y, task.config, sets, fold, task.strata)
    return Split(ids=task.dataset.ids, group=groups.labels, set=sets.astype(np.str_), fold=fold), notes


def _library(dataset: Dataset, config: SplitConfig) -> Library | None:
    """Return what the sequences are mutants of, where that decides the split."""
    if config.extrapolation in ("auto", "none") and (config.groups or config.regime):
        return None
    library = find_library(dataset.inputs) if dataset.kind == "sequence" else None
    if library is None and config.extrapolation not in ("auto", "none"):
        msg = (
            f"extrapolation: {config.extrapolation!r} is for libraries of mutants of one sequence (all of one length, "
            f"close to their consensus); {dataset.name} is none"
        )
        raise SplitError(msg)
    return library


def _size_notes(split: Split) -> list[str]:
    notes = []
    if not len(split.test):
        notes.append("there is no sealed test set: the best validation score is all there is, and it is optimistic")
    for name in ("validation", "test"):
        n = int((split.set == name).sum())
        if 0 < n < _FEW:
            notes.append(f"{name} has {n} samples only: its scores are very uncertain")
    return notes


def _samples(dataset: Dataset, y: FloatArray, split: Split, described: pd.DataFrame, nearest: pd.DataFrame) -> Any:
    """Return one row a sample: id, set, fold, y, what it is like, and the most similar sample it is tested against."""
    table = pd.DataFrame({"id": dataset.ids, "set": split.set, "fold": split.fold, "y": y})
    table["fold"] = table["fold"].where(table["fold"] >= 0).astype("Int64")
    return table.merge(described, on="id", how="left").merge(
        nearest[["id", "nearest_id", "nearest_similarity"]], on="id", how="left"
    )
