"""Build the network that a configuration describes: what the YAML says is what is built."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras

from automl_pheno.networks.blocks import BUILDERS, Parts, plain_parts
from automl_pheno.networks.twin import PositionGate, VariableDropout
from automl_pheno.space.config import FlattenBlock, ModelConfig
from automl_pheno.space.size import channels


def build(config: ModelConfig, width: int) -> keras.Model:
    """Return a plain ``keras.Model`` with untrained weights.

    Parameters
    ----------
    config
        The network; check it with ``space.network_size`` first, which gives reasons when it is impossible.
    width
        Length in bp, or number of variants.

    Returns
    -------
    Model from (n, width, 4) base probabilities, or (n, width, channels) coded genotypes (additive: 1 channel, the
    standardised dosage; dominance: 2; one_hot: 3), to (n, 1) trait values in training-set sd. Only layers of Keras: it
    loads without this package. It computes in float32 whatever ``fit.precision`` it was trained in, so that it gives
    the same numbers on every machine.
    """
    return _build(config, width, plain_parts())


def build_for_training(config: ModelConfig, width: int) -> keras.Model:
    """Return the same network, its weights in the same order, made for training.

    Dropout rates are non-trainable weights, so that networks that differ only in them share one compilation. All layers
    but the last one compute in ``fit.precision``; weights are float32.
    """
    precision = config.fit.precision
    parts = Parts(
        dropout=partial(VariableDropout, dtype=precision),
        gate=partial(PositionGate, dtype=precision),
        precision=precision,
    )
    return _build(config, width, parts)


def dropout_places(config: ModelConfig) -> tuple[float, ...]:
    """Return the rate of the dropout that follows each block, trunk and head, 0 for none.

    A maximum over values of which some are dropped and the others scaled up is larger than the maximum without
    dropout, the more so the more values there are: a network trained with the one is off in scale with the other. So
    where a trunk ends in a maximum over all positions, what its blocks drop is dropped behind that, whole filters, all
    together: ``1 - (1 - a)(1 - b)``.
    """
    blocks = (*config.trunk, *config.head)
    rates = [float(getattr(block, "dropout", 0.0)) for block in blocks]
    ends = [i for i, block in enumerate(blocks) if isinstance(block, FlattenBlock) and block.pooling == "max"]
    for i in range(ends[0] if ends else 0):
        rates[i + 1] += rates[i] * (1.0 - rates[i + 1])
        rates[i] = 0.0
    return tuple(rates)


def average(models: Sequence[keras.Model]) -> keras.Model:
    """Return one plain model whose output is the mean of those of `models`, which read the same inputs."""
    inputs = keras.Input(models[0].input.shape[1:], dtype="float32", name="input")
    outputs = []
    for number, model in enumerate(models):
        model.name = f"member_{number}"
        outputs.append(model(inputs))
    return keras.Model(inputs, keras.layers.Average(name="mean", dtype="float32")(outputs), name="ensemble")


def _build(config: ModelConfig, width: int, parts: Parts) -> keras.Model:
    inputs = keras.Input((width, channels(config)), dtype="float32", name="input")
    tensor = inputs
    for block, rate in zip((*config.trunk, *config.head), dropout_places(config), strict=True):
        tensor = BUILDERS[block.block](tensor, block, parts)
        if rate > 0:
            tensor = parts.dropout(rate)(tensor)
    outputs = keras.layers.Dense(1, name="trait", dtype="float32")(tensor)
    return keras.Model(inputs, outputs, name="network")
