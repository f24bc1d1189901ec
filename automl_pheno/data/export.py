"""Genotypes as files of the formats that the readers read, so that what goes out comes back the same."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import Dataset, FloatArray
from automl_pheno.data.variants import blocks, variant_table
from automl_pheno.errors import DataError
from automl_pheno.files import replacing, write_bytes, write_text

_CALLS = ("0/0", "0/1", "1/1")
_MISSING_CALL = "./."
_UNKNOWN_SEX = {"male": "1", "female": "2"}
_COLUMNS = ("id", "chromosome", "position", "ref", "alt")


def write_plink(dataset: Dataset, prefix: str | Path) -> tuple[Path, Path, Path]:
    """Write ``PREFIX.bed``, ``.bim`` and ``.fam`` and return their paths; allele 1 is the alternate allele.

    Families and sexes come from the columns ``family`` and ``sex`` where the data have them, the phenotype from their
    only trait.

    Raises
    ------
    DataError
        The data are sequences, a dosage is not 0, 1 or 2, or a name has blanks.
    """
    from bed_reader import to_bed

    variants = _variants(dataset)
    values = dataset.inputs.values
    row = _first_not_whole(values)
    if row is not None:
        msg = (
            f"{dataset.name}: PLINK has calls of 0, 1 and 2 alone; sample {str(dataset.ids[row])!r} has a dosage "
            "between them (write_vcf and write_dosages keep those)"
        )
        raise DataError(msg)
    for name in (*dataset.ids.tolist(), *variants["id"].tolist()):
        if not str(name) or str(name).split() != [str(name)]:
            msg = f"{dataset.name}: names in PLINK files have no blanks, got {str(name)!r}"
            raise DataError(msg)
    bed, bim, fam = (Path(f"{prefix}{suffix}") for suffix in (".bed", ".bim", ".fam"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made.bed")
        to_bed(made, values, count_A1=True)
        with replacing(bed) as stream, made.open("rb") as source:
            while chunk := source.read(1 << 20):
                stream.write(chunk)
    lines = (
        f"{chromosome or 0}\t{name}\t0\t{max(position, 0)}\t{alt or 0}\t{ref or 0}\n"
        for name, chromosome, position, ref, alt in variants.itertuples(index=False)
    )
    write_text(bim, "".join(lines))
    write_text(fam, "".join(_fam_lines(dataset)))
    return bed, bim, fam


def write_vcf(dataset: Dataset, path: str | Path) -> None:
    """Write VCF 4.3, gzipped where `path` ends in .gz: calls (GT), or DS where a dosage is not 0, 1 or 2.

    Raises
    ------
    DataError
        The data are sequences, or a variant has no place or no alleles.
    """
    path = Path(path)
    variants = _variants(dataset)
    known = (variants["position"] > 0) & (variants["chromosome"] != "") & (variants["ref"] != "")
    if not known.all():
        name = variants["id"][~known].iloc[0]
        msg = f"{dataset.name}: VCF states chromosome, position and reference allele; variant {name!r} lacks one"
        raise DataError(msg)
    text = "".join(_vcf_lines(dataset, variants)).encode()
    write_bytes(path, gzip.compress(text, compresslevel=6, mtime=0) if path.suffix == ".gz" else text)


def write_dosages(dataset: Dataset, path: str | Path) -> tuple[Path, Path]:
    """Write a table of dosages, gzipped where `path` ends in .gz, and its variants beside it; return both paths.

    The variants go to ``NAME.variants.csv``, where the reader of dosages finds them.

    Raises
    ------
    DataError
        The data are sequences.
    """
    path = Path(path)
    variants = _variants(dataset)
    beside = path.with_name(f"{path.name.split('.')[0]}.variants.csv")
    with replacing(path) as raw, contextlib.ExitStack() as stack:
        binary = stack.enter_context(gzip.GzipFile("", "wb", 6, raw, 0)) if path.suffix == ".gz" else raw
        for rows in blocks(len(dataset), 4 * dataset.inputs.width):
            ids = pd.Index(dataset.ids[rows], name="id")
            frame = pd.DataFrame(dataset.inputs.values[rows], index=ids, columns=variants["id"].tolist())
            binary.write(frame.to_csv(float_format="%.9g", header=rows.start == 0).encode())
    write_text(beside, variants.to_csv(index=False))
    return path, beside


def _variants(dataset: Dataset) -> pd.DataFrame:
    if dataset.kind != "genotype":
        msg = f"{dataset.name}: has sequences, not genotypes"
        raise DataError(msg)
    variants = dataset.inputs.variants
    if variants is None:
        return variant_table([f"variant_{number}" for number in range(dataset.inputs.width)])
    table: pd.DataFrame = variants[list(_COLUMNS)]
    return table


def _first_not_whole(values: FloatArray) -> int | None:
    """Return the row of the first dosage that is neither missing nor 0, 1 or 2."""
    for rows in blocks(len(values), 4 * values.shape[1]):
        part = values[rows]
        between = ~np.isnan(part) & (part != np.rint(part))
        if between.any():
            return int(rows.start + np.argmax(between.any(axis=1)))
    return None


def _fam_lines(dataset: Dataset) -> Iterator[str]:
    n = len(dataset)
    columns = dataset.columns
    families = columns["family"].tolist() if "family" in columns else [None] * n
    sexes = columns["sex"].tolist() if "sex" in columns else [None] * n
    names = list(dataset.traits.columns)
    trait = dataset.y(str(names[0])) if len(names) == 1 else np.full(n, np.nan)
    for name, family, sex, value in zip(dataset.ids.tolist(), families, sexes, trait.tolist(), strict=True):
        number = "-9" if np.isnan(value) else f"{value:.17g}"
        yield f"{name if pd.isna(family) else family} {name} 0 0 {_UNKNOWN_SEX.get(str(sex), '0')} {number}\n"


def _vcf_lines(dataset: Dataset, variants: pd.DataFrame) -> Iterator[str]:
    values = dataset.inputs.values
    whole = _first_not_whole(values) is None
    yield "##fileformat=VCFv4.3\n"
    if whole:
        yield '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    else:
        yield '##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage of the alternate allele">\n'
    for chromosome in dict.fromkeys(variants["chromosome"].tolist()):
        yield f"##contig=<ID={chromosome}>\n"
    fixed = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
    yield "\t".join((*fixed, *dataset.ids.tolist())) + "\n"
    key = "GT" if whole else "DS"
    for column, (name, chromosome, position, ref, alt) in enumerate(variants.itertuples(index=False)):
        dosages = values[:, column].tolist()
        if whole:
            cells = [_MISSING_CALL if d != d else _CALLS[int(d)] for d in dosages]
        else:
            cells = ["." if d != d else f"{d:.9g}" for d in dosages]
        yield "\t".join((chromosome, str(position), name, ref, alt or ".", ".", ".", ".", key, *cells)) + "\n"
