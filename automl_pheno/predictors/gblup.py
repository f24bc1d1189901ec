"""GBLUP: the best linear unbiased prediction from a genomic relationship matrix."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray
from automl_pheno.predictors.calibration import Calibration, Correction
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.encoding import Encoding, learn
from automl_pheno.predictors.inner_folds import inner_folds
from automl_pheno.predictors.linear import Chosen, LinearPredictor, LinearState, intercept
from automl_pheno.predictors.protocol import PREDICTORS
from automl_pheno.predictors.shrinkage import decompose_design, held_out_residuals, reml_penalty, ridge_effects

N_FOLDS = 5


@PREDICTORS.add("gblup")
class GBLUP(LinearPredictor):
    """GBLUP with the variance ratio by REML.

    Genotypes: G = Z Z' / (2 sum p (1 - p)), Z the dosages minus 2p, p the allele frequencies in training
    (VanRaden 2008, method 1). Sequences: the same with one-hot bases of aligned positions, G = Z Z' over the sum of
    their variances. The ratio of noise to genetic variance maximises the restricted likelihood through one spectral
    decomposition (Kang et al. 2008). New samples are predicted through marker effects, Z' G^-1 u over the scale of G
    (Strandén & Garrick 2009), which equals prediction through their relationships to the training samples. With
    weights, the noise variance of a sample is divided by its weight in this prediction, not in the likelihood: they say
    how much a sample matters, and made from the trait they would pass for precision (on wheat, heritability 0.79 for
    0.50). Copies of a sample count as its weight: to the likelihood they would be clones without noise.

    Of sequences the model does not hold (few bases with large effects that interact), and REML spreads predictions too
    far. There they are drawn together by the slope of observed on predicted in inner folds of whole groups, as far as
    its error allows (``dispersion``). Of genotypes they are the BLUP itself.
    """

    kind = "gblup"
    copies_are_weights = True

    def _learn(self, train: Examples, rng: np.random.Generator) -> tuple[LinearState, Chosen]:
        encoding, columns = learn(train.inputs, "dosage" if train.inputs.kind == "genotype" else "one_hot")
        spectrum = decompose_design(Design(columns=columns, mean=encoding.mean))
        penalty, likelihood = reml_penalty(spectrum, train.y)
        design = Design.of_training(columns, encoding.mean, train.weights)
        effects = ridge_effects(design, train.y, penalty)
        chosen: Chosen = {"columns": len(effects)}
        if np.isfinite(penalty):
            chosen |= {
                "variance_ratio": penalty / relationship_scale(encoding, columns),
                "heritability": spectrum.unit / (spectrum.unit + penalty),
                "log_restricted_likelihood": likelihood,
            }
        centre = intercept(encoding, design, train.y, effects)
        state = LinearState(encoding=encoding, intercept=centre, effects=effects)
        if encoding.kind == "sequence" and np.isfinite(penalty) and len(np.unique(train.groups)) > 1:
            folds = inner_folds(train.groups, N_FOLDS, rng)
            predicted = train.y - held_out_residuals(spectrum, train.y, folds, penalty)
            found = Calibration.measure(train.y, predicted, train.groups)
            correction = Correction() if found is None else found.correction()
            state = state.corrected(correction)
            chosen["dispersion"] = correction.scale
        return state, chosen


def relationship_scale(encoding: Encoding, columns: FloatArray) -> float:
    """Return what Z Z' is divided by to make G: 2 sum p (1 - p) for dosages, the summed variances for bases."""
    if encoding.kind == "genotype":
        frequency = encoding.mean / 2.0
        return float(2.0 * (frequency * (1.0 - frequency)).sum())
    return Design(columns=columns, mean=encoding.mean).total_variance()
