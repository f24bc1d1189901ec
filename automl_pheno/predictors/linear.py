"""What all predictors share that are linear in their columns: predict, effects, save and load."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from typing_extensions import Self

from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.predictors.calibration import Correction
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.encoding import Encoding
from automl_pheno.predictors.protocol import FitSummary, Report
from automl_pheno.predictors.shrinkage import weighted_mean
from automl_pheno.predictors.state import check_examples, fitted, read_state, write_state

Chosen = dict[str, float | int | str]

SEQUENCE_FEATURES = ("one_hot", "kmers_5", "kmers_5_both_strands")
"""What a linear model of sequences may see: aligned positions, or what is present anywhere, on one or both strands."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearState:
    """``prediction = intercept + (columns - training mean) effects``.

    Attributes
    ----------
    encoding
        Makes the columns.
    intercept
        Mean of y in training, or what weights make of it.
    effects
        Phenotype units per unit of a column, shape (p,).
    """

    encoding: Encoding
    intercept: float
    effects: FloatArray

    def corrected(self, correction: Correction) -> LinearState:
        """Return the state whose predictions are those of this one, corrected."""
        return replace(self, intercept=correction(self.intercept), effects=correction.scale * self.effects)


def intercept(encoding: Encoding, design: Design, y: FloatArray, effects: FloatArray) -> float:
    """Return the intercept that goes with `effects` at the unweighted training means of the columns."""
    if design.root is None:
        return float(y.mean())
    return weighted_mean(y, design.root) + float((encoding.mean - design.mean) @ effects)


class LinearPredictor(ABC):
    """A predictor whose fit ends in a `LinearState`."""

    kind: str

    def __init__(self) -> None:
        self._state: LinearState | None = None

    @abstractmethod
    def _learn(self, train: Examples, rng: np.random.Generator) -> tuple[LinearState, Chosen]:
        """Return the state and what was chosen on the way."""

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,  # noqa: ARG002  # part of the protocol; only `train` is learnt from
        *,
        rng: np.random.Generator,
        report: Report | None = None,  # noqa: ARG002
    ) -> FitSummary:
        """Learn from `train`; see the class. Raises PredictorError."""
        start = time.perf_counter()
        check_examples(train, self.kind)
        self._state, chosen = self._learn(train, rng)
        weights = int(np.count_nonzero(self._state.effects)) + 1
        return FitSummary(weights=weights, seconds=time.perf_counter() - start, chosen=chosen)

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        state: LinearState = fitted(self._state, self.kind)
        design = Design(columns=state.encoding.columns(inputs), mean=state.encoding.mean)
        return state.intercept + design.times(state.effects)

    def linear_effects(self) -> FloatArray | None:
        """Return the effect of each input feature, phenotype units; None where the columns are k-mer counts.

        Shape (n_variants,), per alternate allele, or (length, 4), per base A, C, G, T. A feature that did not vary
        in training has effect 0.
        """
        state: LinearState = fitted(self._state, self.kind)
        return state.encoding.spread(state.effects)

    def save(self, folder: Path) -> None:
        """Write the state into the existing `folder`."""
        state: LinearState = fitted(self._state, self.kind)
        arrays, values = state.encoding.state()
        arrays |= {"intercept": np.array(state.intercept), "effects": state.effects}
        write_state(folder, self.kind, arrays, values)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote."""
        arrays, values = read_state(folder, cls.kind)
        predictor = cls()
        predictor._state = LinearState(
            encoding=Encoding.restore(arrays, values),
            intercept=float(arrays["intercept"]),
            effects=arrays["effects"],
        )
        return predictor
