"""The web application of a run: optuna-dashboard with what the run's files add, and the files worth reading."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from automl_pheno.errors import StudyError
from automl_pheno.study.dashboard.guard import Environ, Guard, StartResponse, Wsgi
from automl_pheno.study.run_folder import FINAL, JOURNAL, LEADERBOARD, STUDY
from automl_pheno.study.storage.address import redact

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from automl_pheno.study.dashboard.view import RunView

# The pages are whole in themselves: nothing of theirs comes from, or goes to, another place.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: 'self'"
_FILES = {
    "/report.html": ("report.html", "text/html; charset=utf-8"),
    "/split_card.html": ("split_card.html", "text/html; charset=utf-8"),
    "/leaderboard.csv": (LEADERBOARD, "text/plain; charset=utf-8"),
    "/study.yaml": (STUDY, "text/plain; charset=utf-8"),
    "/provenance.json": ("provenance.json", "application/json"),
}
"""Everything that is served from the folder: names that are fixed here, so that no path can lead out of it."""

_MAY_NAME_DATABASES = ("text/plain; charset=utf-8", "application/json")

_ABOUT = {
    "/report.html": ("Report", "what was found, with every figure"),
    "/split_card.html": ("Split card", "how training and test samples were kept apart"),
    "/leaderboard.csv": ("leaderboard.csv", "all networks and baselines with all parameters"),
    "/study.yaml": ("study.yaml", "what was asked for, every default written out"),
    "/provenance.json": ("provenance.json", "versions, hashes, seeds and hardware of each start"),
}

STORAGE = "storage.json"  # as `storage.opening` writes it, which needs Optuna to be imported

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>{refresh}
<style>:root {{ color-scheme: light; }} body {{ font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial,
sans-serif; color: #222; background: #fff; max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }}
h1 {{ font-size: 1.6rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }} p {{ margin: .5rem 0; }}
.soft {{ color: #555; overflow-wrap: anywhere; }} ul {{ padding-left: 1.2rem; }} li {{ margin: .45rem 0; }}
a {{ color: #005a8c; }} a.first {{ display: inline-block; background: #0072b2; color: #fff; padding: .5rem 1rem;
border-radius: .3rem; text-decoration: none; margin: .6rem .5rem .6rem 0; }}</style></head>
<body>{body}</body></html>
"""
_IMPORTANCES = re.compile(r"/api/studies/(\d+)/param_importances")
_PATIENCE = 5.0
"""Seconds for which a database that does not answer is tried again."""
_REFRESH = '<meta http-equiv="refresh" content="3">'


def make_app(run: Path, *, host: str = "127.0.0.1", editable: bool = False, waiting: bool = False) -> Wsgi:
    """Return the WSGI application of a run.

    Parameters
    ----------
    run
        Folder of the run.
    host
        Address that the server is bound to; see `Guard`.
    editable
        Whether notes on trials may be written while no search runs; otherwise it only shows.
    waiting
        The search is about to start: say so until there is a study.

    Raises
    ------
    StudyError
        The folder holds no journal, or the database does not answer.
    """
    pages = _Pages(run)
    if not waiting:
        pages.study_app()
    return Guard(pages, run, host=host, editable=editable)


class _Pages:
    def __init__(self, run: Path) -> None:
        self._run = run
        self._app: Wsgi | None = None
        self._view: RunView | None = None
        self._mark: tuple[int, int] = (0, 0)
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = "/" + str(environ.get("PATH_INFO", "")).strip("/")
        if path == "/report":
            path = "/report.html"
        if path in _FILES:
            return self._file(path, start_response)
        try:
            app = self.study_app()
        except StudyError as error:
            return self._not_yet(path, str(error), start_response)
        if path == "/":
            return _page(start_response, "200 OK", self._run.name, self._overview())
        if found := _IMPORTANCES.fullmatch(path):
            return self._importances(int(found[1]), start_response)
        return app(environ, start_response)

    def study_app(self) -> Wsgi:
        """Return optuna-dashboard's application, made anew where the journal is another file than before."""
        with self._lock:
            mark = self._read_mark()
            # Optuna goes on reading where it was: in a shorter file, or another one, that is the wrong place.
            if self._app is None or mark[0] != self._mark[0] or mark[1] < self._mark[1]:
                self._app, self._view = _make_study_app(self._run)
            self._mark = mark
            return self._app

    def _read_mark(self) -> tuple[int, int]:
        try:
            status = (self._run / JOURNAL).stat()
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_size)

    def _file(self, path: str, start_response: StartResponse) -> Iterable[bytes]:
        name, kind = _FILES[path]
        try:
            body = (self._run / name).read_bytes()
            if kind in _MAY_NAME_DATABASES:
                body = redact(body.decode(errors="replace")).encode()
        except OSError:
            what = _ABOUT[path][1]
            said = f'<h1>Not there yet</h1><p>{escape(name)}: {escape(what)}.</p><p><a href="/">Back to the run</a></p>'
            return _page(start_response, "404 Not Found", name, said, refresh=True)
        start_response("200 OK", _headers(kind, body))
        return [body]

    def _importances(self, study_id: int, start_response: StartResponse) -> Iterable[bytes]:
        said: dict[str, Any]
        try:
            found = [self._view.importances(study_id)] if self._view is not None else []
            status, said = "200 OK", {"param_importances": found}
        except KeyError:
            status, said = "404 Not Found", {"reason": f"study_id={study_id} is not found"}
        body = json.dumps(said).encode()
        start_response(status, _headers("application/json", body))
        return [body]

    def _overview(self) -> str:
        finished = (self._run / FINAL).is_file()
        links = []
        for path, (title, about) in _ABOUT.items():
            there = (self._run / _FILES[path][0]).is_file()
            shown = f'<a href="{path}">{escape(title)}</a>' if there else escape(title)
            links.append(f"<li>{shown}: {escape(about)}{'' if there else ' (not there yet)'}</li>")
        state = (
            "The search is finished and its winner was tested."
            if finished
            else "The search has not finished: it runs, or the same command resumes it."
        )
        report = '<a class="first" href="/report.html">Report</a>' if (self._run / "report.html").is_file() else ""
        return (
            f'<h1>{escape(self._run.name)}</h1><p class="soft">{escape(str(self._run))}</p><p>{state}</p>'
            f'<p><a class="first" href="/dashboard/studies/{self._study_id()}">Trials</a>{report}</p>'
            f"<ul>{''.join(links)}</ul>"
        )

    def _study_id(self) -> str:
        studies = self._view.get_all_studies() if self._view is not None else []
        return str(studies[0]._study_id) if studies else ""

    def _not_yet(self, path: str, reason: str, start_response: StartResponse) -> Iterable[bytes]:
        if path.startswith("/api"):
            body = json.dumps({"reason": reason}).encode()
            start_response("503 Service Unavailable", _headers("application/json", body))
            return [body]
        said = "<h1>The search is starting</h1><p>Data are read and split; this page looks again every few seconds.</p>"
        said += f'<p class="soft">{escape(reason)}</p>'
        return _page(start_response, "503 Service Unavailable", self._run.name, said, refresh=True)


def _make_study_app(run: Path) -> tuple[Wsgi, RunView]:
    from optuna_dashboard import wsgi

    from automl_pheno.study.dashboard.artifacts import RunArtifacts
    from automl_pheno.study.dashboard.view import RunView

    name, url = _study_of(run)
    storage = _open_journal(run) if url is None else _open_database(url)
    artifacts = RunArtifacts(run)
    view = RunView(storage, run, artifacts, name)
    return wsgi(view, artifact_store=artifacts), view


def _study_of(run: Path) -> tuple[str | None, str | None]:
    """Return the name of the run's study and the URL of its database, as far as the run's files say."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        place = json.loads((run / STORAGE).read_text(encoding="utf-8"))
        return place["study"], place["url"]
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        study = yaml.safe_load((run / STUDY).read_text(encoding="utf-8"))
        return (study.get("name"), study.get("storage")) if isinstance(study, dict) else (None, None)
    return None, None


def _open_journal(run: Path) -> BaseStorage:
    journal = run / JOURNAL
    if not journal.is_file():
        msg = f"{run}: holds no {JOURNAL}, so there is no study to show"
        raise StudyError(msg)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return JournalStorage(JournalFileBackend(str(journal)))
    except (ValueError, KeyError) as error:
        msg = f"{journal}: the journal is damaged ({error})"
        raise StudyError(msg) from error


def _open_database(url: str) -> BaseStorage:
    from automl_pheno.study.storage.database import open_database

    return open_database(url, patience=_PATIENCE)


def _page(start_response: StartResponse, status: str, title: str, body: str, *, refresh: bool = False) -> list[bytes]:
    text = _PAGE.format(title=escape(title), body=body, refresh=_REFRESH if refresh else "").encode()
    start_response(status, _headers("text/html; charset=utf-8", text))
    return [text]


def _headers(kind: str, body: bytes) -> list[tuple[str, str]]:
    return [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Content-Security-Policy", _POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-cache"),
    ]
