"""HapMap tables, ``NAME.hmp.txt``: markers in rows, eleven columns that describe them, then one a sample.

Cells are one letter (IUPAC) or two. Of ``alleles`` the first is the reference, the second the alternate one, as TASSEL
writes them to VCF. https://bitbucket.org/tasseladmin/tassel-5-source/wiki/UserManual/Load/Load
"""

from __future__ import annotations

from collections.abc import Collection

from automl_pheno.data.genotype_table import read_genotypes
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table_layout import is_hapmap
from automl_pheno.errors import DataError


class HapMapReader:
    """Genotypes from HapMap."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the header is that of HapMap: rs#, alleles, chrom, pos ..., or the file is called so."""
        del missing
        return is_hapmap(preview) or ".hmp" in [suffix.lower() for suffix in preview.path.suffixes]

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read all markers.

        Raises
        ------
        DataError
            A cell is no call, a marker has more alleles than are declared, ids repeat, or rows are ragged.
        """
        preview = source.preview()
        if not is_hapmap(preview):
            msg = f"{source.path}: HapMap begins with rs#, alleles, chrom, pos ..., got {', '.join(preview.header[:4])}"
            raise DataError(msg)
        return read_genotypes(source, options, transposed=True)


READERS.add("hapmap")(HapMapReader())
