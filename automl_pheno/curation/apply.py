"""Learn a curation from training examples, apply it to any inputs, keep it on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.curation.config import CurationConfig, curation_config
from automl_pheno.curation.imputation import Imputation, learn_imputation
from automl_pheno.curation.phenotype import RankNormal, learn_rank_normal
from automl_pheno.curation.variants import choose_variants
from automl_pheno.curation.weights import density_weights, resampled_rows
from automl_pheno.data.dataset import Examples, FloatArray, InputKind, Inputs, IntArray
from automl_pheno.errors import CurationError

JSON = "curation.json"
ARRAYS = "curation.npz"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curation:
    """What was learnt by `learn`, and how it is applied. Nothing changes it.

    Attributes
    ----------
    config
        What was asked for.
    kind, width, n
        Of the training inputs, and how many there were.
    kept
        Columns of the variants kept, in order, int64; None where no rule drops variants.
    dropped
        How many variants each rule dropped, by its name.
    imputation
        Of the variants kept; None without.
    rank_normal
        None without.
    rows
        Training rows after resampling, repeats among them, int64; None without.
    weights
        Of the training rows, mean 1, float64, shape (n,); None without.
    """

    config: CurationConfig
    kind: InputKind
    width: int
    n: int
    kept: IntArray | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    imputation: Imputation | None = None
    rank_normal: RankNormal | None = None
    rows: IntArray | None = None
    weights: FloatArray | None = None

    def inputs(self, inputs: Inputs) -> Inputs:
        """Return the kept variants with missing calls filled in; sequences are returned as they are.

        Raises
        ------
        CurationError
            Inputs of another kind or width than those of training.
        """
        if (inputs.kind, inputs.width) != (self.kind, self.width):
            unit = "bp" if self.kind == "sequence" else "variants"
            got = f"{inputs.kind} inputs of width {inputs.width}"
            msg = f"trained on {self.kind} inputs of {self.width} {unit}, got {got}"
            raise CurationError(msg)
        if self.kept is not None:
            variants = inputs.variants
            table = None if variants is None else variants.iloc[self.kept].reset_index(drop=True)
            inputs = replace(inputs, values=inputs.values[:, self.kept], variants=table)
        if self.imputation is not None:
            inputs = replace(inputs, values=self.imputation.apply(inputs.values))
        return inputs

    def examples(self, train: Examples) -> Examples:
        """Return the training examples that were learnt from: curated, transformed, weighted, resampled.

        A repeated sample keeps its group, so no inner cross-validation has it on both sides.

        Raises
        ------
        CurationError
            Other examples than those that were learnt from, by their number.
        """
        if len(train) != self.n:
            msg = f"this curation was learnt from {self.n} training samples, got {len(train)}"
            raise CurationError(msg)
        weights = train.weights
        if self.weights is not None:
            weights = self.weights if weights is None else weights * self.weights
            weights = weights / weights.mean()
        curated = Examples(
            inputs=self.inputs(train.inputs), y=self.trait(train.y), groups=train.groups, weights=weights
        )
        return curated if self.rows is None else curated.take(self.rows)

    def held_out(self, examples: Examples) -> Examples:
        """Return validation examples: curated inputs and the transformed trait, neither weighted nor resampled."""
        return Examples(inputs=self.inputs(examples.inputs), y=self.trait(examples.y), groups=examples.groups)

    def trait(self, y: FloatArray) -> FloatArray:
        """Return what the predictor learns of trait values."""
        return y if self.rank_normal is None else self.rank_normal.scores(y)

    def untrait(self, predictions: FloatArray) -> FloatArray:
        """Return predictions in phenotype units."""
        return predictions if self.rank_normal is None else self.rank_normal.phenotypes(predictions)

    def spread(self, values: FloatArray) -> FloatArray:
        """Return values of curated inputs, shape (n, variants kept), at their place in all inputs; 0 where dropped."""
        if self.kept is None:
            return values
        full = np.zeros((len(values), self.width), dtype=values.dtype)
        full[:, self.kept] = values
        return full

    def counts(self) -> dict[str, float | int | str]:
        """Return what was done, for the leaderboard: variants kept and dropped by each rule, training rows, methods."""
        counts: dict[str, float | int | str] = {}
        if self.kept is not None:
            counts["variants_kept"] = len(self.kept)
            counts |= {f"dropped_by_{rule}": number for rule, number in self.dropped.items()}
        if self.imputation is not None:
            counts["imputed_by"] = self.config.impute
        if self.rank_normal is not None:
            counts["trait"] = self.config.trait
        if self.weights is not None:
            counts["heaviest_weight"] = float(self.weights.max())
        if self.rows is not None:
            counts["training_rows"] = len(self.rows)
            counts["training_samples_used"] = len(np.unique(self.rows))
        return counts

    def save(self, folder: Path) -> None:
        """Write ``curation.json`` and ``curation.npz`` into the existing `folder`."""
        arrays: dict[str, npt.NDArray[Any]] = {}
        if self.kept is not None:
            arrays["kept"] = self.kept
        if self.imputation is not None:
            arrays |= self.imputation.state()
        if self.rank_normal is not None:
            scale = self.rank_normal
            arrays |= {"trait_y": scale.y, "trait_score": scale.score, "trait_slope": np.array(scale.slope)}
        if self.rows is not None:
            arrays["rows"] = self.rows
        if self.weights is not None:
            arrays["weights"] = self.weights
        values = {
            "config": self.config.model_dump(mode="json"),
            "kind": self.kind,
            "width": self.width,
            "n": self.n,
            "dropped": self.dropped,
        }
        np.savez_compressed(folder / ARRAYS, **arrays)  # type: ignore[arg-type]  # stub mixes up allow_pickle
        (folder / JSON).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Curation:
        """Return what `save` wrote.

        Raises
        ------
        CurationError
            The folder holds no readable curation.
        """
        try:
            values = json.loads((folder / JSON).read_text(encoding="utf-8"))
            with np.load(folder / ARRAYS, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            rank_normal = None
            if "trait_y" in arrays:
                rank_normal = RankNormal(
                    y=arrays["trait_y"], score=arrays["trait_score"], slope=float(arrays["trait_slope"])
                )
            return cls(
                config=curation_config(values["config"]),
                kind=values["kind"],
                width=values["width"],
                n=values["n"],
                kept=arrays.get("kept"),
                dropped=values["dropped"],
                imputation=Imputation.restore(arrays),
                rank_normal=rank_normal,
                rows=arrays.get("rows"),
                weights=arrays.get("weights"),
            )
        except (OSError, ValueError, KeyError) as error:
            msg = f"{folder}: no readable curation ({error})"
            raise CurationError(msg) from error


def check_suits(config: CurationConfig, kind: InputKind) -> None:
    """Raise CurationError where `config` has rules of variants and the inputs are sequences."""
    if kind == "sequence" and config.variant_rules:
        msg = (
            f"curation.{config.variant_rules[0]}: is about variants of genotypes, the data are sequences; leave it out"
        )
        raise CurationError(msg)


def learn(config: CurationConfig, train: Examples, rng: np.random.Generator) -> Curation:
    """Return the curation learnt from training examples alone.

    Parameters
    ----------
    config
        What is asked for.
    train
        Training examples, y finite.
    rng
        Draws repeats of samples, and donors above 2,000 training samples; not asked otherwise.

    Raises
    ------
    CurationError
        Rules of variants for sequences, or no variant is left.
    """
    check_suits(config, train.inputs.kind)
    kept: IntArray | None = None
    dropped: dict[str, int] = {}
    imputation = None
    if config.drops_variants:
        kept, dropped = choose_variants(config, train.inputs)
        if not len(kept):
            lost = ", ".join(f"{rule} {number:,}" for rule, number in dropped.items() if number)
            msg = f"curation: drops all {train.inputs.width:,} variants of the training samples ({lost}); relax a rule"
            raise CurationError(msg)
    if config.impute != "none":
        calls = train.inputs.values if kept is None else train.inputs.values[:, kept]
        imputation = learn_imputation(config.impute, calls, config.neighbours, rng)
    return Curation(
        config=config,
        kind=train.inputs.kind,
        width=train.inputs.width,
        n=len(train),
        kept=kept,
        dropped=dropped,
        imputation=imputation,
        rank_normal=learn_rank_normal(train.y) if config.trait == "rank_normal" else None,
        rows=None
        if config.resample == "none"
        else resampled_rows(train.y, config.resample, config.largest_copies, rng),
        weights=density_weights(train.y, config.largest_weight) if config.weights == "label_density" else None,
    )
