"""Every single change of a genotype: what it does to the prediction when a variant has another dosage."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        where it was asked for.
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


def _names(inputs: Inputs) -> pd.DataFrame:
    if inputs.variants is not None:
        named: pd.DataFrame = inputs.variants.loc[:, ["id", "chromosome", "position"]].copy()
        return named
    numbers = np.arange(1, inputs.width + 1)
    table: pd.DataFrame = pd.DataFrame({"id": numbers.astype(str), "chromosome": "", "position": -1})
    return table
