"""BCF, and VCF on request, through cyvcf2 (extra ``vcf``); ``vcf.py`` turns the sites into dosages."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.data.source import Source
from automl_pheno.data.vcf_text import Site, check_samples
from automl_pheno.errors import DataError

BCF_MAGIC = b"BCF"
_STDERR = 2

Opened = tuple[tuple[str, ...], Callable[[], Iterator[Site]]]
"""Sample ids, and what yields the sites from the first on, each time it is called."""


def open_cyvcf2(source: Source) -> Opened:
    """Open BCF, or VCF, with cyvcf2.

    Raises
    ------
    DataError
        cyvcf2 is not installed, or does not read the file.
    """
    try:
        from cyvcf2 import VCF
    except ImportError:
        msg = (
            f"{source.path}: BCF is read with cyvcf2, which is not installed: pip install 'automl-pheno[vcf]', or "
            "convert to VCF (bcftools view)"
        )
        raise DataError(msg) from None
    with _htslib(source.path) as reading, reading(0):
        samples = list(VCF(str(source.path)).samples)
    if not samples:
        msg = f"{source.path}: no samples; sites alone have no calls"
        raise DataError(msg)

    def sites() -> Iterator[Site]:
        with _htslib(source.path) as reading:
            with reading(0):
                opened = iter(VCF(str(source.path)))
            for number in itertools.count(1):
                with reading(number):
                    variant = next(opened, None)
                if variant is None:
                    return
                yield _from_cyvcf2(f"{source.path}: record {number}", variant)

    return check_samples(samples, str(source.path)), sites


def _from_cyvcf2(place: str, variant: Any) -> Site:
    """Return a record; its arrays may be views into memory that the next record overwrites, so each is copied."""
    return Site(
        place=place,
        chromosome=str(variant.CHROM),
        position=int(variant.POS),
        name=str(variant.ID or ""),
        ref=str(variant.REF),
        alts=tuple(variant.ALT),
        passed=variant.FILTER is None,
        keys=tuple(variant.FORMAT),
        alleles=lambda: variant.genotype.array()[:, :-1].copy(),
        doses=lambda: variant.format("DS").astype(np.float64, copy=True),
    )


@contextlib.contextmanager
def _htslib(path: Path) -> Iterator[Callable[[int], contextlib.AbstractContextManager[None]]]:
    """Yield ``reading(record)``, which turns what cyvcf2 raises into DataError.

    The reason is in what htslib writes to standard error by itself, so that is caught meanwhile.
    """
    with tempfile.TemporaryFile() as caught:

        @contextlib.contextmanager
        def reading(record: int) -> Iterator[None]:
            sys.stderr.flush()
            kept = os.dup(_STDERR)
            try:
                os.dup2(caught.fileno(), _STDERR)
                yield
            except Exception as error:  # noqa: BLE001 - cyvcf2 raises bare Exception
                caught.seek(0)
                lines = caught.read().decode("utf-8", errors="replace").split("\n")
                said = [line.split("] ", 1)[-1] for line in lines if line.startswith("[E::")]
                where = f" after record {record - 1:,}" if record > 1 else ""
                msg = f"{path}: is damaged{where}: {said[0] if said else error}"
                raise DataError(msg) from None
            finally:
                os.dup2(kept, _STDERR)
                os.close(kept)

        yield reading
