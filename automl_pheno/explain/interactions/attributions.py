"""How the attribution of one place changes when another is mutated: a whole row of pairs by one backward pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from automl_pheno import progress
from automl_pheno.curation import Curation
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray
from automl_pheno.explain.interactions.places import Places
from automl_pheno.explain.methods.compiled import compile_gradient, in_batches
from automl_pheno.explain.methods.deeplift import deeplift_multipliers
from automl_pheno.explain.registry import NetworkLike
from automl_pheno.explain.scoring import inner_predictor
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.protocol import Predictor

BATCH = 256
COLUMNS = 1 << 18
"""Rows times width of a batch; wide inputs go in smaller batches."""


class NetworkGradient:
    """Gradients of a network by its inputs, compiled once, phenotype units per unit of the encoded input.

    Parameters
    ----------
    network
        Fitted.
    curation
        Of the `CuratedPredictor` around it: inputs come in the width of the data.
    """

    def __init__(self, network: NetworkLike, curation: Curation | None = None) -> None:
        self._network = network
        self._curation = curation
        self._gradient = compile_gradient(network.model)

    def encode(self, inputs: Inputs) -> FloatArray:
        """Return what the network reads of `inputs`, float32, shape (n, columns it reads, channels)."""
        curated = inputs if self._curation is None else self._curation.inputs(inputs)
        return np.asarray(self._network.encode(curated), dtype=np.float32)

    def gradient(self, encoded: FloatArray) -> FloatArray:
        """Return the gradient at encoded inputs, float64, of their shape."""
        size = int(np.clip(COLUMNS // max(encoded.shape[1], 1), 8, BATCH))
        found, _ = in_batches(self._gradient, encoded, size)
        return np.asarray(found, dtype=np.float64) * float(self._network.y_sd)

    def deeplift(self, inputs: Inputs, references: Inputs) -> FloatArray:
        """Return DeepLIFT contributions of each position, phenotype units, float64, shape (n, columns it reads).

        Parameters
        ----------
        inputs
            n samples.
        references
            n times as many for each, in their order; contributions are means over a sample's own.

        Raises
        ------
        UnsupportedLayerError
            The network has a layer without a rule.
        """
        x = self.encode(inputs)
        r = self.encode(references).reshape(len(x), -1, *x.shape[1:])
        m, _, _ = deeplift_multipliers(self._network.model, x, r)
        pairs = (m.astype(np.float64) * (x[:, None] - r)).sum(axis=-1)
        return np.asarray(pairs.mean(axis=1) * float(self._network.y_sd))

    def spread(self, values: FloatArray) -> FloatArray:
        """Return values of the columns that the network reads at their place among all, shape (n, width)."""
        return values if self._curation is None else self._curation.spread(values)


def network_gradient(predictor: Predictor) -> NetworkGradient | None:
    """Return the gradient of a network, also behind a curation; None for other predictors."""
    curation = predictor.curation if isinstance(predictor, CuratedPredictor) else None
    inner = inner_predictor(predictor)
    return NetworkGradient(inner, curation) if isinstance(inner, NetworkLike) else None


def attribution_rows(
    gradient: NetworkGradient, places: Places, rows: IntArray, words: str
) -> tuple[FloatArray, FloatArray]:
    """Return how much each place's attribution changes when a place of `rows` is mutated: its mean, and mean size.

    The attribution of place b is the gradient times the difference of the encoded input that mutating b makes, that is
    the effect of that mutation as the gradient tells it. Its change by mutating a (Deep Feature Interaction Maps:
    Greenside et al. 2018) equals f(ab) - f(a) - f(b) + f(0) where the network is linear in b. Units and signs are those
    of `Squares.interaction`. Costs ``len(rows)`` times as many backward passes as there are backgrounds.

    Returns
    -------
    signed, size
        Means over backgrounds of the change and of its absolute value, phenotype units, shape (len(rows), k).
    """
    base, count = places.base, places.backgrounds
    members = places.members()
    encoded = gradient.encode(base)
    change = gradient.encode(replace(base, values=places.other)).astype(np.float64) - encoded
    at_base = gradient.gradient(encoded)
    ordered = np.concatenate(members) if members else np.zeros(0, dtype=np.int64)
    starts = np.cumsum([0, *(len(columns) for columns in members)])[:-1]
    signed, size = np.zeros((len(rows), len(places))), np.zeros((len(rows), len(places)))
    step = max(1, min(BATCH, COLUMNS // max(base.width, 1)) // count)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        values = np.repeat(base.values[None], len(part), axis=0)
        for number, place in enumerate(part):
            columns = members[place]
            values[number][:, columns] = places.other[:, columns]
        at_mutant = gradient.gradient(gradient.encode(replace(base, values=values.reshape(-1, base.width))))
        moved = at_mutant.reshape(len(part), *at_base.shape) - at_base[None]
        by_column = gradient.spread((moved * change[None]).sum(axis=-1).reshape(len(part) * count, -1))
        by_place = np.add.reduceat(by_column[:, ordered], starts, axis=1).reshape(len(part), count, -1)
        by_place /= places.step[None] * places.step[:, part].T[:, :, None]
        signed[start : start + step] = by_place.mean(axis=1)
        size[start : start + step] = np.abs(by_place).mean(axis=1)
        progress.tick(words, (start + len(part)) / len(rows))
    own = np.arange(len(rows))
    signed[own, rows], size[own, rows] = 0.0, 0.0
    return signed, size
