"""Places that can be mutated, one at a time or two together: positions, variants or LD blocks, and what to change."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, StrArray
from automl_pheno.data.encode import PADDING, one_hot
from automl_pheno.explain.references import draw_rows
from automl_pheno.explain.registry import ExplainError

PlaceKind = Literal["positions", "variants", "blocks"]
POOL = 512
"""Individuals among whom a partner to exchange with is sought."""
DIFFERS = 0.5
"""Dosages that are as far apart differ."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """k places, and for each of several backgrounds what each place is changed to.

    Attributes
    ----------
    kind
        ``positions``, ``variants`` or ``blocks``.
    base
        The backgrounds, B samples.
    other
        What each column is changed to, as ``base.values``, shape (B, width).
    label
        Place of each column, -1 where it belongs to none, int64, shape (width,).
    step
        Direction and size of each change, never 0, shape (B, k). Positions: 1 away from the reference base, -1 back to
        it. Variants: difference of the dosages. Blocks: 1 or -1, the sign of the difference on the block's first
        principal axis.
    names
        Position from 1, id of the variant, or block and its span; shape (k,).
    keys
        Number of the position, variant (column) or block, from 1, int64, shape (k,).
    """

    kind: PlaceKind
    base: Inputs
    other: npt.NDArray[Any]
    label: IntArray
    step: FloatArray
    names: StrArray
    keys: IntArray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def backgrounds(self) -> int:
        """How many backgrounds there are."""
        return len(self.base)

    def members(self) -> list[IntArray]:
        """Return the columns of each place."""
        order = np.argsort(self.label, kind="stable")
        bounds = np.searchsorted(self.label[order], np.arange(len(self) + 1))
        return [order[start:stop] for start, stop in itertools.pairwise(bounds)]

    def first(self, backgrounds: int) -> Places:
        """Return the same places with the first of the backgrounds only."""
        kept = np.arange(min(backgrounds, self.backgrounds))
        return replace(self, base=self.base.take(kept), other=self.other[kept], step=self.step[kept])

    def distance(self, pairs: IntArray) -> FloatArray:
        """Return the bases between the middles of each pair, NaN across chromosomes and without a map, shape (m,)."""
        if self.kind == "positions":
            middle, chromosome = self.keys.astype(np.float64), np.zeros(len(self), dtype=np.int64)
        else:
            table = self.base.variants
            if table is None or (table["position"].to_numpy() < 0).any():
                return np.full(len(pairs), np.nan)
            position = table["position"].to_numpy(dtype=np.float64)
            every = np.unique(table["chromosome"].to_numpy().astype(str), return_inverse=True)[1]
            members = self.members()
            middle = np.array([position[columns].mean() for columns in members])
            chromosome = np.array([every[columns[0]] for columns in members])
        same = chromosome[pairs[:, 0]] == chromosome[pairs[:, 1]]
        return np.where(same, np.abs(middle[pairs[:, 0]] - middle[pairs[:, 1]]), np.nan)


def position_places(samples: Inputs, training: Inputs, *, backgrounds: int, rng: np.random.Generator) -> Places:
    """Return the positions of aligned sequences; backgrounds are the reference and `samples`.

    The reference is the most frequent base of each position in training. A change goes from the reference base to
    another, drawn anew for each background among those seen there in training (any, where no other was seen); in a
    background that has another base already, it goes back, and counts as minus the change. An ambiguous base counts as
    the reference; positions that are padding in most training sequences are left out.

    Parameters
    ----------
    samples
        Explained samples.
    training
        Aligned sequences, see `is_aligned`.
    backgrounds
        At most; the reference is the first.
    """
    _need(training, "sequence")
    counts = one_hot(training.values).sum(axis=0)
    covered = np.flatnonzero(counts.sum(axis=1) >= len(training) / 2)
    reference = counts.argmax(axis=1)
    code = (1 << reference).astype(np.uint8)
    chosen = samples.values[rng.permutation(len(samples))[: backgrounds - 1]]
    unclear = ~np.isin(chosen, (1, 2, 4, 8))
    unclear[:, np.setdiff1d(np.arange(samples.width), covered)] = False
    base = np.concatenate([code[None], np.where(unclear, code, chosen)])
    base[0, np.setdiff1d(np.arange(samples.width), covered)] = PADDING
    at_reference = base == code
    seen = counts > 0.5
    seen[np.arange(len(reference)), reference] = False
    seen[~seen.any(axis=1)] = True
    seen[np.arange(len(reference)), reference] = False
    keys = np.where(seen, rng.random((len(base), *seen.shape)), -1.0)
    other = np.where(at_reference, 1 << keys.argmax(axis=2), code).astype(np.uint8)
    label = np.full(samples.width, -1, dtype=np.int64)
    label[covered] = np.arange(len(covered))
    return Places(
        kind="positions",
        base=replace(samples, values=base),
        other=other,
        label=label,
        step=np.where(at_reference, 1.0, -1.0)[:, covered],
        names=(covered + 1).astype(str),
        keys=covered + 1,
    )


def genotype_places(
    samples: Inputs,
    training: Inputs,
    *,
    backgrounds: int,
    rng: np.random.Generator,
    labels: IntArray | None = None,
    columns: IntArray | None = None,
) -> Places:
    """Return variants or LD blocks; backgrounds are `samples`, and a place is taken over whole from another individual.

    That individual is drawn anew for each place and background among up to 512 training individuals who differ there:
    effects are given a difference, so a rare variant counts as much as a common one. Within a block no haplotypes
    arise that nobody has; between blocks, and between single variants in LD, they may. Missing calls are filled with
    the dosage nearest to the training mean.

    Parameters
    ----------
    samples, training
        Genotypes: explained samples, and training individuals.
    backgrounds
        At most.
    labels
        Block of each variant, shape (width,); None takes variants singly.
    columns
        Variants that the predictor reads; None for all. The others stay with their block and change nothing.
    """
    _need(training, "genotype")
    mean = _means(training.values)
    pool = _filled(training.values[draw_rows(len(training), POOL, rng)], mean)
    base = _filled(samples.values[rng.permutation(len(samples))[:backgrounds]], mean)
    varies = np.ptp(pool, axis=0) >= 2 * DIFFERS
    if columns is not None:
        varies &= np.isin(np.arange(training.width), columns)
    raw = np.arange(training.width) if labels is None else np.asarray(labels, dtype=np.int64)
    kept = np.unique(raw[varies])
    label = np.where(np.isin(raw, kept), np.searchsorted(kept, raw), -1).astype(np.int64)
    other, possible = _partners(base, pool, label, len(kept), rng)
    places = Places(
        kind="variants" if labels is None else "blocks",
        base=replace(samples, values=base),
        other=other,
        label=label,
        step=np.ones((len(base), len(kept))),
        names=np.array([""] * len(kept)),
        keys=kept + 1,
    )
    members = places.members()
    step = (other - base)[:, kept] if labels is None else _signs(base, other, pool, members)
    step = np.where(step == 0, 1.0, step)
    step[~possible] = 1.0
    return replace(places, step=step.astype(np.float64), names=_names(samples, members, places))


def _need(inputs: Inputs, kind: str) -> None:
    if inputs.kind != kind:
        msg = f"these places are of {kind} inputs, got {inputs.kind} inputs"
        raise ExplainError(msg)


def _means(values: FloatArray) -> FloatArray:
    called = np.isfinite(values)
    return np.asarray(np.where(called, values, 0.0).sum(axis=0) / np.maximum(called.sum(axis=0), 1))


def _filled(values: FloatArray, mean: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), values, np.rint(mean)[None]).astype(np.float32)


def _partners(
    base: FloatArray, pool: FloatArray, label: IntArray, count: int, rng: np.random.Generator
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the values taken over, shape (B, width), and whether anybody differs there, shape (B, count)."""
    order = np.flatnonzero(label >= 0)
    order = order[np.argsort(label[order], kind="stable")]
    starts = np.searchsorted(label[order], np.arange(count))
    other = base.copy()
    possible = np.zeros((len(base), count), dtype=bool)
    if not count:
        return other, possible
    for row, sample in enumerate(base):
        differs = np.logical_or.reduceat(np.abs(pool[:, order] - sample[order]) >= DIFFERS, starts, axis=1)
        keys = np.where(differs, rng.random(differs.shape, dtype=np.float32), -1.0)
        partner = keys.argmax(axis=0)
        possible[row] = differs[partner, np.arange(count)]
        other[row, order] = pool[partner[label[order]], order]
    return other, possible


def _signs(base: FloatArray, other: FloatArray, pool: FloatArray, members: list[IntArray]) -> FloatArray:
    """Return the sign of each block's difference on its first principal axis, which points where dosages grow."""
    step = np.ones((len(base), len(members)))
    for number, columns in enumerate(members):
        centred = pool[:, columns] - pool[:, columns].mean(axis=0)
        axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
        axis = axis if axis.sum() >= 0 else -axis
        step[:, number] = np.sign((other[:, columns] - base[:, columns]) @ axis)
    return step


def _names(inputs: Inputs, members: list[IntArray], places: Places) -> StrArray:
    table = inputs.variants
    ids = np.array([f"{i + 1}" for i in range(inputs.width)]) if table is None else table["id"].to_numpy().astype(str)
    if places.kind == "variants":
        return np.asarray(ids[[columns[0] for columns in members]], dtype=str)
    return np.array(
        [
            f"block {key} ({ids[columns[0]]})"
            if len(columns) == 1
            else f"block {key} ({ids[columns[0]]}-{ids[columns[-1]]})"
            for key, columns in zip(places.keys, members, strict=True)
        ],
        dtype=str,
    )
