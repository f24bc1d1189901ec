"""The command line: parse, call, print; one file a verb, no logic."""

from __future__ import annotations

from automl_pheno.cli.app import main

__all__ = ["main"]
