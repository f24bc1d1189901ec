"""The cost of honesty in one line, against what is known of the real sets (their READMEs)."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_pheno.api.compare import compare_data
from automl_pheno.data import read_dataset
from automl_pheno.errors import UnknownNameError


@pytest.mark.data
def test_wheat_falls_when_near_identical_lines_are_kept_together(data_folder: Path) -> None:
    """README: GBLUP 0.528 (fold sd 0.09) in random folds, 0.286 (0.30) with whole IBS clusters held out."""
    wheat = data_folder / "bglr_wheat"
    dataset = read_dataset(wheat / "genotypes.csv.gz", trait_table=wheat / "phenotypes.csv.gz")
    groups = ("relatedness:ibs=0.9",)
    compared = compare_data(dataset, "GY_E1", groups=groups, folds=5, test=0.0, baselines=("gblup",))
    row = compared.table.set_index("name").loc["gblup"]
    assert row["random"] == pytest.approx(0.528, abs=0.1)
    assert 0.1 < row["this_split"] < 0.42
    assert row["inflation"] > 0.1
    assert compared.sentences[0].startswith("A random split flatters: gblup")
    assert compared.files == ()


def test_an_unknown_baseline_is_refused_before_anything_is_computed() -> None:
    from automl_pheno.simulate import simulate_genotypes

    dataset, _ = simulate_genotypes(seed=0, n=60, n_variants=100)
    with pytest.raises(UnknownNameError, match="gblub"):
        compare_data(dataset, "trait", groups=("random",), folds=3, test=0.0, baselines=("gblub",))
