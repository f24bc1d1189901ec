"""Motifs as text in the minimal MEME format, version 4, which most motif tools read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.errors import DataError
from automl_pheno.explain.motifs.pwm import frequencies_of

EVEN = (0.25, 0.25, 0.25, 0.25)
_ROW = re.compile(r"^[\s\d.eE+-]+$")
_KEY = re.compile(r"(\w+)\s*=\s*([^\s=]+)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemeMotif:
    """A motif of a MEME file.

    Attributes
    ----------
    name, alternate
        Without blanks; `alternate` may be empty.
    frequencies
        Base frequencies, shape (width, 4), rows sum to 1.
    sites
        Number of sequences it was made from; 0 is unknown.
    """

    name: str
    frequencies: FloatArray
    alternate: str = ""
    sites: int = 0


def meme_text(motifs: Iterable[MemeMotif], *, background: tuple[float, float, float, float] = EVEN) -> str:
    """Return a MEME version 4 file of `motifs`.

    Parameters
    ----------
    background
        Frequencies of A, C, G, T in the sequences.

    Raises
    ------
    DataError
        A name is empty or has blanks, or a matrix is not (width, 4) with rows that sum to 1.
    """
    letters = " ".join(f"{base} {share:.5f}" for base, share in zip("ACGT", background, strict=True))
    lines = [
        "MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", "", "Background letter frequencies", letters, "",
    ]  # fmt: skip
    for motif in motifs:
        _check(motif)
        lines.append(f"MOTIF {motif.name} {motif.alternate}".rstrip())
        # the format has no "unknown"; tools take 20 where nsites is missing
        lines.append(
            f"letter-probability matrix: alength= 4 w= {len(motif.frequencies)} nsites= {motif.sites or 20} E= 0"
        )
        lines += [" " + " ".join(f"{value:.6f}" for value in row) for row in motif.frequencies]
        lines.append("")
    return "\n".join(lines) + "\n"


def _check(motif: MemeMotif) -> None:
    for text in (motif.name, motif.alternate):
        if re.search(r"\s", text) or not motif.name:
            msg = f"the name of a motif in a MEME file must be one word, got {motif.name!r} {motif.alternate!r}"
            raise DataError(msg)
    p = np.asarray(motif.frequencies)
    if p.ndim != 2 or p.shape[1] != 4 or not len(p) or not np.allclose(p.sum(axis=1), 1.0, atol=1e-3):
        msg = f"motif {motif.name!r}: frequencies must be (width, 4) with rows that sum to 1, got shape {p.shape}"
        raise DataError(msg)


def read_meme(text: str, *, file: str = "MEME text") -> list[MemeMotif]:
    """Return the motifs of a MEME file (minimal or full, DNA).

    Parameters
    ----------
    file
        For error messages.

    Raises
    ------
    DataError
        No version line, another alphabet, or a matrix that is cut short or not of four numbers a row.
    """
    lines = text.splitlines()
    if not any(line.startswith("MEME version") for line in lines):
        msg = f"{file}: no line 'MEME version ...'; this is not a MEME file"
        raise DataError(msg)
    found: list[MemeMotif] = []
    name, alternate = "", ""
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        if line.startswith("ALPHABET=") and line.removeprefix("ALPHABET=").strip() != "ACGT":
            msg = f"{file}:{number}: the alphabet must be ACGT, got {line.removeprefix('ALPHABET=').strip()!r}"
            raise DataError(msg)
        if line.startswith("MOTIF"):
            words = line.split()
            name, alternate = (words[1] if len(words) > 1 else ""), (words[2] if len(words) > 2 else "")
        if line.startswith("letter-probability matrix"):
            matrix, number = _matrix(lines, number, line, f"{file}:{number}")
            sites = int(float(dict(_KEY.findall(line)).get("nsites", 0)))
            found.append(
                MemeMotif(name=name or str(len(found) + 1), alternate=alternate, frequencies=matrix, sites=sites)
            )
    return found


def _matrix(lines: list[str], number: int, header: str, where: str) -> tuple[FloatArray, int]:
    """Return the matrix that starts at line `number` and the number of the line after it."""
    rows = []
    while number < len(lines) and lines[number].strip() and _ROW.match(lines[number]):
        try:
            rows.append([float(value) for value in lines[number].split()])
        except ValueError:
            rows.append([])
        number += 1
    width = dict(_KEY.findall(header)).get("w")
    if not rows or any(len(row) != 4 for row in rows) or (width is not None and len(rows) != int(width)):
        msg = f"{where}: the matrix must have {width or 'some'} rows of four numbers, got {len(rows)} rows"
        raise DataError(msg)
    return frequencies_of(np.array(rows), 0.0), number
