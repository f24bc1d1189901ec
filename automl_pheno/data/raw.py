"""PLINK's dosages as a table: ``NAME.raw`` of ``--recode A`` (also ``AD``), and of ``--export A`` of PLINK 2.

The columns FID IID PAT MAT SEX PHENOTYPE, then one a variant, called ``id_allele`` or ``id_allele(/other)``: the
dosage counts that allele, which is therefore the alternate one. https://www.cog-genomics.org/plink/1.9/formats#raw
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from automl_pheno.data.cells import checked_records
from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.fam import FAM_COLUMNS, Fam
from automl_pheno.data.genotype_table import Numbers
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table_layout import is_raw, named_like_no_variant
from automl_pheno.data.variant_list import places_beside
from automl_pheno.data.variants import unique_names, variant_table
from automl_pheno.errors import DataError

_HIGHEST = 2.0
_NAMED = re.compile(r"(?P<id>.+)_(?P<counted>[A-Za-z0-9.*-]+)(\(/(?P<other>[^)]*)\))?")
_HETEROZYGOUS = "_HET"
_NONE = "0"


class RawReader:
    """Genotypes from PLINK's ``--recode A``, with sex, family and phenotype."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the header begins with FID IID PAT MAT SEX PHENOTYPE."""
        del missing
        return is_raw(preview)

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the dosages; with a trait table only those of samples that it may have.

        Raises
        ------
        DataError
            A dosage is no number from 0 to 2, a variant stands there twice, a row is ragged.
        """
        header, records = checked_records(source, options.delimiter)
        n_fixed = len(FAM_COLUMNS)
        if not is_raw(source.preview()):
            msg = f"{source.path}: a .raw begins with FID IID PAT MAT SEX PHENOTYPE, got {', '.join(header[:6])}"
            raise DataError(msg)
        counts = np.array([not name.endswith(_HETEROZYGOUS) for name in header[n_fixed:]], dtype=np.bool_)
        names = [name for name in header[n_fixed:] if not name.endswith(_HETEROZYGOUS)]
        if not names:
            msg = f"{source.path}: no variants, only the six columns of PLINK"
            raise DataError(msg)
        numbers = Numbers(options.missing)
        rows: list[FloatArray] = []
        lines: list[int] = []
        fixed: list[list[str]] = []
        for line, record in records:
            cells = record[n_fixed:]
            row = np.fromiter(map(numbers.__getitem__, cells), dtype=np.float32, count=len(cells))
            wrong = (row < 0) | (row > _HIGHEST)
            if wrong.any():
                bad = int(np.argmax(wrong))
                where = f"{source.at(line)}: sample {record[1].strip()!r}, variant {header[n_fixed + bad]!r}"
                msg = f"{where}: a dosage must be a number from 0 to 2, got {cells[bad].strip()!r}"
                raise DataError(msg)
            rows.append(row[counts])
            lines.append(line)
            fixed.append([cell.strip() for cell in record[:n_fixed]])
        if not rows:
            msg = f"{source.path}: only a header and no rows"
            raise DataError(msg)
        variants, notes = _variants(source, names)
        variants, files, more = places_beside(source, variants)
        variants, renamed = unique_names(variants, lambda _: source.at(1))
        if not counts.all():
            notes = (*notes, f"{int((~counts).sum()):,} columns {_HETEROZYGOUS} repeat what the dosages say; left out")
        values = np.stack(rows)

        def take(kept: IntArray | None) -> FloatArray:
            return values if kept is None else values[kept]

        return Fam.of(source.path, lines, fixed).samples(
            take, variants, options, files=files, notes=(*notes, *more, *renamed)
        )


def _variants(source: Source, names: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the variants that columns are called after, and how many state the counted allele.

    Raises
    ------
    DataError
        A column is called like a trait or covariate, or has no allele in its name where others have.
    """
    found = [_NAMED.fullmatch(name) for name in names]
    for name, match in zip(names, found, strict=True):
        if named_like_no_variant(name) or (match is None and any(found)):
            msg = (
                f"{source.path}: column {name!r} is no variant of PLINK, which are called id_allele (rs12_A); traits "
                "and covariates go into the trait table"
            )
            raise DataError(msg)
    ids = [name if match is None else match["id"] for name, match in zip(names, found, strict=True)]
    alts = ["" if match is None or match["counted"] == _NONE else match["counted"] for match in found]
    refs = ["" if match is None or match["other"] in (None, _NONE) else match["other"] for match in found]
    stated = sum(map(bool, alts))
    note = f"dosages count the allele that columns are named after (the alternate allele; {stated:,} of {len(names):,})"
    return variant_table(ids, ref=refs, alt=alts), (note,)


READERS.add("raw")(RawReader())
