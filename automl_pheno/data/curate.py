"""From what was read to what one trait can be learnt from."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.copies import check_copies
from automl_pheno.data.dataset import Dataset, FloatArray
from automl_pheno.data.written import means_numbers
from automl_pheno.errors import DataError

FEWEST_SAMPLES = 20
"""Fewer samples with a value cannot be split into training, validation and test."""


def choose_trait(dataset: Dataset, trait: str | None) -> str:
    """Return `trait` where the data have it, else the only trait.

    Raises
    ------
    DataError
        No such trait, no trait at all, or several and none named; or none is named, and the only numeric column counts
        the samples, or another holds numbers that are written in another way.
    """
    if trait is not None:
        dataset.y(trait)
        return trait
    names = [str(name) for name in dataset.traits.columns]
    odd = [
        name
        for name in dataset.unusable
        if name in dataset.columns and name not in names and means_numbers(dataset.columns[name].tolist())
    ]
    if not names:
        why = f"column {odd[0]!r} {dataset.unusable[odd[0]]}" if odd else "give a table of traits (--trait-table)"
        msg = f"{dataset.name}: has no numeric trait; {why}"
        raise DataError(msg)
    if len(names) > 1:
        msg = f"{dataset.name}: has {len(names)} numeric columns, say which is the trait: {', '.join(names)} (--trait)"
        raise DataError(msg)
    if odd:
        msg = (
            f"{dataset.name}: the only numeric column is {names[0]!r}, but {odd[0]!r} {dataset.unusable[odd[0]]}; "
            "mend that, or say which is the trait (--trait)"
        )
        raise DataError(msg)
    if _counts(dataset.traits[names[0]].to_numpy(dtype=np.float64)):
        msg = (
            f"{dataset.name}: the only numeric column, {names[0]!r}, counts the {len(dataset):,} samples; say that it "
            f"is the trait (--trait {names[0]}), or give a table of traits (--trait-table)"
        )
        raise DataError(msg)
    return names[0]


def _counts(values: FloatArray) -> bool:
    """Say whether the values are the numbers from 0 or 1 to n, in any order."""
    ordered = np.sort(values)
    if len(values) < FEWEST_SAMPLES:
        return False
    return ordered[0] in (0, 1) and bool(np.array_equal(ordered - ordered[0], np.arange(len(values))))


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
