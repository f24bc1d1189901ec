"""What the user says about a file that is read: one value, from the command line, study file or call to the readers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from automl_pheno.errors import DataError, UnknownNameError

USUAL_MISSING = ("", "NA", "N/A", "n/a", "na", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "none", ".")
"""Cells that mean "no value" in every table."""

HIGHEST_PLOIDY = 12
"""More alleles at one place no crop has."""
_A_VALUE = "value:"
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Missing(Collection[str]):
    """Cells that mean "no value": the usual ones and those the user names; ``cell in missing``.

    A number stands for itself however it is written: ``-9`` for ``-9.0``, too.

    Attributes
    ----------
    words
        What the user says: a cell that is missing (``-9``), or ``value:-9`` for one that is a value.
    """

    words: tuple[str, ...] = ()
    _cells: frozenset[str] = field(init=False, repr=False, compare=False)
    _numbers: frozenset[float] = field(init=False, repr=False, compare=False)
    values: frozenset[float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kept = {word.removeprefix(_A_VALUE) for word in self.words if word.startswith(_A_VALUE)}
        said = {word for word in self.words if not word.startswith(_A_VALUE)}
        if both := sorted(kept & said):
            msg = f"missing: {both[0]!r} is said to be missing and to be a value"
            raise DataError(msg)
        object.__setattr__(self, "_cells", (frozenset(USUAL_MISSING) | said) - kept)
        object.__setattr__(self, "_numbers", frozenset(_numbers(said)))
        object.__setattr__(self, "values", frozenset(_numbers(kept)))

    @classmethod
    def of(cls, said: object) -> Self:
        """Return the value of what stands in an option or a study file: ``-9``, ``"-9,-"``, ``["-9", "-"]``."""
        if isinstance(said, cls):
            return said
        parts = [said] if isinstance(said, (str, int, float, np.number)) else said
        if not isinstance(parts, Collection) or isinstance(parts, dict):
            msg = f"missing must be cells, like -9 or [-9, -], got {said!r}"
            raise DataError(msg)
        words = [word.strip() for part in parts for word in (part.split(",") if isinstance(part, str) else [str(part)])]
        return cls(tuple(dict.fromkeys(words)))

    def with_number(self, cell: str) -> Missing:
        """Return the same with a number that is missing, too, unless the user says that it is a value."""
        return self if float(cell) in self.values else Missing((*self.words, cell))

    def __contains__(self, cell: object) -> bool:
        return cell in self._cells or bool(self._numbers and not self._numbers.isdisjoint(_numbers({str(cell)})))

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


def _numbers(cells: Collection[str]) -> set[float]:
    return {number for number in map(_number, cells) if number is not None}


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def missing_words(said: object) -> tuple[str, ...]:
    """Return what the user says of missing cells as words, as they stand in a study file."""
    return Missing.of(said).words


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are to be read.

    A field is all that a new option needs here and in study files; its words for the command line stand in
    ``cli/options.py``, what it does in the reader that asks for it. ``help`` describes it in the schema of study
    files; ``kind`` names what is chosen from a `Literal`; ``plain`` and ``convert`` say how a value that is no plain
    one stands in a study file.
    """

    trait_table: Path | None = field(default=None, metadata={"help": "Table of traits, where the file has none."})
    format: str = field(default="auto", metadata={"help": "Name of a reader; auto recognises it."})
    sequence_column: str | None = field(default=None, metadata={"help": "Column with the sequences."})
    id_column: str | None = field(
        default=None, metadata={"help": "Column with the sample ids, in each table that has it."}
    )
    missing: Missing = field(
        default=Missing(),
        metadata={
            "help": 'Cells that mean "no value" besides NA and the like: -9; value:-9 says that -9 is a value.',
            "plain": tuple[str, ...],
            "convert": missing_words,
        },
    )
    genome: Path | None = field(default=None, metadata={"help": "FASTA of the genome; for intervals."})
    multiallelic: Literal["split", "skip"] = field(
        default="split",
        metadata={
            "help": "Sites with several alternate alleles: one variant each, or left out. VCF.",
            "kind": "choice for multi-allelic sites",
        },
    )
    genotype_field: Literal["auto", "GT", "DS"] = field(
        default="auto",
        metadata={
            "help": "Calls (GT) or dosages (DS); auto takes DS, call by call GT where none is stated. VCF.",
            "kind": "genotype field",
        },
    )
    ploidy: int | None = field(
        default=None, metadata={"help": "Alleles of a call, where a file does not say: tables of 0 to 4 are 4."}
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "missing", Missing.of(self.missing))
        for name, kind, known in _choices():
            if getattr(self, name) not in known:
                raise UnknownNameError(kind, getattr(self, name), known)
        if self.ploidy is not None and not 1 <= self.ploidy <= HIGHEST_PLOIDY:
            msg = f"ploidy must be from 1 to {HIGHEST_PLOIDY}, got {self.ploidy}"
            raise DataError(msg)
        for name in ("trait_table", "genome"):
            if isinstance(path := getattr(self, name), str):
                object.__setattr__(self, name, Path(path))

    @classmethod
    def of(cls, **words: Any) -> Self:
        """Return the value of what is given; None is "not given"."""
        return cls(**{name: value for name, value in words.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions(Reading):
    """What a reader of inputs is given: what the user says, and what is known of the file.

    Attributes
    ----------
    delimiter
        Of a table.
    has_trait_table
        Traits come from another file.
    wanted
        ``wanted(names, other names, ...)`` says which samples may have a row in that file, so that the others need not
        be loaded; None is all.
    """

    delimiter: str
    has_trait_table: bool
    wanted: Callable[..., npt.NDArray[np.bool_]] | None = None


READING_WORDS = tuple(item.name for item in fields(Reading))
"""Names of what the user may say, in the order they are documented."""


@cache
def _choices() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return name, kind and known values of each field that is a choice."""
    hints = get_type_hints(Reading)
    return tuple(
        (item.name, item.metadata["kind"], get_args(hints[item.name]))
        for item in fields(Reading)
        if get_origin(hints[item.name]) is Literal
    )


def spelled_out(function: _Function) -> _Function:
    """Decorate a function of ``**reading`` so that its signature names each word."""
    signature = inspect.signature(function)
    plain = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    words = [
        inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=item.type)
        for item in fields(Reading)
    ]
    function.__signature__ = signature.replace(parameters=[*plain, *words])  # type: ignore[attr-defined]
    return function
