"""Pictures and summary of a run."""

from __future__ import annotations

from pathlib import Path

from automl_pheno.api.run import Run


def draw_report(run: Run | str | Path) -> tuple[Path, ...]:
    """Draw the pictures of a run, write its summary, and return the files.

    Raises
    ------
    StudyError
        It is no run, or has no leaderboard yet.
    """
    from automl_pheno.report import write_figures, write_split_page, write_summary

    opened = run if isinstance(run, Run) else Run(Path(run))
    opened.leaderboard  # noqa: B018 - raises where there is nothing to draw
    return (*write_figures(opened.path), write_summary(opened.path), write_split_page(opened.path))
