"""Make and write a split without searching."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl_pheno.api.plan import plan_data
from automl_pheno.data import choose_trait, drop_missing
from automl_pheno.errors import StudyError
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


def split_data(*, out: Path, **options: Any) -> WrittenSplit:
    """Write ``split.csv``, ``split_card.json``, ``split_samples.csv`` and the page ``split_card.html`` into `out`.

    Parameters
    ----------
    out
        Folder, made if need be.
    **options
        ``study``, ``data``, ``trait``, ``groups``, ``folds``, ``seed`` ...: as in `search`, which makes the same
        split from them.

    Raises
    ------
    AutoMLPhenoError
        The data or the split breaks a rule; nothing is written.
    """
    from automl_pheno.report.split_page import write_split_page

    dataset, trait, config = plan_data(**options)
    trait = choose_trait(dataset, trait)
    usable = drop_missing(dataset, trait)
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
