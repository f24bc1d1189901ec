import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from automl_pheno.space import (
    Choice,
    FloatRange,
    IntRange,
    default_values,
    from_keras_tuner,
    from_optuna,
    from_rng,
    from_values,
    load_space,
    parameters,
    parse_space,
    sample,
)

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
EVERY_KIND = parse_space("""\
trunk:
  - block: conv
    repeat: {min: 1, max: 3}
    per_layer: [kernel_size]
    filters: {min: 4, max: 64, log: true}
    kernel_size: {min: 3, max: 9, step: 2}
    activation: {values: [relu, gelu], default: gelu}
    dropout: {min: 0.0, max: 0.5, step: 0.1}
  - block: flatten
fit:
  optimizer: {values: [adam, sgd], default: sgd}
  nesterov: {values: [true, false], default: false, when: {optimizer: sgd}}
  l1: {values: [0.0, 0.5]}
  l2: {min: 1e-6, max: 1e-2, log: true}
  momentum: {min: 0.0, max: 0.9}
""")


@pytest.fixture(scope="module")
def optuna():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@pytest.mark.parametrize("space", [EVERY_KIND, *map(load_space, SPACES)], ids=lambda space: space.name)
def test_optuna_gets_the_same_names_and_limits(optuna, space):
    limits_of = {p.name: p.range for p in parameters(space)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        trial = study.ask()
        config = sample(space, from_optuna(trial))
        assert sample(space, from_values(trial.params)) == config
        for name, distribution in trial.distributions.items():
            limits = limits_of[name]
            if isinstance(limits, Choice):
                assert distribution == optuna.distributions.CategoricalDistribution(limits.values)
            elif isinstance(limits, IntRange):
                expected = optuna.distributions.IntDistribution(
                    limits.min, limits.max, log=limits.log, step=limits.step or 1
                )
                assert distribution == expected
            else:
                expected = optuna.distributions.FloatDistribution(
                    limits.min, limits.max, log=limits.log, step=limits.step
                )
                assert distribution == expected
        study.tell(trial, 0.0)


def test_optuna_tries_the_default_when_it_is_enqueued(optuna):
    space = load_space(SPACES[0])
    study = optuna.create_study()
    study.enqueue_trial(default_values(space))
    trial = study.ask()
    assert sample(space, from_optuna(trial)) == sample(space, from_values(default_values(space)))


def test_numpy_generators_draw_too():
    configs = {sample(EVERY_KIND, from_rng(np.random.default_rng(seed))).model_dump_json() for seed in range(5)}
    assert len(configs) == 5


class RecordingHp:
    """Answers like ``keras_tuner.HyperParameters`` with the default, and keeps what was asked."""

    def __init__(self):
        self.asked = {}

    def Choice(self, name, values, default):  # noqa: N802 - KerasTuner's name
        self.asked[name] = ("Choice", tuple(values))
        return int(default) if isinstance(default, bool) else default

    def Boolean(self, name, default):  # noqa: N802
        self.asked[name] = ("Boolean", None)
        return default

    def Int(self, name, min_value, max_value, step, sampling, default):  # noqa: N802
        self.asked[name] = ("Int", (min_value, max_value, step, sampling))
        return default

    def Float(self, name, min_value, max_value, step, sampling, default):  # noqa: N802
        self.asked[name] = ("Float", (min_value, max_value, step, sampling))
        return default


def test_keras_tuner_is_asked_in_its_own_words():
    hp = RecordingHp()
    config = sample(EVERY_KIND, from_keras_tuner(hp))
    assert config == sample(EVERY_KIND, from_values(default_values(EVERY_KIND)))
    assert hp.asked["trunk.0.filters"] == ("Int", (4, 64, None, "log"))
    assert hp.asked["trunk.0.kernel_size.1"] == ("Int", (3, 9, 2, "linear"))
    assert hp.asked["trunk.0.dropout"] == ("Float", (0.0, 0.5, 0.1, "linear"))
    assert hp.asked["fit.l2"] == ("Float", (1e-6, 1e-2, None, "log"))
    assert hp.asked["fit.nesterov"] == ("Boolean", None)
    assert hp.asked["trunk.0.activation"] == ("Choice", ("relu", "gelu"))


KERAS_TUNER = """
import json, random, sys
import keras_tuner
from automl_pheno.space import *

space = parse_space(sys.stdin.read())
hp = keras_tuner.HyperParameters()
config = sample(space, from_keras_tuner(hp))
assert config == sample(space, from_values(default_values(space)))
limits = {}
for found in hp.space:
    c = found.get_config()
    keys = ("min_value", "max_value", "step", "sampling", "values")
    limits[c["name"]] = [type(found).__name__, *map(c.get, keys)]
rng = random.Random(0)
for _ in range(200):
    hp.values = {found.name: found.random_sample(rng.randrange(10**6)) for found in hp.space}
    config = sample(space, from_keras_tuner(hp))
    assert config == sample(space, from_values(hp.values))
print(json.dumps(limits))
"""


@pytest.mark.slow  # imports TensorFlow, through KerasTuner
def test_keras_tuner_gets_the_same_names_and_limits():
    import yaml

    done = subprocess.run(
        [sys.executable, "-c", KERAS_TUNER],
        input=yaml.safe_dump(EVERY_KIND.tree(), sort_keys=False),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    limits_of = {p.name: p.range for p in parameters(EVERY_KIND)}
    assert set(found) <= set(limits_of)
    for name, (kind, low, high, step, sampling, values) in found.items():
        limits = limits_of[name]
        if isinstance(limits, Choice):
            assert kind == "Boolean" or tuple(values) == limits.values
            continue
        assert kind == ("Float" if isinstance(limits, FloatRange) else "Int")
        assert (low, high) == (limits.min, limits.max)
        assert sampling == ("log" if limits.log else "linear")
        assert step == limits.step or (limits.step is None and not limits.log and step == 1)


def test_the_room_imports_neither_engine_nor_arrays():
    code = (
        "import sys, automl_pheno.space\n"
        "print([m for m in ('optuna', 'keras_tuner', 'keras', 'tensorflow', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
