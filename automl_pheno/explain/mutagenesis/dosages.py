"""Every single change of a genotype: what it does to the prediction when a variant has another dosage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray
from automl_pheno.explain.mutagenesis.compiled import CompiledMutants
from automl_pheno.explain.registry import ExplainError, LinearLike, NetworkLike
from automl_pheno.explain.scoring import inner_inputs, inner_predictor, score_function
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import Predictor

STEP = "changing single variants"
BLOCK_CELLS = 8_000_000
FEWEST_HETEROZYGOUS, LEAST_HETEROZYGOUS = 10, 0.05
"""Heterozygous training individuals, and their share of the calls, from which on a predictor can know dominance."""
FEWEST_HOMOZYGOUS = 5
"""Training individuals of either homozygote: between two that were hardly seen there is no middle."""
INBRED = 0.25
"""Up to this share of the heterozygotes expected at random mating (two selfings leave as many) lines are inbred."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DosageChanges:
    """What single changes of dosage do to predictions.

    Attributes
    ----------
    changes
        f(with that dosage at that variant) - f(genotype), float64, shape (n, variants asked for, candidates);
        0 where the genotype has that dosage already.
    how
        In words, how they were computed.
    """

    changes: FloatArray
    how: str


def change_dosages(
    predictor: Predictor, inputs: Inputs, candidates: FloatArray, *, columns: IntArray | None = None
) -> DosageChanges:
    """Return what it does to the prediction to set one variant to another dosage.

    Mutants of a network are made and computed inside compiled calls, and only what a change reaches is computed anew;
    of a linear predictor they are its effects times the change; for any other predictor they go through ``predict`` in
    blocks.

    Parameters
    ----------
    predictor
        Fitted, and no `CuratedPredictor`: its inner one, with curated inputs.
    candidates
        Dosages tried, NaN is missing, shape (k, n_variants): one row for each candidate.
    columns
        Variants that are changed; None is all of them.

    Raises
    ------
    ExplainError
        `inputs` are sequences, or `candidates` have another width.
    """
    if inputs.kind != "genotype" or candidates.ndim != 2 or candidates.shape[1] != inputs.width:
        msg = (
            f"dosages need genotypes and candidates of {inputs.width} columns; "
            f"got {inputs.kind} inputs and candidates of shape {candidates.shape}"
        )
        raise ExplainError(msg)
    columns = np.arange(inputs.width) if columns is None else columns
    effects = predictor.linear_effects() if isinstance(predictor, LinearLike) else None
    if effects is not None:
        effects = np.asarray(effects, dtype=np.float64)
        return DosageChanges(changes=_by_effects(predictor, effects, inputs, candidates, columns), how="linear effects")
    if isinstance(predictor, NetworkLike) and len(inputs):
        found = _by_network(predictor, inputs, candidates)
        if found is not None:
            return replace(found, changes=found.changes[:, columns])
    return _by_predict(predictor, inputs, candidates, columns)


def _same(values: FloatArray, candidates: FloatArray) -> npt.NDArray[np.bool_]:
    """Return True where a genotype has the candidate already, shape (n, n_variants, k)."""
    now, tried = values[:, :, None], candidates.T[None]
    return np.asarray((now == tried) | (np.isnan(now) & np.isnan(tried)))


def _by_network(network: NetworkLike, inputs: Inputs, candidates: FloatArray) -> DosageChanges | None:
    """Return changes from compiled calls; None where a variant's code depends on other variants."""
    x = np.asarray(network.encode(inputs), dtype=np.float32)
    tried = replace(inputs, values=candidates.astype(np.float32))
    codes = np.asarray(network.encode(tried), dtype=np.float32)
    if x.ndim != 3 or x.shape[1] != inputs.width:
        return None
    same = _same(inputs.values, tried.values)
    rows, places, numbers = np.nonzero(same)
    if not np.array_equal(x[rows, places], codes[numbers, places]):
        return None
    k = len(candidates)
    choices = k - 1 if k > 1 and same.any(axis=2).all() else k  # what each has already need not be tried
    order = np.argsort(same, axis=2, kind="stable")[:, :, :choices]
    mutants = CompiledMutants(network.model, choices=choices)
    outputs = mutants(
        x, lambda at: codes[order[:, at], at[None, :, None]], tick=lambda share: progress.tick(STEP, share)
    )
    predictions = score_function(network)(inputs)  # type: ignore[arg-type]  # every network is a predictor
    found = outputs.astype(np.float64) * float(network.y_sd) + float(network.y_mean) - predictions[:, None, None]
    changes = np.zeros(same.shape)
    np.put_along_axis(changes, order, found, axis=2)
    changes[same] = 0.0
    return DosageChanges(
        changes=changes, how=f"compiled mutants; only differences through {mutants.local_steps} layers"
    )


def _by_effects(
    predictor: Predictor, effects: FloatArray, inputs: Inputs, candidates: FloatArray, columns: IntArray
) -> FloatArray:
    now = (inputs.values * effects)[:, columns]
    tried = (candidates * effects)[:, columns]
    if np.isnan(now).any() or np.isnan(tried).any():  # ask once for each variant what a missing call counts as
        called = replace(inputs.take(np.arange(1)), values=np.nan_to_num(inputs.values[:1], nan=1.0))
        nothing = np.full((1, inputs.width), np.nan, dtype=called.values.dtype)
        missing = _by_predict(predictor, called, nothing, columns).changes[0, :, 0]
        missing = missing + (called.values[0] * effects)[columns]
        now, tried = np.where(np.isnan(now), missing, now), np.where(np.isnan(tried), missing, tried)
    return np.asarray(tried.T[None] - now[:, :, None])


def _by_predict(predictor: Predictor, inputs: Inputs, candidates: FloatArray, columns: IntArray) -> DosageChanges:
    score = score_function(predictor)
    predictions = score(inputs)
    tried = candidates.astype(inputs.values.dtype)
    rows, places, numbers = np.nonzero(~_same(inputs.values, tried)[:, columns])
    changes = np.zeros((len(inputs), len(columns), len(candidates)))
    size = max(1, BLOCK_CELLS // max(inputs.width, 1))
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        at = columns[places[part]]
        values = inputs.values[rows[part]]
        values[np.arange(len(at)), at] = tried[numbers[part], at]
        changed = score(replace(inputs, values=values))
        changes[rows[part], places[part], numbers[part]] = changed - predictions[rows[part]]
        progress.tick(STEP, part.stop / len(rows))
    return DosageChanges(changes=changes, how="predictions in blocks")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DosageEffects:
    """Mean effects of dosages.

    Attributes
    ----------
    table
        One row a variant that was changed: ``id, chromosome, position``; ``effect_0, effect_1, effect_2``, the mean
        over samples of f(with that dosage) - f(genotype), phenotype units; ``additive``, half the way from 0 to 2,
        and ``dominance``, by how much 1 lies above the middle of the two (Falconer & Mackay 1996); ``effect_missing``
        where it was asked for. They are of the predictor; `known_effects` leaves what training could teach it.
    how
        In words, how they were computed.
    """

    table: pd.DataFrame
    how: str


def dosage_effects(
    predictor: Predictor, inputs: Inputs, *, missing: bool = False, columns: IntArray | None = None
) -> DosageEffects:
    """Return the mean effect of setting each variant to 0, 1 and 2, and to missing.

    Of a `CuratedPredictor` the inner one is asked on curated genotypes: variants that it dropped have effects of 0, and
    a missing call is what the inner predictor takes it for.

    Parameters
    ----------
    columns
        Variants that are changed; None is all of them.

    Raises
    ------
    ExplainError
        `inputs` are sequences.
    """
    if inputs.kind != "genotype":
        msg = f"dosages are changed in genotypes; got {inputs.kind} inputs"
        raise ExplainError(msg)
    wanted = np.arange(inputs.width) if columns is None else np.asarray(columns)
    kept = predictor.curation.kept if isinstance(predictor, CuratedPredictor) else None
    read = inner_inputs(predictor, inputs)
    places = np.arange(inputs.width) if kept is None else kept
    asked = np.flatnonzero(np.isin(places, wanted))
    tried = [0.0, 1.0, 2.0, np.nan][: 4 if missing else 3]
    found = change_dosages(
        inner_predictor(predictor), read, np.repeat(np.array(tried)[:, None], read.width, axis=1), columns=asked
    )
    means = np.zeros((inputs.width, len(tried)))
    means[places[asked]] = found.changes.mean(axis=0)
    means = means[wanted]
    table = _names(inputs).iloc[wanted].reset_index(drop=True)
    for number in range(3):
        table[f"effect_{number}"] = means[:, number]
    table["additive"] = (means[:, 2] - means[:, 0]) / 2
    table["dominance"] = means[:, 1] - (means[:, 0] + means[:, 2]) / 2
    if missing:
        table["effect_missing"] = means[:, 3]
    return DosageEffects(table=table, how=found.how)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DosageClasses:
    """How many training individuals have which dosage.

    Attributes
    ----------
    counts
        Individuals nearest to dosage 0, 1 and 2 at each variant, missing calls left out, shape (3, n_variants).
    """

    counts: IntArray

    @property
    def heterozygosity(self) -> float:
        """Mean over variants of the share of heterozygous calls; 0 where nothing is called."""
        return float((self.counts[1] / np.maximum(self.counts.sum(axis=0), 1)).mean()) if self.counts.size else 0.0

    @property
    def expected_heterozygosity(self) -> float:
        """The same at random mating: mean of ``2 p (1 - p)``."""
        called = np.maximum(self.counts.sum(axis=0), 1)
        share = (self.counts[1] + 2 * self.counts[2]) / (2 * called)
        return float((2 * share * (1 - share)).mean()) if self.counts.size else 0.0

    @property
    def is_inbred(self) -> bool:
        """Whether the individuals are inbred lines."""
        return self.heterozygosity <= INBRED * self.expected_heterozygosity

    @property
    def dominance_known(self) -> npt.NDArray[np.bool_]:
        """Variants with heterozygotes enough, and both homozygotes, to know dominance, shape (n_variants,).

        None in inbred lines: where these seem heterozygous it is an error of the call or a duplicated locus as a rule.
        """
        if self.is_inbred:
            return np.zeros(self.counts.shape[1], dtype=bool)
        few = np.maximum(FEWEST_HETEROZYGOUS, LEAST_HETEROZYGOUS * self.counts.sum(axis=0))
        return np.asarray((self.counts[1] >= few) & (self.counts[[0, 2]] >= FEWEST_HOMOZYGOUS).all(axis=0))

    def facts(self) -> dict[str, Any]:
        """Return what they say of dominance, JSON-ready."""
        return {
            "heterozygosity": self.heterozygosity,
            "expected_heterozygosity": self.expected_heterozygosity,
            "highest_dosage": int(np.flatnonzero(self.counts.sum(axis=1)).max(initial=0)),
            "variants": self.counts.shape[1],
            "variants_with_dominance": int(self.dominance_known.sum()),
        }


def dosage_classes(dosages: npt.NDArray[Any], columns: IntArray | None = None) -> DosageClasses:
    """Return how many individuals have which dosage, at all variants or at `columns`; shape (n, n_variants)."""
    chosen = np.arange(dosages.shape[1]) if columns is None else columns
    counts = np.zeros((3, len(chosen)), dtype=np.int64)
    size = max(1, BLOCK_CELLS // max(len(dosages), 1))
    for start in range(0, len(chosen), size):
        part = slice(start, start + size)
        values = dosages[:, chosen[part]]
        counts[:, part] = (
            (values <= 0.5).sum(axis=0),
            ((values > 0.5) & (values < 1.5)).sum(axis=0),
            (values >= 1.5).sum(axis=0),
        )
    return DosageClasses(counts=counts)


def known_effects(table: pd.DataFrame, classes: DosageClasses) -> pd.DataFrame:
    """Return the table of `DosageEffects` with ``n_0, n_1, n_2``, and without what training could not teach.

    ``dominance`` is NaN but where it is known. ``additive`` is the step between the dosages that occur: where no
    training individual has dosage 2 (presence and absence, rare alleles), that from 0 to 1; where none has 0, that from
    1 to 2.
    """
    found: pd.DataFrame = table.copy()
    seen = classes.counts > 0
    for dosage in range(3):
        found[f"n_{dosage}"] = classes.counts[dosage]
    effects = found[["effect_0", "effect_1", "effect_2"]].to_numpy(dtype=np.float64).T
    steps = [effects[1] - effects[0], effects[2] - effects[1]]
    found["additive"] = np.select([seen[1] & ~seen[2], seen[1] & ~seen[0]], steps, found["additive"])
    found["dominance"] = np.where(classes.dominance_known, found["dominance"], np.nan)
    return found


def dominance_sentence(facts: Mapping[str, Any]) -> str:
    """Return in words what can be known of dominance, from `DosageClasses.facts`; "" for an older explanation."""
    if facts.get("variants_with_dominance") is None:
        return ""
    known, variants = int(facts["variants_with_dominance"]), int(facts["variants"])
    if int(facts["highest_dosage"]) < 2:
        return "No individual has a dosage above 1 (presence and absence, or haploids): there is no dominance to know."
    share, expected = float(facts["heterozygosity"]), float(facts["expected_heterozygosity"])
    calls = f"{share:.1%} of the calls are heterozygous, {expected:.1%} would be at random mating"
    rule = (
        f"it takes {FEWEST_HETEROZYGOUS} heterozygous training individuals, {LEAST_HETEROZYGOUS:.0%} of the calls, and "
        f"{FEWEST_HOMOZYGOUS} of either homozygote"
    )
    if share <= INBRED * expected:
        return f"These are inbred lines ({calls}): of dominance nothing can be known."
    if not known:
        where = f"any of the {variants:,} variants that were changed"
        return f"Of dominance nothing can be known at {where} ({calls}; {rule})."
    which = "all" if known == variants else f"{known:,} of the"
    return f"Dominance is given for {which} {variants:,} variants that were changed ({calls}; {rule})."


def _names(inputs: Inputs) -> pd.DataFrame:
    if inputs.variants is not None:
        named: pd.DataFrame = inputs.variants.loc[:, ["id", "chromosome", "position"]].copy()
        return named
    numbers = np.arange(1, inputs.width + 1)
    table: pd.DataFrame = pd.DataFrame({"id": numbers.astype(str), "chromosome": "", "position": -1})
    return table
