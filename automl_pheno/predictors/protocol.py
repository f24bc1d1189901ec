"""The one protocol of networks and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.predictors.calibration import Calibration
from automl_pheno.registry import Registry

Report = Callable[[int, Mapping[str, float]], bool]
"""``report(epoch, {"loss": ..., "val_loss": ..., "val_<metric>": ...}) -> stop?``; epoch counts from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSummary:
    """What a fit did.

    Attributes
    ----------
    weights
        Number of fitted weights (marker effects, tree leaves, network weights ...).
    epochs, best_epoch
        Epochs trained and the one whose weights were kept, counting from 1; 0 for non-iterative predictors.
    seconds
        Wall-clock seconds of the fit.
    curve
        One mapping an epoch: ``loss, val_loss, val_<metric>``; empty for non-iterative predictors.
    stopped
        ``early``, ``max_epochs``, ``pruned`` or ``fitted``.
    chosen
        What the predictor chose inside (penalty, bandwidth ...), for the leaderboard.
    validated
        Predictions of the validation rows that may be scored, phenotype units, float64, shape (n_validation,), where
        `predict` has learnt its scale from these very rows; None where it has learnt nothing from them.
    calibration
        What the validation rows say about the scale of the output; see `Calibration`.
    """

    weights: int
    seconds: float
    epochs: int = 0
    best_epoch: int = 0
    curve: tuple[Mapping[str, float], ...] = ()
    stopped: str = "fitted"
    chosen: Mapping[str, float | int | str] = field(default_factory=dict)
    validated: FloatArray | None = field(default=None, compare=False, repr=False)
    calibration: Calibration | None = None


@runtime_checkable
class Predictor(Protocol):
    """Learns a trait from inputs. All state is learnt in ``fit`` from the training rows alone."""

    kind: str
    """Name in the registry ``PREDICTORS``."""

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,
        *,
        rng: np.random.Generator,
        report: Report | None = None,
    ) -> FitSummary:
        """Learn from `train`; `validation` is only for early stopping, the scale of the output, and for `report`."""
        ...

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted state into the existing, empty `folder`."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Return what `save` wrote."""
        ...


PREDICTORS: Registry[type[Predictor]] = Registry("predictor")
"""Every predictor: ``network`` and the baselines. Members are constructed without arguments, save ``network``."""


def predictor_class(kind: str) -> type[Predictor]:
    """Return the class of a kind; Keras is imported only for a network.

    Raises
    ------
    UnknownNameError
        There is none.
    """
    if kind == "network":
        import automl_pheno.predictors.network  # noqa: F401  # registers it
    return PREDICTORS[kind]
