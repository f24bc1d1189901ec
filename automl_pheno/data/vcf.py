"""VCF and BCF to dosages of alternate alleles.

VCF text goes through ``vcf_text.py``; BCF, and VCF on request, through cyvcf2 (extra ``vcf``). Both give the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from automl_pheno.data.bcf import BCF_MAGIC, Opened, open_cyvcf2
from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.data.variants import DosageColumns, check_order, genotype_notes, unique_names, variant_table
from automl_pheno.data.vcf_text import ABSENT, MISSING, AlleleArray, Site, read_header, text_sites
from automl_pheno.errors import DataError

_FIELDS = {"auto": ("DS", "GT"), "DS": ("DS",), "GT": ("GT",)}
_NOT_ALLELES = ("*", "<*>", "<NON_REF>")
_SORT = "sort the file (bcftools sort)"
_DIPLOID = 2


class VcfReader:
    """Genotypes from VCF or BCF: one column an alternate allele, dosages from calls (GT) or stated ones (DS)."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the file begins as VCF or BCF does, or is called so."""
        del missing
        suffixes = [suffix.lower() for suffix in preview.path.suffixes if suffix.lower() not in (".gz", ".bgz")]
        return (
            preview.head.startswith(BCF_MAGIC)
            or preview.first_line.startswith(("##fileformat=VCF", "#CHROM\tPOS"))
            or suffixes[-1:] in ([".vcf"], [".bcf"])
        )

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read all sites.

        Raises
        ------
        DataError
            The file breaks a rule of VCF, is not sorted, states a variant twice, mixes ploidies, has no calls; or it
            is BCF and cyvcf2 is not installed.
        """
        head = source.preview().head
        return read_sites(open_cyvcf2(source) if head.startswith(BCF_MAGIC) else open_text(source), source, options)


@dataclass(slots=True, kw_only=True)
class _Found:
    """What was read so far."""

    columns: DosageColumns
    places: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    chromosomes: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    refs: list[str] = field(default_factory=list)
    alts: list[str] = field(default_factory=list)
    sites: int = 0
    split: int = 0
    skipped: int = 0
    without: int = 0
    symbolic: int = 0
    filtered: int = 0
    haploid: int = 0
    half: int = 0
    ploidy: int = 0
    with_doses: int = 0
    stated: int = 0
    counted: int = 0
    stated_ploidy: int | None = None


class _NoDoseError(Exception):
    """A site without DS, where some had it."""


def open_text(source: Source) -> Opened:
    """Open VCF text, plain or gzip."""
    header = read_header(source)
    return header.samples, lambda: text_sites(source, header)


def read_sites(opened: Opened, source: Source, options: ReadOptions) -> Samples:
    """Return the dosages of opened sites."""
    samples, sites = opened
    ids = np.array(samples, dtype=np.str_)
    kept = np.ones(len(ids), dtype=bool) if options.wanted is None else options.wanted(ids)
    fields = _FIELDS[options.genotype_field]
    try:
        found = _collect(samples, kept, sites(), options, fields)
    except _NoDoseError:
        found = _collect(samples, kept, sites(), options, ("GT", "DS"))
    if len(found.columns) and not found.stated and (options.genotype_field == "DS" or not found.counted):
        counts = "; count the calls instead (--genotype-field GT)" if options.genotype_field == "DS" else ""
        what = "DS is empty everywhere" if found.with_doses else "no call is there: every GT is missing"
        msg = f"{source.path}: {what}{counts}"
        raise DataError(msg)
    if options.ploidy is not None and found.ploidy not in (0, options.ploidy):
        msg = f"{source.path}: calls have {found.ploidy} alleles, not {options.ploidy} as stated (--ploidy)"
        raise DataError(msg)
    if not len(found.columns):
        what = f"none of its {found.sites:,} sites gives a variant" if found.sites else "only a header and no sites"
        msg = f"{source.path}: {what}"
        raise DataError(msg)
    variants = variant_table(
        found.names, chromosome=found.chromosomes, position=found.positions, ref=found.refs, alt=found.alts
    )
    check_order(variants, found.places.__getitem__, _SORT)
    variants, renamed = unique_names(variants, found.places.__getitem__)
    values = found.columns.matrix()
    return Samples(
        ids=ids[kept],
        inputs=Inputs(kind="genotype", values=values, variants=variants),
        not_loaded=ids[~kept],
        notes=(*_field_notes(found, options.genotype_field), *_notes(found), *renamed, *genotype_notes(values)),
    )


def _collect(
    samples: Sequence[str],
    kept: npt.NDArray[np.bool_],
    sites: Iterator[Site],
    options: ReadOptions,
    fields: tuple[str, ...],
) -> _Found:
    found = _Found(columns=DosageColumns(int(kept.sum())), stated_ploidy=options.ploidy)
    rows = slice(None) if kept.all() else kept
    for site in sites:
        there = tuple(field for field in fields if field in site.keys)
        if not there:
            raise DataError(_no_field(site, fields))
        if fields == _FIELDS["auto"] and there != fields and there[0] == "GT":
            raise _NoDoseError
        found.sites += 1
        found.with_doses += "DS" in site.keys
        real = [number for number, alt in enumerate(site.alts, start=1) if alt not in _NOT_ALLELES]
        if not real:
            found.without += 1
            continue
        if len(real) > 1 and options.multiallelic == "skip":
            found.skipped += 1
            continue
        found.split += len(real) > 1
        found.filtered += not site.passed
        found.symbolic += any(site.alts[number - 1].startswith("<") for number in real)
        for number, column in zip(real, _dosages(site, samples, real, found, there, rows), strict=True):
            alt = site.alts[number - 1]
            found.columns.append(column)
            found.places.append(site.place)
            found.names.append(f"{site.name}_{alt}" if site.name and len(real) > 1 else site.name)
            found.chromosomes.append(site.chromosome)
            found.positions.append(site.position)
            found.refs.append(site.ref)
            found.alts.append(alt)
    return found


def _no_field(site: Site, fields: tuple[str, ...]) -> str:
    text = f"{site.place}: {site.chromosome}:{site.position} has no {' and no '.join(sorted(fields, reverse=True))}"
    text += f" (FORMAT is {':'.join(site.keys)})"
    if {"GP", "GL", "PL"} & {*site.keys}:
        text += "; probabilities are not read, so state dosages (plink2 --vcf dosage=GP, --export vcf vcf-dosage=DS)"
    return text


def _dosages(
    site: Site,
    samples: Sequence[str],
    real: Sequence[int],
    found: _Found,
    there: tuple[str, ...],
    rows: slice | npt.NDArray[np.bool_],
) -> list[FloatArray]:
    """Return the dosages of each real alternate allele: of the first field there is, of calls where DS is missing."""
    alleles = site.alleles() if "GT" in site.keys else None
    # DS counts alleles, so it ends at 1 in haploid samples and at 4 in tetraploid ones
    ploidy = None if found.stated_ploidy is None else np.full(len(samples), found.stated_ploidy, dtype=np.float32)
    if alleles is not None:
        ploidy = _ploidy(site, alleles, samples, found)
    columns: list[FloatArray] = []
    lacking = np.ones((len(real), len(samples)), dtype=np.bool_)
    if there[0] == "DS":
        columns = list(_from_doses(site, samples, real, ploidy))
        lacking = np.isnan(columns)
        found.stated += int((~lacking[:, rows]).sum())
    if alleles is None or "GT" not in there or not lacking.any():
        return [column[rows] for column in columns]
    calls = list(_from_calls(site, alleles, samples, real, found, ploidy, np.any(lacking, axis=0)))
    found.counted += int((lacking & ~np.isnan(calls))[:, rows].sum())
    filled = np.where(lacking, calls, columns) if columns else calls
    return [column[rows] for column in filled]


def _field_notes(found: _Found, asked: str) -> tuple[str, ...]:
    """Return what the dosages were taken from, where the file leaves a choice."""
    if asked != "auto" or not found.with_doses:
        return ()
    if found.stated and found.counted:
        return (
            f"{found.stated:,} dosages are those stated by the file (DS); where DS is missing, {found.counted:,} are "
            "counted from the calls (GT)",
        )
    if found.stated:
        return ("dosages are those stated by the file (DS), not counted from the calls (GT)",)
    lacking = found.sites - found.with_doses
    why = f"{lacking:,} of {found.sites:,} sites have no DS" if lacking else "DS is empty everywhere"
    return (f"{why}: dosages are counted from the calls (GT)",)


def _from_calls(
    site: Site,
    alleles: AlleleArray,
    samples: Sequence[str],
    real: Sequence[int],
    found: _Found,
    ploidy: FloatArray | None,
    used: npt.NDArray[np.bool_],
) -> Iterator[FloatArray]:
    calls = alleles.T  # NumPy reduces its few long rows many times faster than many short ones
    if calls.max() > len(site.alts):
        row = int(np.argmax(calls.max(axis=0)))
        msg = (
            f"{site.place}: sample {samples[row]!r} has allele number {alleles[row].max()}, but the site has "
            f"{len(site.alts)} alternate allele(s)"
        )
        raise DataError(msg)
    lost = (calls == MISSING).any(axis=0)
    found.half += int((used & lost & (calls >= 0).any(axis=0)).sum()) if lost.any() else 0
    for number in real:
        column = (calls == number).sum(axis=0, dtype=np.float32)
        if ploidy is not None:
            column *= np.float32(_DIPLOID) / ploidy
        column[lost] = np.nan
        yield column


def _ploidy(site: Site, alleles: AlleleArray, samples: Sequence[str], found: _Found) -> FloatArray | None:
    """Return the number of alleles of each sample, or None where it is 2 for all; counts haploid calls."""
    absent = alleles.T == ABSENT
    if alleles.shape[1] == _DIPLOID and not absent.any():
        sizes, seen = None, {_DIPLOID}
    else:
        sizes = (~absent).sum(axis=0)
        # a single dot does not say how many alleles were not called
        unknown = (sizes == 1) & (alleles[:, 0] == MISSING)
        seen = set(np.unique(sizes[~unknown]).tolist())
        found.haploid += int(((sizes == 1) & ~unknown).sum())
        sizes = np.where(unknown, max(seen, default=_DIPLOID), sizes)
    several = sorted(seen - {1})
    if sizes is not None and (len(several) > 1 or (several and several[0] > _DIPLOID and 1 in seen)):
        low, high = min(seen), max(seen)
        pair = [samples[int(np.argmax(sizes == size))] for size in (low, high)]
        msg = (
            f"{site.place}: mixed ploidy: sample {pair[0]!r} has {low} allele(s), sample {pair[1]!r} has {high}; only "
            "haploid calls may stand among diploid ones"
        )
        raise DataError(msg)
    if several:
        found.ploidy = found.ploidy or several[0]
        if several[0] != found.ploidy:
            msg = (
                f"{site.place}: mixed ploidy: calls have {several[0]} alleles, those of the sites before have "
                f"{found.ploidy}"
            )
            raise DataError(msg)
    return None if sizes is None else sizes.astype(np.float32)


def _from_doses(
    site: Site, samples: Sequence[str], real: Sequence[int], ploidy: FloatArray | None
) -> Iterator[FloatArray]:
    doses = site.doses()
    if np.isnan(doses).all():
        doses = np.full((len(samples), len(site.alts)), np.nan)
    if doses.shape[1] != len(site.alts):
        msg = f"{site.place}: DS has {doses.shape[1]} value(s) a sample for {len(site.alts)} alternate allele(s)"
        raise DataError(msg)
    if ploidy is not None:
        doses = doses * (_DIPLOID / ploidy)[:, None]
    wrong = ~np.isnan(doses) & ~((doses >= 0) & (doses <= _DIPLOID))
    if wrong.any():
        row, column = (int(index[0]) for index in np.nonzero(wrong))
        msg = f"{site.place}: sample {samples[row]!r}: a dosage must be from 0 to 2, got {doses[row, column]:g}"
        raise DataError(msg)
    for number in real:
        yield doses[:, number - 1].astype(np.float32)


def _notes(found: _Found) -> tuple[str, ...]:
    sites = f"of {found.sites:,} sites"
    alleles = f"2 x the share of alternate alleles, since calls have {found.ploidy} alleles"
    kinds = (
        (found.split, f"{found.split:,} {sites} have several alternate alleles; each allele is a variant of its own"),
        (found.skipped, f"{found.skipped:,} {sites} have several alternate alleles and are skipped"),
        (found.without, f"{found.without:,} {sites} have no alternate allele (or only *) and are left out"),
        (found.symbolic, f"{found.symbolic:,} {sites} have a symbolic alternate allele, for example <DEL>"),
        (found.filtered, f"{found.filtered:,} {sites} did not pass the filters of the file (FILTER); they are kept"),
        (found.haploid, f"{found.haploid:,} calls are haploid and count as 0 or 2, like those of PLINK"),
        (found.half, f"{found.half:,} calls are half missing (./1) and count as missing"),
        (found.ploidy > _DIPLOID, f"dosages are {alleles}"),
    )
    return tuple(text for there, text in kinds if there)


READERS.add("vcf")(VcfReader())
