"""KerasTuner and Optuna see the same parameters, limits and conditions: those of the YAML."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_pheno.space import (
    Choice,
    FloatRange,
    IntRange,
    declare_hyperparameters,
    default_values,
    from_keras_tuner,
    from_optuna,
    from_values,
    load_space,
    parameters,
    parse_space,
    sample,
)
from automl_pheno.space.sample import draw

pytestmark = pytest.mark.slow  # KerasTuner imports TensorFlow

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))


@pytest.fixture(scope="module")
def keras_tuner():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TensorFlow, when it is loaded
        import keras_tuner
    return keras_tuner


@pytest.fixture(scope="module")
def optuna():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def one_of(draw, *kinds):
    return draw(st.sampled_from(kinds))


@st.composite
def whole(draw, low, high):
    """A range or choice of whole numbers of every form."""
    form = one_of(draw, "values", "plain", "step", "log")
    if form == "values":
        return {"values": draw(st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True))}
    first = draw(st.integers(low, high - 1))
    if form == "step":
        step = draw(st.integers(1, high - first))
        return {"min": first, "max": first + step * draw(st.integers(1, (high - first) // step)), "step": step}
    return {"min": first, "max": draw(st.integers(first + 1, high)), **({"log": True} if form == "log" else {})}


@st.composite
def number(draw, high):
    """A range of numbers of every form, with steps that binary fractions cannot hold."""
    form = one_of(draw, "plain", "step", "log", "values")
    if form == "values":
        return {"values": draw(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=4, unique=True))}
    if form == "step":
        step, low = one_of(draw, 0.1, 0.05, 0.07, 0.25), one_of(draw, 0.0, 0.1, 0.03)
        count = draw(st.integers(1, max(1, int((high - low) / step) - 1)))
        return {"min": low, "max": round(low + step * count, 10), "step": step}
    low = draw(st.floats(1e-6, high / 2))
    return {"min": low, "max": draw(st.floats(low * 1.01, high)), **({"log": True} if form == "log" else {})}


@st.composite
def spaces(draw):
    """Spaces with repeats, values drawn for each layer, chains of conditions, flags and words."""
    block = {
        "block": "conv",
        "repeat": one_of(draw, 1, 2, {"min": 0, "max": 3}, {"values": [1, 3]}, {"min": 1, "max": 4, "log": True}),
        "filters": draw(whole(1, 64)),
        "kernel_size": draw(whole(1, 30)),
        "pooling": {"values": ["none", "max", "average"]},
        "pool_size": {**draw(whole(1, 9)), "when": {"trunk.0.pooling": one_of(draw, "max", ["max", "average"])}},
        "dropout": draw(number(0.9)),
    }
    names = ["kernel_size", "pooling", "pool_size", "dropout"]
    chosen = draw(st.lists(st.sampled_from(names), unique=True))
    if "pooling" in chosen and "pool_size" not in chosen:
        chosen.append("pool_size")
    if chosen and block["repeat"] != 1:
        block["per_layer"] = chosen
    fit = {
        "optimizer": {"values": ["adam", "sgd", "rmsprop"], "default": one_of(draw, "adam", "sgd")},
        "momentum": {**draw(number(0.9)), "when": {"fit.optimizer": ["sgd", "rmsprop"]}},
        "nesterov": {"values": one_of(draw, [True, False], [False, True], [True]), "when": {"fit.optimizer": "sgd"}},
        "l2": {"values": [0.0, 1e-3]},
        "l1": {**draw(number(0.9)), "when": {"fit.l2": 0, "fit.nesterov": True}},
        "batch_size": draw(whole(1, 128)),
    }
    tree = {"schema": 1, "name": "made", "trunk": [block, {"block": "flatten"}], "fit": fit}
    return parse_space(yaml.safe_dump(tree, sort_keys=False))


def hyperparameters(keras_tuner, space):
    hp = keras_tuner.HyperParameters()
    declare_hyperparameters(hp, space)
    return hp


def check_the_declaration(keras_tuner, space):
    hp = hyperparameters(keras_tuner, space)
    assert [found.name for found in hp.space] == [p.name for p in parameters(space)]
    assert sample(space, from_keras_tuner(hp, space)) == sample(space, from_values(default_values(space)))
    assert hp.values == default_values(space)
    assert hp.active_scopes == hp.inactive_scopes == []
    for found, parameter in zip(hp.space, parameters(space), strict=True):
        limits = parameter.range
        assert found.default == limits.middle()
        if isinstance(limits, Choice):
            assert sorted(found.values) == sorted(limits.values)
        elif isinstance(limits, FloatRange) and limits.step is not None:
            assert list(found.values) == [limits.at(i) for i in range(limits.count())]
            assert (found.values[0], found.values[-1]) == (limits.min, limits.max)
        else:
            assert (found.min_value, found.max_value) == (limits.min, limits.max)
            assert found.sampling == ("log" if limits.log else "linear")
            assert (found.step or 1) == (limits.step or 1) if isinstance(limits, IntRange) else found.step is None
            assert isinstance(limits, IntRange) == (type(found).__name__ == "Int")


def check_the_values(keras_tuner, optuna, space, seed, draws):
    """Proposals of KerasTuner are configurations and Optuna trials, and the other way round."""
    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("score", "max"),
        hyperparameters=hyperparameters(keras_tuner, space),
        seed=seed + 1,
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    chance = random.Random(seed)
    for turn in range(draws):
        if turn % 2:  # every corner of it, which the Gaussian process of KerasTuner likes to visit
            hp = keras_tuner.HyperParameters()
            for found in oracle.hyperparameters.space:
                hp.merge([found])
                if hp.is_active(found):
                    hp.values[found.name] = found.prob_to_value(chance.choice([0.0, 1.0, chance.random()]))
            proposed = hp.values
        else:
            proposed = oracle._random_values()
            if proposed is None:  # a small space is used up
                continue
            hp = hyperparameters(keras_tuner, space)
            hp.values = dict(proposed)
        if any(isinstance(p.range, IntRange) and proposed.get(p.name) == p.range.max + 1 for p in parameters(space)):
            continue  # KerasTuner oversteps a logarithmic range, so that its conditions do not hold; see `_within`
        values = draw(space, from_keras_tuner(hp, space))
        assert list(values) == [name for name in (p.name for p in parameters(space)) if name in proposed]
        config = sample(space, from_values(values))
        study.enqueue_trial(values)
        trial = study.ask()
        assert sample(space, from_optuna(trial)) == config
        assert trial.params == values
        study.tell(trial, 0.0)
    for _ in range(draws):
        trial = study.ask()
        config = sample(space, from_optuna(trial))
        hp = hyperparameters(keras_tuner, space)
        hp.values = dict(trial.params)
        assert {found.name for found in hp.space if hp.is_active(found)} == set(trial.params)
        assert sample(space, from_keras_tuner(hp, space)) == config
        for found in hp.space:
            if hp.is_active(found) and not isinstance(found, keras_tuner.engine.hyperparameters.Float):
                assert 0.0 <= found.value_to_prob(_exact(space, found.name, trial.params[found.name])) <= 1.0
        study.tell(trial, 0.0)


def _exact(space, name, value):
    limits = next(p.range for p in parameters(space) if p.name == name)
    return limits.at(round((value - limits.min) / limits.step)) if isinstance(limits, FloatRange) else value


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_shipped_spaces_are_the_same_in_both(keras_tuner, optuna, path):
    space = load_space(path)
    check_the_declaration(keras_tuner, space)
    check_the_values(keras_tuner, optuna, space, seed=3, draws=60)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(space=spaces(), seed=st.integers(0, 1000))
def test_generated_spaces_are_the_same_in_both(keras_tuner, optuna, space, seed):
    check_the_declaration(keras_tuner, space)
    check_the_values(keras_tuner, optuna, space, seed, draws=12)


def test_a_declared_space_survives_the_files_of_keras_tuner(keras_tuner):
    space = load_space(SPACES[0])
    hp = hyperparameters(keras_tuner, space)
    again = keras_tuner.HyperParameters.from_config(hp.get_config())
    assert again.values == hp.values
    assert [found.conditions for found in again.space] == [found.conditions for found in hp.space]
