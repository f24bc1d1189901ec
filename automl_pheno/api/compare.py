"""The cost of honesty: baselines and leak detectors on a random split beside the split that is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from automl_pheno.api.data import Data, read
from automl_pheno.api.plan import plan_data
from automl_pheno.api.run import Run
from automl_pheno.api.split import balanced_by
from automl_pheno.data import Dataset, choose_trait, drop_missing, load_dataset
from automl_pheno.errors import StudyError
from automl_pheno.files import write_text
from automl_pheno.splits import Split, SplitConfig, check_matches, draw_split, read_split
from automl_pheno.study.config import StudyConfig, load_study
from automl_pheno.study.run_folder import COMPARISON, DEVELOPMENT, SPLIT, STUDY

if TYPE_CHECKING:
    from automl_pheno.predictors.protocol import Predictor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Scores on a random split beside those on the split that is used; development samples only.

    Attributes
    ----------
    table
        ``name, kind`` (baseline or detector), ``random, random_sd, this_split, this_split_sd`` (means and sd over
        folds), ``inflation, inflation_se, metric, folds, validated, note``.
    sentences
        What it says, the most important first.
    files
        Written: ``comparison.csv`` and the page of the split.
    """

    table: pd.DataFrame
    sentences: tuple[str, ...]
    files: tuple[Path, ...] = ()


def compare_data(
    data: Data,
    trait: str | None = None,
    *,
    metric: str = "pearson_r",
    baselines: Sequence[str] | None = None,
    **split: Any,
) -> Comparison:
    """Compare a random split with one made as asked; writes nothing.

    Parameters
    ----------
    data
        As in `read`.
    trait
        Needed only where there are several.
    metric
        Name in ``METRICS``.
    baselines
        Names; None takes all that suit the number of samples.
    **split
        Fields of ``SplitConfig``: ``groups``, ``folds``, ``test``, ``seed`` ...; ``folds`` alone means K folds.

    Examples
    --------
    >>> compare_data("lines.csv", "yield", groups=("column:family",), folds=10, test=0.0)  # doctest: +SKIP
    """
    dataset = read(data)
    name = choose_trait(dataset, trait)
    usable = drop_missing(dataset, name)
    if "folds" in split:
        split.setdefault("method", "kfold")
    config = SplitConfig(**split)
    made = draw_split(usable, name, config).split
    return _compare(usable, name, made, metric=metric, seed=config.seed, baselines=baselines)


def compare_split(folder: Path, *, baselines: Sequence[str] | None = None, **options: Any) -> Comparison:
    """Compare a random split with the one in `folder`, write ``comparison.csv`` beside it and redraw its page.

    Parameters
    ----------
    folder
        Where ``split_data`` wrote ``split.csv``.
    baselines
        Names; None takes all that suit the number of samples.
    **options
        Those that were given to ``split_data``.
    """
    dataset, trait, config = plan_data(**options)
    usable, name = balanced_by(dataset, trait)
    if name is None:
        known = ", ".join(map(str, dataset.traits)) or "none"
        msg = f"--compare predicts a trait, so one must be named: --trait (numeric columns: {known})"
        raise StudyError(msg)
    split = read_split(folder / SPLIT)
    check_matches(split, usable)
    study = None if options.get("study") is None else load_study(options["study"])
    compared = _compare(
        usable,
        name,
        split,
        metric="pearson_r" if study is None else study.metric,
        seed=config.seed,
        baselines=baselines,
        curation=_curation(study),
    )
    return _write(compared, folder)


def compare_run(run: Run | str | Path) -> Comparison:
    """Compare the baselines of a run on a random split with those on its own, and write ``comparison.csv`` into it.

    Raises
    ------
    StudyError
        It is no run, it lacks its data, or none of its baselines is complete.
    """
    opened = run if isinstance(run, Run) else Run(Path(run))
    path = opened.path
    board = opened.leaderboard
    done = board.loc[(board["kind"] == "baseline") & (board["state"] == "complete"), "name"]
    config = load_study(path / STUDY)
    for file in (path / DEVELOPMENT, path / SPLIT):
        if not file.is_file():
            msg = f"{file}: is missing; a comparison needs the data and the split of the run"
            raise StudyError(msg)
    if done.empty:
        msg = f"{path}: no baseline is complete, so there is nothing to compare"
        raise StudyError(msg)
    dataset = load_dataset(path / DEVELOPMENT)
    whole = read_split(path / SPLIT)
    split = whole.take(whole.development)
    check_matches(split, dataset)
    trait = str(opened.final["trait"]) if opened.is_finished else choose_trait(dataset, _trait(config))
    compared = _compare(
        dataset,
        trait,
        split,
        metric=config.metric,
        seed=config.seed,
        baselines=tuple(map(str, done)),
        curation=_curation(config),
    )
    return _write(compared, path)


def _trait(config: StudyConfig) -> str | None:
    return None if config.data is None else config.data.trait


def _curation(config: StudyConfig | None) -> dict[str, Any] | None:
    return None if config is None else config.curation.model_dump(mode="json")


def named_baselines(text: str | None, *, compare: bool) -> tuple[str, ...] | None:
    """Return the baselines that an option names, ``all`` (None), ``none`` or ``ridge,gblup``.

    Raises
    ------
    UnknownNameError, StudyError
        No such baseline, or they are named where nothing is compared.
    """
    from automl_pheno.study.baselines import BASELINES

    if text is None:
        return None
    if not compare:
        msg = f"--baselines goes with --compare, got --baselines {text} alone"
        raise StudyError(msg)
    names = () if text == "none" else tuple(name.strip() for name in text.split(","))
    if names == ("all",):
        return None
    for name in names:
        BASELINES[name]
    return names


def _compare(
    dataset: Dataset,
    trait: str,
    split: Split,
    *,
    metric: str,
    seed: int,
    baselines: Sequence[str] | None,
    curation: Mapping[str, Any] | None = None,
) -> Comparison:
    from automl_pheno.evaluation import RANDOM, THIS, compare_splits, development_of, explain_comparison, random_like
    from automl_pheno.study.baselines import default_baselines

    developed, this = development_of(dataset, split)
    splits = {RANDOM: random_like(developed, developed.y(trait), this, seed), THIS: this}
    folds = list(this.folds())
    names = default_baselines(max(len(fold.train) for fold in folds)) if baselines is None else tuple(baselines)
    table = compare_splits(developed, trait, splits, _makers(names, curation), metric=metric, seed=seed)
    return Comparison(table=table, sentences=tuple(explain_comparison(table)))


def _makers(names: Sequence[str], curation: Mapping[str, Any] | None) -> Mapping[str, Callable[[], Predictor]]:
    from automl_pheno.predictors.storage import make_predictor

    about = {} if curation is None else {"curation": curation}
    return {name: partial(make_predictor, {"name": name, **about}) for name in names}


def _write(comparison: Comparison, folder: Path) -> Comparison:
    from automl_pheno.report.split_page import write_split_page

    file = folder / COMPARISON
    write_text(file, comparison.table.to_csv(index=False))
    return Comparison(table=comparison.table, sentences=comparison.sentences, files=(file, write_split_page(folder)))
