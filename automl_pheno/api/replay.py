"""Train one trial of a run again and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_pheno.api.run import Run
    from automl_pheno.study.replay import Replay


def replay(
    run: Run | str | Path, trial: int | str, *, out: str | Path | None = None, tolerance: float | None = None
) -> Replay:
    """Train a trial or a baseline of a run again, with its seed and folds, and say whether the same comes out.

    Parameters
    ----------
    run
        A run or its folder; nothing in it is changed.
    trial
        Number, name (``cnn-12``), or name of a baseline (``ridge``).
    out
        New folder for the model, which `load` reads; with K folds one folder below it each. None keeps no model.
    tolerance
        How far the validation value may be off where hardware or versions are others; of an error times its value.

    Raises
    ------
    StudyError
        There is no such trial, it was never trained, or the data of the run were changed.
    """
    from automl_pheno.api.run import Run
    from automl_pheno.study.replay import TOLERANCE, replay_trial

    opened = run if isinstance(run, Run) else Run(Path(run))
    place = None if out is None else Path(out)
    return replay_trial(opened.path, trial, out=place, tolerance=TOLERANCE if tolerance is None else tolerance)
