"""The files of a run, as the report needs them. What a run has not written yet is None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.store import load_dataset
from automl_pheno.errors import StudyError
from automl_pheno.metrics import METRICS, Metric
from automl_pheno.study.records import TrialRecord, read_records
from automl_pheno.study.run_folder import (
    DEVELOPMENT,
    FINAL,
    LEADERBOARD,
    SPLIT,
    SPLIT_CARD,
    TEST_PREDICTIONS,
    TRIALS,
)

EXPLAIN = "explain"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExplanationFiles:
    """The folder ``explain/``; see ``explain.write_explanation``."""

    manifest: Mapping[str, Any]
    importance: pd.DataFrame
    motifs: pd.DataFrame | None
    arrays: Mapping[str, npt.NDArray[Any]]
    motif_arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def is_sequence(self) -> bool:
        """Whether positions of sequences were explained, not variants."""
        return str(self.manifest["input"]) == "sequence"


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
    explanation
        ``explain/``.
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

    @property
    def winner(self) -> str | None:
        """Name of the winner: the final one, else the first of the leaderboard; None if nothing is complete."""
        if self.final is not None:
            return str(self.final["winner"]["name"])
        complete = self.leaderboard[self.leaderboard["state"] == "complete"]
        return str(complete["name"].iloc[0]) if len(complete) else None

    def record(self, name: str) -> TrialRecord | None:
        """Return the record called `name`; None if there is none."""
        return next((record for record in self.records if record.name == name), None)


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
    development = None
    if trait is not None and (path / DEVELOPMENT).is_file():
        dataset = load_dataset(path / DEVELOPMENT)
        development = pd.Series(dataset.y(str(trait)), index=pd.Index(dataset.ids))
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
        explanation=_explanation(path / EXPLAIN),
    )


def _explanation(folder: Path) -> ExplanationFiles | None:
    manifest = _json(folder / "manifest.json")
    if manifest is None:
        return None
    names = ["A", "C", "G", "T"] if manifest["input"] == "sequence" else []
    importance = pd.read_csv(folder / "importance.csv", dtype={"chromosome": str, "id": str}, keep_default_na=False)
    for name in ["mean_abs", "mean_signed", *names]:
        importance[name] = pd.to_numeric(importance[name], errors="coerce")
    return ExplanationFiles(
        manifest=manifest,
        importance=importance,
        motifs=_table(folder / "motifs.csv"),
        arrays=_arrays(folder / "attributions.npz"),
        motif_arrays=_arrays(folder / "motifs.npz"),
    )


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _table(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path, converters={"id": str}) if path.is_file() else None


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
