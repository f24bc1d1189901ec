"""What a split costs: the same baseline under random folds and under folds that keep relatives or near copies apart.

Real data of ../shared/data (or AUTOML_PHENO_DATA); sets that are missing are left out. Ten folds, no test set, several
seeds of the folds; r is the mean over seeds of the mean over folds, sd that over seeds. Mouse traits are adjusted for
sex by the means of all rows, as the published comparison of the data's README did.

    python benchmarks/honesty.py [--quick] [--only mice,wheat,maize,jores] [--seeds 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

import numpy as np

from automl_pheno.data import Dataset, drop_missing, read_dataset
from automl_pheno.evaluation import cross_validate
from automl_pheno.predictors import make_predictor
from automl_pheno.splits import SplitConfig, draw_split

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("AUTOML_PHENO_DATA", REPOSITORY.parent / "shared" / "data"))
RANDOM: dict[str, Any] = {"groups": ("random",)}
# Figures of the READMEs beside the data, for the eye: (trait, split) -> r of GBLUP.
PUBLISHED = {
    ("EndNormalBW", "random"): 0.465, ("EndNormalBW", "family"): 0.334, ("EndNormalBW", "cage"): 0.413,
    ("BodyLength", "random"): 0.358, ("BodyLength", "family"): 0.141, ("BodyLength", "cage"): 0.294,
    ("BMI", "random"): 0.270, ("BMI", "family"): 0.178, ("BMI", "cage"): 0.231,
    ("GY_E1", "random"): 0.528, ("GY_E2", "random"): 0.507, ("GY_E3", "random"): 0.396, ("GY_E4", "random"): 0.446,
    ("GY_E1", "IBS >= 0.7"): 0.286, ("GY_E2", "IBS >= 0.7"): 0.407, ("GY_E3", "IBS >= 0.7"): 0.165,
    ("GY_E4", "IBS >= 0.7"): 0.153,
}  # fmt: skip


def mice() -> Iterator[tuple[Dataset, str, str, dict[str, dict[str, Any]]]]:
    """Heterogeneous-stock mice: families, cages, and kinship."""
    data = read_dataset(DATA / "bglr_mice" / "mice.bed", trait_table=DATA / "bglr_mice" / "phenotypes.csv.gz")
    splits = {
        "random": RANDOM,
        "cage": {"groups": ("column:cage",)},
        "family": {"groups": ("column:full_sib_family",)},
        "family + kinship": {"groups": ("column:full_sib_family", "relatedness:king=0.177"), "most_purged": 0.6},
    }
    sex = data.columns["GENDER"].astype(str).to_numpy()
    for trait in ("EndNormalBW", "BodyLength", "BMI"):
        name = next(column for column in data.traits.columns if str(column).split(".")[-1] == trait)
        whole = drop_missing(data, str(name))
        y, of = whole.y(str(name)), sex[np.isin(data.ids, whole.ids)]
        adjusted = y - np.array([y[of == one].mean() for one in of])
        yield replace(whole, traits=whole.traits.assign(**{str(name): adjusted})), str(name), "gblup", splits


def wheat() -> Iterator[tuple[Dataset, str, str, dict[str, dict[str, Any]]]]:
    """CIMMYT wheat: inbred lines by IBS."""
    data = read_dataset(DATA / "bglr_wheat" / "genotypes.csv.gz", trait_table=DATA / "bglr_wheat" / "phenotypes.csv.gz")
    splits = {
        "random": RANDOM,
        "IBS >= 0.95": {"groups": ("relatedness:ibs=0.95",), "most_purged": 0.9},
        "IBS >= 0.8": {"groups": ("relatedness:ibs=0.8",), "most_purged": 0.9},
        "IBS >= 0.7": {"groups": ("relatedness:ibs=0.7",), "most_purged": 0.95},
    }
    for trait in ("GY_E1", "GY_E2", "GY_E3", "GY_E4"):
        yield data, trait, "gblup", splits


def maize() -> Iterator[tuple[Dataset, str, str, dict[str, dict[str, Any]]]]:
    """Maize inbred lines from VCF by IBS."""
    data = read_dataset(DATA / "maize_mdp" / "maize_mdp.vcf.gz", trait_table=DATA / "maize_mdp" / "phenotypes.csv")
    splits = {
        "random": RANDOM,
        "IBS >= 0.95": {"groups": ("relatedness:ibs=0.95",)},
        "IBS >= 0.8": {"groups": ("relatedness:ibs=0.8",), "most_purged": 0.9},
    }
    for trait in ("EarHT", "dpoll", "EarDia"):
        yield drop_missing(data, trait), trait, "gblup", splits


def jores() -> Iterator[tuple[Dataset, str, str, dict[str, dict[str, Any]]]]:
    """Plant promoters: similarity and overlap."""
    data = read_dataset(DATA / "jores_promoters" / "promoters.csv.gz")
    splits = {"random": RANDOM, "similar apart": {"groups": ("similarity", "overlap")}}
    for trait in ("leaf_enrichment", "proto_enrichment"):
        yield drop_missing(data, trait), trait, "ridge", splits


SETS = {"mice": mice, "wheat": wheat, "maize": maize, "jores": jores}


def measure(dataset: Dataset, trait: str, predictor: str, split: dict[str, Any], seeds: int) -> dict[str, float]:
    """Return mean and sd over seeds of the mean r over folds, and the mean share of training rows purged."""
    values, purged = [], []
    for seed in range(seeds):
        config = SplitConfig(method="kfold", folds=10, test=0.0, seed=seed, **split)
        drawn = draw_split(dataset, trait, config)
        result = cross_validate(
            lambda: make_predictor({"name": predictor}, "pearson_r"),
            dataset,
            dataset.y(trait),
            drawn.split,
            metric="pearson_r",
            seed=seed,
        )
        values.append(result.mean("pearson_r"))
        purged.append(float(drawn.purged["share_of_training"]))
    return {
        "r": statistics.fmean(values),
        "sd": statistics.stdev(values) if seeds > 1 else float("nan"),
        "purged": statistics.fmean(purged),
    }


def main() -> None:
    """Print one line a trait and split, and the mean loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed; wheat alone")
    parser.add_argument("--only", default="mice,wheat,maize,jores")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    names = ["wheat"] if options.quick else options.only.split(",")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'trait':18} {'split':18} {'r':>7} {'sd':>6} {'lost':>6} {'purged':>7} {'README':>7}")
    losses = []
    for name in names:
        if not any((DATA / folder).exists() for folder in DATA.glob(f"*{name}*")):
            print(f"{name}: no data")
            continue
        for dataset, trait, predictor, splits in SETS[name]():
            base = float("nan")
            for split, fields in splits.items():
                try:
                    found = measure(dataset, trait, predictor, fields, 1 if options.quick else options.seeds)
                except Exception as error:  # noqa: BLE001 - a split that cannot be made is a result, too
                    print(f"{trait:18} {split:18} {type(error).__name__}: {str(error)[:90]}")
                    continue
                base = found["r"] if split == "random" else base
                lost = base - found["r"]
                if split != "random":
                    losses.append(lost)
                known = PUBLISHED.get((trait.split(".")[-1], split))
                print(
                    f"{trait:18} {split:18} {found['r']:7.3f} {found['sd']:6.3f} {lost:6.3f} {found['purged']:7.1%} "
                    f"{'' if known is None else f'{known:7.3f}'}",
                    flush=True,
                )
    print(f"mean_inflation_of_random_folds: {statistics.fmean(losses):.3f}")


if __name__ == "__main__":
    main()
