"""PLINK 1 binary genotypes: ``NAME.bed`` with ``NAME.bim`` (variants) and ``NAME.fam`` (samples).

Allele 1 of the .bim (A1) is the alternate allele: dosages count A1 and run from 0 to 2, as PLINK's own scores do;
allele 2 is the reference. This is PLINK 2's reading of such files. https://www.cog-genomics.org/plink/1.9/formats
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.cells import Table, parse_number
from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, StrArray
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import BLANKS, Preview, Source
from automl_pheno.data.variants import blocks, check_order, genotype_notes, unique_names, variant_table
from automl_pheno.errors import DataError
from automl_pheno.progress import ticking

MAGIC = b"\x6c\x1b"
_VARIANT_MAJOR = b"\x01"
_MAGIC_BYTES = 3
_CALLS_A_BYTE = 4
_COLUMNS = 6
_NONE = "0"
_SEX = {"1": "male", "2": "female"}
_NO_PHENOTYPE = ("-9", "NA", "nan", "NaN")
_CASES = {1.0, 2.0}
_FEWEST = 2


def find_bed(path: Path) -> Path:
    """Return the .bed of PLINK data that are named by any of their three files or by what the names have in common."""
    if path.suffix.lower() in (".bim", ".fam"):
        return path.with_suffix(".bed")
    bed = path.with_name(f"{path.name}.bed")
    return bed if not path.exists() and bed.exists() else path


class PlinkReader:
    """Genotypes from .bed, .bim and .fam; a phenotype, sexes and families from the .fam."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the file begins with the magic bytes of a .bed."""
        del missing
        return preview.head.startswith(MAGIC)

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the calls; with a trait table only those of samples that it may have.

        Raises
        ------
        DataError
            A file is missing, damaged or of another length than the others say, or breaks a rule.
        """
        fam = _Fam.read(Source(source.path.with_suffix(".fam")))
        variants, notes = _read_bim(Source(source.path.with_suffix(".bim")))
        check_bed(source.path, len(fam.ids), len(variants))
        ids, fam_notes = fam.unique_ids()
        others = fam.other_ids()
        kept = np.ones(len(ids), dtype=bool) if options.wanted is None else options.wanted(ids, *others.values())
        rows = np.flatnonzero(kept)
        values = read_bed(
            source.path, n_samples=len(ids), n_variants=len(variants), samples=None if kept.all() else rows
        )
        table, columns, more = fam.columns(ids, rows, with_phenotype=not options.has_trait_table)
        return Samples(
            ids=ids[rows],
            inputs=Inputs(kind="genotype", values=values, variants=variants),
            table=table,
            columns=columns,
            other_ids={form: names[rows] for form, names in others.items()},
            not_loaded=ids[~kept],
            files=(fam.path, source.path.with_suffix(".bim")),
            notes=(
                "dosages count allele 1 of the .bim (the alternate allele)",
                *fam_notes,
                *notes,
                *more,
                *genotype_notes(values),
            ),
        )


def check_bed(path: Path, n_samples: int, n_variants: int) -> None:
    """Raise DataError unless the .bed stores variants one after another and has the length the other files say."""
    with path.open("rb") as stream:
        magic = stream.read(_MAGIC_BYTES)
    if not magic.startswith(MAGIC):
        msg = f"{path}: is no PLINK .bed: it must begin with the bytes 6c 1b 01, got {magic.hex(' ')}"
        raise DataError(msg)
    if magic[2:] != _VARIANT_MAJOR:
        kind = "samples one after another" if magic[2:] == b"\x00" else "another format (PLINK 2?)"
        msg = f"{path}: stores {kind}, only variant-major .bed files are read; convert it (plink --make-bed)"
        raise DataError(msg)
    size, expected = path.stat().st_size, _MAGIC_BYTES + n_variants * -(-n_samples // _CALLS_A_BYTE)
    if size != expected:
        state = "is truncated or belongs" if size < expected else "belongs"
        msg = (
            f"{path}: {state} to other .bim and .fam files: {n_samples:,} samples x {n_variants:,} variants take "
            f"{expected:,} bytes, got {size:,}"
        )
        raise DataError(msg)


def read_bed(
    path: Path,
    *,
    n_samples: int,
    n_variants: int,
    samples: IntArray | None = None,
    variants: IntArray | slice | None = None,
) -> FloatArray:
    """Return dosages of A1, float32, shape (samples, variants) asked for; NaN is missing.

    Parameters
    ----------
    path
        The .bed.
    n_samples, n_variants
        Lines of the .fam and the .bim.
    samples, variants
        Row numbers of the .fam and the .bim; None is all. Nothing else is read.
    """
    from bed_reader import open_bed

    rows = np.arange(n_samples) if samples is None else samples
    columns = np.arange(n_variants)[slice(None) if variants is None else variants]
    values = np.empty((len(rows), len(columns)), dtype=np.float32)
    with open_bed(path, iid_count=n_samples, sid_count=n_variants, skip_format_check=True) as bed:
        step = f"reading {Path(path).name}"
        for block in ticking(step, list(blocks(len(columns), 4 * max(len(rows), 1)))):
            values[:, block] = bed.read(index=(rows, columns[block]), dtype=np.float32, order="F")
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fam:
    """The .fam: one row a sample."""

    path: Path
    lines: list[int]
    families: StrArray
    ids: StrArray
    sexes: list[str]
    phenotypes: list[str]

    @classmethod
    def read(cls, source: Source) -> _Fam:
        lines, rows = _rows(source, ("family", "id", "father", "mother", "sex", "phenotype"))
        return cls(
            path=source.path,
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

    def columns(
        self, ids: StrArray, rows: IntArray, *, with_phenotype: bool
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
        cells, notes = self._phenotype()
        if cells is None:
            return None, frame, notes
        if not with_phenotype:
            return None, frame, ("the phenotype of the .fam is left out, since traits come from the trait table",)
        lines = [self.lines[row] for row in rows]
        return Table(path=self.path, lines=lines, cells={"phenotype": [cells[row] for row in rows]}), frame, notes

    def _phenotype(self) -> tuple[list[str] | None, tuple[str, ...]]:
        """Return the cells with "" for missing, or None where they say nothing."""
        cells = ["" if cell in _NO_PHENOTYPE else cell for cell in self.phenotypes]
        try:
            values = [parse_number(cell) for cell in cells if cell]
        except ValueError:
            return cells, ()  # named with its line where it is asked for as a trait
        distinct = set(values)
        if len(distinct) < _FEWEST:
            return None, ("the .fam states no phenotype: all are the same or missing",)
        if _CASES <= distinct <= {0.0, *_CASES}:
            cells = ["" if cell and parse_number(cell) == 0 else cell for cell in cells]
            return cells, ("the phenotype of the .fam is case/control: 1 is control, 2 is case, 0 is missing",)
        return cells, ()


def _read_bim(source: Source) -> tuple[pd.DataFrame, tuple[str, ...]]:
    lines, rows = _rows(source, ("chromosome", "id", "cM", "position", "allele 1", "allele 2"))
    positions = []
    for line, row in zip(lines, rows, strict=True):
        if not row[3].isdecimal():
            msg = f"{source.at(line)}: the position must be a whole number from 0, got {row[3]!r}"
            raise DataError(msg)
        positions.append(int(row[3]) or -1)
    variants = variant_table(
        [row[1] for row in rows],
        chromosome=["" if row[0] == _NONE else row[0] for row in rows],
        position=positions,
        ref=["" if row[5] == _NONE else row[5] for row in rows],
        alt=["" if row[4] == _NONE else row[4] for row in rows],
    )

    def where(row: int) -> str:
        return source.at(lines[row])

    check_order(variants, where, "sort the files (plink --make-bed)")
    return unique_names(variants, where)


def _rows(source: Source, names: Sequence[str]) -> tuple[list[int], list[list[str]]]:
    """Return line numbers and the six fields of each line."""
    if not source.path.exists():
        msg = f"{source.path}: no such file; PLINK data are three files: .bed, .bim and .fam"
        raise DataError(msg)
    source.check()
    lines, rows = [], []
    for line, row in source.records(BLANKS):
        if len(row) != _COLUMNS:
            msg = f"{source.at(line)}: expected 6 columns ({', '.join(names)}), got {len(row)}"
            raise DataError(msg)
        lines.append(line)
        rows.append(row)
    return lines, rows


READERS.add("plink")(PlinkReader())
