"""Penalised regression against closed forms, scikit-learn and explicit refits."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import PredictorError
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.gblup import GBLUP
from automl_pheno.predictors.inner_folds import inner_folds
from automl_pheno.predictors.shrinkage import (
    decompose,
    decompose_design,
    dual_weights,
    held_out_errors,
    held_out_errors_of_columns,
    reml_penalty,
    restricted_likelihood,
    ridge_effects,
)


def make(n, p, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.1, 0.9, p), size=(n, p)).astype(np.float32)
    y = 5.0 + dosage @ rng.normal(size=p) / np.sqrt(p) + noise * rng.normal(size=n)
    return Design(columns=dosage, mean=dosage.mean(axis=0, dtype=np.float64)), y


@pytest.mark.parametrize(("n", "p"), [(60, 20), (30, 90)])
def test_ridge_equals_scikit_learn(n, p):
    design, y = make(n, p)
    reference = SklearnRidge(alpha=3.0).fit(design.columns.astype(float), y)
    np.testing.assert_allclose(ridge_effects(design, y, 3.0), reference.coef_, rtol=1e-6, atol=1e-9)
    spectrum = decompose_design(design)
    np.testing.assert_allclose(
        design.transposed_times(dual_weights(spectrum, y, 3.0)), reference.coef_, rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(("n", "p"), [(60, 20), (30, 90)])
def test_held_out_errors_equal_refits(n, p):
    design, y = make(n, p)
    folds = inner_folds(np.arange(n) // 2, 4, np.random.default_rng(0))
    penalties = np.array([0.5, 5.0, 50.0])
    expected = np.zeros(3)
    for number, penalty in enumerate(penalties):
        for fold in folds:
            rest = np.setdiff1d(np.arange(n), fold)
            model = SklearnRidge(alpha=penalty).fit(design.columns[rest].astype(float), y[rest])
            expected[number] += ((y[fold] - model.predict(design.columns[fold].astype(float))) ** 2).sum() / n
    np.testing.assert_allclose(held_out_errors(decompose_design(design), y, folds, penalties), expected, rtol=1e-6)
    np.testing.assert_allclose(held_out_errors_of_columns(design, y, folds, penalties), expected, rtol=1e-6)


def test_restricted_likelihood_equals_its_definition():
    # Patterson & Thompson 1971: the likelihood of n - 1 contrasts that an intercept cannot touch
    design, y = make(25, 10)
    kernel = design.gram_of_rows()
    contrasts = np.linalg.svd(np.ones((1, 25)))[2][1:]
    covariance = contrasts @ (kernel + 2.0 * np.eye(25)) @ contrasts.T
    z = contrasts @ y
    scale = z @ np.linalg.solve(covariance, z) / 24
    expected = -0.5 * (24 * np.log(2 * np.pi * scale) + np.linalg.slogdet(covariance)[1] + 24)
    assert restricted_likelihood(decompose(kernel), y, 2.0) == pytest.approx(expected)
    assert restricted_likelihood(decompose_design(design), y, 2.0) == pytest.approx(expected)


def test_reml_finds_the_variance_ratio_that_made_the_data():
    rng = np.random.default_rng(1)
    design, _ = make(600, 300, seed=1)
    found = []
    for _ in range(5):
        genetic = design.times(rng.normal(size=300) * 0.1)
        penalty, _ = reml_penalty(decompose_design(design), genetic + 0.8 * rng.normal(size=600))
        found.append(penalty)
    assert np.exp(np.mean(np.log(found))) == pytest.approx(64.0, rel=0.2)


def test_reml_is_a_maximum():
    design, y = make(80, 40)
    spectrum = decompose_design(design)
    penalty, height = reml_penalty(spectrum, y)
    assert height == pytest.approx(restricted_likelihood(spectrum, y, penalty))
    for factor in (0.8, 0.95, 1.05, 1.25):
        assert restricted_likelihood(spectrum, y, penalty * factor) < height


def test_gblup_equals_the_mixed_model_equations():
    # VanRaden 2008, method 1, written out with G and its inverse-free BLUP; new samples through their relationships
    design, y = make(70, 200, seed=4)
    inputs = Inputs(kind="genotype", values=design.columns)
    train = Examples(inputs=inputs.take(np.arange(50)), y=y[:50], groups=np.arange(50))
    predictor = GBLUP()
    summary = predictor.fit(train, rng=np.random.default_rng(0))
    m = train.inputs.values.astype(float)
    p = m.mean(axis=0) / 2
    used = (m.std(axis=0) > 0) & (np.minimum(p, 1 - p) >= 0.01)
    z, z_new = (m - 2 * p)[:, used], (design.columns[50:].astype(float) - 2 * p)[:, used]
    scale = 2 * (p * (1 - p))[used].sum()
    ratio = summary.chosen["variance_ratio"]
    weights = np.linalg.solve(z @ z.T / scale + ratio * np.eye(50), y[:50] - y[:50].mean())
    expected = y[:50].mean() + z_new @ z.T / scale @ weights
    np.testing.assert_allclose(predictor.predict(inputs.take(np.arange(50, 70))), expected, rtol=1e-6)


def test_inner_folds_keep_groups_whole_and_even():
    groups = np.repeat(np.arange(30), np.random.default_rng(0).integers(1, 9, 30))
    folds = inner_folds(groups, 5, np.random.default_rng(1))
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(groups)))
    for a in range(5):
        for b in range(a):
            assert not set(groups[folds[a]]) & set(groups[folds[b]])
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 8
    assert len(inner_folds(np.array([1, 1, 2]), 5, np.random.default_rng(0))) == 2
    with pytest.raises(PredictorError, match="2 groups"):
        inner_folds(np.zeros(9, dtype=int), 5, np.random.default_rng(0))
