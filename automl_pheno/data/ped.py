"""PLINK text: ``NAME.ped`` with ``NAME.map`` (samples in rows), ``NAME.tped`` with ``NAME.tfam`` (variants in rows).

Two alleles a call, as letters, numbers or words; 0 is missing. The second allele in order is the alternate one, where
PLINK takes the rarer of those in the file. https://www.cog-genomics.org/plink/1.9/formats#ped
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from automl_pheno.data.calls import Cells, Codes, Written
from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.fam import FAM_COLUMNS, Fam, plink_rows
from automl_pheno.data.plink import plink_text
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.variants import check_order, parse_position, unique_names, variant_table, with_alleles
from automl_pheno.errors import DataError

_MAP = {4: (0, 1, 3), 3: (0, 1, 2)}  # columns -> those of chromosome, id, position
_MAP_COLUMNS = 4
_SORT = "sort the files (plink --make-bed)"
_CONVERT = "convert the files (plink --file NAME --make-bed)"
_NONE = "0"


class PedReader:
    """Genotypes from .ped and .map, or .tped and .tfam, with sex, family and phenotype."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the file is called .ped or .tped."""
        del missing
        return plink_text(preview.path) is not None and not Source.is_binary(preview.head)

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the calls.

        Raises
        ------
        DataError
            The file beside it is missing, a line has not two alleles a variant, a variant more than two in all, or
            alleles are no letters or numbers.
        """
        if plink_text(source.path) == ".tped":
            fam = Fam.read(Source(_beside(source.path, ".tfam")))
            lines, places, codes, texts = _read_tped(source, len(fam.ids))
        else:
            beside = Source(_beside(source.path, ".map"))
            places, place_lines = _read_map(beside)
            fam, codes, texts = _read_ped(source, len(places))
        is_tped = plink_text(source.path) == ".tped"
        variants = variant_table(
            [name for _, name, _ in places],
            chromosome=["" if chromosome == _NONE else chromosome for chromosome, _, _ in places],
            position=[position for _, _, position in places],
        )
        listed, listed_lines = (source, lines) if is_tped else (beside, place_lines)

        def where(row: int) -> str:
            return listed.at(listed_lines[row])

        def place(variant: int, sample: int) -> str:
            line = where(variant) if is_tped else f"{fam.path}:{fam.lines[sample]}"
            return f"{line}: sample {str(fam.ids[sample])!r}, variant {places[variant][1]!r}"

        check_order(variants, where, _SORT)
        counted = Written(
            codes=codes,
            texts=texts,
            missing=(),
            declared=lambda _: ("", ""),
            place=place,
            zero_is_missing=True,
            by_sample=not is_tped,
        ).count(skip_multiallelic=options.multiallelic == "skip", ploidy=None)
        variants = with_alleles(variants[counted.kept], counted.refs, counted.alts)
        kept_rows = np.flatnonzero(counted.kept)
        variants, renamed = unique_names(variants, lambda row: where(int(kept_rows[row])))

        def take(rows: IntArray | None) -> FloatArray:
            return np.ascontiguousarray(counted.values.T if rows is None else counted.values[:, rows].T)

        other = fam.path if is_tped else listed.path
        return fam.samples(take, variants, options, files=(other,), notes=(*counted.notes, *renamed))


def _beside(path: Path, ending: str) -> Path:
    plain = path.with_suffix("") if path.suffix.lower() in (".gz", ".bgz") else path
    return plain.with_suffix(ending)


def _read_map(source: Source) -> tuple[list[tuple[str, str, int]], list[int]]:
    """Return chromosome, id and position of each variant, and line numbers."""
    if not source.path.is_file():
        msg = f"{source.path}: no such file; a .ped needs its .map, which names the variants"
        raise DataError(msg)
    source.check()
    found, lines = [], []
    for line, row in plink_rows(source):
        if len(row) not in _MAP:
            msg = f"{source.at(line)}: expected 4 columns (chromosome, id, cM, position), got {len(row)}"
            raise DataError(msg)
        found.append(_variant(source, line, [row[place] for place in _MAP[len(row)]]))
        lines.append(line)
    if not found:
        msg = f"{source.path}: no variants"
        raise DataError(msg)
    return found, lines


def _variant(source: Source, line: int, cells: Sequence[str]) -> tuple[str, str, int]:
    chromosome, name, position = cells
    if position.startswith("-"):
        msg = f"{source.at(line)}: position {position} leaves the variant out in PLINK; {_CONVERT}"
        raise DataError(msg)
    return chromosome, name, parse_position(position, source.at(line)) or -1


def _read_ped(source: Source, n_variants: int) -> tuple[Fam, Codes, list[str]]:
    """Return samples, codes of the calls (variants, samples), and what they stand for."""
    source.check()
    cells = Cells()
    lines, fixed, rows = [], [], []
    for line, record in _records(source):
        calls = _calls(source, line, record[len(FAM_COLUMNS) :], n_variants, "variants of the .map")
        rows.append(np.fromiter(map(cells.__getitem__, calls), dtype=np.int32, count=n_variants))
        lines.append(line)
        fixed.append(record[: len(FAM_COLUMNS)])
    fam = Fam.of(source.path, lines, fixed)
    return fam, np.ascontiguousarray(np.stack(rows).T), cells.texts


def _read_tped(source: Source, n_samples: int) -> tuple[list[int], list[tuple[str, str, int]], Codes, list[str]]:
    """Return line numbers, variants, codes of the calls (variants, samples), and what they stand for."""
    source.check()
    cells = Cells()
    lines, places, rows = [], [], []
    for line, record in _records(source):
        calls = _calls(source, line, record[_MAP_COLUMNS:], n_samples, "samples of the .tfam")
        rows.append(np.fromiter(map(cells.__getitem__, calls), dtype=np.int32, count=n_samples))
        places.append(_variant(source, line, [record[0], record[1], record[3]]))
        lines.append(line)
    return lines, places, np.stack(rows), cells.texts


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines below comments; raises DataError for a comment further down, which PLINK may or may not skip."""
    found = False
    for line, row in plink_rows(source):
        if not row[0].startswith("#"):
            found = True
            yield line, row
        elif found:
            msg = f"{source.at(line)}: begins with #, so it may be a comment or a row; remove it"
            raise DataError(msg)
    if not found:
        msg = f"{source.path}: no calls, only comments"
        raise DataError(msg)


def _calls(source: Source, line: int, alleles: Sequence[str], n: int, of: str) -> Iterator[str]:
    """Return calls as ``A/G``, of two fields each, or of one (compound genotypes)."""
    if len(alleles) == 2 * n:
        return (f"{first}/{second}" for first, second in zip(alleles[::2], alleles[1::2], strict=True))
    if len(alleles) == n and all(len(call) == 2 for call in alleles):
        return (f"{call[0]}/{call[1]}" for call in alleles)
    msg = (
        f"{source.at(line)}: expected {2 * n:,} alleles, two for each of the {n:,} {of}, got {len(alleles):,} fields; "
        f"files without some of the first columns are not read: {_CONVERT}"
    )
    raise DataError(msg)


READERS.add("ped")(PedReader())
