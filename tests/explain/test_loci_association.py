"""Association against closed forms: ordinary and generalised least squares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.explain import ExplainError
from automl_pheno.explain.loci.association import associate
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.shrinkage import decompose_design, reml_penalty
from automl_pheno.simulate import simulate_genotypes


def examples(values: np.ndarray, y: np.ndarray) -> Examples:
    return Examples(
        inputs=Inputs(kind="genotype", values=values.astype(np.float32)), y=y, groups=np.arange(len(y), dtype=np.int64)
    )


def unrelated(n: int = 300, p: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.binomial(2, 0.4, (n, p)).astype(float), rng.normal(size=n)


def test_without_genetic_variance_it_is_the_regression_of_scipy() -> None:
    values, y = unrelated()
    y = y - np.linalg.lstsq(values - values.mean(0), y - y.mean(), rcond=None)[0] @ (values - values.mean(0)).T
    y = y + 0.001 * values[:, 3]  # next to nothing is explained, so the likelihood is highest without relatives
    found = associate(examples(values, y), rng=np.random.default_rng(0))
    for column in (0, 3, 17):
        wanted = stats.linregress(values[:, column], y)
        assert found.beta[column] == pytest.approx(wanted.slope, rel=1e-2, abs=1e-4)
        assert found.se[column] == pytest.approx(wanted.stderr, rel=1e-2)
        assert found.p[column] == pytest.approx(wanted.pvalue, abs=5e-3)


def test_the_mixed_model_is_generalised_least_squares() -> None:
    dataset, _ = simulate_genotypes(n=150, n_variants=200, missing=0.05, seed=3)
    values, y = dataset.inputs.values, dataset.y("trait")
    found = associate(examples(values, y), rng=np.random.default_rng(0))
    mean = np.nanmean(values, axis=0)
    filled = np.where(np.isnan(values), mean, values).astype(float)
    design = Design(columns=filled.astype(np.float32), mean=mean.astype(np.float64))
    penalty, _ = reml_penalty(decompose_design(design), y)
    centred = filled - mean
    inverse = np.linalg.inv(centred @ centred.T + penalty * np.eye(150))
    for column in (0, 55, 199):
        x = np.column_stack([np.ones(150), filled[:, column]])
        information = x.T @ inverse @ x
        beta = np.linalg.solve(information, x.T @ inverse @ y)
        rest = y - x @ beta
        scale = rest @ inverse @ rest / 148
        se = np.sqrt(scale * np.linalg.inv(information)[1, 1])
        assert found.beta[column] == pytest.approx(beta[1], rel=1e-4)
        assert found.se[column] == pytest.approx(se, rel=1e-4)
        p = 2 * stats.t.sf(abs(beta[1] / se), 148)
        assert found.p[column] == pytest.approx(p, rel=1e-3)
        assert found.minus_log10_p[column] == pytest.approx(-np.log10(p), rel=1e-3)


def test_p_values_hold_among_relatives_where_plain_regression_does_not() -> None:
    dataset, _ = simulate_genotypes(n=500, n_variants=1500, n_causal=400, n_pairs=0, epistasis=0.0, seed=1)
    found = associate(examples(dataset.inputs.values, dataset.y("trait")), rng=np.random.default_rng(0))
    assert found.inflation_unadjusted > 1.5
    assert 0.6 < found.inflation < 1.2
    assert 0.2 < found.heritability < 0.9
    assert (found.p < 1e-3).mean() < 5e-3


def test_a_planted_effect_is_found_with_its_size() -> None:
    values, y = unrelated(n=1000)
    found = associate(examples(values, y + 0.8 * values[:, 7]), rng=np.random.default_rng(0))
    assert int(np.argmax(found.minus_log10_p)) == 7
    assert found.beta[7] == pytest.approx(0.8, abs=4 * found.se[7])
    assert found.maf[7] == pytest.approx(min(values[:, 7].mean() / 2, 1 - values[:, 7].mean() / 2))


def test_constant_variants_and_traits_say_nothing() -> None:
    values, y = unrelated(p=5)
    values[:, 2] = 1.0
    values[:, 4] = np.nan
    found = associate(examples(values, y), rng=np.random.default_rng(0))
    assert np.isnan(found.beta[[2, 4]]).all()
    assert np.isnan(found.p[[2, 4]]).all()
    assert np.isfinite(found.p[[0, 1, 3]]).all()
    flat = associate(examples(values, np.ones(len(y))), rng=np.random.default_rng(0))
    assert np.isnan(flat.p).all()
    assert flat.model == "linear regression"


def test_many_samples_of_many_variants_are_drawn_from() -> None:
    values, y = unrelated(n=200, p=150)
    assert associate(examples(values, y), rng=np.random.default_rng(0), most=100).samples == 100
    assert associate(examples(values, y), rng=np.random.default_rng(0), most=160).samples == 200


def test_too_few_samples_are_refused() -> None:
    values, y = unrelated(n=2)
    with pytest.raises(ExplainError, match="at least 3"):
        associate(examples(values, y), rng=np.random.default_rng(0))
