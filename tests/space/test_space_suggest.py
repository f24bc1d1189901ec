import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from automl_pheno.space import (
    Choice,
    IntRange,
    default_values,
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


def test_the_room_imports_neither_engine_nor_arrays():
    code = (
        "import sys, automl_pheno.space\n"
        "print([m for m in ('optuna', 'keras_tuner', 'keras', 'tensorflow', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
