"""Predict a file with the winner of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from automl_pheno.api.data import read
from automl_pheno.api.run import load
from automl_pheno.errors import StudyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What `predict_file` did.

    Attributes
    ----------
    n
        Predictions written.
    trait
        What was predicted.
    notes
        What was noticed while reading and matching.
    """

    n: int
    trait: str
    notes: tuple[str, ...]


def predict_file(
    run: str | Path, source: str | Path, out: Path, *, allow_mismatch: bool = False, **reading: Any
) -> Predicted:
    """Predict the samples of a file and write ``id, prediction`` to the CSV `out`, whole or not at all.

    ``**reading`` is as for `automl_pheno.read`, `allow_mismatch` as for `Best.samples`.

    Raises
    ------
    StudyError, DataError, PredictorError
        The run, the file, or their match breaks a rule; nothing is written.
    """
    from automl_pheno.files import write_text

    best = load(run)
    if out.is_dir() or not out.parent.is_dir():
        msg = f"{out}: must be a file in an existing folder"
        raise StudyError(msg)
    dataset = read(source, **reading)
    samples = best.samples(dataset, allow_mismatch=allow_mismatch)
    table = pd.DataFrame({"id": samples.ids, "prediction": best.predict_samples(samples)})
    write_text(out, table.to_csv(index=False))
    return Predicted(n=len(table), trait=best.trait, notes=samples.notes)
