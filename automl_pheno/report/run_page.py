"""The report of a run: one page that opens with the answer and holds every figure, made of run files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from automl_pheno.files import write_text
from automl_pheno.report import explain_sections, html, run_sections, sentences
from automl_pheno.report.html import Markup
from automl_pheno.report.read import RunFiles, read_run
from automl_pheno.report.run_sections import REPORT
from automl_pheno.report.split_page import read_split_files, split_pictures
from automl_pheno.report.style import NARROW
from automl_pheno.report.write import Drawn, draw_figures
from automl_pheno.study.run_folder import SPLIT, SPLIT_CARD


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of the page; `figures` are names in ``FIGURES``, in the order in which they stand."""

    name: str
    title: str
    figures: tuple[str, ...] = ()


_SECTIONS = (
    _Section("leaderboard", "Leaderboard", ("leaderboard",)),
    _Section("prediction", "How well it predicts", ("predicted_observed", "phenotype", "residuals")),
    _Section("split", "How safe the split is"),
    _Section("training", "How the winner learnt", ("learning_curve",)),
    _Section("search", "The search", ("search_history", "parameter_importance", "parameter_slices")),
    _Section(
        "drivers",
        "What drives the predictions",
        ("importance_position", "loci", "importance_variant", "blocks", "sequence_logos", "contribution_map"),
    ),
    _Section(
        "motifs", "Motifs and filters", ("motifs", "modisco", "motif_places", "motif_effects", "spacing", "filters")
    ),
    _Section("mutations", "What mutations do", ("mutagenesis", "mutation_profile", "dosage_effects", "surrogate")),
    _Section("epistasis", "What acts together", ("epistasis", "interaction_null")),
    _Section("trust", "How far to trust it", ("stability", "counterpart")),
    _Section("provenance", "How to get the same again"),
)


def write_report(run: Path) -> Path:
    """Write ``report.html`` and the pictures in ``figures/`` into the run folder, and return the page.

    The page needs nothing beside it and no network. What the run does not have is left out, or said in a sentence.

    Raises
    ------
    StudyError
        `run` is not the folder of a run, or a file of it is damaged.
    OutputError
        The page or a picture cannot be written.
    """
    files = read_run(run)
    drawn = draw_figures(files)
    split = {}
    if all((run / name).is_file() for name in (SPLIT, SPLIT_CARD)):
        split = split_pictures(read_split_files(run), run)
    path = run / REPORT
    write_text(path, report_page(files, drawn, split))
    return path


def report_page(run: RunFiles, drawn: Drawn, split: Mapping[str, Markup]) -> str:
    """Return the page.

    Parameters
    ----------
    drawn, split
        Figures of the run and pictures of its split, as far as they were drawn.
    """
    shown = {
        name: html.figure(drawn.plain[name], one.title, one.caption, inches=one.inches, wide=one.inches > NARROW)
        for name, one in drawn.pictures.items()
    }
    sections = []
    places = []
    for section in _SECTIONS:
        found = [shown[name] for name in section.figures if name in shown]
        missing = [
            f"The figure {name!r} could not be drawn ({drawn.failed[name]})."
            for name in section.figures
            if name in drawn.failed
        ]
        before, after = _words(section.name, run, split)
        title = sentences.learning_title(run) if section.name == "training" else section.title
        body = html.section(
            title,
            *before,
            html.figures(found) if found else "",
            html.bullets(missing) if missing else "",
            *after,
            name=section.name,
        )
        if body:
            sections.append(body)
            places.append((section.name, title))
    return html.page(
        f"What predicts {run.trait}", run_sections.opening(run), html.contents(places), *sections, sorting=True
    )


def _words(name: str, run: RunFiles, split: Mapping[str, Markup]) -> tuple[list[Markup], list[Markup]]:
    """Return what stands before and after the figures of a section."""
    if name == "leaderboard":
        return [], list(run_sections.leaderboard(run))
    if name == "prediction":
        return list(run_sections.prediction(run)), []
    if name == "split":
        return list(run_sections.split_card(run, split)), []
    if name == "search":
        return list(run_sections.search(run)), []
    if name == "provenance":
        return list(run_sections.provenance(run)), []
    return list(_before(name, run)), list(_after(name, run))


def _before(name: str, run: RunFiles) -> Iterator[Markup]:
    if name == "drivers":
        yield from explain_sections.warnings(run)
    if run.explanation is None:
        return
    of = {
        "drivers": ("loci",),
        "motifs": ("motifs", "modisco", "filters", "matches"),
        "mutations": ("mutagenesis", "surrogate"),
        "epistasis": ("interactions",),
        "trust": ("stability", "counterpart"),
    }
    yield from explain_sections.said_by(run.explanation, *of.get(name, ()))


def _after(name: str, run: RunFiles) -> Iterator[Markup]:
    explanation = run.explanation
    if explanation is not None:
        if name == "drivers":
            yield from explain_sections.blocks(explanation)
            yield from explain_sections.importance(explanation)
        elif name == "motifs":
            yield from explain_sections.motifs(explanation)
            yield from explain_sections.filters(explanation)
        elif name == "epistasis":
            yield from explain_sections.pairs(explanation)
    if name == "trust":
        yield from explain_sections.left_out(run)
