"""optuna-dashboard on a run: the leaderboard as its note, files on its trials, and the report beside it."""

from automl_pheno.study.dashboard.app import make_app
from automl_pheno.study.dashboard.note import make_note, name_metric, write_note
from automl_pheno.study.dashboard.server import DEFAULT_PORT, HOST, address_of, listen, serve, serve_beside, warning_of

__all__ = [
    "DEFAULT_PORT",
    "HOST",
    "address_of",
    "listen",
    "make_app",
    "make_note",
    "name_metric",
    "serve",
    "serve_beside",
    "warning_of",
    "write_note",
]
