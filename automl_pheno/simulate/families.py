"""Genotypes of families whose kinship is known: gene dropping from unrelated founders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray, Inputs, IntArray, StrArray
from automl_pheno.simulate.truth import at_least, at_most

MORGANS = 1.0
"""Length of a chromosome."""

_ANCESTRAL_HAPLOTYPES = 8


def simulate_families(
    n_families: int,
    *,
    full_sibs: int = 3,
    half_sibs: int = 2,
    duplicates: int = 0,
    unrelated: int = 0,
    n_variants: int = 5000,
    n_chromosomes: int = 10,
    block: int = 1,
    rng: np.random.Generator,
) -> tuple[Dataset, pd.DataFrame]:
    """Return families of known kinship by gene dropping from unrelated founders, who are not in the data.

    In a family one mother has `full_sibs` children by one father and `half_sibs` children each by another.

    Parameters
    ----------
    n_families, full_sibs, half_sibs
        As above.
    duplicates
        Children sampled twice in each family, without genotyping errors.
    unrelated
        Samples without any relative.
    n_variants, n_chromosomes
        Allele frequencies are uniform on 0.1 to 0.9; a chromosome is one Morgan (Haldane).
    block
        Variants an LD block: within it a founder chromosome is one of 8 ancestral haplotypes; 1 is without LD.
    rng
        Draws everything.

    Returns
    -------
    Dataset
        Genotypes in random order, column ``family`` ("" for the unrelated), and a polygenic trait ``trait`` of
        heritability 0.5.
    DataFrame
        Each pair with a kinship above 0: ``first, second`` (ids), ``relation`` (``duplicate, full_sib, half_sib``)
        and ``kinship`` by the pedigree (0.5, 0.25, 0.125).
    """
    at_least(0, n_families=n_families, full_sibs=full_sibs, half_sibs=half_sibs, unrelated=unrelated)
    at_least(0, duplicates=duplicates)
    at_least(1, n_variants=n_variants, n_chromosomes=n_chromosomes, block=block)
    at_least(1, **{"n_families x children + unrelated": n_families * (full_sibs + half_sibs) + unrelated})
    at_most(n_variants, n_chromosomes=n_chromosomes)
    at_most(full_sibs + half_sibs, duplicates=duplicates)
    chromosome = np.sort(np.arange(n_variants) % n_chromosomes)
    ancestors = _ancestors(rng, n_variants, block)
    dosage: list[IntArray] = []
    families: list[int] = []
    father: list[int] = []
    copy_of: list[int] = []
    for family in range(n_families):
        children, fathers, copies = _family(rng, ancestors, chromosome, full_sibs, half_sibs, duplicates)
        copy_of += [-1 if one < 0 else len(families) + one for one in copies]
        dosage.append(children)
        families += [family] * len(children)
        father += fathers
    alone = ancestors(rng, 2 * unrelated)
    dosage.append(alone[:unrelated] + alone[unrelated:])
    families += list(range(n_families, n_families + unrelated))
    father += [0] * unrelated
    copy_of += [-1] * unrelated
    order = rng.permutation(len(families))
    names = numbered("sample", len(order))
    ids = np.empty_like(names)
    ids[order] = names
    kinship = _kinship(ids, np.array(families), np.array(father), np.array(copy_of))
    values = np.concatenate(dosage)[order].astype(np.float32)
    labels = [f"F{one:04d}" if one < n_families else "" for one in np.array(families)[order]]
    return _genotypes(names, values, labels, chromosome, rng), kinship


def _family(
    rng: np.random.Generator,
    ancestors: Callable[[np.random.Generator, int], IntArray],
    chromosome: IntArray,
    full_sibs: int,
    half_sibs: int,
    duplicates: int,
) -> tuple[IntArray, list[int], list[int]]:
    """Return dosages of the children, the number of each one's father, and whom each is a copy of (-1: nobody)."""
    fathers = [0] * full_sibs + list(range(1, half_sibs + 1))
    mother, males = ancestors(rng, 2), ancestors(rng, 2 * (half_sibs + 1))
    crossover = crossover_chances(chromosome)
    children = np.stack(
        [gamete(mother, crossover, rng) + gamete(males[2 * one : 2 * one + 2], crossover, rng) for one in fathers]
    )
    twice = rng.choice(len(fathers), size=duplicates, replace=False)
    copies = [-1] * len(fathers) + [int(one) for one in twice]
    return np.concatenate([children, children[twice]]), [*fathers, *(fathers[one] for one in twice)], copies


def _kinship(ids: StrArray, family: IntArray, father: IntArray, copy_of: IntArray) -> pd.DataFrame:
    rows = []
    origin = np.where(copy_of >= 0, copy_of, np.arange(len(ids)))
    order = np.argsort(family, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(family[order]) != 0])
    for members in np.split(order, starts[1:]):
        for position, a in enumerate(members):
            for b in members[position + 1 :]:
                if origin[a] == origin[b]:
                    relation, kinship = "duplicate", 0.5
                elif father[a] == father[b]:
                    relation, kinship = "full_sib", 0.25
                else:
                    relation, kinship = "half_sib", 0.125
                rows.append((str(ids[a]), str(ids[b]), relation, kinship))
    table: pd.DataFrame = pd.DataFrame(rows, columns=["first", "second", "relation", "kinship"])
    return table


def _genotypes(
    names: StrArray, values: FloatArray, families: list[str], chromosome: IntArray, rng: np.random.Generator
) -> Dataset:
    n_variants = values.shape[1]
    index = pd.Index(names)
    genetic = (values - values.mean(axis=0)) @ rng.normal(size=n_variants)
    spread = float(genetic.std()) or 1.0
    position = 50_000 * (1 + np.arange(n_variants) - np.searchsorted(chromosome, chromosome))
    variants = pd.DataFrame(
        {
            "id": [f"snp_{number}" for number in range(n_variants)],
            "chromosome": [str(one + 1) for one in chromosome],
            "position": position.astype(np.int64),
            "ref": "A",
            "alt": "G",
        }
    )
    return Dataset(
        name="families",
        ids=names,
        inputs=Inputs(kind="genotype", values=values, variants=variants),
        traits=pd.DataFrame({"trait": genetic / spread + rng.normal(size=len(names))}, index=index),
        columns=pd.DataFrame({"family": families}, index=index),
    )


def _ancestors(rng: np.random.Generator, n_variants: int, block: int) -> Callable[[np.random.Generator, int], IntArray]:
    """Return a function that draws founder haplotypes of 0 and 1, shape (k, n_variants)."""
    frequency = rng.uniform(0.1, 0.9, size=n_variants)
    pool = (rng.random((_ANCESTRAL_HAPLOTYPES, n_variants)) < frequency).astype(np.int64)

    def draw(rng: np.random.Generator, k: int) -> IntArray:
        if block == 1:
            return (rng.random((k, n_variants)) < frequency).astype(np.int64)
        chosen = rng.integers(0, len(pool), size=(k, -(-n_variants // block)))
        return np.take_along_axis(pool, np.repeat(chosen, block, axis=1)[:, :n_variants], axis=0)

    return draw


def crossover_chances(chromosome: IntArray) -> FloatArray:
    """Return the chance of a crossover before each variant: Haldane within a chromosome, 1/2 at its start."""
    per_chromosome = np.bincount(chromosome)[chromosome]
    chance: FloatArray = 0.5 * (1.0 - np.exp(-2.0 * MORGANS / per_chromosome))
    chance[np.flatnonzero(np.r_[True, np.diff(chromosome) != 0])] = 0.5
    return chance


def gamete(pair: IntArray, crossover: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return the alleles that a parent with the haplotypes `pair`, shape (2, m), passes on, shape (m,)."""
    strand = np.cumsum(rng.random(len(crossover)) < crossover) % 2
    passed: IntArray = np.where(strand == 0, pair[0], pair[1])
    return passed


def numbered(what: str, n: int) -> StrArray:
    """Return ids ``what_0`` ..., all of the same length."""
    return np.array([f"{what}_{i:0{len(str(max(n - 1, 0)))}d}" for i in range(n)], dtype=np.str_)
