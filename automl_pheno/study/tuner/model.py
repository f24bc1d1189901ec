"""A search space as a ``keras_tuner.HyperModel``; imports KerasTuner."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner import errors

from automl_pheno.errors import InfeasibleError
from automl_pheno.space.sample import sample
from automl_pheno.space.size import network_size
from automl_pheno.space.suggest import declare_hyperparameters, from_keras_tuner
from automl_pheno.space.tree import SearchSpace


class SpaceHyperModel(keras_tuner.HyperModel):  # type: ignore[misc]  # KerasTuner has no type information
    """Networks of a search space; see `hypermodel`."""

    def __init__(self, space: SearchSpace, width: int) -> None:
        super().__init__(name=space.name)
        self.space = space
        self.width = width

    def declare_hyperparameters(self, hp: Any) -> None:
        """Declare the whole space, so that a tuner need not build networks to find it."""
        declare_hyperparameters(hp, self.space)

    def build(self, hp: Any) -> Any:
        """Return the compiled network of the values in `hp`.

        Raises
        ------
        keras_tuner.errors.FailedTrialError
            The configuration cannot be a network for this width; the tuner goes on with the next one.
        """
        from automl_pheno.training.compiled_model import compiled_model

        config = sample(self.space, from_keras_tuner(hp, self.space))
        try:
            network_size(config, self.width)
        except InfeasibleError as error:
            raise errors.FailedTrialError(str(error)) from error
        return compiled_model(config, self.width)

    def fit(self, hp: Any, model: Any, *args: Any, monitor: str = "val_mse", **options: Any) -> Any:
        """Return ``model.fit``, with what the configuration says about it; `monitor` is what stops it early."""
        from automl_pheno.training.compiled_model import fit_compiled

        config = sample(self.space, from_keras_tuner(hp, self.space))
        return fit_compiled(config, model, *args, monitor=monitor, **options)
