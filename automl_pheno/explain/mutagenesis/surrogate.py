"""A model of the model: additive and pairwise effects fitted to predictions for mutants of one sequence.

In the manner of SQUID (Seitz et al. 2024): an in-silico mutagenesis library is drawn around a sequence, and a linear
model of what the network says of it is read instead of the network. How well it holds on held-out mutants is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, UInt8Array
from automl_pheno.data.encode import BASES
from automl_pheno.explain.registry import ExplainError
from automl_pheno.explain.scoring import Score

STEP = "predicting mutants of one sequence"
RATE = 0.1
HELD_OUT = 0.2
PENALTIES = np.logspace(-3, 4, 15)
HARDER = (1.0, 10.0, 100.0)
"""How much more pairs are penalised than single bases."""
MUTANTS_PER_PAIR, MOST_PAIRS = 80, 60
_BLOCK = 2048


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Library:
    """Mutants of one sequence and what is predicted for them.

    Attributes
    ----------
    sequence
        Codes of the unchanged sequence, uint8, shape (length,).
    positions
        Those that were changed in some mutant: all with a single base.
    bases
        Channel at each of `positions`, shape (n, positions).
    reference
        Channel of the unchanged sequence there, shape (positions,).
    predictions
        Phenotype units, shape (n,).
    prediction
        For the unchanged sequence.
    """

    sequence: UInt8Array
    positions: IntArray
    bases: npt.NDArray[np.int64]
    reference: IntArray
    predictions: FloatArray
    prediction: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """Effects fitted to a library, phenotype units.

    Attributes
    ----------
    additive
        Effect of each base against the one that stands there, shape (length, 4); NaN where nothing was changed
        (ambiguous bases, padding).
    pairs
        ``position_a, position_b`` (1-based), ``base_a, base_b, effect``: what two changes do beyond their sum,
        largest first.
    r2_additive, r2_pairwise
        On held-out mutants.
    n_mutants, n_held_out, n_pairs
        Mutants fitted to, mutants held out, pairs of positions in the pairwise model.
    """

    additive: FloatArray
    pairs: pd.DataFrame
    r2_additive: float
    r2_pairwise: float
    n_mutants: int
    n_held_out: int
    n_pairs: int


def mutant_library(
    score: Score,
    inputs: Inputs,
    *,
    rng: np.random.Generator,
    count: int,
    rate: float = RATE,
    within: slice | None = None,
) -> Library:
    """Return `count` mutants of the one sequence in `inputs`; each base is changed with probability `rate`.

    Parameters
    ----------
    within
        Only there; None is the whole sequence.

    Raises
    ------
    ExplainError
        Not one sequence, or it has no single base.
    """
    if inputs.kind != "sequence" or len(inputs) != 1:
        msg = f"a surrogate is made of one sequence; got {len(inputs)} {inputs.kind} inputs"
        raise ExplainError(msg)
    sequence = inputs.values[0]
    single = np.isin(sequence, [1, 2, 4, 8])
    if within is not None:
        single &= np.isin(np.arange(len(sequence)), np.arange(len(sequence))[within])
    positions = np.flatnonzero(single).astype(np.int64)
    if not len(positions):
        msg = "a surrogate needs a sequence with bases that are not ambiguous"
        raise ExplainError(msg)
    reference = np.round(np.log2(sequence[positions])).astype(np.int64)
    changed = rng.random((count, len(positions))) < rate
    bases = np.where(changed, (reference + rng.integers(1, 4, changed.shape)) % 4, reference)
    parts = []
    for start in range(0, count, _BLOCK):
        part = bases[start : start + _BLOCK]
        values = np.repeat(sequence[None], len(part), axis=0)
        values[:, positions] = np.left_shift(1, part).astype(np.uint8)
        parts.append(score(replace(inputs, values=values)))
        progress.tick(STEP, (start + len(part)) / count)
    return Library(
        sequence=sequence,
        positions=positions,
        bases=bases,
        reference=reference,
        predictions=np.concatenate(parts),
        prediction=float(score(inputs)[0]),
    )


def fit_surrogate(library: Library, *, most_pairs: int | None = None) -> Surrogate:
    """Return additive and pairwise effects, by ridge regression with the penalty of least generalised cross-validation.

    Pairs of positions are screened: those in which mutants changed at both deviate most, on average, from the additive
    model. The last fifth of the mutants is held out.

    Parameters
    ----------
    most_pairs
        Pairs of positions in the pairwise model; None is one for 80 mutants, and 60 at most.
    """
    n = len(library.predictions)
    held = max(1, round(n * HELD_OUT))
    fitted = np.arange(n) < n - held
    single = _singles(library)
    y = library.predictions
    additive = _ridge(single[fitted], y[fitted])
    residual = y - additive.predict(single)
    if most_pairs is None:
        most_pairs = min(MOST_PAIRS, int(fitted.sum()) // MUTANTS_PER_PAIR)
    pairs = _screen(library.bases[fitted] != library.reference, residual[fitted], most_pairs)
    both, double, names = _doubles(single, pairs)
    whole = np.concatenate([single, both, double], axis=1)
    pairwise = _ridge(whole[fitted], y[fitted], later=single.shape[1])
    predicted = pairwise.predict(whole)
    shared, own = np.split(pairwise.weights[single.shape[1] :], [both.shape[1]])
    joint = (np.repeat(shared, 9) + own)[(double[fitted] != 0).any(axis=0)]
    names = names[(double[fitted] != 0).any(axis=0)]
    effects = np.full((len(library.sequence), 4), np.nan)
    effects[library.positions, library.reference] = 0.0
    others = (library.reference[:, None] + np.arange(1, 4)) % 4
    effects[library.positions[:, None], others] = additive.weights.reshape(-1, 3)
    return Surrogate(
        additive=effects,
        pairs=_pair_table(library, names, joint),
        r2_additive=_r2(y[~fitted], y[~fitted] - residual[~fitted]),
        r2_pairwise=_r2(y[~fitted], predicted[~fitted]),
        n_mutants=int(fitted.sum()),
        n_held_out=held,
        n_pairs=len(pairs),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ridge:
    weights: FloatArray
    constant: float

    def predict(self, features: FloatArray) -> FloatArray:
        return np.asarray(features @ self.weights + self.constant)


def _ridge(features: FloatArray, y: FloatArray, *, later: int | None = None) -> _Ridge:
    """Fit with the penalty of least generalised cross-validation (Golub, Heath & Wahba 1979).

    Parameters
    ----------
    later
        Features from this one on may be penalised more than the others, by one of `HARDER`, chosen in the same way.
    """
    means, mean = features.mean(axis=0), float(y.mean())
    centred, n = features - means, len(y)
    gram, target = centred.T @ centred, centred.T @ (y - mean)
    total = float(((y - mean) ** 2).sum())
    best, weights = np.inf, np.zeros(len(target))
    for harder in HARDER[:1] if later is None else HARDER:
        scale = np.ones(len(target))
        scale[later if later is not None else len(scale) :] = 1.0 / np.sqrt(harder)
        eigenvalues, vectors = np.linalg.eigh(gram * scale * scale[:, None])
        eigenvalues = np.maximum(eigenvalues, 0.0)
        turned = vectors.T @ (target * scale)
        for penalty in PENALTIES:
            shrunk = turned / (eigenvalues + penalty)
            error = total - 2 * float(shrunk @ turned) + float((eigenvalues * shrunk**2).sum())
            freedom = float((eigenvalues / (eigenvalues + penalty)).sum()) + 1.0
            criterion = max(error, 0.0) / (n - freedom) ** 2 if freedom < n else np.inf
            if criterion < best:
                best, weights = criterion, scale * (vectors @ shrunk)
    return _Ridge(weights=np.asarray(weights), constant=mean - float(means @ weights))


def _singles(library: Library) -> FloatArray:
    """Return 1 where a mutant has that other base, shape (n, positions x 3)."""
    others = (library.reference[:, None] + np.arange(1, 4)) % 4
    hot = library.bases[:, :, None] == others[None]
    return np.asarray(hot.reshape(len(hot), -1), dtype=np.float64)


def _screen(changed: npt.NDArray[np.bool_], residual: FloatArray, most: int) -> IntArray:
    """Return the pairs of positions whose joint changes deviate most, shape (pairs, 2)."""
    both = changed.astype(np.float64)
    joint = both.T @ (both * (residual - residual.mean())[:, None])
    count = both.T @ both
    strength = np.abs(joint) / np.sqrt(np.maximum(count, 1.0))
    rows, columns = np.triu_indices(len(strength), k=1)
    order = np.argsort(-strength[rows, columns], kind="stable")[:most]
    return np.stack([rows[order], columns[order]], axis=1).astype(np.int64)


def _doubles(single: FloatArray, pairs: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return whether both of each pair are changed; to which two bases; and what the latter stand for.

    A pair of bases is seen in few mutants, so it borrows from what the other changes of these positions do together.

    Returns
    -------
    both, double
        Shapes (n, pairs) and (n, pairs x 9).
    names
        Position a, position b, change a, change b of each column of `double`.
    """
    a, b = np.divmod(np.arange(9), 3)
    first = (pairs[:, :1] * 3 + a).ravel()
    second = (pairs[:, 1:] * 3 + b).ravel()
    names = np.stack([first // 3, second // 3, first % 3, second % 3], axis=1)
    double = single[:, first] * single[:, second]
    return double.reshape(len(double), -1, 9).sum(axis=2), double, names


def _pair_table(library: Library, names: IntArray, effects: FloatArray) -> pd.DataFrame:
    letters = np.array(list(BASES))

    def base(position: IntArray, change: IntArray) -> npt.NDArray[np.str_]:
        return np.asarray(letters[(library.reference[position] + change + 1) % 4])

    table: pd.DataFrame = pd.DataFrame({
        "position_a": library.positions[names[:, 0]] + 1,
        "position_b": library.positions[names[:, 1]] + 1,
        "base_a": base(names[:, 0], names[:, 2]),
        "base_b": base(names[:, 1], names[:, 3]),
        "effect": effects,
    })  # fmt: skip
    order = np.argsort(-np.abs(table["effect"].to_numpy()), kind="stable")
    ordered: pd.DataFrame = table.iloc[order].reset_index(drop=True)
    return ordered


def _r2(y: FloatArray, predicted: FloatArray) -> float:
    total = float(((y - y.mean()) ** 2).sum())
    return 1.0 - float(((y - predicted) ** 2).sum()) / total if total > 0 else float("nan")
