"""Draw a split: groups, cut where they are too large, assigned to parts, purged; before its audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from automl_pheno.data import Dataset, FloatArray, IntArray, StrArray
from automl_pheno.errors import SplitError
from automl_pheno.rng import generator
from automl_pheno.splits.candidates import AllAlikeError
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.cut import cut_groups
from automl_pheno.splits.groups import Groups, automatic_columns, make_groups, union
from automl_pheno.splits.library import Extrapolating, extrapolate
from automl_pheno.splits.method import HOLDOUT, decide_method
from automl_pheno.splits.own import check_whole, chosen_test, own_folds, own_sets
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.parts import cut_parts, wanted_parts
from automl_pheno.splits.populations import regime_groups
from automl_pheno.splits.purge import Purged, purge
from automl_pheno.splits.recognise import MOST_VARIABLE, Library, find_dense, find_library
from automl_pheno.splits.split import Split, join_repeats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A split before its audit.

    Attributes
    ----------
    split, groups
        The groups as they were kept together, after cutting.
    extrapolation
        What the test set of a library of mutants was chosen by; ``none`` elsewhere.
    config
        What was asked for, with ``method`` and ``repeats`` as they were decided.
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
    config: SplitConfig
    extrapolation: Literal["unseen", "mutations", "position", "none"] = "none"


def draw_split(dataset: Dataset, trait: str | None, config: SplitConfig) -> Drawn:
    """Return the split without audit and card; see `make_split`.

    Where the method is to be decided and K folds cannot be drawn (too few groups, too much to purge), one validation
    set is, with a note.
    """
    y = None if trait is None else dataset.y(trait)
    own = next((f for f in ("set_column", "fold_column", "test_column") if getattr(config, f) is not None), None)
    library = _library(dataset, config, y)
    decided, why = decide_method(
        config,
        len(dataset),
        extrapolates=own is None and bool(_extrapolating(library, config)),
        own_validation=own == "set_column" and "validation" in own_sets(dataset, config),
    )
    try:
        drawn = _draw(dataset, y, decided, own, library)
    except SplitError as error:
        if config.method != "auto" or decided.method == "holdout":
            raise
        drawn = _draw(dataset, y, config.model_copy(update=HOLDOUT), own, library)
        why = (f"one validation set, though there are few samples, since folds cannot be drawn: {error}",)
    return replace(drawn, notes=(*why, *drawn.notes))


def _draw(
    dataset: Dataset, y: FloatArray | None, config: SplitConfig, own: str | None, library: Library | None
) -> Drawn:
    sets = np.full(len(dataset), "", dtype="<U10")
    fold = np.full(len(dataset), -1, dtype=np.int64)
    facts: dict[str, Any] = {}
    notes: list[str] = []
    strata: IntArray | None = None
    asked = config.groups
    if library is not None:
        notes.append(library.describe())
        facts["library"] = library.facts()
    if own is not None:
        library = None  # it is known what is tested
    kind = _extrapolating(library, config)
    if library is not None and kind:
        sets[:], facts["extrapolation"] = _extrapolate(dataset, library, kind, y, config, notes)
    elif own == "set_column":
        sets[:] = own_sets(dataset, config)
    elif config.test_column is not None:
        sets[chosen_test(dataset, config)] = "test"
    if library is not None and not asked:
        asked, more = _library_columns(dataset, facts)
        notes += more
    if config.regime is not None:
        rng = generator(config.seed, "split", "populations")
        asked, strata, more = regime_groups(dataset, config.regime, config.populations, rng)
        notes += more
    if config.fold_column is not None:
        fold[:] = own_folds(dataset, config, sets == "test")
        sets[fold >= 0] = "train"
    task = _Task(dataset=dataset, y=y, config=config, sets=sets.astype("<U10"), fold=fold, strata=strata)
    try:
        groups = make_groups(dataset, asked, automatic=own in (None, "test_column") and "library" not in facts)
        if own is not None:
            check_whole(dataset, groups.labels, task.sides, f"{own} {getattr(config, own)!r}")
        drawn = _climb(task, groups, notes, facts)
    except AllAlikeError as error:
        # where nothing was asked, a library that similarity cannot cut is said to be one
        dense = None if asked or own is not None else find_dense(dataset.inputs, y, most_variable=None)
        if dense is None:
            raise
        notes += [
            f"similarity keeps nothing apart: {str(error).removeprefix('groups: similarity: ')}",
            dense.describe(),
        ]
        facts["library"] = dense.facts()
        kept = tuple(f"column:{name}" for name in automatic_columns(dataset))
        drawn = _climb(task, make_groups(dataset, kept, automatic=False), notes, facts)
    return replace(drawn, extrapolation=facts["extrapolation"]["extrapolation"] if "extrapolation" in facts else "none")


def _library_columns(dataset: Dataset, facts: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return by which columns a library is grouped, where its mutations do not make the sets, and a note."""
    named = automatic_columns(dataset)
    columns = ", ".join(map(repr, named))
    if not named:
        return (), ()
    if facts.get("extrapolation", {}).get("extrapolation", "none") != "none":
        return (), (f"column {columns} is not grouped by: the sets are made by the mutations of the library",)
    note = f"samples are grouped by {columns}, because the data have such a column"
    return tuple(f"column:{name}" for name in named), (note,)


def _extrapolating(library: Library | None, config: SplitConfig) -> tuple[Extrapolating, ...]:
    """Return by what a library is split, in the order in which it is tried; nothing for an ordinary split."""
    if library is None or config.extrapolation == "none":
        return ()
    nothing = config.method == "kfold" and config.test == 0.0
    if nothing and config.extrapolation != "auto":
        msg = f"extrapolation: with folds the test set alone extrapolates ({config.extrapolation}), and test is 0"
        raise SplitError(msg)
    if nothing:
        return ()
    if config.extrapolation != "auto":
        return (config.extrapolation,)
    return ("unseen", "mutations", "position") if library.kind == "mutants" else ()


def _extrapolate(
    dataset: Dataset,
    library: Library,
    kinds: tuple[Extrapolating, ...],
    y: FloatArray | None,
    config: SplitConfig,
    notes: list[str],
) -> tuple[StrArray, Mapping[str, Any]]:
    """Return the sets of a library's samples, and facts; with folds the development samples are still to be cut.

    Of several kinds the first that the library allows is taken; where it allows none, no sample has a set yet.
    """
    folds = config.method == "kfold"
    for number, kind in enumerate(kinds):
        rng = generator(config.seed, "split", "extrapolate")
        try:
            found = extrapolate(dataset, library, kind, y, config.test, 0.0 if folds else config.validation, rng)
            break
        except SplitError as error:
            if len(kinds) == 1:
                raise
            then = f"{kinds[number + 1]} is tried" if number + 1 < len(kinds) else "the split is an ordinary one"
            notes.append(f"{error}; {then}")
    else:
        return np.full(len(dataset), "", dtype=np.str_), {"extrapolation": "none"}
    notes += found.notes
    if folds:
        notes.append("the folds are drawn at random among the development samples; only the test set extrapolates")
    return np.where((found.sets == "train") & folds, "", found.sets).astype(np.str_), found.facts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    """What is to be cut: `sets` is "" and `fold` -1 where nothing is decided yet."""

    dataset: Dataset
    y: FloatArray | None
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
        if purged.share <= most and is_whole(purged.split):
            break
        higher = [pairs.ladder[0] if pairs.ladder else None for pairs in kept.pairs]
        if all(step is None for step in higher):
            alike = all(pairs.measure == "identity" for pairs in kept.pairs)
            raise (AllAlikeError if alike else SplitError)(_too_much(purged, kept, most))
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
        config=task.config.model_copy(update={"repeats": len(split.again) + 1}),
        notes=(*notes, *cut_notes, *part_notes),
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


def is_whole(split: Split) -> bool:
    """Say whether every fold still has samples to train on and to be judged by."""
    return all(len(fold.train) and len(fold.validation) for fold in split.folds())


def _too_much(purged: Purged, groups: Groups, most: float) -> str:
    thresholds = ", ".join(f"{pairs.measure} >= {pairs.threshold:g}" for pairs in groups.pairs)
    return (
        f"keeping sides apart at {thresholds} would purge {purged.share:.0%} of the training samples "
        f"(most_purged: {most:.0%}); state a higher threshold, hold out whole groups (column:NAME, family, clusters), "
        "or raise most_purged"
    )


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
    """Give the samples without a side to the parts that are asked for, folds as often as is asked for."""
    sets, fold = task.sets.copy(), task.fold.copy()
    notes: list[str] = []
    y = np.zeros(len(sets)) if task.y is None else task.y  # without a trait only sizes are balanced
    if task.config.fold_column is None:
        notes = cut_parts(groups, y, task.config, sets, fold, task.strata)
    split = Split(ids=task.dataset.ids, group=groups.labels, set=sets.astype(np.str_), fold=fold)
    wanted = task.config.repeats or 1
    found = {_partition(fold): split}
    for repeat in range(1, wanted if split.is_cross_validation else 1):
        again = np.full(len(fold), -1, dtype=np.int64)
        cut_parts(groups, y, task.config, np.where(sets == "train", "", sets), again, task.strata, repeat)
        found.setdefault(_partition(again), replace(split, fold=again))
    if 1 < wanted != len(found):
        notes.append(f"repeats: {len(found)} of {wanted}, since the groups go into the folds in no other way")
    if len(found) > 1:
        notes.append(f"folds are drawn {len(found)} times; sizes and pictures are of the first draw, the audit of all")
    return join_repeats(list(found.values())), notes


def _partition(fold: IntArray) -> bytes:
    """Return a key that two assignments share exactly when they keep the same samples together."""
    _, first, inverse = np.unique(fold, return_index=True, return_inverse=True)
    return first[inverse].tobytes()


def _library(dataset: Dataset, config: SplitConfig, y: FloatArray | None) -> Library | None:
    """Return the library that the sequences are, where that decides the split."""
    if config.extrapolation in ("auto", "none") and (config.groups or config.regime):
        return None
    library = find_library(dataset.inputs) if dataset.kind == "sequence" else None
    if library is None and dataset.kind == "sequence":
        library = find_dense(dataset.inputs, y)
    if library is None and config.extrapolation not in ("auto", "none"):
        msg = (
            f"extrapolation: {config.extrapolation!r} is for libraries of mutants of one sequence (all of one length, "
            f"close to their consensus) and dense libraries (of one length, unlike at {MOST_VARIABLE} positions at "
            f"most, each with near neighbours); {dataset.name} is none"
        )
        raise SplitError(msg)
    return library
