"""Training: one compiled call an epoch, the same pure step on each backend.

``program.py`` is the pure step, ``optimizers.py`` its updates, ``schedule.py`` the learning rate of an epoch;
``tensorflow.py`` and ``jax.py`` compile it; ``train.py`` is the loop with early stopping; ``checkpoint.py`` what a
broken-off training goes on from. A new backend is one file and a line in ``backend.py``.
"""

from automl_pheno.training.checkpoint import Checkpoint
from automl_pheno.training.train import TrainingData, TrainingResult, train

__all__ = ["Checkpoint", "TrainingData", "TrainingResult", "train"]
