"""optuna-dashboard on a run, for this machine alone, with the leaderboard as the study's note."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_pheno.errors import StudyError
from automl_pheno.study.run_folder import FINAL, JOURNAL, LEADERBOARD

if TYPE_CHECKING:
    import optuna

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_SHOWN = 20
_COLUMNS = 13
_WHOLE = ("rank", "trial", "weights", "epochs")


def make_app(run: Path) -> Any:
    """Return the WSGI application of optuna-dashboard for a run.

    Raises
    ------
    StudyError
        The folder holds no journal.
    """
    journal = run / JOURNAL
    if not journal.is_file():
        msg = f"{run}: holds no {JOURNAL}, so there is no study to show"
        raise StudyError(msg)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import wsgi

    return wsgi(JournalStorage(JournalFileBackend(str(journal))))


def serve(run: Path, port: int = DEFAULT_PORT) -> None:
    """Serve the dashboard of a run on 127.0.0.1 until Ctrl-C; it has no password, so never on another address.

    Raises
    ------
    StudyError
        The folder holds no journal, or the port is taken.
    """
    app = make_app(run)
    try:
        server = _make_server(app, port)
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        msg = f"port {port} {reason}; choose another one with --port"
        raise StudyError(msg) from error
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _make_server(app: Any, port: int) -> Any:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Handler(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is Python's
            logging.getLogger(__name__).debug(format, *args)

    return make_server(HOST, port, app, server_class=Server, handler_class=Handler)


def name_metric(study: optuna.Study, metric: str) -> None:
    """Make the dashboard call the objective by the name of the metric."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks names of metrics experimental
        if study.metric_names != [metric]:
            study.set_metric_names([metric])


def write_note(study: optuna.Study, run: Path) -> None:
    """Make the head of the leaderboard, and the final comparison if there is one, the study's note."""
    import warnings

    from optuna_dashboard import save_note

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna-dashboard marks notes experimental
        save_note(study, make_note(run))


def make_note(run: Path) -> str:
    """Return the note as Markdown."""
    import json

    import pandas as pd

    parts = [f"# {run.name}", f"`{run}{os.sep}{LEADERBOARD}` has all columns."]
    if (run / FINAL).is_file():
        final = json.loads((run / FINAL).read_text())
        parts.append(f"Winner by validation: **{final['winner']['name']}**.")
        if final["comparison"]:
            parts.append(str(final["comparison"]["sentence"]))
    if (run / LEADERBOARD).is_file():
        table = pd.read_csv(run / LEADERBOARD).head(_SHOWN).iloc[:, :_COLUMNS]
        shown = {str(name): [_cell(value, whole=name in _WHOLE) for value in table[name]] for name in table.columns}
        rows = [list(shown), ["---"] * len(shown), *zip(*shown.values(), strict=True)]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join(parts) + "\n"


def _cell(value: Any, *, whole: bool) -> str:
    if isinstance(value, str):
        return value
    if value != value:  # missing
        return ""
    return f"{int(value):,}" if whole else f"{value:.3f}"
