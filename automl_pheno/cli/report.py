"""``report``: the page, the pictures and the summary of a run, made anew."""

from __future__ import annotations

from automl_pheno.cli.options import RunFolder


def report(run: RunFolder) -> None:
    """Make the page of a run, report.html, its pictures and its summary again."""
    from automl_pheno.api.report import draw_report

    for path in draw_report(run):
        print(path)
