"""A model of the model around one sequence: how far its predictions are a sum of bases, or of pairs of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.data.encode import BASES, decode, one_hot
from automl_pheno.explain.mutagenesis.saturation import Saturation, saturation
from automl_pheno.explain.mutagenesis.surrogate import RATE, Surrogate, fit_surrogate, mutant_library
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.explain.references import is_aligned

MUTANTS_PER_EFFECT = 20
FEWEST, MOST = 2000, 12_000
MOST_BASES = 4_000_000
WINDOW = 300
"""Of longer sequences only so many positions are changed: those around which contributions are largest."""
PAIRS_WRITTEN = 500


@PARTS.add("surrogate")
def surrogate(request: PartRequest) -> Part:
    """Fit additive and pairwise effects to predictions for mutants of one sequence."""
    if request.attribution.kind == "genotype":
        msg = "a surrogate is made of mutants of one sequence; these are genotypes"
        raise NotApplicableError(msg)
    name, inputs, contributions = _sequence(request)
    width = inputs.width
    within = _window(contributions)
    effects = 3 * min(width, WINDOW)
    count = int(np.clip(MUTANTS_PER_EFFECT * effects, FEWEST, min(MOST, max(FEWEST, MOST_BASES // width))))
    library = mutant_library(request.score, inputs, rng=request.rng, count=count, within=within)
    if float(np.ptp(library.predictions)) == 0.0:
        msg = "the predictions for all mutants are the same: there is nothing to fit"
        raise NotApplicableError(msg)
    found = fit_surrogate(library)
    single = saturation(request.predictor, inputs, score=request.score)
    spearman = _spearman(found, single)
    return Part(
        tables={"surrogate": _table(inputs, found), "surrogate_pairs": found.pairs.head(PAIRS_WRITTEN)},
        facts={
            "id": name,
            "prediction": library.prediction,
            "mutation_rate": RATE,
            "first_position": within.start + 1,
            "last_position": within.stop,
            "n_mutants": found.n_mutants,
            "n_held_out": found.n_held_out,
            "n_pairs": found.n_pairs,
            "r2_additive": found.r2_additive,
            "r2_pairwise": found.r2_pairwise,
            "spearman_with_mutagenesis": spearman,
        },
        notes=(
            f"Around {name}, with {RATE:.0%} of the bases changed at random, a sum of single bases explains "
            f"{found.r2_additive:.0%} of what the model says of held-out mutants (R²), with pairs of positions "
            f"{found.r2_pairwise:.0%}.",
        ),
    )


def _sequence(request: PartRequest) -> tuple[str, Inputs, FloatArray]:
    """Return the sequence of highest prediction, or the consensus of aligned ones, and how much positions matter."""
    attribution = request.attribution
    training = request.training.inputs
    if is_aligned(training):
        most = one_hot(training.values).sum(axis=0).argmax(axis=1)
        empty = (training.values == 0).mean(axis=0) > 0.5
        values = np.where(empty, 0, np.left_shift(1, most)).astype(np.uint8)[None]
        return "the consensus", replace(training, values=values), np.abs(attribution.contributions).mean(axis=0)
    row = int(attribution.predictions.argmax())
    return str(attribution.ids[row]), attribution.inputs.take(np.array([row])), np.abs(attribution.contributions[row])


def _window(contributions: FloatArray) -> slice:
    width = len(contributions)
    if width <= WINDOW:
        return slice(0, width)
    sums = np.cumsum(np.concatenate([[0.0], contributions]))
    start = int((sums[WINDOW:] - sums[:-WINDOW]).argmax())
    return slice(start, start + WINDOW)


def _spearman(found: Surrogate, single: Saturation) -> float | None:
    from scipy.stats import spearmanr

    changed = np.isfinite(found.additive) & (one_hot(single.inputs.values)[0] != 1.0)
    a, b = found.additive[changed], single.scores[0][changed]
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    return float(spearmanr(a, b).statistic)


def _table(inputs: Inputs, found: Surrogate) -> pd.DataFrame:
    letters = decode(inputs.values)[0].ljust(inputs.width, "-")
    table: pd.DataFrame = pd.DataFrame({"position": np.arange(1, inputs.width + 1), "reference": list(letters)})
    for channel, base in enumerate(BASES):
        table[base] = found.additive[:, channel]
    return table
