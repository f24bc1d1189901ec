"""New inputs as a fitted predictor reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from automl_pheno.data import Inputs
from automl_pheno.data.alleles import harmonise
from automl_pheno.data.encode import PADDING
from automl_pheno.errors import DataError, PredictorError


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
    """Return dosages of `variants`, in their order, and notes; what is not there is missing (NaN).

    Variants are matched by id, else by place and alleles, and the allele that is counted is made the same; see
    `automl_pheno.data.alleles.harmonise`.

    Raises
    ------
    PredictorError
        No variant in common.
    """
    try:
        return harmonise(inputs, variants)
    except DataError as error:
        raise PredictorError(str(error)) from None
