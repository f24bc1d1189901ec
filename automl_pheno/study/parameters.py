"""How much each parameter of the search mattered, from the trials in the run's journal."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from automl_pheno.errors import StudyError
from automl_pheno.files import write_text
from automl_pheno.study.run_folder import JOURNAL
from automl_pheno.study.storage.quiet import quiet_optuna

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

PARAMETER_IMPORTANCE = "parameter_importance.csv"
Direction = Literal["maximize", "minimize"]
METHOD = "PED-ANOVA"
FEWEST_TRIALS = 8
"""With fewer complete trials an importance would be noise."""

_GOOD_TRIALS = 5
_GOOD_SHARE = 1 / 3  # with a tenth, as is customary among hundreds of trials, what matters drowns in chance
_SHUFFLES = 19
_SEED = 0
_TINY = 1e-300
_COLUMNS = ("path", "importance", "method", "n_trials", "n_present", "chance")


def write_parameter_importance(run_folder: Path) -> Path | None:
    """Write ``parameter_importance.csv`` into the run folder and return it; None where there are too few trials.

    A file of an earlier state of the run that can no longer be made is removed.

    Raises
    ------
    StudyError
        The journal is damaged.
    OutputError
        The folder cannot be written.
    """
    path = run_folder / PARAMETER_IMPORTANCE
    table = parameter_importance(run_folder)
    if table.empty:
        path.unlink(missing_ok=True)
        return None
    write_text(path, table.to_csv(index=False))
    return path


def parameter_importance(run_folder: Path) -> pd.DataFrame:
    """Return how much each parameter had to do with being among the best networks, the most important one first.

    PED-ANOVA (Watanabe et al. 2023) asks how unlike the values of the best trials are to those of all; in its
    conditional form it also judges parameters that only some trials have. "Best" is the best third, but at least five
    trials. Only complete trials of networks count; the journal is read and left as it is.

    Returns
    -------
    DataFrame
        ``path, importance`` (shares, together 1), ``method, n_trials, n_present`` (trials that have the parameter) and
        ``chance``, the largest importance in 19 shuffles of the scores over the same trials, on the same scale: what an
        unimportant parameter reaches by luck. No rows with fewer than 8 complete trials, or where the journal does not
        exist.

    Raises
    ------
    StudyError
        The journal is damaged.
    """
    trials, direction = _complete_trials(run_folder / JOURNAL)
    found, total = _importance_of(trials, direction)
    values = np.array([trial.value for trial in trials], dtype=np.float64)
    if not found:
        return _table([])
    rng = np.random.default_rng(_SEED)  # of this picture of chance alone: the same run gives the same file
    shuffled = [_importance(trials, rng.permutation(values).tolist(), direction) for _ in range(_SHUFFLES)]
    rows: list[dict[str, object]] = [
        {
            "path": name,
            "importance": share,
            "method": METHOD,
            "n_trials": len(trials),
            "n_present": sum(name in trial.params for trial in trials),
            "chance": max(one.get(name, 0.0) for one in shuffled) / total,
        }
        for name, share in found.items()
    ]
    return _table(rows)


def shares_of(trials: Iterable[FrozenTrial], direction: Direction) -> dict[str, float]:
    """Return the importance of each parameter as in `parameter_importance`, the most important first; {} if too few.

    Parameters
    ----------
    trials
        Of a study; those that are complete and have a finite value count.
    direction
        Of the study.
    """
    return _importance_of([trial for trial in trials if _counts(trial)], direction)[0]


def _importance_of(trials: list[FrozenTrial], direction: Direction) -> tuple[dict[str, float], float]:
    """Return the shares, and what they are shares of."""
    if len(trials) < FEWEST_TRIALS:
        return {}, _TINY
    found = _importance(trials, [float(trial.value or 0.0) for trial in trials], direction)
    total = max(sum(found.values()), _TINY)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {name: importance / total for name, importance in ordered}, total


def _counts(trial: FrozenTrial) -> bool:
    from optuna.trial import TrialState

    return trial.state == TrialState.COMPLETE and trial.value is not None and bool(np.isfinite(trial.value))


def _table(rows: list[dict[str, object]]) -> pd.DataFrame:
    table: pd.DataFrame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table


def _complete_trials(journal: Path) -> tuple[list[FrozenTrial], Direction]:
    """Return the complete trials of the journal and whether the study maximizes or minimizes."""
    if not journal.is_file():
        return [], "maximize"
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))  # reads; only a new trial would write
        studies = storage.get_all_studies()
        if not studies:
            return [], "maximize"
        trials = storage.get_all_trials(studies[0]._study_id, deepcopy=False, states=(TrialState.COMPLETE,))
    except (OSError, ValueError, KeyError) as error:
        msg = f"{journal}: the journal is damaged ({error})"
        raise StudyError(msg) from error
    direction: Direction = "maximize" if studies[0].direction == optuna.study.StudyDirection.MAXIMIZE else "minimize"
    return [trial for trial in trials if _counts(trial)], direction


def _importance(trials: list[FrozenTrial], values: list[float], direction: Direction) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = _study(trials, values, direction)
    with warnings.catch_warnings():  # Optuna marks the evaluator experimental; few trials share values
        warnings.simplefilter("ignore")
        share = min(max(_GOOD_SHARE, _GOOD_TRIALS / len(trials)), 0.5)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        # Not as shares: these sum to 1 also where nothing matters, and could not be compared with shuffles.
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    return {name: float(value) if np.isfinite(value) else 0.0 for name, value in found.items()}


def _study(trials: list[FrozenTrial], values: list[float], direction: Direction) -> Study:
    """Return a study in memory of these trials with these values."""
    import optuna

    with quiet_optuna():
        study = optuna.create_study(direction=direction)
        study.add_trials(
            [
                optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value)
                for trial, value in zip(trials, values, strict=True)
            ]
        )
    return study
