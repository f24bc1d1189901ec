import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Inputs, encode_sequences
from automl_pheno.errors import SplitError
from automl_pheno.splits import markers
from automl_pheno.splits.markers import choose_markers, genotype_codes
from automl_pheno.splits.thresholds import choose_estimator


def inputs(values, chromosome=None):
    values = np.asarray(values, dtype=np.float32)
    variants = None
    if chromosome is not None:
        variants = pd.DataFrame({"id": [f"v{i}" for i in range(values.shape[1])], "chromosome": chromosome})
    return Inputs(kind="genotype", values=values, variants=variants)


def column(n, alternates, missing=0):
    """Return a variant with so many alternate alleles and missing calls."""
    values = np.zeros(n)
    values[: alternates // 2] = 2
    values[alternates // 2 : alternates // 2 + alternates % 2] = 1
    values[n - missing :] = np.nan
    return values


def test_rare_badly_called_and_constant_variants_are_left_out():
    n = 100
    good = [column(n, 40 + i % 50) for i in range(600)]
    others = [column(n, 9), column(n, 10), column(n, 60, missing=6), column(n, 60, missing=5), column(n, 0)]
    found = choose_markers(inputs(np.stack([*good, *others], axis=1)))
    assert found.columns.tolist() == [*range(600), 601, 603]  # MAF 0.05 and call rate 0.95 are enough
    assert found.facts["monomorphic"] == 1
    assert found.homozygote == 2.0
    assert found.notes == ()
    assert found.rule == "MAF >= 0.05, call rate >= 0.95"


def test_the_major_allele_may_be_either():
    values = np.stack(
        [column(100, 40 + i % 50) for i in range(600)] + [2 - column(100, 9), 2 - column(100, 60)], axis=1
    )
    assert choose_markers(inputs(values)).columns.tolist() == [*range(600), 601]


def test_few_variants_are_relaxed_step_by_step_and_said():
    n = 200
    many_missing = np.stack([column(n, 150, missing=30) for _ in range(40)] + [column(n, 150)], axis=1)
    found = choose_markers(inputs(many_missing))
    assert len(found) == 41
    assert "call rate >= 0.8" in found.notes[0]
    rare = np.stack([column(n, 5) for _ in range(40)], axis=1)
    found = choose_markers(inputs(rare))
    assert len(found) == 40
    assert "MAF >= 0.01" in found.notes[0]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["1", "2", "X", "chrY", "MT", "chr3", "W", "z"], [0, 1, 5]),
        (["I", "II", "III", "X", "chrM"], [0, 1, 2, 3]),  # yeast: X is the tenth
        ([str(i) for i in range(1, 27)], list(range(22))),  # human by PLINK: 23 is X
        ([str(i) for i in range(1, 30)], list(range(29))),  # cattle have 29 autosomes
        (["", "", "X"], [0, 1]),
    ],
)
def test_sex_chromosomes_and_organelles_are_left_out(names, left):
    values = np.random.default_rng(0).binomial(2, 0.5, size=(50, len(names)))
    found = choose_markers(inputs(values, names))
    assert found.columns.tolist() == left
    assert found.facts["not_autosomal"] == len(names) - len(left)
    assert ("autosomal" in found.rule) is (len(left) < len(names))


def test_without_autosomes_the_others_are_taken():
    found = choose_markers(inputs(np.random.default_rng(0).binomial(2, 0.5, size=(50, 6)), ["X"] * 6))
    assert len(found) == 6
    assert "sex chromosome" in found.notes[0]


def test_many_variants_are_thinned_evenly():
    values = np.random.default_rng(0).binomial(2, 0.5, size=(40, 1000))
    found = choose_markers(inputs(values), most=100)
    assert len(found) == 100
    assert found.columns[[0, -1]].tolist() == [0, 999]
    assert set(np.diff(found.columns).tolist()) <= {9, 10, 11, 12}
    assert found.facts["eligible"] == 1000


def test_blocks_do_not_matter(monkeypatch):
    values = np.random.default_rng(0).binomial(2, 0.3, size=(40, 700)).astype(float)
    values[np.random.default_rng(1).random(values.shape) < 0.04] = np.nan
    whole = choose_markers(inputs(values))
    codes = genotype_codes(inputs(values), whole)
    monkeypatch.setattr(markers, "_BLOCK", 700 * 3)
    again = choose_markers(inputs(values))
    np.testing.assert_array_equal(again.columns, whole.columns)
    np.testing.assert_array_equal(genotype_codes(inputs(values), again), codes)
    np.testing.assert_array_equal(codes, np.where(np.isnan(values), 3, values)[:, whole.columns])


def test_presence_and_absence_are_homozygotes():
    data = inputs(np.random.default_rng(0).integers(0, 2, size=(30, 50)))
    found = choose_markers(data)
    assert found.homozygote == 1.0
    assert set(np.unique(genotype_codes(data, found))) == {0, 2}
    assert choose_estimator(data).estimator == "ibs"


def test_fractional_dosages_are_rounded_and_said():
    values = np.random.default_rng(0).binomial(2, 0.5, size=(30, 50)) * 0.98
    found = choose_markers(inputs(values))
    assert any("rounded" in note for note in found.notes)
    assert set(np.unique(genotype_codes(inputs(values), found))) <= {0, 1, 2}


def test_what_has_no_markers_is_refused():
    with pytest.raises(SplitError, match="none of the 3 variants varies among the 4 samples"):
        choose_markers(inputs(np.full((4, 3), 2.0)))
    with pytest.raises(SplitError, match="none of the 3 variants varies"):
        choose_markers(inputs(np.full((4, 3), np.nan)))
    with pytest.raises(SplitError, match="these data are sequences"):
        choose_markers(Inputs(kind="sequence", values=encode_sequences(["ACGT"])[0]))
