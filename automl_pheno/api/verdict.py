"""What must be said beside an explanation of a finalist of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_pheno.study.final import WEAK
from automl_pheno.study.run_folder import BEST, FINAL, FINALISTS
from automl_pheno.study.verdict import comparison_sentence, verdict_of


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


def finalist_warnings(final: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the warnings for one finalist of ``final.json``."""
    said = []
    comparison = final.get("comparison")
    if entry["kind"] == "network" and comparison is not None and verdict_of(comparison) != "better":
        said.append(
            f"{comparison_sentence(comparison)} What a network uses that does not beat the baseline may not be what "
            "matters."
        )
    r = (entry.get("test") or {}).get("pearson_r")
    if r is not None and r < WEAK:
        said.append(f"{entry['name']} predicts weakly (test r = {r:.3f}): what it uses may be chance.")
    return tuple(said)


def _finalist(final: Mapping[str, Any], folder: str) -> Mapping[str, Any] | None:
    return next((entry for entry in final["finalists"] if entry.get("folder") == folder), None)
