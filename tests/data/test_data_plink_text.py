"""PLINK as text: .raw, .ped and .tped give the dosages, sexes, families and phenotypes that the .bed gives."""

from itertools import chain

import numpy as np
import pytest

from automl_pheno.data import read_dataset
from automl_pheno.data.alleles import harmonise
from automl_pheno.errors import DataError

N, M = 12, 6
RNG = np.random.default_rng(3)
TRUTH = RNG.binomial(2, 0.5, (N, M)).astype(np.float32)
TRUTH[RNG.random((N, M)) < 0.1] = np.nan
PHENOTYPES = ["-9", "-9.0", "NA", *(f"{value:.3f}" for value in RNG.normal(size=N - 3))]
FIXED = [[f"F{row // 3}", f"i{row}", "0", "0", str(1 + row % 2), PHENOTYPES[row]] for row in range(N)]
HEADER = ["FID", "IID", "PAT", "MAT", "SEX", "PHENOTYPE"]


@pytest.fixture
def write(tmp_path):
    def make(name, lines, sep=" "):
        (tmp_path / name).write_text("".join(sep.join(line) + "\n" for line in lines))
        return tmp_path / name

    return make


def raw_lines(names, *, het=False):
    made = []
    for row in range(N):
        cells = []
        for value in TRUTH[row]:
            cells += ["NA" if np.isnan(value) else f"{value:g}", *([str(int(value == 1))] if het else [])]
        made.append([*FIXED[row], *cells])
    return [[*HEADER, *names], *made]


@pytest.fixture
def bed(tmp_path):
    from bed_reader import to_bed

    to_bed(tmp_path / "b.bed", TRUTH)
    (tmp_path / "b.bim").write_text("".join(f"2\trs{k}_x\t0\t{k + 1}\tG\tA\n" for k in range(M)))
    (tmp_path / "b.fam").write_text("".join(" ".join(line) + "\n" for line in FIXED))
    return read_dataset(tmp_path / "b.bed")


def same_samples(data, bed):
    assert data.ids.tolist() == bed.ids.tolist()
    assert data.columns[["family", "sex"]].equals(bed.columns[["family", "sex"]])
    np.testing.assert_array_equal(data.y("phenotype"), bed.y("phenotype"))
    assert np.isnan(data.y("phenotype")[:3]).all()


@pytest.mark.parametrize("sep", [" ", "\t"])
@pytest.mark.parametrize("kind", ["A", "AD", "include-alt", "no allele"])
def test_recode_a_is_what_the_bed_is(write, bed, sep, kind):
    names = [f"rs{k}_x_G" for k in range(M)]
    if kind == "AD":
        names = [name for k in range(M) for name in (f"rs{k}_x_G", f"rs{k}_x_HET")]
    elif kind == "include-alt":
        names = [f"rs{k}_x_G(/A)" for k in range(M)]
    elif kind == "no allele":
        names = [f"rs{k}_x_0" for k in range(M)]
    data = read_dataset(write("x.raw", raw_lines(names, het=kind == "AD"), sep))
    assert "format raw" in data.notes[0]
    np.testing.assert_array_equal(data.inputs.values, TRUTH)
    same_samples(data, bed)
    assert data.inputs.variants["id"].tolist() == [f"rs{k}_x" for k in range(M)]
    assert data.inputs.variants["alt"].unique().tolist() == ["" if kind == "no allele" else "G"]
    assert data.inputs.variants["ref"].unique().tolist() == ["A" if kind == "include-alt" else ""]
    agreed, _ = harmonise(data.inputs, bed.inputs.variants)
    np.testing.assert_array_equal(agreed.values, bed.inputs.values)


def test_the_phenotype_of_a_raw_is_no_variant_and_yields_to_a_trait_table(write):
    traits = write("t.csv", [["id", "y"], *([f"i{row}", str(row * 1.5)] for row in range(N))], ",")
    data = read_dataset(write("x.raw", raw_lines([f"rs{k}_G" for k in range(M)])), trait_table=traits)
    assert data.inputs.width == M
    assert list(data.traits.columns) == ["y"]


def append(lines, name):
    for line in lines:
        line.append(line[-1])
    lines[0][-1] = name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[2].__setitem__(7, "3"), r"x.raw:3: sample 'i1', variant 'rs1_G': .* from 0 to 2, got '3'"),
        (lambda lines: lines[2].__setitem__(7, "A"), "got 'A'"),
        (lambda lines: lines[2].pop(), "x.raw:3: expected 12 columns"),
        (lambda lines: lines[0].__setitem__(7, "rs0_G"), "columns 7 and 8 have the same name 'rs0_G'"),
        (
            lambda lines: [line.append(line[-1]) for line in lines] and lines[0].__setitem__(-1, "AGE"),
            "column 'AGE' is no",
        ),
        (lambda lines: [line.append(line[-1]) for line in lines] and lines[0].__setitem__(-1, "x"), "column 'x' is no"),
        (lambda lines: lines.insert(2, list(lines[1])), "sample F0 i0 is already in line 2"),
    ],
)
def test_a_bad_raw_is_refused_with_the_place(write, change, message):
    lines = raw_lines([f"rs{k}_G" for k in range(M)])
    change(lines)
    with pytest.raises(DataError, match=message):
        read_dataset(write("x.raw", lines))


def alleles(value, pair):
    return ["0", "0"] if np.isnan(value) else [pair[int(value > 1)], pair[int(value > 0)]]


def ped_lines(pair=("A", "G"), *, compound=False):
    made = []
    for row in range(N):
        calls = [alleles(value, pair) for value in TRUTH[row]]
        made.append([*FIXED[row], *(["".join(call) for call in calls] if compound else chain(*calls))])
    return made


@pytest.mark.parametrize("kind", ["letters", "numbers", "compound", "tabs", "tped"])
@pytest.mark.parametrize("named", ["x{}", "x"])
def test_ped_and_tped_are_what_the_bed_is(write, bed, kind, named):
    pair = ("1", "3") if kind == "numbers" else ("A", "G")
    places = [["2", f"rs{k}_x", "0", str(k + 1)] for k in range(M)]
    if kind == "tped":
        write("x.tfam", FIXED)
        calls = [chain(*(alleles(value, pair) for value in column)) for column in TRUTH.T]
        path = write("x.tped", [[*place, *call] for place, call in zip(places, calls, strict=True)])
    else:
        write("x.map", places, "\t")
        path = write("x.ped", ped_lines(pair, compound=kind == "compound"), "\t" if kind == "tabs" else " ")
    data = read_dataset(path.with_name(named.format(path.suffix)))
    np.testing.assert_array_equal(data.inputs.values, TRUTH)
    same_samples(data, bed)
    assert data.inputs.variants.iloc[0].tolist() == ["rs0_x", "2", 1, *pair]


def test_the_second_allele_in_order_counts_even_where_it_is_the_common_one(write):
    write("x.map", [["1", "rs1", "5"]])
    lines = [["f", f"i{row}", "0", "0", "1", "-9", *("TC" if row == 0 else "TT")] for row in range(5)]
    data = read_dataset(write("x.ped", lines))
    assert data.inputs.values[:, 0].tolist() == [1, 2, 2, 2, 2]
    assert data.inputs.variants.iloc[0].tolist() == ["rs1", "1", 5, "C", "T"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda lines: lines[1].pop(),
            "x.ped:2: expected 12 alleles, two for each of the 6 variants of the .map",
        ),
        (
            lambda lines: lines[1].__setitem__(6, "C"),
            r"x.ped:2: .*'i1', variant 'rs0_x': 'C/\w': the variant has 3",
        ),
        (lambda lines: lines[1].__setitem__(6, "xyz"), "'xyz/.' is no genotype like the others"),
        (lambda lines: lines.insert(2, ["#", "x"]), "x.ped:3: begins with #"),
        (lambda lines: lines.clear(), "the file is empty"),
    ],
)
def test_a_bad_ped_is_refused_with_the_place(write, change, message):
    write("x.map", [["2", f"rs{k}_x", "0", str(k + 1)] for k in range(M)])
    lines = ped_lines()
    change(lines)
    with pytest.raises(DataError, match=message):
        read_dataset(write("x.ped", lines))


def test_a_ped_without_its_map_says_so(write):
    with pytest.raises(DataError, match=r"x.map: no such file; a .ped needs its .map"):
        read_dataset(write("x.ped", ped_lines()))


@pytest.mark.parametrize(("name", "advice"), [("x.lgen", "plink --lfile"), ("x.gen", "plink2 --gen")])
def test_other_texts_of_plink_are_refused_with_the_command(write, name, advice):
    with pytest.raises(DataError, match=advice):
        read_dataset(write(name, ped_lines()))


def test_minus_nine_may_be_said_to_be_a_value(write):
    lines = raw_lines([f"rs{k}_G" for k in range(M)])
    data = read_dataset(write("x.raw", lines), missing="value:-9")
    assert data.y("phenotype")[:2].tolist() == [-9, -9]
