"""Samples as PLINK files state them: family, individual, parents, sex and phenotype, in .fam, .ped and .raw alike.

https://www.cog-genomics.org/plink/1.9/formats
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.cells import Table, parse_number
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, StrArray
from automl_pheno.data.options import Missing, ReadOptions
from automl_pheno.data.read import Samples
from automl_pheno.data.source import Source
from automl_pheno.data.variants import genotype_notes
from automl_pheno.errors import DataError

FAM_COLUMNS = ("family", "id", "father", "mother", "sex", "phenotype")
"""The six columns of a .fam, with which a .ped and a .raw begin, too."""

_NONE = "0"
_SEX = {"1": "male", "2": "female"}
_NO_PHENOTYPE = ("NA", "nan", "NaN")
_NO_NUMBER = -9.0
_CASES = {1.0, 2.0}
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fam:
    """The six columns that a .fam has, a .ped and a .raw begin with.

    Attributes
    ----------
    path
        The file.
    lines
        Line number of each sample.
    families, ids, sexes, phenotypes
        As they stand in the file.
    """

    path: Path
    lines: list[int]
    families: StrArray
    ids: StrArray
    sexes: list[str]
    phenotypes: list[str]

    @classmethod
    def read(cls, source: Source) -> Fam:
        """Return what a .fam holds."""
        lines, rows = fields_of_six(source, FAM_COLUMNS)
        return cls.of(source.path, lines, rows)

    @classmethod
    def of(cls, path: Path, lines: list[int], rows: Sequence[Sequence[str]]) -> Fam:
        """Return what rows of at least six fields say."""
        return cls(
            path=path,
            lines=lines,
            families=np.array([row[0] for row in rows], dtype=np.str_),
            ids=np.array([row[1] for row in rows], dtype=np.str_),
            sexes=[row[4] for row in rows],
            phenotypes=[row[5] for row in rows],
        )

    def other_ids(self) -> dict[str, StrArray]:
        """Return how other files call the samples."""
        pairs = list(zip(self.families.tolist(), self.ids.tolist(), strict=True))
        return {
            "IID": self.ids,
            "FID_IID": np.array([f"{family}_{name}" for family, name in pairs], dtype=np.str_),
            "FID:IID": np.array([f"{family}:{name}" for family, name in pairs], dtype=np.str_),
        }

    def unique_ids(self) -> tuple[StrArray, tuple[str, ...]]:
        """Return the individual ids, or family and individual id where those repeat; both together must differ."""
        first: dict[tuple[str, str], int] = {}
        for line, family, name in zip(self.lines, self.families.tolist(), self.ids.tolist(), strict=True):
            if (family, name) in first:
                msg = f"{self.path}:{line}: sample {family} {name} is already in line {first[family, name]}"
                raise DataError(msg)
            first[family, name] = line
        if len(np.unique(self.ids)) == len(self.ids):
            return self.ids, ()
        joined = self.other_ids()["FID_IID"]
        if len(np.unique(joined)) < len(joined):
            msg = f"{self.path}: individual ids repeat, and so do family and individual id joined by _"
            raise DataError(msg)
        return joined, ("individual ids repeat in different families; samples are called FID_IID",)

    def samples(
        self,
        take: Callable[[IntArray | None], FloatArray],
        variants: pd.DataFrame,
        options: ReadOptions,
        *,
        files: tuple[Path, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Samples:
        """Return the samples that the trait table may have, with what the six columns say of them.

        Parameters
        ----------
        take
            Returns the dosages of rows of samples, None is all.
        variants
            Their table.
        options
            As the reader got them.
        files, notes
            Of the reader.
        """
        ids, id_notes = self.unique_ids()
        others = self.other_ids()
        kept = np.ones(len(ids), dtype=bool) if options.wanted is None else options.wanted(ids, *others.values())
        rows = np.flatnonzero(kept)
        values = take(None if kept.all() else rows)
        table, columns, more = self._columns(ids, rows, options)
        return Samples(
            ids=ids[rows],
            inputs=Inputs(kind="genotype", values=values, variants=variants),
            table=table,
            columns=columns,
            other_ids={form: names[rows] for form, names in others.items()},
            not_loaded=ids[~kept],
            files=files,
            notes=(*id_notes, *notes, *more, *genotype_notes(values)),
        )

    def _columns(
        self, ids: StrArray, rows: IntArray, options: ReadOptions
    ) -> tuple[Table | None, pd.DataFrame, tuple[str, ...]]:
        """Return the phenotype as a table, sex and family as columns, and notes."""
        columns: dict[str, list[str | None]] = {}
        counts = pd.Series(self.families[self.families != _NONE]).value_counts()
        if len(counts) > 1 and int(counts.max()) > 1:
            columns["family"] = [None if self.families[row] == _NONE else str(self.families[row]) for row in rows]
        sexes = [_SEX.get(self.sexes[row]) for row in rows]
        if any(sexes):
            columns["sex"] = sexes
        frame: pd.DataFrame = pd.DataFrame(columns, index=pd.Index(ids[rows], name="id"), dtype=object)
        cells, notes = self._phenotype(options.missing)
        if cells is None:
            return None, frame, notes
        if options.has_trait_table:
            return (
                None,
                frame,
                (f"the phenotype of the {self._kind} is left out: traits come from the trait table",),
            )
        lines = [self.lines[row] for row in rows]
        return Table(path=self.path, lines=lines, cells={"phenotype": [cells[row] for row in rows]}), frame, notes

    @property
    def _kind(self) -> str:
        return self.path.suffix

    def _phenotype(self, missing: Missing) -> tuple[list[str] | None, tuple[str, ...]]:
        """Return the cells with "" for missing, or None where they say nothing.

        -9, however it is written, is missing, as PLINK has it, unless the user says that it is a value.
        """
        cells = ["" if _is_missing(cell, missing) else cell for cell in self.phenotypes]
        try:
            values = [parse_number(cell) for cell in cells if cell]
        except ValueError:
            return cells, ()  # named with its line where it is asked for as a trait
        distinct = set(values)
        if len(distinct) < _FEWEST:
            return None, (f"the {self._kind} states no phenotype: all are the same or missing",)
        if _CASES <= distinct <= {0.0, *_CASES}:
            cells = ["" if cell and parse_number(cell) == 0 else cell for cell in cells]
            return cells, (f"the phenotype of the {self._kind} is case/control: 1 is control, 2 is case, 0 is missing",)
        return cells, ()


def _is_missing(cell: str, missing: Missing) -> bool:
    if cell in _NO_PHENOTYPE or cell in missing:
        return True
    try:
        return parse_number(cell) == _NO_NUMBER and _NO_NUMBER not in missing.values
    except ValueError:
        return False


def plink_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the fields of each line that is not blank; quotes mean nothing to PLINK."""
    for number, line in enumerate(source.lines(), start=1):
        if fields := line.split():
            yield number, fields


def fields_of_six(source: Source, names: Sequence[str]) -> tuple[list[int], list[list[str]]]:
    """Return line numbers and the six fields of each line."""
    if not source.path.exists():
        msg = (
            f"{source.path}: no such file; PLINK data are three files: .bed, .bim and .fam (or two: .ped and .map, "
            ".tped and .tfam)"
        )
        raise DataError(msg)
    source.check()
    lines, rows = [], []
    for line, row in plink_rows(source):
        if len(row) != len(FAM_COLUMNS):
            msg = f"{source.at(line)}: expected 6 columns ({', '.join(names)}), got {len(row)}"
            raise DataError(msg)
        lines.append(line)
        rows.append(row)
    return lines, rows
