"""The page of a split: is it safe, how alike are its sides, and what honesty costs; from the files beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.errors import StudyError
from automl_pheno.files import write_text
from automl_pheno.report import html, split_figures
from automl_pheno.report import split_sections as sections
from automl_pheno.report.html import Markup
from automl_pheno.report.picture import LITERAL, Picture
from automl_pheno.report.style import NARROW
from automl_pheno.report.write import FOLDER, write_picture
from automl_pheno.study.run_folder import COMPARISON, SPLIT, SPLIT_CARD, SPLIT_SAMPLES

PAGE = "split_card.html"

_SETS = ("train", "validation", "test", "purged")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitFiles:
    """The files of a split.

    Attributes
    ----------
    card
        ``split_card.json``.
    samples
        ``split_samples.csv``, or else ``split.csv``, with a column ``side`` (``test``, ``fold 0`` ...).
    comparison
        ``comparison.csv``; None where nothing was compared.
    """

    card: Mapping[str, Any]
    samples: pd.DataFrame
    comparison: pd.DataFrame | None

    @property
    def sides(self) -> list[str]:
        """Sides with samples, in the order of the card's words."""
        present = set(self.samples["side"])
        folds = sorted((name for name in present if name.startswith("fold ")), key=lambda name: int(name.split()[1]))
        return [name for name in ("train", *folds, *_SETS[1:]) if name in present]


def read_split_files(folder: Path) -> SplitFiles:
    """Return the files of the split in `folder`.

    Raises
    ------
    StudyError
        There is no split, or a file is damaged.
    """
    for name in (SPLIT, SPLIT_CARD):
        if not (folder / name).is_file():
            msg = f"{folder}: has no {name}, so there is no split to show"
            raise StudyError(msg)
    try:
        card = json.loads((folder / SPLIT_CARD).read_text(encoding="utf-8"))
        source = folder / (SPLIT_SAMPLES if (folder / SPLIT_SAMPLES).is_file() else SPLIT)
        samples = pd.read_csv(source, converters={"id": str, "set": str, "nearest_id": str})
        fold = pd.to_numeric(samples["fold"])
        numbers = fold.fillna(-1).astype(int).to_numpy()
        samples["side"] = [
            f"fold {number}" if number >= 0 else name for number, name in zip(numbers, samples["set"], strict=True)
        ]
        compared = folder / COMPARISON
        comparison = pd.read_csv(compared, keep_default_na=True) if compared.is_file() else None
    except (OSError, ValueError, KeyError) as error:
        msg = f"{folder}: a file of this split is damaged: {error}"
        raise StudyError(msg) from error
    return SplitFiles(card=card, samples=samples, comparison=comparison)


def write_split_page(folder: Path) -> Path:
    """Write ``split_card.html`` and the pictures in ``figures/`` (the PNG with how to read it), and return the page.

    Raises
    ------
    StudyError
        There is no split in `folder`, a file is damaged, or the page cannot be written.
    """
    files = read_split_files(folder)
    path = folder / PAGE
    write_text(path, _page(files, split_pictures(files, folder)))
    return path


def split_pictures(files: SplitFiles, folder: Path) -> dict[str, Markup]:
    """Write the pictures of a split into ``figures/`` in `folder` and return them for a page, by name."""
    import matplotlib as mpl

    found = {}
    for name, (make, how) in _PICTURES.items():
        with mpl.rc_context(LITERAL):
            picture = make(files, how)
        if picture is not None:
            plain, _ = write_picture(folder / FOLDER, f"split_{name}", picture)
            wide = picture.inches > NARROW
            found[name] = html.figure(plain, picture.title, picture.caption, inches=picture.inches, wide=wide)
    return found


def _page(files: SplitFiles, pictures: Mapping[str, Markup]) -> str:
    card = files.card
    likeness = [pictures[name] for name in ("phenotype", "components") if name in pictures]
    return html.page(
        f"Split of {card['samples']:,} samples" + (f" by {card['trait']}" if card["trait"] is not None else ""),
        sections.answer(card),
        html.section("Sides", sections.sizes(card), sections.cut_and_purged(card)),
        html.section("What is certain", sections.guarantees(card)),
        html.section("What the audit found", *sections.audit(card), pictures.get("similarity", "")),
        html.section("Are the sides alike?", html.figures(likeness) if likeness else "", *sections.differences(card)),
        html.section("What honesty costs", *sections.comparison(files.comparison), pictures.get("comparison", "")),
        html.section("Notes", html.bullets(card["notes"]) if card.get("notes") else ""),
        html.section("To recognise this split", sections.identity(card)),
    )


def _similarity(files: SplitFiles, caption: str) -> Picture | None:
    if "nearest_similarity" not in files.samples:
        return None
    now = _nearest(files, "nearest_similarity")
    if not now:
        return None
    measure, threshold = _measured(files.card)
    then = _nearest(files, "nearest_similarity_random") if "nearest_similarity_random" in files.samples else None
    return split_figures.similarity_figure(now, measure, threshold, then, caption=caption)


def _nearest(files: SplitFiles, column: str) -> dict[str, FloatArray]:
    """Return the similarities of validation and test samples; those of all folds are validation."""
    found = {}
    folds = files.samples["side"].str.startswith("fold ")
    for name, inside in (
        ("validation", folds | (files.samples["side"] == "validation")),
        ("test", files.samples["side"] == "test"),
    ):
        values = files.samples.loc[inside, column].to_numpy(dtype=np.float64)
        if np.isfinite(values).any():
            found[name] = values
    return found


def _measured(card: Mapping[str, Any]) -> tuple[str, float | None]:
    similarity = (card.get("audit") or {}).get("similarity") or {}
    return str(similarity.get("measure", "similarity")), similarity.get("threshold")


def _phenotype(files: SplitFiles, caption: str) -> Picture | None:
    if "y" not in files.samples:
        return None
    values = {}
    for name in files.sides:
        sample = files.samples.loc[files.samples["side"] == name, "y"].to_numpy(dtype=np.float64)
        if name != "purged" and np.isfinite(sample).any():
            values[name] = sample[np.isfinite(sample)]
    return split_figures.phenotype_figure(values, str(files.card["trait"]), caption=caption) if values else None


def _components(files: SplitFiles, caption: str) -> Picture | None:
    if not {"pc1", "pc2"} <= set(files.samples.columns):
        return None
    return split_figures.components_figure(files.samples, files.sides, caption=caption)


def _compared(files: SplitFiles, caption: str) -> Picture | None:
    if files.comparison is None or files.comparison[["random", "this_split"]].dropna().empty:
        return None
    return split_figures.comparison_figure(files.comparison, caption=caption)


_PICTURES: dict[str, tuple[Callable[[SplitFiles, str], Picture | None], str]] = {
    "similarity": (
        _similarity,
        "For each sample that is scored, how similar the most similar sample is that the model was trained on. All "
        "should lie left of the threshold: what lies right of it could be answered by looking it up. Samples with "
        "nothing near them in training are counted in the share, but not drawn.",
    ),
    "phenotype": (
        _phenotype,
        "The lines should lie on one another: then a score on one side speaks for the others. Height is the density, "
        "so that sides of different size compare.",
    ),
    "components": (
        _components,
        "One panel a side: its samples in colour, all others in grey. A side that fills the same area as the grey is "
        "alike; one in a corner of its own tests other populations or kinds of sequences.",
    ),
    "comparison": (
        _compared,
        "Circles: a random split of the same samples into parts of the same sizes. Diamonds: this split. Lines: sd "
        "over folds. The gap is what a random split promises too much. Below the line, leak detectors: they know no "
        "biology, so a circle far from 0 means that the random split leaks.",
    ),
}
