"""Imputation against scikit-learn and plain definitions."""

import numpy as np
import pytest
from sklearn.impute import KNNImputer, SimpleImputer

from automl_pheno.curation import imputation
from automl_pheno.curation.imputation import Imputation, learn_imputation


def dosages(n, p=30, seed=0, missing=0.1):
    """Without ties between distances, which scikit-learn breaks in no stated order."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.0, 2.0, (n, p)).astype(np.float32)
    values[rng.random((n, p)) < missing] = np.nan
    return values


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("neighbours", [1, 5, 300])
@pytest.mark.parametrize("missing", [0.1, 0.6])
def test_knn_equals_scikit_learn(neighbours, missing):
    train, new = dosages(60, missing=missing), dosages(40, seed=1, missing=missing)
    learnt = learn_imputation("knn", train, neighbours, rng())
    reference = KNNImputer(n_neighbors=neighbours, keep_empty_features=True).fit(train.astype(np.float64))
    for values in (new, train):
        expected = reference.transform(values.astype(np.float64))
        np.testing.assert_allclose(learnt.apply(values), expected, rtol=1e-4, atol=1e-5)


def test_whole_dosages_are_kept_as_bytes_and_ties_go_to_the_first_donor():
    train = np.array([[0, 0, 2], [0, 0, 0], [2, 2, 1]], dtype=np.float32)
    learnt = learn_imputation("knn", train, 1, rng())
    assert learnt.donors.dtype == np.uint8
    np.testing.assert_array_equal(learnt.apply(np.array([[0, 0, np.nan]], dtype=np.float32)), [[0, 0, 2]])


def test_many_whole_dosages_equal_the_definition():
    generator = np.random.default_rng(4)
    train = generator.integers(0, 3, (80, 12)).astype(np.float32)
    train[generator.random(train.shape) < 0.3] = np.nan
    new = train[:20].copy()
    filled = learn_imputation("knn", train, 4, rng()).apply(new)
    for row in range(20):
        shared = ~np.isnan(train) & ~np.isnan(new[row])
        squared = np.where(shared, (train - new[row]) ** 2, 0.0).sum(axis=1) * 12 / np.maximum(shared.sum(axis=1), 1)
        squared[shared.sum(axis=1) == 0] = np.inf
        order = [donor for donor in np.argsort(squared, kind="stable") if np.isfinite(squared[donor])]
        for column in np.flatnonzero(np.isnan(new[row])):
            calls = [train[donor, column] for donor in order if not np.isnan(train[donor, column])][:4]
            assert filled[row, column] == pytest.approx(np.mean(calls))


@pytest.mark.parametrize(("method", "strategy"), [("mean", "mean"), ("mode", "most_frequent")])
def test_mean_and_mode_equal_scikit_learn(method, strategy):
    train, new = np.rint(dosages(60)), np.rint(dosages(40, seed=1))
    reference = SimpleImputer(strategy=strategy).fit(train)
    np.testing.assert_allclose(
        learn_imputation(method, train, 5, rng()).apply(new), reference.transform(new), rtol=1e-6
    )


@pytest.mark.parametrize("method", ["mean", "mode", "knn"])
def test_nothing_known_still_gives_a_number_and_known_calls_stay(method):
    train = dosages(30)
    train[:, 3] = np.nan
    learnt = learn_imputation(method, train, 5, rng())
    new = dosages(10, seed=2)
    new[0] = np.nan
    kept = new.copy()
    filled = learnt.apply(new)
    np.testing.assert_array_equal(new, kept)
    np.testing.assert_array_equal(filled[~np.isnan(new)], new[~np.isnan(new)])
    assert np.isfinite(filled).all()
    assert (filled[np.isnan(new[:, 3]), 3] == 0).all()
    np.testing.assert_allclose(filled[0], learnt.fill)


def test_donors_are_bounded(monkeypatch):
    monkeypatch.setattr(imputation, "MOST_DONORS", 20)
    learnt = learn_imputation("knn", dosages(100), 5, rng())
    assert learnt.donors.shape == (20, 30)
    again = Imputation.restore(learnt.state())
    new = dosages(10, seed=2)
    np.testing.assert_array_equal(again.apply(new), learnt.apply(new))
