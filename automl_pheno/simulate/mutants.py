"""Sequences mutated from one reference, with an epistatic trait."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray, Inputs, IntArray, StrArray, UInt8Array
from automl_pheno.errors import DataError
from automl_pheno.rng import generator
from automl_pheno.simulate.truth import SIMULATORS, Causal, Term, Truth, at_least, at_most, ceiling

MUTATED = 0.10
CAUSAL_SHARE = 0.45
N_CAUSAL = (10, 24)
EFFECT = 4.0
COEFFICIENT = 1.5
NOISE = 2.0
SMALLEST_DENOMINATOR = 0.5
"""A ratio's denominator keeps its sign but never comes nearer to 0 than this, so |ratio| <= 4 / 0.5 = 8."""

_TERMS = (("product", 2), ("product", 2), ("ratio", 2), ("product", 3))


@SIMULATORS.add("mutants")
def simulate_mutants(*, n: int = 9000, length: int = 200, seed: int = 0) -> tuple[Dataset, Truth]:
    """Mutate one random reference and give each sequence a trait.

    The number of substituted positions is uniform on 0 to 10 % of the length; each of them is causal with
    probability 0.45 and takes one of the three other bases. 10 to 24 positions are causal; each base there has an
    effect U(-4, 4). The genetic value is the sum of these effects plus four epistatic terms over different causal
    positions, with coefficients U(-1.5, 1.5): two products of two effects, one ratio, one product of three. The
    denominator of the ratio is bounded away from 0, see `SMALLEST_DENOMINATOR`. Environment noise is U(-2, 2), so
    R² cannot exceed about 0.986 (over seeds 0 to 11: 0.966 to 0.997, median 0.989). What an additive model reaches
    varies much more, since the product of three effects can be most of the variance: ridge regression on one-hot
    sequences had R² 0.13 to 0.91 over the same seeds, median 0.68.

    About 1 in 20 sequences is the unchanged reference, so a split must keep exact duplicates together.

    Parameters
    ----------
    n
        Sequences, at least 2.
    length
        bp, 30 or more.
    seed
        Of everything drawn.

    Returns
    -------
    Dataset, Truth
        The trait is called ``trait``. ``columns`` holds ``mutations``, the number of substituted positions.
    """
    at_least(2, n=n)
    at_least(30, length=length)
    at_most(10_000_000, n=n, length=length)
    rng = generator(seed, "simulate", "mutants")
    reference = rng.integers(0, 4, size=length)
    causal = np.sort(rng.choice(length, size=int(rng.integers(N_CAUSAL[0], N_CAUSAL[1] + 1)), replace=False))
    effects = rng.uniform(-EFFECT, EFFECT, size=(len(causal), 4))
    members = np.split(rng.permutation(causal)[:9], np.cumsum([size for _, size in _TERMS])[:-1])
    terms = tuple(
        Term(kind=kind, members=tuple(map(int, chosen)), coefficient=float(rng.uniform(-COEFFICIENT, COEFFICIENT)))
        for (kind, _), chosen in zip(_TERMS, members, strict=True)
    )
    described = tuple(
        Causal(position=int(position), name=f"position_{position}", effects=tuple(map(float, row)))
        for position, row in zip(causal, effects, strict=True)
    )
    bases, mutations = _mutate(reference, causal, n, rng)
    codes = np.left_shift(1, bases).astype(np.uint8)
    genetic = genetic_value(codes, described, terms)
    phenotype = genetic + rng.uniform(-NOISE, NOISE, size=n)
    truth = Truth(
        kind="mutants",
        seed=seed,
        parameters={"n": n, "length": length, "noise": NOISE, "smallest_denominator": SMALLEST_DENOMINATOR},
        ceiling_r2=ceiling(phenotype, genetic),
        genetic=genetic,
        causal=described,
        terms=terms,
    )
    ids: StrArray = np.array([f"mutant_{i:0{len(str(n - 1))}d}" for i in range(n)])
    index = pd.Index(ids)
    dataset = Dataset(
        name="mutants",
        ids=ids,
        inputs=Inputs(kind="sequence", values=codes),
        traits=pd.DataFrame({"trait": phenotype}, index=index),
        columns=pd.DataFrame({"mutations": mutations}, index=index),
        notes=(
            f"simulated: {n} sequences of {length} bp, mutated from one reference; {len(causal)} causal positions, "
            f"{len(terms)} epistatic terms, seed {seed}",
            f"no predictor can exceed R² = {truth.ceiling_r2:.3f} on these data (noise-free value against the trait)",
        ),
    )
    return dataset, truth


def genetic_value(codes: UInt8Array, causal: tuple[Causal, ...], terms: tuple[Term, ...]) -> FloatArray:
    """Return the noise-free value of sequences under a `mutants` truth, float64, shape (n,).

    Parameters
    ----------
    codes
        Unambiguous bases (codes 1, 2, 4, 8) at the causal positions, shape (n, length).
    causal, terms
        Of the truth.

    Raises
    ------
    DataError
        A causal position holds an ambiguous base or padding.
    """
    at_position: dict[int, FloatArray] = {}
    for item in causal:
        here = codes[:, item.position]
        if not np.isin(here, (1, 2, 4, 8)).all():
            msg = f"position {item.position} holds an ambiguous base or padding; the truth has no effect for it"
            raise DataError(msg)
        at_position[item.position] = np.asarray(item.effects)[np.log2(here).astype(np.int64)]
    value = np.sum(list(at_position.values()), axis=0)
    for term in terms:
        values = [at_position[member] for member in term.members]
        if term.kind == "ratio":
            below = np.where(values[1] < 0, -1.0, 1.0) * np.maximum(np.abs(values[1]), SMALLEST_DENOMINATOR)
            value = value + term.coefficient * values[0] / below
        else:
            value = value + term.coefficient * np.prod(values, axis=0)
    return np.asarray(value, dtype=np.float64)


def _mutate(reference: IntArray, causal: IntArray, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return bases 0 to 3, shape (n, length), and the number of substituted positions of each sequence."""
    length = len(reference)
    mutations = rng.integers(0, int(MUTATED * length) + 1, size=n)
    # more causal hits than causal positions are impossible, nor may the others run out
    hits = np.minimum(rng.binomial(mutations, CAUSAL_SHARE), len(causal))
    hits = np.maximum(hits, mutations - (length - len(causal)))
    is_causal = np.isin(np.arange(length), causal)
    order = rng.random((n, length))
    bases = np.tile(reference, (n, 1))
    for inside, counts in ((is_causal, hits), (~is_causal, mutations - hits)):
        ranks = np.argsort(np.argsort(np.where(inside, order, 2.0), axis=1), axis=1)
        chosen = ranks < counts[:, None]
        bases = np.where(chosen, (bases + rng.integers(1, 4, size=(n, length))) % 4, bases)
    return bases, mutations.astype(np.int64)
