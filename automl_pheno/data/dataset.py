"""The values that readers make and every other room reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.errors import DataError, known_names

InputKind = Literal["sequence", "genotype"]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
StrArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """What a predictor sees of the samples.

    Attributes
    ----------
    kind
        ``sequence`` or ``genotype``.
    values
        ``sequence``: IUPAC bit codes, uint8, shape (n_samples, length); A=1, C=2, G=4, T=8, ambiguous bases
        are unions of these (N=15), 0 is padding. See ``data/encode.py``.
        ``genotype``: dosage of the alternate allele, float32, 0 to 2, shape (n_samples, n_variants);
        NaN is a missing call.
    variants
        ``genotype`` only: one row a variant, columns ``id, chromosome, position, ref, alt``
        (chromosome, ref, alt are "" and position is -1 where the file does not say). None for sequences.
    """

    kind: InputKind
    values: npt.NDArray[Any]
    variants: pd.DataFrame | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Length in bp, or number of variants."""
        return int(self.values.shape[1])

    def take(self, rows: npt.NDArray[Any]) -> Inputs:
        """Return the rows at `rows` (integer positions or a boolean mask)."""
        return replace(self, values=self.values[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Inputs with their trait values: what ``Predictor.fit`` gets.

    Attributes
    ----------
    inputs
        n samples.
    y
        Trait in phenotype units, float64, shape (n,), finite.
    groups
        Integer label of the group of each sample, int64, shape (n,); inner cross-validation keeps them whole.
    weights
        Weight of each sample in the loss, float64, shape (n,), mean 1; None is 1 for all. Only of training samples.
    """

    inputs: Inputs
    y: FloatArray
    groups: IntArray
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: npt.NDArray[Any]) -> Examples:
        """Return the rows at `rows`."""
        return Examples(
            inputs=self.inputs.take(rows),
            y=self.y[rows],
            groups=self.groups[rows],
            weights=None if self.weights is None else self.weights[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Samples with ids, inputs, traits and other columns. Immutable; every change makes a new one.

    Attributes
    ----------
    name
        Short name, from the file.
    ids
        Unique sample ids, str, shape (n,).
    inputs
        See `Inputs`.
    traits
        Numeric trait columns, float64, index = ids; NaN is missing.
    columns
        All other columns (covariates, groups, chromosome, ...), index = ids.
    files
        Path -> sha256 of each file read; empty for simulated data.
    notes
        What the reader noticed, in sentences with counts, in the order found; printed to the user.
    unusable
        Column -> why it cannot be a trait, with file, line and cell; asked for only when it is named as one.
    """

    name: str
    ids: StrArray
    inputs: Inputs
    traits: pd.DataFrame
    columns: pd.DataFrame
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unusable: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.ids)
        for what, size in (("inputs", len(self.inputs)), ("traits", len(self.traits)), ("columns", len(self.columns))):
            if size != n:
                msg = f"{what} must have one row for each of the {n} ids, got {size}"
                raise DataError(msg)
        if len(np.unique(self.ids)) != n:
            msg = "ids must be unique"
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kind(self) -> InputKind:
        """``sequence`` or ``genotype``."""
        return self.inputs.kind

    def y(self, trait: str) -> FloatArray:
        """Return the values of `trait`, float64, shape (n,); NaN is missing."""
        if trait in self.unusable:
            msg = f"trait {trait!r} {self.unusable[trait]}"
            raise DataError(msg)
        if trait not in self.traits.columns:
            msg = f"{self.name}: no trait {trait!r}; {self._known_traits(trait)}"
            raise DataError(msg)
        return self.traits[trait].to_numpy(dtype=np.float64)

    def _known_traits(self, trait: str) -> str:
        names = [str(name) for name in self.traits.columns]
        if not names:
            return "it has no numeric column; traits of another file are given with --trait-table"
        return f"{known_names(trait, names)}; those of another file are given with --trait-table"

    def take(self, rows: npt.NDArray[Any]) -> Dataset:
        """Return the samples at `rows` (integer positions or a boolean mask)."""
        return replace(
            self,
            ids=self.ids[rows],
            inputs=self.inputs.take(rows),
            traits=self.traits.iloc[np.arange(len(self))[rows]],
            columns=self.columns.iloc[np.arange(len(self))[rows]],
        )

    def with_notes(self, *notes: str) -> Dataset:
        """Return the same data with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def sha256(self) -> str:
        """Return a hash of ids, inputs and traits that is the same on every machine."""
        digest = hashlib.sha256()
        digest.update("\n".join(self.ids.tolist()).encode())
        digest.update(np.ascontiguousarray(self.inputs.values).tobytes())
        for name in self.traits.columns:
            digest.update(str(name).encode())
            digest.update(self.traits[name].to_numpy(dtype=np.float64).tobytes())
        return digest.hexdigest()
