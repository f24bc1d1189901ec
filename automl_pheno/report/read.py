"""The files of a run, as the report needs them. What a run has not written yet is None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.store import load_dataset
from automl_pheno.errors import StudyError
from automl_pheno.metrics import METRICS, Metric
from automl_pheno.study.parameters import PARAMETER_IMPORTANCE
from automl_pheno.study.records import TrialRecord, read_records
from automl_pheno.study.run_folder import (
    DEVELOPMENT,
    FINAL,
    IDENTITY,
    LEADERBOARD,
    PROVENANCE,
    SPLIT,
    SPLIT_CARD,
    TEST_PREDICTIONS,
    TRIALS,
)
from automl_pheno.study.verdict import comparison_warning, finalist_warnings, weakness_warning

EXPLAIN = "explain"
_MANIFEST = "manifest.json"
_IMPORTANCE = "importance"
_FOR_OTHERS = "modisco_"
"""Arrays under such names repeat others for another program and are not read."""
_IDS = ("id", "nearest_id")
_TEXT = {
    "id", "chromosome", "block", "lead", "motif", "motif_a", "motif_b", "filter", "group", "query", "target_id", "a",
    "b", "name_a", "name_b", "consensus", "reference", "base_a", "base_b", "strongest", "association_lead",
}  # fmt: skip
"""Columns that hold names, also where these look like numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExplanationFiles:
    """The folder ``explain/``; see ``explain.write_explanation``.

    Attributes
    ----------
    manifest
        ``manifest.json``.
    tables, arrays
        All ``*.csv`` and ``*.npz``, by name without the ending.
    """

    manifest: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]]

    @property
    def is_sequence(self) -> bool:
        """Whether positions of sequences were explained, not variants."""
        return str(self.manifest["input"]) == "sequence"

    @property
    def unit(self) -> str:
        """In which contributions are."""
        known = str(self.manifest.get("units", "phenotype"))
        return "phenotype units" if known == "phenotype" else f"{known}s"

    @property
    def importance(self) -> pd.DataFrame:
        """Importance of each position or variant."""
        return self.tables[_IMPORTANCE]

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table that has rows; None where there is none."""
        found = self.tables.get(name)
        return None if found is None or found.empty else found

    def facts(self, part: str) -> Mapping[str, Any]:
        """Return what a part of the explanation says of itself; empty where it was not made."""
        found = (self.manifest.get("parts") or {}).get(part) or {}
        return {} if "not_applicable" in found or "failed" in found else found

    def left_out(self) -> dict[str, str]:
        """Return why parts of the explanation are missing."""
        parts = self.manifest.get("parts") or {}
        said = {name: facts.get("not_applicable") or facts.get("failed") for name, facts in parts.items()}
        return {name: str(reason) for name, reason in said.items() if reason}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunFiles:
    """What a run folder holds.

    Attributes
    ----------
    path
        The folder.
    metric
        By which the leaderboard is ranked.
    leaderboard, records
        Never missing.
    final
        ``final.json``.
    predictions
        ``test_predictions.csv``: ``id, observed`` and one column a finalist.
    split, card
        ``split.csv`` and ``split_card.json``.
    development
        Trait of the development samples, index = ids.
    variants
        Ids in the order of the data; None for sequences.
    explanation
        ``explain/``.
    parameters
        ``parameter_importance.csv``.
    space
        The search space, as ``identity.json`` keeps it.
    starts
        One entry a start of the search, from ``provenance.json``.
    """

    path: Path
    metric: Metric
    leaderboard: pd.DataFrame
    records: tuple[TrialRecord, ...]
    final: Mapping[str, Any] | None
    predictions: pd.DataFrame | None
    split: pd.DataFrame | None
    card: Mapping[str, Any] | None
    development: pd.Series | None
    explanation: ExplanationFiles | None
    variants: tuple[str, ...] | None = None
    parameters: pd.DataFrame | None = None
    space: Mapping[str, Any] = field(default_factory=dict)
    starts: tuple[Mapping[str, Any], ...] = ()

    @property
    def trait(self) -> str:
        """Its name."""
        return str((self.final or self.card or {}).get("trait") or "the trait")

    @property
    def winner(self) -> str | None:
        """Name of the winner: the final one, else the first of the leaderboard; None if nothing is complete."""
        if self.final is not None:
            return str(self.final["winner"]["name"])
        complete = self.leaderboard[self.leaderboard["state"] == "complete"]
        return str(complete["name"].iloc[0]) if len(complete) else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be read with every contribution, made anew from the run's numbers."""
        if self.final is None:
            return self.warnings_of_its_own
        compared = comparison_warning(self.final, self.final["winner"])
        return tuple(filter(None, (compared, *self.warnings_of_its_own)))

    @property
    def warnings_of_its_own(self) -> tuple[str, ...]:
        """The same without that on the comparison of networks and baselines, with which a report begins.

        The explanation keeps the sentences of its day; one that repeats ``final.json`` is left out.
        """
        if self.explanation is None:
            return ()
        kept = tuple(str(warning) for warning in self.explanation.manifest.get("warnings") or ())
        if self.final is None:
            return kept
        weak = weakness_warning(self.final["winner"])
        repeated = (*finalist_warnings(self.final, self.final["winner"]), *self._stored_verdict)
        own = tuple(warning for warning in kept if not warning.startswith(repeated or ("\0",)))
        return (weak, *own) if weak else own

    @property
    def _stored_verdict(self) -> tuple[str, ...]:
        stored = str(((self.final or {}).get("comparison") or {}).get("sentence") or "")
        return (stored,) if stored else ()

    @property
    def networks(self) -> list[TrialRecord]:
        """Records of networks."""
        return [record for record in self.records if record.kind == "network"]

    @property
    def parameter_names(self) -> list[str]:
        """Parameter paths, in the order of the leaderboard."""
        known = {name for record in self.networks for name in record.params}
        return [str(name) for name in self.leaderboard.columns if name in known]

    def is_log(self, parameter: str) -> bool:
        """Tell whether the space draws this parameter on a logarithmic scale."""
        place: Any = self.space
        for key in parameter.split("."):
            if isinstance(place, list) and key.isdigit() and int(key) < len(place):
                place = place[int(key)]
            elif isinstance(place, dict) and key in place:
                place = place[key]
        return isinstance(place, dict) and place.get("log") is True

    def record(self, name: str) -> TrialRecord | None:
        """Return the record called `name`; None if there is none."""
        return next((record for record in self.records if record.name == name), None)

    def trained(self) -> TrialRecord | None:
        """Return the record whose learning curve to show: the winner's; where a baseline won, that of its rival."""
        record = self.record(self.winner) if self.winner else None
        if record is None or record.kind != "network":
            board = self.leaderboard
            names = board.loc[(board["state"] == "complete") & (board["kind"] == "network"), "name"].astype(str)
            rival = ((self.final or {}).get("comparison") or {}).get("network")
            record = self.record(str(rival or next(iter(names), "")))
        return record if record is not None and record.curve else None

    def tested(self) -> list[str]:
        """Return the winner and its rival of the other kind, as far as there are predictions for the test set."""
        if self.predictions is None or self.final is None:
            return []
        columns = set(self.predictions.columns)
        winner = self.final["winner"]
        comparison = self.final.get("comparison") or {}
        rival = comparison.get("baseline" if winner["kind"] == "network" else "network")
        return [str(name) for name in (winner["name"], rival) if name in columns]


def read_run(path: Path) -> RunFiles:
    """Return the files of the run at `path`.

    Raises
    ------
    StudyError
        There is no leaderboard, or a file is damaged.
    """
    board = path / LEADERBOARD
    if not board.is_file():
        msg = f"{path}: is not the folder of a run: it has no {LEADERBOARD}"
        raise StudyError(msg)
    try:
        return _read(path)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, StudyError):
            raise
        msg = f"{path}: a file of this run is damaged: {error}"
        raise StudyError(msg) from error


def _read(path: Path) -> RunFiles:
    leaderboard = pd.read_csv(path / LEADERBOARD)
    metric = next(name.removeprefix("val_") for name in leaderboard.columns if name.startswith("val_"))
    final, card = _json(path / FINAL), _json(path / SPLIT_CARD)
    trait = (final or card or {}).get("trait")
    development, variants = None, None
    if trait is not None and (path / DEVELOPMENT).is_file():
        dataset = load_dataset(path / DEVELOPMENT)
        development = pd.Series(dataset.y(str(trait)), index=pd.Index(dataset.ids))
        table = dataset.inputs.variants
        variants = None if table is None else tuple(table["id"].astype(str))
    return RunFiles(
        path=path,
        metric=METRICS[metric],
        leaderboard=leaderboard,
        records=tuple(read_records(path / TRIALS)),
        final=final,
        predictions=_table(path / TEST_PREDICTIONS),
        split=_table(path / SPLIT),
        card=card,
        development=development,
        variants=variants,
        explanation=_explanation(path / EXPLAIN),
        parameters=_table(path / PARAMETER_IMPORTANCE),
        space=(_json(path / IDENTITY) or {}).get("space") or {},
        starts=tuple((_json(path / PROVENANCE) or {}).get("starts", ())),
    )


def _explanation(folder: Path) -> ExplanationFiles | None:
    manifest = _json(folder / _MANIFEST)
    if manifest is None:
        return None
    found = ExplanationFiles(
        manifest=manifest,
        tables={path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))},
        arrays={path.stem: _arrays(path) for path in sorted(folder.glob("*.npz")) if _FOR_OTHERS not in path.stem},
    )
    found.importance  # noqa: B018 - raises where the folder is not whole
    return found


def read_table(path: Path) -> pd.DataFrame:
    """Return a table whose columns of names stay text and whose other columns are numbers or truth where all are."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in table.columns:
        if name not in _TEXT:
            table[name] = _typed(table[name])
    return table


def read_samples(path: Path) -> pd.DataFrame:
    """Return a table with a row a sample; ids are text, also ``NA``, ``None`` and ``007``."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in table.columns:
        if name not in _IDS:
            table[name] = _typed(table[name]) if (table[name] != "").any() else np.nan
    return table


def _typed(column: pd.Series) -> pd.Series:
    given = column[column != ""]
    if len(given) and given.isin(["True", "False"]).all():
        return column == "True"
    numbers = pd.to_numeric(column.where(column != "", "nan"), errors="coerce")
    known = numbers.notna() | column.str.lower().isin(["", "nan"])
    return numbers if bool(known.all()) and len(given) else column


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _table(path: Path) -> pd.DataFrame | None:
    return read_samples(path) if path.is_file() else None


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
