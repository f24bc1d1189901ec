"""``dashboard``: Optuna's dashboard on a run."""

from __future__ import annotations

from typing import Annotated

import typer

from automl_pheno.cli.options import RunFolder


def dashboard(
    run: RunFolder,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1 only.")] = 8080,
) -> None:
    """Show a run in the browser, also while it runs."""
    from automl_pheno.study.dashboard import serve

    print(f"http://127.0.0.1:{port}/ shows {run}; Ctrl-C ends it")
    serve(run, port=port)
