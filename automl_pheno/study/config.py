"""What a user says about a study: the fields of a study YAML, checked, with every default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union

import yaml
from pydantic import BaseModel, Field, ValidationError, field_serializer, field_validator, model_validator
from typing_extensions import Self

from automl_pheno.curation import CurationConfig
from automl_pheno.errors import SpaceError, StudyError, UnknownNameError, known_names
from automl_pheno.metrics import METRICS
from automl_pheno.registry import Registry
from automl_pheno.space.document import Located, Problems, decode, parse_document
from automl_pheno.splits.config import SplitConfig
from automl_pheno.study.choice import DEFAULT_RULE, RULES
from automl_pheno.study.data import DataConfig, Frozen
from automl_pheno.study.engines import ALLOTS_EPOCHS, DEFAULT_ENGINE, DEFAULT_PRUNER, ENGINES, PRUNERS, engine_name
from automl_pheno.study.slots.config import ClusterConfig
from automl_pheno.study.storage.address import redact

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i)?)?B?", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+]*://")
_PATHS = ("file", "trait_table", "genome")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


FINALISTS = 3
"""Networks that are refitted and tested, beside all baselines, where the study does not say how many."""


class StudyConfig(Frozen):
    """A study. Paths in a study file are relative to that file."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this format.")
    name: str = Field(default="study", description="Of the study and of its folder below studies/.")
    space: Path = Field(description="Search space, a YAML file.")
    data: DataConfig | None = Field(default=None, description="Left out: a simulated set with planted motifs.")
    split: SplitConfig = Field(default_factory=SplitConfig, description="See the split's own fields.")
    curation: CurationConfig = Field(
        default_factory=CurationConfig, description="Of inputs and trait, learnt on training rows; see its own fields."
    )
    leakage: Literal["stop", "report"] = Field(
        default="stop", description="What a search does when the audit of its split finds a leak."
    )
    metric: str = Field(default="pearson_r", description="By which trials are compared.")
    baselines: tuple[str, ...] | None = Field(default=None, description="Left out: all that suit the data.")
    trials: int = Field(default=30, ge=0, le=1_000_000, description="Networks to finish, pruned and failed included.")
    time_limit: float | None = Field(default=None, gt=0.0, description="Of the search; 30m, 2h or seconds.")
    trial_timeout: float | None = Field(default=None, gt=0.0, description="Of one trial; 30m, 2h or seconds.")
    workers: Union[Literal["auto"], int] = Field(
        default="auto",
        description="Slots: auto is one a GPU, or else one a physical core; 0 trains in the same process.",
    )
    slots_per_gpu: int = Field(
        default=1, ge=1, le=64, description="Trials at a time on one GPU, each with its share of the GPU's memory."
    )
    scheduler: str | None = Field(default=None, description="Address of a running Dask scheduler, tcp://HOST:PORT.")
    cluster: ClusterConfig | None = Field(default=None, description="Jobs of a batch system as slots; see its fields.")
    storage: str | None = Field(
        default=None,
        description="URL of a database that several supervisors share, postgresql://…; left out: a journal file.",
    )
    engine: str = Field(default=DEFAULT_ENGINE, description="What proposes configurations.")
    pruner: str = Field(default=DEFAULT_PRUNER, description="What gives up hopeless trials.")
    finalists: Union[Literal["auto"], int] = Field(
        default="auto",
        description="What is refitted and tested: N is the N best networks and the N best baselines; auto is the "
        f"{FINALISTS} best networks and all baselines.",
    )
    choice: str = Field(
        default=DEFAULT_RULE,
        description="Which network stands for the search: one-standard-error takes the hand-made configuration unless "
        "the best is better in validation by more than one standard error of the difference; best takes the best.",
    )
    members: int = Field(default=3, ge=1, le=100, description="Trainings of each finalist; their mean predicts.")
    max_weights: int | None = Field(default=None, ge=1, description="Larger networks are infeasible.")
    max_memory: int | None = Field(
        default=None, ge=1, description="Networks whose training needs more are infeasible; 4GiB, 500MB or bytes."
    )
    backend: Literal["tensorflow", "jax"] = Field(default="tensorflow", description="Of Keras.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Of everything random in the search.")

    @model_validator(mode="before")
    @classmethod
    def _no_pruner_where_epochs_are_allotted(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("engine") in ALLOTS_EPOCHS and "pruner" not in fields:
            return {**fields, "pruner": "none"}
        return fields

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            msg = f"must be letters, digits, dots, dashes and underscores, got {name!r}"
            raise ValueError(msg)
        return name

    @field_validator("workers", mode="before")
    @classmethod
    def _plain_workers(cls, workers: object) -> object:
        if workers == "auto" or (isinstance(workers, int) and not isinstance(workers, bool) and 0 <= workers <= 1024):
            return workers
        msg = f"must be auto or a number from 0 to 1024, got {workers!r}"
        raise ValueError(msg)

    @field_validator("finalists", mode="before")
    @classmethod
    def _plain_finalists(cls, finalists: object) -> object:
        whole = isinstance(finalists, int) and not isinstance(finalists, bool)
        if finalists == "auto" or (whole and 1 <= finalists <= 100):  # type: ignore[operator]
            return finalists
        msg = f"must be auto or a number from 1 to 100, got {finalists!r}"
        raise ValueError(msg)

    @property
    def networks_tested(self) -> int:
        """How many of the best networks are refitted and tested."""
        return FINALISTS if self.finalists == "auto" else self.finalists

    @property
    def baselines_tested(self) -> int | None:
        """How many of the best baselines are refitted and tested; None: all."""
        return None if self.finalists == "auto" else self.finalists

    @field_validator("time_limit", "trial_timeout", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return parse_duration(value) if isinstance(value, str) else value

    @field_validator("max_memory", mode="before")
    @classmethod
    def _bytes(cls, value: object) -> object:
        return parse_bytes(value) if isinstance(value, str) else value

    @field_validator("storage")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        if url is not None and not _URL.match(url):
            msg = f"must be the URL of a database, postgresql://USER@HOST/NAME, got {redact(url)!r}"
            raise ValueError(msg)
        return url

    @field_serializer("storage")
    def _without_password(self, url: str | None) -> str | None:
        return None if url is None else redact(url)

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        return _check("metric", name, METRICS)

    @field_validator("pruner")
    @classmethod
    def _known_pruner(cls, name: str) -> str:
        return _check("pruner", name, PRUNERS)

    @field_validator("choice")
    @classmethod
    def _known_choice(cls, name: str) -> str:
        return _check("choice", name, RULES)

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, name: str) -> str:
        return _check("engine", engine_name(name), ENGINES)

    @field_validator("baselines")
    @classmethod
    def _known_baselines(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        from automl_pheno.study.baselines import BASELINES

        for name in names or ():
            _check("baseline", name, BASELINES)
        if names is not None and len(set(names)) < len(names):
            msg = f"each baseline stands once, got {', '.join(names)}"
            raise ValueError(msg)
        return names

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pruner == "wilcoxon" and self.split.method != "kfold" and self.split.fold_column is None:
            msg = "pruner wilcoxon pairs the folds of two trials, so it needs a split with K folds"
            raise ValueError(msg)
        if self.scheduler is not None and self.cluster is not None:
            msg = "scheduler: and cluster: name two places for the slots; give one"
            raise ValueError(msg)
        if self.engine in ALLOTS_EPOCHS and self.pruner != "none":
            msg = (
                f"engine {self.engine} shares out the epochs itself, so pruner {self.pruner} is of no use; leave it out"
            )
            raise ValueError(msg)
        if self.storage is not None and self.engine.startswith("keras-tuner/"):
            msg = f"engine {self.engine} keeps its state in one process and cannot share a storage; leave it out"
            raise ValueError(msg)
        if self.trials == 0 and self.baselines == ():
            msg = "trials: 0 and no baselines leave nothing to do"
            raise ValueError(msg)
        return self

    def to_yaml(self) -> str:
        """Return the study as YAML with every default written out."""
        return yaml.safe_dump(self.model_dump(by_alias=True, mode="json"), sort_keys=False, allow_unicode=True)


def _check(kind: str, name: str, known: Registry[Any]) -> str:
    if name not in known:
        raise ValueError(str(UnknownNameError(kind, name, known)))
    return name


def parse_duration(text: str) -> float:
    """Return the seconds of ``90``, ``30m``, ``2h`` or ``1h 30m``.

    Raises
    ------
    ValueError
        It is not a duration.
    """
    compact = text.strip().lower()
    try:
        return float(compact)
    except ValueError:
        pass
    found = _DURATION.findall(compact)
    if not found or _DURATION.sub("", compact).strip():
        msg = f"a duration is a number of seconds or like 90s, 30m, 2h or 1h30m, got {text!r}"
        raise ValueError(msg)
    return sum(float(number) * _UNITS[unit] for number, unit in found)


def parse_bytes(text: str) -> int:
    """Return the bytes of ``4GiB``, ``500MB`` or ``1000``.

    Raises
    ------
    ValueError
        It is not a size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        msg = f"a size is a number of bytes or like 500MB, 4GB or 4GiB, got {text!r}"
        raise ValueError(msg)
    number, prefix, binary = found.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** (" KMGT".index(prefix.upper()) if prefix else 0))


def is_study(path: str | Path) -> bool:
    """Return whether the YAML file looks like a study, not like a space: it has a key ``space`` or ``data``."""
    try:
        located = _read(Path(path))
    except StudyError:
        return False
    keys = located.value if isinstance(located.value, dict) else {}
    return "trunk" not in keys and bool({"space", "data", "trials", "split"} & set(keys))


def load_study(path: str | Path, overrides: Mapping[str, Any] | None = None) -> StudyConfig:
    """Return the study in a YAML file.

    Parameters
    ----------
    path
        The file; its name is the study's where it states none.
    overrides
        Top-level fields that replace those of the file, from the command line; paths in it are left as they are.
        ``data`` is merged into that of the file.

    Raises
    ------
    StudyError
        The file cannot be read or breaks a rule; one line for each problem, with file and line.
    """
    file = Path(path)
    located = _read(file)
    if not isinstance(located.value, dict):
        msg = f"{file}:{located.line}: a study must be a mapping (key: value)"
        raise StudyError(msg)
    plain = located.plain()
    fields: dict[str, Any] = {**plain} if isinstance(plain, dict) else {}
    fields.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "study")
    _make_relative_to(fields, file.parent)
    for key, value in (overrides or {}).items():
        merge = key == "data" and isinstance(value, Mapping) and isinstance(fields.get(key), dict)
        fields[key] = {**fields[key], **value} if merge else value
    try:
        return StudyConfig.model_validate(fields)
    except ValidationError as error:
        raise StudyError("\n".join(_explain(error, str(file), located))) from None


def make_study(**fields: Any) -> StudyConfig:
    """Return a study from its fields, as `StudyConfig` does, with errors in the words of this package.

    Raises
    ------
    StudyError
        A field breaks a rule; one line for each problem.
    """
    try:
        return StudyConfig.model_validate(fields)
    except ValidationError as error:
        raise StudyError("\n".join(_explain(error, "", None))) from None


def _read(file: Path) -> Located:
    try:
        return parse_document(decode(file.read_bytes(), str(file)), Problems(str(file)))
    except SpaceError as error:
        raise StudyError(str(error)) from None
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}"
        raise StudyError(msg) from None


def _make_relative_to(fields: dict[str, Any], folder: Path) -> None:
    if isinstance(fields.get("space"), str):
        fields["space"] = folder / fields["space"]
    if isinstance(data := fields.get("data"), dict):
        for key in _PATHS:
            if isinstance(data.get(key), str):
                data[key] = folder / data[key]


def _explain(error: ValidationError, source: str, located: Located | None) -> list[str]:
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"] if part not in ("int", "literal['auto']")]
        where = f"{source}:{_line_of(located, path)}: " if located is not None else ""
        label = f"{'.'.join(path)}: " if path else ""
        lines.append(f"{where}{label}{_message(problem, path)}")
    return list(dict.fromkeys(lines))


def _message(problem: Mapping[str, Any], path: list[str]) -> str:
    kind, got = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"unknown key {path[-1]!r}; {known_names(path[-1], _keys_at(path[:-1]))}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    text = str(problem["msg"])
    return f"{text[:1].lower()}{text[1:]}, got {got!r}"


def _keys_at(path: list[str]) -> list[str]:
    models: dict[tuple[str, ...], type[BaseModel]] = {
        ("data",): DataConfig,
        ("split",): SplitConfig,
        ("curation",): CurationConfig,
        ("cluster",): ClusterConfig,
    }
    model = models.get(tuple(path), StudyConfig)
    return [item.alias or name for name, item in model.model_fields.items()]


def _line_of(located: Located, path: list[str]) -> int:
    """Return the line of the value at `path`, or of the nearest one above it."""
    line = located.line
    for part in path:
        if isinstance(located.value, dict) and part in located.value:
            located = located.value[part]
        elif isinstance(located.value, list) and part.isdigit() and int(part) < len(located.value):
            located = located.value[int(part)]
        else:
            break
        line = located.line
    return line
