"""The part ``counterpart``: two predictors of one truth agree, of two truths they do not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.explain import explain
from automl_pheno.explain.parts.counterpart import explain_counterpart
from automl_pheno.explain.parts.protocol import Counterpart, NotApplicableError, PartRequest
from automl_pheno.explain.scoring import score_function
from automl_pheno.predictors.gblup import GBLUP
from automl_pheno.predictors.mean import Mean
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.predictors.ridge import Ridge
from automl_pheno.predictors.rkhs import RKHS
from automl_pheno.simulate import simulate_genotypes


def request(
    train: Examples, predictor: Predictor, other: Predictor | None, name: str = "gblup", every: int = 5
) -> PartRequest:
    rows = train.inputs.take(np.arange(0, len(train), every))
    return PartRequest(
        predictor=predictor,
        score=score_function(predictor),
        attribution=explain(predictor, rows, train.inputs, rng=np.random.default_rng(0)),
        training=train,
        ids=np.arange(len(train)).astype(str),
        columns=pd.DataFrame(index=np.arange(len(train)).astype(str)),
        rng=np.random.default_rng(0),
        counterpart=None if other is None else Counterpart(name=name, predictor=other),
    )


def fitted(predictor: Predictor, train: Examples, y: FloatArray | None = None) -> Predictor:
    predictor.fit(train if y is None else replace(train, y=y), rng=np.random.default_rng(0))
    return predictor


@pytest.fixture(scope="module")
def genotypes() -> Examples:
    dataset, _ = simulate_genotypes(n=400, n_variants=200, n_causal=8, n_pairs=2, heritability=0.9, seed=1)
    return Examples(inputs=dataset.inputs, y=dataset.y("trait"), groups=np.arange(400))


@pytest.fixture(scope="module")
def sequences() -> Examples:
    codes = (1 << np.random.default_rng(0).integers(0, 4, (400, 30))).astype(np.uint8)
    y = 2.0 * (codes[:, 4] == 1) + 1.5 * (codes[:, 20] == 8) + 1.0 * (codes[:, 11] == 2)
    return Examples(inputs=Inputs(kind="sequence", values=codes), y=y, groups=np.arange(400))


def test_two_views_of_one_truth_agree(genotypes: Examples) -> None:
    asked = request(genotypes, fitted(GBLUP(), genotypes), fitted(Ridge(), genotypes), "ridge")
    part = explain_counterpart(asked)
    table = part.tables["counterpart"]
    assert list(table) == ["id", "chromosome", "position", "mean_abs", "mean_signed", "winner_mean_abs"]
    assert len(table) == 200
    assert part.facts["method"] == "linear"
    assert part.facts["spearman"] == pytest.approx(
        spearmanr(table["mean_abs"], table["winner_mean_abs"]).statistic, abs=1e-9
    )
    assert part.facts["spearman_of_blocks"] > 0.7
    assert part.notes[0].startswith("GBLUP and ridge agree on which LD blocks matter")
    json.dumps(dict(part.facts), allow_nan=False)


def test_models_of_two_truths_disagree(genotypes: Examples) -> None:
    noise = np.random.default_rng(5).normal(size=400) + 3.0 * genotypes.inputs.values[:, 150]
    other = fitted(GBLUP(), genotypes, noise)
    part = explain_counterpart(request(genotypes, fitted(GBLUP(), genotypes), other))
    assert part.facts["agreement"] < 0.7
    assert "GBLUP and GBLUP agree on" not in part.notes[0]


def test_positions_of_sequences_by_a_kernel_model(sequences: Examples) -> None:
    part = explain_counterpart(
        request(sequences, fitted(GBLUP(), sequences), fitted(RKHS(), sequences), "rkhs", every=25)
    )
    table = part.tables["counterpart"]
    assert list(table) == ["position", "mean_abs", "mean_signed", "winner_mean_abs"]
    assert table["position"].tolist() == list(range(1, 31))
    assert set(table.nlargest(3, "mean_abs")["position"]) == {5, 12, 21}
    assert part.facts["method"] == "permutation"
    assert part.facts["top_share"] == 1.0
    assert "100 % of the most important tenth" in part.notes[0]


def test_a_counterpart_that_uses_nothing_cannot_be_compared(genotypes: Examples) -> None:
    part = explain_counterpart(request(genotypes, fitted(GBLUP(), genotypes), fitted(Mean(), genotypes), "mean"))
    assert part.facts["spearman"] is None
    assert "cannot be compared" in part.notes[0]


def test_without_a_counterpart_there_is_nothing_to_say(genotypes: Examples) -> None:
    with pytest.raises(NotApplicableError, match="other kind"):
        explain_counterpart(request(genotypes, fitted(GBLUP(), genotypes), None))
