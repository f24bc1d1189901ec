"""Bad VCF, PLINK, intervals, genomes, trait tables and variants: exit code 2, one clear line, nothing written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automl_pheno.api.data import read
from automl_pheno.data.export import write_plink, write_vcf
from automl_pheno.simulate.genotypes import simulate_genotypes

Prepare = Callable[[Path], object]
Refuses = Callable[[tuple[str, ...], tuple[str, ...]], None]
CASES: list[Any] = []

SPLIT = ("split", "--trait", "trait", "-o", "out", "--data")
PREDICT = ("predict", "run", "-o", "predictions.csv")
INTERVALS = (*PREDICT, "peaks.bed", "--genome", "genome.fa")


def case(name: str, words: tuple[str, ...], expected: tuple[str, ...], prepare: Prepare) -> None:
    CASES.append(pytest.param(prepare, words, expected, id=name))


def nothing(folder: Path) -> None:
    """Change nothing."""


def edit(name: str, old: str, new: str) -> Prepare:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def lines(name: str, change: Callable[[list[str]], object]) -> Prepare:
    def prepare(folder: Path) -> None:
        rows = (folder / name).read_text().splitlines(keepends=True)
        change(rows)
        (folder / name).write_text("".join(rows))

    return prepare


def swap(first: int, second: int) -> Callable[[list[str]], object]:
    def change(rows: list[str]) -> None:
        rows[first], rows[second] = rows[second], rows[first]

    return change


def cell(row: int, column: int, text: str) -> Callable[[list[str]], object]:
    def change(rows: list[str]) -> None:
        cells = rows[row].rstrip("\n").split("\t")
        cells[column] = text
        rows[row] = "\t".join(cells) + "\n"

    return change


def repeat(row: int) -> Callable[[list[str]], object]:
    return lambda rows: rows.insert(row, rows[row])


def repeat_sample(rows: list[str]) -> None:
    cell(4, 10, rows[4].split("\t")[9])(rows)


def cut(name: str, size: int) -> Prepare:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-size])


def variants(text: str) -> Prepare:
    file = Path("run", "best", "variants.csv")
    return lambda folder: (folder / file).write_text(f"id,chromosome,position,ref,alt\n{text}")


def pack(name: str, size: int = 0) -> Prepare:
    def prepare(folder: Path) -> None:
        packed = gzip.compress((folder / name).read_bytes(), mtime=0)
        (folder / f"{name}.gz").write_bytes(packed[: len(packed) - size])

    return prepare


def empty(name: str) -> Prepare:
    return lambda folder: (folder / name).write_bytes(b"")


def remove(name: str) -> Prepare:
    return lambda folder: (folder / name).unlink()


def binary(name: str, start: bytes) -> Prepare:
    return lambda folder: (folder / name).write_bytes(start + (folder / name).read_bytes()[len(start) :])


# --- VCF: the header is 5 lines, so row 5 is the first site, in line 6
VCF = (*SPLIT, "g.vcf", "--trait-table", "t.csv")
case("VCF without GT", VCF, ("g.vcf:6", "has no GT", "DP"), lines("g.vcf", cell(5, 8, "DP")))
case("VCF with sites alone", VCF, ("g.vcf:5", "no samples"),
     lines("g.vcf", lambda rows: rows.__setitem__(4, "\t".join(rows[4].split("\t")[:8]) + "\n")))  # fmt: skip
case("VCF without a header", VCF, ("g.vcf", "#CHROM"), lines("g.vcf", lambda rows: rows.__delitem__(slice(5))))
case(
    "VCF with a header alone", VCF, ("g.vcf", "no sites"), lines("g.vcf", lambda rows: rows.__delitem__(slice(5, None)))
)
case("VCF with a sample twice", VCF, ("g.vcf:5", "unique"), lines("g.vcf", repeat_sample))
case("VCF with a variant twice", VCF, ("g.vcf:7", "is already at g.vcf:6"), lines("g.vcf", repeat(5)))
case("VCF that is not sorted", VCF, ("g.vcf:7", "stands after", "bcftools sort"), lines("g.vcf", swap(5, 6)))
case("VCF of mixed ploidy", VCF, ("g.vcf:6", "mixed ploidy", "3"), lines("g.vcf", cell(5, 9, "0/0/1")))
case("VCF with a call of words", VCF, ("g.vcf:6", "'A/G'"), lines("g.vcf", cell(5, 9, "A/G")))
case("VCF with an allele that is not there", VCF, ("g.vcf:6", "allele number 4"), lines("g.vcf", cell(5, 9, "0/4")))
case("VCF with a call too few", VCF, ("g.vcf:8", "columns"), lines("g.vcf", lambda rows: rows.__setitem__(
    7, rows[7].rsplit("\t", 1)[0] + "\n")))  # fmt: skip
case("VCF with a position of words", VCF, ("g.vcf:6", "position", "'far'"), lines("g.vcf", cell(5, 1, "far")))
case("VCF that is cut off", VCF, ("g.vcf:", "columns"), cut("g.vcf", 30))
case("VCF in gzip that is cut off", (*SPLIT, "g.vcf.gz"), ("g.vcf.gz", "truncated"), pack("g.vcf", 50))
case(
    "VCF that is empty",
    ("search", "--space", "space_genotype.yaml", *VCF[1:3], *VCF[5:]),
    ("g.vcf", "empty"),
    empty("g.vcf"),
)
case(
    "VCF without DS that is asked for", (*PREDICT, "g.vcf", "--genotype-field", "DS"), ("g.vcf:6", "has no DS"), nothing
)
case("VCF and an unknown field", (*PREDICT, "g.vcf", "--genotype-field", "GTT"), ("GTT", "did you mean 'GT'"), nothing)
case("VCF and an unknown choice", (*PREDICT, "g.vcf", "--multiallelic", "both"), ("both", "split"), nothing)

# --- PLINK
BED = (*SPLIT, "g")
case("bed that is truncated", BED, ("g.bed", "truncated"), cut("g.bed", 7))
case("bed of samples", BED, ("g.bed", "samples one after another"), binary("g.bed", b"\x6c\x1b\x00"))
case("bed that is empty", BED, ("g.bed", "empty"), empty("g.bed"))
case("bim of another length", BED, ("g.bed", "other .bim and .fam"), lines("g.bim", lambda rows: rows.pop()))
case("fam of another length", BED, ("g.bed", "other .bim and .fam"), lines(
    "g.fam", lambda rows: rows.__delitem__(slice(30, None))))  # fmt: skip
case("bim that is missing", BED, ("g.bim", "no such file"), remove("g.bim"))
case("fam that is missing", BED, ("g.fam", "no such file"), remove("g.fam"))
case("fam that is empty", BED, ("g.fam", "empty"), empty("g.fam"))
case("fam with a sample twice", BED, ("g.fam:2", "already in line 1"), lines(
    "g.fam", lambda rows: rows.__setitem__(1, rows[0])))  # fmt: skip
case("fam with five columns", BED, ("g.fam:1", "6 columns"), edit("g.fam", " 0 0 0 ", " 0 0 "))
case("bim with a variant twice", BED, ("g.bim:2", "g.bim:1"), lines("g.bim", lambda rows: rows.__setitem__(1, rows[0])))
case("bim that is not sorted", BED, ("g.bim:2", "stands after", "plink"), lines("g.bim", swap(0, 1)))
case("bim with a position of words", BED, ("g.bim:1", "position"), lines("g.bim", cell(0, 3, "1e6")))
case(
    "PLINK 2", (*SPLIT, "g.pgen"), ("g.pgen", "--make-bed"), lambda folder: (folder / "g.bed").rename(folder / "g.pgen")
)

# --- tables of genotypes
TABLE = (*SPLIT, "d.csv", "--trait-table", "t.csv")


def genotypes(extra: str, of: Callable[[int, float], str], of_all: Callable[[int], str] = str) -> Prepare:
    """Write a table of dosages with one more column, made of the row and its trait."""

    def prepare(folder: Path) -> None:
        traits = [line.split(",") for line in (folder / "t.csv").read_text().splitlines()[1:]]
        rows = [["id", *(f"rs{k}" for k in range(12)), extra]]
        for row, (name, value) in enumerate(traits):
            rows.append([name, *(of_all((row * (k + 2) + k) % 3) for k in range(12)), of(row, float(value))])
        (folder / "d.csv").write_text("".join(",".join(line) + "\n" for line in rows))

    return prepare


case("dosages with a copy of the trait", TABLE, ("rs99", "the trait 'trait' itself", "chromosome and position"),
     genotypes("rs99", lambda _, value: f"{1 + value / 500:.9f}"))  # fmt: skip
case("dosages with a phenotype", TABLE, ("d.csv", "'PHENOTYPE'", "trait table"),
     genotypes("PHENOTYPE", lambda row, _: str(row % 3)))  # fmt: skip
case("dosages with the trait by name", TABLE, ("d.csv", "'trait'", "trait table"),
     genotypes("trait", lambda row, _: str(row % 3)))  # fmt: skip
case("dosages of a tetraploid", TABLE, ("d.csv:3", "'4'", "--ploidy 4"),
     genotypes("rs12", lambda row, _: "4" if row else "2"))  # fmt: skip
case("dosages with -9", TABLE, ("d.csv:2", "'-9'", "--missing -9"), genotypes("rs12", lambda row, _: "-9"))
case("letters of three alleles", TABLE, ("d.csv:3", "'rs12'", "'CC'", "--multiallelic skip"),
     genotypes("rs12", lambda row, _: ("AA", "CC", "GG", "AG")[min(row, 3)],
               ("AA", "AG", "GG").__getitem__))  # fmt: skip

# --- intervals and genomes
case("intervals without a genome", (*PREDICT, "peaks.bed"), ("peaks.bed", "--genome"), nothing)
case("interval beyond the end", INTERVALS, ("peaks.bed:1", "99", "60 bp"), edit("peaks.bed", "\t30", "\t99"))
case(
    "interval of an unknown chromosome", INTERVALS, ("peaks.bed:1", "'chr3'", "chr1"), edit("peaks.bed", "chr1", "chr3")
)
case("interval with start at its end", INTERVALS, ("peaks.bed:1", "start < end"), edit("peaks.bed", "\t0\t", "\t30\t"))
case("interval with a negative start", INTERVALS, ("peaks.bed:1", "'-5'"), edit("peaks.bed", "\t0\t", "\t-5\t"))
case("interval with a bad strand", INTERVALS, ("peaks.bed:2", "strand", "'minus'"), edit("peaks.bed", "-\n", "minus\n"))
case("interval twice", INTERVALS, ("peaks.bed:2", "already in line 1"),
     lambda folder: (folder / "peaks.bed").write_text("chr1\t0\t30\n" * 2))  # fmt: skip
case("genome that is missing", (*INTERVALS[:-1], "none.fa"), ("none.fa", "no such file"), nothing)
case("genome that is empty", INTERVALS, ("genome.fa", "empty"), empty("genome.fa"))
case("genome of uneven lines", INTERVALS, ("genome.fa", "indexed"), edit("genome.fa", "ACGTACGTAC\n", "ACG\n"))
case("genome that is a table", (*INTERVALS[:-1], "data.csv"), ("data.csv", "FASTA"), nothing)
case("genome for a table", (*PREDICT, "data.csv", "--genome", "genome.fa"), ("data.csv", "intervals"), nothing)

# --- trait tables
case(
    "trait table with an empty id",
    VCF,
    ("t.csv:2", "empty"),
    lines("t.csv", lambda rows: rows.__setitem__(1, ",1\n")),
)
case("trait table in gzip that is cut off", (*SPLIT, "g.vcf", "--trait-table", "t.csv.gz"), ("t.csv.gz", "truncated"),
     pack("t.csv", 20))  # fmt: skip
case("trait table that is a VCF", (*SPLIT, "g.vcf", "--trait-table", "g.vcf"), ("g.vcf", "trait table"), nothing)
case(
    "trait table without rows",
    VCF,
    ("t.csv", "no rows"),
    lines("t.csv", lambda rows: rows.__delitem__(slice(1, None))),
)
case("trait table whose replicates have no room", VCF, ("t.csv", "trait_n"), lambda folder: (
    folder / "t.csv").write_text("id,trait,trait_n\nsample_00,1,1\nsample_00,2,1\nsample_01,3,1\n"))  # fmt: skip

# --- variants that the winner reads
case("variants of other alleles", (*PREDICT, "g.vcf"), ("other alleles", "AAAA"),
     variants("chr1_50000,1,1,AAAA,CCCC\n"))  # fmt: skip
case("variants of which none is there", (*PREDICT, "g.vcf"), ("none of the 2", "chr1_50000"), nothing)


def fill(folder: Path) -> None:
    data, _ = simulate_genotypes(n=40, n_variants=12, n_causal=3, n_chromosomes=2, seed=1)
    write_vcf(data, "g.vcf")
    write_plink(data, "g")
    values = enumerate(data.y("trait").tolist())
    (folder / "t.csv").write_text("id,trait\n" + "".join(f"{data.ids[i]},{value}\n" for i, value in values))
    (folder / "peaks.bed").write_text("chr1\t0\t30\ta\t1\t+\nchr1\t30\t60\tb\t2\t-\nchr2\t5\t20\tc\t3\t+\n")
    (folder / "genome.fa").write_text(">chr1\n" + "ACGTACGTAC\n" * 6 + ">chr2\n" + "GGGTTTAAAC\n" * 3)
    best = folder / "run" / "best"
    best.mkdir(parents=True)
    (folder / "run" / "study.yaml").write_text("schema: 1\n")
    header = {"kind": "ridge", "input": "genotype", "width": 2, "trait": "trait"}
    (best / "predictor.json").write_text(json.dumps(header))
    (best / "variants.csv").write_text("id,chromosome,position,ref,alt\nrs1,9,1,A,C\nrs2,9,2,A,C\n")


@pytest.mark.parametrize(("prepare", "words", "expected"), CASES)
def test_bad_data_are_one_line_and_write_nothing(
    folder: Path, refuses: Refuses, prepare: Prepare, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    fill(folder)
    prepare(folder)
    refuses(words, expected)


def test_what_was_spoilt_was_good_before(folder: Path) -> None:
    fill(folder)
    first = read("g.vcf", trait_table="t.csv")
    assert first.inputs.values.shape == (40, 12)
    assert read("g").y("phenotype").tolist() == first.y("trait").tolist()
    assert read("peaks.bed", genome="genome.fa").inputs.values.shape == (3, 30)


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 40
    assert len({parameters.id for parameters in CASES}) == len(CASES)
