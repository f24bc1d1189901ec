"""One validation set or K folds, and how often they are drawn: what is decided where the user leaves it open."""

from __future__ import annotations

from automl_pheno.splits.config import SplitConfig

SMALL = 500
"""Below so many samples one validation set is too small to choose by, and K folds are the default.

Chosen among 16 kernel predictors by 5 folds instead of one set of 15 %, the test r of the chosen rose by 0.046 +- 0.014
(wheat and maize, 120 to 400 development samples; `benchmarks/selection.py`).
"""

FEW = 300
"""Below so many samples the folds are drawn twice: a training, too, is a matter of luck."""

HOLDOUT = {"method": "holdout", "repeats": 1}


def decide_method(
    config: SplitConfig, n: int, *, extrapolates: bool, own_validation: bool
) -> tuple[SplitConfig, tuple[str, ...]]:
    """Return the configuration with ``method`` and ``repeats`` decided, and why, in a note where it is not usual.

    Parameters
    ----------
    config
        What the user asks for; K folds that he names are drawn once unless he says otherwise.
    n
        Number of samples.
    extrapolates
        Whether the test set of a library of mutants extrapolates, which folds drawn at random would not.
    own_validation
        Whether a column of the data says who is validated on.
    """
    if config.method != "auto":
        return config.model_copy(update={"repeats": config.repeats or 1}), ()
    if config.fold_column is not None:
        return config.model_copy(update={"method": "kfold", "repeats": 1}), ()
    if config.repeats is not None:
        return config.model_copy(update={"method": "kfold"}), ()
    if n >= SMALL or own_validation:
        return config.model_copy(update=HOLDOUT), ()
    if extrapolates:
        why = (
            "one validation set, though there are few samples: it extrapolates as the test set does (--folds K: folds)"
        )
        return config.model_copy(update=HOLDOUT), (why,)
    repeats = 2 if n < FEW else 1
    drawn = f"{config.folds} folds" + (", drawn twice," if repeats == 2 else "")
    why = (
        f"{drawn} since {n:,} samples are few (below {SMALL}) and one validation set of {round(config.validation * n)} "
        f"could not tell candidates apart; each candidate is trained {config.folds * repeats} times (--folds K: folds "
        f"drawn once; --validation {config.validation:g}: one set)"
    )
    return config.model_copy(update={"method": "kfold", "repeats": repeats}), (why,)
