"""Reads the folder of a KerasTuner search, ``trial_*/trial.json``, as trials of Optuna."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.errors import StudyError, known_names

TRIAL_ID = "keras_tuner_trial"
"""User attribute of an imported trial: its name there."""

_STATES = {"COMPLETED": TrialState.COMPLETE, "FAILED": TrialState.FAIL, "INVALID": TrialState.FAIL}


def read_keras_tuner(folder: Path, metric: str | None = None) -> tuple[StudyDirection, list[FrozenTrial], str]:
    """Return the direction, the ended trials in the order in which they were made, and the name of the objective.

    Hyperparameters keep name, kind and bounds; those that a condition switched off are left out, and what the tuner
    itself noted (``tuner/epochs``) becomes a user attribute. Trials that still ran are left out.

    Parameters
    ----------
    folder
        The project's: it holds ``trial_*`` folders.
    metric
        Name of the objective; needed where several metrics have the score of a trial.

    Raises
    ------
    StudyError
        It is no such folder, a file is damaged, or the objective is not clear.
    """
    files = sorted(folder.glob("trial_*/trial.json"))
    if not files:
        deeper = sorted({str(file.parents[1]) for file in folder.glob("*/trial_*/trial.json")})
        hint = f"; did you mean {deeper[0]}?" if deeper else ""
        msg = f"{folder}: holds no trial_*/trial.json, so it is not the folder of a KerasTuner search{hint}"
        raise StudyError(msg)
    told = [(file, _load(file)) for file in files]
    told.sort(key=lambda item: (item[0].stat().st_mtime, item[0].parent.name))
    name = _objective(folder, [data for _, data in told], metric)
    directions = {data["metrics"]["metrics"][name]["direction"] for _, data in told if _has(data, name)}
    if len(directions) != 1 or directions <= {None}:
        msg = f"{folder}: {name} must have one direction, got {', '.join(sorted(map(str, directions))) or 'none'}"
        raise StudyError(msg)
    direction = StudyDirection.MAXIMIZE if directions == {"max"} else StudyDirection.MINIMIZE
    trials = [trial for file, data in told if (trial := _trial(file, data, name)) is not None]
    return direction, trials, name


def _load(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text())
        data["hyperparameters"]["values"], data["metrics"]["metrics"], data["status"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{file}: is not a trial of KerasTuner ({error})"
        raise StudyError(msg) from error
    return dict(data)


def _has(data: Mapping[str, Any], metric: str) -> bool:
    return metric in data["metrics"]["metrics"]


def _objective(folder: Path, trials: list[dict[str, Any]], metric: str | None) -> str:
    """Return the metric whose best observation is the score of every trial."""
    scored = [data for data in trials if data.get("score") is not None]
    names = sorted({name for data in trials for name in data["metrics"]["metrics"]})
    if metric is not None:
        if metric not in names:
            msg = f"{folder}: unknown metric {metric!r}; {known_names(metric, names)}"
            raise StudyError(msg)
        return metric
    fitting = [name for name in names if scored and all(_scores(data, name) for data in scored)]
    if len(fitting) != 1:
        msg = f"{folder}: the objective is not clear; name it with --metric; {known_names('', fitting or names)}"
        raise StudyError(msg)
    return str(fitting[0])


def _scores(data: Mapping[str, Any], name: str) -> bool:
    if not _has(data, name):
        return False
    seen, score = data["metrics"]["metrics"][name]["observations"], float(data["score"])
    return any(math.isclose(_mean(one), score, rel_tol=1e-9, abs_tol=1e-12) for one in seen)


def _mean(observation: Mapping[str, Any]) -> float:
    """Return the mean over the executions of a trial."""
    values = [float(value) for value in observation["value"]]
    return sum(values) / len(values)


def _trial(file: Path, data: Mapping[str, Any], metric: str) -> FrozenTrial | None:
    state = _STATES.get(str(data["status"]))
    score = data.get("score")
    if state is None:
        return None
    if state == TrialState.COMPLETE and (score is None or not math.isfinite(score)):
        state = TrialState.FAIL
    values = dict(data["hyperparameters"]["values"])
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for item in data["hyperparameters"].get("space", ()):
        config = item["config"]
        name = str(config["name"])
        if name in values and name not in params and _is_active(config, values):
            params[name] = values[name]
            distributions[name] = _distribution(str(item["class_name"]), config)
    others = {key: value for key, value in values.items() if key.startswith("tuner/") and value is not None}
    seen = data["metrics"]["metrics"].get(metric, {}).get("observations", ())
    stamp = datetime.fromtimestamp(file.stat().st_mtime)
    try:
        trial = optuna.create_trial(
            state=state,
            value=float(score) if state == TrialState.COMPLETE and score is not None else None,
            params=params,
            distributions=distributions,
            user_attrs={TRIAL_ID: str(data["trial_id"]), **others},
            intermediate_values={
                int(one["step"]): sum(one["value"]) / len(one["value"])
                for one in seen
                if math.isfinite(sum(one["value"]))
            },
        )
    except ValueError as error:
        msg = f"{file}: {error}"
        raise StudyError(msg) from error
    trial.datetime_start = trial.datetime_complete = stamp
    return trial


def _is_active(config: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    for condition in config.get("conditions") or ():
        parent = condition["config"]
        if values.get(parent["name"]) not in parent["values"]:
            return False
    return True


def _distribution(kind: str, config: Mapping[str, Any]) -> BaseDistribution:
    if kind == "Choice":
        return CategoricalDistribution(tuple(config["values"]))
    if kind == "Boolean":
        return CategoricalDistribution((False, True))
    if kind == "Fixed":
        return CategoricalDistribution((config["value"],))
    low, high, step = config["min_value"], config["max_value"], config.get("step")
    logarithmic = config.get("sampling") == "log"
    if kind == "Int":
        width = 1 if logarithmic or not step else int(step)
        return IntDistribution(
            int(low), int(low) + (int(high) - int(low)) // width * width, log=logarithmic, step=width
        )
    return FloatDistribution(float(low), float(high), log=logarithmic, step=None if logarithmic else step)
