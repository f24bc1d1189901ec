"""New inputs as a fitted predictor reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data import Inputs, StrArray
from automl_pheno.data.alleles import harmonise
from automl_pheno.data.encode import PADDING
from automl_pheno.data.frame import Frame
from automl_pheno.errors import DataError, PredictorError

_EXAMPLES = 3
_FEW_KNOWN = 0.1
"""Share of bases or calls below which a sample says next to nothing."""
_MUCH_SHORTER = 0.5
_MOST = 0.5


def match_inputs(
    inputs: Inputs,
    ids: StrArray,
    *,
    width: int,
    variants: pd.DataFrame | None = None,
    frame: Frame | None = None,
    allow_mismatch: bool = False,
) -> tuple[Inputs, tuple[str, ...]]:
    """Return `inputs` as they were in training, and notes.

    Parameters
    ----------
    inputs, ids
        Of the kind that is read; n samples.
    width
        Length in bp, or number of variants.
    variants
        Those that are read, in order; None where none were stated, and for sequences.
    frame
        What is known of the sequences of training.
    allow_mismatch
        Say in a note what would be refused.

    Raises
    ------
    PredictorError
        The inputs do not fit, or contradict what the predictor was fitted on.
    """
    if variants is not None and inputs.variants is not None:
        inputs, notes = match_variants(inputs, variants, allow_mismatch=allow_mismatch)
    else:
        inputs, notes = match_width(inputs, width)
        if variants is not None:
            notes = (*notes, "the input does not name its variants; they are taken in the order of training")
        if inputs.kind == "sequence" and frame is not None:
            problems, hints = _strange(inputs, ids, frame)
            if problems and not allow_mismatch:
                raise PredictorError(
                    "; ".join(problems) + "; --allow-mismatch (allow_mismatch=True) predicts them all the same"
                )
            notes = (*notes, *hints, *(f"mismatch allowed: {problem}" for problem in problems))
    return inputs, (*notes, *_little_known(inputs, ids))


def match_width(inputs: Inputs, width: int) -> tuple[Inputs, tuple[str, ...]]:
    """Return sequences padded on the right to `width`, and notes; anything else must have the width.

    Raises
    ------
    PredictorError
        Longer sequences, or another number of variants.
    """
    unit = "bp" if inputs.kind == "sequence" else "variants"
    if inputs.width == width:
        return inputs, ()
    if inputs.kind == "genotype" or inputs.width > width:
        msg = f"the winner reads inputs of {width:,} {unit}, got {inputs.width:,} {unit}"
        raise PredictorError(msg)
    padded = np.pad(inputs.values, ((0, 0), (0, width - inputs.width)), constant_values=PADDING)
    note = (
        f"the longest sequence has {inputs.width:,} bp; padded on the right to the {width:,} bp that the winner reads"
    )
    return replace(inputs, values=padded), (note,)


def match_variants(
    inputs: Inputs, variants: pd.DataFrame, *, allow_mismatch: bool = False
) -> tuple[Inputs, tuple[str, ...]]:
    """Return dosages of `variants`, in their order, and notes; what is not there is missing (NaN).

    Variants are matched by id, else by place and alleles, and the allele that is counted is made the same; see
    `automl_pheno.data.alleles.harmonise`.

    Raises
    ------
    PredictorError
        No variant in common; or, unless `allow_mismatch`, too many that contradict or are missing.
    """
    try:
        return harmonise(inputs, variants, allow_mismatch=allow_mismatch)
    except DataError as error:
        raise PredictorError(str(error)) from None


def refuse_non_finite(predictions: npt.NDArray[np.floating], ids: StrArray) -> None:
    """Raise a `PredictorError` that names the samples whose prediction is no number."""
    wrong = ~np.isfinite(predictions)
    if wrong.any():
        msg = f"{int(wrong.sum()):,} of {len(ids):,} predictions are no finite numbers: {_some(ids[wrong])}"
        raise PredictorError(msg)


def _strange(inputs: Inputs, ids: StrArray, frame: Frame) -> tuple[list[str], list[str]]:
    """Return what is to be refused of the sequences, and what is to be said of them."""
    n, lengths = len(inputs), (inputs.values != PADDING).sum(axis=1)
    astray, problems, hints = frame.astray(inputs.values), list[str](), list[str]()
    short, shorter = lengths < _MUCH_SHORTER * frame.shortest, lengths < frame.shortest
    kinds = (
        (short, f"shorter than half of the shortest sequence of training ({frame.shortest:,} bp)"),
        (
            astray,
            f"not in the frame of those of training, which agree with their consensus in at least "
            f"{frame.identity:.0%} of the positions (are they shifted, reversed, or of another library?)",
        ),
    )
    for mask, text in kinds:
        if mask.any():
            said = f"{int(mask.sum()):,} of {n:,} sequences are {text}: {_some(ids[mask])}"
            (problems if mask.mean() > _MOST else hints).append(said)
    only_shorter = shorter & ~short
    if only_shorter.any():
        hints.append(
            f"{int(only_shorter.sum()):,} of {n:,} sequences are shorter than any of training ({frame.shortest:,} bp): "
            f"{_some(ids[only_shorter])}"
        )
    return problems, hints


def _little_known(inputs: Inputs, ids: StrArray) -> tuple[str, ...]:
    """Return a note on samples of which next to nothing is known.

    Raises
    ------
    PredictorError
        Of no sample anything is known.
    """
    if not len(inputs):
        return ()
    if inputs.kind == "sequence":
        codes = inputs.values
        known, what = ((codes != PADDING) & ((codes & (codes - np.uint8(1))) == 0)).sum(axis=1), "known bases"
        total = (codes != PADDING).sum(axis=1)
    else:
        known, what = (~np.isnan(inputs.values)).sum(axis=1), "calls"
        total = np.full(len(inputs), inputs.width)
    few = known < np.maximum(_FEW_KNOWN * total, 1)
    if not known.any():
        msg = f"none of the {len(inputs):,} samples has {what}, so there is nothing to predict from"
        raise PredictorError(msg)
    if not few.any():
        return ()
    shown = [f"{name} ({k:,} of {t:,})" for name, k, t in zip(ids[few], known[few], total[few], strict=True)]
    return (
        f"{int(few.sum()):,} of {len(inputs):,} samples have {what} in fewer than one of ten "
        f"{'positions' if inputs.kind == 'sequence' else 'variants'}; their predictions say next to nothing: "
        f"{_some(shown)}",
    )


def _some(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:_EXAMPLES]) + (", ..." if len(texts) > _EXAMPLES else "")
