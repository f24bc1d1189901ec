"""The three problems on which searches are compared: data, one validation set, folds, space. There is no test set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, drop_missing, read_dataset
from automl_pheno.simulate import SIMULATORS
from automl_pheno.splits import Split

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("AUTOML_PHENO_DATA", REPOSITORY.parent / "shared" / "data"))
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Data with one validation set (``split``) and K folds (``folds``) of the same samples.

    The metric is R2 in phenotype units on the validation rows, which is the mean squared error that every rival
    minimises, so that none of them is judged by something that it does not see.
    """

    name: str
    dataset: Dataset
    trait: str
    split: Split
    folds: Split
    space: Path
    metric: str = "r2"


def _wheat(rows: int | None) -> tuple[Dataset, str, str]:
    folder = DATA / "bglr_wheat"
    dataset = read_dataset(folder / "genotypes.csv.gz", trait_table=folder / "phenotypes.csv.gz")
    return _some(dataset, "GY_E1", rows), "GY_E1", "cnn_genotype"


def _jores(rows: int | None) -> tuple[Dataset, str, str]:
    dataset = read_dataset(DATA / "jores_promoters" / "promoters.csv.gz", sequence_column="sequence")
    return _some(dataset, "leaf_enrichment", rows), "leaf_enrichment", "cnn"


def _mutants(rows: int | None) -> tuple[Dataset, str, str]:
    dataset, _ = SIMULATORS["mutants"](n=rows or 9000, seed=0)
    return dataset, "trait", "cnn_aligned"


PROBLEMS: dict[str, Callable[[int | None], tuple[Dataset, str, str]]] = {
    "wheat": _wheat, "jores": _jores, "mutants": _mutants,
}  # fmt: skip


def load_problem(name: str, rows: int | None = None) -> Problem:
    """Return a problem with at most `rows` samples, a quarter of them for validation.

    Equal sequences (and equal genotypes) lie on one side.
    """
    dataset, trait, space = PROBLEMS[name](rows)
    values = dataset.inputs.values
    _, group = np.unique(values.reshape(len(values), -1), axis=0, return_inverse=True)
    group = group.reshape(-1).astype(np.int64)
    part = np.random.default_rng(0).permutation(int(group.max()) + 1)[group] % (4 * FOLDS)
    return Problem(
        name=name,
        dataset=dataset,
        trait=trait,
        split=Split(
            ids=dataset.ids, group=group, set=np.where(part % 4 == 0, "validation", "train"),
            fold=np.full(len(part), -1),
        ),
        folds=Split(ids=dataset.ids, group=group, set=np.full(len(part), "train"), fold=part % FOLDS),
        space=REPOSITORY / "search_spaces" / f"{space}.yaml",
    )  # fmt: skip


def _some(dataset: Dataset, trait: str, rows: int | None) -> Dataset:
    dataset = drop_missing(dataset, trait)
    if rows is None or rows >= len(dataset):
        return dataset
    return dataset.take(np.sort(np.random.default_rng(0).choice(len(dataset), rows, replace=False)))


def available(names: list[str]) -> list[str]:
    """Return those of the problems whose data are here."""
    return [name for name in names if name == "mutants" or DATA.is_dir()]


def plain(frame: pd.DataFrame) -> str:
    """Return the table as text."""
    return frame.to_string(float_format=lambda value: f"{value:.3f}")
