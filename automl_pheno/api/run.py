"""A run and its winner."""

from __future__ import annotations

import contextlib
import json
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
from automl_pheno.errors import DataError, InputWarning, PredictorError, StudyError, known_names
from automl_pheno.keras_settings import BACKENDS, DEFAULT_BACKEND, load_keras
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.storage import load_predictor, read_header, read_variants
from automl_pheno.rng import generator
from automl_pheno.study.choice import choice_sentence
from automl_pheno.study.run_folder import BEST, DEVELOPMENT, FINAL, IDENTITY, LEADERBOARD, STUDY, TESTED_ELSEWHERE
from automl_pheno.study.start_up import without_start_up_chatter
from automl_pheno.study.verdict import comparison_sentence, scale_sentence

if TYPE_CHECKING:
    from automl_pheno.explain import Attribution
    from automl_pheno.predictors.protocol import Predictor
    from automl_pheno.study.replay import Replay

EXPLANATION = "explain"
"""Folder of the explanation in the folder of a run."""


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run.

    Attributes
    ----------
    path
        The folder.

    Raises
    ------
    StudyError
        It is not the folder of a run.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if not self.path.is_dir():
            beside = [p.name for p in self.path.parent.glob("*/")] if self.path.parent.is_dir() else []
            msg = f"{self.path}: no such run folder; {known_names(self.path.name, beside)}"
            raise StudyError(msg)
        if not (self.path / STUDY).is_file():
            msg = f"{self.path}: is not the folder of a run: it holds no {STUDY}"
            raise StudyError(msg)

    @property
    def is_finished(self) -> bool:
        """Whether the winner was tested; otherwise the same search again resumes the run."""
        return (self.path / FINAL).is_file()

    @property
    def tested_elsewhere(self) -> str:
        """Where the winner was tested, if another supervisor of a shared study did it; "" otherwise."""
        path = self.path / TESTED_ELSEWHERE
        if self.is_finished or not path.is_file():
            return ""
        said = json.loads(path.read_text(encoding="utf-8"))
        winner = said["result"]["winner"]["name"]
        return f"{winner} is the winner; {said['by']} tested it, the model is in {said['folder']}"

    @property
    def winner(self) -> str:
        """Which candidate won by validation, what is tied with it, and whether it is off in scale, in sentences."""
        final = self.final
        said = str(final.get("tie_note") or "")
        choice = final.get("choice") or {}
        if choice and choice["network"] == final["winner"]["name"] != choice["best"]:
            said = f"{choice_sentence(choice, str(final['metric']))} {said}"
        label = METRICS[str(final["metric"])].label
        over = " over all held-out samples at once, as folds are too small for scores of their own"
        value = f"{label} {final['winner']['validation']:.4g}{over if final.get('pooled') else ''}"
        said = said or f"{final['winner']['name']}."
        return " ".join([f"Winner by validation ({value}): {said}", scale_sentence(final["winner"])]).strip()

    @property
    def verdict(self) -> str:
        """Whether the best network beats the best baseline, in a sentence with the interval."""
        final = self.final
        comparison = final["comparison"]
        if comparison is not None:
            return comparison_sentence(comparison)
        return str(final["note"]) or "Networks and baselines were not compared: the run has only one of the two."

    @property
    def leaderboard(self) -> pd.DataFrame:
        """``leaderboard.csv``: networks and baselines, best first."""
        return pd.read_csv(self._file(LEADERBOARD))

    @property
    def final(self) -> dict[str, Any]:
        """``final.json``: the winner tested once, and how it compares with the best baseline."""
        final: dict[str, Any] = json.loads(self._file(FINAL).read_text(encoding="utf-8"))
        return final

    @property
    def best(self) -> Best:
        """The winner."""
        self._file(f"{BEST}/predictor.json")
        return load(self.path)

    def replay(self, trial: int | str, *, out: str | Path | None = None, tolerance: float | None = None) -> Replay:
        """Train a trial or a baseline again and say whether the same comes out; see `automl_pheno.api.replay`."""
        from automl_pheno.api.replay import replay

        return replay(self, trial, out=out, tolerance=tolerance)

    def _file(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            msg = f"{self.path}: has no {name} yet; the same search again resumes and finishes the run"
            raise StudyError(msg)
        return path


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


def load(run: str | Path | Run) -> Best:
    """Return the winner of a run.

    Parameters
    ----------
    run
        Folder of a run, or its ``best/`` folder, which can be copied elsewhere.

    Raises
    ------
    StudyError, PredictorError
        It is neither; or the run has no winner yet.
    """
    folder = run.path if isinstance(run, Run) else Path(run)
    if not (folder / "predictor.json").is_file():
        folder = Run(folder)._file(f"{BEST}/predictor.json").parent
    header = read_header(folder)
    return Best(
        path=folder,
        kind=header["kind"],
        input=header["input"],
        width=header["width"],
        trait=header["trait"],
        variants=read_variants(folder),
        frame=Frame.read(header.get("frame")),
        _backend=str(header.get("backend") or _backend_of_run(folder)),
    )


def _backend_of_run(folder: Path) -> str:
    """Return the backend of the run that a saved predictor lies in, for those that do not state their own."""
    places = (folder.resolve().parent, folder.resolve().parent.parent)
    file = next((place / IDENTITY for place in places if (place / IDENTITY).is_file()), None)
    with contextlib.suppress(OSError, ValueError):
        if file is not None:
            return str(json.loads(file.read_text(encoding="utf-8")).get("backend") or DEFAULT_BACKEND)
    return DEFAULT_BACKEND
