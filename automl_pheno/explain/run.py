"""Explain a fitted predictor: choose samples, method and background; check that contributions add up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from automl_pheno.curation import Curation
from automl_pheno.data.dataset import Inputs, StrArray
from automl_pheno.errors import UnknownNameError
from automl_pheno.explain.attribution import Attribution, Contributions, at_bases
from automl_pheno.explain.references import ReferenceKind, draw_rows
from automl_pheno.explain.registry import (
    EXPLAINERS,
    ExplainError,
    ExplainRequest,
    LinearLike,
    NetworkLike,
)
from automl_pheno.explain.scoring import inner_predictor
from automl_pheno.keras_settings import held_settings
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import Predictor

AUTO = "auto"


@held_settings()
def explain(
    predictor: Predictor,
    inputs: Inputs,
    background: Inputs,
    *,
    method: str = AUTO,
    rng: np.random.Generator,
    ids: StrArray | None = None,
    max_samples: int = 500,
    n_references: int = 20,
    references: ReferenceKind | None = None,
    warnings: tuple[str, ...] = (),
) -> Attribution:
    """Return the contributions of positions or variants to the predictions for `inputs`.

    Parameters
    ----------
    predictor
        Fitted. Of a `CuratedPredictor` the inner one is explained, on curated samples: contributions stand at the
        variants kept, those dropped have 0; with ``trait: rank_normal`` they are in normal scores, and so are the
        predictions of the result, as the manifest says.
    inputs
        Samples to explain; when there are more than `max_samples`, that many are drawn.
    background
        The training samples. Contributions say how a prediction differs from the mean prediction of a background
        made from these (or of shuffles of the sequence itself, see `references`).
    method
        Name in ``EXPLAINERS``, or ``auto``: ``deeplift`` for networks (``expected_gradients`` where a layer has no
        rule; the manifest says so), ``linear`` where it is exact, ``mean`` for a constant, ``permutation`` otherwise.
        Of networks also ``integrated_gradients``, ``gradient_x_input`` and ``smoothgrad``; of anything ``ism``, the
        effect of mutations (sequences) or of the dosage (genotypes).
    ids
        Ids of `inputs`; by default their numbers, from 0.
    references
        ``shuffles`` (dinucleotide shuffles) or ``training``, for networks; None chooses: training samples for
        genotypes and for variants of one sequence, shuffles otherwise.
    warnings
        What is known against the predictor; kept with the result.

    Raises
    ------
    ExplainError
        No samples, inputs and background of different width, or a method that does not apply to the predictor.
    UnsupportedLayerError
        ``method="deeplift"`` and a layer has no rule.
    UnknownNameError
        `method` is not known.
    """
    if method != AUTO and method not in EXPLAINERS:
        kind = "explainer"
        raise UnknownNameError(kind, method, [*EXPLAINERS, AUTO])
    _check(inputs, background, ids, max_samples)
    curation = predictor.curation if isinstance(predictor, CuratedPredictor) else None
    rows = draw_rows(len(inputs), max_samples, rng)
    names = np.arange(len(inputs)).astype(str) if ids is None else np.asarray(ids, dtype=str)
    asked = inputs.take(rows)
    request = ExplainRequest(
        predictor=inner_predictor(predictor),
        inputs=asked if curation is None else curation.inputs(asked),
        background=background if curation is None else curation.inputs(background),
        rng=rng,
        references=references,
        n_references=n_references,
    )
    used, contributions, refused = _first_that_applies(request, method)
    rows, chosen = rows[contributions.rows], asked.take(contributions.rows)
    predictions = np.asarray(
        request.predictor.predict(request.inputs.take(contributions.rows)),
        dtype=np.float64,
    )
    completeness = contributions.base_value + contributions.values.sum(axis=1) - predictions
    values = contributions.values if curation is None else curation.spread(contributions.values)
    manifest = _manifest(used, refused, contributions, completeness, predictions, chosen, background)
    if curation is not None:
        manifest |= _curated(curation)
    return Attribution(
        inputs=chosen,
        ids=names[rows],
        rows=rows,
        values=at_bases(values, chosen) if chosen.kind == "sequence" else values,
        base_value=contributions.base_value,
        predictions=predictions,
        completeness=completeness,
        method=used,
        hypothetical=contributions.hypothetical,
        deltas=contributions.deltas,
        manifest=manifest,
        warnings=(*warnings, *_noticed(manifest)),
    )


def _noticed(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Return what the explanation itself gives reason to warn of."""
    alike = int(manifest.get("samples_that_shuffling_left_alike") or 0)
    if not alike:
        return ()
    return (
        f"{alike:,} of {manifest['samples']:,} sequences look the same after shuffling (repeats, few bases): their "
        "contributions have no useful background",
    )


def _check(inputs: Inputs, background: Inputs, ids: StrArray | None, max_samples: int) -> None:
    if not len(inputs) or not len(background) or max_samples < 1:
        msg = (
            "an explanation needs at least one sample and one background sample, got "
            f"{min(len(inputs), max_samples)} and {len(background)}"
        )
        raise ExplainError(msg)
    if (inputs.kind, inputs.width) != (background.kind, background.width):
        msg = (
            f"inputs and background must match, got {inputs.kind} of width {inputs.width} "
            f"and {background.kind} of width {background.width}"
        )
        raise ExplainError(msg)
    if ids is not None and len(ids) != len(inputs):
        msg = f"ids must have one entry for each of the {len(inputs)} samples, got {len(ids)}"
        raise ExplainError(msg)


def _candidates(predictor: Predictor) -> Iterator[str]:
    if isinstance(predictor, NetworkLike):
        yield from ("deeplift", "expected_gradients")
    if isinstance(predictor, LinearLike) and predictor.linear_effects() is not None:
        yield "linear"
    if predictor.kind == "mean":
        yield "mean"
    yield "permutation"


def _first_that_applies(request: ExplainRequest, method: str) -> tuple[str, Contributions, list[str]]:
    """Return the method used, its result, and the reasons why others were passed over."""
    if method != AUTO:
        return method, EXPLAINERS[method](request), []
    refused: list[str] = []
    for name in _candidates(request.predictor):
        try:
            return name, EXPLAINERS[name](request), refused
        except ExplainError as error:  # noqa: PERF203  # two or three rounds
            refused.append(f"{name}: {error}")
    msg = f"no method explains predictor {request.predictor.kind!r}: {'; '.join(refused)}"
    raise ExplainError(msg)


def _manifest(
    method: str,
    refused: list[str],
    contributions: Contributions,
    completeness: Any,
    predictions: Any,
    inputs: Inputs,
    background: Inputs,
) -> dict[str, Any]:
    error = np.abs(completeness)
    spread = float(np.ptp(predictions))
    return {
        "method": method,
        "fallback_from": refused,
        "units": "phenotype",
        "input": inputs.kind,
        "samples": len(inputs),
        "width": inputs.width,
        "background_samples": len(background),
        **contributions.notes,
        "completeness_error": {
            "what": "|base value + sum of contributions - prediction|, phenotype units",
            "median": float(np.median(error)),
            "q95": float(np.quantile(error, 0.95)),
            "max": float(error.max()),
            "prediction_spread": spread,
        },
        "versions": {name: _version(name) for name in ("automl-pheno", "keras", "tensorflow", "jax", "shap", "numpy")},
    }


def _curated(curation: Curation) -> dict[str, Any]:
    """Return what the manifest says of a curation."""
    said: dict[str, Any] = {"curation": curation.counts()}
    if curation.kept is not None:
        said["curation_note"] = (
            f"{curation.width - len(curation.kept)} of {curation.width} variants were dropped before training and have "
            "contribution 0; one that was dropped as a duplicate or by LD is spoken for by its partner"
        )
    if curation.rank_normal is not None:
        said |= {
            "units": "normal score",
            "units_note": (
                "the model learnt normal scores of the trait's ranks; contributions, base value and predictions here "
                "are in these scores, not in phenotype units"
            ),
        }
    return said


def _version(name: str) -> str | None:
    """Return the version of an imported module, whatever its distribution is called, else of the installed one."""
    module = sys.modules.get(name)
    if module is not None and hasattr(module, "__version__"):
        return str(module.__version__)
    try:
        return version(name)
    except PackageNotFoundError:
        return None
