import keras
import numpy as np
import pytest

from automl_pheno.training.optimizers import OPTIMIZERS

HYPER = {"beta_1": 0.8, "beta_2": 0.95, "momentum": 0.7, "rho": 0.85, "weight_decay": 0.02, "nesterov": 0.0}
TWINS = {
    "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.8, beta_2=0.95),
    "adamw": lambda: keras.optimizers.AdamW(0.01, beta_1=0.8, beta_2=0.95, weight_decay=0.02),
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.7),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, rho=0.85, momentum=0.7),
}


def run(name: str, hyper: dict[str, float], gradients: np.ndarray) -> np.ndarray:
    weight = np.array([1.0, -2.0, 3.0], "float32")
    slots = tuple(np.zeros(3, "float32") for _ in range(OPTIMIZERS[name].slots))
    values = {key: np.float32(value) for key, value in hyper.items()}
    for step, gradient in enumerate(gradients, start=1):
        weight, slots = OPTIMIZERS[name].update(weight, gradient, slots, np.float32(step), np.float32(0.01), values)
    return np.asarray(weight)


GRADIENTS = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")


@pytest.mark.parametrize("name", TWINS)
def test_every_optimizer_does_what_that_of_keras_does(name: str) -> None:
    variable = keras.Variable([1.0, -2.0, 3.0])
    twin = TWINS[name]()
    for gradient in GRADIENTS:
        twin.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    np.testing.assert_allclose(run(name, HYPER, GRADIENTS), variable.numpy(), atol=2e-5)


def test_nesterov_does_what_that_of_keras_does() -> None:
    variable = keras.Variable([1.0, -2.0, 3.0])
    twin = keras.optimizers.SGD(0.01, momentum=0.7, nesterov=True)
    for gradient in GRADIENTS:
        twin.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    mine = run("sgd", {**HYPER, "nesterov": 1.0}, GRADIENTS)
    np.testing.assert_allclose(mine, variable.numpy(), atol=2e-5)


def test_every_optimizer_of_the_space_is_there() -> None:
    from typing import get_args

    from automl_pheno.space.config import FitConfig

    assert set(OPTIMIZERS) == set(get_args(FitConfig.model_fields["optimizer"].annotation))
