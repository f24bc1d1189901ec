"""The two tasks of a study: cross-validate a candidate, and refit a finalist. Both read the run folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.data import Dataset, load_dataset
from automl_pheno.data.dataset import Examples
from automl_pheno.errors import StudyError
from automl_pheno.evaluation.cross_validation import OnFold, cross_validate, held_out_calibration
from automl_pheno.metrics import calibration
from automl_pheno.predictors.calibration import Calibration
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.predictors.storage import make_predictor, save_predictor
from automl_pheno.rng import generator
from automl_pheno.splits import Split, read_split
from automl_pheno.study.baselines import BASELINES
from automl_pheno.study.continuation import Continuation
from automl_pheno.study.out_of_fold import pack
from automl_pheno.study.run_folder import DEVELOPMENT, FINALISTS, SEALED, SPLIT
from automl_pheno.study.slots.worker import Report
from automl_pheno.study.start_up import need_backend


def evaluate(task: Mapping[str, Any], report: Report, keep: OnFold | None = None) -> dict[str, Any]:
    """Cross-validate ``task["candidate"]`` on the development samples; test samples are not in reach.

    Parameters
    ----------
    task
        ``candidate``, ``metric``, ``seed``, ``run`` (folder), ``data`` (hash), ``trait``, ``backend``; with
        ``budget`` (epochs) and ``continues`` (name of a trial) as in `Continuation`.
    report
        See `cross_validate`.
    keep
        Hears of each fitted predictor.
    """
    metric, trait = str(task["metric"]), str(task["trait"])
    dataset, split = _development(str(task["run"]), str(task["data"]))
    continuation = Continuation.of(task)

    def after(predictor: Predictor, fold: int) -> None:
        if continuation is not None:
            continuation.after(predictor, fold)
        if keep is not None:
            keep(predictor, fold)

    result = cross_validate(
        lambda: _make(task),
        dataset,
        dataset.y(trait),
        split,
        metric=metric,
        seed=int(task["seed"]),
        report=report,
        before=None if continuation is None else continuation.before,
        after=after,
    )
    folds = len(result.scores)
    validated = np.isfinite(result.held_out)
    slope, intercept = calibration(dataset.y(trait)[validated], result.held_out[validated])
    return {
        "state": "pruned" if result.pruned else "complete",
        "reason": "" if continuation is None else continuation.reason,
        "value": result.mean(metric),
        "sd": result.sd(metric) if folds > 1 and not result.pooled else None,
        "pooled": bool(result.pooled),
        "scores": {name: result.mean(name) for name in result.scores[0]},
        "fold_scores": [dict(fold) for fold in result.scores],
        "validation_calibration": {"slope": slope, "intercept": intercept},
        **({} if result.pruned else {"held_out": pack(result.held_out)}),
        "weights": result.weights,
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "seconds": result.seconds,
        "curve": [{name: float(value) for name, value in point.items()} for point in result.summaries[0].curve],
        "chosen": dict(result.chosen),
        "fold_epochs": [summary.epochs for summary in result.summaries] if split.is_cross_validation else [],
    }


def refit(task: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Fit ``task["candidate"]`` on all development samples, save it, and predict the sealed test samples.

    The scale of a network's output is learnt beforehand, on validation rows that it is held out from.

    Parameters
    ----------
    task
        As for `evaluate`, and ``folder`` (below ``finalists/``) and ``epochs`` (of a network; else None), ``members``.
    report
        Gets the training loss of each epoch.
    """
    trait, run = str(task["trait"]), Path(task["run"])
    dataset, split = _development(str(run), str(task["data"]))
    train = Examples(inputs=dataset.inputs, y=dataset.y(trait), groups=split.group)
    epochs, members, calibration = task["epochs"], int(task["members"]), None
    if epochs is not None:
        calibration = held_out_calibration(
            lambda: _make(task, epochs, members), dataset, dataset.y(trait), split, seed=int(task["seed"])
        )
    predictor = _make(task, epochs, members, calibration)
    summary = predictor.fit(
        train,
        rng=generator(int(task["seed"]), "refit"),
        report=lambda epoch, values: report(epoch, float(values.get("loss", float("nan")))),
    )
    folder = run / FINALISTS / str(task["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_predictor(predictor, folder, dataset.inputs, trait=trait)
    sealed = run / SEALED
    predictions = predictor.predict(load_dataset(sealed).inputs).tolist() if sealed.exists() else []
    return {
        "state": "complete",
        "predictions": [float(value) for value in predictions],
        "weights": summary.weights,
        "epochs": summary.epochs,
        "seconds": summary.seconds,
        "chosen": dict(summary.chosen),
    }


def _make(
    task: Mapping[str, Any], epochs: int | None = None, members: int = 1, calibration: Calibration | None = None
) -> Predictor:
    name = str(task["candidate"]["name"])
    if name not in BASELINES:  # only networks need Keras
        need_backend(str(task["backend"]))
    return make_predictor(task["candidate"], str(task["metric"]), epochs, members, calibration)


@lru_cache(maxsize=2)
def _development(run: str, digest: str) -> tuple[Dataset, Split]:
    """Return the development samples and their split; `digest` is part of the key of the cache."""
    dataset = load_dataset(Path(run) / DEVELOPMENT)
    if dataset.sha256() != digest:
        msg = f"{Path(run) / DEVELOPMENT}: was changed since the search began"
        raise StudyError(msg)
    split = read_split(Path(run) / SPLIT)
    return dataset, split.take(split.development)
