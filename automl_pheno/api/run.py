"""A run, and its winner from its folder."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from automl_pheno.api.best import Best
from automl_pheno.data.frame import Frame
from automl_pheno.errors import StudyError, known_names
from automl_pheno.keras_settings import DEFAULT_BACKEND
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.storage import read_header, read_variants
from automl_pheno.study.choice import choice_sentence
from automl_pheno.study.run_folder import BEST, FINAL, IDENTITY, LEADERBOARD, STUDY, TESTED_ELSEWHERE
from automl_pheno.study.verdict import comparison_sentence, scale_sentence

if TYPE_CHECKING:
    from automl_pheno.study.replay import Replay

EXPLANATION = "explain"
"""Folder of the explanation in the folder of a run."""


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a run.

    Attributes
    ----------
    path
        The folder.

    Raises
    ------
    StudyError
        It is not the folder of a run.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if not self.path.is_dir():
            beside = [p.name for p in self.path.parent.glob("*/")] if self.path.parent.is_dir() else []
            msg = f"{self.path}: no such run folder; {known_names(self.path.name, beside)}"
            raise StudyError(msg)
        if not (self.path / STUDY).is_file():
            msg = f"{self.path}: is not the folder of a run: it holds no {STUDY}"
            raise StudyError(msg)

    @property
    def is_finished(self) -> bool:
        """Whether the winner was tested; otherwise the same search again resumes the run."""
        return (self.path / FINAL).is_file()

    @property
    def tested_elsewhere(self) -> str:
        """Where the winner was tested, if another supervisor of a shared study did it; "" otherwise."""
        path = self.path / TESTED_ELSEWHERE
        if self.is_finished or not path.is_file():
            return ""
        said = json.loads(path.read_text(encoding="utf-8"))
        winner = said["result"]["winner"]["name"]
        return f"{winner} is the winner; {said['by']} tested it, the model is in {said['folder']}"

    @property
    def winner(self) -> str:
        """Which candidate won by validation, what is tied with it, and whether it is off in scale, in sentences."""
        final = self.final
        said = str(final.get("tie_note") or "")
        choice = final.get("choice") or {}
        if choice and choice["network"] == final["winner"]["name"] != choice["best"]:
            said = f"{choice_sentence(choice, str(final['metric']))} {said}"
        label = METRICS[str(final["metric"])].label
        over = " over all held-out samples at once, as folds are too small for scores of their own"
        value = f"{label} {final['winner']['validation']:.4g}{over if final.get('pooled') else ''}"
        said = said or f"{final['winner']['name']}."
        return " ".join([f"Winner by validation ({value}): {said}", scale_sentence(final["winner"])]).strip()

    @property
    def verdict(self) -> str:
        """Whether the best network beats the best baseline, in a sentence with the interval."""
        final = self.final
        comparison = final["comparison"]
        if comparison is not None:
            return comparison_sentence(comparison)
        return str(final["note"]) or "Networks and baselines were not compared: the run has only one of the two."

    @property
    def leaderboard(self) -> pd.DataFrame:
        """``leaderboard.csv``: networks and baselines, best first."""
        return pd.read_csv(self._file(LEADERBOARD))

    @property
    def final(self) -> dict[str, Any]:
        """``final.json``: the winner tested once, and how it compares with the best baseline."""
        final: dict[str, Any] = json.loads(self._file(FINAL).read_text(encoding="utf-8"))
        return final

    @property
    def best(self) -> Best:
        """The winner."""
        self._file(f"{BEST}/predictor.json")
        return load(self.path)

    def replay(self, trial: int | str, *, out: str | Path | None = None, tolerance: float | None = None) -> Replay:
        """Train a trial or a baseline again and say whether the same comes out; see `automl_pheno.api.replay`."""
        from automl_pheno.api.replay import replay

        return replay(self, trial, out=out, tolerance=tolerance)

    def _file(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            msg = f"{self.path}: has no {name} yet; the same search again resumes and finishes the run"
            raise StudyError(msg)
        return path


def load(run: str | Path | Run) -> Best:
    """Return the winner of a run.

    Parameters
    ----------
    run
        Folder of a run, or its ``best/`` folder, which can be copied elsewhere.

    Raises
    ------
    StudyError, PredictorError
        It is neither; or the run has no winner yet.
    """
    folder = run.path if isinstance(run, Run) else Path(run)
    if not (folder / "predictor.json").is_file():
        folder = Run(folder)._file(f"{BEST}/predictor.json").parent
    header = read_header(folder)
    return Best(
        path=folder,
        kind=header["kind"],
        input=header["input"],
        width=header["width"],
        trait=header["trait"],
        variants=read_variants(folder),
        frame=Frame.read(header.get("frame")),
        _backend=str(header.get("backend") or _backend_of_run(folder)),
    )


def _backend_of_run(folder: Path) -> str:
    """Return the backend of the run that a saved predictor lies in, for those that do not state their own."""
    places = (folder.resolve().parent, folder.resolve().parent.parent)
    file = next((place / IDENTITY for place in places if (place / IDENTITY).is_file()), None)
    with contextlib.suppress(OSError, ValueError):
        if file is not None:
            return str(json.loads(file.read_text(encoding="utf-8")).get("backend") or DEFAULT_BACKEND)
    return DEFAULT_BACKEND
