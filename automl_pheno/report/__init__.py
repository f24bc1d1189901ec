"""What a run shows: figures, a summary in words and a page of both, made of run files alone."""

from automl_pheno.report.picture import FIGURES
from automl_pheno.report.read import RunFiles, read_run
from automl_pheno.report.run_page import write_report
from automl_pheno.report.split_page import write_split_page
from automl_pheno.report.summary import write_summary
from automl_pheno.report.write import write_figures

__all__ = ["FIGURES", "RunFiles", "read_run", "write_figures", "write_report", "write_split_page", "write_summary"]
