"""MEME files: what is written is read back, here and by another reader, and what is no MEME file is refused."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from automl_pheno.errors import DataError
from automl_pheno.explain.motifs.meme import MemeMotif, meme_text, read_meme

# as MEME Suite's own tools write it
SAMPLE = """MEME version 5.4.1 (Release date: Sat Aug 21 19:23:23 2021 -0700)

ALPHABET= ACGT

strands: + -

Background letter frequencies (from uniform background):
A 0.25000 C 0.25000 G 0.25000 T 0.25000

MOTIF MA0108.2 TBP

letter-probability matrix: alength= 4 w= 3 nsites= 389 E= 0
  0.156812\t  0.372751\t  0.390746\t  0.079691\t
  0.041131\t  0.118252\t  0.046272\t  0.794344\t
  0.904884\t  0.000000\t  0.005141\t  0.089974\t

URL http://jaspar.genereg.net/matrix/MA0108.2

MOTIF second
letter-probability matrix: alength= 4 w= 1
1 0 0 0
"""


def motifs() -> list[MemeMotif]:
    rng = np.random.default_rng(0)
    return [
        MemeMotif(name=f"motif_{i}", alternate="TATAW" * (i % 2), frequencies=rng.dirichlet(np.ones(4), 5 + i), sites=i)
        for i in range(1, 4)
    ]


def test_round_trip() -> None:
    wrote = motifs()
    read = read_meme(meme_text(wrote, background=(0.3, 0.2, 0.2, 0.3)))
    assert [(m.name, m.alternate, m.sites) for m in read] == [(m.name, m.alternate, m.sites) for m in wrote]
    for a, b in zip(wrote, read, strict=True):
        np.testing.assert_allclose(a.frequencies, b.frequencies, atol=2e-6)


def test_another_reader_understands_it() -> None:
    parser = pytest.importorskip("Bio.motifs")
    wrote = [replace(motif, sites=1_000_000) for motif in motifs()]  # it rounds to whole counts
    read = parser.parse(io.StringIO(meme_text(wrote)), "minimal")
    assert [motif.name.split()[0] for motif in read] == [motif.name for motif in wrote]
    for a, b in zip(wrote, read, strict=True):
        np.testing.assert_allclose(a.frequencies, np.array([b.pwm[base] for base in "ACGT"]).T, atol=1e-5)


def test_a_file_of_the_meme_suite_is_read() -> None:
    first, second = read_meme(SAMPLE)
    assert (first.name, first.alternate, first.sites) == ("MA0108.2", "TBP", 389)
    np.testing.assert_allclose(first.frequencies[1], [0.041131, 0.118252, 0.046272, 0.794344], atol=1e-5)
    assert (second.name, second.sites) == ("second", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGT\n", "x.meme: no line 'MEME version"),
        (SAMPLE.replace("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY"), "x.meme:3: the alphabet must be ACGT"),
        (SAMPLE.replace("w= 3", "w= 4"), "x.meme:12: the matrix must have 4 rows of four numbers, got 3"),
        (SAMPLE.replace("1 0 0 0", "1 0 0"), "x.meme:20: the matrix must have 1 rows of four numbers"),
        (SAMPLE.replace("1 0 0 0", "1 0 0 e-"), "x.meme:20: the matrix must have"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_meme(text, file="x.meme")


@pytest.mark.parametrize(
    ("motif", "message"),
    [
        (MemeMotif(name="two words", frequencies=np.full((2, 4), 0.25)), "must be one word"),
        (MemeMotif(name="", frequencies=np.full((2, 4), 0.25)), "must be one word"),
        (MemeMotif(name="a", frequencies=np.full((2, 4), 0.5)), "rows that sum to 1"),
        (MemeMotif(name="a", frequencies=np.full((0, 4), 0.25)), r"got shape \(0, 4\)"),
    ],
)
def test_motifs_that_cannot_be_written_are_refused(motif: MemeMotif, message: str) -> None:
    with pytest.raises(DataError, match=message):
        meme_text([motif])
