"""What a user says about curation: the ``curation:`` of a study. The default changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from typing_extensions import Self

from automl_pheno.errors import CurationError, known_names
from automl_pheno.space.fields import explain


class CurationConfig(BaseModel):
    """What is done to inputs and trait before a predictor sees them, learnt from its training rows alone.

    Rules of variants are applied in the order of the fields; the first that drops a variant is the one counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_call_rate: float = Field(
        default=0.0, ge=0.0, le=1.0, description="Variants called in a smaller share of the training samples go."
    )
    min_maf: float = Field(
        default=0.0, ge=0.0, le=0.5, description="Variants with a rarer minor allele in training go."
    )
    drop_monomorphic: bool = Field(default=False, description="Variants that do not vary in training go.")
    drop_duplicate_variants: bool = Field(
        default=False,
        description="Of variants with the same training dosages, or the same with alleles swapped, the first stays.",
    )
    ld_prune: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="Of two variants within a window whose dosages have a larger r2 in training, the one with the "
        "rarer minor allele goes.",
    )
    ld_window: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="A variant is compared with so many that follow it on its chromosome; ld_prune only.",
    )
    impute: Literal["none", "mean", "mode", "knn"] = Field(
        default="none",
        description="Of missing calls: the training mean, the most frequent training genotype, or the mean of the most "
        "similar training samples. none: each predictor uses the training mean.",
    )
    neighbours: int = Field(default=5, ge=1, le=1000, description="Most similar training samples; impute: knn only.")
    trait: Literal["none", "rank_normal"] = Field(
        default="none",
        description="rank_normal: learn the normal score of the trait's rank; predictions come back in its own units.",
    )
    weights: Literal["none", "label_density"] = Field(
        default="none", description="label_density: a rare phenotype weighs more in the loss, inverse to its density."
    )
    largest_weight: float = Field(
        default=5.0, gt=1.0, le=1000.0, description="Of the rarest over that of the commonest phenotype; weights only."
    )
    resample: Literal["none", "over", "under", "both"] = Field(
        default="none",
        description="over: rare phenotypes are repeated; under: common ones are left out; both: the number of samples "
        "stays.",
    )
    largest_copies: float = Field(
        default=3.0,
        gt=1.0,
        le=100.0,
        description="How often the rarest phenotype stands in training for each time that the commonest does; resample "
        "only.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights != "none" and self.resample != "none":
            msg = (
                f"weights {self.weights} and resample {self.resample} correct for the same thing, rare phenotypes; "
                "choose one"
            )
            raise ValueError(msg)
        owners = {
            "ld_window": ("ld_prune", self.ld_prune is not None),
            "neighbours": ("impute: knn", self.impute == "knn"),
            "largest_weight": ("weights", self.weights != "none"),
            "largest_copies": ("resample", self.resample != "none"),
        }
        for name, (owner, is_on) in owners.items():
            if not is_on and getattr(self, name) != type(self).model_fields[name].default:
                msg = f"{name} goes with {owner}, which is off"
                raise ValueError(msg)
        return self

    @property
    def variant_rules(self) -> tuple[str, ...]:
        """What is on of the rules that only genotypes have, by name."""
        rules = {
            "min_call_rate": self.min_call_rate > 0,
            "min_maf": self.min_maf > 0,
            "drop_monomorphic": self.drop_monomorphic,
            "drop_duplicate_variants": self.drop_duplicate_variants,
            "ld_prune": self.ld_prune is not None,
            "impute": self.impute != "none",
        }
        return tuple(name for name, is_on in rules.items() if is_on)

    @property
    def drops_variants(self) -> bool:
        """Whether any rule drops variants."""
        return bool(set(self.variant_rules) - {"impute"})

    @property
    def changes_something(self) -> bool:
        """Whether any rule is on."""
        return bool(self.variant_rules) or {self.trait, self.weights, self.resample} != {"none"}


def curation_config(fields: Mapping[str, Any]) -> CurationConfig:
    """Return the configuration with these fields.

    Raises
    ------
    CurationError
        A field breaks a rule; one line for each problem, ``curation.min_maf: must be <= 0.5, got 0.7``.
    """
    try:
        return CurationConfig.model_validate(fields)
    except ValidationError as error:
        raise CurationError("\n".join(dict.fromkeys(_line(problem) for problem in error.errors()))) from None


def _line(problem: ErrorDetails) -> str:
    path = ".".join(("curation", *map(str, problem["loc"])))
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        return f"curation: unknown key {name!r}; {known_names(name, CurationConfig.model_fields)}"
    if problem["type"] == "value_error":
        return f"{path}: {problem['ctx']['error']}"
    return f"{path}: {explain(problem).replace('Input should be', 'must be')}"
