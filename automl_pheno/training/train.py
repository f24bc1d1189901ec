"""The training loop: epochs, early stopping that restores the best weights, reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_pheno.errors import TrainingError
from automl_pheno.keras_settings import held_settings
from automl_pheno.space.config import ModelConfig
from automl_pheno.space.size import channels
from automl_pheno.training.backend import compiled
from automl_pheno.training.checkpoint import Checkpoint
from automl_pheno.training.program import Structure, dropout_rates, hyper_values
from automl_pheno.training.schedule import learning_rate

Array = np.ndarray[Any, Any]
Monitor = Callable[[Array], Mapping[str, float]]
"""Validation predictions -> values to report; the one called ``monitor`` decides, higher is better."""

_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingData:
    """Rows ready for the device.

    Attributes
    ----------
    x, y
        Training rows, uint8 codes (n, length) or float32 coded genotypes (n, n_variants x channels), the channels of a
        variant side by side; and the trait in sd, float32 (n,).
    validation
        Rows of the same form that are predicted after each epoch; may be empty, of shape (0, columns).
    weights
        Of the training samples in the loss, float32 (n,), mean 1; None is 1 for all.
    """

    x: Array
    y: Array
    validation: Array
    weights: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingResult:
    """Outcome of a training.

    Attributes
    ----------
    weights
        Kept weights, trainable and non-trainable in the order of ``build(config, width).weights``.
    predict
        Function from rows to predictions in sd with the kept weights, float64 (n,).
    curve
        One mapping an epoch.
    best_epoch
        Epoch whose weights were kept, counting from 1.
    stopped
        ``early``, ``max_epochs`` or ``pruned``.
    began
        Epochs of `curve` that an earlier training had done.
    checkpoint
        To go on from; None unless it was asked for.
    """

    weights: list[Array]
    predict: Callable[[Array], Array]
    curve: tuple[Mapping[str, float], ...]
    best_epoch: int
    stopped: str
    began: int = 0
    checkpoint: Checkpoint | None = None


@held_settings()
def train(
    config: ModelConfig,
    data: TrainingData,
    *,
    rng: np.random.Generator,
    epochs: int | None = None,
    monitor: Monitor | None = None,
    report: Callable[[int, Mapping[str, float]], bool] | None = None,
    until: int | None = None,
    start: Checkpoint | None = None,
) -> TrainingResult:
    """Train one network.

    Parameters
    ----------
    config
        Network and training. The learning-rate schedule always spans ``config.fit.max_epochs``.
    data
        Training rows and the rows to monitor.
    rng
        Draws the initial weights, the dropout and the order of the samples.
    epochs
        Train this many epochs and keep the last weights; by default up to ``max_epochs``, keeping the best.
    monitor
        Judges the validation predictions; needed unless `epochs` is given.
    report
        Called after each epoch (from 1) with ``loss`` and the monitor's values; returns whether to stop. Epochs of
        `start` are told first.
    until
        Break off after this epoch, with a `Checkpoint` to go on from.
    start
        Go on from here: all that follows, the random numbers too, is as if the training had not been broken off. One
        of a network of other shapes is not used.

    Raises
    ------
    TrainingError
        The loss or a prediction is not finite.
    """
    if epochs is None and monitor is None:
        msg = "training needs a monitor or a fixed number of epochs"
        raise TypeError(msg)
    width = data.x.shape[1] // (channels(config) if config.input == "genotype" else 1)
    program, backend = compiled(Structure.of(config, width, weighted=data.weights is not None))
    fresh = program.initial_state(dropout_rates(config), rng)
    if start is not None and not start.fits(fresh):
        start = None
    state = backend.put_state(fresh if start is None else start.state)
    hyper = hyper_values(config)
    target = data.y if data.weights is None else np.column_stack([data.y, data.weights])
    x, y = backend.put(data.x), backend.put(target)
    chunks = backend.put(_chunk(data.validation))
    best_state, best_value, best_epoch = state, -math.inf, 0
    curve: list[Mapping[str, float]] = []
    stopped = "max_epochs"
    if start is not None:
        best_state, best_value, best_epoch = _best_state(backend, start), start.best_value, start.best_epoch
        curve, stopped = _tell_again(start, report), _stopped_before(start, config.fit.patience)
        rng.bit_generator.state = dict(start.rng)
    last = epochs or min(config.fit.max_epochs, until or config.fit.max_epochs)
    for epoch in range(len(curve) + 1, last + 1 if stopped == "max_epochs" else 0):
        rates = (learning_rate(config.fit, epoch - 1), learning_rate(config.fit, epoch))
        state, loss, predictions = backend.epoch(state, hyper, rates, int(rng.integers(2**62)), x, y, chunks)
        if not math.isfinite(loss):
            msg = f"the training loss was {loss} at epoch {epoch} (learning rate {rates[0]:.3g})"
            raise TrainingError(msg)
        values: dict[str, float] = {"epoch": epoch, "loss": loss}
        if monitor is not None:
            flat = predictions.reshape(-1)[: len(data.validation)].astype(np.float64)
            if not np.isfinite(flat).all():
                msg = f"a validation prediction was not finite at epoch {epoch}"
                raise TrainingError(msg)
            values.update(monitor(flat))
        value = values.pop("monitor", float(epoch))
        curve.append(values)
        if epochs is not None or value > best_value:
            best_state, best_value, best_epoch = state, value, epoch
        stop = report is not None and report(epoch, values)
        if epochs is None and epoch - best_epoch >= config.fit.patience:
            stopped = "early"
            break
        if stop and epoch < last:  # at its end it is finished all the same
            stopped = "pruned"
            break

    def predict(rows: Array) -> Array:
        flat = backend.predict(best_state, backend.put(_chunk(rows))).reshape(-1)
        return flat[: len(rows)].astype(np.float64)

    return TrainingResult(
        weights=_plain_weights(program.model, best_state),
        predict=predict,
        curve=tuple(curve),
        best_epoch=best_epoch,
        stopped=stopped,
        began=0 if start is None else start.epoch,
        checkpoint=None if until is None else _checkpoint(state, best_state, best_value, best_epoch, curve, rng),
    )


def _checkpoint(
    state: Any,
    best_state: Any,
    best_value: float,
    best_epoch: int,
    curve: Sequence[Mapping[str, float]],
    rng: np.random.Generator,
) -> Checkpoint:
    trainable, non_trainable, slots, step = state
    return Checkpoint(
        state=(
            [np.asarray(value) for value in trainable],
            [np.asarray(value) for value in non_trainable],
            [tuple(np.asarray(value) for value in pair) for pair in slots],
            np.asarray(step),
        ),
        best=([np.asarray(value) for value in best_state[0]], [np.asarray(value) for value in best_state[1]]),
        best_value=best_value,
        best_epoch=best_epoch,
        curve=tuple(curve),
        rng=rng.bit_generator.state,
    )


def _best_state(backend: Any, start: Checkpoint) -> Any:
    """Return a state with the weights of the best epoch; no training goes on from it."""
    return backend.put_state((list(start.best[0]), list(start.best[1]), start.state[2], start.state[3]))


def _tell_again(
    start: Checkpoint, report: Callable[[int, Mapping[str, float]], bool] | None
) -> list[Mapping[str, float]]:
    for epoch, values in enumerate(start.curve, start=1):
        if report is not None:
            report(epoch, values)
    return list(start.curve)


def _stopped_before(start: Checkpoint, patience: int) -> str:
    return "early" if start.epoch - start.best_epoch >= patience else "max_epochs"


def _chunk(rows: Array) -> Array:
    """Return the rows as (n_chunks, chunk, width), at least one chunk, the last one filled up with zeros."""
    n, width = rows.shape
    size = min(_CHUNK, max(n, 1))
    missing = max(-n % size, size - n)
    filler = np.zeros((missing, width), rows.dtype)
    return np.concatenate([rows, filler]).reshape(-1, size, width)


def _plain_weights(model: Any, state: Any) -> list[Array]:
    values = dict(zip((v.path for v in model.trainable_variables), state[0], strict=True))
    values.update(zip((v.path for v in model.non_trainable_variables), state[1], strict=True))
    kept = (v.path for v in model.weights if v.path.rsplit("/", 1)[-1] not in ("rate", "seed_generator_state"))
    return [np.asarray(values[path]) for path in kept]
