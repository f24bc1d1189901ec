"""What single baselines do beyond the contract."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import reverse_complement
from automl_pheno.predictors import rkhs
from automl_pheno.predictors.elastic_net import ElasticNet
from automl_pheno.predictors.encoding import count_kmers, count_kmers_of_both_strands, learn
from automl_pheno.predictors.ridge import Ridge
from automl_pheno.predictors.rkhs import RKHS
from automl_pheno.predictors.screening import strongest


def codes(*sequences):
    bits = {"A": 1, "C": 2, "G": 4, "T": 8, "N": 15, "-": 0}
    return np.array([[bits[base] for base in sequence] for sequence in sequences], dtype=np.uint8)


def random_codes(n, length, seed=0):
    return np.left_shift(1, np.random.default_rng(seed).integers(0, 4, (n, length))).astype(np.uint8)


def test_kmers_equal_a_plain_count():
    text = ["ACGTNACGTT-", "GGGGGGGGGGG"]
    counts = count_kmers(codes(*text), 3)
    for row, sequence in zip(counts, text, strict=True):
        for number, kmer in enumerate(itertools.product("ACGT", repeat=3)):
            found = sum(sequence[i : i + 3] == "".join(kmer) for i in range(9))
            assert row[number] == found


def test_kmers_of_both_strands_do_not_know_the_strand():
    sequences = random_codes(20, 60)
    counts = count_kmers_of_both_strands(sequences, 4)
    assert counts.shape == (20, (4**4 + 4**2) // 2)
    np.testing.assert_array_equal(counts, count_kmers_of_both_strands(reverse_complement(sequences), 4))
    assert (counts.sum(axis=1) == 57).all()


def test_encoding_learns_from_training_only():
    values = np.array([[0, 1, np.nan, 2], [0, 2, np.nan, 2], [0, np.nan, np.nan, 1]], dtype=np.float32)
    encoding, columns = learn(Inputs(kind="genotype", values=values), "dosage")
    assert encoding.keep.tolist() == [1, 3]
    np.testing.assert_allclose(encoding.mean, [1.5, 5 / 3])
    np.testing.assert_allclose(columns, [[1, 2], [2, 2], [1.5, 1]])
    assert not np.isnan(values[0, 1])


def test_rare_variants_are_left_out():
    values = np.zeros((300, 2), dtype=np.float32)
    values[:4, 0], values[:100, 1] = 1.0, 1.0
    encoding, _ = learn(Inputs(kind="genotype", values=values), "dosage")
    assert encoding.keep.tolist() == [1]


def test_ridge_counts_kmers_where_positions_do_not_matter():
    rng = np.random.default_rng(0)
    sequences = random_codes(400, 60, seed=1)
    present = rng.random(400) < 0.5
    for row in np.flatnonzero(present):
        start = rng.integers(0, 50)
        sequences[row, start : start + 7] = codes("GATTACA")[0]
    y = present + 0.1 * rng.normal(size=400)
    predictor = Ridge()
    summary = predictor.fit(
        Examples(inputs=Inputs(kind="sequence", values=sequences), y=y, groups=np.arange(400)), rng=rng
    )
    assert summary.chosen["features"] == "kmers_5"
    assert predictor.linear_effects() is None


@pytest.mark.parametrize("p", [40, 3000])
def test_elastic_net_finds_a_sparse_truth(p):
    rng = np.random.default_rng(0)
    dosage = rng.binomial(2, 0.4, size=(300, p)).astype(np.float32)
    causal = rng.choice(p, 4, replace=False)
    y = dosage[:, causal].sum(axis=1) + 0.3 * rng.normal(size=300)
    predictor = ElasticNet()
    summary = predictor.fit(
        Examples(inputs=Inputs(kind="genotype", values=dosage), y=y, groups=np.arange(300)), rng=rng
    )
    effects = predictor.linear_effects()
    assert set(np.argsort(-np.abs(effects))[:4]) == set(causal)
    np.testing.assert_allclose(effects[causal], 1.0, atol=0.15)
    assert summary.chosen["screened"] == min(p, 2000)
    assert summary.weights == np.count_nonzero(effects) + 1


def test_strongest_are_the_most_correlated():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(50, 30)).astype(np.float32)
    columns[:, 7] = 2.0
    y = rng.normal(size=50)
    varying = [i for i in range(30) if i != 7]
    order = sorted(varying, key=lambda i: -abs(np.corrcoef(columns[:, i], y)[0, 1]))
    assert strongest(columns, y, 5).tolist() == sorted(order[:5])


def smooth(n, seed=0):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.5, size=(n, 8)).astype(np.float32)
    x = dosage - 1.0
    return Examples(
        inputs=Inputs(kind="genotype", values=dosage),
        y=x[:, 0] * x[:, 1] + x[:, 2] + 0.2 * rng.normal(size=n),
        groups=np.arange(n),
    )


def test_rkhs_equals_kernel_regression_written_out():
    train = smooth(120)
    predictor = RKHS()
    summary = predictor.fit(train, rng=np.random.default_rng(0))
    x = train.inputs.values.astype(float)
    squared = cdist(x, x, "sqeuclidean")
    above = squared[np.triu_indices(120, 1)]
    scale = summary.chosen["bandwidth"] / np.median(above[above > 0])
    system = np.exp(-scale * squared) + summary.chosen["variance_ratio"] * np.eye(120)
    ones = np.ones(120)
    mean = ones @ np.linalg.solve(system, train.y) / (ones @ np.linalg.solve(system, ones))
    weights = np.linalg.solve(system, train.y - mean)
    new = smooth(30, seed=9).inputs
    expected = mean + np.exp(-scale * cdist(new.values, x, "sqeuclidean")) @ weights
    np.testing.assert_allclose(predictor.predict(new), expected, rtol=1e-6)


def test_landmarks_come_close_to_the_full_kernel(monkeypatch):
    train, test = smooth(600), smooth(200, seed=9)
    full = RKHS()
    full.fit(train, rng=np.random.default_rng(0))
    monkeypatch.setattr(rkhs, "MOST_DENSE", 500)
    monkeypatch.setattr(rkhs, "LANDMARKS", 400)
    few = RKHS()
    summary = few.fit(train, rng=np.random.default_rng(0))
    assert summary.chosen["landmarks"] == 400
    assert np.corrcoef(full.predict(test.inputs), few.predict(test.inputs))[0, 1] > 0.98


def test_rkhs_sees_an_interaction_that_gblup_cannot():
    from automl_pheno.predictors.gblup import GBLUP

    train, test = smooth(300), smooth(200, seed=9)
    scores = []
    for predictor in (RKHS(), GBLUP()):
        predictor.fit(train, rng=np.random.default_rng(0))
        scores.append(np.corrcoef(test.y, predictor.predict(test.inputs))[0, 1])
    assert scores[0] > scores[1] + 0.1
