"""What hangs on a trial in the dashboard: pictures and files made when they are looked at, never stored.

Optuna keeps what it knows of an artifact as a system attribute of a trial, which is closed once the trial has ended;
and what is written while a search runs slows it down and can be left behind. So nothing is written: the view of the
storage (`view.RunView`) names the artifacts, and this store makes each one from the files of the run on request.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

from automl_pheno.registry import Registry
from automl_pheno.study.dashboard.index import RecordIndex
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import FINAL, TEST_PREDICTIONS

PREFIX = "artifacts:"
"""Of system attributes: Optuna's own, which optuna-dashboard reads."""

_OF_STUDY = 0xFFFFFFFF
_KEPT = 256

Where = Literal["any", "curve", "tested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a trial.

    Attributes
    ----------
    filename, mimetype
        As the browser is told.
    where
        Which trials have it: any, those with a learning curve, or those whose predictions of the test set are kept.
    make
        ``make(run folder, record) -> content``.
    """

    filename: str
    mimetype: str
    where: Where
    make: Callable[[Path, TrialRecord], bytes]


ARTIFACTS: Registry[Artifact] = Registry("artifact")
"""What a trial may have, by the name of the file."""


class RunArtifacts:
    """The artifacts of a run: `of_trial` and `of_study` name them, and Optuna's artifact store reads them.

    Parameters
    ----------
    run
        Folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self.index = RecordIndex(run)
        self._tested: tuple[tuple[int, int], tuple[Mapping[str, Any], ...]] = ((0, 0), ())
        self._content = lru_cache(maxsize=_KEPT)(self._make)

    def of_trial(self, number: int) -> dict[str, str]:
        """Return the system attributes that name the artifacts of a trial."""
        entry = self.index.trials.get(number)
        if entry is None:
            return {}
        tested = any(one["trial"] == number for one in self._finalists())
        kinds = {"any": True, "curve": entry.has_curve, "tested": tested}
        return dict(
            _attribute(number, kind, artifact.filename, artifact.mimetype)
            for kind, artifact in enumerate(ARTIFACTS.values())
            if kinds[artifact.where]
        )

    def of_study(self) -> dict[str, str]:
        """Return the system attributes that name what the baselines have, which are no trials of the study."""
        return dict(
            _attribute(_OF_STUDY, number << 8 | kind, f"{one['name']}_{artifact.filename}", artifact.mimetype)
            for number, one in enumerate(self._finalists())
            for kind, artifact in enumerate(ARTIFACTS.values())
            if one["kind"] == "baseline" and artifact.where == "tested"
        )

    # -- Optuna's artifact store -----------------------------------------------------------------------------------

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return a stream with the content; see ``optuna.artifacts``."""
        from optuna.artifacts.exceptions import ArtifactNotFound

        content = self._content(artifact_id, self._version())
        if content is None:
            msg = f"no artifact {artifact_id}"
            raise ArtifactNotFound(msg)
        return io.BytesIO(content)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:  # noqa: ARG002 - the signature is Optuna's
        """Refuse: what a trial has is made of the files of the run."""
        msg = "artifacts are made from the files of the run; none can be added"
        raise PermissionError(msg)

    def remove(self, artifact_id: str) -> None:
        """Do nothing: there is nothing that could stay behind."""

    # --------------------------------------------------------------------------------------------------------------

    def _make(self, artifact_id: str, version: object) -> bytes | None:  # noqa: ARG002 - part of the key of the cache
        first, _, second = artifact_id.partition("-")
        try:
            number, kind = int(first, 16), int(second, 16)
        except ValueError:
            return None
        artifacts = list(ARTIFACTS.values())
        if number == _OF_STUDY:
            finalists = self._finalists()
            which, kind = kind >> 8, kind & 0xFF
            record = self.index.baseline(str(finalists[which]["name"])) if which < len(finalists) else None
        else:
            record = self.index.record(number)
        return artifacts[kind].make(self._run, record) if record is not None and kind < len(artifacts) else None

    def _version(self) -> object:
        """Return what changes when other artifacts can be made: a run is tested once, a record never changes."""
        return (self._run / FINAL).is_file()

    def _finalists(self) -> tuple[Mapping[str, Any], ...]:
        """Return the finalists with predictions of the test set, as ``final.json`` has them."""
        try:
            status = (self._run / FINAL).stat()
            mark = (status.st_mtime_ns, status.st_size)
            if mark != self._tested[0]:
                final = json.loads((self._run / FINAL).read_text())
                tested = (self._run / TEST_PREDICTIONS).is_file()
                self._tested = mark, tuple(one for one in final["finalists"] if tested and one.get("test"))
        except (OSError, ValueError, KeyError):
            return ()
        return self._tested[1]


def _attribute(number: int, kind: int, filename: str, mimetype: str) -> tuple[str, str]:
    name = f"{number:08x}-{kind:04x}"
    meta = {"artifact_id": name, "filename": filename, "mimetype": mimetype, "encoding": None}
    return PREFIX + name, json.dumps(meta)
