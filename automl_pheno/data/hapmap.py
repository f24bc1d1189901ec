"""HapMap tables, ``NAME.hmp.txt``: markers in rows, eleven columns that describe them, then one a sample.

Cells are one letter (IUPAC) or two. Of ``alleles`` the first is the reference, the second the alternate one, as TASSEL
writes them to VCF. https://bitbucket.org/tasseladmin/tassel-5-source/wiki/UserManual/Load/Load
"""

from __future__ import annotations

from collections.abc import Collection

from automl_pheno.data.dosage import is_hapmap, read_genotypes
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source


class HapMapReader:
    """Genotypes from HapMap."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the header is that of HapMap: rs#, alleles, chrom, pos ..."""
        del missing
        return is_hapmap([name.lower() for name in preview.header])

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read all markers.

        Raises
        ------
        DataError
            A cell is no call, a marker has more alleles than are declared, ids repeat, or rows are ragged.
        """
        return read_genotypes(source, options, markers_in_rows=True)


READERS.add("hapmap")(HapMapReader())
