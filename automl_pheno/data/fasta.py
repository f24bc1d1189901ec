"""FASTA: ``>id description`` and lines of bases."""

from __future__ import annotations

from collections.abc import Collection

from automl_pheno.data.cells import Table, check_ids
from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import encode_sequences
from automl_pheno.data.read import READERS, ReadOptions, Samples
from automl_pheno.data.source import Preview, Source
from automl_pheno.errors import DataError


class FastaReader:
    """Sequences from FASTA: the id ends at the first white space, what follows becomes the column ``description``."""

    def recognises(self, preview: Preview, missing: Collection[str]) -> bool:
        """Say whether the file begins with ``>``."""
        del missing
        return preview.first_line.startswith(">")

    def read(self, source: Source, options: ReadOptions) -> Samples:
        """Read all records; raises DataError for an empty id, a duplicated id or a character that is no base."""
        del options
        names: list[str] = []
        descriptions: list[str] = []
        lines: list[int] = []
        parts: list[list[str]] = []
        for number, line in enumerate(source.lines(), start=1):
            text = line.strip()
            if text.startswith(">"):
                words = text[1:].split(maxsplit=1)
                names.append(words[0] if words else "")
                descriptions.append(words[1] if len(words) > 1 else "")
                lines.append(number)
                parts.append([])
            elif text and not parts:
                msg = f"{source.at(number)}: FASTA must begin with '>', got {text[:20]!r}"
                raise DataError(msg)
            elif text:
                parts[-1].append(text)
        ids = check_ids(names, lines, source.path, ">")
        codes, notes = encode_sequences(
            ["".join(part) for part in parts], lambda row, position: source.at(_line_of(source, lines[row], position))
        )
        described = any(descriptions)
        return Samples(
            ids=ids,
            inputs=Inputs(kind="sequence", values=codes),
            table=Table(path=source.path, lines=lines, cells={"description": descriptions}) if described else None,
            notes=notes,
        )


def _line_of(source: Source, header: int, position: int) -> int:
    """Return the line of the base at `position` of the record whose ``>`` is in line `header`."""
    for number, line in enumerate(source.lines(), start=1):
        if number > header:
            text = line.strip()
            if text.startswith(">"):
                break
            if position < len(text):
                return number
            position -= len(text)
    return header


READERS.add("fasta")(FastaReader())
