"""All figures of a run as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from automl_pheno.errors import AutoMLPhenoError
from automl_pheno.files import write_bytes, writing
from automl_pheno.report import (  # registers the figures, in the order of the page
    explanation_figures,  # noqa: F401
    loci_figures,  # noqa: F401
    motif_figures,  # noqa: F401
    mutation_figures,  # noqa: F401
    prediction_figures,  # noqa: F401
    search_figures,  # noqa: F401
)
from automl_pheno.report.picture import FIGURES, LITERAL, Picture, render
from automl_pheno.report.read import RunFiles, read_run

FOLDER = "figures"
_OF_RUN = {"leaderboard", "search_history", "learning_curve", "parameter_importance", "parameter_slices",
           "predicted_observed", "residuals", "phenotype"}  # fmt: skip
"""Figures that show no contributions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """The figures of a run.

    Attributes
    ----------
    pictures, plain
        By name: the picture, and its SVG without words.
    files
        What was written.
    failed
        Name -> the last line of a fault of ours, where a figure could not be drawn.
    """

    pictures: Mapping[str, Picture]
    plain: Mapping[str, bytes]
    files: tuple[Path, ...]
    failed: Mapping[str, str]


def write_figures(run: Path) -> list[Path]:
    """Write each figure as PNG and SVG into ``RUN/figures/`` and return the files; skips what has no data.

    Raises
    ------
    StudyError
        `run` is not the folder of a run, or cannot be written.
    """
    return list(draw_figures(read_run(run)).files)


def draw_figures(files: RunFiles) -> Drawn:
    """Draw each figure that the run has data for and write it; see `write_figures`."""
    import matplotlib as mpl

    pictures: dict[str, Picture] = {}
    plain: dict[str, bytes] = {}
    written: list[Path] = []
    failed: dict[str, str] = {}
    for name, make in FIGURES.items():
        try:
            with mpl.rc_context(LITERAL):
                picture = make(files)
            if picture is None:
                continue
            picture = _warned(files, name, picture)
            plain[name], paths = write_picture(files.path / FOLDER, name, picture)
        except AutoMLPhenoError:
            raise
        except Exception as error:  # noqa: BLE001  # hours of search stand behind the page: one figure must not cost it
            failed[name] = f"{type(error).__name__}: {error}"
        else:
            pictures[name] = picture
            written += paths
    return Drawn(pictures=pictures, plain=plain, files=tuple(written), failed=failed)


def _warned(files: RunFiles, name: str, picture: Picture) -> Picture:
    """Let a picture of contributions carry what must be read with them, since files leave their page."""
    if name in _OF_RUN or files.explanation is None or not files.warnings:
        return picture
    return replace(picture, warning=" ".join(files.warnings))


def write_picture(folder: Path, name: str, picture: Picture) -> tuple[bytes, list[Path]]:
    """Write the picture as PNG and SVG with its words; return the SVG without words, and the files."""
    with writing(folder):
        folder.mkdir(exist_ok=True)
    rendered = render(picture)
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    write_bytes(paths[0], rendered.svg)
    write_bytes(paths[1], rendered.png)
    return rendered.plain, paths
