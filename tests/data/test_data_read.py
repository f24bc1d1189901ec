import gzip
import os

import numpy as np
import pytest

from automl_pheno.data import decode, read_dataset
from automl_pheno.errors import DataError, UnknownNameError

SEQUENCES = "id,sequence,leaf,family\np1,ACGTACGT,1.5,a\np2,GGGTACGA,NA,b\np3,TTTTACGC,3,\n"
DOSAGES = "line,m1,m2,m3\na,0,1,2\nb,2,NA,0\nc,1,1,0.25\n"
TRAITS = "line,yield,site,block\nb,2.5,north,1\na,1.5,south,2\nx,9,north,1\n"


@pytest.fixture
def write(tmp_path):
    def make(text, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def test_a_table_gives_sequences_traits_and_columns(write):
    data = read_dataset(write(SEQUENCES))
    assert data.name == "data"
    assert data.ids.tolist() == ["p1", "p2", "p3"]
    assert decode(data.inputs.values) == ["ACGTACGT", "GGGTACGA", "TTTTACGC"]
    np.testing.assert_array_equal(data.y("leaf"), [1.5, np.nan, 3])
    assert data.columns["family"].tolist() == ["a", "b", None]
    assert list(data.columns) == ["leaf", "family"]
    assert "leaf: 2 of 3 samples have a value, 1 are missing" in data.notes
    assert len(next(iter(data.files.values()))) == 64


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: gzip.compress(text.encode()),
        lambda text: text.replace("p2", '"p2"') + "\n\n",
        lambda text: text.replace("ACGT", "acgu"),
        lambda text: text.replace("sequence", "promoter"),
        lambda text: text.replace("id,", ","),
        lambda text: text.replace(",", " , "),
    ],
    ids=["tabs", "semicolons", "crlf", "bom", "gzip", "quotes", "rna", "unnamed", "pandas-index", "blanks"],
)
def test_every_way_to_write_a_table_gives_the_same(write, change):
    data = read_dataset(write(change(SEQUENCES)))
    assert data.sha256() == read_dataset(write(SEQUENCES, "plain.csv")).sha256()


def test_fasta_with_a_trait_table(write):
    fasta = write(">a first one\nACGT\nACGT\n>b\nGGGG\n>c\nTTTTTT\n", "x.fa")
    data = read_dataset(fasta, trait_table=write(TRAITS, "t.csv"))
    assert data.ids.tolist() == ["a", "b"]
    assert decode(data.inputs.values) == ["ACGTACGT", "GGGG"]
    assert data.y("yield").tolist() == [1.5, 2.5]
    assert data.columns["block"].tolist() == [2, 1]
    assert data.columns["description"].tolist() == ["first one", None]
    notes = "\n".join(data.notes)
    assert "1 of 3 samples" in notes
    assert "'c'" in notes
    assert "1 of 3 rows" in notes
    assert "'x'" in notes
    assert "lengths differ: min 4, median 6, max 8 bp" in notes
    assert len(data.files) == 2


def test_a_dosage_table_with_a_trait_table(write):
    data = read_dataset(write(DOSAGES), trait_table=write(TRAITS, "t.csv"))
    np.testing.assert_array_equal(data.inputs.values, np.array([[0, 1, 2], [2, np.nan, 0]], np.float32))
    assert data.inputs.variants["id"].tolist() == ["m1", "m2", "m3"]
    assert data.inputs.values.dtype == np.float32
    assert data.y("yield").tolist() == [1.5, 2.5]
    assert any("1 of 9 dosages are missing" in note for note in data.notes)


def test_a_dosage_table_with_markers_in_rows_is_transposed_where_ids_prove_it(write):
    data = read_dataset(write(DOSAGES), trait_table=write("id,y\nm1,1\nm2,2\n", "t.csv"))
    assert data.ids.tolist() == ["m1", "m2"]
    assert data.inputs.variants["id"].tolist() == ["a", "b", "c"]
    assert any("markers are in rows and samples in columns; they are transposed" in note for note in data.notes)


def test_inputs_alone_are_read_for_prediction(write):
    assert read_dataset(write(DOSAGES)).traits.shape == (3, 0)
    data = read_dataset(write("sequence\nACGTAC\nACGTAA\n"))
    assert data.ids.tolist() == ["row1", "row2"]
    assert any("row1 to row2" in note for note in data.notes)


def test_iupac_lower_case_and_rna_are_counted(write):
    data = read_dataset(write("id,sequence\na,ACGTNRYK\nb,acgtacgt\nc,UUGTACGU\n"))
    notes = "\n".join(data.notes)
    assert "1 of 3 sequences have lower-case bases, read as upper case: 8 bases" in notes
    assert "1 of 3 sequences have U, read as T: 3 bases" in notes
    assert "1 of 3 sequences have ambiguous bases (N or other IUPAC codes): 4 bases" in notes


def test_a_column_that_is_no_trait_is_refused_only_when_asked_for(write):
    data = read_dataset(write('id,sequence,x,y,z\na,ACGTAC,1,"12,5",inf\nb,ACGTAA,2,3,1\n'))
    assert data.y("x").tolist() == [1, 2]
    with pytest.raises(DataError, match=r"trait 'y' is not numeric: .*data.csv:2: '12,5'"):
        data.y("y")
    with pytest.raises(DataError, match=r"trait 'z' is not finite: .*data.csv:2: 'inf'"):
        data.y("z")
    with pytest.raises(DataError, match="did you mean 'x'"):
        data.y("xx")


def test_lines_are_right_after_blank_and_quoted_lines(write):
    text = 'id,note,sequence\na,"two\nlines",ACGTAC\n\nb,x,ACGTAC\nc,x,ACG*AC\n'
    with pytest.raises(DataError, match=r"data.csv:6: position 4: '\*' is not a base"):
        read_dataset(write(text))


PROTEIN = "id,sequence\na,MSTELKPFQIWC\nb,MSAELLPFQIWC\n"
BAD = {
    "empty file": ("", "the file is empty"),
    "only blanks": ("\n \n", "the file is empty"),
    "header only": ("id,sequence,y\n", "only a header and no rows"),
    "star": ("id,sequence\na,ACGTAC\nb,ACG*AC\n", "data.csv:3: position 4: '\\*'"),
    "digit": ("id,sequence\na,ACGTAC\nb,1CGTAC\n", "data.csv:3: position 1: '1'"),
    "not ascii": ("id,sequence\na,ACGTAC\nb,ACGTÄC\n", "data.csv:3: position 5: 'Ä'"),
    "gap": ("id,sequence\na,ACG-AC\n", "data.csv:2: position 4: '-' is a gap"),
    "empty sequence": ("id,sequence\na,ACGTAC\nb,\n", "data.csv:3: the sequence is empty"),
    "missing sequence": ("id,sequence\na,ACGTAC\nb,NA\n", "data.csv:3: .* missing .*'NA'"),
    "protein": (PROTEIN, "looks like protein"),
    "protein unnamed": (PROTEIN.replace("sequence", "chain"), "not recognised"),
    "duplicated id": ("id,sequence\na,ACGTAC\nb,ACGTAC\na,ACGTAA\n", "data.csv:4: id 'a' is already in line 2"),
    "empty id": ("id,sequence\na,ACGTAC\n,ACGTAC\n", "data.csv:3: the id in column 'id' is empty"),
    "ragged": ("id,sequence\na,ACGTAC\nb,ACGTAC,1\n", "data.csv:3: expected 2 columns as in the header, got 3"),
    "same column twice": ("id,sequence,y,y\na,ACGTAC,1,1\n", "columns 3 and 4 have the same name 'y'"),
    "column without a name": ("id,sequence,\na,ACGTAC,1\n", "data.csv:1: column 3 has no name"),
    "two sequence columns": ("id,up,down\na,ACGTAC,ACGTAA\nb,ACGTAC,ACGTAA\n", "'up' and 'down' all look like DNA"),
    "no header": ("ACGTACGTACGTAC\nACGTACGTACGTAA\n", "first line must name the columns"),
    "neither": ("id,height\na,170\nb,180\n", "format is not recognised"),
    "binary": (bytes(range(256)) * 4, "is binary"),
    "nul later": (SEQUENCES.encode() + b"x" * 5000 + b"\x00\n", "data.csv:5: a NUL byte"),
    "latin-1": ("id,sequence,y\na,ACGTAC,é\n".encode("latin-1"), "data.csv:2: not UTF-8 text .byte 0xe9"),
    "truncated gzip": (gzip.compress(os.urandom(9000).hex().encode())[:5000], "gzip file is truncated or damaged"),
    "damaged gzip": (b"\x1f\x8b" + b"x" * 100, "gzip file is truncated or damaged"),
    "open quote": ('id,sequence\n"a,ACGTAC\n', "data.csv:2: unexpected end of data"),
    "dosage above 2": ("id,m1,m2,m3\na,0,1,2\nb,0,3,1\n" * 1 + "c,0,1,1\nd,1,1,0\ne,1,1,0\n",
                       "data.csv:3: sample 'b', variant 'm2': .* got '3'"),
    "dosage -9": ("id,m1,m2\na,0,1\nb,0,1\nc,-9,0\nd,1,1\ne,1,1\n", "'-9'; if it means missing"),
    "dosage letters": ("id,m1,m2\na,0,1\nb,0,A/G\nc,2,0\nd,1,1\ne,1,1\n", "'A/G'; count the alternate"),
    "trait among dosages": ("id," + ",".join(f"m{i}" for i in range(9)) + ",yield\n"
                            + "".join(f"s{i}," + "0," * 9 + "12.5\n" for i in range(4)),
                            "variant 'yield': .* separate trait table"),
    "relationship matrix": ("id,a,b,c\na,1,0,0\nb,0,1,0\nc,0,0,1\n", "relationship matrix"),
    "vcf inside": ("##fileformat=VCFv4.2\n", "is not a VCF with calls"),
    "fastq": ("@read\nACGT\n+\nIIII\n", "FASTQ files are not supported"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_the_place(write, case):
    text, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read_dataset(write(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGT\n>b\nAC\nG*\n", "x.fa:5: position 4: '\\*'"),
        (">a\nACGT\n>a\nAC\n", "x.fa:3: id 'a' is already in line 1"),
        (">a\n>b\nACGT\n", "x.fa:1: the sequence is empty"),
        (">\nACGT\n", "x.fa:1: the id in column '>' is empty"),
    ],
)
def test_bad_fasta_is_refused_with_the_line(write, text, message):
    with pytest.raises(DataError, match=message):
        read_dataset(write(text, "x.fa"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.pgen", "plink2 --make-bed"), ("x.bgen", "BGEN"), ("x.hmp.txt", "HapMap"), ("x.bed", "--genome")],
)
def test_formats_that_are_not_read_say_what_to_do(write, name, message):
    with pytest.raises(DataError, match=message):
        read_dataset(write("anything", name))


def test_ids_that_do_not_match_are_shown_from_both_sides(write):
    with pytest.raises(DataError, match=r"no sample id in common: 'a', 'b', 'c' against 'q', 'r'"):
        read_dataset(write(DOSAGES), trait_table=write("id,y\nq,1\nr,2\n", "t.csv"))


def test_trait_table_rules(write):
    sequences = write(SEQUENCES)
    with pytest.raises(DataError, match=r"t.csv:3: the id in column 'id' is empty or missing"):
        read_dataset(sequences, trait_table=write("id,y\np1,1\n,2\n", "t.csv"))
    with pytest.raises(DataError, match="column 'leaf' is also in"):
        read_dataset(sequences, trait_table=write("id,leaf\np1,1\n", "t.csv"))
    with pytest.raises(DataError, match=r"has no ids|has no id column"):
        read_dataset(write("sequence\nACGTAC\n", "s.csv"), trait_table=write("id,y\np1,1\n", "t.csv"))


def test_names_that_are_asked_for_must_exist(write, tmp_path):
    path = write(SEQUENCES)
    with pytest.raises(DataError, match="no id column 'nam'"):
        read_dataset(path, id_column="nam")
    with pytest.raises(DataError, match=r"no sequence column 'sequenc'; .* did you mean 'sequence'"):
        read_dataset(path, sequence_column="sequenc")
    with pytest.raises(UnknownNameError, match="did you mean 'fasta'"):
        read_dataset(path, format="fata")
    with pytest.raises(DataError, match="no such file"):
        read_dataset(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_dataset(tmp_path)


@pytest.mark.data
def test_jores_promoters(data_folder):
    data = read_dataset(data_folder / "jores_promoters" / "promoters.csv.gz")
    assert data.inputs.values.shape == (14026, 170)
    assert any("leaf_enrichment: 7,154 of 14,026 samples" in note for note in data.notes)
    assert np.nanmean(data.y("leaf_enrichment")) == pytest.approx(0.893, abs=5e-4)


@pytest.mark.data
def test_wheat_and_maize(data_folder):
    wheat = data_folder / "bglr_wheat"
    data = read_dataset(wheat / "genotypes.csv.gz", trait_table=wheat / "phenotypes.csv.gz")
    assert data.inputs.values.shape == (599, 1279)
    assert np.unique(data.inputs.values).tolist() == [0, 1]
    assert sorted(data.columns["bglr_set"].unique()) == list(range(1, 11))
    with pytest.raises(DataError, match="trait table"):
        read_dataset(data_folder / "maize_mdp" / "phenotypes.csv")


@pytest.mark.parametrize("cells", ["45 63 71 28", "170 181 165 192", "1.5 2.25 1.75 1.1", "12 13 24 31"])
def test_a_few_numbers_are_no_genotypes(write, cells):
    text = "id,h1,h2\n" + "".join(f"s{i},{cell},{cell}\n" for i, cell in enumerate(cells.split()))
    with pytest.raises(DataError, match="format is not recognised"):
        read_dataset(write(text))
