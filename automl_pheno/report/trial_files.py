"""What the dashboard shows of one trial: its learning curve, its predictions of the test set, its configuration."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from automl_pheno.errors import StudyError
from automl_pheno.report.picture import LITERAL, Picture, render
from automl_pheno.report.prediction_figures import predicted_observed_picture
from automl_pheno.report.read import read_samples
from automl_pheno.report.search_figures import learning_curve_picture
from automl_pheno.study.dashboard.artifacts import ARTIFACTS, Artifact
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import FINAL, TEST_PREDICTIONS

_drawing = threading.Lock()  # Matplotlib draws one picture at a time


def draw_learning_curve(run: Path, record: TrialRecord) -> bytes:  # noqa: ARG001 - one signature for all
    """Return the learning curve of a trial as PNG."""
    return _png(lambda: learning_curve_picture(record.curve, record.name, record.best_epoch))


def draw_predictions(run: Path, record: TrialRecord) -> bytes:
    """Return predicted against observed test samples of a finalist as PNG.

    Raises
    ------
    StudyError
        It was not tested.
    """
    import json

    table = read_samples(run / TEST_PREDICTIONS)
    if record.name not in table:
        msg = f"{run / TEST_PREDICTIONS}: holds no predictions of {record.name}"
        raise StudyError(msg)
    trait = str(json.loads((run / FINAL).read_text())["trait"])
    return _png(lambda: predicted_observed_picture(table, [record.name], trait))


def write_configuration(run: Path, record: TrialRecord) -> bytes:  # noqa: ARG001 - one signature for all
    """Return what a trial was, and how it ended, as YAML."""
    parts: Mapping[str, Any] = {
        "name": record.name,
        "state": record.state,
        "reason": record.reason or None,
        "value": record.value,
        "scores": dict(record.scores) or None,
        "weights": record.weights,
        "epochs": record.epochs,
        "best_epoch": record.best_epoch,
        "seconds": record.seconds,
        "device": record.device or None,
        "seed": record.seed,
        "repeats_trials": list(record.retries) or None,
        "parameters": dict(record.params) or None,
        "candidate": dict(record.candidate) or None,
    }
    plain = {key: value for key, value in parts.items() if value is not None}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode()


def _png(make: Any) -> bytes:
    import matplotlib as mpl

    with _drawing, mpl.rc_context(LITERAL):
        picture: Picture = make()
        return render(picture).png


for _artifact in (
    Artifact(filename="learning_curve.png", mimetype="image/png", where="curve", make=draw_learning_curve),
    Artifact(filename="predicted_observed.png", mimetype="image/png", where="tested", make=draw_predictions),
    Artifact(filename="configuration.yaml", mimetype="text/plain", where="any", make=write_configuration),
):
    ARTIFACTS.add(_artifact.filename)(_artifact)
