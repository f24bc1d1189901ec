"""What must be said beside an explanation of a finalist of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_pheno.study.run_folder import BEST, FINAL, FINALISTS
from automl_pheno.study.verdict import finalist_warnings


def warnings_of(folder: Path) -> tuple[str, ...]:
    """Return the warnings for the predictor saved in `folder`, ``best/`` or ``finalists/NAME/`` of a run.

    A network that does not beat the best baseline, and a predictor that is weak on the test set, must be read with
    that in mind. Empty where nothing is known, as for a copy without its run.
    """
    place = folder.resolve()
    run = place.parent.parent if place.parent.name == FINALISTS else place.parent
    file = run / FINAL
    if not file.is_file():
        return ()
    final: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    relative = f"{FINALISTS}/{place.name}"
    entry = final["winner"] if place.name == BEST else _finalist(final, relative)
    return () if entry is None else finalist_warnings(final, entry)


def _finalist(final: Mapping[str, Any], folder: str) -> Mapping[str, Any] | None:
    return next((entry for entry in final["finalists"] if entry.get("folder") == folder), None)
