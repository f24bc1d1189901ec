"""Planted motifs: their positions by every method, controls that must find nothing, their interaction, discovery."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from planted import Planted, examples, fit_network
from scipy.stats import spearmanr

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain import Attribution, explain, recovery
from automl_pheno.explain.interactions.measure import interactions_of_motifs
from automl_pheno.explain.interactions.motifs import motif_to_insert
from automl_pheno.explain.parts.protocol import PartRequest
from automl_pheno.explain.parts.run import run_parts
from automl_pheno.explain.scoring import score_function
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.predictors.storage import load_predictor, make_predictor, save_predictor
from automl_pheno.rng import generator
from automl_pheno.simulate import Motif

CONTROLS = ("deeplift", "ism")
MATCH = 0.75
"""A motif is found where a reported one has its bases with at least this mean frequency, on either strand."""


def position_figures(found: Planted, folder: Path, methods: tuple[str, ...], *, samples: int) -> dict[str, float]:
    """Return AUROC and AUPR of the planted positions in test sequences by each method, and of the controls.

    Positions of motifs count as planted where a base matters on the strand on which it stands, whatever the size of
    the effect: 0.3 (A reversed, C alone) as well as 1.0.
    """
    mask = found.truth.planted_positions(found.dataset.inputs.width)[found.test]
    predictors = {
        "": found.predictor,
        ", new weights": with_new_weights(load_predictor(folder / "best"), found.truth.seed),
        ", permuted labels": on_permuted_labels(found, folder / "permuted"),
    }
    figures: dict[str, float] = {}
    maps: dict[tuple[str, str], FloatArray] = {}
    for control, predictor in predictors.items():
        for method in methods if not control else CONTROLS:
            attribution = attributions(found, predictor, method, samples)
            scores = recovery(attribution, mask[attribution.rows])
            figures[f"{method} AUROC{control}"] = scores["auroc"]
            figures[f"{method} AUPR{control}"] = scores["aupr"]
            maps[method, control] = attribution.contributions
    for method in CONTROLS:
        trained, fresh = (maps[method, control].ravel() for control in ("", ", new weights"))
        figures[f"{method} |Spearman| with new weights"] = abs(float(spearmanr(trained, fresh).statistic))
    figures["base rate (AUPR of a guess)"] = float(mask.mean())
    return figures


def attributions(found: Planted, predictor: Predictor, method: str, samples: int) -> Attribution:
    """Return the contributions of test sequences, the same ones and the same shuffles for each method."""
    return explain(
        predictor,
        found.inputs("test"),
        found.inputs("train"),
        method=method,
        rng=generator(found.truth.seed, "interpretation"),
        max_samples=samples,
    )


def with_new_weights(predictor: Any, seed: int) -> Predictor:
    """Return the network with kernels drawn anew (Glorot uniform), offsets and normalisation as at the start."""
    import keras

    rng = generator(seed, "interpretation", "new weights")
    fresh = []
    for weight in keras.models.clone_model(predictor.model).get_weights():
        if weight.ndim < 2:
            fresh.append(weight)
            continue
        fans = np.prod(weight.shape[:-2], dtype=int) * (weight.shape[-2] + weight.shape[-1])
        limit = np.sqrt(6.0 / fans)
        fresh.append(rng.uniform(-limit, limit, weight.shape).astype(weight.dtype))
    predictor.model.set_weights(fresh)
    return predictor  # type: ignore[no-any-return]


def on_permuted_labels(found: Planted, folder: Path) -> Predictor:
    """Return the same configuration trained on permuted labels, one member; kept in `folder`."""
    if (folder / "predictor.json").exists():
        return load_predictor(folder)
    seed = found.truth.seed
    y = generator(seed, "interpretation", "labels").permutation(found.dataset.y("trait"))
    train, validation = (examples(found.dataset, rows, y) for rows in (found.train, found.validation))
    network, _ = fit_network(found.config, train, validation, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    save_predictor(network, folder, train.inputs, trait="trait")
    return network


def interaction_figures(found: Planted) -> dict[str, float]:
    """Return how the planted pair of motifs ranks when planted motifs are inserted into shuffled sequences."""
    truth = found.truth
    frequencies = [np.asarray(motif.probabilities) for motif in truth.motifs]
    motifs = [motif_to_insert(number, truth.motifs[number].name, p) for number, p in enumerate(frequencies)]
    score = score_function(found.predictor)
    table = interactions_of_motifs(
        found.predictor, score, motifs, found.inputs("train"), rng=generator(truth.seed, "interpretation", "pairs")
    ).table
    planted = {truth.motifs[member].name for member in truth.terms[0].members}
    is_planted = np.array([{a, b} == planted for a, b in zip(table["name_a"], table["name_b"], strict=True)])
    size = table["interaction"].abs().to_numpy()
    own = float(size[is_planted][0])
    return {
        "planted interaction: rank": float((size > own).sum() + 1),
        "planted interaction (1.2 within 30 bp)": float(table["interaction"].to_numpy()[is_planted][0]),
        "other pairs over planted pair": float(size[~is_planted].max() / own),
    }


def motif_figures(found: Planted, *, samples: int) -> dict[str, float]:
    """Return how many planted motifs the part ``motifs`` finds, and how their pair ranks in ``interactions``."""
    truth = found.truth
    request = part_request(found, attributions(found, found.predictor, "auto", samples))
    parts = run_parts(request, ["motifs", "interactions"], seed=truth.seed)
    for name in ("motifs", "interactions"):
        if name not in parts.found:
            msg = f"part {name}: {parts.left_out.get(name) or parts.failed[name]}"
            raise RuntimeError(msg)
    table, arrays = parts.found["motifs"].tables["motifs"], parts.found["motifs"].arrays["motifs"]
    numbers = table["motif"].tolist()
    likeness = np.array([[alike(arrays[f"frequencies_{n}"], motif) for n in numbers] for motif in truth.motifs])
    best = likeness.max(axis=1)
    of_number = {
        number: truth.motifs[int(column.argmax())].name
        for number, column in zip(numbers, likeness.T, strict=True)
        if column.max() >= MATCH
    }
    planted = {truth.motifs[member].name for member in truth.terms[0].members}
    return {
        "motifs found (share)": float((best >= MATCH).mean()),
        "motifs found: least likeness": float(best.min()),
        "motifs reported": float(len(numbers)),
        "reported motifs that are planted (share)": float(len(of_number) / max(len(numbers), 1)),
        "found motifs: planted pair's rank": pair_rank(
            parts.found["interactions"].tables["interactions"], of_number, planted
        ),
    }


def part_request(found: Planted, attribution: Attribution, *, refits: bool = False) -> PartRequest:
    """Return what a part of an explanation gets; with `refits` it may train one network of as many epochs anew."""
    candidate = {"name": "network", "config": found.config.model_dump(by_alias=True, mode="json")}
    return PartRequest(
        predictor=found.predictor,
        score=score_function(found.predictor),
        attribution=attribution,
        training=found.examples("train"),
        ids=found.dataset.ids[found.train],
        columns=found.dataset.columns.iloc[found.train],
        rng=generator(found.truth.seed, "interpretation", "parts"),
        fresh=partial(make_predictor, candidate, "pearson_r", int(found.scores["epochs"])) if refits else None,
    )


def pair_rank(table: pd.DataFrame, of_number: dict[int, str], planted: set[str]) -> float:
    """Return the rank of the first pair that is the planted one; NaN where none is."""
    for row in table.sort_values("rank").itertuples():
        if {of_number.get(int(str(row.a))), of_number.get(int(str(row.b)))} == planted:
            return float(str(row.rank))
    return float("nan")


def alike(frequencies: npt.NDArray[Any], motif: Motif) -> float:
    """Return the mean frequency of the motif's bases in a reported motif: best shift and strand, 0 beyond its ends."""
    wanted = np.asarray(motif.probabilities)
    wanted = np.where(wanted.max(axis=1, keepdims=True) > 0.5, wanted == wanted.max(axis=1, keepdims=True), 0.0)
    padded = np.pad(np.asarray(frequencies), ((len(wanted), len(wanted)), (0, 0)))
    shifts = range(len(padded) - len(wanted) + 1)
    cuts = np.stack([padded[start : start + len(wanted)] for start in shifts])
    return float(
        max(np.einsum("swc,wc->s", cuts, turned).max() for turned in (wanted, wanted[::-1, ::-1])) / wanted.sum()
    )
