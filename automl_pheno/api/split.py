"""Make and write a split without searching."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl_pheno.api.plan import plan_data
from automl_pheno.data import choose_trait, drop_missing
from automl_pheno.errors import StudyError
from automl_pheno.files import write_json, writing
from automl_pheno.splits import make_split, write_split
from automl_pheno.study.run_folder import SPLIT, SPLIT_CARD


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSplit:
    """A split that was written.

    Attributes
    ----------
    card
        What ``split_card.json`` holds.
    files
        Written.
    notes
        What was noticed while reading.
    """

    card: dict[str, Any]
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def split_data(*, out: Path, **options: Any) -> MadeSplit:
    """Write ``split.csv`` and ``split_card.json`` into `out`, made if need be.

    Parameters
    ----------
    out
        Folder.
    **options
        ``study``, ``data``, ``trait``, ``groups``, ``folds``, ``seed`` ...: as in `search`, which makes the same
        split from them.

    Raises
    ------
    AutoMLPhenoError
        The data or the split breaks a rule; nothing is written.
    """
    dataset, trait, config = plan_data(**options)
    trait = choose_trait(dataset, trait)
    usable = drop_missing(dataset, trait)
    made, card = make_split(usable, trait, config)
    if out.exists() and not out.is_dir():
        msg = f"{out}: must be a folder, is a file"
        raise StudyError(msg)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    files = (out / SPLIT, out / SPLIT_CARD)
    with writing(files[0]):
        write_split(made, files[0])
    write_json(files[1], card)
    return MadeSplit(card=card, files=files, notes=usable.notes)
