import numpy as np
import pytest

from automl_pheno.networks import build, build_for_training, dropout_places
from automl_pheno.space.config import ModelConfig
from automl_pheno.space.size import channels, network_size

CONV = {"block": "conv", "filters": 6, "kernel_size": 5}
DENSE = {"block": "dense", "units": 7}
FLATTEN = {"block": "flatten"}
CONFIGS = {
    "plain": {"trunk": [CONV, FLATTEN], "head": [DENSE]},
    "no head": {"trunk": [CONV, FLATTEN]},
    "mlp": {"trunk": [FLATTEN], "head": [DENSE, DENSE]},
    "valid, strided, pooled": {
        "trunk": [
            {**CONV, "padding": "valid", "stride": 2, "pooling": "max", "pool_size": 3},
            {**CONV, "padding": "same", "stride": 3},
            FLATTEN,
        ],
        "head": [DENSE],
    },
    "dilated": {"trunk": [{**CONV, "dilation": 3, "padding": "valid"}, FLATTEN]},
    "normalised": {
        "trunk": [{**CONV, "normalization": "batch"}, {**CONV, "normalization": "layer"}, FLATTEN],
        "head": [{**DENSE, "normalization": "batch", "dropout": 0.3}],
    },
    "gated": {"trunk": [{"block": "gate"}, CONV, {"block": "gate"}, FLATTEN], "head": [DENSE]},
    "global": {"trunk": [CONV, {"block": "flatten", "pooling": "average"}], "head": [DENSE]},
    "genotype": {"input": "genotype", "trunk": [{**CONV, "stride": 5}, FLATTEN], "head": [DENSE]},
    "dominance": {"input": "genotype", "coding": "dominance", "trunk": [{"block": "gate"}, CONV, FLATTEN]},
    "one_hot": {"input": "genotype", "coding": "one_hot", "trunk": [CONV, FLATTEN], "head": [DENSE]},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_network_has_the_size_that_the_space_room_counts(name: str) -> None:
    config = ModelConfig.model_validate(CONFIGS[name])
    size = network_size(config, 60)
    model = build(config, 60)
    assert size.weights == sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    assert size.non_trainable == sum(int(np.prod(v.shape)) for v in model.non_trainable_weights)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_training_twin_has_the_same_weights_in_the_same_order(name: str) -> None:
    config = ModelConfig.model_validate(CONFIGS[name])
    plain, twin = build(config, 60), build_for_training(config, 60)
    kept = [v for v in twin.weights if v.path.rsplit("/", 1)[-1] not in ("rate", "seed_generator_state")]
    assert [v.shape for v in kept] == [v.shape for v in plain.weights]
    plain.set_weights([v.numpy() for v in kept])
    x = np.random.default_rng(0).random((3, 60, channels(config))).astype("float32")
    np.testing.assert_allclose(np.asarray(plain(x)), np.asarray(twin(x)), atol=1e-6)


def test_what_the_yaml_says_is_what_is_built() -> None:
    config = ModelConfig.model_validate(CONFIGS["valid, strided, pooled"])
    model = build(config, 60)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        "InputLayer", "Conv1D", "Activation", "MaxPooling1D", "Conv1D", "Activation", "Flatten",
        "Dense", "Activation", "Dense",
    ]  # fmt: skip
    first = model.layers[1]
    assert (first.filters, first.kernel_size, first.strides, first.padding) == (6, (5,), (2,), "valid")
    # (60 - 5) // 2 + 1 = 28, pooled by 3 = 9, strided by 3 = 3
    assert model.layers[4].output.shape == (None, 3, 6)


def test_the_exported_model_uses_only_layers_of_keras() -> None:
    model = build(ModelConfig.model_validate(CONFIGS["normalised"]), 60)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def network_of(*trunk, head=()):
    return ModelConfig.model_validate({"input": "sequence", "trunk": list(trunk), "head": list(head)})


@pytest.mark.parametrize(
    ("trunk", "places"),
    [
        (({"dropout": 0.1}, {"dropout": 0.2}), (0.1, 0.2, 0.0, 0.5)),
        (({"dropout": 0.1, "pooling": "max"}, {"dropout": 0.2}), (0.1, 0.2, 0.0, 0.5)),
        (({"dropout": 0.1, "pooling": "average"}, {"dropout": 0.2, "pooling": "average"}), (0.1, 0.2, 0.0, 0.5)),
        (({"dropout": 0.1}, {"dropout": 0.2, "pooling": "max"}), (0.1, 0.2, 0.0, 0.5)),
        (({"dropout": 0.1}, {"dropout": 0.2}, "max"), (0.0, 0.0, 0.28, 0.5)),
        (({"dropout": 0.1}, {"dropout": 0.0}, "max"), (0.0, 0.0, 0.1, 0.5)),
        (({"dropout": 0.1}, {"dropout": 0.2}, "average"), (0.1, 0.2, 0.0, 0.5)),
    ],
)
def test_no_dropout_stands_before_a_maximum_over_all_positions(trunk, places):
    pooling = trunk[-1] if isinstance(trunk[-1], str) else "none"
    blocks = [{"block": "conv", "filters": 2, **block} for block in trunk if not isinstance(block, str)]
    config = network_of(*blocks, {"block": "flatten", "pooling": pooling}, head=[{"block": "dense", "dropout": 0.5}])
    assert dropout_places(config) == pytest.approx(places)
    for make, kind in ((build, "Dropout"), (build_for_training, "VariableDropout")):
        names = [type(layer).__name__ for layer in make(config, 40).layers]
        dropped = [i for i, name in enumerate(names) if name == kind]
        assert len(dropped) == sum(rate > 0 for rate in places)
        assert "GlobalMaxPooling1D" not in names[dropped[0] :]


def test_dropout_leaves_the_expected_output_where_it_is():
    config = network_of({"block": "conv", "filters": 8, "dropout": 0.4}, {"block": "flatten", "pooling": "max"})
    model = build(config, 60)
    x = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (1, 60))]
    many = np.asarray(model(np.repeat(x, 20_000, axis=0), training=True))[:, 0]
    still = float(np.asarray(model(x, training=False))[0, 0])
    assert many.std() > 0.05
    assert many.mean() == pytest.approx(still, abs=5 * many.std() / np.sqrt(20_000))
