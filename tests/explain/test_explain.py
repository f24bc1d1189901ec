"""Explanations of hand-made predictors whose true contributions are known."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.errors import UnknownNameError
from automl_pheno.explain import (
    EXPLAINERS,
    ExplainError,
    UnsupportedLayerError,
    explain,
    importance,
    recovery,
)

LENGTH, MOTIF = 40, "TGACTCA"
CODES = {"A": 1, "C": 2, "G": 4, "T": 8, "N": 15}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def random_sequences(n: int, seed: int, length: int = LENGTH) -> Inputs:
    return Inputs(kind="sequence", values=(1 << rng(seed).integers(0, 4, (n, length))).astype(np.uint8))


def planted_sequences(n: int, seed: int) -> tuple[Inputs, np.ndarray]:
    """Return sequences of which each carries MOTIF at a random place, and where."""
    values = random_sequences(n, seed).values.copy()
    mask = np.zeros(values.shape, dtype=bool)
    for row, start in enumerate(rng(seed + 1).integers(0, LENGTH - len(MOTIF) + 1, n)):
        values[row, start : start + len(MOTIF)] = [CODES[base] for base in MOTIF]
        mask[row, start : start + len(MOTIF)] = True
    return Inputs(kind="sequence", values=values), mask


def genotypes(n: int, p: int, seed: int) -> Inputs:
    values = rng(seed).integers(0, 3, (n, p)).astype(np.float32)
    variants = pd.DataFrame({
        "id": [f"m{i}" for i in range(p)], "chromosome": np.where(np.arange(p) % 2, "10", "2"),
        "position": np.arange(p)[::-1] * 100, "ref": "A", "alt": "C",
    })  # fmt: skip
    return Inputs(kind="genotype", values=values, variants=variants)


class Network:
    """A network predictor with given weights, no training."""

    kind = "network"

    def __init__(self, model: keras.Model, y_mean: float = 0.0, y_sd: float = 1.0) -> None:
        self.model, self.y_mean, self.y_sd = model, y_mean, y_sd

    def encode(self, inputs: Inputs) -> np.ndarray:
        if inputs.kind == "sequence":
            return one_hot(inputs.values)
        return (np.nan_to_num(inputs.values, nan=1.0) - 1.0)[:, :, None].astype(np.float32)

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.model(self.encode(inputs)))[:, 0].astype(np.float64) * self.y_sd + self.y_mean


def motif_network(end: layers.Layer | None = None) -> Network:
    """One filter is MOTIF; relu leaves what matches at least 5 of its 7 bases; then the highest or the sum."""
    inputs = keras.Input((LENGTH, 4))
    conv = layers.Conv1D(1, len(MOTIF), activation="relu")
    z = (end or layers.GlobalMaxPooling1D())(conv(inputs))
    out = layers.Dense(1)
    model = keras.Model(inputs, out(layers.Flatten()(z)))
    kernel = np.zeros((len(MOTIF), 4, 1), dtype=np.float32)
    for position, base in enumerate(MOTIF):
        kernel[position, "ACGT".index(base), 0] = 1.0
    conv.set_weights([kernel, np.array([-4.0], dtype=np.float32)])
    out.set_weights([np.full(out.kernel.shape, 1.0, np.float32), np.zeros(1, np.float32)])
    return Network(model, y_mean=10.0, y_sd=2.0)


class Formula:
    """Any function of the values."""

    kind = "formula"

    def __init__(self, function: object) -> None:
        self.function = function

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.function(inputs.values.astype(np.float64)), dtype=np.float64)  # type: ignore[operator]


class Linear(Formula):
    kind = "linear"

    def __init__(self, effects: np.ndarray | None, function: object) -> None:
        super().__init__(function)
        self.effects = effects

    def linear_effects(self) -> np.ndarray | None:
        return self.effects


def test_deeplift_finds_the_planted_motif_in_phenotype_units() -> None:
    inputs, mask = planted_sequences(40, 0)
    predictor = motif_network()
    found = explain(predictor, inputs, random_sequences(50, 9), rng=rng())
    assert found.method == "deeplift"
    assert found.manifest["references"] == "shuffles"
    np.testing.assert_allclose(found.predictions, 10.0 + 2.0 * 3.0)
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-5)
    scores = recovery(found, mask)
    assert scores["auroc"] >= 0.98
    assert scores["aupr"] >= 0.90
    assert scores["base_rate"] == pytest.approx(len(MOTIF) / LENGTH)
    # values stand at the base that is there, and nowhere else
    assert (found.values[one_hot(inputs.values) == 0] == 0).all()
    assert found.hypothetical is not None
    np.testing.assert_allclose(found.hypothetical * one_hot(inputs.values), found.values, atol=1e-6)


def test_expected_gradients_finds_the_motif_and_reports_its_error() -> None:
    inputs, mask = planted_sequences(10, 0)
    found = explain(
        motif_network(layers.GlobalAveragePooling1D()), inputs, inputs, method="expected_gradients", rng=rng()
    )
    assert recovery(found, mask)["auroc"] >= 0.95
    error = found.manifest["completeness_error"]
    assert error["max"] == pytest.approx(np.abs(found.completeness).max())
    assert 0 < error["max"] <= 0.05 * (found.predictions - found.base_value).max()


def test_a_layer_without_a_rule_falls_back_and_says_so() -> None:
    inputs = keras.Input((LENGTH, 4))
    z = layers.GRU(3, name="shares")(inputs)
    predictor = Network(keras.Model(inputs, layers.Dense(1)(z)))
    sequences = random_sequences(4, 0)
    found = explain(predictor, sequences, sequences, rng=rng(), n_references=3)
    assert found.method == "expected_gradients"
    assert "'shares' (GRU)" in found.manifest["fallback_from"][0]
    with pytest.raises(UnsupportedLayerError, match="shares"):
        explain(predictor, sequences, sequences, method="deeplift", rng=rng())


def test_genotype_networks_are_explained_against_training_individuals() -> None:
    inputs, background = genotypes(6, 12, 0), genotypes(30, 12, 1)
    values = inputs.values.copy()
    values[0, 3] = np.nan
    inputs = Inputs(kind="genotype", values=values, variants=inputs.variants)
    x = keras.Input((12, 1))
    dense = layers.Dense(1)
    predictor = Network(keras.Model(x, dense(layers.Flatten()(x))), y_sd=3.0)
    found = explain(predictor, inputs, background, rng=rng(), n_references=30)
    assert found.manifest["references"] == "training"
    effects = np.asarray(dense.kernel)[:, 0] * 3.0
    expected = effects * (predictor.encode(inputs)[:, :, 0] - (background.values.mean(axis=0) - 1.0))
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-5)


def test_linear_shap_is_exact_for_bases_and_dosages() -> None:
    effects = rng(3).normal(size=(LENGTH, 4))
    predictor = Linear(effects, lambda codes: (one_hot(codes.astype(np.uint8)) * effects).sum(axis=(1, 2)) + 7.0)
    inputs, background = random_sequences(5, 0), random_sequences(20, 1)
    found = explain(predictor, inputs, background, rng=rng())
    assert found.method == "linear"
    expected = ((one_hot(inputs.values) - one_hot(background.values).mean(axis=0)) * effects).sum(axis=2)
    np.testing.assert_allclose(found.contributions, expected, atol=1e-6)
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-5)
    slopes = rng(4).normal(size=9)
    for missing in (False, True):
        dosages = genotypes(4, 9, 2)
        training = genotypes(25, 9, 3)
        if missing:
            dosages.values[1, 2] = np.nan
        mean = training.values.mean(axis=0)
        dosage_predictor = Linear(slopes, lambda d, m=mean: np.where(np.isnan(d), m, d) @ slopes)
        found = explain(dosage_predictor, dosages, training, rng=rng())
        filled = np.where(np.isnan(dosages.values), mean, dosages.values)
        np.testing.assert_allclose(found.values, slopes * (filled - mean), atol=1e-5)
        np.testing.assert_allclose(found.completeness, 0.0, atol=1e-4)


def shapley(function: object, x: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return Shapley values by the definition: all coalitions."""
    p = len(x)

    def value(coalition: tuple[int, ...]) -> float:
        mixed = background.copy()
        mixed[:, list(coalition)] = x[list(coalition)]
        return float(np.mean(function(mixed)))  # type: ignore[operator]

    phi = np.zeros(p)
    for i in range(p):
        others = [j for j in range(p) if j != i]
        for size in range(p):
            weight = math.factorial(size) * math.factorial(p - size - 1) / math.factorial(p)
            for coalition in itertools.combinations(others, size):
                phi[i] += weight * (value((*coalition, i)) - value(coalition))
    return phi


def test_permutation_equals_shapley_values_by_their_definition() -> None:
    # pairwise interactions only: one antithetic pair is then exact for a sample and one background sample
    def function(d: np.ndarray) -> np.ndarray:
        return d[:, 0] - 2 * d[:, 1] + 1.5 * d[:, 2] * d[:, 3] + d[:, 0] * d[:, 4]

    inputs, background = genotypes(3, 6, 0), genotypes(8, 6, 1)
    found = explain(Formula(function), inputs, background, rng=rng())
    assert found.method == "permutation"
    assert found.manifest["references_per_sample"] == 8
    for row in range(3):
        expected = shapley(function, inputs.values[row], background.values)
        np.testing.assert_allclose(found.values[row], expected, atol=1e-6)
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-9)
    assert (found.values[:, 5] == 0).all()


@pytest.mark.parametrize("mapped", [True, False])
def test_many_variants_become_groups_and_additive_effects_survive(mapped: bool) -> None:
    p = 700
    effects = rng(1).normal(size=p)
    inputs, background = genotypes(4, p, 0), genotypes(20, p, 1)
    if not mapped:
        table = background.variants.assign(position=-1)  # type: ignore[union-attr]
        background = Inputs(kind="genotype", values=background.values, variants=table)
    found = explain(Formula(lambda d: d @ effects), inputs, background, rng=rng())
    assert found.manifest["n_players"] <= 302
    assert ("neighbouring" if mapped else "r^2") in found.manifest["players"]
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-6)
    expected = effects * (inputs.values - background.values.mean(axis=0))
    assert np.corrcoef(found.values.ravel(), expected.ravel())[0, 1] > 0.85  # 8 of 20 background samples are drawn


def test_a_slow_predictor_is_explained_on_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_pheno.explain.methods.permutation.EVALUATIONS", 3000)
    inputs = random_sequences(60, 0)
    found = explain(Formula(lambda codes: codes[:, 0]), inputs, inputs, rng=rng())
    assert len(found) < 60
    assert found.manifest["samples_left_out_to_end_in_time"] == 60 - len(found)
    assert found.manifest["references_per_sample"] == 2
    np.testing.assert_array_equal(found.inputs.values, inputs.values[found.rows])
    np.testing.assert_allclose(found.contributions[:, 1:], 0.0)


def test_the_mean_contributes_nothing() -> None:
    class Mean(Formula):
        kind = "mean"

    inputs = random_sequences(5, 0)
    found = explain(Mean(lambda codes: np.full(len(codes), 3.0)), inputs, inputs, rng=rng())
    assert found.method == "mean"
    assert (found.values == 0).all()
    assert (found.base_value == 3.0).all()
    with pytest.raises(ExplainError, match="constant predictor"):
        explain(Formula(lambda codes: codes[:, 0]), inputs, inputs, method="mean", rng=rng())


def test_samples_are_drawn_and_named() -> None:
    inputs = random_sequences(30, 0)
    ids = np.array([f"id{i}" for i in range(30)])
    found = explain(Formula(lambda c: c[:, 0]), inputs, inputs, rng=rng(5), ids=ids, max_samples=7)
    assert len(found) == 7
    assert found.ids.tolist() == [f"id{row}" for row in found.rows]
    again = explain(Formula(lambda c: c[:, 0]), inputs, inputs, rng=rng(5), ids=ids, max_samples=7)
    np.testing.assert_array_equal(found.values, again.values)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "deeplfit"}, UnknownNameError, "did you mean 'deeplift'"),
        ({"method": "deeplift"}, ExplainError, "networks only; got predictor 'formula'"),
        ({"method": "linear"}, ExplainError, "needs a predictor with linear effects"),
        ({"ids": np.array(["a"])}, ExplainError, "one entry for each of the 3 samples, got 1"),
        (
            {"background": random_sequences(2, 0, length=5)},
            ExplainError,
            "width 40 and sequence of width 5",
        ),
        ({"inputs": random_sequences(0, 0)}, ExplainError, "at least one sample"),
        ({"max_samples": 0}, ExplainError, "at least one sample"),
    ],
)
def test_what_cannot_be_explained_is_refused(options: dict[str, object], error: type, message: str) -> None:
    given = {"inputs": random_sequences(3, 0), "background": random_sequences(3, 1), "rng": rng()} | options
    inputs, background = given.pop("inputs"), given.pop("background")
    with pytest.raises(error, match=message):
        explain(Formula(lambda c: c[:, 0]), inputs, background, **given)  # type: ignore[arg-type]


def test_linear_without_effects_per_position_is_explained_by_permutation() -> None:
    inputs = random_sequences(3, 0, length=6)
    found = explain(Linear(None, lambda c: c[:, 0]), inputs, inputs, rng=rng())
    assert found.method == "permutation"
    assert found.manifest["fallback_from"] == []
    with pytest.raises(ExplainError, match="not in positions"):
        explain(Linear(None, lambda c: c[:, 0]), inputs, inputs, method="linear", rng=rng())


def test_importance_of_positions_and_variants() -> None:
    codes = np.array([[1, 2], [1, 4], [15, 4]], dtype=np.uint8)
    effects = np.array([[3.0, 0, 0, -3.0], [0, 1.0, -1.0, 0]])
    predictor = Linear(effects, lambda c: (one_hot(c.astype(np.uint8)) * effects).sum(axis=(1, 2)))
    inputs = Inputs(kind="sequence", values=codes)
    table = importance(explain(predictor, inputs, inputs, rng=rng()))
    assert list(table.columns) == ["position", "mean_abs", "mean_signed", "A", "C", "G", "T"]
    assert table["position"].tolist() == [1, 2]
    # position 1: effects 3, 3, 0 less their mean 2; the N shares out its -2 by quarters
    assert table["mean_abs"].tolist() == pytest.approx([(1 + 1 + 2) / 3, (4 / 3 + 2 / 3 + 2 / 3) / 3])
    assert table["A"][0] == pytest.approx((1 + 1 - 2 / 4) / 2.25)
    assert math.isnan(table["A"][1])
    variants = genotypes(20, 6, 0)
    slopes = np.arange(6.0)
    table = importance(explain(Linear(slopes, lambda d: d @ slopes), variants, variants, rng=rng()))
    assert table["id"].tolist() == ["m4", "m2", "m0", "m5", "m3", "m1"]  # chromosome 2 before 10, then position
    assert table["dosage_slope"].tolist() == pytest.approx([4, 2, 0, 5, 3, 1])


def test_recovery_refuses_masks_of_another_shape() -> None:
    inputs, mask = planted_sequences(5, 0)
    found = explain(Formula(lambda c: c[:, 0]), inputs, inputs, rng=rng())
    with pytest.raises(ExplainError, match=r"shape \(5, 40\) or \(40,\)"):
        recovery(found, mask[:, :3])
    with pytest.raises(ExplainError, match="True at some places"):
        recovery(found, np.zeros(LENGTH, dtype=bool))
    assert recovery(found, np.arange(LENGTH) == 0)["aupr"] == 1.0


def test_shap_plots_take_the_explanation() -> None:
    inputs, _ = planted_sequences(6, 0)
    found = explain(motif_network(), inputs, inputs, rng=rng(), n_references=4)
    explanation = found.to_shap()
    assert explanation.shape == (6, LENGTH)
    np.testing.assert_allclose(explanation.values.sum(axis=1) + explanation.base_values, found.predictions, atol=1e-4)
    assert "".join(explanation.data[0]) == "".join("ACGT"[int(np.log2(code))] for code in inputs.values[0])
    assert explanation.feature_names[0] == "1"
    assert len(found.plot(samples=2).axes) == 2
    variants = genotypes(5, 4, 0)
    plot = explain(Formula(lambda d: d[:, 0]), variants, variants, rng=rng()).plot()
    assert len(plot.axes[0].collections[0].get_offsets()) == 4


def test_every_explainer_is_named_in_the_documentation_of_explain() -> None:
    assert explain.__doc__ is not None
    assert all(f"``{name}``" in explain.__doc__ for name in EXPLAINERS)
