"""How much an explanation depends on the luck of one fit: attributions of refits, compared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import Examples, FloatArray, Inputs, IntArray
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.registry import ExplainError, NetworkLike
from automl_pheno.explain.run import explain
from automl_pheno.explain.scoring import inner_predictor, score_function
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import Predictor

Source = Literal["members", "refits", "bootstrap"]
TOP = 0.1
ALIKE = 1e-9


class Member:
    """One network of an average, to be explained; it is fitted, saved and loaded with the average only.

    Parameters
    ----------
    network
        The predictor whose model averages several.
    model
        One of these.
    """

    kind = "network"

    def __init__(self, network: NetworkLike, model: Any) -> None:
        self.model = model
        self.y_mean = float(network.y_mean)
        self.y_sd = float(network.y_sd)
        self.encode = network.encode
        self._outputs: Any = None

    def predict(self, inputs: Inputs) -> FloatArray:
        """Return predictions in phenotype units, float64, shape (n,)."""
        if self._outputs is None:
            self._outputs = score_function(cast("Predictor", self))
        return np.asarray(self._outputs(inputs), dtype=np.float64)


def members_of(predictor: Predictor) -> list[Predictor]:
    """Return the networks that a network predictor averages, each as a predictor; none where it is a single one.

    Those of a `CuratedPredictor` keep its curation. They differ by their start and the order of their batches, as
    refits of the winner do.
    """
    inner = inner_predictor(predictor)
    if not isinstance(inner, NetworkLike):
        return []
    import keras

    layers: list[Any] = getattr(inner.model, "layers", [])
    models = [layer for layer in layers if isinstance(layer, keras.Model)]
    if len(models) < 2 or len({tuple(model.input.shape) for model in models}) > 1:
        return []
    singles = [cast("Predictor", Member(inner, model)) for model in models]
    if not isinstance(predictor, CuratedPredictor):
        return singles
    wrapped: list[Predictor] = []
    for single in singles:
        twin = copy.copy(predictor)
        twin.inner = single
        wrapped.append(twin)
    return wrapped


def refit(
    predictor: Predictor,
    fresh: Callable[[], Predictor],
    training: Examples,
    probe: Inputs,
    *,
    refits: int,
    rng: np.random.Generator,
) -> tuple[list[Predictor], Source]:
    """Return new fits of the same configuration, and whether to ``refits`` or on ``bootstrap`` samples.

    Where a first refit to the same samples predicts `probe` as the predictor does, fitting has no randomness: then
    individuals (or sequences) are drawn with replacement for each refit, which shows how far the explanation depends on
    who was in the sample. A copy keeps its group, so no inner cross-validation has it on both sides.
    """
    words = "refitting"
    progress.tick(words, 0.0)
    first = fresh()
    first.fit(training, rng=rng)
    before, after = predictor.predict(probe), first.predict(probe)
    spread = max(float(np.ptp(before)), float(np.abs(before).max()), 1e-300)
    repeats = bool(np.abs(after - before).max() <= ALIKE * spread)
    fitted: list[Predictor] = [] if repeats else [first]
    while len(fitted) < refits:
        progress.tick(words, (len(fitted) + repeats) / (refits + repeats))
        again = fresh()
        rows = np.sort(rng.integers(0, len(training), len(training)))
        again.fit(training.take(rows) if repeats else training, rng=rng)
        fitted.append(again)
    return fitted, "bootstrap" if repeats else "refits"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stability:
    """Importances of several fits beside each other.

    Attributes
    ----------
    importances
        Mean absolute contribution of each position or variant, one row a fit, phenotype units, shape (fits, width).
    names
        As ``Attribution.feature_names``.
    kind
        ``sequence`` or ``genotype``.
    correlation
        Pearson correlation of all contributions, samples and positions together, of each pair of fits, NaN where one
        has none, shape (pairs,). Says more than importances where motifs lie anywhere in the sequences.
    """

    importances: FloatArray
    names: list[str]
    kind: str
    correlation: FloatArray

    @property
    def table(self) -> pd.DataFrame:
        """One row a position or variant: ``position`` or ``id, mean, sd, relative_sd, mean_rank``.

        ``sd`` over fits (n - 1), ``relative_sd`` = sd / mean (NaN where the mean is 0), ``mean_rank`` from 1, the most
        important, ties averaged.
        """
        mean, sd = self.importances.mean(axis=0), self.importances.std(axis=0, ddof=1)
        frame: pd.DataFrame = pd.DataFrame(
            {
                "mean": mean,
                "sd": sd,
                "relative_sd": np.where(mean > 0, sd / np.where(mean > 0, mean, 1.0), np.nan),
                "mean_rank": _ranks(-self.importances).mean(axis=0),
            }
        )
        if self.kind == "sequence":
            frame.insert(0, "position", np.array(self.names, dtype=np.int64))
        else:
            frame.insert(0, "id", self.names)
        return frame

    @property
    def spearman(self) -> FloatArray:
        """Rank correlation of the importances of each pair of fits, NaN where all of one are alike, shape (pairs,)."""
        return _correlations(_ranks(self.importances))

    @property
    def top_share(self) -> float:
        """Share of the most important tenth (one at least) that is the same in all fits; 1/10^(fits - 1) by chance."""
        count = max(1, round(TOP * self.importances.shape[1]))
        tops = [set(np.argsort(-row, kind="stable")[:count].tolist()) for row in self.importances]
        return float(len(set.intersection(*tops)) / count)

    def facts(self) -> dict[str, Any]:
        """Return the agreement of the fits, JSON-ready."""
        known = self.spearman[np.isfinite(self.spearman)]
        alike = self.correlation[np.isfinite(self.correlation)]
        frame = self.table
        count = max(1, round(TOP * len(frame)))
        relative = frame.nlargest(count, "mean")["relative_sd"].to_numpy(dtype=np.float64)
        relative = relative[np.isfinite(relative)]
        return {
            "refits": len(self.importances),
            "spearman_mean": float(known.mean()) if len(known) else None,
            "spearman_min": float(known.min()) if len(known) else None,
            "contributions_correlation": float(alike.mean()) if len(alike) else None,
            "top_share": self.top_share,
            "top_share_by_chance": TOP ** (len(self.importances) - 1),
            "relative_sd_of_top": float(np.median(relative)) if len(relative) else None,
        }


def stability(
    fits: list[Predictor],
    attribution: Attribution,
    background: Inputs,
    *,
    seed: int,
    rows: IntArray,
    n_references: int = 10,
) -> Stability:
    """Explain each fit on the same samples, by the same method and against the same references.

    Parameters
    ----------
    fits
        At least two.
    attribution
        Of the predictor whose fits these are: its samples and its method are used.
    background
        Training samples.
    seed
        Of the references, the same for all fits, so that only the fits differ.
    rows
        Which samples of `attribution`.

    Raises
    ------
    ExplainError
        Fewer than two fits, or the method does not apply to one of them.
    """
    if len(fits) < 2:
        msg = f"stability needs two fits to compare, got {len(fits)}"
        raise ExplainError(msg)
    samples = attribution.inputs.take(rows)
    contributions = []
    for fit in progress.ticking("explaining refits", fits):
        found = explain(
            fit,
            samples,
            background,
            method=attribution.method,
            rng=np.random.default_rng(seed),
            max_samples=len(samples),
            n_references=n_references,
        )
        full = np.full(samples.values.shape, np.nan)
        full[found.rows] = found.contributions
        contributions.append(full)
    every = np.array(contributions)
    every = every[:, np.isfinite(every).all(axis=(0, 2))]  # a slow method may explain fewer samples
    return Stability(
        importances=np.abs(every).mean(axis=1),
        names=attribution.feature_names(),
        kind=attribution.kind,
        correlation=_correlations(every.reshape(len(every), -1)),
    )


def _correlations(rows: FloatArray) -> FloatArray:
    """Return Pearson's correlation of each pair of rows, NaN where one does not vary, shape (pairs,)."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1))
    first, second = np.triu_indices(len(rows), 1)
    size = norm[first] * norm[second]
    product = np.einsum("ij,ij->i", centred[first], centred[second])
    return np.where(size > 0, product / np.where(size > 0, size, 1.0), np.nan)


def _ranks(values: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=1), dtype=np.float64)
