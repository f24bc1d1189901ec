"""Optimizers as pure functions of their hyperparameters, so that one compilation serves every value of them.

``keras.optimizers`` keeps momentum and betas as Python constants inside the graph; each new value would compile anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from automl_pheno.registry import Registry

Tensor = Any
Hyper = Mapping[str, Tensor]
# (weight, gradient, slots, step counting from 1, learning rate, hyper) -> (new weight, new slots)
Update = Callable[[Tensor, Tensor, tuple[Tensor, ...], Tensor, Tensor, Hyper], tuple[Tensor, tuple[Tensor, ...]]]

_EPSILON = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """Number of slots (tensors of the shape of a weight, starting at 0) and the update."""

    slots: int
    update: Update


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")


def _adam(
    weight: Tensor, gradient: Tensor, slots: tuple[Tensor, ...], step: Tensor, rate: Tensor, hyper: Hyper
) -> tuple[Tensor, tuple[Tensor, ...]]:
    # Kingma and Ba 2015, with the bias corrections folded into the rate
    first, second = slots
    beta_1, beta_2 = hyper["beta_1"], hyper["beta_2"]
    first = beta_1 * first + (1.0 - beta_1) * gradient
    second = beta_2 * second + (1.0 - beta_2) * gradient * gradient
    rate = rate * ops.sqrt(1.0 - ops.power(beta_2, step)) / (1.0 - ops.power(beta_1, step))
    return weight - rate * first / (ops.sqrt(second) + _EPSILON), (first, second)


def _adamw(
    weight: Tensor, gradient: Tensor, slots: tuple[Tensor, ...], step: Tensor, rate: Tensor, hyper: Hyper
) -> tuple[Tensor, tuple[Tensor, ...]]:
    # Loshchilov and Hutter 2019: the decay does not pass through the moments
    return _adam(weight * (1.0 - rate * hyper["weight_decay"]), gradient, slots, step, rate, hyper)


def _sgd(
    weight: Tensor, gradient: Tensor, slots: tuple[Tensor, ...], step: Tensor, rate: Tensor, hyper: Hyper
) -> tuple[Tensor, tuple[Tensor, ...]]:
    del step
    momentum, nesterov = hyper["momentum"], hyper["nesterov"]
    velocity = momentum * slots[0] - rate * gradient
    ahead = momentum * velocity - rate * gradient
    return weight + nesterov * ahead + (1.0 - nesterov) * velocity, (velocity,)


def _rmsprop(
    weight: Tensor, gradient: Tensor, slots: tuple[Tensor, ...], step: Tensor, rate: Tensor, hyper: Hyper
) -> tuple[Tensor, tuple[Tensor, ...]]:
    # Tieleman and Hinton 2012
    del step
    mean_square, velocity = slots
    mean_square = hyper["rho"] * mean_square + (1.0 - hyper["rho"]) * gradient * gradient
    velocity = hyper["momentum"] * velocity - rate * gradient / (ops.sqrt(mean_square) + _EPSILON)
    return weight + velocity, (mean_square, velocity)


OPTIMIZERS.add("adam")(Optimizer(slots=2, update=_adam))
OPTIMIZERS.add("adamw")(Optimizer(slots=2, update=_adamw))
OPTIMIZERS.add("sgd")(Optimizer(slots=1, update=_sgd))
OPTIMIZERS.add("rmsprop")(Optimizer(slots=2, update=_rmsprop))
