"""Every single change of a sequence: what each substitution and each deletion does to the prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, UInt8Array
from automl_pheno.data.encode import BASES, PADDING, one_hot
from automl_pheno.explain.mutagenesis.compiled import CompiledMutants
from automl_pheno.explain.registry import ExplainError, NetworkLike
from automl_pheno.explain.scoring import Score, inner_inputs, inner_predictor, score_function
from automl_pheno.predictors.protocol import Predictor

STEP = "changing single bases"
BLOCK_CELLS = 4_000_000
Mutant = Callable[[npt.NDArray[np.intp]], UInt8Array]
_BITS = np.array([1, 2, 4, 8], dtype=np.uint8)
_SINGLE = np.isin(np.arange(16), _BITS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Saturation:
    """What single changes do to predictions, phenotype units.

    Attributes
    ----------
    inputs
        The unchanged sequences, n of them.
    predictions
        f(sequence), float64, shape (n,).
    scores
        f(with that base at that position) - f(sequence), channels A, C, G, T, float64, shape (n, length, 4). 0 at the
        base that stands there. Where an ambiguous base stands, each of the four is a change. 0 at padding, where no
        base stands.
    deletions
        f(without that base) - f(sequence), shape (n, length): what follows moves one to the left and the end is padded,
        so a deletion also moves all that is measured from the end. 0 at padding. None where they were not asked for.
    how
        In words, how mutants were computed.
    """

    inputs: Inputs
    predictions: FloatArray
    scores: FloatArray
    deletions: FloatArray | None
    how: str

    @property
    def contributions(self) -> FloatArray:
        """Return f(sequence) less the mean over the other bases, shape (n, length).

        Over the other three; where an ambiguous base stands, over all four. 0 at padding.
        """
        others = np.where(_SINGLE[self.inputs.values], 3.0, 4.0)
        return np.asarray(-self.scores.sum(axis=2) / others)

    @property
    def mean_centred(self) -> FloatArray:
        """Return what each base would add to the mean over the four bases at its position, (n, length, 4)."""
        return np.asarray(self.scores - self.scores.mean(axis=2, keepdims=True))

    def table(self) -> pd.DataFrame:
        """Return one row a position: ``position, mean_abs, mean_signed, max_abs, strongest``.

        Means are over all substitutions of all sequences that have a base there; ``strongest`` is the one substitution
        of one sequence that changes the prediction most, as ``A17G``. NaN and "" where all have padding.
        """
        codes = self.inputs.values
        changed = one_hot(codes) != 1.0
        changed[codes == PADDING] = False
        count = changed.sum(axis=(0, 2))
        safe = np.where(count > 0, count, 1)
        size = np.abs(self.scores)
        largest = size.max(axis=(0, 2), initial=0.0)
        table: pd.DataFrame = pd.DataFrame({
            "position": np.arange(1, codes.shape[1] + 1),
            "mean_abs": np.where(count > 0, size.sum(axis=(0, 2)) / safe, np.nan),
            "mean_signed": np.where(count > 0, self.scores.sum(axis=(0, 2)) / safe, np.nan),
            "max_abs": np.where(count > 0, largest, np.nan),
            "strongest": [self._strongest(place) if count[place] else "" for place in range(codes.shape[1])],
        })  # fmt: skip
        return table

    def _strongest(self, place: int) -> str:
        letters = "-ACMGRSVTWYHKDBN"
        row, base = np.unravel_index(int(np.abs(self.scores[:, place]).argmax()), (len(self.inputs), 4))
        return f"{letters[self.inputs.values[row, place]]}{place + 1}{BASES[base]}"


def saturation(
    predictor: Predictor, inputs: Inputs, *, deletions: bool = False, score: Score | None = None
) -> Saturation:
    """Return what every substitution, and every deletion, does to the predictions for `inputs`.

    Mutants of a network are made and computed inside compiled calls of one size, and only what a change reaches is
    computed anew (see ``layers.py``); deletions, which move all that follows, and mutants for any other predictor go
    through `score` in blocks. Changes that change nothing are skipped: the base that stands there, padding, and all but
    one deletion in a run of one base.

    Parameters
    ----------
    predictor
        Fitted. Of a `CuratedPredictor` the inner one is asked.
    score
        Of `score_function`; made here when not given.

    Raises
    ------
    ExplainError
        `inputs` are genotypes, or a network runs on a backend that is neither TensorFlow nor JAX.
    """
    if inputs.kind != "sequence":
        msg = f"single bases are changed in sequences; got {inputs.kind} inputs"
        raise ExplainError(msg)
    inner = inner_predictor(predictor)
    inputs = inner_inputs(predictor, inputs)
    ask = score_function(inner) if score is None else score
    predictions = ask(inputs)
    found = _by_network(inner, inputs, predictions) if isinstance(inner, NetworkLike) and len(inputs) else None
    how = "predictions in blocks"
    if found is None:
        scores = _by_score(ask, inputs, predictions)
    else:
        scores, how = found
    return Saturation(
        inputs=inputs,
        predictions=predictions,
        scores=scores,
        deletions=deletion_scores(ask, inputs, predictions) if deletions else None,
        how=how,
    )


def _by_network(network: NetworkLike, inputs: Inputs, predictions: FloatArray) -> tuple[FloatArray, str] | None:
    """Return scores from compiled calls; None for a network that does not read base probabilities."""
    codes = inputs.values
    x = np.asarray(network.encode(inputs), dtype=np.float32)
    if x.shape != (*codes.shape, 4) or not np.array_equal(x, one_hot(codes)):
        return None
    ambiguous = bool((~_SINGLE[codes] & (codes != PADDING)).any())
    mutants = CompiledMutants(network.model, choices=4 if ambiguous else 3)
    outputs = mutant_outputs(mutants, inputs).astype(np.float64)
    scores = outputs * float(network.y_sd) + float(network.y_mean) - predictions[:, None, None]
    scores[one_hot(codes) == 1.0] = 0.0
    scores[codes == PADDING] = 0.0
    return scores, f"compiled mutants; only differences through {mutants.local_steps} layers"


def mutant_outputs(mutants: CompiledMutants, inputs: Inputs) -> FloatArray:
    """Return the outputs of a network with each base at each position, float32, shape (n, length, 4).

    With three choices what stands at the base that a sequence has already is not computed, and 0.
    """
    choices = _other_bases()[inputs.values][:, :, : mutants.choices]
    bases = np.eye(4, dtype=np.float32)
    found = mutants(
        one_hot(inputs.values), lambda at: bases[choices[:, at]], tick=lambda share: progress.tick(STEP, share)
    )
    outputs = np.zeros((*inputs.values.shape, 4), dtype=np.float32)
    np.put_along_axis(outputs, choices, found, axis=2)
    return outputs


def _other_bases() -> IntArray:
    """Return the (16, 4) table from a code to the channels tried: the others first, the base itself last."""
    table = np.tile(np.arange(4), (16, 1))
    for channel, bit in enumerate(_BITS):
        table[bit] = [*(other for other in range(4) if other != channel), channel]
    return table


def _by_score(score: Score, inputs: Inputs, predictions: FloatArray) -> FloatArray:
    codes = inputs.values
    wanted = one_hot(codes) != 1.0
    wanted[codes == PADDING] = False
    rows, places, bases = np.nonzero(wanted)

    def mutant(part: npt.NDArray[np.intp]) -> UInt8Array:
        values = codes[rows[part]]
        values[np.arange(len(part)), places[part]] = _BITS[bases[part]]
        return values

    scores = np.zeros((*codes.shape, 4))
    scores[rows, places, bases] = _asked(score, inputs, mutant, len(rows)) - predictions[rows]
    return scores


def deletion_scores(score: Score, inputs: Inputs, predictions: FloatArray) -> FloatArray:
    """Return f(without the base at each position) - f(sequence), shape (n, length); see `Saturation`.

    Parameters
    ----------
    predictions
        f(sequence), shape (n,).
    """
    codes = inputs.values
    first = codes != PADDING
    first[:, 1:] &= codes[:, 1:] != codes[:, :-1]
    rows, places = np.nonzero(first)
    columns = np.arange(codes.shape[1])
    padded = np.pad(codes, ((0, 0), (0, 1)), constant_values=PADDING)

    def mutant(part: npt.NDArray[np.intp]) -> UInt8Array:
        index = columns[None] + (columns[None] >= places[part][:, None])
        return np.asarray(np.take_along_axis(padded[rows[part]], index, axis=1))

    found = np.zeros(codes.shape)
    found[rows, places] = _asked(score, inputs, mutant, len(rows)) - predictions[rows]
    start_of_run = np.maximum.accumulate(np.where(first, columns[None], 0), axis=1)
    return np.where(codes != PADDING, np.take_along_axis(found, start_of_run, axis=1), 0.0)


def _asked(score: Score, inputs: Inputs, mutant: Mutant, count: int) -> FloatArray:
    size = max(1, BLOCK_CELLS // max(inputs.width, 1))
    out = np.empty(count)
    for start in range(0, count, size):
        part = np.arange(start, min(start + size, count))
        out[part] = score(replace(inputs, values=mutant(part)))
        progress.tick(STEP, float(part[-1] + 1) / count)
    return out
