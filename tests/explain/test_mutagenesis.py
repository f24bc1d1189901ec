"""Single changes of sequences and genotypes, against brute force and closed forms."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from automl_pheno.curation import CurationConfig
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain import ExplainError, explain
from automl_pheno.explain.mutagenesis.compiled import CompiledMutants
from automl_pheno.explain.mutagenesis.dosages import change_dosages, dosage_effects
from automl_pheno.explain.mutagenesis.saturation import saturation
from automl_pheno.predictors import PREDICTORS
from automl_pheno.predictors.curated import CuratedPredictor

SHIPPED = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a value, also those that start at 0 or 1."""
    draw = rng(seed)
    for variable in model.variables:
        if any(word in variable.path for word in ("variance", "gamma")):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
        elif any(word in variable.path for word in ("bias", "beta", "mean")):
            variable.assign(draw.normal(0, 0.2, variable.shape))
    return model


def network(width: int, channels: int, *row: layers.Layer) -> keras.Model:
    inputs = keras.Input((width, channels))
    tensor = inputs
    for layer in row:
        tensor = layer(tensor)
    return randomised(keras.Model(inputs, layers.Dense(1)(tensor)))


def ensemble() -> keras.Model:
    inputs = keras.Input((61, 4))
    members = [MODELS["pools"](), MODELS["pools"]()]
    members[1].set_weights([weight * 0.8 + 0.05 for weight in members[1].get_weights()])
    for number, member in enumerate(members):
        member.name = f"member_{number}"
    return keras.Model(inputs, layers.Average()([member(inputs) for member in members]))


def residual() -> keras.Model:
    inputs = keras.Input((40, 4))
    first = layers.Conv1D(8, 5, padding="same")(inputs)
    both = layers.Add()([first, layers.Conv1D(8, 5, padding="same")(first)])
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(both)))


MODELS = {
    "flat": lambda: network(
        40, 4, layers.Conv1D(8, 7, padding="same"), layers.Activation("relu"), layers.Conv1D(8, 5),
        layers.Activation("gelu"), layers.Flatten(), layers.Dense(8), layers.Activation("relu"),
    ),
    "pools": lambda: network(
        61, 4, layers.Conv1D(8, 7, padding="same"), layers.BatchNormalization(), layers.Activation("relu"),
        layers.MaxPooling1D(2), layers.Conv1D(8, 3, padding="same", dilation_rate=2), layers.LayerNormalization(),
        layers.Activation("elu"), layers.AveragePooling1D(3), layers.Dropout(0.2), layers.Flatten(), layers.Dense(8),
    ),
    "strides": lambda: network(
        200, 3, layers.BatchNormalization(axis=1, center=False, epsilon=1e-7),
        layers.Conv1D(8, 16, strides=4, padding="same"), layers.Activation("elu"),
        layers.Conv1D(8, 5, strides=2, padding="same"), layers.Activation("elu"), layers.Flatten(), layers.Dense(8),
        layers.BatchNormalization(), layers.Activation("elu"),
    ),
    "dilation": lambda: network(
        80, 4, layers.Conv1D(8, 5, dilation_rate=3, padding="same"), layers.Activation("relu"),
        layers.Conv1D(6, 4, strides=3), layers.Activation("relu"), layers.GlobalMaxPooling1D(), layers.Dense(8),
    ),
    "global mean": lambda: network(
        80, 4, layers.Conv1D(8, 5, padding="same"), layers.Activation("relu"), layers.MaxPooling1D(4),
        layers.GlobalAveragePooling1D(), layers.Dense(8),
    ),
    "wider than the sequence": lambda: network(
        10, 4, layers.Conv1D(8, 12, padding="same"), layers.Activation("relu"), layers.Flatten(), layers.Dense(8),
    ),
    "no convolution": lambda: network(300, 1, layers.Flatten(), layers.Dense(8), layers.Activation("relu")),
    "activation inside": lambda: network(30, 4, layers.Conv1D(8, 3, activation="relu"), layers.Flatten()),
    "residual": residual,
    "ensemble": ensemble,
}  # fmt: skip
LOCAL = {"wider than the sequence": 0, "activation inside": 0, "residual": 0, "no convolution": 2, "ensemble": 20}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.backend) if name in ("strides", "ensemble") else name for name in MODELS],
)
def test_compiled_mutants_equal_brute_force(name: str) -> None:
    """Any values at any position, also real ones; the number of samples fills no call."""
    model = MODELS[name]()
    _, width, channels = model.inputs[0].shape
    x = rng(1).normal(size=(3, width, channels)).astype(np.float32)
    values = rng(2).normal(size=(3, width, 2, channels)).astype(np.float32)
    mutants = CompiledMutants(model, choices=2, rows=2)
    found = mutants(x, lambda at: values[:, at])
    every = np.broadcast_to(x[:, None, None], (3, width, 2, width, channels)).copy()
    for place in range(width):
        every[:, place, :, place] = values[:, place]
    truth = keras.ops.convert_to_numpy(model(every.reshape(-1, width, channels))).reshape(3, width, 2)
    np.testing.assert_allclose(found, truth, atol=1e-6 * max(1.0, float(np.ptp(truth))), rtol=0)
    assert mutants.local_steps == LOCAL.get(name, mutants.local_steps)
    if name not in LOCAL:
        assert mutants.local_steps >= 4


class Network:
    """A network predictor with given weights, no training."""

    kind = "network"
    y_mean, y_sd = 3.0, 2.0

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def encode(self, inputs: Inputs) -> np.ndarray:
        if inputs.kind == "sequence":
            return one_hot(inputs.values)
        return np.nan_to_num(inputs.values - 0.7, nan=0.0)[:, :, None].astype(np.float32)

    def predict(self, inputs: Inputs) -> np.ndarray:
        return keras.ops.convert_to_numpy(self.model(self.encode(inputs)))[:, 0].astype(np.float64) * 2.0 + 3.0


class Linear:
    """Effects of bases, plus a product of the first two positions' As."""

    kind = "made for the test"

    def __init__(self, effects: np.ndarray, product: float = 0.0) -> None:
        self.effects, self.product = effects, product

    def predict(self, inputs: Inputs) -> np.ndarray:
        hot = one_hot(inputs.values).astype(np.float64)
        return (hot * self.effects).sum(axis=(1, 2)) + self.product * hot[:, 0, 0] * hot[:, 1, 0]


def sequences(n: int, length: int, seed: int = 0) -> Inputs:
    return Inputs(kind="sequence", values=(1 << rng(seed).integers(0, 4, (n, length))).astype(np.uint8))


def odd_sequences(length: int) -> Inputs:
    """Return sequences with N, R and padding."""
    values = sequences(4, length).values.copy()
    values[1, 3], values[1, 9], values[2, 0] = 15, 5, 15
    values[3, -6:] = 0
    return Inputs(kind="sequence", values=values)


def brute_force(predictor: Network | Linear, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and deletions of mutants made one at a time, as the docstring of `Saturation` states them."""
    mutants = []
    for row, place in np.ndindex(*inputs.values.shape):
        for channel in range(4):
            mutants.append(inputs.values[row].copy())
            if inputs.values[row, place]:
                mutants[-1][place] = 1 << channel
        mutants.append(np.append(np.delete(inputs.values[row], place), 0).astype(np.uint8))
    found = predictor.predict(Inputs(kind="sequence", values=np.stack(mutants))).reshape(*inputs.values.shape, 5)
    found = found - predictor.predict(inputs)[:, None, None]
    return found[:, :, :4], found[:, :, 4]


@pytest.mark.backend
@pytest.mark.parametrize("inputs", [sequences(2, 40), odd_sequences(40)], ids=["plain", "ambiguous and padded"])
def test_saturation_of_a_network_equals_brute_force(inputs: Inputs) -> None:
    predictor = Network(MODELS["flat"]())
    found = saturation(predictor, inputs, deletions=True)
    scores, deletions = brute_force(predictor, inputs)
    np.testing.assert_allclose(found.scores, scores, atol=2e-6)
    np.testing.assert_allclose(found.deletions, deletions, atol=2e-6)
    np.testing.assert_allclose(found.predictions, predictor.predict(inputs), atol=2e-6)
    assert found.how.startswith("compiled")
    assert (found.scores[one_hot(inputs.values) == 1.0] == 0).all()


def test_saturation_of_another_predictor_equals_brute_force() -> None:
    inputs = odd_sequences(12)
    predictor = Linear(rng(3).normal(size=(12, 4)), product=2.0)
    found = saturation(predictor, inputs, deletions=True)
    scores, deletions = brute_force(predictor, inputs)
    np.testing.assert_allclose(found.scores, scores, atol=1e-12)
    np.testing.assert_allclose(found.deletions, deletions, atol=1e-12)


def test_saturation_of_a_linear_predictor_is_the_difference_of_its_effects() -> None:
    effects = rng(4).normal(size=(9, 4))
    inputs = sequences(5, 9)
    found = saturation(Linear(effects), inputs)
    own = np.take_along_axis(effects[None], np.log2(inputs.values).astype(int)[:, :, None], axis=2)
    np.testing.assert_allclose(found.scores, effects[None] - own, atol=1e-12)
    np.testing.assert_allclose(found.mean_centred, (effects - effects.mean(axis=1, keepdims=True))[None] + 0 * own)
    others = (effects.sum(axis=1)[None] - own[:, :, 0]) / 3
    np.testing.assert_allclose(found.contributions, own[:, :, 0] - others, atol=1e-12)


def test_the_table_of_mutations_names_the_strongest() -> None:
    effects = np.zeros((3, 4))
    effects[1] = [0.0, 1.0, 0.0, -2.0]
    inputs = Inputs(kind="sequence", values=np.array([[1, 1, 1], [1, 4, 0]], dtype=np.uint8))
    table = saturation(Linear(effects), inputs).table()
    assert table["position"].tolist() == [1, 2, 3]
    assert table["strongest"][1] == "A2T"
    np.testing.assert_allclose(table["mean_abs"], [0.0, 1.0, 0.0])
    np.testing.assert_allclose(table["mean_signed"], [0.0, -1 / 3, 0.0])
    np.testing.assert_allclose(table["max_abs"], [0.0, 2.0, 0.0])


def test_bases_are_not_changed_in_genotypes() -> None:
    with pytest.raises(ExplainError, match="genotype"):
        saturation(Linear(np.zeros((2, 4))), genotypes(2, 2))


def test_the_explainer_of_sequences_says_what_it_does() -> None:
    effects = rng(5).normal(size=(9, 4))
    inputs = sequences(20, 9)
    found = explain(Linear(effects), inputs, inputs, method="ism", rng=rng())
    np.testing.assert_allclose(found.contributions, saturation(Linear(effects), found.inputs).contributions)
    np.testing.assert_allclose(found.hypothetical.sum(axis=2), 0.0, atol=1e-12)
    assert found.manifest["additive"] is False
    assert found.manifest["completeness_error"]["max"] == pytest.approx(np.abs(found.completeness).max())


def genotypes(n: int, p: int, seed: int = 0) -> Inputs:
    values = rng(seed).integers(0, 3, (n, p)).astype(np.float32)
    variants = pd.DataFrame({
        "id": [f"m{i}" for i in range(p)], "chromosome": "1", "position": np.arange(p), "ref": "A", "alt": "C",
    })  # fmt: skip
    return Inputs(kind="genotype", values=values, variants=variants)


def with_missing(inputs: Inputs) -> Inputs:
    values = inputs.values.copy()
    values[0, 0] = values[1, 3] = np.nan
    values[2, 1] = 0.4
    return Inputs(kind="genotype", values=values, variants=inputs.variants)


@pytest.mark.parametrize("inputs", [genotypes(4, 60), with_missing(genotypes(4, 60))], ids=["whole", "missing"])
@pytest.mark.parametrize("compiled", [True, False], ids=["network", "any predictor"])
def test_dosage_effects_equal_brute_force(inputs: Inputs, compiled: bool) -> None:
    model = network(60, 1, layers.Conv1D(4, 8, strides=4), layers.Activation("elu"), layers.Flatten(), layers.Dense(6))
    predictor = Network(model)
    if not compiled:
        predictor = type("Opaque", (), {"kind": "opaque", "predict": lambda _, x, p=predictor: p.predict(x)})()
    found = dosage_effects(predictor, inputs, missing=True)
    assert found.how.startswith("compiled" if compiled else "predictions")
    base = predictor.predict(inputs)
    for place in (0, 1, 3, 30, 59):
        truth = []
        for dosage in (0.0, 1.0, 2.0, np.nan):
            values = inputs.values.copy()
            values[:, place] = dosage
            truth.append((predictor.predict(Inputs(kind="genotype", values=values)) - base).mean())
        row = found.table.iloc[place]
        got = [row[f"effect_{name}"] for name in (0, 1, 2, "missing")]
        np.testing.assert_allclose(got, truth, atol=2e-6)
        assert row["additive"] == pytest.approx((truth[2] - truth[0]) / 2, abs=2e-6)
        assert row["dominance"] == pytest.approx(truth[1] - (truth[0] + truth[2]) / 2, abs=2e-6)
    assert found.table["id"].tolist() == [f"m{i}" for i in range(60)]


def fitted(kind: str, inputs: Inputs, curation: CurationConfig | None = None) -> object:
    y = inputs.values[:, 0] * 2.0 - inputs.values[:, 5] + rng(8).normal(0, 0.1, len(inputs))
    predictor = PREDICTORS[kind]()
    if curation is not None:
        predictor = CuratedPredictor(predictor, curation)
    predictor.fit(Examples(inputs=inputs, y=y, groups=np.arange(len(inputs))), rng=rng())
    return predictor


def test_dosage_effects_of_a_linear_predictor_are_its_marker_effects() -> None:
    inputs = genotypes(60, 12)
    predictor = fitted("gblup", inputs)
    found = dosage_effects(predictor, inputs)
    assert found.how == "linear effects"
    np.testing.assert_allclose(found.table["additive"], predictor.linear_effects(), atol=1e-9)
    np.testing.assert_allclose(found.table["dominance"], 0.0, atol=1e-9)
    chosen = dosage_effects(predictor, inputs, columns=np.array([5, 7])).table
    assert chosen["id"].tolist() == ["m5", "m7"]
    np.testing.assert_allclose(chosen["additive"], found.table["additive"][[5, 7]])


def test_a_missing_call_of_a_linear_predictor_counts_as_its_training_mean() -> None:
    inputs = with_missing(genotypes(60, 12))
    predictor = fitted("gblup", genotypes(60, 12))
    found = dosage_effects(predictor, inputs, missing=True)
    opaque = type("Opaque", (), {"kind": "opaque", "predict": lambda _, x: predictor.predict(x)})()
    truth = dosage_effects(opaque, inputs, missing=True)
    assert (found.how, truth.how) == ("linear effects", "predictions in blocks")
    names = ["effect_0", "effect_1", "effect_2", "effect_missing"]
    np.testing.assert_allclose(found.table[names], truth.table[names], atol=1e-6)


def test_variants_that_a_curation_dropped_have_no_effect() -> None:
    inputs = genotypes(60, 12)
    inputs.values[:, 3] = 0.0
    predictor = fitted("gblup", inputs, CurationConfig(min_maf=0.01))
    table = dosage_effects(predictor, inputs).table
    assert table.loc[3, ["effect_0", "effect_1", "effect_2"]].tolist() == [0.0, 0.0, 0.0]
    assert table["additive"].abs().idxmax() == 0


def test_the_explainer_of_genotypes_adds_up_where_the_predictor_is_linear() -> None:
    inputs = genotypes(60, 12)
    predictor = fitted("gblup", inputs)
    found = explain(predictor, inputs, inputs, method="ism", rng=rng())
    np.testing.assert_allclose(found.completeness, 0.0, atol=1e-5)
    linear = explain(predictor, inputs, inputs, method="linear", rng=rng())
    np.testing.assert_allclose(found.values, linear.values, atol=1e-5)


def test_dosages_need_genotypes_and_candidates_of_their_width() -> None:
    with pytest.raises(ExplainError, match="sequence"):
        dosage_effects(Linear(np.zeros((2, 4))), sequences(2, 2))
    with pytest.raises(ExplainError, match="shape"):
        change_dosages(fitted("gblup", genotypes(30, 12)), genotypes(3, 12), np.zeros((1, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_space_is_computed_through_differences(file: Path) -> None:
    """Random configurations; where a layer is not carried through, whole tensors still give the same numbers."""
    from automl_pheno.networks import build
    from automl_pheno.space import from_rng, load_space, network_size, sample
    from automl_pheno.space.size import channels

    space, draw, local = load_space(file), rng(9), []
    while len(local) < 10:
        config, width = sample(space, from_rng(draw)), 100
        if not network_size(config, width).weights:
            continue
        keras.utils.set_random_seed(len(local))
        model = randomised(build(config, width), len(local))
        x = draw.normal(size=(2, width, channels(config))).astype(np.float32)
        values = draw.normal(size=(2, width, 1, channels(config))).astype(np.float32)
        mutants = CompiledMutants(model, choices=1)
        found = mutants(x, lambda at, values=values: values[:, at])[:, ::7, 0]
        every = np.broadcast_to(x[:, None], (2, width, width, channels(config))).copy()
        every[:, np.arange(width), np.arange(width)] = values[:, :, 0]
        truth = keras.ops.convert_to_numpy(model(every[:, ::7].reshape(-1, width, channels(config)))).reshape(2, -1)
        scale = max(1.0, float(np.abs(truth).max()))
        np.testing.assert_allclose(found, truth, atol=1e-5 * scale, rtol=0, err_msg=str(config))
        local.append(mutants.local_steps)
    assert np.mean(local) > 1
