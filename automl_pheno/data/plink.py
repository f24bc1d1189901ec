"""PLINK 1 binary genotypes: ``NAME.bed`` with ``NAME.bim`` (variants) and ``NAME.fam`` (samples).

Allele 1 of the .bim (A1) is the alternate allele: dosages count A1 and run from 0 to 2, as PLINK's own scores do;
allele 2 is the reference. This is PLINK 2's reading of such files. https://www.cog-genomics.org/plink/1.9/formats
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.fam import Fam, fields_of_six
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.variants import blocks, check_order, parse_position, unique_names, variant_table
from automl_pheno.errors import DataError
from automl_pheno.progress import ticking

MAGIC = b"\x6c\x1b"
_VARIANT_MAJOR = b"\x01"
_MAGIC_BYTES = 3
_CALLS_A_BYTE = 4
_NONE = "0"
_OTHERS = (".bim", ".fam")
_TEXTS = {".map": ".ped", ".tfam": ".tped"}


def find_bed(path: Path) -> Path:
    """Return the file with the calls of PLINK data that are named by any of their files, or by what these share."""
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        return path.with_suffix(".bed")
    if suffix in _TEXTS and path.with_suffix(_TEXTS[suffix]).exists():
        return path.with_suffix(_TEXTS[suffix])
    named = (path.with_name(f"{path.name}{suffix}") for suffix in (".bed", *_TEXTS.values()))
    return path if path.exists() else next((other for other in named if other.exists()), path)


def plink_text(path: Path) -> str | None:
    """Return .ped or .tped where a file is called so, also gzipped."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".bgz")]
    return suffixes[-1] if suffixes[-1:] in ([".ped"], [".tped"]) else None


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
        fam = Fam.read(Source(source.path.with_suffix(".fam")))
        variants, notes = _read_bim(Source(source.path.with_suffix(".bim")))
        check_bed(source.path, len(fam.ids), len(variants))
        n_samples, n_variants = len(fam.ids), len(variants)

        def take(rows: IntArray | None) -> FloatArray:
            return read_bed(source.path, n_samples=n_samples, n_variants=n_variants, samples=rows)

        return fam.samples(
            take,
            variants,
            options,
            files=(fam.path, source.path.with_suffix(".bim")),
            notes=("dosages count allele 1 of the .bim (the alternate allele)", *notes),
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


def _read_bim(source: Source) -> tuple[pd.DataFrame, tuple[str, ...]]:
    lines, rows = fields_of_six(source, ("chromosome", "id", "cM", "position", "allele 1", "allele 2"))
    positions = []
    for line, row in zip(lines, rows, strict=True):
        positions.append(parse_position(row[3], source.at(line)) or -1)
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


READERS.add("plink")(PlinkReader())
