import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.errors import SpaceError
from automl_pheno.space import (
    Choice,
    Condition,
    ModelConfig,
    default_values,
    from_rng,
    from_values,
    load_space,
    parameters,
    parse_space,
    sample,
)

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
TEXT = """\
trunk:
  - block: conv
    repeat: {min: 0, max: 2}
    per_layer: [pooling, pool_size]
    filters: {values: [8, 16]}
    pool_size: {values: [4, 2], when: {pooling: [max, average]}}
    pooling: {values: [none, max, average]}
    activation: {values: [relu, gelu], when: {fit.optimizer: sgd}}
  - block: flatten
head:
  - block: dense
    units: {min: 4, max: 8}
fit:
  momentum: {min: 0.0, max: 0.9, when: {optimizer: sgd}}
  nesterov: {values: [true, false], when: {optimizer: sgd}}
  optimizer: {values: [adam, sgd]}
  beta_1: {values: [0.9, 0.8], when: {nesterov: true}}
"""
SPACE = parse_space(TEXT)
uniforms = st.lists(st.floats(0, 1, exclude_max=True), min_size=40, max_size=40)


class Tape:
    """A source of uniform numbers that hypothesis controls."""

    def __init__(self, numbers):
        self.numbers = iter(numbers)

    def random(self):
        return next(self.numbers)


def recorded(space, suggest):
    asked = {}

    def record(name, limits):
        asked[name] = suggest(name, limits)
        return asked[name]

    return sample(space, record), asked


def test_parameters_are_the_yaml_paths_each_after_what_it_depends_on():
    found = parameters(SPACE)
    assert [p.name for p in found] == [
        "trunk.0.repeat",
        "trunk.0.filters",
        "trunk.0.pooling.0",
        "trunk.0.pool_size.0",
        "trunk.0.pooling.1",
        "trunk.0.pool_size.1",
        "fit.optimizer",
        "trunk.0.activation",
        "head.0.units",
        "fit.momentum",
        "fit.nesterov",
        "fit.beta_1",
    ]
    conditions = {p.name: p.conditions for p in found}
    assert conditions["trunk.0.filters"] == (Condition(parameter="trunk.0.repeat", values=(1, 2)),)
    assert conditions["trunk.0.pool_size.1"] == (
        Condition(parameter="trunk.0.repeat", values=(2,)),
        Condition(parameter="trunk.0.pooling.1", values=("max", "average")),
    )
    assert conditions["head.0.units"] == ()


def test_only_active_parameters_are_asked_and_the_others_have_the_default_of_their_field():
    values = {
        "trunk.0.repeat": 2,
        "trunk.0.filters": 16,
        "trunk.0.pooling.0": "none",
        "trunk.0.pooling.1": "max",
        "trunk.0.pool_size.1": 4,
        "fit.optimizer": "adam",
        "head.0.units": 5,
    }
    config, asked = recorded(SPACE, from_values(values))
    assert asked == values
    assert [(b.filters, b.pooling, b.pool_size) for b in config.trunk[:2]] == [(16, "none", 2), (16, "max", 4)]
    assert config.trunk[2].block == "flatten"
    assert (config.fit.momentum, config.fit.beta_1, config.trunk[0].activation) == (0.0, 0.9, "relu")


def test_a_leaf_goes_when_the_leaf_it_depends_on_goes():
    values = {"trunk.0.repeat": 0, "fit.optimizer": "adam", "head.0.units": 4}
    config, asked = recorded(SPACE, from_values(values))
    assert asked == values  # no fit.beta_1: fit.nesterov is not there
    assert len(config.trunk) == 1


def test_a_condition_on_a_fixed_value_that_holds_is_none():
    space = parse_space(TEXT.replace("optimizer: {values: [adam, sgd]}", "optimizer: sgd"))
    conditions = {p.name: p.conditions for p in parameters(space)}
    assert conditions["fit.momentum"] == ()


def test_the_default_is_what_the_file_says():
    assert default_values(SPACE) == {
        "trunk.0.repeat": 1,
        "trunk.0.filters": 8,
        "trunk.0.pooling.0": "none",
        "fit.optimizer": "adam",
        "head.0.units": 6,
    }


@settings(deadline=None)
@given(uniforms, st.sampled_from([SPACE, *map(load_space, SPACES)]))
def test_any_draw_validates_and_replays_to_the_same_configuration(numbers, space):
    config, asked = recorded(space, from_rng(Tape(numbers)))
    assert ModelConfig.model_validate_json(config.model_dump_json(by_alias=True)) == config
    replayed, again = recorded(space, from_values(json.loads(json.dumps(asked))))
    assert replayed == config
    assert list(again) == list(asked)
    assert [name for name in (p.name for p in parameters(space)) if name in asked] == list(asked)


@settings(deadline=None)
@given(uniforms)
def test_exactly_the_parameters_whose_conditions_hold_are_asked(numbers):
    _, asked = recorded(SPACE, from_rng(Tape(numbers)))
    for parameter in parameters(SPACE):
        holds = all(asked.get(c.parameter) in c.values for c in parameter.conditions)
        assert (parameter.name in asked) == holds


def test_the_same_seed_gives_the_same_configuration():
    first, second = (sample(SPACE, from_rng(random.Random(4))) for _ in range(2))
    assert first == second
    assert len({sample(SPACE, from_rng(random.Random(seed))).model_dump_json() for seed in range(20)}) > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.0.units": 9}, "head.0.units: must be 4 to 8, got 9"),
        ({"head.0.units": "4"}, "head.0.units: must be a whole number, got '4'"),
        ({"fit.optimizer": "sdg"}, r"fit.optimizer: must be one of \['adam', 'sgd'\], got 'sdg'"),
        ({"head.0.units": None, "head.0.unit": 4}, "head.0.units: must be a whole number, got nothing"),
    ],
)
def test_replay_refuses_values_outside_the_space(change, message):
    with pytest.raises(SpaceError, match=message):
        sample(SPACE, from_values({"trunk.0.repeat": 0, "fit.optimizer": "adam", "head.0.units": 4} | change))


def test_replay_refuses_a_missing_value_and_guesses():
    with pytest.raises(SpaceError, match=r"head.0.units: no value given; .*did you mean 'head.0.unit'\?"):
        sample(SPACE, from_values({"trunk.0.repeat": 0, "fit.optimizer": "adam", "head.0.unit": 4}))


def test_a_condition_holds_true_and_1_apart():
    condition = Condition(parameter="a", values=(True,))
    assert condition.holds({"a": True})
    assert not condition.holds({"a": 1})
    assert Choice(values=[True, False]).cast(True) is True
