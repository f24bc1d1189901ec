"""Predictors by name, and their folder on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from automl_pheno.curation import curation_config
from automl_pheno.data.alleles import FREQUENCY, frequencies
from automl_pheno.data.dataset import Inputs
from automl_pheno.data.frame import Frame
from automl_pheno.errors import PredictorError
from automl_pheno.predictors.calibration import Calibration
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import PREDICTORS, Predictor, predictor_class
from automl_pheno.space.config import ModelConfig

_HEADER = "predictor.json"
_VARIANTS = "variants.csv"


def make_predictor(
    candidate: Mapping[str, Any],
    metric: str = "pearson_r",
    epochs: int | None = None,
    members: int = 1,
    calibration: Calibration | None = None,
) -> Predictor:
    """Return an unfitted predictor.

    Parameters
    ----------
    candidate
        ``{"name": NAME}``, for the network with ``"config"``, the dumped `ModelConfig`. With ``"curation"``, fields of
        a `CurationConfig` that changes something, the predictor is a `CuratedPredictor`.
    metric
        Decides early stopping of a network.
    epochs, members, calibration
        Fixed number of epochs, number of networks and the scale of their output; see `NetworkPredictor`.

    Raises
    ------
    UnknownNameError
        No predictor has this name.
    CurationError
        A field of the curation breaks a rule.
    """
    curation = curation_config(candidate.get("curation") or {})
    if curation.changes_something:
        plain = {key: value for key, value in candidate.items() if key != "curation"}
        return CuratedPredictor(make_predictor(plain, metric, epochs, members, calibration), curation)
    name = str(candidate["name"])
    if name == "network":
        from automl_pheno.predictors.network import NetworkPredictor

        return NetworkPredictor(
            ModelConfig.model_validate(candidate["config"]),
            metric=metric,
            epochs=epochs,
            members=members,
            calibration=calibration,
        )
    return PREDICTORS[name]()


def save_predictor(predictor: Predictor, folder: Path, inputs: Inputs, *, trait: str) -> None:
    """Write a fitted predictor into the existing, empty `folder`, with what its inputs must look like.

    Parameters
    ----------
    predictor
        Fitted.
    folder
        Gets ``predictor.json``, for genotypes ``variants.csv`` (all that are read, also those that a curation
        drops, with their allele frequencies), and the predictor's own files.
    inputs
        The samples it was fitted on. What they look like is kept to recognise new ones that do not fit; no prediction
        depends on it.
    trait
        Name of the predicted trait.
    """
    header: dict[str, Any] = {"kind": predictor.kind, "input": inputs.kind, "width": inputs.width, "trait": trait}
    if isinstance(predictor, CuratedPredictor):
        header["curated"] = True
    backend = getattr(predictor.inner if isinstance(predictor, CuratedPredictor) else predictor, "backend", None)
    if backend is not None:
        header["backend"] = backend
    if inputs.kind == "sequence" and len(inputs):
        header["frame"] = Frame.of(inputs.values).plain()
    predictor.save(folder)
    if inputs.variants is not None:
        shares = [f"{share:.4g}" for share in frequencies(inputs.values)]
        inputs.variants.assign(**{FREQUENCY: shares}).to_csv(folder / _VARIANTS, index=False)
    (folder / _HEADER).write_text(json.dumps(header, indent=2) + "\n")


def read_header(folder: Path) -> dict[str, Any]:
    """Return ``kind, input, width, trait`` of a saved predictor, and what else is known.

    ``curated`` where it is one; ``frame`` of sequences (see `Frame`); ``backend`` of Keras, of a network.

    Raises
    ------
    PredictorError
        The folder holds no saved predictor.
    """
    try:
        header: dict[str, Any] = json.loads((folder / _HEADER).read_text())
    except (OSError, json.JSONDecodeError) as error:
        msg = f"{folder}: no saved predictor here ({error})"
        raise PredictorError(msg) from None
    return header


def read_variants(folder: Path) -> pd.DataFrame | None:
    """Return the variants a saved predictor was fitted on, in its order, with `FREQUENCY`; None for sequences."""
    path = folder / _VARIANTS
    if not path.exists():
        return None
    texts = dict.fromkeys(("id", "chromosome", "ref", "alt", FREQUENCY), str)
    table = pd.read_csv(path, dtype=texts, keep_default_na=False)
    if FREQUENCY in table:
        table[FREQUENCY] = pd.to_numeric(table[FREQUENCY], errors="coerce")
    return table


def load_predictor(folder: Path) -> Predictor:
    """Return the predictor that `save_predictor` wrote.

    Raises
    ------
    PredictorError
        The folder holds no saved predictor, or one that cannot be read.
    """
    header = read_header(folder)
    try:
        return (CuratedPredictor if header.get("curated") else predictor_class(header["kind"])).load(folder)
    except (OSError, KeyError, ValueError) as error:
        msg = f"{folder}: the saved predictor cannot be read: {error}"
        raise PredictorError(msg) from error
