"""The pure training step of one network structure, in ``keras.ops``: no variable is read or written.

That lets one compilation serve many folds, seeds and trials, and a later ``vmap`` train many candidates at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from automl_pheno.data.encode import one_hot_table
from automl_pheno.networks import build_for_training, dropout_places
from automl_pheno.space.config import FitConfig, ModelConfig
from automl_pheno.space.size import channels
from automl_pheno.training.optimizers import OPTIMIZERS

Tensor = Any
State = tuple[list[Tensor], list[Tensor], list[tuple[Tensor, ...]], Tensor]
"""Trainable weights, non-trainable weights, optimizer slots, number of steps done (float32).

With ``precision: mixed_float16`` the last is a vector: steps done, scale of the loss, steps since the scale was last
changed."""

FIRST_SCALE = 2.0**15
GROW_AFTER = 2000
"""Of the dynamic scale of the loss (Micikevicius et al. 2018), as in Keras: gradients of float16 layers vanish below
6e-8, so the loss is multiplied by a scale, which is doubled after so many finite steps and halved when a gradient
overflows; that step is left out."""

HYPER = (
    "momentum", "nesterov", "beta_1", "beta_2", "rho", "weight_decay", "clip_norm", "l1", "l2", "gate_l1",
    "huber_delta",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What needs a compilation of its own. Two configurations with the same structure share one.

    Attributes
    ----------
    config
        The configuration with every value that is a variable set to a fixed one.
    width
        Length in bp, or number of variants.
    weighted
        Whether samples have weights in the loss: then ``y`` has them as its second column.
    """

    config: ModelConfig
    width: int
    weighted: bool = False

    @property
    def columns(self) -> int:
        """Values of a stored row: a code a base, or every channel of every variant."""
        return self.width if self.config.input == "sequence" else self.width * channels(self.config)

    @classmethod
    def of(cls, config: ModelConfig, width: int, *, weighted: bool = False) -> Structure:
        """Return the structure of `config`."""

        def rated(block: Any) -> Any:
            rate = getattr(block, "dropout", None)
            return block if rate is None else block.model_copy(update={"dropout": 0.5 if rate > 0 else 0.0})

        fit = config.fit
        fixed = FitConfig(
            loss=fit.loss,
            optimizer=fit.optimizer,
            batch_size=fit.batch_size,
            clip_norm=1.0 if fit.clip_norm > 0 else 0.0,
            l1=1.0 if fit.l1 > 0 else 0.0,
            l2=1.0 if fit.l2 > 0 else 0.0,
            gate_l1=1.0 if fit.gate_l1 > 0 else 0.0,
            precision=fit.precision,
        )
        changes = {
            "name": "structure",
            "trunk": tuple(map(rated, config.trunk)),
            "head": tuple(map(rated, config.head)),
            "fit": fixed,
        }
        return cls(config=config.model_copy(update=changes), width=width, weighted=weighted)


def hyper_values(config: ModelConfig) -> dict[str, np.float32]:
    """Return the values that vary within a structure, by name."""
    return {name: np.float32(getattr(config.fit, name)) for name in HYPER}


def dropout_rates(config: ModelConfig) -> list[float]:
    """Return the positive dropout rates in the order of the layers."""
    return [rate for rate in dropout_places(config) if rate > 0]


class Program:
    """The pure functions of one structure.

    Parameters
    ----------
    structure
        Network and the constant part of its training.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.model: keras.Model = build_for_training(structure.config, structure.width)
        self._kernels = [v.path.endswith("kernel") for v in self.model.trainable_variables]
        self._gates = ["position_gate" in v.path and v.path.endswith("gamma") for v in self.model.trainable_variables]
        self._optimizer = OPTIMIZERS[structure.config.fit.optimizer]
        self._scaled = structure.config.fit.precision == "mixed_float16"
        self._table = one_hot_table() if structure.config.input == "sequence" else None

    @property
    def batch_size(self) -> int:
        """Samples a step."""
        return self.structure.config.fit.batch_size

    def initial_state(self, rates: list[float], rng: np.random.Generator) -> State:
        """Return fresh weights as NumPy arrays: kernels Glorot uniform (Glorot and Bengio 2010), the rest as built.

        They are drawn by `rng`, so a seed gives the same start on each backend.
        """
        trainable = []
        for variable, is_kernel in zip(self.model.trainable_variables, self._kernels, strict=True):
            if is_kernel:
                *receptive, fan_in, fan_out = variable.shape
                limit = np.sqrt(6.0 / (np.prod(receptive, initial=1.0) * (fan_in + fan_out)))
                trainable.append(rng.uniform(-limit, limit, variable.shape).astype(np.float32))
            else:
                name = variable.path.rsplit("/", 1)[-1]
                trainable.append(np.full(variable.shape, 1.0 if name == "gamma" else 0.0, np.float32))
        remaining = iter(rates)
        non_trainable: list[Any] = []
        for variable in self.model.non_trainable_variables:
            name = variable.path.rsplit("/", 1)[-1]
            if name == "rate":
                non_trainable.append(np.float32(next(remaining)))
            elif name == "seed_generator_state":
                seed = rng.integers(0, 2**31 - 1, size=variable.shape)
                non_trainable.append(seed.astype(keras.backend.standardize_dtype(variable.dtype)))
            else:
                non_trainable.append(np.full(variable.shape, 1.0 if name == "moving_variance" else 0.0, np.float32))
        slots = [tuple(np.zeros_like(w) for _ in range(self._optimizer.slots)) for w in trainable]
        counters = np.array([0.0, FIRST_SCALE, 0.0], np.float32) if self._scaled else np.float32(0)
        return trainable, non_trainable, slots, counters

    def initial_state_like(self) -> State:
        """Return a state with the shapes and types of every state of this structure."""
        return self.initial_state(dropout_rates(self.structure.config), np.random.default_rng(0))

    def encode(self, values: Tensor) -> Tensor:
        """Return network inputs from stored rows: codes to base probabilities, or genotypes with their channels."""
        if self._table is None:
            return ops.reshape(values, (-1, self.structure.width, channels(self.structure.config)))
        return ops.take(self._table, ops.cast(values, "int32"), axis=0)

    def loss(
        self, trainable: list[Tensor], non_trainable: list[Tensor], hyper: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the mean loss without penalties, each sample by its weight, and the new non-trainable weights."""
        weights = None
        if self.structure.weighted:
            y, weights = y[:, 0], y[:, 1]
        outputs, updated = self.model.stateless_call(trainable, non_trainable, self.encode(x), training=True)
        error = outputs[:, 0] - y
        kind = self.structure.config.fit.loss
        if kind == "mse":
            each = error * error
        elif kind == "mae":
            each = ops.abs(error)
        else:
            size, delta = ops.abs(error), hyper["huber_delta"]
            each = ops.where(size <= delta, 0.5 * error * error, delta * (size - 0.5 * delta))
        return ops.mean(each if weights is None else weights * each), updated

    def objective(
        self, trainable: list[Tensor], state: State, hyper: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, tuple[Tensor, list[Tensor]]]:
        """Return what is to be differentiated by `trainable`, those of `state`, and what `loss` returns."""
        loss, updated = self.loss(trainable, state[1], hyper, x, y)
        return (loss * state[3][1] if self._scaled else loss), (loss, updated)

    def apply(
        self, state: State, gradients: list[Tensor], non_trainable: list[Tensor], hyper: dict[str, Tensor], rate: Tensor
    ) -> State:
        """Return the state after one update with `gradients` of the objective."""
        if not self._scaled:
            return self._update(state, gradients, non_trainable, hyper, rate)
        trainable, old_non_trainable, slots, counters = state
        steps, scale, since = counters[0], counters[1], counters[2]
        gradients = [g / scale for g in gradients]
        finite = ops.all(ops.stack([ops.all(ops.isfinite(g)) for g in gradients]))
        old = (trainable, old_non_trainable, slots, steps)
        new = self._update(old, gradients, non_trainable, hyper, rate)

        def kept(new: Tensor, old: Tensor) -> Tensor:
            return ops.where(finite, new, old)

        grown = since + 1.0 >= GROW_AFTER
        scale = ops.where(finite, ops.where(grown, 2.0 * scale, scale), ops.maximum(0.5 * scale, 1.0))
        since = ops.where(ops.logical_and(finite, ops.logical_not(grown)), since + 1.0, 0.0)
        return (
            list(map(kept, new[0], old[0])),
            list(map(kept, new[1], old[1])),
            [tuple(map(kept, *pair)) for pair in zip(new[2], old[2], strict=True)],
            ops.stack([kept(new[3], steps), scale, since]),
        )

    def _update(
        self, state: State, gradients: list[Tensor], non_trainable: list[Tensor], hyper: dict[str, Tensor], rate: Tensor
    ) -> State:
        trainable, _, slots, step = state
        fit = self.structure.config.fit
        step = step + 1.0
        if fit.l2 > 0:
            pairs = zip(gradients, trainable, self._kernels, strict=True)
            gradients = [g + 2.0 * hyper["l2"] * w if is_kernel else g for g, w, is_kernel in pairs]
        if fit.l1 > 0:
            pairs = zip(gradients, trainable, self._kernels, strict=True)
            gradients = [g + hyper["l1"] * ops.sign(w) if is_kernel else g for g, w, is_kernel in pairs]
        if fit.gate_l1 > 0:
            triples = zip(gradients, trainable, self._gates, strict=True)
            gradients = [g + hyper["gate_l1"] / w.shape[0] * ops.sign(w) if is_gate else g for g, w, is_gate in triples]
        if fit.clip_norm > 0:
            norm = ops.sqrt(sum(ops.sum(g * g) for g in gradients))
            shrink = hyper["clip_norm"] / ops.maximum(norm, hyper["clip_norm"])
            gradients = [g * shrink for g in gradients]
        updated = [
            self._optimizer.update(w, g, s, step, rate, hyper)
            for w, g, s in zip(trainable, gradients, slots, strict=True)
        ]
        return [w for w, _ in updated], non_trainable, [s for _, s in updated], step

    def forward(self, trainable: list[Tensor], non_trainable: list[Tensor], x: Tensor) -> Tensor:
        """Return predictions in training-set sd, shape (n,)."""
        outputs, _ = self.model.stateless_call(trainable, non_trainable, self.encode(x), training=False)
        return outputs[:, 0]
