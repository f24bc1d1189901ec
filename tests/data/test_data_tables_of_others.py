"""Tables that R, Excel, Europeans and data frames make: read as they mean it, or refused with a remedy."""

import numpy as np
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.cli.app import main
from automl_pheno.data import choose_trait, read_dataset
from automl_pheno.errors import DataError

IDS = [f"s{number}" for number in range(6)]
Y = [7.5, 3.25, 4.0, 9.0, 6.5, 2.75]
BASES = np.random.default_rng(0)
SEQUENCES = ["".join(BASES.choice(list("ACGT"), 20)) for _ in IDS]


@pytest.fixture
def join(tmp_path):
    (tmp_path / "s.csv").write_text(
        "id,sequence\n" + "".join(f"{a},{b}\n" for a, b in zip(IDS, SEQUENCES, strict=True))
    )

    def make(text, **options):
        path = tmp_path / "t.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_dataset(tmp_path / "s.csv", trait_table=path, **options)

    return make


def rows(pattern, header=""):
    made = (pattern.format(n=n, id=name, y=y, comma=str(y).replace(".", ",")) for n, (name, y) in
            enumerate(zip(IDS, Y, strict=True), start=1))  # fmt: skip
    return header + "".join(made)


READ = {
    "write.table, blanks": rows('"{n}" "{id}" {y}\n', '"line" "y"\n'),
    "write.table, tabs": rows('"{n}"\t"{id}"\t{y}\n', '"line"\t"y"\n'),
    "write.table, commas": rows('"{n}","{id}",{y}\n', '"line","y"\n'),
    "write.table without quotes": rows("{n} {id} {y}\n", "line y\n"),
    "write.table, ids are row names": rows('"{id}" {y}\n', '"y"\n') .replace('"y"\n', '"y" "plot"\n', 1)
    .replace("\n", " 1\n").replace('"plot" 1\n', '"plot"\n'),
    "ids are row names, commas": rows('"{id}",{y},{n}\n', '"y","plot"\n'),
    "ids are row names, tabs": rows("{id}\t{y}\t{n}\n", "y\tplot\n"),
    "write.csv": rows('"{n}","{id}",{y}\n', '"","line","y"\n'),
    "write.csv2": rows('"{id}";{comma}\n', '"";"y"\n'),
    "pandas": rows("{n},{id},{y}\n", ",line,y\n"),
    "Excel's sep": rows("{id};{comma}\n", "sep=;\nid;y\n"),
    "Excel's sep of tabs": rows("{id}\t{y}\r\n", "sep=\t\r\nid\ty\r\n"),
    "decimal commas": rows("{id};{comma}\n", "id;y\n"),
    "decimal commas, tabs": rows("{id}\t{comma}\n", "id\ty\n"),
    "a comma in a name": rows("{id};{y};1\n", "id;y;a (t,ha)\n"),
    "delimiter after each row": rows("{id},{y},\n", "id,y\n"),
    "delimiter after each line": rows("{id}\t{y}\t\n", "id\ty\t\n"),
    "CR": rows("{id},{y}\r", "id,y\r"),
    "CRLF": rows("{id},{y}\r\n", "id,y\r\n"),
    "a mark of byte order": rows("{id},{y}\n", "\ufeffid,y\n"),
    "marks of byte order in the middle": rows("\ufeff{id},{y}\n", '\ufeff"id",y\n'),
    "blanks in quoted names": rows('"{id}" {y}\n', '"Sample ID" y\n'),
    "no-break blanks": rows("{id}\u00a0,{y}\n", "id,y\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_it_is_read_as_pandas_reads_it(join, case):
    data = join(READ[case])
    assert data.ids.tolist() == IDS
    assert data.y("y").tolist() == Y


def test_points_beside_decimal_commas_may_be_of_thousands(join):
    data = join(rows("{id};{comma};1.{n}50\n", "id;y;kernels\n"))
    assert data.y("y").tolist() == Y
    with pytest.raises(DataError, match=r"'kernels' has a point at \S*t.txt:2: '1.150', while column 'y' has decimal"):
        data.y("kernels")


def test_the_delimiter_is_that_of_all_lines(join):
    table = "id;y,t\n" + "".join(f"{name};{n},5\n" for n, name in enumerate(IDS))
    assert join(table).y("y,t").tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert join("id,a;b,y\n" + "".join(f"{name},1;2,{n}\n" for n, name in enumerate(IDS))).y("y").tolist() == list(
        range(6)
    )


@pytest.mark.parametrize("case", ["decimal commas", "write.csv2"])
def test_decimal_commas_are_said(join, case):
    assert any("column 'y' has decimal commas" in note for note in join(READ[case]).notes)


REFUSED = {
    "decimal commas between commas": (rows("{id},{n},5\n", "id,y\n"), r"t.txt:2: expected 2 .* need a decimal point"),
    "the same, quoted": (rows('"{id}",{n},5\n', '"id","y"\n'), "expected 2 columns"),
    "a name that is lost": (rows("{id}\t{n}\t{y}\n", "id\ty\n"), "expected 2 columns"),
    "a name that is lost, of sites": (rows("a\t{n}\t{id}\n", "site\ty\n"), "expected 2 columns"),
    "a quote that is lost": (rows('"{id}" {y}\n', 'id "y\n'), r"t.txt:1: a quote without its end"),
    "names with blanks": (rows("{id} {y}\n", "Sample ID yield y\n"), "expected 4 columns as in the header, got 2"),
    "JSON": ('[{"id": "s1", "y": 1}]', "is JSON; write the table as CSV"),
    "a web page": ("<!DOCTYPE html><html>", "is a web page or XML"),
    "Excel": (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "is a spreadsheet .*; save the table as CSV"),
    "UTF-16": ("id,y\ns0,1\n".encode("utf-16"), r"UTF-16\), not UTF-8 text; save it as UTF-8"),
    "R": (b"RDX3\nX\n", r"is a file of R .* write.csv"),
    "Git LFS": ("version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_remedy(join, case):
    text, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        join(text)


CELLS = {
    "thousands": ("1,{n}50", "'1,150' (has marks of thousands, or a decimal comma"),
    "thousands and decimals": ("1.{n}50,5", "marks of thousands"),
    "percent": ("{y}%", "a percentage; write the number alone"),
    "a date": ("2020-01-0{n}", "a date; write the days"),
    "a unit": ("{y} cm", "has a unit"),
    "a limit": ("<{y}", "is a limit, not a value"),
    "a dash": ("\u2212{y}", "a dash for a minus sign"),
}


@pytest.mark.parametrize("case", CELLS)
def test_a_number_in_other_words_is_named_where_it_is_the_trait(join, case):
    cell, message = CELLS[case]
    data = join(rows(f"{{id}};{{n}}.5;{cell}\n", "id;plot;y\n"))
    with pytest.raises(DataError, match=r"trait 'y' is not numeric: .*t.txt:2: ") as caught:
        data.y("y")
    assert message in str(caught.value)


def test_the_only_numeric_column_is_not_taken_where_it_is_not_the_only_numbers(join):
    data = join(rows("{id};{n}.5;{y}%\n", "id;plot;yield\n"))
    with pytest.raises(DataError, match="the only numeric column is 'plot', but 'yield' is not numeric"):
        choose_trait(data, None)
    assert choose_trait(data, "plot") == "plot"
    dated = join(rows("{id};{n}.5;2020-01-0{n}\n", "id;y;sown\n"))
    assert choose_trait(dated, None) == "y"


def test_numbers_of_the_samples_are_no_trait_of_their_own(tmp_path):
    table = "id,sequence,plot\n" + "".join(f"r{n},{SEQUENCES[n % 6]}{'ACGT'[n % 4]},{30 - n}\n" for n in range(30))
    (tmp_path / "d.csv").write_text(table)
    data = read_dataset(tmp_path / "d.csv")
    with pytest.raises(DataError, match=r"'plot', counts the 30 samples.*--trait plot.*--trait-table"):
        choose_trait(data, None)


@pytest.mark.parametrize("blank", [" ", "\t", "\v", "\f", "\u00a0", " \t "])
def test_ids_of_fasta_end_at_white_space_of_any_kind(tmp_path, blank):
    (tmp_path / "s.fa").write_text("".join(f"> {name}{blank}of rice\nACGTAC\n" for name in IDS))
    data = read_dataset(tmp_path / "s.fa")
    assert data.ids.tolist() == IDS
    assert data.columns["description"].tolist() == ["of rice"] * 6


@pytest.mark.parametrize(
    "text", ["ACGTACGTA\nACGTACGTC\nACGTACGTG\n", "a,ACGTAC\nb,ACGTAG\n", "ACGTAC,1.5\nACGTAG,2.5\n"]
)
def test_a_first_sequence_is_not_taken_for_a_name(tmp_path, text):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError, match=r"s.csv:1: the first line must name the columns, but 'ACGTAC.*' is a sequence"):
        read_dataset(tmp_path / "s.csv")


def test_a_single_number_is_no_id_and_a_column_without_a_name_for_ids_is_said(tmp_path):
    (tmp_path / "s.csv").write_text("activity,sequence\n5,ACGTAC\n")
    assert read_dataset(tmp_path / "s.csv").y("activity").tolist() == [5]
    (tmp_path / "s.csv").write_text("promoter,sequence\np1,ACGTAC\np2,ACGTAG\n")
    data = read_dataset(tmp_path / "s.csv")
    assert data.ids.tolist() == ["p1", "p2"]
    assert "ids are taken from column 'promoter'" in data.notes


def test_groups_are_no_ids_of_sequences(tmp_path):
    (tmp_path / "s.csv").write_text("genotype,sequence\nwt,ACGTAC\nwt,ACGTAG\n")
    assert read_dataset(tmp_path / "s.csv").ids.tolist() == ["row1", "row2"]
    (tmp_path / "s.csv").write_text("genotype,sequence\na,ACGTAC\nb,ACGTAG\n")
    assert read_dataset(tmp_path / "s.csv").ids.tolist() == ["a", "b"]


def frame(n=5):
    return pd.DataFrame(np.random.default_rng(1).integers(0, 3, (n, 12)), columns=[f"rs{j}" for j in range(12)])


@pytest.mark.parametrize("rows", [[5], [0], [3, 5], range(8)])
def test_numbers_of_rows_are_no_ids_and_no_variant_is_taken_for_one(rows):
    part = frame(8).iloc[list(rows)]
    data = ap.read(part)
    assert data.ids.tolist() == [f"row{number}" for number in range(1, len(part) + 1)]
    np.testing.assert_array_equal(data.inputs.values, part.to_numpy())
    stepped = part.set_axis(pd.RangeIndex(0, 2 * len(part), 2))
    assert ap.read(stepped).ids.tolist() == data.ids.tolist()


def test_an_index_with_a_name_or_of_text_is_the_ids():
    named = frame().rename_axis(index="gid")
    assert ap.read(named).ids.tolist() == ["0", "1", "2", "3", "4"]
    assert ap.read(frame().set_axis(list("abcde"))).ids.tolist() == list("abcde")
    both = pd.DataFrame({"id": list("ab"), "sequence": ["ACGTAC", "ACGTAG"]}, index=["x", "y"])
    with pytest.raises(DataError, match="ids are in the index and in column 'id'"):
        ap.read(both)
    assert ap.read(both.reset_index(drop=True)).ids.tolist() == ["a", "b"]
    assert ap.read(both.reset_index(drop=True).iloc[[1]]).ids.tolist() == ["b"]
    with pytest.raises(DataError, match="the index has 2 levels"):
        ap.read(both.set_index("sequence", append=True))


def test_samples_called_na_keep_their_names_in_every_file(tmp_path, capsys):
    rng = np.random.default_rng(2)
    names = ["NA", "None", "nan", "null", "007", *(f"x{n}" for n in range(45))]
    bases = ["".join(rng.choice(list("ACGT"), 40)) for _ in names]
    (tmp_path / "s.fa").write_text("".join(f">{a}\n{b}\n" for a, b in zip(names, bases, strict=True)))
    (tmp_path / "t.csv").write_text(
        "id,y\n" + "".join(f"{a},{b.count('G') + 0.5}\n" for a, b in zip(names, bases, strict=True))
    )
    words = ["--data", str(tmp_path / "s.fa"), "--trait-table", str(tmp_path / "t.csv")]
    assert main(["split", *words, "-o", str(tmp_path / "out")]) == 0
    assert main(["audit", str(tmp_path / "out" / "split.csv"), *words]) == 0
    from automl_pheno.report.read import read_samples
    from automl_pheno.splits import read_split

    assert read_split(tmp_path / "out" / "split.csv").ids.tolist() == names
    for file in ("split.csv", "split_samples.csv"):
        assert read_samples(tmp_path / "out" / file)["id"].tolist() == names
    nearest = read_samples(tmp_path / "out" / "split_samples.csv")
    assert "y" in nearest
    assert nearest["y"].dtype == np.float64
    capsys.readouterr()
