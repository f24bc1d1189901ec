"""``report``: the pictures and the summary of a run, drawn anew."""

from __future__ import annotations

from automl_pheno.cli.options import RunFolder


def report(run: RunFolder) -> None:
    """Draw the pictures and write the summary of a run again."""
    from automl_pheno.api.report import draw_report

    for path in draw_report(run):
        print(path)
