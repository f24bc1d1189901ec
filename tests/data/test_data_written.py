"""Genotypes that are written out, in every notation, direction and file: the right dosage, or a clear error."""

import gzip

import numpy as np
import pytest

from automl_pheno.data import read_dataset
from automl_pheno.errors import DataError

RNG = np.random.default_rng(0)
N, M = 25, 12
TRUTH = RNG.binomial(2, RNG.uniform(0.2, 0.8, M), (N, M))
LOST = RNG.random((N, M)) < 0.05
EXPECTED = np.where(LOST, np.nan, TRUTH).astype(np.float32)
IDS = [f"s{row}" for row in range(N)]
NAMES = [f"rs{column}" for column in range(M)]

# each: cells of dosage 0, 1 and 2 of the alternate allele, a missing one, and reference and alternate allele
NOTATIONS = {
    "AA": (("AA", "AG", "GG"), "NN", ("A", "G")),
    "GA": (("AA", "GA", "GG"), "--", ("A", "G")),
    "A/G": (("A/A", "A/G", "G/G"), "N/N", ("A", "G")),
    "A|G": (("A|A", "G|A", "G|G"), "./.", ("A", "G")),
    "A G": (("A A", "A G", "G G"), "0 0", ("A", "G")),
    "A:G": (("A:A", "A:G", "G:G"), "?", ("A", "G")),
    "lower case": (("cc", "ct", "tt"), "nn", ("C", "T")),
    "0/0": (("0/0", "0/1", "1/1"), "./.", ("", "")),
    "0|1": (("0|0", "1|0", "1|1"), ".|.", ("", "")),
    "00": (("00", "01", "11"), "..", ("", "")),
    "11": (("11", "12", "22"), "00", ("1", "2")),
    "1/2": (("1/1", "1/2", "2/2"), "0/0", ("1", "2")),
    "IUPAC": (("A", "R", "G"), "N", ("A", "G")),
    "IUPAC, gap": (("C", "Y", "T"), "-", ("C", "T")),
    "cross": (("A", "H", "B"), "-", ("A", "B")),
    "AB": (("AA", "AB", "BB"), "NC", ("A", "B")),
    "indels": (("DD", "DI", "II"), "--", ("D", "I")),
    "long indels": (("A/A", "A/ATT", "ATT/ATT"), "NA", ("A", "ATT")),
    "rrBLUP": (("-1", "0", "1"), "NA", ("", "")),
    "decimals": (("0.0", "1.00", "2.0"), "", ("", "")),
}  # fmt: skip


def grid(cells, lost):
    return [[lost if LOST[row, column] else cells[TRUTH[row, column]] for column in range(M)] for row in range(N)]


def rows(cells, names=IDS, columns=NAMES, corner="id", sep=","):
    lines = [[corner, *columns], *([name, *row] for name, row in zip(names, cells, strict=True))]
    return "".join(sep.join(line) + "\n" for line in lines)


@pytest.fixture
def write(tmp_path):
    def make(text, name="g.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return make


@pytest.mark.parametrize("notation", list(NOTATIONS))
@pytest.mark.parametrize("sep", [",", "\t"])
def test_every_notation_gives_the_dosages_and_the_alleles(write, notation, sep):
    cells, lost, alleles = NOTATIONS[notation]
    data = read_dataset(write(rows(grid(cells, lost), sep=sep)))
    np.testing.assert_array_equal(data.inputs.values, EXPECTED)
    assert data.inputs.values.dtype == np.float32
    assert data.ids.tolist() == IDS
    assert data.inputs.variants["id"].tolist() == NAMES
    assert {*zip(data.inputs.variants["ref"], data.inputs.variants["alt"], strict=True)} == {alleles}
    said = "as in rrBLUP" if notation == "rrBLUP" else "" if notation == "decimals" else "dosages count the alternate"
    assert any(said in note for note in data.notes)


def transposed(cells, lost, **words):
    turned = [list(column) for column in zip(*grid(cells, lost), strict=True)]
    return rows(turned, NAMES, IDS, "marker", **words)


@pytest.mark.parametrize("notation", ["AA", "IUPAC", "0/0", "rrBLUP", "decimals"])
def test_markers_in_rows_are_transposed_where_ids_prove_it(write, notation):
    cells, lost, _ = NOTATIONS[notation]
    table = write("id,y\n" + "".join(f"{name},{number * 1.5}\n" for number, name in enumerate(IDS[:-2])), "t.csv")
    data = read_dataset(write(transposed(cells, lost)), trait_table=table)
    np.testing.assert_array_equal(data.inputs.values, EXPECTED[:-2])
    assert data.ids.tolist() == IDS[:-2]
    assert any("markers are in rows and samples in columns; they are transposed" in note for note in data.notes)
    (table.parent / "map.csv").write_text(
        "SNP,Chr,Pos\n" + "".join(f"{name},2,{i + 1}\n" for i, name in enumerate(NAMES))
    )
    data = read_dataset(write(transposed(cells, lost)))
    np.testing.assert_array_equal(data.inputs.values, EXPECTED)
    assert data.inputs.variants["position"].tolist() == list(range(1, M + 1))


def with_places(text, **columns):
    first, *others = text.splitlines()
    name, *samples = first.split(",")
    out = [",".join([name, *columns, *samples])]
    for number, line in enumerate(others):
        name, *cells = line.split(",")
        out.append(",".join([name, *(made(number) for made in columns.values()), *cells]))
    return "\n".join(out) + "\n"


def test_markers_in_rows_with_their_places_and_alleles_need_no_proof(write):
    cells, lost, _ = NOTATIONS["AA"]
    text = with_places(transposed(cells, lost), chrom=lambda _: "3", pos=lambda i: str(7 * i + 1), ref=lambda _: "G",
                       alt=lambda _: "A")  # fmt: skip
    data = read_dataset(write(text))
    np.testing.assert_array_equal(data.inputs.values, 2 - EXPECTED)
    assert data.inputs.variants.iloc[1].tolist() == ["rs1", "3", 8, "G", "A"]
    assert data.ids.tolist() == IDS


def test_a_sample_called_id_is_no_id_of_variants(write):
    text = rows(
        [["1", str(k + 1), *map(str, TRUTH[:, k])] for k in range(M)], NAMES, ["chr", "pos", "id", *IDS[1:]], "snp"
    )
    data = read_dataset(write(text))
    assert data.ids.tolist() == ["id", *IDS[1:]]
    assert data.inputs.variants["id"].tolist() == NAMES
    np.testing.assert_array_equal(data.inputs.values, TRUTH)


def test_samples_called_a1_and_a2_are_no_alleles(write):
    cells = [["AA", "AG", "AA", "GG"], ["CC", "CT", "TT", "CC"]]
    text = rows(
        [["1", str(i + 1), *row] for i, row in enumerate(cells)], ["rs1", "rs2"], ["chr", "pos", "A1", "A2", "B1", "B2"]
    )
    data = read_dataset(write(text))
    assert data.ids.tolist() == ["A1", "A2", "B1", "B2"]
    np.testing.assert_array_equal(data.inputs.values, [[0, 0], [1, 1], [0, 2], [2, 0]])


HAPMAP = [
    "rs#",
    "alleles",
    "chrom",
    "pos",
    "strand",
    "assembly#",
    "center",
    "protLSID",
    "assayLSID",
    "panelLSID",
    "QCcode",
]


@pytest.mark.parametrize("notation", ["AA", "IUPAC"])
@pytest.mark.parametrize("name", ["x.hmp.txt", "x.txt", "x.hmp.txt.gz"])
def test_hapmap_counts_the_second_of_its_alleles(write, notation, name):
    cells, lost, _ = NOTATIONS[notation]
    lines = [HAPMAP + IDS]
    for number, column in enumerate(zip(*grid(cells, lost), strict=True)):
        lines.append([f"rs{number}", ("A/G", "G/A")[number % 2], "4", str(number + 1), "+", *["NA"] * 6, *column])
    raw = "".join("\t".join(line) + "\n" for line in lines).encode()
    data = read_dataset(write(gzip.compress(raw) if name.endswith(".gz") else raw, name))
    turned = np.arange(M) % 2 == 1
    np.testing.assert_array_equal(data.inputs.values, np.where(turned, 2 - EXPECTED, EXPECTED))
    assert data.inputs.variants.iloc[1].tolist() == ["rs1", "4", 2, "G", "A"]
    assert data.ids.tolist() == IDS
    wrong = raw.replace(b"A/G", b"C/G", 1)
    with pytest.raises(DataError, match=r"x.hmp.txt:2: sample 's\d+', variant 'rs0': '[AR]+G?': the alleles of the "
                                        r"variant are stated as C and G, got A"):  # fmt: skip
        read_dataset(write(wrong, "x.hmp.txt"))


def test_a_deletion_is_an_allele_where_hapmap_declares_it(write):
    lines = [[*HAPMAP, "a", "b", "c"], ["rs1", "A/-", "1", "1", "+", *["NA"] * 6, "AA", "A-", "--"],
             ["rs2", "A/G", "1", "2", "+", *["NA"] * 6, "AA", "AG", "--"]]  # fmt: skip
    data = read_dataset(write("".join("\t".join(line) + "\n" for line in lines), "x.hmp.txt"))
    np.testing.assert_array_equal(data.inputs.values, [[0, 0], [1, 1], [2, np.nan]])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("SNP,CHR,BP,A1,A2", "{},1,{},A,G"),
        ("snp_id,chrom,pos,alt,ref", "{},1,{},A,G"),
        ("Marker,Chromosome,Position (bp),Allele1,Allele2", "{},1,{},A,G"),
        ("name,seqnames,position,effect_allele,other_allele", "{},1,{},A,G"),
        ("rs#,chr,pos,alleles", "{},1,{},G/A"),
        ("id,LG,position_Mb,ref/alt", "{},1,0.00000{},G/A"),
        (",chr,pos,ref,alt", "{},1,{}e0,G,A"),
    ],
)
@pytest.mark.parametrize("name", ["variants.csv", "g.variants.csv", "map.csv", "map.csv.gz"])
def test_a_list_of_variants_is_understood_by_any_of_its_names(write, header, row, name):
    cells, lost, _ = NOTATIONS["AA"]
    text = header + "\n" + "".join(row.format(variant, i + 1) + "\n" for i, variant in enumerate(NAMES[:9])) + ""
    write(gzip.compress(text.encode()) if name.endswith(".gz") else text, name)
    data = read_dataset(write(rows(grid(cells, lost))))
    variants = data.inputs.variants
    assert variants["position"].tolist() == [*range(1, 10), -1, -1, -1]
    assert variants["chromosome"].tolist() == ["1"] * 9 + [""] * 3
    assert variants.iloc[0].tolist()[3:] == ["G", "A"]
    np.testing.assert_array_equal(data.inputs.values[:, :9], 2 - EXPECTED[:, :9])
    np.testing.assert_array_equal(data.inputs.values[:, 9:], EXPECTED[:, 9:])
    assert any(f"{name}: places and alleles of 9 of 12 variants" in note for note in data.notes)


def test_centimorgans_are_no_positions_in_bp(write):
    write("variant,chromosome,cM\n" + "".join(f"{name},2,{i}.5\n" for i, name in enumerate(NAMES)), "map.csv")
    data = read_dataset(write(rows(grid(*NOTATIONS["AA"][:2]))))
    assert data.inputs.variants["position"].unique().tolist() == [-1]
    assert data.inputs.variants["chromosome"].unique().tolist() == ["2"]
    assert any("'cM' is no position in bp and is not used" in note for note in data.notes)


# --- polyploids
def test_a_polyploid_needs_its_ploidy_said(write):
    values = RNG.integers(0, 5, (N, M))
    text = rows([[str(cell) for cell in row] for row in values])
    with pytest.raises(DataError, match=r"g.csv:\d+: sample 's\d+', variant 'rs\d+': a dosage must be a number from 0"
                                        r" to 2, got .[34].; up to 4 looks like a polyploid \(--ploidy "):  # fmt: skip
        read_dataset(write(text))
    data = read_dataset(write(text), ploidy=4)
    np.testing.assert_array_equal(data.inputs.values, (values / 2).astype(np.float32))
    assert any("dosages from 0 to 4 become 2 x their share of the ploidy" in note for note in data.notes)
    with pytest.raises(DataError, match=r"must be from 0 to 3, the stated ploidy, got '4'"):
        read_dataset(write(text), ploidy=3)
    with pytest.raises(DataError, match="ploidy must be from 1 to 12, got 0"):
        read_dataset(write(text), ploidy=0)


def test_letters_say_their_ploidy_themselves(write):
    values = RNG.integers(0, 5, (N, M))
    data = read_dataset(write(rows([["A" * (4 - cell) + "G" * cell for cell in row] for row in values])))
    np.testing.assert_array_equal(data.inputs.values, (values / 2).astype(np.float32))
    with pytest.raises(DataError, match=r"'[AG]{4}' has 4 alleles, but the stated ploidy is 2 \(--ploidy\)"):
        read_dataset(write(rows([["A" * (4 - cell) + "G" * cell for cell in row] for row in values])), ploidy=2)


@pytest.mark.data
def test_potatoes_are_the_same_as_letters_and_as_dosages(data_folder):
    folder = data_folder / "potato_tetraploid"
    letters = read_dataset(folder / "letters_300.csv")
    dosages = read_dataset(folder / "dosages.csv.gz", ploidy=4)
    np.testing.assert_array_equal(letters.inputs.values, dosages.inputs.values[:, :300])
    assert letters.inputs.variants.equals(dosages.inputs.variants.iloc[:300])


# --- what is refused: the first offending cell, what it looks like, and what to do
def table(change, cells=("AA", "AG", "GG")):
    made = grid(cells, "NN" if cells[0].isalpha() else "")
    change(made)
    return rows(made)


def put(row, column, text):
    return lambda cells: cells[row].__setitem__(column, text)


def put_all(column, of):
    return lambda cells: [row.__setitem__(column, of(i)) for i, row in enumerate(cells)]


BAD = {
    "three alleles": (table(put(3, 5, "AC")), r"g.csv:5: sample 's3', variant 'rs5': 'AC': the variant has 3 alleles "
                      r"\(A, C, G\), .*--multiallelic skip"),
    "another strand": (table(put_all(2, lambda i: ["AA", "AG", "CC", "CT"][i % 4])), "variant 'rs2': .* has 4 alleles"),
    "no call": (table(put(4, 1, "hello")), r"g.csv:6: sample 's4', variant 'rs1': 'hello' is no genotype like the "
                r"others, which are alleles without a mark .*--missing 'hello'"),
    "half a gap": (table(put(4, 1, "A-")), "may be a deletion or half a missing call"),
    "three letters": (table(put(4, 1, "AAG")), "'AAG' has 3 alleles, but others have 2"),
    "letters and numbers": (table(put(4, 1, "1/1"), ("A/A", "A/G", "G/G")), r"has 3 alleles|letters and numbers"),
    "minus 9": (table(put(4, 1, "-9"), ("0", "1", "2")), r"g.csv:6: sample 's4', variant 'rs1': .* got '-9'; if it "
                r"means missing, say so with --missing -9"),
    "minus 1": (table(put(4, 1, "-1"), ("0", "1", "2")), "got '-1'; if it means missing, say so with --missing -1"),
    "minus 1 of presence": ("\n".join(",".join(cell or "0" for cell in line.split(","))
                                      for line in table(put(4, 1, "-1"), ("0", "1", "1")).splitlines()) + "\n",
                            r"-1 may be the other homozygote .*--missing value:-1"),
    "imputed rrBLUP": (table(put(4, 1, "-0.37"), ("-1", "0", "1")), "add 1 to each cell"),
    "counted from 1": (table(lambda _: None, ("1", "2", "3")), "no cell is 0, so genotypes may be counted from 1"),
    "allele numbers": (table(lambda _: None, ("1", "2", "2")), "all cells are 1 or 2, so they are allele numbers"),
    "zero or missing": (table(put(4, 1, "00"), ("11", "22", "22")), "'00' may be a missing call or two copies of"),
    "words": (table(lambda _: None, ("ref", "het", "hom")), r"not recognised.*g.csv:2: 'rs0' of 's0' is '\w+', no num"),
    "dates": (table(put_all(0, lambda i: f"2024-01-{i + 1:02}"), ("0", "1", "2")), "'2024-01-01'"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_what_cannot_be_read_names_the_first_cell_and_the_way_out(write, case):
    text, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read_dataset(write(text))


def test_the_ways_out_that_messages_name_lead_out(write):
    three = write(BAD["three alleles"][0])
    data = read_dataset(three, multiallelic="skip")
    np.testing.assert_array_equal(data.inputs.values, np.delete(EXPECTED, 5, axis=1))
    assert any("1 of 12 variants have more than two alleles and are left out" in note for note in data.notes)
    assert np.isnan(read_dataset(write(BAD["no call"][0]), missing="hello").inputs.values[4, 1])
    assert np.isnan(read_dataset(write(BAD["minus 9"][0]), missing="-9").inputs.values[4, 1])
    presence = write(BAD["minus 1 of presence"][0])
    assert np.isnan(read_dataset(presence, missing="-1").inputs.values[4, 1])
    assert read_dataset(presence, missing="value:-1").inputs.values[4, 1] == 0
    assert np.isnan(read_dataset(write(BAD["zero or missing"][0]), missing="00").inputs.values[4, 1])


@pytest.mark.parametrize(
    "name", ["PHENOTYPE", "Sex", "Age", "cluster", "plot", "yield", "PC1", "rep2", "batch", "Year", "population"]
)
def test_a_column_named_like_a_trait_or_covariate_is_refused_by_name(write, name):
    values = [[str(cell) for cell in row] for row in TRUTH]
    with pytest.raises(DataError, match=f"variant '{name}': is named like a trait or covariate; take it out"):
        read_dataset(write(rows(values, columns=[*NAMES[:-1], name])))


def test_id_like_columns_beside_the_id_are_set_aside_and_said(write):
    values = [[f"F{row // 5}", str(row % 3), f"P{row}", *map(str, TRUTH[row])] for row in range(N)]
    data = read_dataset(write(rows(values, columns=["FID", "Entry", "Pedigree", *NAMES], corner="IID")))
    assert data.inputs.variants["id"].tolist() == NAMES
    assert data.ids.tolist() == IDS
    assert data.columns["FID"].tolist() == [f"F{row // 5}" for row in range(N)]
    assert any("set aside, since they are no variants: 'FID', 'Entry', 'Pedigree'" in note for note in data.notes)
    numbered = rows(
        [[IDS[row], *map(str, TRUTH[row])] for row in range(N)], [str(i) for i in range(N)], ["id", *NAMES], ""
    )
    data = read_dataset(write(numbered))
    assert data.inputs.variants["id"].tolist() == NAMES
    assert data.ids.tolist() == IDS


def test_a_few_columns_of_scores_are_no_variants(write):
    scores = rows([[str(cell) for cell in row[:3]] for row in TRUTH], columns=["lodging", "awns", "rust"])
    with pytest.raises(DataError, match="with a digit in each name they are variants"):
        read_dataset(write(scores))


@pytest.mark.parametrize("names", [["NA", "None", "nan"], ["1", "2", "3"], ["null", "N/A", "."]])
def test_samples_may_be_called_anything(write, names):
    assert read_dataset(write(rows(grid(*NOTATIONS["AA"][:2])[:3], names))).ids.tolist() == names
    assert read_dataset(write(rows([["0", "1"], ["1", "2"], ["2", "0"]], names, ["rs1", "rs2"]))).ids.tolist() == names


def test_a_table_of_sites_without_ids_names_them_by_place_and_alleles(write):
    cells = [[("0/0", "0/1", "1/1")[TRUTH[row, column]] for row in range(N)] for column in range(M)]
    lines = [["CHROM", "POS", "REF", "ALT", *IDS], *(["7", str(k + 1), "A", "G", *row] for k, row in enumerate(cells))]
    data = read_dataset(write("".join("\t".join(line) + "\n" for line in lines), "sites.txt"))
    np.testing.assert_array_equal(data.inputs.values, TRUTH)
    assert data.inputs.variants.iloc[2].tolist() == ["7:3:A:G", "7", 3, "A", "G"]
    assert any("12 variants without an id are called chromosome:position:ref:alt" in note for note in data.notes)


def test_shares_of_an_allele_are_dosages_halved(write):
    data = read_dataset(write(rows(grid(("0", "0.5", "1"), "NA"))))
    np.testing.assert_array_equal(data.inputs.values, EXPECTED)
    assert any("0, 0.5 and 1, the share of an allele" in note for note in data.notes)


def test_what_looks_like_dosages_and_is_not_is_refused(write):
    probabilities = RNG.dirichlet([1, 1, 1], (N, M // 3)).reshape(N, M)
    with pytest.raises(DataError, match="columns come in threes that add up to 1, so they are probabilities"):
        read_dataset(write(rows([[f"{cell:.4f}" for cell in row] for row in probabilities])))
    odd = [[*map(str, TRUTH[row]), f"{RNG.uniform(0, 2):.3f}"] for row in range(N)]
    with pytest.raises(DataError, match="variant 'gloss': a fraction among whole dosages, in a column named like no"):
        read_dataset(write(rows(odd, columns=[*NAMES, "gloss"])))
    headless = "".join(",".join([name, *map(str, row)]) + "\n" for name, row in zip(IDS, TRUTH, strict=True))
    with pytest.raises(DataError, match=r"the first line holds genotypes \(s0, .*put a line of names above it"):
        read_dataset(write(headless))


def test_a_few_columns_of_letters_need_no_names_of_variants(write):
    data = read_dataset(write("id,waxy,opaque\na,AA,CT\nb,AG,CC\nc,GG,TT\n"))
    np.testing.assert_array_equal(data.inputs.values, [[0, 1], [1, 0], [2, 2]])
    data = read_dataset(write("id,snp_a,snp_b\na,-1,0\nb,0,1\nc,1,-1\n"))
    np.testing.assert_array_equal(data.inputs.values, [[0, 1], [1, 2], [2, 0]])


@pytest.mark.parametrize(
    "text", ["Figure 1 is a map of\nthe fields\n", "a,b\n1\n2,3,4\n", "\x00\x01", "id,chr\nother,1\n"]
)
@pytest.mark.parametrize("name", ["map.txt", "variants.csv"])
def test_a_file_beside_that_is_no_list_of_these_variants_is_left_alone(write, text, name):
    write(text, name)
    data = read_dataset(write(rows(grid(*NOTATIONS["AA"][:2]))))
    np.testing.assert_array_equal(data.inputs.values, EXPECTED)
    assert not any(name in note for note in data.notes)


def test_variants_that_are_numbered_are_no_samples_of_a_numbered_trait_table(write):
    values = [[str(cell) for cell in row] for row in TRUTH]
    numbered = rows(values, columns=[str(number) for number in range(1, M + 1)])
    traits = write("id,y\n" + "".join(f"{number},{number * 1.5}\n" for number in range(1, N + 1)), "t.csv")
    with pytest.raises(DataError, match="have no sample id in common"):
        read_dataset(write(numbered), trait_table=traits)


def test_many_columns_of_scores_are_refused_by_name(write):
    with pytest.raises(DataError, match="variant 'score0': is named like a trait or covariate"):
        read_dataset(
            write(rows([[str(cell) for cell in row] for row in TRUTH], columns=[f"score{i}" for i in range(M)]))
        )


@pytest.mark.parametrize("cell", ["NA", "NN", "./."])
def test_a_table_without_any_genotype_is_refused(write, cell):
    with pytest.raises(DataError, match=r"every genotype is missing|format is not recognised"):
        read_dataset(write(rows([[cell] * M] * N)))
