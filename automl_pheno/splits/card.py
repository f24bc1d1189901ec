"""The split card: what a split guarantees, how balanced it is, and how to recognise it, in numbers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from automl_pheno.data import Dataset, FloatArray, StrArray, decode
from automl_pheno.errors import SplitError
from automl_pheno.splits.audit.run import Audit, hash_ids
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.distance import ks_distance, wasserstein_distance
from automl_pheno.splits.groups import Groups
from automl_pheno.splits.split import SETS, Split

__all__ = ["count_shared", "ks_distance", "make_card", "part_names", "wasserstein_distance"]

SCHEMA = 2

_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


def make_card(
    dataset: Dataset,
    trait: str | None,
    split: Split,
    groups: Groups,
    config: SplitConfig,
    notes: Iterable[str] = (),
    audit: Audit | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the card as plain values for JSON.

    ``shared`` counts what lies on two sides (sets, or folds and test set) and is counted here anew, by other code
    than the groupings use. Of repeated folds it is the most in any repeat; sizes, shares, phenotype and hashes are of
    the first.

    Parameters
    ----------
    dataset, trait, split
        What was split, by which trait it is balanced (None: by none), and how it came out.
    groups, config
        What was kept together, and what was asked.
    notes
        What was decided on the way.
    audit
        Without one the card says that similarity and relatedness were not checked.
    extra
        More keys: ``cut``, ``purged``, ``distribution``, ``extrapolation`` ...

    Raises
    ------
    SplitError
        An id, a group or an input is shared and no audit says so, so the split is wrong.
    """
    y = None if trait is None else dataset.y(trait)
    n_repeats = len(split.again) + 1
    counts = [count_shared(dataset, one, part_names(one)) for one in split.repeats()]
    shared = {what: max(one[what] for one in counts) for what in counts[0]}
    split = split.repeats()[0]
    parts = part_names(split)
    if audit is None and any(shared.values()):
        msg = f"the split is wrong, its sides share {', '.join(f'{n} {what}' for what, n in shared.items() if n)}"
        raise SplitError(msg)
    sizes = np.bincount(split.group)
    members = {name: np.flatnonzero(parts == name) for name in dict.fromkeys(_in_order(parts, split))}
    regime = _regime(dataset, groups, config)
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "statement": f"{regime}; similarity and relatedness NOT checked" if audit is None else audit.statement,
        "regime": regime if audit is not None else f"{regime}; similarity and relatedness NOT checked",
        "guarantees": dict(groups.guarantees),
        "trait": trait,
        "samples": len(dataset),
        "repeats": n_repeats,
        "groupings": groups.counts,
        "grouping_facts": {name: dict(facts) for name, facts in groups.facts.items()},
        "groups": len(sizes),
        "largest_group": {"samples": int(sizes.max()), "share": _rounded(sizes.max() / len(dataset))},
        "sizes": {name: len(rows) for name, rows in members.items()},
        "shares": {name: _rounded(len(rows) / len(dataset)) for name, rows in members.items()},
        "phenotype": {} if y is None else {name: _summary(y[rows]) for name, rows in members.items()},
        "balance": [] if y is None else _balance(y, split, members),
        "shared": shared,
        "cut": None,
        "purged": None,
        "audit": None if audit is None else audit.facts,
        "sha256": {name: hash_ids(dataset.ids[rows]) for name, rows in members.items()},
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "notes": [*groups.notes, *notes],
    }
    return {**card, **(extra or {})}


def part_names(split: Split) -> StrArray:
    """Return the side of each sample: its set, or with K folds ``fold 0`` ... for development samples."""
    folds = np.char.add("fold ", split.fold.astype(np.str_))
    return np.where(split.fold >= 0, folds, split.set).astype(np.str_)


def count_shared(dataset: Dataset, split: Split, parts: StrArray) -> dict[str, int]:
    """Return how many ids, groups and identical inputs lie in two of `parts`; purged samples do not count."""
    used = parts != "purged"
    sides = parts[used].tolist()
    shared = {
        "ids": _crossing(dataset.ids[used].tolist(), sides),
        "groups": _crossing(split.group[used].tolist(), sides),
    }
    values = dataset.inputs.values[used]
    if dataset.kind == "genotype":
        # one value for each missing call, and + 0.0 makes one zero of two
        rows = (np.nan_to_num(row, nan=-1.0) + 0.0 for row in values)
        digests = [hashlib.sha256(row.tobytes()).digest() for row in rows]
        return shared | {"genotypes": _crossing(digests, sides)}
    sequences = decode(values)
    side_of = dict(zip(sequences, sides, strict=True))
    flipped = [sequence.translate(_COMPLEMENT)[::-1] for sequence in sequences]
    crossing = sum(side_of.get(other, side) != side for other, side in zip(flipped, sides, strict=True))
    return shared | {"sequences": _crossing(sequences, sides), "reverse_complements": crossing}


def _crossing(keys: Iterable[Hashable], sides: Iterable[str]) -> int:
    first: dict[Hashable, str] = {}
    return len({key for key, side in zip(keys, sides, strict=True) if first.setdefault(key, side) != side})


def _in_order(parts: StrArray, split: Split) -> list[str]:
    present = set(parts.tolist())
    names = ["train", "validation", *(f"fold {number}" for number in range(split.n_folds)), *SETS[2:]]
    return [name for name in names if name in present]


def _regime(dataset: Dataset, groups: Groups, config: SplitConfig) -> str:
    """Return what was kept together, as the user would ask for it."""
    same = "exact and reverse-complement duplicates" if dataset.kind == "sequence" else "identical genotypes"
    kept = [f"{same} kept together"]
    kept += [f"{name} kept together" for name in groups.counts if name != "duplicates"]
    for field in ("set_column", "fold_column", "test_column"):
        if getattr(config, field) is not None:
            kept.insert(0, f"{field} {getattr(config, field)!r} of the data")
    if config.regime is not None:
        kept.insert(0, f"regime {config.regime}")
    start = "random split: " if config.groups == ("random",) else ""
    return f"{start}{'; '.join(kept)}"


def _summary(y: FloatArray) -> dict[str, float]:
    return {
        "mean": _rounded(y.mean()),
        "sd": _rounded(y.std(ddof=1) if len(y) > 1 else 0.0),
        "min": _rounded(y.min()),
        "max": _rounded(y.max()),
    }


def _balance(y: FloatArray, split: Split, members: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare each pair of sets; with folds, each fold with the others and the test set with all folds."""
    used = {name: rows for name, rows in members.items() if name != "purged"}
    if split.is_cross_validation:
        development = split.development
        pairs = [(name, "other folds", rows, np.setdiff1d(development, rows)) for name, rows in used.items()]
        pairs = [pair if pair[0] != "test" else ("test", "all folds", *pair[2:]) for pair in pairs]
    else:
        pairs = [(a, b, used[a], used[b]) for a, b in itertools.combinations(used, 2)]
    sd = float(y.std()) or 1.0
    return [
        {
            "between": [a, b],
            "ks": _rounded(ks_distance(y[rows], y[others])),
            "wasserstein_sd": _rounded(wasserstein_distance(y[rows], y[others]) / sd),
        }
        for a, b, rows, others in pairs
    ]


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")
