"""Leak detectors: predictors too simple to know any biology. Where one of them scores well, the split leaks.

Each learns from the training rows alone and predicts held-out rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from automl_pheno.data import Dataset, FloatArray, InputKind, Inputs, IntArray
from automl_pheno.data.copies import best_columns, correlations
from automl_pheno.data.encode import complement_table
from automl_pheno.registry import Registry
from automl_pheno.splits.components import Of, learn_components
from automl_pheno.splits.describe import describe_genotypes, describe_sequences

Detect = Callable[[Dataset, FloatArray, IntArray, IntArray, IntArray, np.random.Generator], FloatArray]
"""``detect(dataset, y, train, held_out, group, rng) -> predictions``; rows as positions, y and group of all samples."""

BOTH: tuple[InputKind, ...] = ("sequence", "genotype")

_N_COMPONENTS = 10
_CANDIDATES = 50
_BLOCK_CELLS = 20_000_000
_MOST_VARIANTS = 20_000
_BASE = np.full(16, 4, dtype=np.int32)
_BASE[[1, 2, 4, 8]] = np.arange(4)
_PENALTIES = np.logspace(-3, 5, 33)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A leak detector.

    Attributes
    ----------
    kinds
        Inputs it applies to.
    detect
        Learns and predicts.
    means
        What a good score of it means, in a sentence.
    """

    kinds: tuple[InputKind, ...]
    detect: Detect
    means: str


DETECTORS: Registry[Detector] = Registry("detector")
"""Leak detectors by name."""


def _add(name: str, kinds: tuple[InputKind, ...], means: str) -> Callable[[Detect], Detect]:
    def register(detect: Detect) -> Detect:
        DETECTORS.add(name)(Detector(kinds=kinds, detect=detect, means=means))
        return detect

    return register


def detectors_for(inputs: Inputs) -> tuple[str, ...]:
    """Return the names of the detectors that apply to `inputs`; missingness only where a call is missing."""
    complete = inputs.kind == "genotype" and not bool(np.isnan(inputs.values).any())
    names = (name for name, detector in DETECTORS.items() if inputs.kind in detector.kinds)
    return tuple(name for name in names if not (complete and name == "missingness"))


@_add(
    "one_column",
    ("genotype",),
    "one variant alone tells of the trait, which a gene of large effect does, or a column that is no variant",
)
def one_column(
    dataset: Dataset, y: FloatArray, train: IntArray, held_out: IntArray, group: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Predict by linear regression on the variant that correlates most with the trait; the mean where it is missing."""
    del group, rng
    values = dataset.inputs.values
    best = best_columns(values, train, y, 0.0, _CANDIDATES)
    exact = np.abs(correlations(values[:, best], train, y))
    mean = float(y[train].mean())
    if not len(exact) or exact.max() == 0:
        return np.full(len(held_out), mean)
    x = values[:, best[int(np.argmax(exact))]].astype(np.float64)
    known = train[~np.isnan(x[train])]
    slope, intercept = np.polyfit(x[known], y[known], 1)
    return np.where(np.isnan(x[held_out]), mean, intercept + slope * x[held_out])


@_add("nearest_neighbour", BOTH, "held-out samples have others so like them in training that the value can be copied")
def nearest_neighbour(
    dataset: Dataset, y: FloatArray, train: IntArray, held_out: IntArray, group: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Predict the trait of the most similar training sample; the mean of those equally similar.

    Sequences: most shared k-mers of either strand (cosine of counts). Genotypes: highest correlation of dosages that
    are standardised in training. A sample that shares nothing gets the training mean.
    """
    del group, rng
    inputs = dataset.inputs
    if inputs.kind == "sequence":
        return _nearest_sequence(inputs, y, train, held_out)
    return _nearest_genotype(inputs, y, train, held_out)


@_add("group_mean", BOTH, "held-out samples have members of their own group in training")
def group_mean(
    dataset: Dataset, y: FloatArray, train: IntArray, held_out: IntArray, group: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Predict the mean of the sample's group in training; the mean of all where it has none there."""
    del dataset, rng
    n = int(group.max()) + 1
    sizes = np.bincount(group[train], minlength=n)
    means = np.bincount(group[train], weights=y[train], minlength=n) / np.maximum(sizes, 1)
    return np.where(sizes > 0, means, y[train].mean())[group[held_out]]


@_add("principal_components", BOTH, "the trait follows populations or kinds of samples, which both sides share")
def principal_components(
    dataset: Dataset, y: FloatArray, train: IntArray, held_out: IntArray, group: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Predict by ridge regression on 10 components of the training genotypes, or of 4-mer frequencies."""
    del group
    of: Of = "genotype" if dataset.kind == "genotype" else "composition"
    return _by_components(dataset.inputs, of, y, train, held_out, rng)


@_add("gc_length", ("sequence",), "base composition or length alone tell of the trait")
def gc_length(
    dataset: Dataset, y: FloatArray, train: IntArray, held_out: IntArray, group: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Predict by ridge regression on GC content and its square, length and ambiguous bases."""
    del group, rng
    features = []
    for rows in (train, held_out):
        found = describe_sequences(dataset.inputs.take(rows))
        features.append(np.column_stack([found["gc"], found["gc"] ** 2, found["length"], found["ambiguous"]]))
    return _ridge(features[0], y[train], features[1])


@_add("missingness", ("genotype",), "missing calls tell of the trait, by batch or family, without any genetics")
def missingness(
    dataset: Dataset, y: FloatArray, train: IntArray, held_out: IntArray, group: IntArray, rng: np.random.Generator
) -> FloatArray:
    """Predict by ridge regression on 10 components of the mask of missing calls, and on their share."""
    del group
    inputs = dataset.inputs
    if not np.isnan(inputs.values[train]).any():
        return np.full(len(held_out), y[train].mean())
    components = learn_components(inputs.take(train), "missing", _N_COMPONENTS, rng)
    features = []
    for rows in (train, held_out):
        side = inputs.take(rows)
        features.append(np.column_stack([components.scores(side), describe_genotypes(side)["missing"]]))
    return _ridge(features[0], y[train], features[1])


def _by_components(
    inputs: Inputs, of: Of, y: FloatArray, train: IntArray, held_out: IntArray, rng: np.random.Generator
) -> FloatArray:
    learnt = inputs.take(train)
    components = learn_components(learnt, of, _N_COMPONENTS, rng)
    return _ridge(components.scores(learnt), y[train], components.scores(inputs.take(held_out)))


def _ridge(features: FloatArray, y: FloatArray, new: FloatArray) -> FloatArray:
    """Return predictions for `new`; the penalty by generalised cross-validation (Golub, Heath & Wahba 1979)."""
    mean, sd = features.mean(axis=0), features.std(axis=0)
    kept = sd > 1e-9
    if not kept.any():
        return np.full(len(new), y.mean())
    x = (features[:, kept] - mean[kept]) / sd[kept]
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    target = left.T @ (y - y.mean())
    rest = float(((y - y.mean()) ** 2).sum() - (target**2).sum())
    best, effects = np.inf, np.zeros(x.shape[1])
    for penalty in _PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        error = float((((1.0 - shrink) * target) ** 2).sum()) + max(rest, 0.0)
        score = error / max(len(y) - 1.0 - float(shrink.sum()), 1e-9) ** 2
        if score < best:
            best = score
            effects = right.T @ (singular / (singular**2 + penalty) * target)
    return np.asarray(y.mean() + ((new[:, kept] - mean[kept]) / sd[kept]) @ effects)


def _nearest_genotype(inputs: Inputs, y: FloatArray, train: IntArray, held_out: IntArray) -> FloatArray:
    columns = np.unique(np.linspace(0, inputs.width - 1, min(inputs.width, _MOST_VARIANTS)).astype(np.int64))
    values = inputs.values[np.ix_(train, columns)]
    called = ~np.isnan(values)
    n_called = np.maximum(called.sum(axis=0), 1)
    mean = (np.where(called, values, 0.0).sum(axis=0, dtype=np.float64) / n_called).astype(np.float32)
    centred = np.where(called, values - mean, 0.0).astype(np.float32)
    sd = np.sqrt((centred**2).sum(axis=0) / n_called)
    scale = np.where(sd > 1e-6, 1.0 / np.maximum(sd, 1e-6), 0.0).astype(np.float32)
    known = _unit_rows(centred * scale)
    out = np.empty(len(held_out))
    step = max(1, _BLOCK_CELLS // max(len(columns), len(train), 1))
    for start in range(0, len(held_out), step):
        block = inputs.values[np.ix_(held_out[start : start + step], columns)]
        asked = _unit_rows(np.nan_to_num((block - mean) * scale, copy=False, nan=0.0))
        out[start : start + step] = _copied(asked @ known.T, y[train])
    return out


def _nearest_sequence(inputs: Inputs, y: FloatArray, train: IntArray, held_out: IntArray) -> FloatArray:
    # long enough that a k-mer is rarely shared by chance: about one other k-mer in ten of all
    k = min(max(math.ceil(math.log(max(len(train) * inputs.width / 10.0, 4.0), 4)), 5), 12)
    k = min(k, max(inputs.width, 1))
    known = _kmer_rows(inputs.values[train], k).T.tocsr()
    out = np.empty(len(held_out))
    step = max(1, _BLOCK_CELLS // max(len(train), 1))
    for start in range(0, len(held_out), step):
        shared = _kmer_rows(inputs.values[held_out[start : start + step]], k) @ known
        out[start : start + step] = _copied(shared.toarray(), y[train])
    return out


def _copied(similarity: FloatArray, y: FloatArray) -> FloatArray:
    """Return for each row the mean y of the most similar columns; the mean of all where none is similar at all."""
    highest = similarity.max(axis=1, keepdims=True)
    nearest = (similarity >= highest - 1e-6) & (highest > 1e-6)
    counts = nearest.sum(axis=1)
    return np.asarray(np.where(counts > 0, nearest @ y / np.maximum(counts, 1), y.mean()))


def _unit_rows(values: FloatArray) -> FloatArray:
    norm = np.sqrt((values * values).sum(axis=1, keepdims=True))
    return np.asarray(values / np.maximum(norm, 1e-12))


def _kmer_rows(codes: npt.NDArray[np.uint8], k: int) -> csr_matrix:
    """Return counts of canonical k-mers as unit rows, sparse, shape (n, 4**k)."""
    forward = _BASE[codes]
    backward = _BASE[complement_table()[codes]]
    n_places = max(codes.shape[1] - k + 1, 0)
    number, partner = (np.zeros((len(codes), n_places), dtype=np.int32) for _ in range(2))
    known = np.ones((len(codes), n_places), dtype=bool)
    for i in range(k):
        here = forward[:, i : i + n_places]
        known &= here < 4
        number = number * 4 + np.where(here < 4, here, 0)
        there = backward[:, k - 1 - i : k - 1 - i + n_places]
        partner = partner * 4 + np.where(there < 4, there, 0)
    rows = np.broadcast_to(np.arange(len(codes))[:, None], number.shape)[known]
    kmers = np.minimum(number, partner)[known]
    counts = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, kmers)), shape=(len(codes), 4**k))
    counts.sum_duplicates()
    norm = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1))).ravel()
    counts.data /= np.repeat(np.maximum(norm, 1e-12), np.diff(counts.indptr)).astype(np.float32)
    return counts
