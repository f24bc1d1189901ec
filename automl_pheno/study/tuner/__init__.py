"""For people with KerasTuner scripts: the search space, the network and Optuna's samplers in KerasTuner's terms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_pheno.errors import StudyError
from automl_pheno.space.load import load_space
from automl_pheno.space.tree import SearchSpace

if TYPE_CHECKING:
    from automl_pheno.data.dataset import Dataset, Inputs


def hyperparameters(space: str | Path | SearchSpace) -> Any:
    """Return a ``keras_tuner.HyperParameters`` with every parameter of a search space.

    Names, limits, defaults and conditions are those of the YAML; its values are the hand-made configuration.

    Parameters
    ----------
    space
        A YAML file, or the space itself.

    Raises
    ------
    SpaceError
        The file breaks a rule.
    """
    import keras_tuner

    from automl_pheno.space.suggest import declare_hyperparameters

    hp = keras_tuner.HyperParameters()
    declare_hyperparameters(hp, _space(space))
    return hp


def hypermodel(
    space: str | Path | SearchSpace, width: int | None = None, *, data: Dataset | Inputs | None = None
) -> Any:
    """Return a ``keras_tuner.HyperModel`` of a search space, for any tuner of KerasTuner.

    Its ``build(hp)`` gives a compiled ``keras.Model``: optimizer, loss, penalties and dropout of the configuration, and
    the metrics ``mse``, ``mae`` and ``pearson_r``. Its ``fit`` uses the configuration's batch size, learning-rate
    schedule, ``max_epochs`` and ``patience``, unless ``search`` is given ``batch_size`` or ``epochs``. A configuration
    that cannot be a network for this width ends as a failed trial.

    The model reads one-hot sequences (n, width, 4), or coded genotypes (n, width, channels), and learns the trait in
    training-set standard deviations, ``(y - mean) / sd``.

    Parameters
    ----------
    space
        A YAML file, or the space itself.
    width
        Length in bp, or number of variants.
    data
        A data set or inputs to take the width from, instead.

    Raises
    ------
    SpaceError
        The file breaks a rule.
    StudyError
        Neither or both of `width` and `data` are given, or the data are not what the space is for.
    """
    found = _space(space)
    if (width is None) == (data is None):
        msg = "hypermodel needs the width of its inputs: give width, or data to take it from"
        raise StudyError(msg)
    if data is not None:
        inputs: Any = getattr(data, "inputs", data)
        if inputs.kind != found.input:
            msg = f"{found.source}: the space is for {found.input} inputs, but the data hold {inputs.kind}s"
            raise StudyError(msg)
        width = inputs.width
    from automl_pheno.study.tuner.model import SpaceHyperModel

    return SpaceHyperModel(found, int(width or 0))


def optuna_oracle(
    space: str | Path | SearchSpace | None = None,
    *,
    objective: Any = None,
    max_trials: int = 10,
    engine: str = "optuna/tpe",
    storage: Any = None,
    study_name: str = "keras-tuner",
    seed: int = 0,
    **options: Any,
) -> Any:
    """Return a ``keras_tuner.Oracle`` whose trials Optuna proposes and keeps: ``keras_tuner.Tuner(oracle=...)``.

    Each trial of the tuner is one of an Optuna study, with its intermediate values and its end, so that a script for
    KerasTuner gets Optuna's samplers, its storages and its dashboard.

    Parameters
    ----------
    space
        A YAML file, or the space itself; None for a hypermodel that declares its hyperparameters as it goes.
    objective
        As in KerasTuner: ``keras_tuner.Objective("val_mse", "min")``, or a name whose direction it knows.
    max_trials
        Trials of the tuner.
    engine
        An engine of Optuna: ``optuna/tpe``, ``optuna/gp`` ...
    storage
        Of Optuna: an object, a URL (``sqlite:///x.db``, ``postgresql://...``) or the path of a journal file. None is
        the file ``optuna_journal.log`` in the folder of the tuner's project.
    study_name
        Name of the study in the storage.
    seed
        Of the sampler.
    options
        Of ``keras_tuner.Oracle``: ``max_retries_per_trial`` ...

    Raises
    ------
    SpaceError, StudyError, UnknownNameError
        The space breaks a rule; the engine is none of Optuna's, or needs a package that is not installed.
    """
    from automl_pheno.study.engines import engine_name
    from automl_pheno.study.engines.optuna import SAMPLERS, make_sampler

    room, _, sampler = engine_name(engine).partition("/")
    if room != "optuna" or sampler not in SAMPLERS:
        msg = f"optuna_oracle: engine {engine} is none of Optuna's: {', '.join(f'optuna/{name}' for name in SAMPLERS)}"
        raise StudyError(msg)
    from automl_pheno.study.tuner.oracle import OptunaOracle

    return OptunaOracle(
        None if space is None else _space(space),
        sampler=make_sampler(sampler, seed=seed, slots=1),
        storage=storage,
        study_name=study_name,
        objective=objective,
        max_trials=max_trials,
        seed=seed,
        **options,
    )


def _space(space: str | Path | SearchSpace) -> SearchSpace:
    return space if isinstance(space, SearchSpace) else load_space(Path(space))
