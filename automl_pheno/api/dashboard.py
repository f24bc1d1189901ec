"""The dashboard of a run: until Ctrl-C, or beside a search in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from automl_pheno.errors import StudyError

_CHILD = "from automl_pheno.api.dashboard import serve_child; serve_child()"
_PATIENCE = 5.0
"""Seconds that the child has to end once it was told to."""


def serve_dashboard(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    editable: bool = False,
    say: Callable[[str], None] | None = None,
) -> None:
    """Show a run in the browser until Ctrl-C, also while its search runs.

    Parameters
    ----------
    run
        Folder of the run.
    host
        Address to listen on. There is no password: leave it at this machine, see ``docs/howto/dashboard.md``.
    port
        0 takes a free one.
    editable
        Whether notes on trials may be written; otherwise, and while a search runs, it only shows.
    say
        Hears the address, and a warning where others reach it.

    Raises
    ------
    StudyError
        There is no study to show, the port is taken, or the address is none of this machine.
    """
    import automl_pheno.report.trial_files  # noqa: F401 - registers what a trial has
    from automl_pheno.study.dashboard import address_of, listen, make_app, serve, warning_of

    folder, hear = Path(run), say if say is not None else lambda _: None
    make_app(folder, host=host)  # what cannot be shown is said before the address
    with listen(host, port) as listening:
        if warning := warning_of(host, editable=editable):
            hear(f"warning: {warning}")
        how = "notes on trials can be written" if editable else "read-only"
        hear(f"{address_of(listening)} shows {folder} ({how}); Ctrl-C ends it")
        serve(folder, listening, host=host, editable=editable)


@contextlib.contextmanager
def dashboard_beside(run: Path, port: int, say: Callable[[str], None]) -> Iterator[None]:
    """Serve the dashboard of a search for the time of the block, on this machine alone and read-only.

    It is a process of its own, so that looking at many thousand trials does not hold up the search, and it ends with
    this one whatever happens: its standard input ends then.

    Raises
    ------
    StudyError
        The port is taken.
    """
    from automl_pheno.study.dashboard import HOST, address_of, listen

    if sys.platform == "win32":
        msg = "a dashboard beside a search needs Linux or macOS; run automl-pheno dashboard in another terminal"
        raise StudyError(msg)
    with listen(HOST, port) as listening:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(run.resolve()), str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(listening.fileno(),),
            # Ctrl-C in the terminal is for the search, which then ends this process.
            start_new_session=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"},
        )
        address = address_of(listening)
    say(f"dashboard: {address} (read-only; ends with the search)")
    try:
        yield
    finally:
        if child.poll() is not None:
            say(f"the dashboard ended early (exit code {child.returncode}); see it with: automl-pheno dashboard {run}")
        if child.stdin is not None:
            child.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE)
        if child.poll() is None:
            child.kill()
            child.wait()


def serve_child() -> None:
    """Serve beside a search: the process that `dashboard_beside` starts with folder and socket as arguments."""
    import automl_pheno.report.trial_files  # noqa: F401 - registers what a trial has
    from automl_pheno.study.dashboard import serve_beside

    serve_beside(Path(sys.argv[1]), int(sys.argv[2]))
