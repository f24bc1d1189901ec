"""A predictor behind a curation: what it is given, what it gives back, and what is kept of it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from automl_pheno.api.run import load
from automl_pheno.curation import CurationConfig
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import CurationError, InfeasibleError, PredictorError
from automl_pheno.explain import explain
from automl_pheno.metrics import METRICS
from automl_pheno.predictors import load_predictor, make_predictor, read_variants, save_predictor
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.predictors.protocol import FitSummary
from automl_pheno.predictors.ridge import Ridge

P = 30
NETWORK = {
    "input": "genotype",
    "coding": "dominance",
    "trunk": [{"block": "conv", "filters": 4, "kernel_size": 3}, {"block": "flatten"}],
    "fit": {"max_epochs": 6, "batch_size": 32, "learning_rate": 0.01},
}


def genotypes(n=150, seed=0):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.4, size=(n, P)).astype(np.float32)
    dosage[:, 4] = dosage[:, 3]
    dosage[:, 8] = 1.0
    y = np.exp(0.6 * dosage[:, 3] - 0.5 * dosage[:, 12] + 0.2 * rng.normal(size=n))
    dosage[rng.random(dosage.shape) < 0.03] = np.nan
    dosage[:, 4] = dosage[:, 3]
    variants = pd.DataFrame(
        {"id": [f"v{i}" for i in range(P)], "chromosome": "1", "position": range(P), "ref": "A", "alt": "C"}
    )
    return Examples(inputs=Inputs(kind="genotype", values=dosage, variants=variants), y=y, groups=np.arange(n) // 2)


def rng():
    return np.random.default_rng(3)


class Recorder:
    """Keeps what it was given; predicts its first input."""

    kind = "recorder"

    def __init__(self, *, copies_are_weights=False):
        self.copies_are_weights = copies_are_weights

    def fit(self, train, validation=None, *, rng, report=None):
        self.train, self.validation = train, validation
        return FitSummary(weights=1, seconds=0.0, chosen={"inner": 1})

    def predict(self, inputs):
        return inputs.values[:, 0].astype(np.float64)


FIELDS = {"drop_monomorphic": True, "drop_duplicate_variants": True, "impute": "knn", "trait": "rank_normal"}


def test_the_inner_predictor_sees_only_what_was_curated():
    train, held_out = genotypes(), genotypes(50, seed=1)
    inner = Recorder()
    predictor = CuratedPredictor(inner, CurationConfig(**FIELDS, weights="label_density"))
    summary = predictor.fit(train, held_out, rng=rng())
    assert predictor.kind == "recorder"
    assert inner.train.inputs.variants["id"].tolist() == [f"v{i}" for i in range(P) if i not in (4, 8)]
    assert not np.isnan(inner.train.inputs.values).any()
    assert abs(inner.train.y.mean()) < 1e-9
    assert inner.train.weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(predictor.curation.untrait(inner.validation.y), held_out.y)
    assert inner.validation.inputs.width == P - 2
    assert inner.validation.weights is None
    assert summary.chosen == {
        "inner": 1,
        "variants_kept": P - 2,
        "dropped_by_drop_monomorphic": 1,
        "dropped_by_drop_duplicate_variants": 1,
        "imputed_by": "knn",
        "trait": "rank_normal",
        "heaviest_weight": summary.chosen["heaviest_weight"],
    }
    scores = predictor.curation.inputs(held_out.inputs).values[:, 0]
    np.testing.assert_allclose(predictor.predict(held_out.inputs), predictor.curation.untrait(scores))


def test_copies_become_weights_where_copies_would_pass_for_heritability():
    train = genotypes()
    config = CurationConfig(resample="both")
    plain, weighted = Recorder(), Recorder(copies_are_weights=True)
    for inner in (plain, weighted):
        CuratedPredictor(inner, config).fit(train, rng=rng())
    rows, copies = np.unique(plain.train.y, return_counts=True)
    order = np.argsort(weighted.train.y)
    np.testing.assert_array_equal(weighted.train.y[order], rows)
    np.testing.assert_allclose(weighted.train.weights[order], copies / copies.mean())
    assert copies.max() > 1


def test_inner_folds_are_not_fooled_by_copies():
    train = replace(genotypes(), y=np.random.default_rng(0).exponential(size=150))  # nothing to learn
    predictor = CuratedPredictor(Ridge(), CurationConfig(resample="over"))
    summary = predictor.fit(train, rng=rng())
    assert summary.chosen["training_rows"] > 1.2 * summary.chosen["training_samples_used"] == 1.2 * 150
    test = genotypes(100, seed=7)
    assert np.ptp(predictor.predict(test.inputs)) < 0.5 * train.y.std()


def test_scores_of_epochs_are_in_phenotype_units():
    train, held_out = genotypes(), genotypes(60, seed=1)
    seen = []

    def report(epoch, values):
        seen.append(values["val_rmse"])
        return False

    candidate = {"name": "network", "config": NETWORK, "curation": {"trait": "rank_normal"}}
    predictor = make_predictor(candidate, metric="rmse")
    summary = predictor.fit(train, held_out, rng=rng(), report=report)
    rmse = METRICS["rmse"].function(held_out.y, summary.validated)
    assert seen[summary.best_epoch - 1] == min(seen) == pytest.approx(rmse, rel=1e-4)
    assert summary.curve[summary.best_epoch - 1]["val_loss"] < 2.0  # of the normal scores, in their sd


def test_a_candidate_round_trips_and_the_default_makes_no_wrapper(tmp_path):
    default = CurationConfig().model_dump(mode="json")
    assert isinstance(make_predictor({"name": "ridge", "curation": default}), Ridge)
    assert isinstance(make_predictor({"name": "ridge", "curation": None}), Ridge)
    assert isinstance(make_predictor({"name": "network", "config": NETWORK, "curation": {}}), NetworkPredictor)
    with pytest.raises(CurationError, match=r"curation\.min_maf: must be <= 0\.5, got 2"):
        make_predictor({"name": "ridge", "curation": {"min_maf": 2}})
    train, test = genotypes(), genotypes(40, seed=2)
    for name in ("network", "gblup", "forest"):
        folder = tmp_path / name
        folder.mkdir()
        candidate = {"name": name, "config": NETWORK, "curation": CurationConfig(**FIELDS).model_dump(mode="json")}
        predictor = make_predictor(candidate, epochs=3, members=2)
        predictor.fit(train, rng=rng())
        save_predictor(predictor, folder, train.inputs, trait="height")
        loaded = load_predictor(folder)
        assert isinstance(loaded, CuratedPredictor)
        assert (loaded.kind, loaded.config) == (name, CurationConfig(**FIELDS))
        np.testing.assert_allclose(loaded.predict(test.inputs), predictor.predict(test.inputs), rtol=1e-4)
        assert read_variants(folder)["id"].tolist() == [f"v{i}" for i in range(P)]
        header = json.loads((folder / "predictor.json").read_text())
        assert (header["kind"], header["width"], header["curated"]) == (name, P, True)
    best = load(tmp_path / "network")
    shuffled = np.random.default_rng(0).permutation(P)
    given = Inputs(
        kind="genotype",
        values=test.inputs.values[:, shuffled],
        variants=test.inputs.variants.iloc[shuffled].reset_index(drop=True),
    )
    np.testing.assert_allclose(best.predict(given), best.predictor.predict(test.inputs))
    assert best.model.input.shape[1:] == (P - 2, 2)
    (tmp_path / "forest" / "curated.json").unlink()
    with pytest.raises(PredictorError, match="no readable curated predictor"):
        load_predictor(tmp_path / "forest")


def test_a_network_too_wide_for_what_is_kept_says_why():
    wide = {**NETWORK, "trunk": [{"block": "conv", "kernel_size": P - 1}, {"block": "flatten"}]}
    predictor = make_predictor({"name": "network", "config": wide, "curation": {"drop_monomorphic": True}}, epochs=1)
    predictor.fit(genotypes(), rng=rng())
    predictor = make_predictor({"name": "network", "config": wide, "curation": FIELDS}, epochs=1)
    with pytest.raises(InfeasibleError, match=r"kernel_size 29 .*\(curation keeps 28 of 30 variants\)"):
        predictor.fit(genotypes(), rng=rng())


@pytest.mark.parametrize("name", ["network", "ridge", "mean", "forest"])
@pytest.mark.parametrize("trait", ["none", "rank_normal"])
def test_explanations_stand_at_all_variants(name, trait):
    train, test = genotypes(), genotypes(12, seed=2)
    fields = {**FIELDS, "trait": trait}
    predictor = make_predictor({"name": name, "config": NETWORK, "curation": fields}, epochs=8)
    predictor.fit(train, rng=rng())
    found = explain(predictor, test.inputs, train.inputs, rng=rng(), n_references=5)
    assert found.values.shape == (len(found), P)
    assert (found.values[:, [4, 8]] == 0).all()
    assert found.inputs is not None
    assert found.inputs.width == len(found.feature_names()) == P
    assert np.abs(found.completeness).max() < 1e-3 * max(np.ptp(found.predictions), 1.0)
    curation = predictor.curation
    np.testing.assert_allclose(curation.untrait(found.predictions), predictor.predict(found.inputs), rtol=1e-5)
    assert found.manifest["units"] == ("phenotype" if trait == "none" else "normal score")
    assert found.manifest["curation"]["variants_kept"] == P - 2
    if name != "mean":
        assert np.abs(found.values).mean(axis=0).argmax() in (3, 12)


@pytest.mark.parametrize("coding", ["dominance", "one_hot"])
@pytest.mark.parametrize("method", ["deeplift", "expected_gradients", "permutation"])
def test_channels_of_a_variant_are_one_contribution(coding, method):
    train, test = genotypes(), genotypes(5, seed=2)
    predictor = make_predictor({"name": "network", "config": {**NETWORK, "coding": coding}}, epochs=8)
    predictor.fit(train, rng=rng())
    found = explain(predictor, test.inputs, train.inputs, rng=rng(), n_references=5, method=method)
    assert found.values.shape == (len(found), P)
    close = {"deeplift": 1e-4, "expected_gradients": 0.05, "permutation": 1e-4}[method]
    assert np.abs(found.completeness).max() < close * np.ptp(predictor.predict(train.inputs))
    assert found.manifest["units"] == "phenotype"
