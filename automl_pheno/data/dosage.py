"""Tables of genotypes: samples in rows or in columns, cells that are dosages or calls written out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from automl_pheno.data.calls import looks_written_out
from automl_pheno.data.genotype_table import Numbers, read_genotypes
from automl_pheno.data.numbers import SENTINELS
from automl_pheno.data.options import HIGHEST_PLOIDY
from automl_pheno.data.places import place_column
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.table import SEQUENCE_NAMES, sequence_like
from automl_pheno.data.table_layout import (
    are_markers_in_rows,
    described_variants,
    is_aside,
    is_hapmap,
    is_raw,
    named_like_variant,
)
from automl_pheno.data.variant_list import listed_variants

_MOSTLY = 0.8
_FEW_VARIANTS = 10  # fewer could be traits, so they must be calls and be named like variants
_CALLS = 0.5
_OTHERS = frozenset((".vcf", ".bcf", ".ped", ".tped", ".hmp", ".bed"))
_LOWEST, _HIGHEST = -1.0, 2.0


class DosageReader:
    """Genotypes from CSV or TSV: dosages of the alternate allele, or calls written out."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether most columns but the first hold genotypes, and none DNA."""
        if preview.first_line.startswith(">") or not preview.rows or len(preview.header) < 2:
            return False
        endings = {suffix.lower() for suffix in preview.path.suffixes}
        if is_raw(preview) or is_hapmap(preview) or endings & _OTHERS:
            return False
        names = [name.lower() for name in preview.header]
        if {*names} & {*SEQUENCE_NAMES} or sequence_like(preview, missing):
            return False
        if place_column(preview.header, "start") and place_column(preview.header, "end"):
            return False
        described = len(described_variants(preview))
        places = [place for place in range(max(described, 1), len(names)) if described or not is_aside(names[place])]
        columns = [[row[place] for row in preview.rows] for place in places]
        if len(columns) >= _FEW_VARIANTS:
            return _share(columns, missing, many=True) >= _MOSTLY
        if not places or _share(columns, missing, many=False) < _MOSTLY:
            return False
        written = all(any(len(cell) > 1 for cell in cells) and looks_written_out(cells, missing) for cells in columns)
        named = written or sum(named_like_variant(names[place]) for place in places) >= _MOSTLY * len(places)
        matrix = preview.header[1:] == tuple(row[0] for row in preview.rows)
        return named or matrix or described > 0 or {*preview.header[1:]} <= listed_variants(preview.path)

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read the table; raises as `read_genotypes`."""
        return read_genotypes(source, options, transposed=are_markers_in_rows(source, options))


def _share(columns: Sequence[Sequence[str]], missing: Collection[str], *, many: bool) -> float:
    """Return the share of columns that look like genotypes; of `many` columns imputed and polyploid ones do, too."""
    numbers = Numbers(missing)
    found = 0
    for cells in columns:
        if looks_written_out(cells, missing):
            found += 1
            continue
        values = np.array([numbers[cell] for cell in cells])
        known = values[~np.isnan(values)]
        marks = np.isin(known, SENTINELS)
        known = known[~marks] if marks.sum() < _MOSTLY * len(known) else known
        whole = known[np.isfinite(known) & (known == np.rint(known))]
        dosages = int(((known >= 0) & (known <= _HIGHEST)).sum())
        if many:
            dosages = max(dosages, int(((whole >= _LOWEST) & (whole <= HIGHEST_PLOIDY)).sum()))
            found += dosages >= _MOSTLY * max(len(known), 1)
        else:
            whole = whole[(whole >= _LOWEST) & (whole <= _HIGHEST)]
            found += len(known) > 0 and len(whole) >= max(_CALLS * len(known), 1) and dosages >= _CALLS * len(known)
    return found / max(len(columns), 1)


READERS.add("dosage")(DosageReader())
