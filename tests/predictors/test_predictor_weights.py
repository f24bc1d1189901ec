"""Weights of samples against scikit-learn, explicit refits and the mixed-model equations."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Ridge as SklearnRidge

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.predictors import rkhs
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.elastic_net import ElasticNet
from automl_pheno.predictors.gblup import GBLUP
from automl_pheno.predictors.inner_folds import inner_folds
from automl_pheno.predictors.mean import Mean
from automl_pheno.predictors.ridge import Ridge
from automl_pheno.predictors.rkhs import RKHS
from automl_pheno.predictors.shrinkage import (
    decompose_design,
    held_out_errors,
    held_out_errors_of_columns,
    restricted_likelihood,
    ridge_effects,
)


def make(n, p, seed=0):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.1, 0.9, p), size=(n, p)).astype(np.float32)
    y = 5.0 + dosage @ rng.normal(size=p) / np.sqrt(p) + rng.normal(size=n)
    weights = rng.uniform(0.2, 3.0, n)
    return dosage, y, weights / weights.mean()


def design_of(dosage, weights):
    return Design.of_training(dosage, dosage.mean(axis=0, dtype=np.float64), weights)


def examples(dosage, y, weights):
    return Examples(inputs=Inputs(kind="genotype", values=dosage), y=y, groups=np.arange(len(y)), weights=weights)


@pytest.mark.parametrize(("n", "p"), [(60, 20), (30, 90)])
def test_ridge_equals_scikit_learn(n, p):
    dosage, y, weights = make(n, p)
    reference = SklearnRidge(alpha=3.0).fit(dosage.astype(float), y, sample_weight=weights)
    np.testing.assert_allclose(ridge_effects(design_of(dosage, weights), y, 3.0), reference.coef_, rtol=1e-6, atol=1e-9)
    fitted = Ridge()
    summary = fitted.fit(examples(dosage, y, weights), rng=np.random.default_rng(0))
    same = SklearnRidge(alpha=summary.chosen["penalty"]).fit(dosage.astype(float), y, sample_weight=weights)
    np.testing.assert_allclose(
        fitted.predict(Inputs(kind="genotype", values=dosage)), same.predict(dosage.astype(float)), rtol=1e-6
    )


@pytest.mark.parametrize(("n", "p"), [(60, 20), (30, 90)])
def test_held_out_errors_equal_weighted_refits(n, p):
    dosage, y, weights = make(n, p)
    design = design_of(dosage, weights)
    folds = inner_folds(np.arange(n) // 2, 4, np.random.default_rng(0))
    penalties = np.array([0.5, 5.0, 50.0])
    expected = np.zeros(3)
    for number, penalty in enumerate(penalties):
        for fold in folds:
            rest = np.setdiff1d(np.arange(n), fold)
            model = SklearnRidge(alpha=penalty).fit(dosage[rest].astype(float), y[rest], sample_weight=weights[rest])
            errors = (y[fold] - model.predict(dosage[fold].astype(float))) ** 2
            expected[number] += weights[fold] @ errors / n
    np.testing.assert_allclose(held_out_errors(decompose_design(design), y, folds, penalties), expected, rtol=1e-6)
    np.testing.assert_allclose(held_out_errors_of_columns(design, y, folds, penalties), expected, rtol=1e-6)


@pytest.mark.parametrize("p", [10, 60])
def test_restricted_likelihood_is_that_of_unequal_noise_up_to_a_constant(p):
    # Patterson & Thompson 1971, with noise variances 1 / weights: differences between penalties must agree
    dosage, y, weights = make(25, p)
    centred = dosage - dosage.mean(axis=0)
    kernel = (centred @ centred.T).astype(np.float64)
    contrasts = np.linalg.svd(np.ones((1, 25)))[2][1:]
    z = contrasts @ y

    def definition(penalty):
        covariance = contrasts @ (kernel + penalty * np.diag(1 / weights)) @ contrasts.T
        scale = z @ np.linalg.solve(covariance, z) / 24
        return -0.5 * (24 * np.log(2 * np.pi * scale) + np.linalg.slogdet(covariance)[1] + 24)

    penalties = [0.3, 2.0, 30.0]
    truth = np.array([definition(penalty) for penalty in penalties])
    spectrum = decompose_design(design_of(dosage, weights))
    found = np.array([restricted_likelihood(spectrum, y, penalty) for penalty in penalties])
    np.testing.assert_allclose(np.diff(found), np.diff(truth), rtol=1e-5)


def test_weights_do_not_pass_for_precision_in_the_variance_ratio():
    dosage, y, _ = make(200, 50, seed=6)
    weights = np.where(np.abs(y - y.mean()) > y.std(), 4.0, 1.0)  # made from the trait
    for predictor in (GBLUP, RKHS):
        plain = predictor().fit(examples(dosage, y, None), rng=np.random.default_rng(0)).chosen
        heavy = predictor().fit(examples(dosage, y, weights / weights.mean()), rng=np.random.default_rng(0)).chosen
        assert heavy["variance_ratio"] == pytest.approx(plain["variance_ratio"])


def test_gblup_equals_the_mixed_model_equations_with_unequal_noise():
    dosage, y, weights = make(70, 200, seed=4)
    train = examples(dosage[:50], y[:50], weights[:50] / weights[:50].mean())
    predictor = GBLUP()
    summary = predictor.fit(train, rng=np.random.default_rng(0))
    m = train.inputs.values.astype(float)
    p = m.mean(axis=0) / 2
    used = (m.std(axis=0) > 0) & (np.minimum(p, 1 - p) >= 0.01)
    z, z_new = (m - 2 * p)[:, used], (dosage[50:].astype(float) - 2 * p)[:, used]
    scale = 2 * (p * (1 - p))[used].sum()
    system = z @ z.T / scale + summary.chosen["variance_ratio"] * np.diag(1 / train.weights)
    ones = np.ones(50)
    mean = ones @ np.linalg.solve(system, train.y) / (ones @ np.linalg.solve(system, ones))
    expected = mean + z_new @ z.T / scale @ np.linalg.solve(system, train.y - mean)
    np.testing.assert_allclose(predictor.predict(Inputs(kind="genotype", values=dosage[50:])), expected, rtol=1e-6)


@pytest.mark.parametrize("landmarks", ["all", "some"])
def test_rkhs_equals_kernel_regression_with_unequal_noise(landmarks, monkeypatch):
    dosage, y, weights = make(120, 8, seed=2)
    train = examples(dosage, y, weights)
    if landmarks == "some":  # all of them as landmarks must come to the same
        monkeypatch.setattr(rkhs, "MOST_DENSE", 50)
        monkeypatch.setattr(rkhs, "LANDMARKS", 119)
    predictor = RKHS()
    summary = predictor.fit(train, rng=np.random.default_rng(0))
    x = dosage.astype(float)
    squared = cdist(x, x, "sqeuclidean")
    above = squared[np.triu_indices(120, 1)]
    scale = summary.chosen["bandwidth"] / np.median(above[above > 0])
    system = np.exp(-scale * squared) + summary.chosen["variance_ratio"] * np.diag(1 / weights)
    ones = np.ones(120)
    mean = ones @ np.linalg.solve(system, y) / (ones @ np.linalg.solve(system, ones))
    new = make(30, 8, seed=9)[0]
    kernel = np.exp(-scale * cdist(new.astype(float), x, "sqeuclidean"))
    expected = mean + kernel @ np.linalg.solve(system, y - mean)
    close = 1e-6 if landmarks == "all" else 0.02
    np.testing.assert_allclose(predictor.predict(Inputs(kind="genotype", values=new)), expected, rtol=close)


def test_elastic_net_equals_scikit_learn():
    dosage, y, weights = make(150, 12, seed=3)
    predictor = ElasticNet()
    chosen = predictor.fit(examples(dosage, y, weights), rng=np.random.default_rng(0)).chosen
    sd = y.std()  # the penalty is that of y in units of its sd
    reference = SklearnElasticNet(alpha=chosen["alpha"] / sd, l1_ratio=chosen["l1_ratio"], tol=1e-8, max_iter=10_000)
    reference.fit(dosage.astype(float), y / sd, sample_weight=weights)
    np.testing.assert_allclose(predictor.linear_effects(), reference.coef_ * sd, atol=2e-3)
    np.testing.assert_allclose(
        predictor.predict(Inputs(kind="genotype", values=dosage)),
        reference.predict(dosage.astype(float)) * sd,
        atol=5e-3,
    )


def test_the_mean_is_weighted():
    predictor = Mean()
    predictor.fit(examples(*make(5, 3)[:2], np.array([4.0, 1, 1, 1, 1])), rng=np.random.default_rng(0))
    y = make(5, 3)[1]
    assert predictor.predict(Inputs(kind="genotype", values=np.zeros((1, 3), np.float32)))[0] == pytest.approx(
        (4 * y[0] + y[1:].sum()) / 8
    )
