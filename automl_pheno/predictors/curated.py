"""Any predictor behind a curation of what it learns from; what it predicts comes back in phenotype units."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from automl_pheno.curation import Curation, CurationConfig, learn
from automl_pheno.data.dataset import Examples, FloatArray, Inputs
from automl_pheno.errors import InfeasibleError, PredictorError
from automl_pheno.predictors.encoding import check_inputs
from automl_pheno.predictors.protocol import FitSummary, Predictor, Report, predictor_class
from automl_pheno.predictors.state import check_examples, fitted

_JSON = "curated.json"


@runtime_checkable
class _Judging(Protocol):
    """A predictor that judges its epochs by a metric; see `NetworkPredictor`."""

    units: Callable[[FloatArray], FloatArray] | None


class CuratedPredictor:
    """A predictor and the curation of its inputs and trait.

    Everything of the curation is learnt in `fit` from the training rows; validation rows only pass through it. Scores
    reported while training are in phenotype units.

    Parameters
    ----------
    inner
        Unfitted; its own inputs are the variants kept, its trait the transformed one.
    config
        What is curated.

    Attributes
    ----------
    kind
        Of `inner`.
    """

    def __init__(self, inner: Predictor, config: CurationConfig) -> None:
        self.inner = inner
        self.config = config
        self.kind = inner.kind
        self._curation: Curation | None = None

    @property
    def curation(self) -> Curation:
        """What was learnt. Raises PredictorError before `fit`."""
        curation: Curation = fitted(self._curation, self.kind)
        return curation

    def fit(
        self,
        train: Examples,
        validation: Examples | None = None,
        *,
        rng: np.random.Generator,
        report: Report | None = None,
    ) -> FitSummary:
        """Learn the curation and the predictor from `train`; see `Predictor.fit`.

        Raises
        ------
        CurationError
            The rules do not suit the inputs, or leave no variant.
        PredictorError, InfeasibleError, TrainingError
            As the inner predictor.
        """
        check_examples(train, self.kind)
        curation = learn(self.config, train, rng)
        examples = curation.examples(train)
        if getattr(self.inner, "copies_are_weights", False) and curation.rows is not None:
            examples = _copies_as_weights(curation, train)
        if isinstance(self.inner, _Judging):
            self.inner.units = None if curation.rank_normal is None else curation.untrait
        held_out = None if validation is None else curation.held_out(validation)
        try:
            summary = self.inner.fit(examples, held_out, rng=rng, report=report)
        except InfeasibleError as error:
            if curation.kept is None:
                raise
            msg = f"{error} (curation keeps {len(curation.kept):,} of {curation.width:,} variants)"
            raise InfeasibleError(msg) from error
        self._curation = curation
        validated = None if summary.validated is None else curation.untrait(summary.validated)
        return replace(summary, chosen={**summary.chosen, **curation.counts()}, validated=validated)

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        check_inputs(inputs, self.curation.kind, self.curation.width)
        return np.asarray(self.curation.untrait(self.inner.predict(self.curation.inputs(inputs))), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write the inner predictor's files, the curation's, and ``curated.json`` with the kind of the inner one."""
        self.inner.save(folder)
        self.curation.save(folder)
        (folder / _JSON).write_text(json.dumps({"inner": self.kind}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CuratedPredictor:
        """Return what `save` wrote. Raises PredictorError, CurationError."""
        try:
            header: dict[str, Any] = json.loads((folder / _JSON).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            msg = f"{folder}: no readable curated predictor ({error})"
            raise PredictorError(msg) from error
        curation = Curation.load(folder)
        predictor = cls(predictor_class(header["inner"]).load(folder), curation.config)
        predictor._curation = curation
        return predictor


def _copies_as_weights(curation: Curation, train: Examples) -> Examples:
    """Return each resampled training sample once, with the number of its copies as its weight."""
    rows, copies = np.unique(np.asarray(curation.rows), return_counts=True)
    single = replace(curation, rows=None).examples(train).take(rows)
    weights = copies * (1.0 if single.weights is None else single.weights)
    return replace(single, weights=weights / weights.mean())
