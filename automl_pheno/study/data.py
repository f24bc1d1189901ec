"""The data that a study names, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from automl_pheno.data import Dataset, read_dataset
from automl_pheno.data.options import READING_WORDS, Reading
from automl_pheno.errors import DataError


class Frozen(BaseModel):
    """A part of a study file: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _mirrored() -> Any:
    """Return a model with the fields of `Reading`, so that a study file has each of them."""
    hints = get_type_hints(Reading)
    made: dict[str, Any] = {}
    for item in fields(Reading):
        kind = item.metadata.get("plain", hints[item.name])
        convert = item.metadata.get("convert")
        default = item.default if convert is None else convert(item.default)
        kind = kind if convert is None else Annotated[kind, BeforeValidator(_worded(convert))]
        made[item.name] = (kind, Field(default=default, description=item.metadata["help"]))
    return create_model("Reading", __base__=Frozen, **made)


def _worded(convert: Callable[[object], object]) -> Callable[[object], object]:
    """Return `convert` with errors that pydantic collects."""

    def converted(value: object) -> object:
        try:
            return convert(value)
        except DataError as error:
            raise ValueError(str(error)) from None

    return converted


class DataConfig(_mirrored()):  # type: ignore[misc]
    """Where the data are, and how they are to be read: what `Reading` has."""

    file: Path = Field(description="Table, FASTA, intervals (BED), dosage table, VCF or PLINK; .gz is understood.")
    trait: str | None = Field(default=None, description="Which trait; needed only where there are several.")

    def reading(self) -> Reading:
        """Return how the files are to be read."""
        return Reading(**{name: getattr(self, name) for name in READING_WORDS})


def read_data(config: DataConfig) -> Dataset:
    """Return the data set of ``data:`` in a study file. Raises DataError."""
    return read_dataset(config.file, config.reading())
