"""The search space: concrete configurations, ranges over them, YAML in, one configuration out. No Keras, no Optuna."""

from automl_pheno.space.config import (
    ConvBlock,
    DenseBlock,
    FitConfig,
    FlattenBlock,
    GateBlock,
    ModelConfig,
)
from automl_pheno.space.extent import SpaceExtent, count_configurations, space_extent
from automl_pheno.space.load import load_space, parse_space
from automl_pheno.space.ranges import Choice, FloatRange, IntRange, Range, Scalar
from automl_pheno.space.sample import Suggest, default_values, sample
from automl_pheno.space.schema import json_schema
from automl_pheno.space.size import LayerSize, NetworkSize, network_size
from automl_pheno.space.suggest import declare_hyperparameters, from_keras_tuner, from_optuna, from_rng, from_values
from automl_pheno.space.tree import Condition, Parameter, SearchSpace, SpaceBlock, parameters

__all__ = [
    "Choice",
    "Condition",
    "ConvBlock",
    "DenseBlock",
    "FitConfig",
    "FlattenBlock",
    "FloatRange",
    "GateBlock",
    "IntRange",
    "LayerSize",
    "ModelConfig",
    "NetworkSize",
    "Parameter",
    "Range",
    "Scalar",
    "SearchSpace",
    "SpaceBlock",
    "SpaceExtent",
    "Suggest",
    "count_configurations",
    "declare_hyperparameters",
    "default_values",
    "from_keras_tuner",
    "from_optuna",
    "from_rng",
    "from_values",
    "json_schema",
    "load_space",
    "network_size",
    "parameters",
    "parse_space",
    "sample",
    "space_extent",
]
