"""Pictures, summary and page of a run."""

from __future__ import annotations

from pathlib import Path

from automl_pheno.api.run import Run


def draw_report(run: Run | str | Path) -> tuple[Path, ...]:
    """Draw the pictures of a run, write its page and its summary, and return these.

    Raises
    ------
    StudyError
        It is no run, or has no leaderboard yet.
    """
    from automl_pheno.report import write_report, write_split_page, write_summary
    from automl_pheno.study.parameters import write_parameter_importance

    opened = run if isinstance(run, Run) else Run(Path(run))
    opened.leaderboard  # noqa: B018 - raises where there is nothing to draw
    write_parameter_importance(opened.path)
    card, page = write_split_page(opened.path), write_report(opened.path)
    return page, write_summary(opened.path), card
