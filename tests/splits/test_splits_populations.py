import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from automl_pheno.data import Dataset, Inputs, encode_sequences, read_dataset
from automl_pheno.errors import SplitError
from automl_pheno.simulate.families import simulate_families
from automl_pheno.simulate.genotypes import simulate_genotypes
from automl_pheno.splits.populations import clusters, populations, regime_groups


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_simulated_populations_are_recovered_and_counted(k, missing):
    data, _ = simulate_genotypes(n=400, n_variants=1500, n_populations=k, family_size=4, missing=missing, seed=k)
    found = populations(data.inputs, None, np.random.default_rng(0))
    assert found.facts["populations"] == k
    assert adjusted_rand_score(data.columns["population"], found.labels) == 1.0
    assert f"{k} populations of" in found.notes[0]
    assert found.labels[0] == 0
    asked = populations(data.inputs, k, np.random.default_rng(1))
    np.testing.assert_array_equal(asked.labels, found.labels)
    assert "as asked" in asked.notes[0]


def test_one_population_is_recognised_also_in_families():
    alone, _ = simulate_families(0, unrelated=200, n_variants=1500, rng=np.random.default_rng(0))
    families, _ = simulate_families(60, n_variants=1500, rng=np.random.default_rng(0))
    for data in (alone, families):
        found = populations(data.inputs, None, np.random.default_rng(0))
        assert not found.labels.any()
        assert "one population" in found.notes[0]
        with pytest.raises(SplitError, match=r"one population.*in clusters:3"):
            clusters(data)
        asked, strata, notes = regime_groups(data, "unrelated", None, np.random.default_rng(0))
        assert (asked, strata) == (("relatedness",), None)
        assert "no populations to balance" in notes[-1]


def test_the_number_asked_for_is_made_and_the_same_again():
    data, _ = simulate_genotypes(n=200, n_variants=800, n_populations=3, seed=1)
    for k in (2, 5, 30):
        found = clusters(data, str(k))
        assert len(np.unique(found.labels)) == k
        np.testing.assert_array_equal(clusters(data, str(k)).labels, found.labels)


def test_the_regimes():
    data, _ = simulate_genotypes(n=300, n_variants=1000, n_populations=3, seed=1)
    asked, strata, notes = regime_groups(data, "unrelated", None, np.random.default_rng(0))
    assert asked == ("relatedness",)
    assert strata is not None
    assert adjusted_rand_score(data.columns["population"], strata) == 1.0
    assert "balanced" in notes[-1]
    assert regime_groups(data, "cross-population", None, np.random.default_rng(0)) == (("clusters",), None, ())
    assert regime_groups(data, "cross-population", 4, np.random.default_rng(0))[0] == ("clusters:4",)
    with pytest.raises(SplitError, match="regime must be"):
        regime_groups(data, "related", None, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("argument", "message"),
    [("three", "takes a number"), ("1", "from 2 to 100"), ("41", "at most the 40 samples"), ("-2", "takes a number")],
)
def test_bad_numbers_are_refused(argument, message):
    data, _ = simulate_genotypes(n=40, n_variants=200, seed=1)
    with pytest.raises(SplitError, match=message):
        clusters(data, argument)


def test_too_few_different_samples_and_sequences_are_refused():
    values = np.repeat(np.array([[0.0, 2, 0, 1], [2, 0, 1, 0]], dtype=np.float32), 10, axis=0)
    with pytest.raises(SplitError, match="differ too little"):
        populations(Inputs(kind="genotype", values=values), 5, np.random.default_rng(0))
    ids = np.array(["a", "b"])
    empty = pd.DataFrame(index=ids)
    inputs = Inputs(kind="sequence", values=encode_sequences(["ACGT", "AAAA"])[0])
    data = Dataset(name="x", ids=ids, inputs=inputs, traits=empty, columns=empty)
    with pytest.raises(SplitError, match="needs genotypes"):
        clusters(data)
    with pytest.raises(SplitError, match="needs genotypes"):
        regime_groups(data, "unrelated", None, np.random.default_rng(0))


@pytest.mark.data
def test_wheat_has_two_populations_and_the_toy_data_one(data_folder):
    wheat = read_dataset(data_folder / "bglr_wheat" / "genotypes.csv.gz").inputs
    assert populations(wheat, None, np.random.default_rng(0)).facts["sizes"] == [345, 254]
    toy = read_dataset(data_folder / "fastlmm_toy" / "toydata.5chrom.bed").inputs
    assert populations(toy, None, np.random.default_rng(0)).facts["populations"] == 1
