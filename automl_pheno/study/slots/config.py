"""The ``cluster:`` section of a study: slots as jobs of a batch system."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

_WALLTIME = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d)(?::([0-5]\d))?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i)?B?", re.IGNORECASE)
LEAST_WALLTIME = 60
"""Seconds; half of it goes to the start of the slot and to its end in good order."""


class ClusterConfig(BaseModel):
    """Jobs of a batch system, each with one slot; needs the extra ``cluster`` (dask-jobqueue)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["slurm", "pbs", "lsf", "sge"] = Field(description="Of the batch system.")
    min_jobs: int = Field(default=1, ge=0, le=10_000, description="Jobs that are kept while the search runs.")
    max_jobs: int = Field(default=1, ge=1, le=10_000, description="Jobs at most; as many as there are trials to run.")
    cores: int = Field(default=1, ge=1, description="Of one job.")
    memory: str = Field(default="8GB", description="Of one job, like 8GB.")
    walltime: str = Field(default="04:00:00", description="Of one job, HH:MM:SS; a slot ends in good order before it.")
    gpus: int = Field(default=0, ge=0, le=64, description="Of one job; asked for in the batch system's own words.")
    queue: str | None = Field(default=None, description="Queue or partition.")
    account: str | None = Field(default=None, description="Account or project that pays.")
    interface: str | None = Field(default=None, description="Network interface of supervisor and jobs, like ib0.")
    directives: tuple[str, ...] = Field(default=(), description="More lines of the job script, like --exclusive.")
    prologue: tuple[str, ...] = Field(default=(), description="Shell lines before the slot starts, like module load.")
    python: str | None = Field(default=None, description="Interpreter of the jobs; left out: the one of the search.")
    options: dict[str, Any] = Field(default_factory=dict, description="Handed to the dask-jobqueue class as they are.")

    @field_validator("walltime", mode="before")
    @classmethod
    def _clock(cls, value: object) -> object:
        # YAML reads 04:00:00 without quotation marks as a number to the base of 60: seconds.
        if isinstance(value, int) and not isinstance(value, bool):
            value = f"{value // 3600:02d}:{value // 60 % 60:02d}:{value % 60:02d}"
        if isinstance(value, str):
            if not _WALLTIME.fullmatch(value.strip()):
                msg = f"must be HH:MM:SS, HH:MM or D-HH:MM:SS, got {value!r}"
                raise ValueError(msg)
            if _seconds(value) < LEAST_WALLTIME:
                msg = f"must be at least a minute, got {value!r}"
                raise ValueError(msg)
        return value

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value.strip()):
            msg = f"must be like 8GB or 500MiB, got {value!r}"
            raise ValueError(msg)
        return value

    @property
    def seconds(self) -> int:
        """Wall time of one job, s."""
        return _seconds(self.walltime)

    @property
    def bytes(self) -> int:
        """Memory of one job."""
        found = _MEMORY.fullmatch(self.memory.strip())
        number, prefix, binary = found.groups() if found is not None else ("0", "K", None)
        return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper()))

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_jobs > self.max_jobs:
            msg = f"min_jobs must not exceed max_jobs, got {self.min_jobs} and {self.max_jobs}"
            raise ValueError(msg)
        return self


def _seconds(walltime: str) -> int:
    found = _WALLTIME.fullmatch(walltime.strip())
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found is not None else (0, 0, 0, 0)
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
