"""Search: options and study file to a `StudyConfig`, then the run, the explanation and the pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from automl_pheno.api.data import Data, read
from automl_pheno.api.run import EXPLANATION, Run
from automl_pheno.data import READING_WORDS, Dataset
from automl_pheno.errors import StudyError, known_names
from automl_pheno.splits import SplitConfig
from automl_pheno.study.config import StudyConfig, load_study, make_study
from automl_pheno.study.data import read_data

if TYPE_CHECKING:
    from automl_pheno.study.progress import Progress

RUNS = Path("studies")
SIMULATED = "simulated"
DEMO_TRIALS = 16
DEMO_SECONDS = 120.0
"""Without data: a search that ends, with everything around it, within about 3.5 minutes on two cores."""

_SPLIT_FIELDS = ("groups", "folds", "repeats", "validation", "regime", "populations", "extrapolation")
_DATA_FIELDS = ("trait", *READING_WORDS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """A checked search that has not begun: nothing is written yet.

    Attributes
    ----------
    config
        The study.
    folder
        Of the run.
    dataset, trait
        Data given as an object, and its trait; None where the study names a file, or has no data.
    notes
        What was decided for the user.
    """

    config: StudyConfig
    folder: Path
    dataset: Dataset | None = None
    trait: str | None = None
    notes: tuple[str, ...] = ()


def search(
    *,
    space: str | Path | None = None,
    data: Data | None = None,
    trait: str | None = None,
    trials: int | None = None,
    study: str | Path | None = None,
    out: str | Path | None = None,
    explain: bool = True,
    progress: Progress | None = None,
    dashboard: int | None = None,
    **options: Any,
) -> Run:
    """Search networks, compare them with baselines, test the winner once, and explain it.

    The same search again resumes a run that was interrupted and returns a finished one.

    Parameters
    ----------
    space
        Search space, a YAML file; may stand in `study`.
    data
        A file, a data frame or a data set, see `read`; None is a simulated set with planted motifs.
    trait
        Which trait; needed only where there are several.
    trials
        Networks to try.
    study
        Study file; what is given here wins over it.
    out
        Folder of the run, by default ``studies/<name>/``.
    explain
        Explain the winner and draw the pictures.
    progress
        Hears what happens; by default it is printed.
    dashboard
        Port of 127.0.0.1 on which the dashboard is served while the search runs, 0 for a free one; None for none.
    **options
        ``trait_table``, ``id_column``, ``missing`` and every other word of `read`; ``groups`` (what stays together,
        for example ``["column:family"]``), ``folds``, ``repeats``, ``validation``, ``regime``, ``extrapolation``;
        every field of a study file: ``metric``,
        ``time_limit``, ``workers``, ``engine``, ``pruner``, ``baselines``, ``leakage``, ``backend``, ``seed`` ...

    Raises
    ------
    AutoMLPhenoError
        The space, the data, the study or the folder breaks a rule.
    """
    plan = plan_search(space=space, data=data, trait=trait, trials=trials, study=study, out=out, **options)
    return run_plan(plan, explain=explain, progress=progress, dashboard=dashboard)


def plan_search(
    *,
    study: str | Path | None = None,
    data: Data | None = None,
    out: str | Path | None = None,
    **options: Any,
) -> Plan:
    """Return the search that study file and options describe; see `search`. None is "not given".

    Raises
    ------
    StudyError
        An option is unknown or breaks a rule.
    """
    given = {name: value for name, value in options.items() if value is not None}
    known = {*StudyConfig.model_fields, *_DATA_FIELDS, *_SPLIT_FIELDS, "study", "data", "out"}
    for name in given:
        if name not in known:
            msg = f"search: unknown option {name!r}; {known_names(name, known)}"
            raise StudyError(msg)
    base = None if study is None else load_study(study, {"space": given["space"]} if "space" in given else None)
    about_data = {name: given.pop(name) for name in _DATA_FIELDS if name in given}
    about_split = {name: given.pop(name) for name in _SPLIT_FIELDS if name in given}
    if base is None and "space" not in given:
        msg = "search needs a search space (--space FILE) or a study file that names one"
        raise StudyError(msg)
    if "baselines" in given:
        given["baselines"] = _baselines(given["baselines"])
    dataset, trait = None, about_data.get("trait")
    if isinstance(data, (pd.DataFrame, Dataset)):
        dataset, about_data = read(data, **_without(about_data, "trait")), {}
    elif data is not None:
        about_data["file"] = data
    simulated = data is None and (base is None or base.data is None)
    if simulated and about_data:
        msg = f"{', '.join(sorted(about_data))} is about data, but no data are given (--data FILE)"
        raise StudyError(msg)
    changes = {**given, **_split_changes(base, about_split, given.get("seed"))}
    if about_data:
        changes["data"] = about_data
    if base is None:
        changes.setdefault("name", _name(data, dataset))
        if simulated:
            changes.setdefault("trials", DEMO_TRIALS)
            changes.setdefault("time_limit", DEMO_SECONDS)
        config = make_study(**changes)
    else:
        config = load_study(study or "", changes)
    notes = () if base is None else tuple(f"{study}: an option wins: {text}" for text in _replaced(base, config))
    folder = RUNS / config.name if out is None else Path(out)
    _refuse_files(folder)
    return Plan(config=config, folder=folder, dataset=dataset, trait=None if dataset is None else trait, notes=notes)


def run_plan(
    plan: Plan, *, explain: bool = True, progress: Progress | None = None, dashboard: int | None = None
) -> Run:
    """Run or resume a plan, then explain the winner and draw the pictures; see `search`."""
    from automl_pheno.study.progress import ConsoleProgress

    hear = ConsoleProgress() if progress is None else progress
    if dashboard is None:
        return _run_plan(plan, hear, explain=explain)
    from automl_pheno.api.dashboard import dashboard_beside

    with dashboard_beside(plan.folder, dashboard, hear.message):
        return _run_plan(plan, hear, explain=explain)


def _run_plan(plan: Plan, hear: Progress, *, explain: bool) -> Run:
    from automl_pheno.api.explain import explain_run
    from automl_pheno.api.report import draw_report
    from automl_pheno.study.search import run_search
    from automl_pheno.study.steps import step_bar

    run_search(plan.config, plan.folder, hear, dataset=plan.dataset, trait=plan.trait)
    run = Run(plan.folder)
    if run.is_finished:
        if explain and not (run.path / EXPLANATION).exists():
            hear.message("explaining the winner")
            with step_bar():
                (explained,) = explain_run(run, seed=plan.config.seed)
            for note in explained.notes:
                hear.message(note)
        draw_report(run)
    return run


def plan_data(*, study: str | Path | None = None, **options: Any) -> tuple[Dataset, str | None, SplitConfig]:
    """Return the data, the trait if it is named, and the split's configuration, as a search would have them.

    Raises
    ------
    AutoMLPhenoError
        No data are given, or they break a rule.
    """
    # A split does not depend on the space, which a search without a study file would need.
    if study is None:
        options["space"] = Path("space.yaml")
    plan = plan_search(study=study, **options)
    if plan.dataset is not None:
        return plan.dataset, plan.trait, plan.config.split
    data = plan.config.data
    if data is None:
        msg = "split needs data: --data FILE, or a study file that names them"
        raise StudyError(msg)
    return read_data(data), data.trait, plan.config.split


def _refuse_files(folder: Path) -> None:
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            msg = f"{folder}: must be a folder, but {path} is a file"
            raise StudyError(msg)


def _name(data: Data | None, dataset: Dataset | None) -> str:
    """Return the name of a study from its data: ``promoters`` of ``promoters.csv.gz``."""
    text = SIMULATED if data is None else dataset.name if dataset is not None else Path(str(data)).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "study"


def _baselines(names: str | Sequence[str]) -> tuple[str, ...] | None:
    words = [names] if isinstance(names, str) else [str(name).strip() for name in names]
    return None if words == ["all"] else () if words == ["none"] else tuple(words)


def _split_changes(base: StudyConfig | None, given: Mapping[str, Any], seed: int | None) -> dict[str, Any]:
    changes = dict(given)
    if "groups" in changes:
        changes["groups"] = tuple(changes["groups"])
    folds = [name for name in ("folds", "repeats") if name in changes]
    if folds and "validation" in changes:
        msg = f"{folds[0]} asks for K folds and validation for one validation set; give one of them"
        raise StudyError(msg)
    if folds:
        changes["method"] = "kfold"
    elif "validation" in changes:
        changes |= {"method": "holdout", "repeats": None}
    if seed is not None:
        changes["seed"] = seed
    if not changes:
        return {}
    return {"split": {**(base.split.model_dump() if base is not None else {}), **changes}}


def _replaced(base: StudyConfig, config: StudyConfig) -> list[str]:
    before, now = _flat(base.model_dump(mode="json")), _flat(config.model_dump(mode="json"))
    return [f"{path}: {now[path]}, not {before.get(path)}" for path in now if now[path] != before.get(path)]


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return flat


def _without(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}
