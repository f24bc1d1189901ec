"""The id column is the one whose cells equal the sample ids; a guess that is not safe is refused."""

import numpy as np
import pytest

from automl_pheno.cli.app import main
from automl_pheno.data import read_dataset
from automl_pheno.data.ids import is_id_name
from automl_pheno.errors import DataError, SplitError
from automl_pheno.simulate.leaks import simulate_unrelated
from automl_pheno.splits.imported import read_any_split
from automl_pheno.splits.imported_pairs import read_pairs

N = 40
NUMBERS = [str(number) for number in range(1, N + 1)]
LINES = [f"BC_{number}" for number in NUMBERS]
ORDER = np.random.default_rng(4).permutation(N)
Y = np.round(np.random.default_rng(5).normal(7, 1, N), 3)
IN_FIELD = [Y[place] for place in ORDER]


def sown(ids):
    return [ids[place] for place in ORDER]


@pytest.fixture
def vcf(tmp_path):
    def make(ids):
        rng = np.random.default_rng(1)
        head = '##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        text = head + "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *ids]) + "\n"
        for site in range(15):
            calls = rng.choice(["0/0", "0/1", "1/1"], len(ids))
            text += "\t".join(["1", str(100 + site), f"rs{site}", "A", "G", ".", ".", ".", "GT", *calls]) + "\n"
        path = tmp_path / "g.vcf"
        path.write_text(text)
        return path

    return make


@pytest.fixture
def join(vcf, tmp_path):
    def make(ids, columns, *, header=True, **options):
        rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        table = tmp_path / "t.csv"
        table.write_text("\n".join([*([",".join(columns)] if header else []), *rows]) + "\n")
        return read_dataset(vcf(ids), trait_table=table, **options)

    return make


def is_right(data, ids):
    return data.y("yield").tolist() == [dict(zip(ids, Y, strict=True))[name] for name in data.ids.tolist()]


PAIRED = {
    "plots first": (LINES, {"plot": NUMBERS, "genotype": sown(LINES)}, "genotype"),
    "row names of pandas": (LINES, {"": range(N), "genotype": sown(LINES)}, "genotype"),
    "row names of R": (LINES, {"": NUMBERS, "variety": sown(LINES)}, "variety"),
    "numbers called id": (LINES, {"id": NUMBERS, "genotype": sown(LINES)}, "genotype"),
    "a name that says nothing": (LINES, {"id": NUMBERS, "what": sown(LINES)}, "what"),
    "numbered lines without plots": (NUMBERS, {"genotype": sown(NUMBERS)}, "genotype"),
    "numbered lines, first column": (NUMBERS, {"code": sown(NUMBERS)}, "code"),
    "rows of R beside numbered lines": (NUMBERS, {"": NUMBERS, "gid": sown(NUMBERS)}, "gid"),
    "two names of one line": (LINES, {"taxa": sown(LINES), "vcf_sample": sown(LINES)}, "taxa"),
    "parents that are lines": (LINES, {"mother": LINES[:8] * 5, "father": LINES[:5] * 8, "entry": sown(LINES)},
                               "entry"),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRED)
def test_phenotypes_go_to_the_samples_that_they_are_of(join, case):
    ids, columns, served = PAIRED[case]
    data = join(ids, {**columns, "yield": IN_FIELD})
    assert len(data) == N
    assert is_right(data, ids)
    (note,) = [note for note in data.notes if "ids are" in note]
    assert f"ids are column '{served}': 40 of 40 samples" in note


def test_row_names_that_are_the_ids_serve(join):
    data = join(LINES, {"": sown(LINES), "yield": IN_FIELD, "plot": NUMBERS})
    assert is_right(data, LINES)
    assert any("ids are the row names: 40 of 40" in note for note in data.notes)


@pytest.mark.parametrize(
    ("ids", "columns", "both"),
    [
        (NUMBERS, {"plot": NUMBERS, "genotype": sown(NUMBERS)}, ("genotype", "plot")),
        (NUMBERS, {"genotype": sown(NUMBERS), "plot": NUMBERS}, ("genotype", "plot")),
        (LINES, {"line": sown(LINES), "neighbour": LINES}, ("line", "neighbour")),
        (LINES[:10], {"hybrid": [f"H{n}" for n in range(N)], "female": LINES[:10] * 4, "male": (LINES[:10] * 4)[::-1]},
         ("female", "male")),
    ],
)  # fmt: skip
def test_two_columns_that_disagree_are_refused_by_name(join, ids, columns, both):
    with pytest.raises(DataError, match=r"t.csv: .* pair them with different rows") as caught:
        join(ids, {**columns, "yield": IN_FIELD})
    for name in both:
        assert f"--id-column '{name}'" in str(caught.value)


def test_the_option_settles_it(join):
    columns = {"plot": NUMBERS, "genotype": sown(NUMBERS), "yield": IN_FIELD}
    assert is_right(join(NUMBERS, columns, id_column="genotype"), NUMBERS)
    assert join(NUMBERS, columns, id_column="plot").y("yield").tolist() == IN_FIELD


def test_two_names_in_both_files_must_agree(tmp_path):
    bases = ["".join(np.random.default_rng(n).choice(list("ACGT"), 20)) for n in range(N)]
    rows = zip(NUMBERS, LINES, bases, strict=True)
    (tmp_path / "s.csv").write_text("id,genotype,sequence\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    rows = zip(NUMBERS, sown(LINES), IN_FIELD, strict=True)
    (tmp_path / "t.csv").write_text("entry,genotype,yield\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    with pytest.raises(DataError, match=r"in other rows; say which is meant: --id-column 'entry' or .* 'genotype'"):
        read_dataset(tmp_path / "s.csv", trait_table=tmp_path / "t.csv")
    data = read_dataset(tmp_path / "s.csv", trait_table=tmp_path / "t.csv", id_column="genotype")
    assert is_right(data, LINES)
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace("entry,", "plot,"))
    with pytest.raises(DataError, match=r"column 'genotype' of \S*s.csv has 40 of the ids \(--id-column genotype\)"):
        read_dataset(tmp_path / "s.csv", trait_table=tmp_path / "t.csv")


def test_replicates_are_no_second_opinion(join):
    columns = {"plot": range(1, 2 * N + 1), "genotype": sown(NUMBERS) * 2, "yield": IN_FIELD * 2}
    data = join(NUMBERS, columns)
    assert is_right(data, NUMBERS)
    assert any("column 'plot' has 40 of them in other rows" in note for note in data.notes)


REFUSED = {
    "numbers of plots": (LINES, {"plot": NUMBERS}, "numbers of plots: write whole ids, or columns FID and IID"),
    "numbers called id": (LINES, {"id": NUMBERS}, "numbers of plots"),
    "numbers that are no ids": (NUMBERS, {"count": [1, 1, *range(3, N + 1)]}, "equal them; .* --id-column count"),
    "ids that pandas made decimals": (NUMBERS, {"plot": NUMBERS, "genotype": [f"{n}.0" for n in sown(NUMBERS)]},
                                      r"only in leading zeros or a decimal point \('\d+.0' against '\d+'\)"),
    "lower case": (LINES, {"line": [name.lower() for name in LINES]}, "40 cells of column 'line' differ .* lower case"),
    "dashes": (LINES, {"line": [name.replace("_", "-") for name in LINES]}, "blanks, dashes and other marks"),
    "zeros": ([f"BC_{n:03d}" for n in range(N)], {"line": [f"BC_{n}" for n in range(N)]}, "leading zeros"),
    "a block of two": (["s_A", "s_B", *LINES[2:]], {"block": ["A", "B"] * 20}, "no sample id in common"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_only_like_an_id_is_refused_and_named(join, case):
    ids, columns, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        join(ids, {**columns, "yield": IN_FIELD})


def test_some_ids_in_another_case_are_said_where_they_are_left_out(join):
    data = join(LINES, {"id": ["bc_1", *LINES[1:]], "yield": Y})
    assert len(data) == N - 1
    assert any("left out: 'BC_1'; 1 cells of column 'id' differ from them only in upper" in note for note in data.notes)


def test_individuals_of_families_are_found_one_to_one(join):
    data = join([f"F_{n}x" for n in NUMBERS], {"id": [f"{n}x" for n in NUMBERS], "yield": Y})
    assert data.y("yield").tolist() == Y.tolist()
    assert any(
        "40 of 40 samples" in note and "column 'id', by IID of FID_IID in the data" in note for note in data.notes
    )
    twice = join([f"{n}_{n}" for n in NUMBERS], {"id": NUMBERS, "yield": Y})
    assert twice.y("yield").tolist() == Y.tolist()
    with pytest.raises(DataError, match="no sample id in common"):
        join(["F_a", "G_a", *LINES], {"id": ["a", "a", *LINES[:0]], "yield": Y[:2]})


def test_a_misspelt_id_column_is_refused_where_neither_file_has_it(join):
    with pytest.raises(DataError, match=r"t.csv: no id column 'idd'; known: line, yield"):
        join(LINES, {"line": LINES, "yield": Y}, id_column="idd")


def test_a_table_without_header_is_read_by_what_stands_in_it(join):
    data = join(LINES, {"plot": NUMBERS, "rep": ["x"] * N, "line": LINES, "yield": Y}, header=False)
    assert data.y("column4").tolist() == Y.tolist()
    numbered = join(NUMBERS, {"id": NUMBERS, "rep": [1, 2, 3, 1] * 10, "yield": Y}, header=False)
    assert numbered.y("phenotype2").tolist() == Y.tolist()


def test_a_trait_called_like_a_sample_is_no_row(join):
    data = join(["yield", *LINES[1:]], {"id": ["yield", *LINES[1:]], "yield": Y})
    assert data.y("yield").tolist() == Y.tolist()


def test_traits_called_by_numbers_are_no_samples(join):
    counts = [number % 30 + 1 for number in range(N)]
    data = join(NUMBERS, {"line": NUMBERS, "1": counts, "2": Y, "3": Y})
    assert data.y("1").tolist() == counts
    assert len(data) == N


def test_samples_in_columns_are_a_transposed_table(join):
    with pytest.raises(DataError, match=r"t.csv: columns are named after samples .* transposed"):
        join(LINES, {"trait": ["yield"], **{name: [value] for name, value in zip(LINES, Y, strict=True)}})


def test_na_is_a_sample_where_the_data_have_it(join):
    ids = ["NA", "None", "nan", *LINES[3:]]
    assert join(ids, {"id": ids, "yield": Y}).ids.tolist() == ids
    with pytest.raises(DataError, match=r"t.csv:2: the id in column 'id' is empty or missing"):
        join(LINES, {"id": ["NA", *LINES[1:]], "yield": Y})


@pytest.mark.parametrize(
    "name", ["Genotype", "#IID", "Sample ID", "Sample.ID", "patient_id", "GID", "Cultivar", "Entry"]
)
def test_names_of_ids_are_known_in_any_writing(name):
    assert is_id_name(name)


@pytest.mark.parametrize("name", ["plot", "yield", "rep", "mother", "x", "year"])
def test_other_names_are_none(name):
    assert not is_id_name(name)


@pytest.fixture
def related():
    data = simulate_unrelated(8, 30, np.random.default_rng(0))
    assert data.ids.tolist()[1] == "random_1"
    return data


def test_a_split_of_plots_is_no_split_of_samples(related, tmp_path):
    turned = [f"random_{n}" for n in (3, 0, 7, 1, 5, 2, 6, 4)]
    path = tmp_path / "s.csv"
    path.write_text("id,name,set\n" + "".join(
        f"{n},{name},{'test' if n < 2 else 'train'}\n" for n, name in enumerate(turned)))  # fmt: skip
    found = read_any_split(path, related)
    assert sorted(related.ids[found.split.set == "test"].tolist()) == ["random_0", "random_3"]
    path.write_text("id,set\n" + "".join(f"{n},{'test' if n < 2 else 'train'}\n" for n in range(8)))
    with pytest.raises(SplitError, match="none of its 8 ids is a sample of the data"):
        read_any_split(path, related)
    path.write_text("line,other,set\n" + "".join(
        f"random_{n},{name},{'test' if n < 2 else 'train'}\n" for n, name in enumerate(turned)))  # fmt: skip
    with pytest.raises(SplitError, match=r"'line' .* 'other' .* both hold ids .* leave one of them out"):
        read_any_split(path, related)


def test_pairs_of_numbers_are_no_pairs_of_samples(related, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("ID1,ID2,KINSHIP\n0,1,0.3\n2,3,0.3\n")
    with pytest.raises(SplitError, match="none of its 2 pairs is of two samples"):
        read_pairs(path, related)


def test_the_command_says_which_column_served(vcf, tmp_path, capsys):
    path = vcf(LINES)
    rows = zip(NUMBERS, sown(LINES), IN_FIELD, strict=True)
    (tmp_path / "t.csv").write_text("plot,genotype,yield\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    words = ["split", "--data", str(path), "--trait-table", str(tmp_path / "t.csv"), "--group-by", "random"]
    assert main([*words, "--trait", "yield", "-o", str(tmp_path / "out")]) == 0
    assert "ids are column 'genotype': 40 of 40 samples" in capsys.readouterr().out
    assert main([*words, "--trait", "yeild", "-o", str(tmp_path / "out")]) == 2
    assert "did you mean 'yield'?; those of another file are given with --trait-table" in capsys.readouterr().err
