"""What each sample is like, without a look at its label: composition, missing calls, principal components."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data import Dataset, FloatArray, Inputs
from automl_pheno.data.encode import PADDING
from automl_pheno.splits.components import learn_components

N_COMPONENTS = 4
_BLOCK_CELLS = 50_000_000

FEATURES = {
    "y": "phenotype",
    "gc": "GC content",
    "length": "length (bp)",
    "ambiguous": "ambiguous bases",
    "missing": "missing calls",
    "heterozygosity": "heterozygosity",
    "pc1": "PC 1",
    "pc2": "PC 2",
    "pc3": "PC 3",
    "pc4": "PC 4",
}
"""Column of the table of samples -> how people call it."""


def describe_samples(dataset: Dataset, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row a sample: ``id`` and what the sample is like.

    Parameters
    ----------
    dataset
        n samples.
    rng
        Of the principal components.

    Returns
    -------
    DataFrame
        Sequences: ``gc`` (share of G and C among unambiguous bases), ``length`` (bp), ``ambiguous`` (share of bases)
        and ``pc1`` ... of the frequencies of canonical 4-mers. Genotypes: ``missing`` (share of calls),
        ``heterozygosity`` (share of calls nearest to
        dosage 1; not of markers that are only 0 and 1) and ``pc1`` ... of the standardised dosages. There are
        4 components, fewer where nothing more varies.
    """
    sequences = dataset.kind == "sequence"
    features = describe_sequences(dataset.inputs) if sequences else describe_genotypes(dataset.inputs)
    components = learn_components(dataset.inputs, "composition" if sequences else "genotype", N_COMPONENTS, rng)
    scores = components.scores(dataset.inputs)
    for number in range(scores.shape[1]):
        features[f"pc{number + 1}"] = scores[:, number]
    table: pd.DataFrame = pd.DataFrame({"id": dataset.ids, **features})
    return table


def describe_sequences(inputs: Inputs) -> dict[str, FloatArray]:
    """Return ``gc``, ``length`` and ``ambiguous`` of sequences, each shape (n,); gc is 0.5 where no base is known."""
    length, known, strong = (np.zeros(len(inputs)) for _ in range(3))
    for rows, codes in _blocks(inputs):
        length[rows] = (codes != PADDING).sum(axis=1)
        strong[rows] = ((codes == 2) | (codes == 4)).sum(axis=1)
        known[rows] = strong[rows] + ((codes == 1) | (codes == 8)).sum(axis=1)
    gc = np.where(known > 0, strong / np.maximum(known, 1), 0.5)
    return {"gc": gc, "length": length, "ambiguous": (length - known) / np.maximum(length, 1)}


def describe_genotypes(inputs: Inputs) -> dict[str, FloatArray]:
    """Return ``missing`` and, where a dosage is above 1, ``heterozygosity`` of genotypes, each shape (n,)."""
    missing, heterozygosity = np.zeros(len(inputs)), np.zeros(len(inputs))
    diploid = False
    for rows, values in _blocks(inputs):
        lost = np.isnan(values)
        missing[rows] = lost.mean(axis=1)
        het = ((values > 0.5) & (values < 1.5)).sum(axis=1)
        heterozygosity[rows] = het / np.maximum((~lost).sum(axis=1), 1)
        diploid |= bool((values > 1.0).any())
    return {"missing": missing, "heterozygosity": heterozygosity} if diploid else {"missing": missing}


def _blocks(inputs: Inputs) -> list[tuple[slice, npt.NDArray[Any]]]:
    step = max(1, _BLOCK_CELLS // max(inputs.width, 1))
    return [(slice(a, a + step), inputs.values[a : a + step]) for a in range(0, len(inputs), step)]
