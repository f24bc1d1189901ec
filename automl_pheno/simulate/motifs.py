"""Random sequences with planted motifs: orientation, spacing and an interaction decide the trait."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray, Inputs, IntArray, StrArray
from automl_pheno.data.encode import BASES
from automl_pheno.rng import generator
from automl_pheno.simulate.truth import SIMULATORS, Motif, Term, Truth, at_least, at_most, ceiling

SHAPE = "###..##..###"
"""Bases that matter (#) and that do not (.), as in dyads of dimers; windows of a few bases see only parts of it."""
WIDTH = len(SHAPE)
PRESENCE = 0.5
FORWARD = 0.75
"""Share of motifs on the forward strand."""
EFFECTS = {"A": (1.0, 0.3), "B": (-0.8, 1.0), "C": (0.3, 0.0)}
"""Motif -> (effect on the forward strand, share of it left on the reverse strand)."""
INTERACTION = 1.2
REACH = 30
"""A and C interact when both are on the forward strand and at most this many bases lie between them."""


@SIMULATORS.add("motifs")
def simulate_motifs(
    *,
    n: int = 4000,
    length: int = 80,
    conservation: float = 1.0,
    ceiling_r: float = 0.95,
    seed: int = 0,
) -> tuple[Dataset, Truth]:
    """Plant three motifs into random sequences; ``trait = A - 0.8 B + 0.3 C + 1.2 A C + noise``.

    Each motif is present in half of the sequences, at a random place, three quarters of the time on the forward strand,
    and motifs never overlap. A keeps 0.3 of its effect on the reverse strand, B all of it, C none. The interaction asks
    for A and C on the forward strand with at most 30 bases between them. A motif is 12 bp with gaps of free bases, so
    counts of short k-mers see only parts of it. Normal noise is scaled so that the noise-free value correlates with
    the trait by `ceiling_r`.

    Parameters
    ----------
    n
        Sequences.
    length
        bp, 40 or more.
    conservation
        Probability of the consensus base at each motif position that matters; the other three share the rest.
    ceiling_r
        In (0, 1].
    seed
        Of everything drawn, the motifs too.

    Returns
    -------
    Dataset, Truth
        Trait ``trait``; the truth holds PWMs and where each motif was planted in each sequence.
    """
    at_least(2, n=n)
    at_least(len(EFFECTS) * WIDTH + 10, length=length)
    at_least(0.25, conservation=conservation)
    at_least(0.01, ceiling_r=ceiling_r)
    at_most(1.0, conservation=conservation, ceiling_r=ceiling_r)
    rng = generator(seed, "simulate", "motifs")
    motifs = _draw_motifs(rng, conservation)
    bases = rng.integers(0, 4, size=(n, length))
    planted = _plant(rng, bases, motifs)
    terms = (Term(kind="product", members=(0, 2), coefficient=INTERACTION),)
    genetic = genetic_value(planted, motifs, terms)
    noise = rng.normal(size=n)
    noise = noise / noise.std() * genetic.std() * np.sqrt(1.0 / ceiling_r**2 - 1.0)
    phenotype = genetic + noise
    truth = Truth(
        kind="motifs",
        seed=seed,
        parameters={
            "n": n, "length": length, "conservation": conservation, "ceiling_r": ceiling_r, "width": WIDTH,
            "presence": PRESENCE, "reach": REACH,
        },
        ceiling_r2=ceiling(phenotype, genetic),
        genetic=genetic,
        terms=terms,
        motifs=motifs,
        planted=planted,
    )  # fmt: skip
    ids: StrArray = np.array([f"sequence_{i:0{len(str(n - 1))}d}" for i in range(n)])
    index = pd.Index(ids)
    dataset = Dataset(
        name="motifs",
        ids=ids,
        inputs=Inputs(kind="sequence", values=np.left_shift(1, bases).astype(np.uint8)),
        traits=pd.DataFrame({"trait": phenotype}, index=index),
        columns=pd.DataFrame(index=index),
        notes=(
            f"simulated: {n} random sequences of {length} bp with planted motifs "
            + ", ".join(f"{motif.name} {motif.consensus} ({motif.effect:+g})" for motif in motifs)
            + f" and an A-C interaction ({INTERACTION:+g}), seed {seed}",
            f"no predictor can exceed R² = {truth.ceiling_r2:.3f} on these data (noise-free value against the trait)",
        ),
    )
    return dataset, truth


def genetic_value(planted: IntArray, motifs: tuple[Motif, ...], terms: tuple[Term, ...]) -> FloatArray:
    """Return the noise-free value of sequences from where motifs lie in them, float64, shape (n,).

    Parameters
    ----------
    planted
        Start and strand, shape (n, n_motifs, 2), as in ``Truth.planted``.
    motifs, terms
        Of the truth. A product counts when all its motifs are present and neighbours are at most `REACH` apart.
    """
    start, strand = planted[..., 0], planted[..., 1]
    value = np.zeros(len(planted))
    for number, motif in enumerate(motifs):
        share = np.select([strand[:, number] > 0, strand[:, number] < 0], [1.0, motif.reverse_factor], 0.0)
        value += motif.effect * share
    for term in terms:
        first, second = term.members
        gap = np.abs(start[:, first] - start[:, second]) - len(motifs[first].consensus)
        together = (strand[:, first] > 0) & (strand[:, second] > 0) & (gap <= REACH)
        value += term.coefficient * together
    return value


def _draw_motifs(rng: np.random.Generator, conservation: float) -> tuple[Motif, ...]:
    """Draw consensus motifs that differ from one another and from all reverse complements at half their bases."""
    matters = np.array([letter == "#" for letter in SHAPE])
    drawn: list[npt.NDArray[np.int64]] = []
    while len(drawn) < len(EFFECTS):
        candidate = rng.integers(0, 4, size=WIDTH)
        rivals = [m for other in drawn for m in (other, 3 - other[::-1])] + [3 - candidate[::-1]]
        distinct = all((candidate != rival)[matters].sum() > matters.sum() / 2 for rival in rivals)
        if distinct and np.bincount(candidate[matters], minlength=4).max() <= matters.sum() / 2:
            drawn.append(candidate)
    rest = (1.0 - conservation) / 3.0
    return tuple(
        Motif(
            name=name,
            consensus="".join(BASES[base] if here else "N" for base, here in zip(consensus, matters, strict=True)),
            probabilities=tuple(
                tuple((conservation if b == base else rest) if here else 0.25 for b in range(4))
                for base, here in zip(consensus, matters, strict=True)
            ),
            effect=effect,
            reverse_factor=reverse_factor,
        )
        for (name, (effect, reverse_factor)), consensus in zip(EFFECTS.items(), drawn, strict=True)
    )


def _plant(rng: np.random.Generator, bases: IntArray, motifs: tuple[Motif, ...]) -> IntArray:
    """Write motif instances into `bases` and return where: start and strand, shape (n, n_motifs, 2)."""
    n, length = bases.shape
    planted = np.zeros((n, len(motifs), 2), dtype=np.int64)
    # every motif gets a slot, used or not; uniform over all ways to lay slots without overlap
    gaps = np.sort(rng.integers(0, length - len(motifs) * WIDTH + 1, size=(n, len(motifs))), axis=1)
    slots = gaps + np.arange(len(motifs)) * WIDTH
    starts = np.take_along_axis(slots, np.argsort(rng.random((n, len(motifs))), axis=1), axis=1)
    for number, motif in enumerate(motifs):
        cumulative = np.cumsum(np.asarray(motif.probabilities), axis=1)
        instance = (rng.random((n, WIDTH, 1)) > cumulative[None]).sum(axis=2).clip(max=3)
        strand = np.where(rng.random(n) < FORWARD, 1, -1)
        instance = np.where(strand[:, None] > 0, instance, 3 - instance[:, ::-1])
        present = np.flatnonzero(rng.random(n) < PRESENCE)
        columns = starts[present, number][:, None] + np.arange(WIDTH)
        bases[present[:, None], columns] = instance[present]
        planted[:, number, 0] = -1
        planted[present, number, 0] = starts[present, number]
        planted[present, number, 1] = strand[present]
    return planted
