"""Who is evaluated by a model that was trained on whom: what the audit compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, IntArray, StrArray
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.split import Split

BoolArray = npt.NDArray[np.bool_]

STAGES = ("test", "validation")

_MOST_KINDS = 400


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """Rows that are evaluated, and the rows that the model which is evaluated on them was trained with.

    Attributes
    ----------
    names
        Side of each sample: ``train``, ``validation``, ``test``, ``purged``, or with K folds ``fold 0`` ...,
        str, shape (n,).
    code
        Which evaluation a sample takes part in: number of the fold (0 for one validation set), the number of folds
        for the test set, -1 for samples that are never evaluated. int64, shape (n,).
    trained
        True at (evaluation, sample) where the sample is trained on, bool, shape (K + 1, n). For the test set these are
        all development samples, since the winner is refitted on them.
    """

    names: StrArray
    code: IntArray
    trained: BoolArray

    def __len__(self) -> int:
        return len(self.code)

    @property
    def test_code(self) -> int:
        """The evaluation of the test set."""
        return len(self.trained) - 1

    @property
    def evaluated(self) -> IntArray:
        """Rows that are evaluated, test set and validation, rising."""
        return np.flatnonzero(self.code >= 0).astype(np.int64)

    def rows(self, stage: str) -> IntArray:
        """Return the rows of the test set, or those that are validated on."""
        test = self.code == self.test_code
        return np.flatnonzero(test if stage == "test" else (self.code >= 0) & ~test).astype(np.int64)

    def stage_name(self, stage: str) -> str:
        """Return what is evaluated at a stage: ``test``, ``validation``, or ``folds``."""
        names = {set_of(name) for name in np.unique(self.names[self.rows(stage)]).tolist()}
        return " + ".join(sorted(names)) or stage

    def trained_name(self, stage: str) -> str:
        """Return what is trained on for a stage: ``train``, ``train + validation``, or ``folds``."""
        codes = np.unique(self.code[self.rows(stage)])
        trained = self.trained[codes].any(axis=0) if len(codes) else np.zeros(len(self), dtype=bool)
        names = {set_of(name) for name in np.unique(self.names[trained]).tolist()}
        if stage == "validation" and names == {"folds"}:
            return "other folds"
        return " + ".join(sorted(names)) or "train"

    def used(self) -> BoolArray:
        """Return True for the samples that are evaluated or trained on, shape (n,)."""
        return (self.code >= 0) | self.trained.any(axis=0)

    def evaluations(self) -> Iterator[tuple[str, IntArray, IntArray]]:
        """Yield stage, rows evaluated and rows trained with, for each evaluation that has both."""
        for code, trained in enumerate(self.trained):
            rows = np.flatnonzero(self.code == code).astype(np.int64)
            others = np.flatnonzero(trained).astype(np.int64)
            if len(rows) and len(others):
                yield ("test" if code == self.test_code else "validation"), rows, others

    def meets(self, evaluated: IntArray, other: IntArray) -> BoolArray:
        """Say of each pair of rows whether the first is evaluated by a model trained on the second."""
        code = self.code[evaluated]
        return (code >= 0) & self.trained[code, other]

    def crossing_share(self) -> float | None:
        """Return the share of pairs that lie across sides, of those of which one sample at least is evaluated.

        None where folds are purged so unevenly that samples are of too many kinds.
        """
        used = np.flatnonzero(self.used())
        kinds = np.concatenate([self.code[None, used], self.trained[:, used].astype(np.int64)])
        different, sizes = np.unique(kinds, axis=1, return_counts=True)
        if different.shape[1] > _MOST_KINDS:
            return None
        code, trained = different[0], different[1:].astype(bool)
        sizes = sizes.astype(np.float64)
        # whether each kind is evaluated by a model that was trained on the other
        meets = trained[np.maximum(code, 0)] & (code >= 0)[:, None]
        pairs = np.outer(sizes, sizes) - np.diag(sizes)
        evaluated = (code >= 0)[:, None] | (code >= 0)[None, :]
        total = float(pairs[evaluated].sum())
        return float(pairs[evaluated & (meets | meets.T)].sum()) / total if total else None

    def is_test(self, rows: IntArray) -> BoolArray:
        """Say of each row whether it is in the test set."""
        found: BoolArray = self.code[rows] == self.test_code
        return found


def find_sides(split: Split) -> Sides:
    """Return the sides of a split, as ``Split.folds`` and ``Split.development`` give them."""
    n = len(split.ids)
    n_folds = split.n_folds
    code = np.full(n, -1, dtype=np.int64)
    trained = np.zeros((n_folds + 1, n), dtype=bool)
    for fold in split.folds():
        code[fold.validation] = fold.number
        trained[fold.number, fold.train] = True
    code[split.test] = n_folds
    trained[n_folds, split.development] = True
    folds = np.char.add("fold ", split.fold.astype(np.str_))
    return Sides(names=np.where(split.fold >= 0, folds, split.set).astype(np.str_), code=code, trained=trained)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossing:
    """What of one kind lies on two sides, at one stage.

    Attributes
    ----------
    count
        In the unit of the check: ids, sequences, bp, pairs ...
    examples
        Rows (evaluated, trained on), shape (m, 2), worst first, a few.
    worst
        Highest similarity across the sides; NaN where nothing is measured.
    rows
        Rows that are evaluated and concerned, int64, shape (k,), rising.
    parts
        Set that is trained on (``train``, ``validation``, ``folds``) -> `count` and number of `rows` with it alone. A
        pair lies in one part; a key (an id, a sequence, a group) may lie in several.
    between
        The two sides, where all lies between the same two; else the stage and all that it was compared with.
    compared
        How many rows were looked at, where these are not all; else None.
    """

    count: int
    examples: IntArray
    worst: float = float("nan")
    rows: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    between: tuple[str, str] = ("", "")
    compared: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """How alike the samples that are evaluated are to those they are trained with.

    Attributes
    ----------
    measure
        In the words of the card: ``identity``, ``kinship (KING-robust)`` ...
    threshold
        The similarity from which on pairs are counted.
    crossings
        Stage -> number of pairs at or above the threshold, and the highest of all pairs compared.
    nearest
        Row of the most alike sample trained on, -1 where none was found; int64, shape (n,).
    similarity
        Its similarity, NaN where none was found; float64, shape (n,).
    leak_ratio
        Share of the similarity, summed over pairs, that lies between two sides.
    facts
        Plain values: what was compared, and how completely.
    pairs
        Those at or above the threshold that cross, where they are held.
    """

    measure: str
    threshold: float
    crossings: dict[str, Crossing]
    nearest: IntArray
    similarity: FloatArray
    leak_ratio: float
    facts: dict[str, Any]
    pairs: Pairs | None = None


def quantiles(values: FloatArray) -> dict[str, float]:
    """Return lowest, 5 %, median, 95 % and highest of the values that are known, and their number."""
    known = values[np.isfinite(values)]
    if not len(known):
        return {"n": 0}
    named = zip(("lowest", "q05", "median", "q95", "highest"), np.quantile(known, [0, 0.05, 0.5, 0.95, 1]), strict=True)
    return {"n": len(known), **{name: float(f"{value:.6g}") for name, value in named}}


NONE = Crossing(count=0, examples=np.empty((0, 2), dtype=np.int64))


def gather(
    sides: Sides,
    evaluated: IntArray,
    trained: IntArray,
    unit: IntArray,
    *,
    alike: FloatArray | None = None,
    weight: IntArray | None = None,
) -> dict[str, Crossing]:
    """Return what was found at each stage: how many units in all and with each set, and which rows are concerned.

    Parameters
    ----------
    sides
        Of the n samples.
    evaluated, trained
        Rows of each finding, shape (m,); of a pair of which both are evaluated by a model trained on the other both
        ways are given.
    unit
        What is counted: entries of one unit count once. int64, shape (m,).
    alike
        Similarity of each, by which the examples are ordered; None keeps the order.
    weight
        What a unit counts, 1 where it is None.
    """
    found = {}
    test = sides.is_test(evaluated)
    for stage in STAGES:
        if not len(sides.rows(stage)):
            continue
        some = np.flatnonzero(test == (stage == "test"))
        if not len(some):
            found[stage] = NONE
            continue
        sets = _sets(sides.names[trained[some]])
        order = some if alike is None else some[np.argsort(-alike[some], kind="stable")]
        found[stage] = Crossing(
            count=_count(unit[some], None if weight is None else weight[some]),
            examples=np.stack([evaluated[order[:3]], trained[order[:3]]], axis=1).astype(np.int64),
            worst=float("nan") if alike is None else float(alike[order[0]]),
            rows=np.unique(evaluated[some]).astype(np.int64),
            parts={
                str(name): (
                    _count(unit[some[sets == name]], None if weight is None else weight[some[sets == name]]),
                    len(np.unique(evaluated[some[sets == name]])),
                )
                for name in np.unique(sets)
            },
            between=_between(sides.names[evaluated[order]], sides.names[trained[order]]),
        )
    return found


def _sets(names: StrArray) -> StrArray:
    different, place = np.unique(names, return_inverse=True)
    return np.array([set_of(name) for name in different.tolist()], dtype=np.str_)[place]


def set_of(name: str) -> str:
    """Return the set that a side belongs to: ``folds`` for ``fold 3``, else itself."""
    return "folds" if name.startswith("fold ") else name


def _count(unit: IntArray, weight: IntArray | None) -> int:
    _, first = np.unique(unit, return_index=True)
    return len(first) if weight is None else int(weight[first].sum())


def _between(evaluated: StrArray, trained: StrArray) -> tuple[str, str]:
    """Return the two sides that all entries lie between, or the sets that they do."""
    here, there = evaluated[0], trained[0]
    same = ((evaluated == here) & (trained == there)) | ((evaluated == there) & (trained == here))
    if same.all():
        return str(evaluated[0]), str(trained[0])
    names = [" + ".join(np.unique(_sets(side)).tolist()) for side in (evaluated, trained)]
    return names[0], "other folds" if names == ["folds", "folds"] else names[1]


def keys_across(keys: IntArray, sides: Sides, trained_keys: IntArray | None = None) -> dict[str, Crossing]:
    """Return for each stage how many different keys are both evaluated and trained on.

    Parameters
    ----------
    keys
        int64, shape (n,); -1 is no key.
    sides
        Of the n samples.
    trained_keys
        Keys of the samples in training, if they are others (reverse complements).
    """
    others = keys if trained_keys is None else trained_keys
    evaluated: list[IntArray] = [np.empty(0, dtype=np.int64)]
    partners: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for _, rows, trained in sides.evaluations():
        rows = rows[keys[rows] >= 0]
        sets = _sets(sides.names[trained])
        for name in np.unique(sets):
            some = trained[sets == name]
            known, first = np.unique(others[some], return_index=True)
            place = np.minimum(np.searchsorted(known, keys[rows]), len(known) - 1)
            shared = known[place] == keys[rows]
            evaluated.append(rows[shared])
            partners.append(some[first[place[shared]]])
    first, second = np.concatenate(evaluated), np.concatenate(partners)
    return gather(sides, first, second, keys[first])


def pairs_across(evaluated: IntArray, trained: IntArray, alike: FloatArray, sides: Sides) -> dict[str, Crossing]:
    """Return for each stage the number of pairs (evaluated, trained on), the most alike first."""
    low, high = np.minimum(evaluated, trained), np.maximum(evaluated, trained)
    return gather(sides, evaluated, trained, low * np.int64(len(sides)) + high, alike=alike)
