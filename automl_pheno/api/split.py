"""Make and write a split without searching."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl_pheno.api.plan import plan_data
from automl_pheno.data import Dataset, choose_trait, drop_missing
from automl_pheno.errors import DataError, StudyError
from automl_pheno.files import writing
from automl_pheno.splits import make_split
from automl_pheno.study.run_folder import COMPARISON, write_split_files


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSplit:
    """A split that was written.

    Attributes
    ----------
    card
        What ``split_card.json`` holds.
    leaks
        What the audit found on two sides, in sentences; empty where it is clean at the stated thresholds.
    files
        Written.
    notes
        What was noticed while reading.
    """

    card: dict[str, Any]
    leaks: tuple[str, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def balanced_by(dataset: Dataset, trait: str | None) -> tuple[Dataset, str | None]:
    """Return the samples that are split and the trait by which the sides are balanced; None where there is none.

    A split needs no trait. Where none is named the only one of the data is taken, if it can be.

    Raises
    ------
    DataError
        The trait that is named is not there, or has no values to balance.
    """
    names = [str(name) for name in dataset.traits.columns]
    if trait is None and len(names) != 1:
        note = f"of {len(names)} numeric columns none is named as trait"
        return (dataset.with_notes(note) if names else dataset), None
    try:
        chosen = choose_trait(dataset, trait)
        return drop_missing(dataset, chosen), chosen
    except DataError as error:
        if trait is not None:
            raise
        return dataset.with_notes(f"{error}; the split goes without a trait"), None


def split_data(*, out: Path, **options: Any) -> WrittenSplit:
    """Write ``split.csv``, ``split_card.json``, ``split_samples.csv`` and the page ``split_card.html`` into `out`.

    Parameters
    ----------
    out
        Folder, made if need be.
    **options
        ``study``, ``data``, ``trait``, ``groups``, ``folds``, ``seed`` ...: as in `search`, which makes the same
        split from them. Without a trait the sides are balanced in size only.

    Raises
    ------
    AutoMLPhenoError
        The data or the split breaks a rule; nothing is written.
    """
    from automl_pheno.report.split_page import write_split_page

    dataset, trait, config = plan_data(**options)
    usable, trait = balanced_by(dataset, trait)
    made = make_split(usable, trait, config)
    if out.exists() and not out.is_dir():
        msg = f"{out}: must be a folder, is a file"
        raise StudyError(msg)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    files = write_split_files(out, made)
    # of another split, perhaps
    (out / COMPARISON).unlink(missing_ok=True)
    return WrittenSplit(card=made.card, leaks=made.leaks, files=(*files, write_split_page(out)), notes=usable.notes)
