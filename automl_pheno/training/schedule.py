"""Learning rate over a training."""

from __future__ import annotations

import math

from automl_pheno.space.config import FitConfig

_EXPONENTIAL_END = 0.01


def learning_rate(fit: FitConfig, epoch: float) -> float:
    """Return the learning rate after `epoch` epochs (may be fractional), 0 <= epoch <= ``fit.max_epochs``.

    A linear rise over ``fit.warmup_epochs`` comes first; the schedule runs over the remaining epochs.
    """
    if epoch < fit.warmup_epochs:
        return fit.learning_rate * (epoch + 1.0) / (fit.warmup_epochs + 1.0)
    progress = (epoch - fit.warmup_epochs) / max(fit.max_epochs - fit.warmup_epochs, 1)
    progress = min(max(progress, 0.0), 1.0)
    if fit.schedule == "cosine":
        return fit.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
    if fit.schedule == "exponential":
        return fit.learning_rate * math.pow(_EXPONENTIAL_END, progress)
    return fit.learning_rate
