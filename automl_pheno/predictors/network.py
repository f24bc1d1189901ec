"""The searched network as a predictor: encoding and scaling learnt on training rows, training, files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.errors import PredictorError
from automl_pheno.keras_settings import held_settings
from automl_pheno.metrics import METRICS
from automl_pheno.networks import average, build
from automl_pheno.predictors.calibration import Calibration, Correction, scorable
from automl_pheno.predictors.coding import GenotypeCoder
from automl_pheno.predictors.epochs import CrossedEpochs
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Report
from automl_pheno.predictors.state import check_weights
from automl_pheno.space.config import ModelConfig
from automl_pheno.space.size import network_size
from automl_pheno.training import Checkpoint, TrainingData, TrainingResult, train

_CHUNK = 512


@PREDICTORS.add("network")
class NetworkPredictor:
    """A network of Keras, trained by `automl_pheno.training`.

    Parameters
    ----------
    config
        Network and training.
    metric
        Name in ``METRICS``; decides early stopping and is reported as ``val_<metric>``.
    epochs
        Train this many epochs and keep the last weights (the refit of a winner); by default the validation rows
        given to ``fit`` stop the training and choose the epoch.
    members
        Train so many networks from different starts; the prediction is their mean, and ``model`` one network that
        holds them all. The weights that happen to be last after a fixed number of epochs are a matter of luck.
    calibration
        What held-out rows said of the scale of such networks, for a fixed number of epochs.

    Attributes
    ----------
    y_mean, y_sd
        Mean and standard deviation of the training trait; the network predicts ``(y - y_mean) / y_sd``.
    units
        Maps trait and predictions to the units in which the metric judges an epoch, where the trait was transformed;
        None where it was not. Set before `fit`.
    until, start
        Break the training off after this epoch, and go on from here; see `training.train`. Set before `fit`, with one
        member; `start` is None afterwards if it did not fit.
    checkpoint
        What `fit` left to go on from, where `until` was set.
    """

    kind = "network"

    def __init__(
        self,
        config: ModelConfig,
        metric: str = "pearson_r",
        epochs: int | None = None,
        members: int = 1,
        calibration: Calibration | None = None,
    ) -> None:
        self.config = config
        self.members = members
        self.metric = metric
        self.epochs = epochs
        self.calibration = calibration
        self.y_mean = 0.0
        self.y_sd = 1.0
        self.units: Callable[[FloatArray], FloatArray] | None = None
        self.until: int | None = None
        self.start: Checkpoint | None = None
        self.checkpoint: Checkpoint | None = None
        self._width = 0
        self._coder: GenotypeCoder | None = None
        self._trained: list[TrainingResult] = []
        self._correction = Correction()
        self._model: keras.Model | None = None

    @held_settings()
    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,
        *,
        rng: np.random.Generator,
        report: Report | None = None,
    ) -> FitSummary:
        """Learn from `train`; see `Predictor.fit`.

        Then the last layer is corrected in scale and level (`Calibration`): by the rows that stopped the training, or
        by `calibration` where the number of epochs is fixed. Correlations stay what they are.

        Raises
        ------
        InfeasibleError
            The configuration cannot become a network for this width.
        TrainingError
            The loss was not finite.
        PredictorError
            The inputs are of another kind than the configuration, or validation rows are missing.
        """
        start = time.perf_counter()
        if train.inputs.kind != self.config.input:
            msg = f"the configuration reads {self.config.input} inputs, the data are {train.inputs.kind} inputs"
            raise PredictorError(msg)
        if validation is None and self.epochs is None:
            msg = "a network needs validation rows, or a fixed number of epochs"
            raise PredictorError(msg)
        self._width = train.inputs.width
        size = network_size(self.config, self._width)
        if not np.isfinite(train.y).all():
            msg = f"the training trait must be finite, got {int((~np.isfinite(train.y)).sum())} values that are not"
            raise PredictorError(msg)
        check_weights(train, self.kind)
        # the spread of a constant trait is 0, and so is what the network adds to the mean
        self.y_mean, self.y_sd = float(train.y.mean()), float(np.ptp(train.y) and train.y.std())
        if train.inputs.kind == "genotype":
            self._coder = GenotypeCoder.learn(train.inputs.values, self.config.coding)
        data = TrainingData(
            x=self._rows(train.inputs),
            y=self._scaled(train.y).astype(np.float32),
            validation=self._rows(validation.inputs if validation is not None else train.inputs.take(np.arange(0))),
            weights=None if train.weights is None else train.weights.astype(np.float32),
        )
        crossed = [CrossedEpochs.of(validation.groups) for _ in range(self.members)] if validation is not None else []
        self._trained = [
            train_network(self, data, validation, rng, report, crossed[number] if crossed else None)
            for number in range(self.members)
        ]
        result = self._trained[0]
        if crossed and result.began and self.start is not None and self.start.crossed is not None:
            crossed[0].after(*self.start.crossed)
        if crossed and result.checkpoint is not None:
            so_far = (crossed[0].best, crossed[0].output)
            result = replace(result, checkpoint=replace(result.checkpoint, crossed=so_far))
        self._model, self._correction = None, Correction()
        validated, seen = None, None
        if validation is not None and len(validation):
            output, observed = self._output(validation.inputs), self._scaled(validation.y)
            seen = Calibration.measure(observed, output, validation.groups)
            if self.epochs is None:  # else these rows are for the report alone
                apart = np.mean([each.output for each in crossed], axis=0)
                apart = np.where(np.isnan(apart), output, apart)  # of an older checkpoint no epoch may have followed
                validated = scorable(observed, apart, validation.groups) * self.y_sd + self.y_mean
        scale = seen if self.epochs is None else self.calibration
        if scale is not None:
            self._correction, self._model = scale.correction(), None
        self.start, self.checkpoint = self.start if result.began else None, result.checkpoint
        return FitSummary(
            weights=size.weights * self.members,
            seconds=time.perf_counter() - start,
            epochs=len(result.curve),
            best_epoch=result.best_epoch,
            curve=result.curve,
            stopped=result.stopped,
            chosen={} if self.until is None else {"initial_epoch": result.began},
            validated=validated,
            calibration=seen,
        )

    @held_settings()
    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        self._check(inputs)
        predictions: FloatArray = self._output(inputs) * self.y_sd + self.y_mean
        return predictions

    def _output(self, inputs: Inputs) -> FloatArray:
        """Return what `model` gives, in sd, float64, shape (n,)."""
        if self._trained and self.config.fit.precision == "float32":
            rows = self._rows(inputs)
            return self._correction(np.mean([result.predict(rows) for result in self._trained], axis=0))
        # loaded; or trained in another precision than the network that is kept computes in
        model = self.model
        chunks = [inputs.take(np.arange(i, min(i + _CHUNK, len(inputs)))) for i in range(0, len(inputs), _CHUNK)]
        outputs = [keras.ops.convert_to_numpy(model(self.encode(chunk), training=False)) for chunk in chunks]
        return np.concatenate(outputs)[:, 0].astype(np.float64) if outputs else np.zeros(0)

    def _scaled(self, y: FloatArray) -> FloatArray:
        return (y - self.y_mean) / (self.y_sd or 1.0)

    @property
    def backend(self) -> str:
        """Of Keras, in this process."""
        return str(keras.backend.backend())

    @property
    @held_settings()
    def model(self) -> keras.Model:
        """The fitted network, a plain ``keras.Model`` from `encode` (n, width, channels) to (n, 1) in sd."""
        if self._model is None:
            if not self._trained:
                msg = "this network is not fitted yet"
                raise PredictorError(msg)
            models = []
            for result in self._trained:
                models.append(build(self.config, self._width))
                models[-1].set_weights(result.weights)
                last = models[-1].get_layer("trait")  # so that whoever reads the model reads the correction
                kernel, bias = last.get_weights()
                last.set_weights([kernel * self._correction.scale, self._correction(bias)])
            self._model = average(models) if len(models) > 1 else models[0]
        return self._model

    def encode(self, inputs: Inputs) -> FloatArray:
        """Return what the network reads, float32: (n, length, 4) base probabilities or (n, n_variants, channels)."""
        self._check(inputs)
        rows = self._rows(inputs)
        return one_hot(rows) if inputs.kind == "sequence" else rows.reshape(len(rows), self._width, -1)

    @held_settings()
    def save(self, folder: Path) -> None:
        """Write ``model.keras``, ``preprocess.json`` and ``config.json``."""
        self.model.save(folder / "model.keras")
        preprocess: dict[str, Any] = {
            "input": self.config.input,
            "width": self._width,
            "y_mean": self.y_mean,
            "y_sd": self.y_sd,
            "metric": self.metric,
            "members": self.members,
        }
        if self._coder is not None:
            preprocess |= {"dosage_mean": self._coder.mean.tolist(), "dosage_sd": self._coder.sd.tolist()}
        (folder / "preprocess.json").write_text(json.dumps(preprocess))
        (folder / "config.json").write_text(self.config.model_dump_json(by_alias=True, indent=2) + "\n")

    @classmethod
    @held_settings()
    def load(cls, folder: Path) -> NetworkPredictor:
        """Return what `save` wrote."""
        preprocess = json.loads((folder / "preprocess.json").read_text())
        config = ModelConfig.model_validate_json((folder / "config.json").read_text())
        predictor = cls(config, metric=preprocess["metric"], members=preprocess["members"])
        predictor.y_mean, predictor.y_sd = preprocess["y_mean"], preprocess["y_sd"]
        predictor._width = preprocess["width"]
        if "dosage_mean" in preprocess:
            predictor._coder = GenotypeCoder(
                coding=config.coding,
                mean=np.asarray(preprocess["dosage_mean"], np.float32),
                sd=np.asarray(preprocess["dosage_sd"], np.float32),
            )
        predictor._model = keras.models.load_model(folder / "model.keras", compile=False)
        return predictor

    def _rows(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        if inputs.kind == "sequence":
            return np.ascontiguousarray(inputs.values, dtype=np.uint8)
        if self._coder is None:
            msg = "this network is not fitted yet"
            raise PredictorError(msg)
        return self._coder.rows(inputs.values)

    def _check(self, inputs: Inputs) -> None:
        if self._width == 0:
            msg = "this network is not fitted yet"
            raise PredictorError(msg)
        if inputs.kind != self.config.input or inputs.width != self._width:
            unit = "bp" if self.config.input == "sequence" else "variants"
            msg = (
                f"the network reads {self.config.input} inputs of {self._width} {unit}, "
                f"got {inputs.kind} inputs of {inputs.width}"
            )
            raise PredictorError(msg)


def _as_they_are(values: FloatArray) -> FloatArray:
    return values


def train_network(
    predictor: NetworkPredictor,
    data: TrainingData,
    validation: Examples | None,
    rng: np.random.Generator,
    report: Report | None,
    crossed: CrossedEpochs | None,
) -> TrainingResult:
    """Train with the predictor's metric as the monitor; predictions are judged in phenotype units, see ``units``.

    What `crossed` collects is judged by the same metric.
    """
    metric = METRICS[predictor.metric]
    sign = 1.0 if metric.higher_is_better else -1.0
    observed = None if validation is None else predictor._scaled(validation.y)

    def monitor(scaled: np.ndarray[Any, Any]) -> Mapping[str, float]:
        if validation is None or observed is None:
            return {}
        output = scaled if predictor.epochs is not None else scorable(observed, scaled, validation.groups)
        units = predictor.units or _as_they_are
        y, predictions = units(validation.y), units(output * predictor.y_sd + predictor.y_mean)
        value = metric.function(y, predictions)
        if crossed is not None and predictor.epochs is None:
            crossed.add(scaled, lambda rows: sign * metric.function(y[rows], predictions[rows]))
        loss = float(np.mean((observed - scaled) ** 2))
        return {"monitor": sign * value, "val_loss": loss, f"val_{predictor.metric}": value}

    return train(
        predictor.config,
        data,
        rng=rng,
        epochs=predictor.epochs,
        monitor=monitor if validation is not None else None,
        report=report,
        until=predictor.until,
        start=predictor.start,
    )
