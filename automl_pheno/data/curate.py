"""From what was read to what one trait can be learnt from."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.copies import check_copies
from automl_pheno.data.dataset import Dataset
from automl_pheno.errors import DataError

FEWEST_SAMPLES = 20
"""Fewer samples with a value cannot be split into training, validation and test."""


def choose_trait(dataset: Dataset, trait: str | None) -> str:
    """Return `trait` where the data have it, else the only trait.

    Raises
    ------
    DataError
        No such trait, no trait at all, or several and none named.
    """
    if trait is not None:
        dataset.y(trait)
        return trait
    names = [str(name) for name in dataset.traits.columns]
    if not names:
        msg = f"{dataset.name}: has no numeric trait; give a table of traits"
        raise DataError(msg)
    if len(names) > 1:
        msg = f"{dataset.name}: has {len(names)} numeric columns, say which is the trait: {', '.join(names)}"
        raise DataError(msg)
    return names[0]


def drop_missing(dataset: Dataset, trait: str) -> Dataset:
    """Return the samples that have a value of `trait`; the number left out and variants that are the trait are noted.

    Raises
    ------
    DataError
        Fewer than 20 samples have a value, or all values are the same; a column of the genotypes is the trait.
    """
    y = dataset.y(trait)
    if np.isinf(y).any():
        msg = f"{dataset.name}: trait {trait!r} must be finite, sample {str(dataset.ids[np.isinf(y)][0])!r} is not"
        raise DataError(msg)
    known = ~np.isnan(y)
    n = int(known.sum())
    if n < FEWEST_SAMPLES:
        msg = f"{dataset.name}: trait {trait!r} has {n} values; at least {FEWEST_SAMPLES} are needed"
        raise DataError(msg)
    if np.ptp(y[known]) == 0:
        msg = f"{dataset.name}: trait {trait!r} is {y[known][0]:g} in all {n:,} samples; there is nothing to predict"
        raise DataError(msg)
    lost = len(dataset) - n
    if lost:
        note = f"{lost:,} of {len(dataset):,} samples have no {trait} and are left out"
        dataset = dataset.take(known).with_notes(note)
    notes = check_copies(dataset, trait)
    return dataset.with_notes(*notes) if notes else dataset
