"""Inputs as feature columns, with everything that is learnt from the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, InputKind, Inputs, IntArray, UInt8Array
from automl_pheno.data.encode import complement_table, one_hot_table
from automl_pheno.errors import PredictorError
from automl_pheno.registry import Registry

MIN_MAF = 0.01
_NOT_A_BASE = 4
_BASE = np.full(16, _NOT_A_BASE, dtype=np.int64)
_BASE[[1, 2, 4, 8]] = np.arange(4)

Features = Callable[[npt.NDArray[Any]], FloatArray]

FEATURES: Registry[Features] = Registry("feature set")
"""Values of `Inputs` -> float32 columns, shape (n, p). Nothing is learnt here."""


@FEATURES.add("dosage")
def _dosage(values: npt.NDArray[Any]) -> FloatArray:
    return values.astype(np.float32, copy=False)


@FEATURES.add("one_hot")
def _one_hot(values: npt.NDArray[Any]) -> FloatArray:
    """Columns 4 i + base; N is 1/4 in each, padding 0."""
    table: FloatArray = one_hot_table()[values]
    return table.reshape(len(values), 4 * values.shape[1])


def count_kmers(codes: UInt8Array, k: int) -> FloatArray:
    """Return counts of each k-mer (A=0, C=1, G=2, T=3, first base most significant), shape (n, 4**k), float32.

    K-mers over an ambiguous base or padding are not counted.
    """
    bases = _BASE[codes]
    n_kmers = codes.shape[1] - k + 1
    counts = np.zeros((len(codes), 4**k), dtype=np.float32)
    if n_kmers < 1:
        return counts
    number = np.zeros((len(codes), n_kmers), dtype=np.int64)
    known = np.ones((len(codes), n_kmers), dtype=bool)
    for i in range(k):
        here = bases[:, i : i + n_kmers]
        number = number * 4 + here
        known &= here < _NOT_A_BASE
    rows = np.broadcast_to(np.arange(len(codes))[:, None], number.shape)
    np.add.at(counts, (rows[known], number[known]), np.float32(1))
    return counts


def count_kmers_of_both_strands(codes: UInt8Array, k: int) -> FloatArray:
    """Return counts of each k-mer or its reverse complement, one column a pair, float32."""
    numbers = np.arange(4**k)
    digits = (numbers[:, None] // 4 ** np.arange(k)[::-1]) % 4
    complement = np.log2(complement_table()[2**digits]).astype(np.int64)
    partner = (complement[:, ::-1] * 4 ** np.arange(k)[::-1]).sum(axis=1)
    counts = count_kmers(codes, k)
    forward, reverse = numbers[numbers < partner], partner[numbers < partner]
    palindromes = numbers[numbers == partner]
    return np.concatenate([counts[:, forward] + counts[:, reverse], counts[:, palindromes]], axis=1)


@FEATURES.add("kmers_5")
def _kmers_5(values: npt.NDArray[Any]) -> FloatArray:
    return count_kmers(values, 5)


@FEATURES.add("kmers_5_both_strands")
def _kmers_5_both_strands(values: npt.NDArray[Any]) -> FloatArray:
    return count_kmers_of_both_strands(values, 5)


@FEATURES.add("one_hot+kmers_5")
def _one_hot_and_kmers_5(values: npt.NDArray[Any]) -> FloatArray:
    return np.concatenate([_one_hot(values), count_kmers(values, 5)], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """Which columns are used and how they are filled, learnt from training rows by `learn`.

    Attributes
    ----------
    kind, width
        Of the training inputs; others are refused.
    features
        Name in `FEATURES`.
    keep
        Columns kept: those that vary in training and, for dosages, have MAF >= 0.01. int64, shape (p,).
    mean
        Training mean of the kept columns; stands in for a missing call and centres. float64, shape (p,).
    """

    kind: InputKind
    width: int
    features: str
    keep: IntArray
    mean: FloatArray

    def columns(self, inputs: Inputs) -> FloatArray:
        """Return the kept columns, missing calls filled in, float32, shape (n, p), not centred."""
        check_inputs(inputs, self.kind, self.width)
        raw = FEATURES[self.features](inputs.values)
        raw = raw[:, self.keep] if len(self.keep) < raw.shape[1] else raw.copy()
        if self.kind == "genotype":
            rows, columns = np.nonzero(np.isnan(raw))
            raw[rows, columns] = self.mean[columns]
        return raw

    def spread(self, effects: FloatArray) -> FloatArray | None:
        """Return effects of kept columns at their place in the input, 0 elsewhere; None for k-mers.

        Shape (n_variants,) for dosages, (length, 4) for one-hot bases.
        """
        if self.features not in ("dosage", "one_hot"):
            return None
        full = np.zeros(self.width * (4 if self.features == "one_hot" else 1))
        full[self.keep] = effects
        return full.reshape(self.width, 4) if self.features == "one_hot" else full

    def state(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        """Return arrays and JSON values from which `restore` makes the same encoding."""
        return {"keep": self.keep, "mean": self.mean}, {
            "kind": self.kind,
            "width": self.width,
            "features": self.features,
        }

    @classmethod
    def restore(cls, arrays: dict[str, npt.NDArray[Any]], values: dict[str, Any]) -> Encoding:
        """Return the encoding of `state`."""
        return cls(
            kind=values["kind"],
            width=values["width"],
            features=values["features"],
            keep=arrays["keep"],
            mean=arrays["mean"],
        )


def learn(inputs: Inputs, features: str) -> tuple[Encoding, FloatArray]:
    """Return the encoding learnt from the training `inputs` and their columns, float32, shape (n, p).

    A variant without any call in training is dropped. p may be 0.
    """
    raw = FEATURES[features](inputs.values)
    if inputs.kind == "genotype":
        called = ~np.isnan(raw)
        n_called = called.sum(axis=0)
        total = np.where(called, raw, 0.0).sum(axis=0, dtype=np.float64)
        mean = total / np.maximum(n_called, 1)
        varies = (
            np.nanmax(np.where(called, raw, -np.inf), axis=0) > np.nanmin(np.where(called, raw, np.inf), axis=0)
        ) & (n_called > 0)
        frequency = mean / 2.0
        varies &= np.minimum(frequency, 1.0 - frequency) >= MIN_MAF
    else:
        mean = raw.mean(axis=0, dtype=np.float64)
        varies = raw.max(axis=0) > raw.min(axis=0)
    keep = np.flatnonzero(varies).astype(np.int64)
    encoding = Encoding(
        kind=inputs.kind, width=inputs.width, features=features, keep=keep, mean=mean[keep].astype(np.float64)
    )
    columns = raw[:, keep]
    if inputs.kind == "genotype":
        rows, missing = np.nonzero(np.isnan(columns))
        columns[rows, missing] = encoding.mean[missing]
    return encoding, columns


def check_inputs(inputs: Inputs, kind: InputKind, width: int) -> None:
    """Raise PredictorError unless `inputs` have the kind and width of the training inputs."""
    if inputs.kind != kind:
        msg = f"trained on {kind} inputs, got {inputs.kind} inputs"
        raise PredictorError(msg)
    if inputs.width != width:
        what = "bp" if kind == "sequence" else "variants"
        msg = f"trained on inputs of {width} {what}, got {inputs.width}"
        raise PredictorError(msg)
