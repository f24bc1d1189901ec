"""Genotypes with founders, LD blocks, populations and families, and a trait of stated heritability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray, Inputs, IntArray, StrArray
from automl_pheno.rng import generator
from automl_pheno.simulate.truth import SIMULATORS, Causal, Term, Truth, at_least, at_most, ceiling

FST = 0.10
ANCESTRAL_HAPLOTYPES = 5
BASES_BETWEEN_VARIANTS = 50_000
MORGANS = 1.0


@SIMULATORS.add("genotypes")
def simulate_genotypes(
    *,
    n: int = 1000,
    n_variants: int = 2000,
    n_chromosomes: int = 5,
    n_populations: int = 3,
    family_size: int = 10,
    founders: int = 40,
    block: int = 20,
    n_causal: int = 30,
    n_pairs: int = 10,
    heritability: float = 0.6,
    dominance: float = 0.1,
    epistasis: float = 0.2,
    missing: float = 0.0,
    seed: int = 0,
) -> tuple[Dataset, Truth]:
    """Make full-sib families of related founders and give each sample a trait.

    Each LD block has five ancestral haplotypes, whose frequencies differ between populations (Dirichlet, as in Balding
    & Nichols 1995, F_ST 0.10); a founder chromosome is a mosaic of them. A family has two parents of one
    population, whose gametes recombine without interference (Haldane) over 1 Morgan a chromosome.

    The genetic value is a sum of additive, dominance (deviation of the heterozygote) and additive-by-additive terms
    (products of centred dosages). Each part is scaled to its share of the genetic variance in this sample, then
    normal noise is added, scaled to `heritability` (broad sense).

    Parameters
    ----------
    n, n_variants
        Samples and variants.
    n_chromosomes, n_populations, family_size, founders, block
        Structure; `founders` is diploid founders a population, `block` variants an LD block.
    n_causal, n_pairs
        Causal variants, and pairs of them that interact.
    heritability
        Genetic share of the phenotypic variance, in (0, 1].
    dominance, epistasis
        Their shares of the genetic variance; the rest is additive.
    missing
        Share of calls set to NaN after the trait was made.
    seed
        Of everything drawn.

    Returns
    -------
    Dataset, Truth
        Trait ``trait``; columns ``population`` and ``family``.
    """
    at_least(2, n=n, n_variants=n_variants, founders=founders, n_causal=n_causal)
    at_least(1, n_chromosomes=n_chromosomes, n_populations=n_populations, family_size=family_size, block=block)
    at_least(0, n_pairs=n_pairs, heritability=heritability, dominance=dominance, epistasis=epistasis, missing=missing)
    at_least(1e-6, heritability=heritability)
    at_most(1.0, heritability=heritability, missing=missing)
    at_most(1.0, **{"dominance + epistasis": dominance + epistasis})
    at_most(n_variants, n_chromosomes=n_chromosomes, n_causal=n_causal)
    rng = generator(seed, "simulate", "genotypes")
    chromosome = np.sort(np.arange(n_variants) % n_chromosomes)
    population, family, dosage = _families(
        rng, n, chromosome, n_populations=n_populations, family_size=family_size, founders=founders, block=block
    )
    causal, terms, genetic = _effects(rng, dosage, n_causal, n_pairs, dominance=dominance, epistasis=epistasis)
    noise = rng.normal(size=n)
    noise = noise / noise.std() * genetic.std() * np.sqrt((1.0 - heritability) / heritability)
    phenotype = 100.0 + genetic + noise
    variants = _variants(rng, chromosome)
    values = dosage.astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    truth = Truth(
        kind="genotypes",
        seed=seed,
        parameters={
            "n": n, "n_variants": n_variants, "n_chromosomes": n_chromosomes, "n_populations": n_populations,
            "family_size": family_size, "founders": founders, "block": block, "n_causal": n_causal,
            "n_pairs": n_pairs, "heritability": heritability, "dominance": dominance, "epistasis": epistasis,
            "missing": missing,
        },
        ceiling_r2=ceiling(phenotype, 100.0 + genetic),
        genetic=100.0 + genetic,
        causal=tuple(
            Causal(position=item.position, name=str(variants["id"].iloc[item.position]), effects=item.effects)
            for item in causal
        ),
        terms=terms,
    )  # fmt: skip
    ids: StrArray = np.array([f"sample_{i:0{len(str(n - 1))}d}" for i in range(n)])
    index = pd.Index(ids)
    dataset = Dataset(
        name="genotypes",
        ids=ids,
        inputs=Inputs(kind="genotype", values=values, variants=variants),
        traits=pd.DataFrame({"trait": phenotype}, index=index),
        columns=pd.DataFrame(
            {"population": [f"P{p}" for p in population], "family": [f"F{f:04d}" for f in family]}, index=index
        ),
        notes=(
            f"simulated: {n} samples in {family.max() + 1} full-sib families of {n_populations} populations, "
            f"{n_variants} variants, {n_causal} causal, {len(terms)} interacting pairs, seed {seed}",
            f"no predictor can exceed R² = {truth.ceiling_r2:.3f} on these data (noise-free value against the trait)",
        ),
    )
    return dataset, truth


def genetic_value(dosage: FloatArray, causal: tuple[Causal, ...], terms: tuple[Term, ...]) -> FloatArray:
    """Return additive, dominance and epistatic value, without the mean, float64, shape (n,).

    Parameters
    ----------
    dosage
        0, 1 or 2, shape (n, n_variants): the whole simulated sample, whose means the terms are centred on.
    causal, terms
        Of the truth.
    """
    x = np.asarray(dosage, dtype=np.float64)
    value = np.zeros(len(x))
    for item in causal:
        additive, deviation = item.effects
        here = x[:, item.position]
        het = (here == 1.0).astype(np.float64)
        value += additive * (here - here.mean()) + deviation * (het - het.mean())
    for term in terms:
        a, b = (x[:, member] - x[:, member].mean() for member in term.members)
        value += term.coefficient * (a * b - (a * b).mean())
    return value


def _effects(
    rng: np.random.Generator, dosage: IntArray, n_causal: int, n_pairs: int, *, dominance: float, epistasis: float
) -> tuple[tuple[Causal, ...], tuple[Term, ...], FloatArray]:
    """Draw effects and scale each part to its share of a genetic variance of 1."""
    segregating = np.flatnonzero(dosage.std(axis=0) > 0)
    at_most(len(segregating), n_causal=n_causal)
    columns = np.sort(rng.choice(segregating, size=n_causal, replace=False))
    partners = rng.permutation(np.array([(i, j) for i in range(n_causal) for j in range(i)]))[:n_pairs]
    raw: dict[str, FloatArray] = {
        "additive": rng.normal(size=n_causal),
        "dominance": rng.normal(size=n_causal),
        "epistasis": rng.normal(size=len(partners)),
    }
    shares = {"additive": 1.0 - dominance - epistasis, "dominance": dominance, "epistasis": epistasis}
    scale = {}
    for part, share in shares.items():
        causal, terms = _described(columns, partners, raw, {part: 1.0})
        spread = float(genetic_value(dosage.astype(np.float64), causal, terms).std())
        scale[part] = np.sqrt(share) / spread if spread > 0 else 0.0
    causal, terms = _described(columns, partners, raw, scale)
    return causal, terms, genetic_value(dosage.astype(np.float64), causal, terms)


def _described(
    columns: IntArray, partners: IntArray, raw: dict[str, FloatArray], scale: dict[str, float]
) -> tuple[tuple[Causal, ...], tuple[Term, ...]]:
    additive = raw["additive"] * scale.get("additive", 0.0)
    deviation = raw["dominance"] * scale.get("dominance", 0.0)
    coefficients = raw["epistasis"] * scale.get("epistasis", 0.0)
    causal = tuple(
        Causal(position=int(column), name="", effects=(float(a), float(d)))
        for column, a, d in zip(columns, additive, deviation, strict=True)
    )
    terms = tuple(
        Term(kind="product", members=(int(columns[i]), int(columns[j])), coefficient=float(c))
        for (i, j), c in zip(partners, coefficients, strict=True)
    )
    return causal, terms


def _families(
    rng: np.random.Generator,
    n: int,
    chromosome: IntArray,
    *,
    n_populations: int,
    family_size: int,
    founders: int,
    block: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Return population (n,), family (n,) and dosage (n, n_variants)."""
    n_variants = len(chromosome)
    family = np.arange(n) // family_size
    population_of_family = rng.integers(0, n_populations, size=family[-1] + 1)
    # a crossover between neighbours: Haldane's map function over the chromosome; free between chromosomes
    per_chromosome = np.bincount(chromosome)[chromosome]
    crossover = 0.5 * (1.0 - np.exp(-2.0 * MORGANS / per_chromosome))
    crossover[np.flatnonzero(np.r_[True, np.diff(chromosome) != 0])] = 0.5
    frequency = rng.uniform(0.1, 0.9, size=n_variants)
    ancestors = (rng.random((ANCESTRAL_HAPLOTYPES, n_variants)) < frequency).astype(np.int64)
    shares = rng.dirichlet(np.ones(ANCESTRAL_HAPLOTYPES), size=-(-n_variants // block))
    haplotypes = np.stack([_founders(rng, ancestors, shares, 2 * founders, block) for _ in range(n_populations)])
    dosage = np.zeros((n, n_variants), dtype=np.int64)
    for number in range(family[-1] + 1):
        children = np.flatnonzero(family == number)
        for parent in rng.choice(founders, size=2, replace=False):
            pair = haplotypes[population_of_family[number], 2 * parent : 2 * parent + 2]
            strand = np.cumsum(rng.random((len(children), n_variants)) < crossover, axis=1) % 2
            dosage[children] += np.where(strand == 0, pair[0], pair[1])
    return population_of_family[family], family, dosage


def _founders(rng: np.random.Generator, ancestors: IntArray, shares: FloatArray, n: int, block: int) -> IntArray:
    """Return n haplotypes of 0 and 1 of one population: in each block one of the ancestors, which makes LD."""
    chosen = np.empty((n, len(shares)), dtype=np.int64)
    for number, share in enumerate(shares):
        # a share of 0 is no parameter of the Dirichlet distribution
        here = rng.dirichlet(np.maximum(share, 1e-3) * (1.0 - FST) / FST)
        chosen[:, number] = rng.choice(ANCESTRAL_HAPLOTYPES, size=n, p=here)
    return np.take_along_axis(ancestors, np.repeat(chosen, block, axis=1)[:, : ancestors.shape[1]], axis=0)


def _variants(rng: np.random.Generator, chromosome: IntArray) -> pd.DataFrame:
    n_variants = len(chromosome)
    starts = np.searchsorted(chromosome, chromosome)
    position = (np.arange(n_variants) - starts + 1) * BASES_BETWEEN_VARIANTS
    letters = np.array(list("ACGT"))
    ref = rng.integers(0, 4, size=n_variants)
    alt = (ref + rng.integers(1, 4, size=n_variants)) % 4
    table: pd.DataFrame = pd.DataFrame(
        {
            "id": [f"chr{c + 1}_{p}" for c, p in zip(chromosome, position, strict=True)],
            "chromosome": [str(c + 1) for c in chromosome],
            "position": position.astype(np.int64),
            "ref": letters[ref],
            "alt": letters[alt],
        }
    )
    return table
