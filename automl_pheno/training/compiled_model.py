"""The same training by ``keras.Model.compile`` and ``fit``, for people who bring a loop of their own (KerasTuner)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from automl_pheno.keras_settings import held_settings
from automl_pheno.networks import build
from automl_pheno.space.config import FitConfig, ModelConfig
from automl_pheno.training.schedule import learning_rate


@keras.saving.register_keras_serializable(package="automl_pheno")
class PearsonR(keras.metrics.Metric):  # type: ignore[misc]  # keras has no type information
    """Pearson r of all samples of an epoch; 0 where either side is constant."""

    def __init__(self, name: str = "pearson_r", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._moments = self.add_variable((6,), initializer="zeros", name="moments")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; each sample counts by its weight."""
        y = ops.reshape(ops.cast(y_true, self.dtype), (-1,))
        p = ops.reshape(ops.cast(y_pred, self.dtype), (-1,))
        w = ops.ones_like(y) if sample_weight is None else ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))
        sums = [w, w * y, w * p, w * y * y, w * p * p, w * y * p]
        self._moments.assign_add(ops.stack([ops.sum(each) for each in sums]))

    def result(self) -> Any:
        """Return the correlation of the samples so far."""
        n, y, p, yy, pp, yp = (self._moments[i] for i in range(6))
        spread = ops.maximum(n * yy - y * y, 0.0) * ops.maximum(n * pp - p * p, 0.0)
        return ops.where(spread > 0, (n * yp - y * p) / ops.sqrt(ops.where(spread > 0, spread, 1.0)), 0.0)


class LearningRate(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no type information
    """Sets the learning rate of each step, over ``max_epochs`` whatever the number of epochs trained.

    Parameters
    ----------
    fit
        Schedule and warm-up.
    """

    def __init__(self, fit: FitConfig) -> None:
        super().__init__()
        self._fit = fit
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        del logs
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate: within an epoch a straight line, as in the compiled epoch."""
        del logs
        first, last = learning_rate(self._fit, self._epoch), learning_rate(self._fit, self._epoch + 1)
        steps = (self.params or {}).get("steps") or 0
        self.model.optimizer.learning_rate = first + (last - first) * (batch / steps if steps else 0.0)


@held_settings()
def compiled_model(config: ModelConfig, width: int) -> keras.Model:
    """Return the plain network of a configuration, compiled: optimizer, loss, penalties, and metrics.

    Parameters
    ----------
    config
        Network and training.
    width
        Length in bp, or number of variants.

    Returns
    -------
    Model as of `build`, for a trait in training-set sd, shape (n,) or (n, 1). Its loss contains the penalties on the
    weights, as ever in Keras; ``mse``, ``mae`` and ``pearson_r`` do not.
    """
    fit = config.fit
    model = build(config, width)
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel") and (fit.l1 > 0 or fit.l2 > 0):
            variable.regularizer = keras.regularizers.L1L2(l1=fit.l1, l2=fit.l2)
        elif fit.gate_l1 > 0 and _is_gate(model, variable):
            variable.regularizer = keras.regularizers.L1(fit.gate_l1 / variable.shape[0])
    losses = {"mse": "mse", "mae": "mae", "huber": keras.losses.Huber(delta=fit.huber_delta)}
    model.compile(optimizer=_optimizer(fit), loss=losses[fit.loss], metrics=["mse", "mae", PearsonR()])
    return model


@held_settings()
def fit_compiled(
    config: ModelConfig, model: keras.Model, *args: Any, callbacks: Sequence[Any] = (), monitor: str, **options: Any
) -> Any:
    """Return ``model.fit`` with the batch size, epochs, learning-rate schedule and patience of `config`.

    Parameters
    ----------
    config
        Of `compiled_model`.
    model
        Compiled.
    args, options
        Of ``keras.Model.fit``; ``batch_size`` and ``epochs`` among them take the place of those of `config`.
    callbacks
        Further ones.
    monitor
        What early stopping watches, where there are validation data: ``val_mse`` ...
    """
    fit = config.fit
    options.setdefault("batch_size", fit.batch_size)
    options.setdefault("epochs", fit.max_epochs)
    ours: list[Any] = [LearningRate(fit)]
    if "validation_data" in options or options.get("validation_split"):
        mode = "max" if monitor.endswith("pearson_r") else "min"
        ours.append(keras.callbacks.EarlyStopping(monitor, patience=fit.patience, mode=mode, restore_best_weights=True))
    return model.fit(*args, callbacks=[*ours, *callbacks], **options)


def _is_gate(model: keras.Model, variable: Any) -> bool:
    return any(
        isinstance(layer, keras.layers.BatchNormalization) and layer.axis == 1 and variable is layer.gamma
        for layer in model.layers
    )


def _optimizer(fit: FitConfig) -> Any:
    common = {
        "learning_rate": learning_rate(fit, 0),
        "global_clipnorm": fit.clip_norm if fit.clip_norm > 0 else None,
    }
    make = keras.optimizers
    if fit.optimizer == "sgd":
        return make.SGD(momentum=fit.momentum, nesterov=fit.nesterov, **common)
    if fit.optimizer == "rmsprop":
        return make.RMSprop(rho=fit.rho, momentum=fit.momentum, **common)
    if fit.optimizer == "adamw":
        return make.AdamW(weight_decay=fit.weight_decay, beta_1=fit.beta_1, beta_2=fit.beta_2, **common)
    return make.Adam(beta_1=fit.beta_1, beta_2=fit.beta_2, **common)
