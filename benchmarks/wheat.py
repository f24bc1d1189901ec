"""Wheat yield in four environments: predictors on the published folds beside Crossa et al. 2010.

    python benchmarks/wheat.py [--quick] [--data FOLDER] [--predictors gblup,rkhs,...]

599 inbred lines, 1279 DArT markers (0/1), 10 published folds (BGLR ``wheat.sets``). A figure is the mean over folds of
Pearson's r in the held-out fold; each predictor chooses its own penalties from the other nine folds alone.
Folds are random: relatives lie in both sides, as in the paper, so these are not figures for new families.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import automl_pheno.predictors as _members  # noqa: F401  # registers them
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.protocol import PREDICTORS, Predictor
from automl_pheno.rng import generator

TRAITS = ("GY_E1", "GY_E2", "GY_E3", "GY_E4")
PUBLISHED = {
    "M-RKHS": (0.601, 0.494, 0.445, 0.524),
    "M-BL": (0.518, 0.493, 0.403, 0.457),
    "BLUP": (0.480, 0.488, 0.355, 0.464),
}
"""Crossa et al. 2010, Genetics 186:713, Table 3: the models that use markers alone, E1 to E4."""
RIVAL = {"gblup": "BLUP", "rkhs": "M-RKHS"}
BASELINES = ("mean", "ridge", "elastic_net", "gblup", "rkhs", "forest", "boosting")


def data_folder() -> Path:
    """Return where the data sets lie: ``AUTOML_PHENO_DATA``, or ``../shared/data`` beside the repository."""
    asked = os.environ.get("AUTOML_PHENO_DATA")
    return Path(asked) if asked else Path(__file__).resolve().parents[2] / "shared" / "data"


def load(folder: Path) -> tuple[Inputs, pd.DataFrame]:
    """Return the markers and the phenotype table (GY_E1 to GY_E4, bglr_set), rows in one order."""
    markers = pd.read_csv(folder / "bglr_wheat" / "genotypes.csv.gz", index_col="line")
    phenotypes = pd.read_csv(folder / "bglr_wheat" / "phenotypes.csv.gz", index_col="line")
    if not markers.index.equals(phenotypes.index):
        msg = "genotypes and phenotypes must list the lines in one order"
        raise ValueError(msg)
    variants = pd.DataFrame({"id": markers.columns, "chromosome": "", "position": -1, "ref": "", "alt": ""})
    return Inputs(kind="genotype", values=markers.to_numpy(np.float32), variants=variants), phenotypes


def evaluate(
    make: Callable[[Examples, np.random.Generator], Predictor],
    examples: Examples,
    fold_of: np.ndarray,
    folds: Sequence[int],
    seed: int = 0,
) -> list[float]:
    """Return Pearson's r in each held-out fold.

    Parameters
    ----------
    make
        ``(training examples, rng) -> fitted predictor``. It never sees the held-out fold, so whatever it selects
        (a penalty, an architecture by nested search) it selects honestly.
    examples
        All lines.
    fold_of
        Published fold of each line, shape (n,).
    folds
        Those to hold out.
    seed
        Of the generator that `make` gets.
    """
    scores = []
    for fold in folds:
        inside = fold_of != fold
        predictor = make(examples.take(inside), generator(seed, "wheat", int(fold)))
        held_out = examples.take(~inside)
        scores.append(METRICS["pearson_r"].function(held_out.y, predictor.predict(held_out.inputs)))
    return scores


def baseline(name: str) -> Callable[[Examples, np.random.Generator], Predictor]:
    """Return a maker for `evaluate` that fits a member of ``PREDICTORS``."""

    def make(train: Examples, rng: np.random.Generator) -> Predictor:
        predictor = PREDICTORS[name]()
        predictor.fit(train, rng=rng)
        return predictor

    return make


def table(makers: dict[str, Callable[..., Predictor]], folder: Path, *, quick: bool) -> pd.DataFrame:
    """Return mean r, rows predictors, columns traits; prints each as it is done."""
    inputs, phenotypes = load(folder)
    fold_of = phenotypes["bglr_set"].to_numpy()
    traits, folds = (TRAITS[:1], (1, 2, 3)) if quick else (TRAITS, tuple(range(1, 11)))
    result = pd.DataFrame(index=list(makers), columns=list(traits), dtype=float)
    for trait in traits:
        examples = Examples(
            inputs=inputs, y=phenotypes[trait].to_numpy(np.float64), groups=np.arange(len(inputs), dtype=np.int64)
        )
        for name, make in makers.items():
            start = time.perf_counter()
            r = evaluate(make, examples, fold_of, folds)
            result.loc[name, trait] = np.mean(r)
            print(
                f"{trait} {name:12} r {np.mean(r):.3f} (sd over {len(folds)} folds {np.std(r, ddof=1):.3f}), "
                f"{time.perf_counter() - start:.1f} s",
                flush=True,
            )
    return result


def main() -> None:
    """Print the table and the headline: the largest distance of GBLUP or RKHS below the published figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one trait, three folds")
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--predictors", default=",".join(BASELINES))
    arguments = parser.parse_args()
    names = arguments.predictors.split(",")
    result = table({name: baseline(name) for name in names}, arguments.data, quick=arguments.quick)
    shown = result.copy()
    for published, figures in PUBLISHED.items():
        shown.loc[f"{published} (Crossa 2010)"] = list(figures[: len(result.columns)])
    print(shown.round(3).to_string())
    ratios = {
        f"{name} {trait}": result.loc[name, trait] / PUBLISHED[RIVAL[name]][i]
        for name in names
        if name in RIVAL
        for i, trait in enumerate(result.columns)
    }
    if ratios:
        mean = float(np.mean(list(ratios.values())))
        print(f"wheat, r over Crossa 2010, mean of {len(ratios)} (GBLUP and RKHS): {mean:.3f}")


if __name__ == "__main__":
    main()
