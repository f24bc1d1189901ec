"""One validation set or K folds, and how often they are drawn: what is decided where the user leaves it open."""

from __future__ import annotations

from automl_pheno.splits.config import SplitConfig

SMALL = 500
"""Below so many samples one validation set is too small to choose by, and repeated folds are the default."""

VERY_SMALL = 250
_REPEATS, _MORE_REPEATS = 2, 3

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
    repeats = _MORE_REPEATS if n < VERY_SMALL else _REPEATS
    why = (
        f"{config.folds} folds, drawn {repeats} times, since {n:,} samples are few (below {SMALL}) and one validation "
        f"set of {round(config.validation * n)} could not tell candidates apart; each candidate is trained "
        f"{config.folds * repeats} times (--folds K: folds drawn once; --validation {config.validation:g}: one set)"
    )
    return config.model_copy(update={"method": "kfold", "repeats": repeats}), (why,)
