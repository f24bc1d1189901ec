import itertools
import random
import time
from pathlib import Path

import pytest

from automl_pheno.errors import InfeasibleError
from automl_pheno.space import (
    ConvBlock,
    DenseBlock,
    FitConfig,
    FlattenBlock,
    ModelConfig,
    count_configurations,
    from_rng,
    load_space,
    network_size,
    parameters,
    parse_space,
    sample,
    space_extent,
)

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))


def network(*trunk, head=(), kind="sequence", **fit):
    return ModelConfig(input=kind, trunk=(*trunk,), head=(*head,), fit=FitConfig(**fit))


def conv(**fields):
    return ConvBlock(**{"filters": 8, "kernel_size": 5} | fields)


def test_weights_and_shapes_by_hand():
    size = network_size(
        network(
            conv(normalization="batch", pooling="max", pool_size=4),
            conv(filters=6, kernel_size=3, padding="valid", normalization="layer"),
            FlattenBlock(),
            head=(DenseBlock(units=10, normalization="batch"),),
            batch_size=2,
        ),
        width=50,
    )
    assert [(layer.name, layer.shape, layer.weights, layer.non_trainable) for layer in size.table] == [
        ("trunk.0.conv", (50, 8), 5 * 4 * 8 + 8, 0),
        ("trunk.0.normalization", (50, 8), 16, 16),
        ("trunk.0.pool", (12, 8), 0, 0),  # 50 / 4, the rest of 2 positions goes
        ("trunk.1.conv", (10, 6), 3 * 8 * 6 + 6, 0),
        ("trunk.1.normalization", (10, 6), 12, 0),
        ("trunk.2.flatten", (60,), 0, 0),
        ("head.0.dense", (10,), 610, 0),
        ("head.0.normalization", (10,), 20, 20),
        ("output", (1,), 11, 0),
    ]
    assert size.weights == 168 + 16 + 150 + 12 + 610 + 20 + 11
    assert size.non_trainable == 36
    assert size.layers == 4
    assert size.activations == 200 + 400 + 400 + 96 + 60 + 60 + 60 + 10 + 10 + 1
    assert size.memory_bytes == 4 * (2 * size.activations * 2 + 4 * size.weights + 36)  # adam keeps two values a weight


@pytest.mark.parametrize(("coding", "channels"), [("additive", 1), ("dominance", 2), ("one_hot", 3)])
def test_the_coding_of_a_genotype_is_its_channels(coding, channels):
    config = network(conv(), FlattenBlock(), kind="genotype").model_copy(update={"coding": coding})
    size = network_size(config, width=30)
    assert size.table[0].weights == 5 * channels * 8 + 8
    assert size.activations == 30 * channels + 30 * 8 + 240 + 1


def test_a_genotype_has_one_channel_and_pooling_over_all_positions_one_value_a_filter():
    size = network_size(network(conv(), FlattenBlock(pooling="max"), kind="genotype"), width=30)
    assert [layer.weights for layer in size.table] == [5 * 1 * 8 + 8, 0, 9]
    assert size.table[1].shape == (8,)


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"stride": 3}, 17),  # ceil(50 / 3)
        ({"stride": 3, "padding": "valid"}, 16),  # floor((50 - 5) / 3) + 1
        ({"dilation": 4, "padding": "valid"}, 34),  # 50 - 4 * 4
        ({"padding": "valid", "kernel_size": 50}, 1),
        ({"pooling": "average", "pool_size": 50}, 1),
    ],
)
def test_lengths_after_stride_dilation_and_padding(fields, length):
    size = network_size(network(conv(**fields), FlattenBlock()), width=50)
    assert size.table[-2].shape == (length * 8,)


@pytest.mark.parametrize(
    ("fit", "copies"),
    [
        ({"optimizer": "adamw"}, 4),
        ({"optimizer": "sgd"}, 2),
        ({"optimizer": "sgd", "momentum": 0.9}, 3),
        ({"optimizer": "rmsprop"}, 3),
        ({"optimizer": "rmsprop", "momentum": 0.9}, 4),
    ],
)
def test_memory_counts_the_state_of_the_optimizer(fit, copies):
    size = network_size(network(FlattenBlock(), batch_size=1, **fit), width=10)
    assert size.memory_bytes == 4 * (2 * 81 + copies * 41)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_halves_the_memory_of_activations_and_adds_a_copy_of_the_weights(precision):
    size = network_size(network(FlattenBlock(), batch_size=3, precision=precision), width=10)
    assert size.memory_bytes == 2 * (2 * 81 * 3 + 41) + 4 * 4 * 41


@pytest.mark.parametrize(
    ("trunk", "reason"),
    [
        (
            [conv(pooling="max", pool_size=2), conv(kernel_size=25, dilation=2), FlattenBlock()],
            "trunk.1: kernel_size 25 with dilation 2 needs 49 positions, the input to this block has 30",
        ),
        (
            [conv(kernel_size=61), FlattenBlock()],
            "trunk.0: kernel_size 61 needs 61 positions, the input to this block has 60",
        ),
        ([conv(stride=2, dilation=2), FlattenBlock()], "trunk.0: dilation 2 needs stride 1, got stride 2"),
        (
            [conv(stride=20, pooling="max", pool_size=4), FlattenBlock()],
            "trunk.0: pool_size 4 is more than the 3 positions the convolution leaves",
        ),
        ([conv()], "trunk.0: the trunk must end in flatten, got conv"),
        ([FlattenBlock(), conv()], "trunk.1: conv cannot follow flatten, which leaves no positions"),
    ],
)
def test_impossible_networks_are_refused_with_the_reason(trunk, reason):
    with pytest.raises(InfeasibleError) as caught:
        network_size(network(*trunk), width=60)
    assert str(caught.value) == reason


def test_caps_and_widths():
    config = network(FlattenBlock())
    assert network_size(config, 10, max_weights=41).weights == 41
    with pytest.raises(InfeasibleError, match="the network has 41 weights, more than the limit of 40"):
        network_size(config, 10, max_weights=40)
    with pytest.raises(InfeasibleError, match="at least 1 position wide, got 0"):
        network_size(config, 0)


SMALL = parse_space("""\
trunk:
  - block: conv
    repeat: {min: 1, max: 3}
    per_layer: [kernel_size, pooling, pool_size]
    filters: {values: [2, 4]}
    kernel_size: {values: [3, 7]}
    pooling: {values: [none, max]}
    pool_size: {values: [2, 3], when: {pooling: max}}
  - block: flatten
head:
  - block: dense
    units: {min: 2, max: 4}
fit:
  optimizer: {values: [adam, sgd]}
  nesterov: {values: [true, false], when: {optimizer: sgd}}
""")


def every_configuration(space):
    """Yield the values of each configuration by walking through all active parameters."""

    def walk(drawn, rest):
        if not rest:
            yield drawn
        elif rest[0].is_active(drawn):
            for index in range(rest[0].range.count()):
                yield from walk({**drawn, rest[0].name: rest[0].range.at(index)}, rest[1:])
        else:
            yield from walk(drawn, rest[1:])

    return walk({}, parameters(space))


def test_configurations_are_counted_exactly():
    # a layer: 2 kernels x (no pooling + 2 pool sizes) = 6; 1 to 3 layers; the rest is 2 x 3 x (1 + 2)
    assert count_configurations(SMALL) == (6 + 36 + 216) * 2 * 3 * 3
    assert count_configurations(SMALL) == sum(1 for _ in every_configuration(SMALL))
    assert count_configurations(parse_space("trunk:\n  - block: flatten\n")) == 1
    assert count_configurations(load_space(SPACES[0])) is None


def test_conditions_on_number_ranges_are_counted_exactly():
    space = parse_space("""\
trunk:
  - block: conv
    stride: {min: 1, max: 6}
    filters: {values: [1, 2, 3], when: {stride: [2, 5]}}
    kernel_size: {values: [1, 2], when: {stride: 2, filters: [1, 3]}}
    pool_size: {min: 2, max: 6, when: {kernel_size: 2}}
  - block: flatten
""")
    assert count_configurations(space) == sum(1 for _ in every_configuration(space))


def weights_or_none(config, width):
    try:
        return network_size(config, width).weights
    except InfeasibleError:
        return None


@pytest.mark.parametrize("width", [12, 30])
def test_the_extent_has_the_true_smallest_and_largest_network(width):
    every_third = itertools.islice(every_configuration(SMALL), 0, None, 3)  # the optimizer does not matter
    sizes = [weights_or_none(sample(SMALL, lambda name, _, d=drawn: d[name]), width) for drawn in every_third]
    weights = [size for size in sizes if size is not None]
    extent = space_extent(SMALL, width, random.Random(1))
    assert (extent.smallest.weights, extent.largest.weights) == (min(weights), max(weights))
    assert (extent.infeasible > 0) == (None in sizes)
    assert sum(count for _, count in extent.reasons) in (extent.infeasible, extent.infeasible + 1)
    assert (extent.parameters, extent.unconditional) == (14, 6)


def test_an_input_too_short_for_every_network_is_refused():
    with pytest.raises(InfeasibleError, match=r"no network of the space fits inputs of width 2: trunk\.0: kernel_size"):
        space_extent(SMALL, 2)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_shipped_spaces_fit_their_inputs_and_are_measured_quickly(path):
    space = load_space(path)
    start = time.perf_counter()
    for width in (100, 200) if space.input == "sequence" else (64, 1279):
        extent = space_extent(space, width)
        assert extent.default is not None
        assert extent.smallest.weights <= extent.default.weights <= extent.largest.weights
        assert extent.infeasible < 0.1 * extent.draws
        for seed in range(50):
            weights = weights_or_none(sample(space, from_rng(random.Random(seed))), width)
            assert weights is None or extent.smallest.weights <= weights <= extent.largest.weights
    assert time.perf_counter() - start < 5  # about 0.3 s; generous for busy machines
