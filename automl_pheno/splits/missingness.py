"""Do the missing calls alone predict the trait? Then a model can score well without any genetics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno.data import FloatArray, Inputs, IntArray
from automl_pheno.splits.components import learn_components

N_COMPONENTS = 10
_FOLDS = 5
_PERMUTATIONS = 199
_AT_ONCE = 20_000_000  # permuted values held at a time
_SIGNIFICANT = 0.05
_NOTICEABLE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Missingness:
    """What the pattern of missing calls says of the trait.

    Attributes
    ----------
    share
        Of all calls that are missing.
    r
        Pearson correlation of the trait with its cross-validated prediction from the pattern alone, groups kept
        whole; 0 where no call is missing.
    p
        Share of permutations of the trait that reach r; 1 where no call is missing.
    """

    share: float
    r: float
    p: float

    @property
    def is_suspect(self) -> bool:
        """Whether the pattern predicts the trait by more than chance and by an r above 0.1."""
        return self.p <= _SIGNIFICANT and self.r > _NOTICEABLE

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if self.share == 0.0:
            return "no call is missing"
        words = f"from the pattern of missing calls alone ({self.share:.1%} of all) the trait is predicted with "
        words += f"r {self.r:.2f} (cross-validated by group, permutation p {self.p:.3f})"
        return words if self.is_suspect else f"{words}: no sign that missing calls tell of the trait"


def missingness_check(inputs: Inputs, y: FloatArray, groups: IntArray, rng: np.random.Generator) -> Missingness:
    """Return whether the pattern of missing calls predicts the trait of samples of other groups.

    Ridge regression on the 10 leading components of the mask of missing calls, in 5 folds that keep groups whole. The
    permutations exchange the means of whole groups and, apart from these, what samples differ from their group by, so
    that families alone make nothing significant.

    Parameters
    ----------
    inputs
        Genotypes, n samples.
    y
        Finite, shape (n,).
    groups
        Labels 0 to g - 1, shape (n,).
    """
    share = float(np.isnan(inputs.values).mean()) if inputs.values.size else 0.0
    labels = np.unique(groups, return_inverse=True)[1]
    n_groups = int(labels.max()) + 1
    if share == 0.0 or n_groups < 2:
        return Missingness(share=share, r=0.0, p=1.0)
    scores = learn_components(inputs, "missing", N_COMPONENTS, rng).scores(inputs)
    if not scores.shape[1]:
        return Missingness(share=share, r=0.0, p=1.0)
    scores = scores / np.maximum(scores.std(axis=0), 1e-12)
    folds = (np.argsort(rng.permutation(n_groups)) % min(_FOLDS, n_groups))[labels]
    r = float(_cross_validated(scores, y[:, None], folds)[0])
    sizes = np.bincount(labels)
    means = np.bincount(labels, weights=y) / sizes
    rest = y - means[labels]
    step = max(1, _AT_ONCE // len(y))
    reached = 0
    for start in range(0, _PERMUTATIONS, step):
        n = min(step, _PERMUTATIONS - start)
        permuted = np.empty((len(y), n))
        for column in range(n):
            permuted[:, column] = rng.permutation(means)[labels] + rng.permutation(rest)
        reached += int((_cross_validated(scores, permuted, folds) >= r).sum())
    return Missingness(share=share, r=r, p=(1 + reached) / (1 + _PERMUTATIONS))


def _cross_validated(scores: FloatArray, y: FloatArray, folds: IntArray) -> FloatArray:
    """Return Pearson r of each column of `y`, shape (n, m), with its prediction in held-out folds, shape (m,).

    The penalty, one sample a component, is right where pattern and noise share the variance equally.
    """
    predicted = np.zeros_like(y)
    k = scores.shape[1]
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        train, target = scores[~held], y[~held]
        centre, mean = train.mean(axis=0), target.mean(axis=0)
        gram = (train - centre).T @ (train - centre) + k * np.eye(k)
        effects = np.linalg.solve(gram, (train - centre).T @ (target - mean))
        predicted[held] = (scores[held] - centre) @ effects + mean
    a, b = y - y.mean(axis=0), predicted - predicted.mean(axis=0)
    norm = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.where(norm > 1e-12, (a * b).sum(axis=0) / np.maximum(norm, 1e-12), 0.0)
