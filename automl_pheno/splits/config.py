"""What a user says about a split."""

from __future__ import annotations

from typing import Literal, Union

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from automl_pheno.errors import known_names
from automl_pheno.splits.groups import GROUPINGS


class SplitConfig(BaseModel):
    """A split: what stays together, how it is cut, and by which seed. An unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    groups: tuple[str, ...] = Field(
        default=(),
        description="What stays together: similarity, relatedness, overlap, family, column:NAME, chromosome, "
        "clusters, pairs:FILE, or random (nothing but duplicates). similarity:0.9 and relatedness:ibs=0.95 state "
        "thresholds. Empty: duplicates, columns called group or family, overlapping intervals, and similarity (of "
        "sequences) or relatedness (of genotypes).",
    )
    regime: Literal["unrelated", "cross-population"] | None = Field(
        default=None,
        description="unrelated: relatives never cross, populations are balanced. cross-population: whole populations "
        "are held out. Genotypes only.",
    )
    populations: int | None = Field(
        default=None, ge=2, le=100, description="Number of populations of a regime; left out: chosen from the data."
    )
    extrapolation: Literal["auto", "unseen", "mutations", "position", "none"] = Field(
        default="auto",
        description="Of libraries of mutants of one sequence, and dense ones (all 9-mers, a few sites with a few "
        "choices each): test on mutations never seen in training (unseen), on more mutations (mutations), or on "
        "mutated positions never seen (position). auto: the first of these that a library of mutants allows, and an "
        "ordinary split of a dense one; none: an ordinary split.",
    )
    largest_group: float = Field(
        default=0.2,
        gt=0.0,
        le=1.0,
        description="A group of relatives or of similar sequences with a larger share of the samples is cut, and what "
        "then still touches another side is purged from training.",
    )
    most_purged: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="Share of the training samples that a purge may take at most."
    )
    method: Literal["auto", "holdout", "kfold"] = Field(
        default="auto",
        description="holdout: one validation set; kfold: K folds. auto: below 500 samples repeated K folds, else one "
        "validation set.",
    )
    test: float = Field(default=0.15, ge=0.0, lt=1.0, description="Share of samples in the sealed test set.")
    validation: float = Field(default=0.15, gt=0.0, lt=1.0, description="Share of samples; holdout only.")
    folds: int = Field(default=5, ge=2, le=1000, description="Number of folds; kfold only.")
    repeats: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Assignments to folds, each sample validated on once in each; kfold only. Left out: 1, or what "
        "method auto decides.",
    )
    fold_column: str | None = Field(
        default=None, description="Column with your own folds; then there is a test set only with test_column."
    )
    set_column: str | None = Field(default=None, description="Column with your own train, validation and test.")
    test_column: str | None = Field(default=None, description="Column by which the test set is chosen.")
    test_values: tuple[Union[int, float, str], ...] = Field(
        default=(), description="Samples with one of these values in test_column are the test set."
    )
    audit_seconds: float = Field(
        default=20.0,
        gt=0.0,
        le=86_400.0,
        description="What the audit may spend on comparing sampled sequences with all; more seconds, a tighter bound.",
    )
    seed: int = Field(default=0, ge=0, description="The same seed gives the same split.")

    @field_validator("groups")
    @classmethod
    def _known_groupings(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        for text in groups:
            name = text.partition(":")[0]
            if name not in GROUPINGS:
                msg = f"unknown grouping {name!r}; {known_names(name, GROUPINGS)}"
                raise ValueError(msg)
        if "random" in groups and len(groups) > 1:
            msg = "'random' means no grouping beyond duplicates and stands alone"
            raise ValueError(msg)
        return groups

    @model_validator(mode="after")
    def _consistent(self) -> SplitConfig:
        if self.method != "kfold" and self.test + self.validation >= 1.0:
            msg = f"test + validation must be below 1 to leave training samples, got {self.test} + {self.validation}"
            raise ValueError(msg)
        if (self.repeats or 1) > 1 and (self.method == "holdout" or self.fold_column is not None):
            msg = "repeats draws K folds anew; it does not go with method holdout or with folds of your own"
            raise ValueError(msg)
        if (self.test_column is None) != (not self.test_values):
            msg = "test_column and test_values go together"
            raise ValueError(msg)
        if self.regime is not None and self.groups:
            msg = f"regime {self.regime!r} says what stays together; it does not go with groups"
            raise ValueError(msg)
        if self.populations is not None and self.regime is None:
            msg = "populations goes with a regime"
            raise ValueError(msg)
        own = next(
            (one for one in ("set_column", "fold_column", "test_column") if getattr(self, one) is not None), None
        )
        if own is not None and self.extrapolation not in ("auto", "none"):
            msg = f"{own} already says what is tested; it does not go with extrapolation {self.extrapolation!r}"
            raise ValueError(msg)
        if self.set_column is not None and (self.fold_column is not None or self.test_column is not None):
            msg = "set_column already says what is tested; it does not go with fold_column or test_column"
            raise ValueError(msg)
        return self
