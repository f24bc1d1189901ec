"""The role of an explainer and the registry of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.errors import AutoMLPhenoError
from automl_pheno.explain.attribution import Contributions
from automl_pheno.explain.references import ReferenceKind
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.registry import Registry


class ExplainError(AutoMLPhenoError, ValueError):
    """A predictor cannot be explained by this method, or these inputs cannot be explained."""


class UnsupportedLayerError(ExplainError):
    """A network has a layer for which DeepLIFT has no tested rule; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExplainRequest:
    """What an explainer gets.

    Attributes
    ----------
    predictor
        Fitted.
    inputs
        The samples to explain.
    background
        Training samples, all that were given.
    rng
        For references, permutations and draws.
    references
        Wanted kind of references; None lets the explainer choose.
    n_references
        Wanted number of references a sample.
    """

    predictor: Predictor
    inputs: Inputs
    background: Inputs
    rng: np.random.Generator
    references: ReferenceKind | None = None
    n_references: int = 20


class Explainer(Protocol):
    """Explains a fitted predictor; raises `ExplainError` where it does not apply."""

    def __call__(self, request: ExplainRequest) -> Contributions:
        """Return the contributions of each position or variant."""
        ...


@runtime_checkable
class NetworkLike(Protocol):
    """A predictor that is a Keras model on encoded inputs with scaled output."""

    model: object
    """``keras.Model`` with one output, on what `encode` returns."""
    y_mean: float
    y_sd: float

    def encode(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return the model's input, shape (n, length, 4) or (n, n_variants, channels)."""
        ...


@runtime_checkable
class LinearLike(Protocol):
    """A predictor that is linear in base probabilities or dosages."""

    def linear_effects(self) -> FloatArray | None:
        """Return effects in phenotype units, shape (length, 4) or (n_variants,); None where it has none such."""
        ...


EXPLAINERS: Registry[Explainer] = Registry("explainer")
"""Every explainer by name; ``auto`` in `explain` chooses among them."""
