"""The ``cluster:`` section of a study: slots as jobs of a batch system."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self


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

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_jobs > self.max_jobs:
            msg = f"min_jobs must not exceed max_jobs, got {self.min_jobs} and {self.max_jobs}"
            raise ValueError(msg)
        return self
