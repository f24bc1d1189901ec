import numpy as np
import pytest

from automl_pheno.data import read_dataset
from automl_pheno.errors import DataError

SEQUENCES = "id,sequence\na,ACGTAC\nb,ACGTAA\nc,ACGTAG\nd,ACGTTT\n"


@pytest.fixture
def write(tmp_path):
    def make(text, name):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


@pytest.fixture
def join(write):
    def make(table, data=SEQUENCES, name="data.csv", **options):
        return read_dataset(write(data, name), trait_table=write(table, "t.csv"), **options)

    return make


def test_several_rows_of_one_id_become_mean_number_and_sd(join):
    data = join("id,yield,site,year,plot\na,1,n,2020,1\nb,4,s,2020,2\na,3,n,2020,3\na,NA,n,2020,4\nd,NA,n,2020,5\n")
    assert data.ids.tolist() == ["a", "b", "d"]
    np.testing.assert_array_equal(data.y("yield"), [2, 4, np.nan])
    assert data.columns["yield_n"].tolist() == [2, 1, 0]
    np.testing.assert_allclose(data.columns["yield_sd"].to_numpy(), [np.std([1, 3], ddof=1), np.nan, np.nan])
    assert data.columns["site"].tolist() == ["n", "s", "n"]
    assert data.columns["year"].tolist() == [2020, 2020, 2020]
    assert "year_n" not in data.columns
    assert "yield_n" not in data.traits
    note = next(note for note in data.notes if "rows of" in note and "t.csv" in note)
    assert "5 rows of 3 ids; averaged: yield, plot" in note


def test_the_means_are_those_of_pandas(join):
    rng = np.random.default_rng(1)
    import pandas as pd

    rows = pd.DataFrame({"id": rng.choice(list("abcd"), 60), "y": 1e6 + rng.normal(size=60)})
    data = join(rows.to_csv(index=False))
    expected = rows.groupby("id")["y"].agg(["mean", "std", "count"])
    np.testing.assert_allclose(data.y("y"), expected["mean"])
    np.testing.assert_allclose(data.columns["y_sd"].to_numpy(), expected["std"], rtol=1e-8)
    assert data.columns["y_n"].tolist() == expected["count"].tolist()


def test_text_that_differs_within_an_id_is_dropped(join):
    data = join("id,y,site,kept\na,1,n,x\na,3,s,\nb,2,s,y\n")
    assert "site" not in data.columns
    assert data.columns["kept"].tolist() == ["x", "y"]
    assert any("dropped, since rows of one id differ: site" in note for note in data.notes)


def test_a_column_in_the_way_of_replicates_is_named(join):
    with pytest.raises(DataError, match=r"t.csv: column 'y_n' is needed for the replicates of 'y'"):
        join("id,y,y_n\na,1,1\na,3,1\n")


FORMS = {
    "FID and IID columns": (SEQUENCES, "FID,IID,y\nf,a,1\nf,b,2\n", None),
    "PLINK's hash": (SEQUENCES, "#FID\tIID\ty\nf\ta\t1\nf\tb\t2\n", None),
    "blanks": (SEQUENCES, "FID IID   y\nf  a 1\nf b  2\n", None),
    "no header": (SEQUENCES, "a a 1\nb b 2\n", "has no header; its columns are called FID, IID, phenotype"),
    "no header, one id": (SEQUENCES, "a\t1\nb\t2\n", "has no header; its columns are called id, phenotype"),
    "joined in the table": (SEQUENCES, "id,y\nf_a,1\ng_b,2\n", "2 of 4 samples of .* by IID of FID_IID in the table"),
    "colon in the table": (SEQUENCES, "id,y\nf:a,1\ng:b,2\n", "2 of 4 samples of .* by IID of FID:IID in the table"),
    "doubled in the data": (SEQUENCES.replace("a,A", "a_a,A").replace("b,A", "b_b,A").replace("c,A", "c_c,A"),
                            "id,y\na,1\nb,2\n", "2 of 4 samples of .* by IID of FID_IID in the data"),
    "joined in the data": (SEQUENCES.replace("a,A", "f_a,A").replace("b,A", "f_b,A"),
                           "FID,IID,y\nf,a,1\nf,b,2\n", "2 of 4 .* FID_IID in the table"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_ids_of_other_forms_are_matched_and_counted(join, case):
    import re

    data_text, table, note = FORMS[case]
    data = join(table, data=data_text)
    trait = "phenotype" if "phenotype" in data.traits else "y"
    assert data.y(trait).tolist() == [1, 2]
    assert [str(name)[-1] for name in data.ids] == ["a", "b"]
    matched = [text for text in data.notes if "were matched with" in text or "no header" in text]
    assert not matched if note is None else re.search(note, matched[0])


def test_a_first_row_of_a_sample_without_inputs_is_no_header(join):
    data = join("x x 0.5\na a 1\nb b 2\n")
    assert data.y("phenotype").tolist() == [1, 2]
    assert any("'x'" in note for note in data.notes)
    assert join("plant,2019,2020\na,1,3\nb,2,4\n").y("2020").tolist() == [3, 4]


def test_forms_that_make_individuals_the_same_are_not_used(join):
    with pytest.raises(DataError, match="no sample id in common"):
        join("id,y\nf_a,1\ng_a,2\n")


def test_the_same_individual_id_in_two_families_is_not_averaged(join):
    data = SEQUENCES.replace("a,A", "f_a,A").replace("b,A", "g_a,A")
    joined = join("FID,IID,y\nf,a,1\ng,a,5\n", data=data)
    assert joined.y("y").tolist() == [1, 5]


def test_minus_9_is_missing_beside_fid_and_iid_alone(join):
    assert np.isnan(join("FID,IID,y\nf,a,-9\nf,b,2\n").y("y")[0])
    assert join("id,y\na,-9\nb,2\n").y("y")[0] == -9


def test_families_of_the_table_are_a_column(join):
    assert join("FID,IID,y\nf,a,1\nf,b,2\n").columns["FID"].tolist() == ["f", "f"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "t.csv: the file is empty"),
        ("id,y\n", "only a header and no rows"),
        (">a\nACGT\n", "is FASTA, not a trait table"),
        ("##fileformat=VCFv4.2\n", "is not a trait table"),
        ("id,y\na,1\n ,2\n", "t.csv:3: the id in column 'id' is empty or missing"),
        ("id,y\na,1\nNA,2\n", "t.csv:3: the id in column 'id' is empty or missing"),
        ("id,y\na,1,2\n", "t.csv:2: expected 2 columns as in the header, got 3"),
        ("id,y,y\na,1,2\n", "t.csv:1: columns 2 and 3 have the same name 'y'"),
        ("id,y\nq,1\nr,1\n", "'a', 'b', 'c', ... against 'q', 'r'"),
        ("a a 1\nb b\n", "t.csv:2: expected 3 columns as in the first line, got 2"),
    ],
)
def test_bad_trait_tables_are_refused_with_the_place(join, table, message):
    with pytest.raises(DataError, match=message):
        join(table)
