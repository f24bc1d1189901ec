import gzip

import numpy as np
import pytest

from automl_pheno.data import decode, read_dataset
from automl_pheno.errors import DataError

GENOME = ">chr1 first\nACGTACGTAC\nGGGTTTCCCA\nAT\n>chr2\nnnnnACGTTT\n"
CHR1 = "ACGTACGTACGGGTTTCCCAAT"
BED6 = "chr1\t0\t6\tone\t1.5\t+\nchr1\t8\t22\ttwo\t2.5\t-\nchr2\t4\t10\tthree\t3\t.\n"


@pytest.fixture
def write(tmp_path):
    def make(text, name):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


@pytest.fixture
def read(write):
    def make(text, name="peaks.bed", genome=GENOME, genome_name="g.fa", **options):
        return read_dataset(write(text, name), genome=write(genome, genome_name), **options)

    return make


def turned(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_bed_gives_sequences_of_the_strand_and_columns(read, tmp_path):
    data = read(BED6)
    assert data.kind == "sequence"
    assert decode(data.inputs.values) == ["ACGTAC", turned(CHR1[8:22]), "ACGTTT"]
    assert data.ids.tolist() == ["one", "two", "three"]
    assert data.y("score").tolist() == [1.5, 2.5, 3]
    assert list(data.traits) == ["score"]
    assert data.columns["chromosome"].tolist() == ["chr1", "chr1", "chr2"]
    assert data.columns["start"].tolist() == [0, 8, 4]
    assert data.columns["end"].tolist() == [6, 22, 10]
    assert data.columns["strand"].tolist() == ["+", "-", None]
    assert any("1 of 3 intervals are on strand -" in note for note in data.notes)
    assert len(data.files) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.fa", "peaks.bed"]


LAYOUTS = {
    "table": ("chrom,start,end,strand,leaf\nchr1,0,6,+,1\nchr1,8,22,-,2\n", "t.csv", "leaf"),
    "tab header": ("#chrom\tstart\tend\tname\tscore\tstrand\tleaf\nchr1\t0\t6\ta\t0\t+\t1\nchr1\t8\t22\tb\t0\t-\t2\n",
                   "t.bed", "leaf"),
    "bedgraph": ("track type=bedGraph name=x\nchr1 0 6 1\nchr1 8 22 2\n", "t.bedGraph", "score"),
    "comments": ("# made by hand\n#again\nchr1\t0\t6\tx\t1\t+\nchr1\t8\t22\ty\t2\t-\n", "t.bed", "score"),
    "narrow peaks": ("chr1\t0\t6\t.\t0\t.\t1\t-1\t-1\t3\nchr1\t8\t22\t.\t0\t.\t2\t-1\t-1\t3\n", "t.narrowPeak",
                     "signal_value"),
    "more columns": ("chr1\t0\t6\tx\t0\t+\t1\nchr1\t8\t22\ty\t0\t+\t2\n", "t.bed", "column7"),
    "gzip": (gzip.compress(BED6.encode()), "t.bed.gz", None),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_every_layout_of_intervals(read, case):
    text, name, trait = LAYOUTS[case]
    data = read(text, name)
    first, second = decode(data.inputs.values)[:2]
    assert first == CHR1[:6]
    assert second in (CHR1[8:22], turned(CHR1[8:22]))
    if trait is not None:
        assert data.y(trait).tolist() == [1, 2]
    assert {"start", "end"}.isdisjoint(data.traits)


def test_bed3_is_named_by_place_and_joined_with_a_trait_table(read, write):
    table = write("id,leaf\ntwo,2\none,1\n", "t.csv")
    assert read("chr1\t0\t6\nchr2\t4\t10\n").ids.tolist() == ["chr1:0-6", "chr2:4-10"]
    data = read(BED6, trait_table=table)
    assert data.y("leaf").tolist() == [1, 2]
    places = write("id,leaf\nchr1:0-6(+),7\n", "p.csv")
    assert read(BED6, trait_table=places).y("leaf").tolist() == [7]


@pytest.mark.parametrize("name", ["g.fa.gz", "g.fa"])
def test_a_gzipped_genome_and_other_names_of_chromosomes(read, name):
    packed = gzip.compress(GENOME.replace(">chr", ">").encode())
    data = read(BED6, genome=packed, genome_name=name)
    assert decode(data.inputs.values)[0] == "ACGTAC"
    assert data.columns["chromosome"].tolist() == ["1", "1", "2"]
    assert any("matched so" in note for note in data.notes)


def test_an_index_beside_the_genome_is_used_unless_it_is_older(read, write, tmp_path):
    import os

    import pyfaidx

    path = write(GENOME, "g.fa")
    pyfaidx.Fasta(str(path)).close()
    index = tmp_path / "g.fa.fai"
    assert index.exists()
    os.utime(index, (1, 1))
    data = read(BED6, genome=">chr1\nTTTTTTTTTTTTTTTTTTTTTT\n>chr2\nACGTACGTACGT\n")
    assert decode(data.inputs.values)[0] == "TTTTTT"


def test_the_ends_of_chromosomes_belong_to_them(read):
    assert decode(read("chr1\t0\t22\na\t0\t1\n".replace("a\t", "chr2\t")).inputs.values) == [CHR1, "N"]


BAD = {
    "beyond the end": (BED6.replace("8\t22", "8\t23"), "peaks.bed:2: the interval ends at 23, but chr1 has 22 bp"),
    "unknown chromosome": (BED6.replace("chr2", "chr9"), "peaks.bed:3: chromosome 'chr9' is not in .*known: chr1"),
    "start is end": (BED6.replace("8\t22", "22\t22"), "peaks.bed:2: an interval must have start < end, got 22 and 22"),
    "start after end": (BED6.replace("0\t6", "6\t0"), "peaks.bed:1: .* got 6 and 0"),
    "negative start": (BED6.replace("chr1\t0", "chr1\t-1"), "peaks.bed:1: start must be .* got '-1'"),
    "end is a word": (BED6.replace("22", "end"), "peaks.bed:2: end must be .* got 'end'"),
    "bad strand": (BED6.replace("-", "x"), "peaks.bed:2: strand must be .* got 'x'"),
    "two columns": ("chr1\t0\nchr1\t5\n", "peaks.bed:1: an interval has at least"),
    "ragged": (BED6 + "chr1\t0\t6\n", "peaks.bed:4: expected 6 columns"),
    "interval twice": ("chr1\t0\t6\nchr1\t0\t6\n", "peaks.bed:2: id 'chr1:0-6' is already in line 1"),
    "header only": ("#chrom\tstart\tend\n", "only a header and no intervals"),
    "empty": ("", "the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_intervals_are_refused_with_the_line(read, case):
    text, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read(text)


BAD_GENOMES = {
    "empty": (b"", "g.fa: the file is empty"),
    "no fasta": (b"ACGT\n", "g.fa: a genome is a FASTA file"),
    "uneven lines": (b">chr1\nACGT\nACGTACGT\nACG\n", "g.fa: cannot be indexed"),
    "name twice": (b">chr1\nACGT\n>chr1\nACGT\n", "g.fa: cannot be indexed"),
    "cut gzip": (gzip.compress(GENOME.encode())[:-9], "g.fa: .*truncated or damaged"),
    "no bases": (b">chr1\nACGT!CGTACGTACGTACGTACGTACGT\n>chr2\nACGTACGTAC\n", "peaks.bed:1 in .*g.fa: position 5"),
}


@pytest.mark.parametrize("case", BAD_GENOMES)
def test_bad_genomes_are_refused(read, case):
    genome, message = BAD_GENOMES[case]
    with pytest.raises(DataError, match=message):
        read(BED6, genome=genome)


def test_a_genome_is_needed_for_intervals_and_for_nothing_else(write, tmp_path):
    with pytest.raises(DataError, match=r"intervals need the genome .*--genome"):
        read_dataset(write(BED6, "peaks.bed"))
    with pytest.raises(DataError, match="no such file"):
        read_dataset(write(BED6, "peaks.bed"), genome=tmp_path / "none.fa")
    table = write("id,sequence,chrom,start,end\na,ACGTAC,chr1,0,6\n", "t.csv")
    assert read_dataset(table).ids.tolist() == ["a"]
    with pytest.raises(DataError, match="a genome is for intervals"):
        read_dataset(table, genome=write(GENOME, "g.fa"))


def test_random_intervals_are_slices_of_the_genome(read):
    rng = np.random.default_rng(2)
    letters = "".join(rng.choice(list("ACGT"), 500))
    lines = "\n".join(letters[i : i + 60] for i in range(0, 500, 60))
    starts = rng.choice(400, 30, replace=False)
    ends = starts + rng.integers(1, 100, 30)
    strands = rng.choice(["+", "-"], 30)
    bed = "".join(f"c\t{s}\t{e}\tn{s}\t0\t{d}\n" for s, e, d in zip(starts, ends, strands, strict=True))
    got = decode(read(bed, genome=f">c\n{lines}\n").inputs.values)
    for sequence, s, e, d in zip(got, starts, ends, strands, strict=True):
        assert sequence == (letters[s:e] if d == "+" else turned(letters[s:e]))
