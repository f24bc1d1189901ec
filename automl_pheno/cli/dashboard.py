"""``dashboard``: Optuna's dashboard on a run."""

from __future__ import annotations

from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder


def dashboard(
    run: RunFolder,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8080,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; there is no password, so think before you change it.")
    ] = "127.0.0.1",
    editable: Annotated[
        bool,
        typer.Option("--editable/--read-only", help="Let notes on trials be written while no search runs."),
    ] = False,
) -> None:
    """Show a run in the browser, also while it runs."""
    from automl_pheno.api.dashboard import serve_dashboard

    serve_dashboard(run, host=host, port=port, editable=editable, say=lambda text: print(text, flush=True))
