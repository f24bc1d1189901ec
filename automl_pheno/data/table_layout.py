"""How a table of genotypes is laid out: which columns are samples, variants, ids, or descriptions of either."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from automl_pheno.data.cells import ID_NAMES, find_id_column
from automl_pheno.data.options import ReadOptions
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.variant_list import VARIANT_NAMES, listed_variants, variant_columns

_PROOF = 0.5  # share of names in common that proves what rows and columns are

_ROW_NAMES = ("", "unnamed0", "rowname", "rownames")
_IDS = frozenset(
    (*_ROW_NAMES, "fid", "iid", "pat", "mat", "father", "mother", "sire", "dam", "pedigree", "entry", "familyid",
     *(re.sub(r"[\W_]", "", name) for name in ID_NAMES))
)  # fmt: skip
_DESCRIPTIONS = frozenset(
    ("strand", "assembly", "center", "protlsid", "assaylsid", "panel", "panellsid", "qccode", "qual", "filter", "info",
     "format", "cm", "maf", "callrate", "missingness")
)  # fmt: skip
_VARIANTS = ("snp", "marker", "locus", "variant", "allele", "qtl")
_NO_VARIANTS = re.compile(
    r"sex|gender|age|weight|height|bmi|yield|grainyield|gebvs?|ebvs?|tbv|status|affected|subpop(ulation)?|population|"
    r"family|fam|species|origin|country|region|cohort|season|treatment|site|location|trial|date|harvest|generation|"
    r"fold|y|value|lodging|maturity|severity|vigou?r|flowering|heading|protein|moisture|"
    r"(score|rating|trait|pheno(type)?|cluster|group|plot|block|rep(licate)?|year|batch|env(ironment)?|pop|plate|well|"
    r"row|col(umn)?|range|pca?|eigenvec)[0-9]*"
)


def is_raw(preview: Preview) -> bool:
    """Say whether the header is that of PLINK's ``--recode A``."""
    return [name.lower().lstrip("#") for name in preview.header[:6]] == ["fid", "iid", "pat", "mat", "sex", "phenotype"]


def is_hapmap(preview: Preview) -> bool:
    """Say whether the header is that of HapMap."""
    names = [name.lower() for name in preview.header]
    return names[:1] in (["rs#"], ["rs"]) and {"alleles", "chrom", "pos"} <= {*names}


def is_aside(name: str) -> bool:
    """Say whether a column of a table with samples in rows is called like an id, or has no name."""
    return _plain(name) in _IDS


def named_like_variant(name: str) -> bool:
    """Say whether a column is called like a variant, rs12, M1 or snp_a, rather than like a trait."""
    known = any(letter.isdecimal() for letter in name) or name.lower().startswith(_VARIANTS)
    return known and not named_like_no_variant(name)


def lay_out(
    header: Sequence[str], preview: Preview, options: ReadOptions, *, transposed: bool
) -> tuple[str, list[str]]:
    """Return the column with the names of the rows, and those that are no genotypes."""
    if transposed:
        described = _descriptions(header, preview.rows)
        found = variant_columns(described)
        name = found.get("id", header[0])
        return name, [column for column in described if column != name or name in (found.get("chromosome"), None)]
    asked = options.id_column if options.id_column in header or not options.has_trait_table else None
    name = find_id_column(header, asked, preview.path) or header[0]
    return name, [column for column in header if column != name and is_aside(column)]


def are_markers_in_rows(source: Source, options: ReadOptions) -> bool:
    """Say whether the names of rows and columns prove that the markers are in rows.

    They do if there are columns with chromosomes and positions, if the columns are called like samples of the trait
    table, or the rows like variants of the list beside the table.
    """
    preview = source.preview()
    if described_variants(preview):
        return True
    rows, columns = {row[0] for row in preview.rows}, {*preview.header[1:]}
    samples, variants = _trait_ids(options), listed_variants(source.path)
    by_samples = _common(columns, samples) - _common(rows, samples)
    by_variants = _common(rows, variants) - _common(columns, variants)
    return max(by_samples, by_variants) >= _PROOF and min(by_samples, by_variants) >= 0


def described_variants(preview: Preview) -> list[str]:
    """Return the leading columns that describe variants in rows, with chromosome and position; [] if they do not."""
    leading = _descriptions(preview.header, preview.rows)
    found = variant_columns(leading)
    return leading if "chromosome" in found and {"position", "genetic position"} & {*found} else []


def _common(names: Collection[str], known: Collection[str]) -> float:
    """Return the share of the names that could be known ones and are; numbers from 1 to n prove nothing."""
    if all(name.isdecimal() for name in names) and {*map(int, names)} <= {*range(len(names) + 1)}:
        return 0.0
    return len({*names} & {*known}) / max(min(len(names), len(known)), 1)


def _trait_ids(options: ReadOptions) -> set[str]:
    """Return the cells of the columns of the trait table that may hold ids."""
    if options.trait_table is None:
        return set()
    source = Source(options.trait_table)
    preview = source.preview()
    places = [
        place
        for place, name in enumerate(preview.header)
        if place == 0 or name == options.id_column or _plain(name) in _IDS
    ]
    records = source.records(preview.delimiter)
    return {record[place].strip() for _, record in records for place in places if place < len(record)}


def _descriptions(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the leading columns that describe the variants in rows, with the first one.

    Samples may be called A1 and A2, so these are alleles only where both always differ.
    """
    known = {_plain(name) for names in VARIANT_NAMES.values() for name in names} | _DESCRIPTIONS
    count = next((place for place, name in enumerate(header) if place and _plain(name) not in known), len(header))
    ids = {_plain(name) for name in VARIANT_NAMES["id"]}
    for place in range(1, count):
        cells = [row[place] for row in rows if row[place] not in ("", ".")]
        if _plain(header[place]) in ids and len({*cells}) < len(cells):  # a sample that is called so
            count = place
            break
    found = variant_columns(header[:count])
    pair = [header.index(found[what]) for what in ("ref", "alt") if what in found]
    if pair and not _are_alleles([tuple(row[place].upper() for place in pair) for row in rows]):
        count = max(min(pair), 1)
    return list(header[:count])


def _are_alleles(pairs: Sequence[tuple[str, ...]]) -> bool:
    """Say whether two cells of each row are the alleles of a variant: they differ, and most are one letter."""
    single = sum(len(cell) == 1 for pair in pairs for cell in pair)
    return all(len(pair) == 2 and pair[0] != pair[1] for pair in pairs) and single >= len(pairs)


def says_nothing(name: str) -> bool:
    """Say whether a column set aside holds numbers of rows, which say nothing of the samples."""
    return _plain(name) in _ROW_NAMES


def named_like_no_variant(name: str) -> bool:
    """Say whether a variant is called like a trait or a covariate: sex, yield, PC1 ..."""
    return _NO_VARIANTS.fullmatch(_plain(name)) is not None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
