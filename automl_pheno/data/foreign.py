"""Files of other programs, known by their first bytes: what they are and what to do."""

from __future__ import annotations

import re

_AS_CSV = "save the table as CSV (UTF-8)"
_FROM_R = "write the table with write.csv(TABLE, FILE, row.names = FALSE)"
_FROM_PANDAS = "write the table as CSV (pandas: to_csv)"
_AS_GZIP = "unpack it, or pack it with gzip"
_AS_FASTA = "convert it to FASTA or a table"

_KNOWN: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), what, remedy)
    for pattern, what, remedy in (
        (rb"PK\x03\x04.{26}(xl/|\[Content_Types|_rels|docProps|mimetypeapplication/vnd\.oasis)",
         "a spreadsheet (Excel, OpenDocument)", _AS_CSV),
        (rb"PK\x03\x04", "a zip archive", "unpack it"),
        (rb"\xd0\xcf\x11\xe0", "an old Excel file", _AS_CSV),
        (rb"\xff\xfe|\xfe\xff", "binary (or UTF-16), not UTF-8 text", "save it as UTF-8"),
        (rb"RD[AX]\d\n|[XAB]\n\x00\x00\x00[\x02\x03]", "a file of R (.rds, .RData)", _FROM_R),
        (rb"PAR1", "a Parquet file", _FROM_PANDAS),
        (rb"ARROW1|FEA1", "a Feather file", _FROM_PANDAS),
        (rb"\x89HDF", "an HDF5 file", _FROM_PANDAS),
        (rb"\x93NUMPY", "a NumPy array", _FROM_PANDAS),
        (rb"SQLite format 3", "a database (SQLite)", _AS_CSV),
        (rb"BZh\d", "packed with bzip2", _AS_GZIP),
        (rb"\xfd7zXZ", "packed with xz", _AS_GZIP),
        (rb"\x28\xb5\x2f\xfd", "packed with zstd", _AS_GZIP),
        (rb"BAM\x01|CRAM|@HD\t|@SQ\t", "a file of aligned reads (SAM, BAM, CRAM)", "call variants, or take FASTA"),
        (rb"\x1a\x41\x27\x43|\x43\x27\x41\x1a", "a 2bit file", "convert it to FASTA (twoBitToFa)"),
        (rb"%PDF", "a PDF", _AS_CSV),
        (rb"\s*<(!DOCTYPE|html|\?xml)", "a web page or XML", "was it downloaded whole? Take the file itself"),
        (rb"\s*[{\[]\s*[\"{\[]", "JSON", _FROM_PANDAS),
        (rb"version https://git-lfs", "a pointer of Git LFS, not the file", "fetch the file (git lfs pull)"),
        (rb"LOCUS  |ID   \w", "GenBank or EMBL", _AS_FASTA),
        (rb"##gff-version", "GFF", "give intervals as BED with --genome"),
        (rb"CLUSTAL|#NEXUS|# STOCKHOLM", "an alignment", _AS_FASTA),
    )
)  # fmt: skip


def foreign(head: bytes) -> str:
    """Return what a file that begins so is, and the remedy, "" for none that is known."""
    return next((f"is {what}; {remedy}" for pattern, what, remedy in _KNOWN if pattern.match(head)), "")
