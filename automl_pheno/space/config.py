"""Concrete configurations: what one network is and how it is trained. No ranges here, no Keras, no Optuna."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

Activation = Literal[
    "relu", "gelu", "elu", "selu", "silu", "mish", "leaky_relu", "softplus", "tanh", "sigmoid", "exponential", "linear"
]
Normalization = Literal["none", "batch", "layer"]
Coding = Literal["additive", "dominance", "one_hot"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class Config(BaseModel):
    """Base of the concrete configurations: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ConvBlock(Config):
    """Convolution, then normalisation, activation, pooling and dropout."""

    block: Literal["conv"] = "conv"
    filters: int = Field(default=64, ge=1, le=4096, description="Number of filters.")
    kernel_size: int = Field(default=11, ge=1, le=1001, description="Width of a filter, in bp or variants.")
    stride: int = Field(default=1, ge=1, le=100, description="Step of the filter.")
    dilation: int = Field(default=1, ge=1, le=100, description="Spacing of the filter's taps; needs stride 1.")
    padding: Literal["same", "valid"] = Field(default="same", description="same keeps the length, valid shortens it.")
    normalization: Normalization = Field(default="none", description="After the convolution.")
    activation: Activation = Field(default="relu", description="After the normalisation.")
    pooling: Literal["none", "max", "average"] = Field(default="none", description="After the activation.")
    pool_size: int = Field(default=2, ge=1, le=1000, description="Window and step of the pooling.")
    dropout: Rate = Field(
        default=0.0,
        description="Rate, after the pooling; where the trunk ends in a maximum over all positions, after that.",
    )


class GateBlock(Config):
    """One learnt weight a position, held small by ``fit.gate_l1``: for aligned inputs in which few positions matter."""

    block: Literal["gate"] = "gate"


class FlattenBlock(Config):
    """End of the trunk: one vector a sample."""

    block: Literal["flatten"] = "flatten"
    pooling: Literal["none", "max", "average"] = Field(
        default="none",
        description="Over all positions first: max and average leave one value a filter, wherever a motif stands.",
    )


class DenseBlock(Config):
    """Fully connected layer, then normalisation, activation and dropout."""

    block: Literal["dense"] = "dense"
    units: int = Field(default=64, ge=1, le=16384, description="Number of outputs.")
    normalization: Normalization = Field(default="none", description="After the dense layer.")
    activation: Activation = Field(default="relu", description="After the normalisation.")
    dropout: Rate = Field(default=0.0, description="Rate, after the activation.")


TrunkBlock = Annotated[Union[ConvBlock, GateBlock, FlattenBlock], Field(discriminator="block")]
HeadBlock = Annotated[Union[DenseBlock], Field()]


class FitConfig(Config):
    """How a network is trained."""

    loss: Literal["mse", "mae", "huber"] = Field(default="mse", description="On the trait in training-set sd.")
    huber_delta: float = Field(default=1.0, gt=0.0, description="Where huber turns linear, in sd; huber only.")
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(
        default="adam", description="How a gradient becomes a step."
    )
    learning_rate: float = Field(default=1.0e-3, gt=0.0, le=10.0, description="At its highest, after warm-up.")
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0, description="sgd and rmsprop only.")
    nesterov: bool = Field(default=False, description="sgd only.")
    beta_1: float = Field(default=0.9, ge=0.0, lt=1.0, description="adam and adamw only.")
    beta_2: float = Field(default=0.999, ge=0.0, lt=1.0, description="adam and adamw only.")
    rho: float = Field(default=0.9, ge=0.0, lt=1.0, description="rmsprop only.")
    weight_decay: float = Field(default=0.0, ge=0.0, le=1.0, description="Decoupled, adamw only.")
    clip_norm: float = Field(default=0.0, ge=0.0, description="Largest norm of the whole gradient; 0 is off.")
    schedule: Literal["constant", "cosine", "exponential"] = Field(
        default="constant", description="Of the learning rate over max_epochs; cosine ends at 0, exponential at 1 %."
    )
    warmup_epochs: int = Field(default=0, ge=0, le=1000, description="Epochs of linear rise of the learning rate.")
    l1: float = Field(default=0.0, ge=0.0, le=10.0, description="Penalty on |kernel weights|, all layers.")
    l2: float = Field(default=0.0, ge=0.0, le=10.0, description="Penalty on squared kernel weights, all layers.")
    gate_l1: float = Field(
        default=0.0, ge=0.0, le=10.0, description="Penalty on the mean |weight| of gate blocks, relative to the loss."
    )
    batch_size: int = Field(default=64, ge=1, le=65536, description="Samples a step.")
    precision: Precision = Field(
        default="float32",
        description="Of the layers while training; mixed ones are for GPUs with tensor cores. Weights, the last layer, "
        "the loss and the finished network are float32.",
    )
    max_epochs: int = Field(default=60, ge=1, le=100000, description="Never more than this.")
    patience: int = Field(default=10, ge=1, le=100000, description="Epochs without a better validation value.")


class CodingConfig(Config):
    """How a genotype becomes numbers. Stands at the top of a space, and only where ``input: genotype``."""

    coding: Coding = Field(
        default="additive",
        description="additive: the dosage; dominance: the dosage and whether heterozygous; one_hot: one value for each "
        "of 0, 1 and 2 alternate alleles. A missing call is its expectation in training.",
    )


class ModelConfig(Config):
    """One network and its training: the seam between sampling (no Keras) and building (no Optuna)."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this format.")
    name: str = Field(default="model", min_length=1, description="Name of the space.")
    input: Literal["sequence", "genotype"] = Field(default="sequence", description="What the network reads.")
    coding: Coding = Field(default="additive", description=CodingConfig.model_fields["coding"].description)
    trunk: tuple[TrunkBlock, ...] = Field(min_length=1, description="From the input to one vector a sample.")
    head: tuple[HeadBlock, ...] = Field(default=(), description="Dense layers before the single output.")
    fit: FitConfig = Field(default_factory=FitConfig)

    @model_validator(mode="after")
    def _coding_is_of_genotypes(self) -> Self:
        if self.input == "sequence" and self.coding != "additive":
            msg = f"coding {self.coding} is about genotypes; leave it out for input: sequence"
            raise ValueError(msg)
        return self
