"""Leading principal components of composition, genotypes or missing calls. No label is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from automl_pheno.data import FloatArray, Inputs, IntArray
from automl_pheno.data.encode import complement_table

Of = Literal["composition", "genotype", "missing"]

K = 4  # length of the k-mers whose frequencies describe a sequence
_MOST_COLUMNS = 10_000
_MOST_CELLS = 50_000_000  # of the matrix that is decomposed: 200 MB
_FEWEST_ROWS = 2000
_MOST_ROWS = 20_000
_LEAST_SD = 1e-3  # of dosages; below, rounding would be scaled up
_EXACT = 512  # columns up to which the decomposition is exact
_OVERSAMPLE = 10
_ITERATIONS = 4
_BLOCK_CELLS = 20_000_000
_BASE = np.full(16, 4, dtype=np.int64)
_BASE[[1, 2, 4, 8]] = np.arange(4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Directions learnt from some samples, and how others are laid along them.

    Attributes
    ----------
    of
        ``composition`` (frequencies of canonical 4-mers), ``genotype`` (standardised dosages; a missing call counts
        as the mean) or ``missing`` (1 where a call is missing).
    columns
        Variants used, int64; all k-mers for composition.
    mean, scale
        By which a column is centred and divided, shape (p,).
    directions
        Orthonormal, largest variance first, float64, shape (p, k); k is smaller where nothing more varies.
    """

    of: Of
    columns: IntArray
    mean: FloatArray
    scale: FloatArray
    directions: FloatArray

    def scores(self, inputs: Inputs) -> FloatArray:
        """Return the coordinates of samples, float64, shape (n, k)."""
        out = np.zeros((len(inputs), self.directions.shape[1]))
        step = max(1, _BLOCK_CELLS // max(inputs.width, 1))
        for start in range(0, len(inputs), step):
            rows = slice(start, start + step)
            raw = _raw(inputs.values[rows], self.of, self.columns)
            out[rows] = _standardised(raw, self.mean, self.scale) @ self.directions.astype(np.float32)
        return out


def learn_components(inputs: Inputs, of: Of, k: int, rng: np.random.Generator) -> Components:
    """Return the `k` leading components of `inputs`.

    At most 10,000 evenly spaced variants and 20,000 samples, drawn by `rng`, are learnt from (50 million values).
    Up to 512 columns the decomposition is exact, above randomised (Halko, Martinsson & Tropp 2011, algorithm 4.4).
    """
    width = _canonical_kmers()[1] if of == "composition" else inputs.width
    columns = np.unique(np.linspace(0, width - 1, min(width, _MOST_COLUMNS)).astype(np.int64))
    most_rows = min(max(_FEWEST_ROWS, _MOST_CELLS // max(len(columns), 1)), _MOST_ROWS)
    rows = np.arange(len(inputs))
    if len(rows) > most_rows:
        rows = np.sort(rng.choice(rows, size=most_rows, replace=False))
    raw = _raw(inputs.values[rows], of, columns)
    n_called = np.maximum(len(raw) - np.isnan(raw).sum(axis=0), 1)
    mean = np.nansum(raw, axis=0, dtype=np.float64) / n_called
    spread = np.sqrt(np.maximum(np.nansum(raw * raw, axis=0, dtype=np.float64) / n_called - mean**2, 0.0))
    kept = np.flatnonzero(spread > (_LEAST_SD if of == "genotype" else 1e-6))
    scale = spread[kept] if of == "genotype" else np.ones(len(kept))
    matrix = _standardised(raw[:, kept], mean[kept], scale)
    return Components(
        of=of, columns=columns[kept], mean=mean[kept], scale=scale, directions=_directions(matrix, k, rng)
    )


def kmer_frequencies(codes: npt.NDArray[np.uint8]) -> FloatArray:
    """Return frequencies of the 136 canonical 4-mers (a k-mer and its reverse complement are one), float32.

    K-mers over an ambiguous base or padding are not counted; a sequence without any is all 0.
    """
    canonical, n_kinds = _canonical_kmers()
    counts = np.zeros((len(codes), n_kinds), dtype=np.float32)
    n_places = codes.shape[1] - K + 1
    if n_places < 1:
        return counts
    step = max(1, _BLOCK_CELLS // n_places)
    for start in range(0, len(codes), step):
        bases = _BASE[codes[start : start + step]]
        number = np.zeros((len(bases), n_places), dtype=np.int64)
        known = np.ones((len(bases), n_places), dtype=bool)
        for i in range(K):
            here = bases[:, i : i + n_places]
            number = number * 4 + here
            known &= here < 4
        row = np.broadcast_to(np.arange(len(bases))[:, None], number.shape)[known]
        keys = row * n_kinds + canonical[number[known]]
        found = np.bincount(keys, minlength=len(bases) * n_kinds).reshape(len(bases), n_kinds)
        counts[start : start + step] = found / np.maximum(found.sum(axis=1, keepdims=True), 1)
    return counts


def _canonical_kmers() -> tuple[IntArray, int]:
    """Return the number of the canonical form of each k-mer, and how many forms there are."""
    numbers = np.arange(4**K)
    powers = 4 ** np.arange(K)[::-1]
    digits = (numbers[:, None] // powers) % 4
    complement = np.log2(complement_table()[2**digits]).astype(np.int64)
    partner = (complement[:, ::-1] * powers).sum(axis=1)
    forms, number = np.unique(np.minimum(numbers, partner), return_inverse=True)
    return number.astype(np.int64), len(forms)


def _raw(values: npt.NDArray[Any], of: Of, columns: IntArray) -> FloatArray:
    if of == "composition":
        return kmer_frequencies(values)[:, columns]
    chosen = values[:, columns]
    return np.isnan(chosen).astype(np.float32) if of == "missing" else chosen


def _standardised(raw: FloatArray, mean: FloatArray, scale: FloatArray) -> FloatArray:
    centred = (raw - mean.astype(np.float32)) / scale.astype(np.float32)
    centred[np.isnan(centred)] = 0.0
    return np.asarray(centred)


def _directions(matrix: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    n, p = matrix.shape
    if not n or not p:
        return np.zeros((p, 0))
    if p <= _EXACT:
        _, vectors = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))
        directions = vectors[:, ::-1][:, :k]
    else:
        sketch = matrix @ rng.standard_normal((p, min(k + _OVERSAMPLE, n, p))).astype(np.float32)
        for _ in range(_ITERATIONS):
            sketch, _ = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ np.linalg.qr(sketch)[0])[0])
        _, _, right = np.linalg.svd((np.linalg.qr(sketch)[0].T @ matrix).astype(np.float64), full_matrices=False)
        directions = right[:k].T
    spread = np.linalg.norm(matrix.astype(np.float64) @ directions, axis=0)
    directions = directions[:, spread > 1e-4 * max(float(spread.max(initial=0.0)), 1e-12)]
    # The sign of a component is arbitrary; the largest loading is made positive so that runs agree.
    largest = np.abs(directions).argmax(axis=0)
    return np.asarray(directions * np.sign(directions[largest, np.arange(directions.shape[1])]))
