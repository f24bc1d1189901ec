"""The winner of a run: it predicts and explains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from automl_pheno.api.data import Data, read
from automl_pheno.api.match import match_inputs, refuse_non_finite
from automl_pheno.data import Dataset, FloatArray, Inputs, Samples, encode_sequences, load_dataset
from automl_pheno.data.encode import IUPAC_BITS
from automl_pheno.data.frame import Frame
from automl_pheno.errors import DataError, InputWarning, PredictorError, StudyError
from automl_pheno.keras_settings import BACKENDS, DEFAULT_BACKEND, load_keras
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.storage import load_predictor
from automl_pheno.rng import generator
from automl_pheno.study.run_folder import DEVELOPMENT
from automl_pheno.study.start_up import without_start_up_chatter

if TYPE_CHECKING:
    from automl_pheno.explain import Attribution
    from automl_pheno.predictors.protocol import Predictor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Best:
    """The winner of a run, ready to predict.

    Attributes
    ----------
    path
        Folder of the saved predictor.
    kind
        ``network`` or the name of a baseline.
    input
        ``sequence`` or ``genotype``.
    width
        Length in bp, or number of variants.
    trait
        What is predicted, in phenotype units.
    variants
        The variants it reads, in order; None for sequences.
    frame
        What the sequences of training look like; None where that was not kept.
    """

    path: Path
    kind: str
    input: str
    width: int
    trait: str
    variants: pd.DataFrame | None = None
    frame: Frame | None = None
    _backend: str = DEFAULT_BACKEND
    _loaded: list[Predictor] = field(default_factory=list, repr=False)
    _development: list[Dataset] = field(default_factory=list, repr=False)

    @property
    def predictor(self) -> Predictor:
        """The fitted predictor; read from disk when it is first asked for.

        A network is read on the backend of its run, whatever ``KERAS_BACKEND`` and ``keras.json`` say. In a program
        that has imported Keras on another one, it computes on that, and differs in the last digits.
        """
        if not self._loaded:
            with without_start_up_chatter():
                if self.kind == "network":
                    known = self._backend in BACKENDS and find_spec(self._backend) is not None
                    load_keras(self._backend if known else DEFAULT_BACKEND)
                self._loaded.append(load_predictor(self.path))
        return self._loaded[0]

    @property
    def model(self) -> Any:
        """The network, a plain ``keras.Model`` on encoded inputs, whose output is in sd of the training trait.

        With ``curation:`` in the study it reads the variants that the curation keeps, and its trait is the curated one
        (normal scores with ``trait: rank_normal``); `predict` goes all the way from raw inputs to phenotype units.

        Raises
        ------
        PredictorError
            The winner is a baseline.
        """
        if self.kind != "network":
            msg = f"{self.path}: the winner is the baseline {self.kind!r}, which is no keras.Model; use predict"
            raise PredictorError(msg)
        predictor = self.predictor
        network = predictor.inner if isinstance(predictor, CuratedPredictor) else predictor
        return network.model  # type: ignore[attr-defined]  # of NetworkPredictor; this room does not know Keras

    def predict(self, data: Data | Inputs | Samples | Sequence[str], *, allow_mismatch: bool = False) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,).

        Parameters
        ----------
        data
            Sequences as text, a file, a data set, inputs, or a data frame of dosages (index: ids, columns: variant
            ids). See `samples` for what is matched.
        allow_mismatch
            See `samples`.

        Warns
        -----
        InputWarning
            What was done so that the data fit: padding, alleles swapped, variants that are missing ... Once a note; it
            is among those of `samples`.

        Raises
        ------
        DataError, PredictorError
            See `samples`; or a prediction is no finite number.
        """
        samples = self._matched(data, allow_mismatch=allow_mismatch)
        return self.predict_samples(samples)

    def predict_samples(self, samples: Samples) -> FloatArray:
        """Return predictions for what `samples` returned.

        Raises
        ------
        PredictorError
            A prediction is no finite number; the samples are named.
        """
        predictions = self.predictor.predict(samples.inputs)
        refuse_non_finite(predictions, samples.ids)
        return predictions

    def explain(
        self,
        data: Data | Inputs | Samples | Sequence[str] | None = None,
        *,
        method: str = "auto",
        samples: int = 500,
        seed: int = 0,
    ) -> Attribution:
        """Return the contributions of positions or variants; ``.plot()`` draws them, ``.to_shap()`` is for ``shap``.

        Parameters
        ----------
        data
            Samples to explain, as in `predict`; None takes development samples of the run.
        method
            Name in ``EXPLAINERS``, or ``auto``.
        samples
            At most this many.
        seed
            Of the drawn samples and references.

        Raises
        ------
        StudyError
            The run's development data, which are the background, do not lie beside the winner.
        ExplainError
            The method does not apply.
        """
        from automl_pheno.api.verdict import warnings_of
        from automl_pheno.explain import explain

        given = None if data is None else self._matched(data)
        development = self.development
        return explain(
            self.predictor,
            development.inputs if given is None else given.inputs,
            development.inputs,
            method=method,
            rng=generator(seed, "explain"),
            ids=development.ids if given is None else given.ids,
            max_samples=samples,
            warnings=warnings_of(self.path),
        )

    @property
    def development(self) -> Dataset:
        """The development samples of the run, which the predictor was fitted on.

        Raises
        ------
        StudyError
            They do not lie beside the predictor.
        """
        if self._development:
            return self._development[0]
        folder = self.path.resolve().parent
        file = next((place / DEVELOPMENT for place in (folder, folder.parent) if (place / DEVELOPMENT).is_file()), None)
        if file is None:
            msg = f"{folder / DEVELOPMENT}: is missing; an explanation compares with the development samples of the run"
            raise StudyError(msg)
        self._development.append(load_dataset(file))
        return self._development[0]

    def samples(self, data: Data | Inputs | Samples | Sequence[str], *, allow_mismatch: bool = False) -> Samples:
        """Return `data` as the winner reads it, with ids and notes on what was matched.

        Shorter sequences are padded on the right. Variants are matched by id or place, alleles by name; a variant
        that is not in `data` counts as a missing call in every sample.

        Parameters
        ----------
        data
            See `predict`.
        allow_mismatch
            Say in a note what would be refused: variants of which many have other alleles than in training, or most
            are missing; sequences most of which are far shorter, or do not lie in the frame of those of training.

        Raises
        ------
        DataError
            The data break a rule.
        PredictorError
            They are of another kind, longer than the winner reads, have no variant in common with it, or, unless
            `allow_mismatch`, contradict what it was fitted on.
        """
        given = self._read(data)
        if given.inputs.kind != self.input:
            msg = f"the winner reads {self.input} inputs, got {given.inputs.kind} inputs"
            raise PredictorError(msg)
        inputs, notes = match_inputs(
            given.inputs,
            given.ids,
            width=self.width,
            variants=self.variants,
            frame=self.frame,
            allow_mismatch=allow_mismatch,
        )
        # what was matched before, as by the verb explain, is said once
        return replace(given, inputs=inputs, notes=tuple(dict.fromkeys((*given.notes, *notes))))

    def _matched(self, data: Data | Inputs | Samples | Sequence[str], *, allow_mismatch: bool = False) -> Samples:
        """Return what `samples` does, and warn of what was done to the data so that they fit."""
        given = self._read(data)
        samples = self.samples(given, allow_mismatch=allow_mismatch)
        for note in samples.notes:
            if note not in given.notes:
                warnings.warn(note, InputWarning, stacklevel=3)
        return samples

    def _read(self, data: Data | Inputs | Samples | Sequence[str]) -> Samples:
        if isinstance(data, Samples):
            return data
        if isinstance(data, Inputs):
            return Samples(ids=np.arange(len(data)).astype(np.str_), inputs=data)
        if isinstance(data, str) and set(data.upper()) <= set(IUPAC_BITS) and not Path(data).exists():
            msg = f"{data[:20]}: is no file; a single sequence is given as a list: predict([sequence])"
            raise DataError(msg)
        if isinstance(data, (Dataset, str, Path, pd.DataFrame)):
            dataset = read(data)
            return Samples(ids=dataset.ids, inputs=dataset.inputs, columns=dataset.columns, notes=dataset.notes)
        sequences: list[object] = list(data)
        texts = [item for item in sequences if isinstance(item, str)]
        if len(texts) < len(sequences):
            kinds = sorted({type(item).__name__ for item in sequences} - {"str"})
            msg = f"sequences must be text, got {', '.join(kinds)}"
            raise DataError(msg)
        codes, notes = encode_sequences(texts)
        ids = np.arange(len(texts)).astype(np.str_)
        return Samples(ids=ids, inputs=Inputs(kind="sequence", values=codes), notes=notes)
