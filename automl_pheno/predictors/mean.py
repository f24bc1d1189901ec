"""The mean of the training samples: what every other predictor must beat."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray, InputKind, Inputs
from automl_pheno.predictors.encoding import check_inputs
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Report
from automl_pheno.predictors.state import check_examples, fitted, read_state, write_state


@PREDICTORS.add("mean")
class Mean:
    """Predicts the training mean for every sample; by the weights, where there are any."""

    kind = "mean"

    def __init__(self) -> None:
        self._state: tuple[InputKind, int, float] | None = None

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,  # noqa: ARG002  # part of the protocol
        *,
        rng: np.random.Generator,  # noqa: ARG002
        report: Report | None = None,  # noqa: ARG002
    ) -> FitSummary:
        """Learn the (weighted) mean of `train`."""
        start = time.perf_counter()
        check_examples(train, self.kind)
        self._state = (train.inputs.kind, train.inputs.width, float(np.average(train.y, weights=train.weights)))
        return FitSummary(weights=1, seconds=time.perf_counter() - start)

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return the training mean, float64, shape (n,)."""
        kind, width, mean = fitted(self._state, self.kind)
        check_inputs(inputs, kind, width)
        return np.full(len(inputs), mean)

    def save(self, folder: Path) -> None:
        """Write the state into the existing `folder`."""
        kind, width, mean = fitted(self._state, self.kind)
        write_state(folder, self.kind, {"mean": np.array(mean)}, {"kind": kind, "width": width})

    @classmethod
    def load(cls, folder: Path) -> Mean:
        """Return what `save` wrote."""
        arrays, values = read_state(folder, cls.kind)
        predictor = cls()
        predictor._state = (values["kind"], values["width"], float(arrays["mean"]))
        return predictor
