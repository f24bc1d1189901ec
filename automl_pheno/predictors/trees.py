"""What the tree ensembles share: columns, predict, save and load."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from automl_pheno.data.dataset import Examples, FloatArray, Inputs, IntArray
from automl_pheno.errors import PredictorError
from automl_pheno.predictors.calibration import Correction
from automl_pheno.predictors.encoding import Encoding, learn
from automl_pheno.predictors.screening import strongest
from automl_pheno.predictors.state import fitted, read_state, write_state


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TreeState:
    """An ensemble and its columns.

    Attributes
    ----------
    encoding
        Makes the columns.
    used
        Those the ensemble sees, int64.
    estimator
        A fitted scikit-learn regressor on y in units of its training sd, less its mean.
    centre, spread
        What makes phenotype units of its output: mean and sd of y in training, and their correction.
    """

    encoding: Encoding
    used: IntArray
    estimator: Any
    centre: float
    spread: float

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        columns = self.encoding.columns(inputs)[:, self.used]
        if not len(columns):
            return np.zeros(0)
        return self.centre + self.spread * np.asarray(self.estimator.predict(columns), dtype=np.float64)

    def corrected(self, correction: Correction) -> TreeState:
        """Return the state whose predictions are those of this one, corrected."""
        return replace(self, centre=correction(self.centre), spread=correction.scale * self.spread)


class TreePredictor:
    """A predictor whose fit ends in a `TreeState`."""

    kind: str

    def __init__(self) -> None:
        self._state: TreeState | None = None

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        state: TreeState = fitted(self._state, self.kind)
        return state.predict(inputs)

    def save(self, folder: Path) -> None:
        """Write the state into the existing `folder`; the ensemble by joblib, so load only files you trust."""
        import joblib

        state: TreeState = fitted(self._state, self.kind)
        arrays, values = state.encoding.state()
        arrays |= {"used": state.used, "scalars": np.array([state.centre, state.spread])}
        write_state(folder, self.kind, arrays, values)
        joblib.dump(state.estimator, folder / "estimator.joblib", compress=3)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote."""
        import joblib

        arrays, values = read_state(folder, cls.kind)
        try:
            estimator = joblib.load(folder / "estimator.joblib")
        except (OSError, EOFError, ValueError) as error:
            msg = f"{folder / 'estimator.joblib'}: not a readable {cls.kind} ({error})"
            raise PredictorError(msg) from error
        centre, spread = map(float, arrays["scalars"])
        predictor = cls()
        predictor._state = TreeState(
            encoding=Encoding.restore(arrays, values),
            used=arrays["used"],
            estimator=estimator,
            centre=centre,
            spread=spread,
        )
        return predictor


def tree_columns(train: Examples, most: int) -> tuple[Encoding, FloatArray, IntArray]:
    """Return the encoding, the columns used, and their numbers: bases and 5-mer counts, or dosages.

    At least one column is returned, a constant one where nothing varies, since scikit-learn asks for it.
    """
    encoding, columns = learn(train.inputs, "dosage" if train.inputs.kind == "genotype" else "one_hot+kmers_5")
    if not columns.shape[1]:
        encoding = Encoding(
            kind=encoding.kind,
            width=encoding.width,
            features=encoding.features,
            keep=np.zeros(1, dtype=np.int64),
            mean=np.zeros(1),
        )
        columns = encoding.columns(train.inputs)
    used = strongest(columns, train.y, most, train.weights)
    return encoding, columns[:, used], used


def standardise(y: FloatArray) -> tuple[FloatArray, float, float]:
    """Return y less its mean over its sd, the mean and the sd (1 where y is constant)."""
    centre, spread = float(y.mean()), float(y.std())
    spread = spread if spread > 1e-12 * float(np.abs(y).max(initial=0.0)) else 1.0
    return (y - centre) / spread, centre, spread
