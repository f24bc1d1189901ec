"""New inputs as a fitted predictor reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from automl_pheno.data import Inputs
from automl_pheno.data.encode import PADDING
from automl_pheno.errors import PredictorError


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


def match_variants(inputs: Inputs, variants: pd.DataFrame) -> tuple[Inputs, tuple[str, ...]]:
    """Return dosages of `variants`, in their order, matched by id, and notes; what is not there is missing (NaN).

    Raises
    ------
    PredictorError
        No variant in common.
    """
    given = pd.Index(inputs.variants["id"].astype(str)) if inputs.variants is not None else pd.Index([])
    wanted = pd.Index(variants["id"].astype(str))
    columns = given.get_indexer(wanted)
    found = columns >= 0
    if not found.any():
        msg = (
            f"none of the {len(wanted):,} variants that the winner reads ({', '.join(wanted[:3])}, ...) is among the "
            f"{len(given):,} variants of the input ({', '.join(given[:3])}, ...); variants are matched by id"
        )
        raise PredictorError(msg)
    values = np.full((len(inputs), len(wanted)), np.nan, dtype=np.float32)
    values[:, found] = inputs.values[:, columns[found]]
    notes = []
    if not found.all():
        missing = wanted[~found]
        notes.append(
            f"{len(missing):,} of the {len(wanted):,} variants that the winner reads are not in the input and count as "
            f"missing calls: {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        )
    spare = len(given) - int(found.sum())
    if spare:
        notes.append(f"{spare:,} of the {len(given):,} variants of the input are not read by the winner")
    return Inputs(kind="genotype", values=values, variants=variants), tuple(notes)
