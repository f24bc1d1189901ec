"""Filters of the first convolution as PWMs, and what a network loses without each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.explain.motifs.first_layer import FirstLayer, Nullifier
from automl_pheno.explain.motifs.meme import MemeMotif, meme_text
from automl_pheno.explain.motifs.pwm import consensus, frequencies_of, information, informative_part
from automl_pheno.metrics import METRICS

ACTIVE = 0.5
"""Windows above this share of a filter's largest activation make its PWM."""
ALIKE = 0.75
"""Cosine of PWMs from which filters are grouped (average linkage)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filter:
    """One filter of the first convolution.

    Attributes
    ----------
    member, channel
        Of the ensemble and of the layer, from 0.
    frequencies
        PWM of the windows that drive it, trimmed to the informative positions, shape (width, 4).
    n_windows
        Windows above half its largest activation.
    mean_activation
        Over samples and positions.
    first_order
        Standard deviation over samples of the change, to first order, of the ensemble's output (in its own units)
        when the filter is set to its mean at each position.
    nullification, nullification_r
        Drop of R² and of Pearson r of the predictions when it is; NaN where that was not computed.
    group
        Number of the group of similar filters, from 1.
    """

    member: int
    channel: int
    frequencies: FloatArray
    n_windows: int
    mean_activation: float
    first_order: float
    nullification: float
    nullification_r: float
    group: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterReport:
    """All filters that some sequence drives, the most needed first.

    Attributes
    ----------
    filters
        See `Filter`.
    group_nullification
        Group -> drop of R² when all its filters, of all members, are set to their mean together; NaN where that was
        not computed.
    silent
        Filters that no sequence drives.
    r2, r
        Of the predictions for the samples used, with every filter.
    """

    filters: tuple[Filter, ...]
    group_nullification: dict[int, float]
    silent: int
    r2: float
    r: float


def filter_report(
    layers: Sequence[FirstLayer], x: FloatArray, y: FloatArray, *, most: int | None = None
) -> FilterReport:
    """Return the PWM and the importance of each filter of the first layer.

    Parameters
    ----------
    layers
        First layer of each member of an averaged ensemble.
    x
        Encoded training samples, float32, shape (n, width, 4).
    y
        Their trait in the units of the networks' outputs (scaled), shape (n,).
    most
        Nullify at most so many filters, and groups, those first that matter most to first order; None is all.
    """
    nullifiers = [Nullifier(layer, x) for layer in layers]
    whole = [nullifier.outputs([]) for nullifier in nullifiers]
    r2, r = _scores(y, np.mean(whole, axis=0))

    def drop(nullified: Sequence[tuple[int, int]]) -> tuple[float, float]:
        outputs = list(whole)
        for place in {place for place, _ in nullified}:
            outputs[place] = nullifiers[place].outputs([channel for at, channel in nullified if at == place])
        found_r2, found_r = _scores(y, np.mean(outputs, axis=0))
        return r2 - found_r2, r - found_r

    matrices: list[FloatArray] = []
    keys: list[tuple[int, int]] = []
    windows: list[int] = []
    for place, nullifier in enumerate(nullifiers):
        for channel, (counts, n) in enumerate(driving_windows(nullifier.layer, nullifier.activations, x)):
            if n:
                keys.append((place, channel))
                matrices.append(trimmed(frequencies_of(counts)))
                windows.append(n)
    groups = similar(matrices)
    spread = [nullifier.first_order().std(axis=0) / len(nullifiers) for nullifier in nullifiers]
    first_order = np.array([spread[place][channel] for place, channel in keys])
    drops = np.full((len(keys), 2), np.nan)
    chosen = np.argsort(-first_order, kind="stable")[:most]
    for number, row in enumerate(chosen):
        progress.tick("nullifying filters", number / len(chosen))
        drops[row] = drop([keys[row]])
    together = dict.fromkeys(groups.tolist(), float("nan"))
    shared = np.bincount(groups, weights=first_order, minlength=1) if len(keys) else np.zeros(1)
    for group in sorted(together, key=lambda one: -shared[one])[:most]:
        rows = np.flatnonzero(groups == group)
        alone = len(rows) == 1 and np.isfinite(drops[rows[0], 0])
        together[group] = float(drops[rows[0], 0]) if alone else drop([keys[row] for row in rows])[0]
    found = [
        Filter(
            member=layers[place].member,
            channel=channel,
            frequencies=matrices[row],
            n_windows=windows[row],
            mean_activation=float(nullifiers[place].mean[:, channel].mean()),
            first_order=float(first_order[row]),
            nullification=float(drops[row, 0]),
            nullification_r=float(drops[row, 1]),
            group=int(groups[row]),
        )
        for row, (place, channel) in enumerate(keys)
    ]
    found.sort(key=lambda one: (-np.nan_to_num(one.nullification, nan=-np.inf), -one.first_order))
    return FilterReport(
        filters=tuple(found),
        group_nullification=together,
        silent=sum(layer.filters for layer in layers) - len(keys),
        r2=r2,
        r=r,
    )


def _scores(y: FloatArray, outputs: FloatArray) -> tuple[float, float]:
    return METRICS["r2"].function(y, outputs), METRICS["pearson_r"].function(y, outputs)


def driving_windows(layer: FirstLayer, activations: FloatArray, x: FloatArray) -> list[tuple[FloatArray, int]]:
    """Return base counts of the windows that drive each filter, shape (span, 4), and how many they are.

    A window counts when the filter's activation there is above half of its largest over all samples; windows that
    reach beyond the sequence do not. Between the taps of a dilated filter the counts are those of any sequence there.

    Parameters
    ----------
    activations
        Shape (n, positions, filters).
    x
        Encoded samples, shape (n, width, 4).
    """
    span = (layer.kernel - 1) * layer.dilation + 1
    starts = np.arange(layer.positions) * layer.stride - layer.left
    lengths = (x.sum(axis=2) > 0).sum(axis=1)
    inside = (starts[None] >= 0) & (starts[None] + span <= lengths[:, None])
    usable = np.where(inside[:, :, None], activations, -np.inf)
    largest = usable.max(axis=(0, 1))
    found: list[tuple[FloatArray, int]] = []
    for channel in range(layer.filters):
        if not np.isfinite(largest[channel]) or largest[channel] <= 1e-6:
            found.append((np.zeros((span, 4)), 0))
            continue
        sample, position = np.nonzero(usable[:, :, channel] > ACTIVE * largest[channel])
        cut = x[sample[:, None], starts[position][:, None] + np.arange(span)]
        found.append((cut.sum(axis=0, dtype=np.float64), len(sample)))
    return found


def trimmed(frequencies: FloatArray) -> FloatArray:
    """Return the part from the first to the last position of 0.3 bit; all of it where there is none."""
    part = informative_part(frequencies)
    return frequencies[part] if part.stop else frequencies


def similar(matrices: Sequence[FloatArray]) -> IntArray:
    """Return the group of each PWM, from 1: average linkage of their cosines, best shift, either strand."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(matrices) < 2:
        return np.ones(len(matrices), dtype=np.int64)
    distance = np.clip(1.0 - cosines(matrices), 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    labels = fcluster(tree, 1.0 - ALIKE, criterion="distance")
    order = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()), start=1)}
    return np.array([order[label] for label in labels.tolist()], dtype=np.int64)


def cosines(matrices: Sequence[FloatArray]) -> FloatArray:
    """Return the best cosine of each pair of PWMs less 1/4, over shifts and strands, shape (n, n)."""
    width = max(len(matrix) for matrix in matrices)
    n = len(matrices)
    wide = np.zeros((n, 3 * width, 4))
    turned = np.zeros((n, width, 4))
    for number, matrix in enumerate(matrices):
        centred = (matrix - 0.25) / max(float(np.sqrt(((matrix - 0.25) ** 2).sum())), 1e-12)
        wide[number, width : width + len(matrix)] = centred
        turned[number, : len(matrix)] = centred[::-1, ::-1]
    forward = wide[:, width : 2 * width].reshape(n, -1)
    backward = turned.reshape(n, -1)
    best = np.full((n, n), -1.0)
    for shift in range(2 * width):
        cut = wide[:, shift : shift + width].reshape(n, -1).T
        best = np.maximum(best, np.maximum(forward @ cut, backward @ cut))
    return np.asarray(np.maximum(best, best.T))


def filter_table(report: FilterReport) -> pd.DataFrame:
    """Return one row a filter, the most needed first; ``filter`` numbers them from 1."""
    sizes = pd.Series([one.group for one in report.filters], dtype=np.int64).value_counts()
    rows = [
        {
            "filter": number,
            "member": one.member,
            "channel": one.channel,
            "consensus": consensus(one.frequencies),
            "width": len(one.frequencies),
            "information": float(information(one.frequencies).sum()),
            "n_windows": one.n_windows,
            "mean_activation": one.mean_activation,
            "first_order": one.first_order,
            "nullification": one.nullification,
            "nullification_r": one.nullification_r,
            "group": one.group,
            "group_nullification": report.group_nullification[one.group],
            "group_size": int(sizes[one.group]),
        }
        for number, one in enumerate(report.filters, start=1)
    ]
    columns = [
        "filter", "member", "channel", "consensus", "width", "information", "n_windows", "mean_activation",
        "first_order", "nullification", "nullification_r", "group", "group_nullification", "group_size",
    ]  # fmt: skip
    table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    return table


def filter_arrays(report: FilterReport) -> dict[str, FloatArray]:
    """Return ``frequencies_1`` ..., shape (width, 4)."""
    return {f"frequencies_{number}": one.frequencies for number, one in enumerate(report.filters, start=1)}


def filter_meme(report: FilterReport) -> str:
    """Return the filters as a MEME file, named ``filter_1`` and by consensus."""
    return meme_text(
        MemeMotif(
            name=f"filter_{number}",
            alternate=consensus(one.frequencies),
            frequencies=one.frequencies,
            sites=one.n_windows,
        )
        for number, one in enumerate(report.filters, start=1)
    )
