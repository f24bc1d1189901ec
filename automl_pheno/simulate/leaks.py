"""Leaks planted on purpose, with their truth: what a split must keep together and an audit must find."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray, InputKind, Inputs, IntArray, StrArray, UInt8Array
from automl_pheno.data.encode import PADDING, reverse_complement
from automl_pheno.errors import DataError, UnknownNameError
from automl_pheno.simulate.families import crossover_chances, gamete, numbered
from automl_pheno.simulate.truth import at_least, at_most

SHIFT = 20
"""bp by which a ``shifted`` sequence lies beside its source; new bases come in at its end."""

ERROR = 0.001
"""Share of the calls of a ``duplicate`` that are read anew, as between two chips."""

_START, _END = "start", "end"


def simulate_unrelated(n: int, length: int, rng: np.random.Generator) -> Dataset:
    """Return `n` independent random sequences of `length` bp with a normal trait ``trait``: nothing leaks."""
    at_least(1, n=n, length=length)
    codes = np.left_shift(1, rng.integers(0, 4, size=(n, length), dtype=np.uint8)).astype(np.uint8)
    ids = numbered("random", n)
    index = pd.Index(ids)
    return Dataset(
        name="unrelated",
        ids=ids,
        inputs=Inputs(kind="sequence", values=codes),
        traits=pd.DataFrame({"trait": rng.normal(size=n)}, index=index),
        columns=pd.DataFrame(index=index),
    )


def plant_sequence_leaks(
    dataset: Dataset, kind: str, rate: float, rng: np.random.Generator
) -> tuple[Dataset, StrArray]:
    """Append near copies of some samples.

    Parameters
    ----------
    dataset
        n sequences.
    kind
        One of `SEQUENCE_LEAKS`: ``exact``, ``reverse_complement``, ``mutated_1`` ... ``mutated_20`` (percent of the
        bases substituted), ``reverse_mutated_5``, ``indel_5`` (percent of the bases, half of them deleted, half
        inserted), ``shifted`` by 20 bp, ``half`` (shifted by half of the length), ``overlap`` (``half``, and the
        columns start and end move along).
    rate
        Planted samples as a share of n, above 0 and at most 1; at least one is planted.
    rng
        Chooses the sources and draws new bases.

    Returns
    -------
    Dataset
        The n samples, then the planted ones, called ``leak_0`` ...; each has the trait and columns of its source.
    StrArray
        Ids (planted, source), shape (m, 2).

    Raises
    ------
    DataError
        The data are no sequences, or ``overlap`` without columns start and end.
    UnknownNameError
        No such kind of leak.
    """
    _check_kind(SEQUENCE_LEAKS, kind, dataset, "sequence")
    change = SEQUENCE_LEAKS[kind]
    sources = _sources(len(dataset), rate, rng)
    values = dataset.inputs.values
    planted = np.zeros((len(sources), values.shape[1]), dtype=np.uint8)
    for row, source in enumerate(sources):
        codes = values[source]
        bases = change(codes[codes != PADDING], rng)
        planted[row, : len(bases)] = bases
    columns = dataset.columns.iloc[sources]
    if kind == "overlap":
        lengths = (values[sources] != PADDING).sum(axis=1)
        columns = _moved(columns, lengths // 2, dataset)
    return _appended(dataset, planted, columns, sources)


def plant_genotype_leaks(
    dataset: Dataset, kind: str, rate: float, rng: np.random.Generator
) -> tuple[Dataset, StrArray]:
    """Append relatives of some samples.

    A relative gets its alleles by gene dropping: from a shared parent it inherits in stretches (one Morgan a
    chromosome, Haldane) either the allele that the source has or one drawn from the allele frequency. Alleles of
    heterozygotes are phased at random. That is right for outbred samples in Hardy-Weinberg proportions without LD.

    Parameters
    ----------
    dataset
        n genotypes of whole dosages; missing calls stay missing.
    kind
        One of `GENOTYPE_LEAKS`: ``duplicate`` (one call in 1,000 is drawn anew), ``full_sib``, ``half_sib``.
    rate, rng
        As in `plant_sequence_leaks`.

    Returns
    -------
    Dataset, StrArray
        As in `plant_sequence_leaks`.
    """
    _check_kind(GENOTYPE_LEAKS, kind, dataset, "genotype")
    change = GENOTYPE_LEAKS[kind]
    sources = _sources(len(dataset), rate, rng)
    values = dataset.inputs.values
    called = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    frequency = np.nansum(values, axis=0, dtype=np.float64) / (2.0 * called)
    crossover = crossover_chances(_chromosomes(dataset))
    planted = np.stack([change(values[source], frequency, crossover, rng) for source in sources])
    return _appended(dataset, planted.astype(np.float32), dataset.columns.iloc[sources], sources)


def _chromosomes(dataset: Dataset) -> IntArray:
    variants = dataset.inputs.variants
    if variants is None:
        return np.zeros(dataset.inputs.width, dtype=np.int64)
    names = variants["chromosome"].astype(str)
    return np.cumsum(np.r_[False, names.to_numpy()[1:] != names.to_numpy()[:-1]]).astype(np.int64)


def _substituted(bases: UInt8Array, rng: np.random.Generator, *, share: float) -> UInt8Array:
    out: UInt8Array = bases.copy()
    places = rng.choice(len(bases), size=max(1, round(share * len(bases))), replace=False)
    plain = np.log2(np.maximum(out[places], 1)).astype(np.int64)  # an ambiguous base becomes a plain one
    out[places] = np.left_shift(1, (plain + rng.integers(1, 4, size=len(places))) % 4)
    return out


def _indels(bases: UInt8Array, rng: np.random.Generator, *, share: float) -> UInt8Array:
    n = max(1, round(share * len(bases) / 2))
    out = np.delete(bases, rng.choice(len(bases), size=n, replace=False))
    places = rng.choice(len(out) + 1, size=n, replace=False)
    return np.insert(out, places, _random_bases(n, rng))


def _shifted(bases: UInt8Array, rng: np.random.Generator, *, by: int | None) -> UInt8Array:
    shift = min(len(bases) // 2 if by is None else by, len(bases))
    out: UInt8Array = np.concatenate([bases[shift:], _random_bases(shift, rng)])
    return out


def _reversed(bases: UInt8Array, rng: np.random.Generator, *, share: float = 0.0) -> UInt8Array:
    out: UInt8Array = reverse_complement(bases[None, :])[0]
    return _substituted(out, rng, share=share) if share else out


def _random_bases(n: int, rng: np.random.Generator) -> UInt8Array:
    return (1 << rng.integers(0, 4, size=n)).astype(np.uint8)


SEQUENCE_LEAKS: dict[str, Callable[[UInt8Array, np.random.Generator], UInt8Array]] = {
    "exact": lambda bases, _: bases,
    "reverse_complement": _reversed,
    **{f"mutated_{percent}": partial(_substituted, share=percent / 100) for percent in (1, 2, 5, 10, 20)},
    "reverse_mutated_5": partial(_reversed, share=0.05),
    "indel_5": partial(_indels, share=0.05),
    "shifted": partial(_shifted, by=SHIFT),
    "half": partial(_shifted, by=None),
    "overlap": partial(_shifted, by=None),
}
"""Kind -> how a planted sequence comes from its source."""


def _duplicate(call: FloatArray, frequency: FloatArray, _: FloatArray, rng: np.random.Generator) -> FloatArray:
    anew = rng.random(len(call)) < ERROR
    return np.where(anew & ~np.isnan(call), rng.binomial(2, frequency), call)


def _sib(
    call: FloatArray, frequency: FloatArray, crossover: FloatArray, rng: np.random.Generator, *, shared: int
) -> FloatArray:
    """Return a sib by gene dropping that shares `shared` parents with a sample."""
    known = np.nan_to_num(call)
    first = np.where(np.rint(known) == 1, rng.random(len(call)) < 0.5, np.rint(known) == 2).astype(np.int64)
    total = np.zeros(len(call), dtype=np.int64)
    for number, transmitted in enumerate((first, np.rint(known).astype(np.int64) - first)):
        other = rng.random((2, len(call))) < frequency
        parent = np.stack([transmitted if number < shared else other[1], other[0]]).astype(np.int64)
        total += gamete(parent, crossover, rng)
    return np.where(np.isnan(call), np.nan, total)


GENOTYPE_LEAKS: dict[str, Callable[[FloatArray, FloatArray, FloatArray, np.random.Generator], FloatArray]] = {
    "duplicate": _duplicate,
    "full_sib": partial(_sib, shared=2),
    "half_sib": partial(_sib, shared=1),
}
"""Kind -> how a planted genotype comes from its source, the allele frequencies and the crossovers."""


def _check_kind(known: Iterable[str], kind: str, dataset: Dataset, wanted: InputKind) -> None:
    if dataset.kind != wanted:
        msg = f"{dataset.name}: leaks of {wanted}s cannot be planted into data of kind {dataset.kind!r}"
        raise DataError(msg)
    if kind not in known:
        role = "leak"
        raise UnknownNameError(role, kind, known)


def _sources(n: int, rate: float, rng: np.random.Generator) -> IntArray:
    at_least(1e-9, rate=rate)
    at_most(1.0, rate=rate)
    return np.sort(rng.choice(n, size=max(1, round(rate * n)), replace=False))


def _moved(columns: pd.DataFrame, by: IntArray, dataset: Dataset) -> pd.DataFrame:
    if not {_START, _END} <= set(columns.columns):
        msg = f"{dataset.name}: an overlapping interval needs columns {_START} and {_END}"
        raise DataError(msg)
    out: pd.DataFrame = columns.copy()
    for name in (_START, _END):
        out[name] = columns[name].to_numpy() + by
    return out


def _appended(
    dataset: Dataset, planted: FloatArray | UInt8Array, columns: pd.DataFrame, sources: IntArray
) -> tuple[Dataset, StrArray]:
    names = numbered("leak", len(sources))
    ids: StrArray = np.concatenate([dataset.ids, names])

    def joined(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
        out: pd.DataFrame = pd.concat([table, more]).set_axis(pd.Index(ids))
        return out

    grown = Dataset(
        name=dataset.name,
        ids=ids,
        inputs=Inputs(
            kind=dataset.kind,
            values=np.concatenate([dataset.inputs.values, planted]),
            variants=dataset.inputs.variants,
        ),
        traits=joined(dataset.traits, dataset.traits.iloc[sources]),
        columns=joined(dataset.columns, columns),
        notes=dataset.notes,
    )
    return grown, np.array([names, dataset.ids[sources]], dtype=np.str_).T
