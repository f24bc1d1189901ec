"""Attributions of refits beside each other: members of an average, refits, bootstrap samples."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from scipy.stats import spearmanr

from automl_pheno.curation import CurationConfig
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain import explain
from automl_pheno.explain.parts.interactions import find_interactions
from automl_pheno.explain.parts.protocol import NotApplicableError, PartRequest
from automl_pheno.explain.parts.stability import measure_stability
from automl_pheno.explain.registry import ExplainError
from automl_pheno.explain.scoring import score_function
from automl_pheno.explain.stability import Stability, members_of, refit, stability
from automl_pheno.networks import average
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.forest import Forest
from automl_pheno.predictors.gblup import GBLUP
from automl_pheno.predictors.mean import Mean
from automl_pheno.predictors.protocol import FitSummary

LENGTH = 12


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def genotypes(n: int = 80, p: int = 15) -> Examples:
    values = rng(1).integers(0, 3, (n, p)).astype(np.float32)
    variants = pd.DataFrame({
        "id": [f"m{i}" for i in range(p)], "chromosome": "1", "position": np.arange(p), "ref": "A", "alt": "C",
    })  # fmt: skip
    y = values[:, 2] * 2.0 - values[:, 9] + rng(2).normal(0, 0.2, n)
    return Examples(inputs=Inputs(kind="genotype", values=values, variants=variants), y=y, groups=np.arange(n))


def sequences(n: int = 30) -> Examples:
    values = (1 << rng(3).integers(0, 4, (n, LENGTH))).astype(np.uint8)
    return Examples(inputs=Inputs(kind="sequence", values=values), y=rng(4).normal(size=n), groups=np.arange(n))


class Network:
    kind = "network"

    def __init__(self, model: keras.Model) -> None:
        self.model, self.y_mean, self.y_sd = model, 5.0, 3.0

    def encode(self, inputs: Inputs) -> np.ndarray:
        return one_hot(inputs.values)

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.model(self.encode(inputs)))[:, 0].astype(np.float64) * self.y_sd + self.y_mean


def linear(weights: np.ndarray) -> keras.Model:
    inputs = keras.Input((LENGTH, 4))
    out = layers.Dense(1)
    model = keras.Model(inputs, out(layers.Flatten()(inputs)))
    out.set_weights([weights.reshape(-1, 1).astype(np.float32), np.zeros(1, dtype=np.float32)])
    return model


def request(predictor: Any, training: Examples, **options: Any) -> PartRequest:
    attribution = explain(predictor, training.inputs, training.inputs, rng=rng(), max_samples=20, n_references=4)
    return PartRequest(
        predictor=predictor, score=score_function(predictor), attribution=attribution, training=training,
        ids=np.arange(len(training)).astype(str), columns=pd.DataFrame(index=range(len(training))), rng=rng(),
        **options,
    )  # fmt: skip


def test_members_of_an_average_are_explained_without_training() -> None:
    weights = [rng(seed).normal(size=(LENGTH, 4)) for seed in (5, 6, 7)]
    predictor = Network(average([linear(w) for w in weights]))
    training = sequences()
    members = members_of(predictor)
    assert len(members) == 3
    mean = np.mean([member.predict(training.inputs) for member in members], axis=0)
    np.testing.assert_allclose(mean, predictor.predict(training.inputs), atol=1e-5)
    part = measure_stability(request(predictor, training))
    table = part.tables["stability"]
    assert table.columns.tolist() == ["position", "mean", "sd", "relative_sd", "mean_rank"]
    assert table["position"].tolist() == list(range(1, LENGTH + 1))
    assert part.facts["source"] == "members"
    assert part.facts["refits"] == 3
    importances = part.arrays["stability"]["importances"]
    np.testing.assert_allclose(table["sd"], importances.std(axis=0, ddof=1))
    expected = [spearmanr(importances[i], importances[j])[0] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert part.facts["spearman_mean"] == pytest.approx(np.mean(expected))
    assert part.facts["spearman_min"] == pytest.approx(min(expected))


class Ready(Network):
    """A network of genotypes that is fitted already, for a curation around it."""

    def fit(self, train: Examples, validation: Any = None, *, rng: Any, report: Any = None) -> FitSummary:
        return FitSummary(weights=0, seconds=0.0)

    def encode(self, inputs: Inputs) -> np.ndarray:
        return inputs.values[:, :, None].astype(np.float32)


def test_members_keep_the_curation_around_them() -> None:
    training = genotypes()
    training.inputs.values[:, [0, 4]] = 1.0
    kept = 13

    def member(seed: int) -> keras.Model:
        inputs = keras.Input((kept, 1))
        out = layers.Dense(1)
        model = keras.Model(inputs, out(layers.Flatten()(inputs)))
        out.set_weights([rng(seed).normal(size=(kept, 1)).astype(np.float32), np.zeros(1, dtype=np.float32)])
        return model

    predictor = CuratedPredictor(Ready(average([member(1), member(2)])), CurationConfig(drop_monomorphic=True))
    predictor.fit(training, rng=rng())
    mean = np.mean([single.predict(training.inputs) for single in members_of(predictor)], axis=0)
    np.testing.assert_allclose(mean, predictor.predict(training.inputs), atol=1e-5)
    table = measure_stability(request(predictor, training)).tables["stability"]
    assert len(table) == 15
    assert (table["mean"][[0, 4]] == 0).all()
    assert (table["mean"].drop([0, 4]) > 0).all()
    part = find_interactions(request(predictor, training))
    assert part.facts["places"] == kept
    np.testing.assert_allclose(part.tables["interactions"]["abs_interaction"], 0.0, atol=1e-4)


def test_like_members_agree_wholly() -> None:
    weights = rng(5).normal(size=(LENGTH, 4))
    part = measure_stability(request(Network(average([linear(weights), linear(weights)])), sequences()))
    facts = part.facts
    assert facts["spearman_min"] == pytest.approx(1.0)
    assert facts["contributions_correlation"] == pytest.approx(1.0)
    assert facts["top_share"] == 1.0
    np.testing.assert_allclose(part.tables["stability"]["sd"], 0.0, atol=1e-6)


def test_a_single_network_needs_its_configuration() -> None:
    predictor = Network(linear(rng().normal(size=(LENGTH, 4))))
    assert members_of(predictor) == []
    with pytest.raises(NotApplicableError, match="configuration is not known"):
        measure_stability(request(predictor, sequences()))
    with pytest.raises(NotApplicableError, match="1 refits were asked for"):
        measure_stability(request(predictor, sequences(), fresh=lambda: predictor, refits=1))


def test_what_has_no_randomness_is_fitted_to_other_samples() -> None:
    training = genotypes()
    predictor = GBLUP()
    predictor.fit(training, rng=rng())
    part = measure_stability(request(predictor, training, fresh=GBLUP, refits=3))
    assert part.facts["source"] == "bootstrap"
    assert "drawn with replacement" in part.facts["what"]
    table = part.tables["stability"].set_index("id")
    assert table["mean_rank"].idxmin() == "m2"
    assert (table["sd"] > 0).all()
    assert part.facts["top_share"] >= 0.5


def test_what_is_random_is_refitted_to_the_same_samples() -> None:
    training = genotypes()
    predictor = Forest()
    predictor.fit(training, rng=rng())
    fits, source = refit(predictor, Forest, training, training.inputs, refits=2, rng=rng(1))
    assert source == "refits"
    assert len(fits) == 2
    assert not np.allclose(fits[0].predict(training.inputs), fits[1].predict(training.inputs))


def test_the_mean_has_nothing_to_compare() -> None:
    training = genotypes()
    predictor = Mean()
    predictor.fit(training, rng=rng())
    with pytest.raises(NotApplicableError, match="mean"):
        measure_stability(request(predictor, training, fresh=Mean))


def test_numbers_of_a_small_example() -> None:
    found = Stability(
        importances=np.array([[3.0, 2.0, 1.0, 0.0], [3.0, 1.0, 2.0, 0.0]]),
        names=["a", "b", "c", "d"],
        kind="genotype",
        correlation=np.array([0.9]),
    )
    assert found.spearman.tolist() == pytest.approx([0.8])
    assert found.top_share == 1.0
    assert found.table["mean_rank"].tolist() == [1.0, 2.5, 2.5, 4.0]
    assert found.table["relative_sd"].tolist()[:2] == pytest.approx([0.0, np.sqrt(0.5) / 1.5])
    assert np.isnan(found.table["relative_sd"].iloc[3])
    predictor, training = GBLUP(), genotypes()
    predictor.fit(training, rng=rng())
    asked = request(predictor, training)
    with pytest.raises(ExplainError, match="two fits"):
        stability([predictor], asked.attribution, training.inputs, seed=0, rows=np.arange(3))
