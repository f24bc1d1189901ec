"""Decoys: variants made like the real ones, among the same relatives, that cannot matter to the trait."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray
from automl_pheno.explain.registry import ExplainError
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.shrinkage import decompose_design

COMPONENTS = 2
"""Principal components that stand for a block."""
PARTNERS = 40
"""Components of other blocks from which a block is predicted."""
MOST_AXES = 3000
"""Samples or variants from which the axes of relationship are taken."""
MOST_CELLS = 200_000_000
_CELLS = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecoyMaker:
    """What decoys are drawn from; made by `learn_decoys`.

    Attributes
    ----------
    inputs
        The real genotypes, n samples.
    shared
        The part of each standardised variant that other blocks predict, float32, shape (n, width).
    axes
        Eigenvectors of the genomic relationship, float32, shape (n, r).
    own
        The rest of each variant, in coordinates along `axes`, float32, shape (r, width).
    beside
        What of this rest is not along any axis, float32, shape (n, width); None where nothing is.
    """

    inputs: Inputs
    shared: FloatArray
    axes: FloatArray
    own: FloatArray
    beside: FloatArray | None

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Return decoy dosages, float32, shape (n, width): each variant has the same calls, at other samples.

        Missing calls stay where they are.
        """
        sign = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), size=self.axes.shape[1])
        row = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), size=len(self.inputs))
        values = self.inputs.values
        out = np.array(values, dtype=np.float32)
        step = max(1, _CELLS // max(len(out), 1))
        for start in range(0, out.shape[1], step):
            part = slice(start, start + step)
            drawn = self.axes @ (sign[:, None] * self.own[:, part])
            drawn += self.shared[:, part]
            if self.beside is not None:
                drawn += row[:, None] * self.beside[:, part]
            out[:, part] = _with_calls_of(drawn, values[:, part])
        return out


def learn_decoys(inputs: Inputs, blocks: IntArray) -> DecoyMaker:
    """Return what decoys of these genotypes are drawn from.

    A variant is split into what the blocks most correlated with its own block predict of it (ridge regression on 40
    principal components, two a block), and the rest. In a decoy the rest has its coordinates along the eigenvectors
    of the genomic relationship multiplied by random signs, the same for all variants (what is along none, where both
    samples and variants are more than 3,000: a random sign a sample); then each variant's calls are dealt out again by
    rank. So decoys keep allele frequencies, LD within a block, the LD with other blocks, as
    second-order knockoffs of groups do (Candès et al. 2018; Dai & Barber 2016), and how much of a variant runs in
    families and populations; only which way its own part points is chance. Were the trait normal with a covariance that
    has these eigenvectors, the mixed model of GBLUP, a variant without effect and its decoy could not be told apart.

    Parameters
    ----------
    inputs
        Genotypes of the training samples.
    blocks
        LD block of each variant, labels from 0.

    Raises
    ------
    ExplainError
        More than 200 million calls.
    """
    n, width = inputs.values.shape
    if n * width > MOST_CELLS:
        msg = f"decoys are made of at most {MOST_CELLS:,} calls, these are {n:,} x {width:,}"
        raise ExplainError(msg)
    columns = np.array(inputs.values, dtype=np.float32)
    missing = np.isnan(columns)
    columns[missing] = 0.0
    mean = columns.sum(axis=0, dtype=np.float64) / np.maximum((~missing).sum(axis=0), 1)
    columns -= mean.astype(np.float32)
    columns[missing] = 0.0
    axes = _axes(columns)
    sd = np.sqrt(np.einsum("ij,ij->j", columns, columns, dtype=np.float64) / n)
    columns /= np.where(sd > 1e-6, sd, 1.0).astype(np.float32)
    shared = _predicted(columns, blocks)
    columns -= shared
    own = axes.T @ columns
    beside = columns - axes @ own if min(n, width) > MOST_AXES else None
    return DecoyMaker(inputs=inputs, shared=shared, axes=axes, own=own, beside=beside)


def with_decoys(inputs: Inputs, decoys: FloatArray) -> Inputs:
    """Return genotypes of twice the width: all real variants, then all decoys in the same order.

    A convolution so sees windows of real variants or windows of decoys, and both among the neighbours they have.
    The decoys' chromosomes have names of their own.
    """
    table = inputs.variants
    if table is not None:
        twin = table.copy()
        for name in ("id", "chromosome"):
            twin[name] = "decoy_" + table[name].astype(str)
        table = pd.concat([table, twin], ignore_index=True)
    values = np.concatenate([np.asarray(inputs.values, dtype=np.float32), decoys], axis=1)
    return replace(inputs, values=values, variants=table)


def _axes(centred: FloatArray) -> FloatArray:
    """Return eigenvectors of the relationship, float32, shape (n, r); of many samples by every k-th variant."""
    if min(centred.shape) > MOST_AXES:
        centred = centred[:, :: -(-centred.shape[1] // MOST_AXES)]
    design = Design(columns=centred, mean=np.zeros(centred.shape[1]))
    return np.asarray(decompose_design(design).vectors, dtype=np.float32)


def _predicted(columns: FloatArray, blocks: IntArray) -> FloatArray:
    """Return what other blocks predict of each standardised variant, float32, shape (n, width)."""
    n = len(columns)
    order = np.argsort(blocks, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(blocks))[:-1])
    found = [_components(columns[:, part]) for part in members]
    owner = np.repeat(np.arange(len(found)), [one.shape[1] for one in found])
    scores = np.concatenate(found, axis=1)
    out = np.zeros_like(columns)
    for number, part in enumerate(members):
        if not 0 < found[number].shape[1] < len(owner):
            continue
        likeness = ((found[number].T @ scores) ** 2).sum(axis=0)
        likeness[owner == number] = -1.0
        nearest = np.argsort(-likeness, kind="stable")[:PARTNERS]
        chosen = scores[:, nearest[likeness[nearest] >= 0.0]]
        gram = (chosen.T @ chosen).astype(np.float64) / n
        gram[np.diag_indices_from(gram)] += chosen.shape[1] / n
        effects = np.linalg.solve(gram, (chosen.T @ columns[:, part]).astype(np.float64) / n)
        out[:, part] = chosen @ effects.astype(np.float32)
    return out


def _components(columns: FloatArray) -> FloatArray:
    """Return the leading components of the columns that vary, mean 0 and variance 1, shape (n, <= COMPONENTS)."""
    gram = (columns.T @ columns).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    real = np.flatnonzero(values > 1e-6 * max(float(np.trace(gram)), 1.0))[-COMPONENTS:]
    return np.asarray(
        columns @ (vectors[:, real] * np.sqrt(len(columns) / values[real])).astype(np.float32), dtype=np.float32
    )


def _with_calls_of(drawn: FloatArray, values: FloatArray) -> FloatArray:
    """Return the calls of each column of `values` in the order of `drawn`, missing ones where they are."""
    missing = np.isnan(values)
    order = np.argsort(np.where(missing, np.inf, drawn), axis=0, kind="stable")
    calls = np.sort(np.asarray(values, dtype=np.float32), axis=0)  # nan comes last
    out = np.empty_like(calls)
    np.put_along_axis(out, order, calls, axis=0)
    return out
